"""Batches for the loop: drawn by worker processes from the corpus, the same ones however many workers draw them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from musicstyle.corpus.crops import BatchOptions, batch, draw, evaluation_batches, for_teacher, habits_of_crops
from musicstyle.corpus.store import Corpus
from musicstyle.training.options import TrainingOptions

Batch = dict[str, Tensor]

USUAL_ROWS = 512  # crops whose habits say what is usual
SCALE_ROWS = 64  # crops whose style features say how far each of them spreads


def batch_options(options: TrainingOptions) -> BatchOptions:
    """How the run's crops are drawn."""
    return BatchOptions(
        batch_size=options.batch_size,
        tokens=options.tokens,
        style_tokens=options.tokens,
        style_input=options.style_input,
        augment=options.augment,
        drop_style=options.drop_style,
        drop_melody=options.drop_melody,
        drop_habits=options.drop_habits,
        line_melody=options.line_melody,
        seed=options.seed,
    )


class StepDataset(Dataset[Batch]):
    """Item number s is the batch of step s; each worker opens the mapped corpus for itself."""

    def __init__(self, corpus: Path, split: str, options: BatchOptions, rows: slice, *, taught: bool) -> None:
        self.path, self.split, self.options, self.rows, self.taught = corpus, split, options, rows, taught
        self.corpus: Corpus | None = None

    def __getitem__(self, step: int) -> Batch:
        if self.corpus is None:
            self.corpus = Corpus.open(self.path)
        drawn = batch(self.corpus, self.split, step, self.options, rows=self.rows)
        return as_tensors(drawn | for_teacher(drawn, step, self.options, self.rows) if self.taught else drawn)


def as_tensors(arrays: Mapping[str, np.ndarray]) -> Batch:
    """The arrays of a batch as tensors on the CPU, sharing their memory."""
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}


def training_batches(
    corpus: Path,
    options: TrainingOptions,
    first_step: int,
    rank: int = 0,
    world_size: int = 1,
    *,
    pinned: bool = False,
) -> Iterator[Batch]:
    """The batches of steps first_step ... steps - 1; each process of several gets its own rows of them.

    `pinned` puts them where a GPU can fetch them while it computes.
    """
    rows = slice(rank, None, world_size)
    dataset = StepDataset(corpus, "train", batch_options(options), rows, taught=bool(options.teacher))
    steps = range(first_step, options.steps)
    workers, ahead = options.workers, 2 if options.workers else None
    return iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            prefetch_factor=ahead,
            pin_memory=pinned,
            worker_init_fn=_leave_stops_to_the_loop,
        )
    )


@contextmanager
def ending_workers(batches: Iterator[Batch]) -> Iterator[None]:
    """End the processes that draw batches with what it holds: Python's exit would send them one SIGTERM, and wait."""
    try:
        yield
    finally:
        if (shut := getattr(batches, "_shutdown_workers", None)) is not None:  # none where this process draws
            shut()


def _leave_stops_to_the_loop(_worker: int) -> None:
    """A stop reaches all processes; the loop answers it. A second SIGTERM ends the worker, as it does the loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def training_features(path: Path, options: TrainingOptions) -> Tensor:
    """Style features of SCALE_ROWS crops as the run draws them, (SCALE_ROWS, 8).

    Each row is drawn by itself, so neither batch size nor the number of processes changes them, nor does a resumed run.
    """
    corpus, drawn = Corpus.open(path), batch_options(options)
    rows = [draw(corpus, "train", 0, row, drawn).style_features for row in range(SCALE_ROWS)]
    return torch.from_numpy(np.stack(rows))


def training_habits(path: Path, options: TrainingOptions) -> Tensor:
    """Counts and chances of the habits of USUAL_ROWS crops as the run draws them, (2, habits); likewise."""
    return torch.from_numpy(habits_of_crops(Corpus.open(path), batch_options(options), USUAL_ROWS))


def validation_batches(path: Path, options: TrainingOptions) -> list[Batch]:
    """The same crops of the validation split whatever the run's seed; of the train split if there is no other."""
    corpus = Corpus.open(path)
    split = corpus.split_or_train("validation")
    drawn = evaluation_batches(corpus, split, replace(batch_options(options), seed=0), options.validation_crops)
    return [as_tensors(arrays) for arrays in drawn]
