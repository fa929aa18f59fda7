"""The decoder's step compiled by numba for this processor: it reads its weights once a token. CPU only."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from musicstyle.generation import packing
from musicstyle.generation.kernel import step
from musicstyle.model.autoencoder import Autoencoder, Condition, keys_down
from musicstyle.model.config import ModelConfig


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
        self._constant, self._melody, *self._tables = packing.pack_inputs(model, condition)
        self._parts: list[_Part] = []
        self._packed: dict[int, packing.Memories] = {}
        self.hear(conditions)
        self.share_out(threads)

    @torch.inference_mode()
    def hear(self, conditions: np.ndarray) -> None:
        """See `Stepper`. A memory is packed when a row begins to hear it, and kept while one does."""
        heard, which = np.unique(conditions, return_inverse=True)
        with _one_thread():
            self._packed = packed = {row: self._packed.get(row) or self._pack(row) for row in heard.tolist()}
        memories = packing.side_by_side(list(packed.values()))
        self._heard = _Heard(self._constant[conditions], self._melody[conditions], memories, which)
        for part in self._parts:
            part.hear(self._heard)

    def _pack(self, row: int) -> packing.Memories:
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
        constant = part.constant if keys is None else part.constant + keys[part.rows]
        inputs = (constant, part.melody, *self._tables)
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
    """What every row hears: its constant input, (rows, width); its melody, (rows, frames); which memory, (rows,)."""

    constant: np.ndarray
    melody: np.ndarray
    memories: packing.Memories
    which: np.ndarray


class _Part:
    """What one thread reads and writes for its rows."""

    def __init__(self, c: ModelConfig, heard: _Heard, int8: bool, rows: slice) -> None:
        count = rows.stop - rows.start
        self._config, self._int8, self.rows = c, int8, rows
        self.hear(heard)
        empty = np.zeros((1, 1, c.heads, c.window, c.head_width), np.float32)
        of_one = packing.pack_keys_and_values(empty, empty, int8)
        self.cache = tuple(np.tile(part, (c.decoder_layers, count, *[1] * (part.ndim - 2))) for part in of_one)

    def hear(self, heard: _Heard) -> None:
        """Take over what the rows hear from now on."""
        self.constant, self.melody, mine = (of[self.rows] for of in (heard.constant, heard.melody, heard.which))
        self.memory = (*heard.memories, mine)
        positions = heard.memories.panels[2].shape[-1]
        self.scratch = packing.make_scratch(self._config, len(mine), positions, self._int8)
