"""Which choice of model and training learns most from equal tokens: small runs from nothing; prints JSON lines.

    python benchmarks/recipe.py CORPUS [--runs aligned-off adamw ...] [--tokens 600000] [--more OTHER_CORPUS]

Every run differs from the first ("defaults") in what its name says; crops, seed and tokens are the same. NLL in nats
per token on the same crops of 512 tokens of the validation split, the style heard elsewhere in the performance
("other") or in the crop itself ("same"); "seconds" is the process's CPU time for training.
`--more` is a corpus prepared from MAESTRO and further performances, for the run "more-data".
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import torch
from mistakes import run
from torch import Tensor

from musicstyle.corpus import crops
from musicstyle.corpus.crops import BatchOptions, evaluation_batches
from musicstyle.corpus.store import Corpus
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import PRESETS
from musicstyle.music.vocabulary import PAD, PERFORMANCE, TIME_SHIFT, VELOCITY
from musicstyle.training.batches import as_tensors
from musicstyle.training.loop import Trainer, make_fabric
from musicstyle.training.loss import served_modes, validation_nll
from musicstyle.training.options import TrainingOptions


@dataclass(frozen=True)
class Run:
    """What differs from the defaults of `musicstyle train`."""

    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)  # constants of musicstyle.corpus.crops
    adamw: bool = False
    hidden: str = ""  # kind of event of which HIDDEN_SHARE are hidden from the decoder while it learns
    more_data: bool = False


RUNS = {
    "defaults": Run(),
    "clock-off": Run({"clock": False, "melody_frames_ahead": 0, "melody_frames_behind": 0}),
    "aligned-off": Run({"melody_frames_ahead": 0, "melody_frames_behind": 0}),
    "held-off": Run({"held_keys": 0}),
    "style-other": Run(training={"style_input": "other"}),
    "counts-off": Run({"style_counts": False}),
    "habits-off": Run({"style_habits": 0}),
    "motifs-off": Run({"motifs": 0}),
    "drop-none": Run(training={"drop_style": 0.0, "drop_melody": 0.0}),
    "published-melody": Run(training={"line_melody": 0.0}),
    "concat": Run({"combine": "concat"}),
    "tile": Run({"combine": "tile"}),
    "wide": Run({"width": 256, "heads": 4, "head_width": 64, "feedforward_width": 1024, "decoder_layers": 2}),
    "deep": Run({"width": 144, "heads": 3, "head_width": 48, "feedforward_width": 576, "decoder_layers": 7}),
    "adamw": Run(adamw=True),
    "decay-late": Run(training={"decay_share": 0.2}),
    "rate-half": Run(training={"learning_rate": 0.015, "matrix_learning_rate": 0.005}),
    "rate-double": Run(training={"learning_rate": 0.06, "matrix_learning_rate": 0.02}),
    "context-1024": Run(training={"tokens": 1024, "batch_size": 2}),
    "context-2048": Run(training={"tokens": 2048, "batch_size": 1}),
    "rows-8": Run(training={"batch_size": 8}),
    "augment-off": Run(training={"augment": False}),
    "augment-wide": Run(augmentation={"TRANSPOSITION": 6, "STRETCHES": (0.85, 0.925, 1.0, 1.075, 1.15)}),
    "velocity-dropout": Run(hidden=VELOCITY),
    "timing-dropout": Run(hidden=TIME_SHIFT),
    "more-data": Run(more_data=True),
}
HIDDEN_SHARE = 0.15
ADAMW_RATE = 2e-3  # of the matrices in Muon's place; of 1e-3, 2e-3 and 4e-3 the usual middle


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, help="prepared corpus")
    parser.add_argument("--runs", nargs="*", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--tokens", type=int, default=600_000, help="of each run")
    parser.add_argument("--more", type=Path, help="prepared corpus with more performances")
    parser.add_argument("--crops", type=int, default=32, help="of the validation")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.runs:
        if RUNS[name].more_data and options.more is None:
            print(f"{name}: left out, as --more names no corpus", file=sys.stderr)
            continue
        print(json.dumps({"run": name, **measure(RUNS[name], options)}), flush=True)


def measure(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """Train from nothing and judge."""
    config = replace(PRESETS["tiny"], **run.model)
    training = replace(TrainingOptions(), workers=0, seed=options.seed, **run.training)
    steps = options.tokens // (training.batch_size * training.tokens)
    training = replace(training, steps=steps, validate_every=steps, save_every=10 * steps)
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.more if run.more_data else options.corpus
        trainer = Trainer(config, training, corpus, Path(folder), make_fabric("cpu"))
        if run.adamw:
            muon, others = trainer.optimizers
            matrices = muon.param_groups[0]["params"]
            adam = torch.optim.AdamW(matrices, lr=ADAMW_RATE, betas=(0.9, 0.98), weight_decay=0.01)
            adam.param_groups[0]["initial_lr"] = ADAMW_RATE
            trainer.optimizers = [adam, others]
        if run.hidden:
            hide(trainer.plain, run.hidden)
        began = time.process_time()
        with mock.patch.dict(vars(crops), run.augmentation):
            losses = [report.loss for report in trainer.run()]
        seconds = time.process_time() - began
    plain = trainer.plain.eval()
    return {
        "nll": {heard: judge(plain, options.corpus, options.crops, heard) for heard in ("other", "same")},
        "last_losses": round(statistics.fmean(losses[-20:]), 4),
        "parameters": sum(p.numel() for p in plain.parameters()),
        "steps": steps,
        "tokens": trainer.tokens,
        "seconds": round(seconds),
    }


def hide(model: Autoencoder, kind: str) -> None:
    """While it learns, let the decoder find PAD in place of some events that it would have heard; time goes on."""
    decode, hidden = model.decode, torch.from_numpy(PERFORMANCE.kinds == PERFORMANCE.kind_index(kind))

    def half_deaf(ids: Tensor, *others: Any) -> Tensor:
        lost = hidden[ids] & (torch.rand(ids.shape) < HIDDEN_SHARE) & model.training
        return decode(ids.masked_fill(lost, PAD), *others)

    model.decode = half_deaf  # type: ignore[method-assign,assignment]


def judge(model: Autoencoder, path: Path, count: int, heard: Literal["other", "same"]) -> dict[str, float]:
    """NLL by mode on the same crops for every run, whatever it was trained with."""
    judged = BatchOptions(batch_size=8, tokens=512, style_tokens=512, style_input=heard)
    batches = [as_tensors(arrays) for arrays in evaluation_batches(Corpus.open(path), "validation", judged, count)]
    return {mode: round(nll, 4) for mode, nll in validation_nll(model, batches, served_modes(model.config)).items()}


if __name__ == "__main__":
    run(main)
