"""The decoder one token at a time: `model.decode` is the reference, the compiled one reads its weights once a token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from musicstyle.generation.kept import kept_with_model
from musicstyle.model.autoencoder import Autoencoder, Condition, keys_down
from musicstyle.model.config import ModelConfig
from musicstyle.model.decoder import DecoderCache

if TYPE_CHECKING:
    from musicstyle.generation import packing


class Stepper(Protocol):
    """Decodes several rows that are at the same position, each with its own ids, clock and condition."""

    def hear(self, conditions: np.ndarray) -> None:
        """From the next id on, let every row hear this row of the condition, (rows,) int64."""

    def prefill(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> None:
        """Take in ids that the rows begin with.

        Args:
            ids: (first rows, ids) int64; the other rows begin and are conditioned as these, again and again.
            clock: Elapsed 10 ms steps after each, (first rows, ids) int64.
            held: Steps each key has been down then, plus 1; 0 for a key that is up, (first rows, ids, keys) int.
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


class CompiledStepper:
    """The whole step in one compiled function over packed weights, float32 or int8; CPU only.

    Rows do not depend on each other, so threads share them out; what comes out is the same to the last bit.
    """

    @torch.inference_mode()
    def __init__(
        self, model: Autoencoder, condition: Condition, conditions: np.ndarray, *, int8: bool = False, threads: int = 1
    ) -> None:
        """Pack weights and memory.

        Args:
            model: In evaluation mode.
            condition: All that may be heard.
            conditions: See `hear`.
            int8: Weights, keys and values as 8-bit numbers with a scale for each row of them.
            threads: Among which the rows are shared out, at most one a row.

        Raises:
            ValueError: The model is not on the CPU, or the memory's timed positions are no run of frames.
        """
        from musicstyle.generation import packing

        if next(model.parameters()).device.type != "cpu":
            raise ValueError("the compiled step runs on the CPU only")
        c = model.config
        self._model, self._all, self.int8 = model, condition, int8
        self._weights = packing.pack_weights(model, int8)
        self._held_table = packing.array(model.held.weight.T) if c.held_keys else np.zeros((0, c.width), np.float32)
        window_steps = -1 if c.memory_window_steps is None else c.memory_window_steps
        self._settings = (model.decoder.norm.eps, c.activation == "relu_squared", c.steps_per_frame, window_steps)
        self._logits = np.empty((len(conditions), c.vocabulary_size), np.float32)
        self.window, self.keys = c.window, c.held_keys
        self._inputs = packing.pack_inputs(model, condition)
        self._parts: list[_Part] = []
        self._packed: dict[int, packing.Memories] = {}
        self.hear(conditions)
        self.share_out(threads)

    @torch.inference_mode()
    def hear(self, conditions: np.ndarray) -> None:
        """See `Stepper`. A memory is packed when a row begins to hear it, and kept while one does."""
        from musicstyle.generation import packing

        heard, which = np.unique(conditions, return_inverse=True)
        with _one_thread():
            self._packed = packed = {row: self._packed.get(row) or self._pack(row) for row in heard.tolist()}
        constant, melody, *others = self._inputs
        inputs = (constant[conditions], melody[conditions], *others)
        self._heard = _Heard(inputs, packing.side_by_side(list(packed.values())), which)
        for part in self._parts:
            part.hear(self._heard)

    def _pack(self, row: int) -> packing.Memories:
        from musicstyle.generation import packing

        return packing.pack_memory(self._model, self._all.take(torch.tensor([row])), self.int8)

    def share_out(self, threads: int) -> None:
        """Give the rows to so many threads, at most one a row, and begin anew: at position 0, with empty caches."""
        rows = len(self._logits)
        self.threads = min(threads, rows)
        bounds = np.linspace(0, rows, self.threads + 1).astype(int).tolist()
        self._parts = [self._part(slice(*ends)) for ends in pairwise(bounds)]
        self._helpers = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None
        self.position = 0

    def step(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> np.ndarray:
        """See `Stepper`."""
        first, *others = self._parts
        keys = None
        if len(self._held_table):  # a product for each row, as BLAS adds up some rows of a batch in another order
            keys = (keys_down(torch.from_numpy(held)).numpy()[:, None] @ self._held_table)[:, 0]
        state = (ids, clock, keys)
        waiting = [self._helpers.submit(self._step, part, *state) for part in others if self._helpers is not None]
        self._step(first, *state)
        for result in waiting:
            result.result()
        self.position += 1
        return self._logits

    def _step(self, part: _Part, ids: np.ndarray, clock: np.ndarray, keys: np.ndarray | None) -> None:
        from musicstyle.generation.kernel import step

        constant, *others = part.inputs
        inputs = (constant if keys is None else constant + keys[part.rows], *others)
        step(
            ids[part.rows], clock[part.rows], self.position, inputs, self._weights, part.cache, part.memory,
            part.scratch, self._settings, self._logits[part.rows],
        )  # fmt: skip

    def prefill(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> None:
        """See `Stepper`; id by id, which is faster than `model.decode` and its many short products."""
        if not ids.shape[1]:
            return
        first, parts = self._part(slice(0, len(ids))), self._parts
        self._parts = [first]
        # In one piece each, as a step gets them elsewhere: for columns of a table it would be compiled once more.
        for state in zip(*(np.ascontiguousarray(values.swapaxes(0, 1)) for values in (ids, clock, held)), strict=True):
            self.step(*state)
        self._parts = parts
        for part in parts:
            for kept, begun in zip(part.cache, first.cache, strict=True):
                kept[:] = begun[:, np.arange(part.rows.start, part.rows.stop) % len(ids)]

    def _part(self, rows: slice) -> _Part:
        return _Part(self._model.config, self._heard, self.int8, rows)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within it torch has one thread: short products gain nothing by two, and wait for both where a core is busy.

    A thread that is new to torch inherits what any thread set last. One that finds a 1 may have it from another that is
    in here, and does not set it again: that would be for good, for all threads to come.
    """
    if (threads := torch.get_num_threads()) == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Heard(NamedTuple):
    """Inputs of every row, memories, and which of these each row hears, (rows,)."""

    inputs: Any
    memories: packing.Memories
    which: np.ndarray


class _Part:
    """What one thread reads and writes for its rows."""

    def __init__(self, c: ModelConfig, heard: _Heard, int8: bool, rows: slice) -> None:
        from musicstyle.generation import packing

        count = rows.stop - rows.start
        self._config, self._int8, self.rows = c, int8, rows
        self.hear(heard)
        empty = np.zeros((1, 1, c.heads, c.window, c.head_width), np.float32)
        of_one = packing.pack_keys_and_values(empty, empty, int8)
        self.cache = tuple(np.tile(part, (c.decoder_layers, count, *[1] * (part.ndim - 2))) for part in of_one)

    def hear(self, heard: _Heard) -> None:
        """Take over what the rows hear from now on."""
        from musicstyle.generation import packing

        (constant, melody, *others), (panels, counts), which = heard
        mine = which[self.rows]
        self.inputs = (constant[self.rows], melody[self.rows], *others)
        self.memory = (panels, counts, mine)
        self.scratch = packing.make_scratch(self._config, len(mine), panels[2].shape[-1], self._int8)


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
