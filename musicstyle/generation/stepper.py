"""The decoder one token at a time: `model.decode` is the reference, the compiled one reads its weights once a token."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.model.decoder import DecoderCache


class Stepper(Protocol):
    """Decodes several rows that are at the same position, each with its own ids, clock and condition."""

    position: int

    def prefill(self, ids: np.ndarray, clock: np.ndarray) -> None:
        """Take in ids that every row begins with, (ids,), and the elapsed 10 ms steps after each, (ids,)."""

    def step(self, ids: np.ndarray, clock: np.ndarray) -> np.ndarray:
        """Logits of the next id.

        Args:
            ids: The last id of every row, (rows,) int64; PAD as the start.
            clock: Elapsed 10 ms steps after it, (rows,) int64.

        Returns:
            (rows, vocabulary_size) float32; overwritten by the next step.
        """


class ReferenceStepper:
    """`model.decode` with its cache: any device, and the oracle of the others."""

    def __init__(self, model: Autoencoder, condition: Condition, rows: int) -> None:
        self._model, self._condition, self._rows = model, condition, rows
        self._device = next(model.parameters()).device
        self.cache = DecoderCache(model.config, rows, self._device)

    @property
    def position(self) -> int:
        """How many tokens were taken in."""
        return self.cache.position

    @torch.inference_mode()
    def prefill(self, ids: np.ndarray, clock: np.ndarray) -> None:
        """See `Stepper`; a window at a time."""
        for first in range(0, len(ids), self._model.config.window):
            part = slice(first, first + self._model.config.window)
            self._decode(np.tile(ids[part], (self._rows, 1)), np.tile(clock[part], (self._rows, 1)))

    @torch.inference_mode()
    def step(self, ids: np.ndarray, clock: np.ndarray) -> np.ndarray:
        """See `Stepper`."""
        return self._decode(ids[:, None], clock[:, None])[:, -1].float().cpu().numpy()

    def _decode(self, ids: np.ndarray, clock: np.ndarray) -> Tensor:
        inputs, times = (torch.from_numpy(np.ascontiguousarray(a)).to(self._device) for a in (ids, clock))
        return self._model.decode(inputs, times, self._condition, self.cache)


class CompiledStepper:
    """The whole step in one compiled function over packed weights, float32 or int8; CPU only."""

    @torch.inference_mode()
    def __init__(self, model: Autoencoder, condition: Condition, rows: int, *, whole: bool = False) -> None:
        """Pack weights and memory; `whole`: as int8.

        Raises:
            ValueError: The model is not on the CPU, or the memory's timed positions are no run of frames.
        """
        from musicstyle.generation import packing

        if next(model.parameters()).device.type != "cpu":
            raise ValueError("the compiled step runs on the CPU only")
        c = model.config
        self._model, self._condition, self._whole = model, condition, whole
        self._inputs = packing.pack_inputs(model, condition, rows)
        self._weights = packing.pack_weights(model, whole)
        self._memory = packing.pack_memory(model, condition, rows, whole)
        empty = np.zeros((c.decoder_layers, rows, c.heads, c.window, c.head_width), np.float32)
        self._cache = packing.pack_keys_and_values(empty, empty, whole)
        self._scratch = packing.make_scratch(c, rows, self._memory[0][2].shape[-1], whole)
        window_steps = -1 if c.memory_window_steps is None else c.memory_window_steps
        self._settings = (model.decoder.norm.eps, c.activation == "relu_squared", c.steps_per_frame, window_steps)
        self._logits = np.empty((rows, c.vocabulary_size), np.float32)
        self.position = 0

    def step(self, ids: np.ndarray, clock: np.ndarray) -> np.ndarray:
        """See `Stepper`."""
        from musicstyle.generation.kernel import step

        step(
            ids, clock, self.position, self._inputs, self._weights, self._cache, self._memory, self._scratch,
            self._settings, self._logits,
        )  # fmt: skip
        self.position += 1
        return self._logits

    def prefill(self, ids: np.ndarray, clock: np.ndarray) -> None:
        """See `Stepper`; by `model.decode`, whose cache is then taken over."""
        from musicstyle.generation.packing import pack_keys_and_values

        rows, c = len(self._logits), self._model.config
        reference = ReferenceStepper(self._model, self._condition, rows)
        reference.prefill(ids, clock)
        rings = np.zeros((2, c.decoder_layers, rows, c.heads, c.window, c.head_width), np.float32)
        for i, layer in enumerate(reference.cache.layers):
            kept = min(layer.length, c.window)
            slots = np.arange(reference.position - kept, reference.position) % c.window
            for ring, theirs in zip(rings, (layer.keys, layer.values), strict=True):
                ring[i][:, :, slots] = theirs[:, :, layer.length - kept : layer.length].numpy()
        self._cache = pack_keys_and_values(*rings, self._whole)
        self.position = reference.position


CHECKED_TOKENS = 5
TOLERANCE = 1e-3  # of logits; what differs is the order of float32 sums


def make_stepper(model: Autoencoder, condition: Condition, rows: int) -> Stepper:
    """The fastest stepper whose logits equal the reference's on this machine, at position 0."""
    reference = ReferenceStepper(model, condition, rows)
    if next(model.parameters()).device.type != "cpu":
        return reference
    try:
        compiled = CompiledStepper(model, condition, rows)
    except (ImportError, ValueError):
        return reference
    for token in range(CHECKED_TOKENS):
        ids = np.arange(rows) + 7 * token
        if not np.allclose(compiled.step(ids, ids), reference.step(ids, ids), rtol=TOLERANCE, atol=TOLERANCE):
            return ReferenceStepper(model, condition, rows)
    compiled.position = 0
    return compiled
