"""The decoder one token at a time: `model.decode`, or the fastest stepper that agrees with it on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from musicstyle.generation.kept import kept_with_model
from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.model.decoder import DecoderCache

if TYPE_CHECKING:
    from musicstyle.generation.compiled_stepper import CompiledStepper


class Stepper(Protocol):
    """Decodes several rows that are at the same position, each with its own ids, clock and condition."""

    def hear(self, conditions: np.ndarray) -> None:
        """From the next id on, let every row hear this row of the condition, (rows,) int64."""

    def prefill(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> None:
        """Take in ids that the rows begin with.

        Args:
            ids: Of the first n rows, (n, ids) int64; row r begins, and must be conditioned, as row r % n.
            clock: Elapsed 10 ms steps after each, (n, ids) int64.
            held: Steps each key has been down then, plus 1; 0 for a key that is up, (n, ids, keys) int.
        """

    def step(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Logits of the next id.

        Args:
            ids: The last id of every row, (rows,) int64; PAD as the start.
            clock: Elapsed 10 ms steps after it, (rows,) int64.
            held: Steps each key has been down then, plus 1; 0 for a key that is up, (rows, keys) int.

        Returns:
            (rows, vocabulary_size) float32; overwritten by the next step.
        """


class ReferenceStepper:
    """`model.decode` with its cache: any device, and the oracle of the others."""

    def __init__(self, model: Autoencoder, condition: Condition, conditions: np.ndarray) -> None:
        """`conditions`: see `hear`."""
        self._model, self._all, self._rows = model, condition, len(conditions)
        self._device = next(model.parameters()).device
        self.cache = DecoderCache(model.config, self._rows, self._device)
        self.hear(conditions)

    def hear(self, conditions: np.ndarray) -> None:
        """See `Stepper`."""
        self._condition = self._all.take(torch.from_numpy(conditions).to(self._device))
        self.cache.heard = None

    @torch.inference_mode()
    def prefill(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> None:
        """See `Stepper`; a window at a time."""
        for first in range(0, ids.shape[1], self._model.config.window):
            part = slice(first, first + self._model.config.window)
            self._decode(*(np.resize(v[:, part], (self._rows, *v[:, part].shape[1:])) for v in (ids, clock, held)))

    @torch.inference_mode()
    def step(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> np.ndarray:
        """See `Stepper`."""
        return self._decode(ids[:, None], clock[:, None], held[:, None])[:, -1].float().cpu().numpy()

    def _decode(self, *state: np.ndarray) -> Tensor:
        ids, clock, held = (torch.from_numpy(np.ascontiguousarray(values)).to(self._device) for values in state)
        return self._model.decode(ids, clock, held, self._condition, self.cache)


CHECKED_TOKENS, CHECKED_FRAMES, TIMED_STEPS = 6, 50, 12
TOLERANCE = 1e-3  # of float32 logits: another order of sums
INT8_DIVERGENCE = 0.02  # nats a token, of int8 from the reference: measured 0.001 (docs/experiments.md)


def make_stepper(model: Autoencoder, condition: Condition, conditions: np.ndarray, *, exact: bool = False) -> Stepper:
    """The fastest stepper that agrees with the reference on this machine, at position 0.

    In order: int8 where the CPU multiplies pairs of 16-bit numbers, float32, `model.decode`. Which one it is depends on
    machine and model only, so that a seed keeps its meaning, and is found out once; the number of threads, which
    changes nothing in the logits, is measured.

    Args:
        model: In evaluation mode.
        condition: All that may be heard.
        conditions: Which of its rows each row hears to begin with, (rows,) int64.
        exact: No int8.
    """
    kind = _best_kind(model, exact)
    if kind is None:
        return ReferenceStepper(model, condition, conditions)
    from musicstyle.generation.compiled_stepper import CompiledStepper

    stepper = CompiledStepper(model, condition, conditions, int8=kind == "int8")
    rows = len(conditions)
    threads = min(torch.get_num_threads(), rows // 2)  # handing over costs as much as a row
    if threads > 1:
        _share_out_if_sooner(stepper, rows, threads)
    return stepper


@kept_with_model
def _best_kind(model: Autoencoder, exact: bool) -> Literal["int8", "float32"] | None:
    """The first kind of compiled step that agrees with the reference on a few arbitrary ids; None if none does."""
    if next(model.parameters()).device.type != "cpu":
        return None
    from musicstyle.generation.blocks import HAS_PAIRS

    if HAS_PAIRS and not exact and _agrees(model, int8=True):
        return "int8"
    return "float32" if _agrees(model, int8=False) else None


def _share_out_if_sooner(stepper: CompiledStepper, rows: int, threads: int) -> None:
    """Give the rows to one thread or to several: whoever takes less time for a step now, full caches and all."""
    ids, held = np.zeros(rows, np.int64), np.zeros((rows, stepper.keys), np.int64)

    def median_seconds(threads: int) -> float:
        stepper.share_out(threads)
        stepper.position, taken = stepper.window, []
        for _ in range(TIMED_STEPS):
            begin = time.perf_counter()
            stepper.step(ids, ids, held)
            taken.append(time.perf_counter() - begin)
        return float(np.median(taken))

    stepper.share_out(min((1, threads), key=median_seconds))


@torch.inference_mode()
def _agrees(model: Autoencoder, *, int8: bool) -> bool:
    """Whether both say the same of two rows, one with melody and style: equal in float32, near in int8."""
    from musicstyle.generation.compiled_stepper import CompiledStepper

    hears = torch.tensor([True, False])
    melody = torch.arange(CHECKED_FRAMES).expand(2, -1) % (model.config.melody_vocabulary_size - 2) + 2
    style = torch.linspace(-1, 1, model.style_width).expand(2, -1)
    condition, each = model.condition(melody, style, hears, hears), np.arange(2)
    fast, reference = CompiledStepper(model, condition, each, int8=int8), ReferenceStepper(model, condition, each)
    divergences = []
    for token in range(CHECKED_TOKENS):
        ids = (np.arange(2) + 97 * token) % model.config.vocabulary_size
        held = np.outer(ids, np.arange(model.config.held_keys)) % 31
        ours, theirs = fast.step(ids, ids * token, held), reference.step(ids, ids * token, held)
        if not int8 and not np.allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE):
            return False
        q, p = (torch.from_numpy(logits).double().log_softmax(dim=-1) for logits in (ours, theirs))
        divergences.append(float((p.exp() * (p - q)).sum(dim=-1).mean()))
    return not int8 or float(np.mean(divergences)) < INT8_DIVERGENCE
