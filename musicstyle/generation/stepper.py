"""The decoder one token at a time: `model.decode` is the reference, `CompiledStepper` the same for one reading of its weights."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from musicstyle.model.attention import LONGEST_PERIOD_STEPS, SHORTEST_PERIOD_STEPS, Memory
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
    """The whole step in one compiled function over packed float32 weights; CPU only."""

    @torch.inference_mode()
    def __init__(self, model: Autoencoder, condition: Condition, rows: int) -> None:
        """Pack weights and memory.

        Raises:
            ValueError: The model is not on the CPU, or the memory's timed positions are no run of frames.
        """
        if next(model.parameters()).device.type != "cpu":
            raise ValueError("the compiled step runs on the CPU only")
        c = model.config
        self._model, self._condition = model, condition
        self._inputs = _inputs(model, condition, rows)
        self._weights = _weights(model)
        self._memory = _memory(model, condition, rows)
        shape = (c.decoder_layers, rows, c.heads, c.head_width, c.window)
        self._caches = (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
        self._scratch = _scratch(model, rows, self._memory[0].shape[-1])
        window_steps = -1 if c.memory_window_steps is None else c.memory_window_steps
        self._settings = (model.decoder.norm.eps, c.activation == "relu_squared", c.steps_per_frame, window_steps)
        self._logits = np.empty((rows, c.vocabulary_size), np.float32)
        self.position = 0

    def step(self, ids: np.ndarray, clock: np.ndarray) -> np.ndarray:
        """See `Stepper`."""
        from musicstyle.generation.kernel import step

        step(
            ids, clock, self.position, self._inputs, self._weights, self._caches, self._memory, self._scratch,
            self._settings, self._logits,
        )  # fmt: skip
        self.position += 1
        return self._logits

    def prefill(self, ids: np.ndarray, clock: np.ndarray) -> None:
        """See `Stepper`; by `model.decode`, whose cache is then taken over."""
        reference = ReferenceStepper(self._model, self._condition, len(self._logits))
        reference.prefill(ids, clock)
        window = self._model.config.window
        for i, layer in enumerate(reference.cache.layers):
            kept = min(layer.length, window)
            slots = np.arange(reference.position - kept, reference.position) % window
            for own, theirs in zip(self._caches, (layer.keys, layer.values), strict=True):
                last = theirs[:, :, layer.length - kept : layer.length]
                own[i][..., slots] = last.transpose(2, 3).numpy()
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


def _array(tensor: Tensor) -> np.ndarray:
    """A contiguous float32 copy."""
    return np.array(tensor.detach().float().numpy(), order="C", copy=True)


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weights and bias of `linear` with the norm's scale and shift before it folded in."""
    return linear.weight * norm.weight, linear.bias + linear.weight @ norm.bias


def _weights(model: Autoencoder) -> tuple[np.ndarray, ...]:
    c, decoder = model.config, model.decoder
    inward, inward_bias, across, across_bias, down, down_bias = [], [], [], [], [], []
    for layer in decoder.layers:
        parts = [_after_norm(layer.attention_norm, layer.attention.project_in)]
        outs = [layer.attention.project_out]
        parts[0] = _queries_scaled(*parts[0], c.heads * c.head_width, c.head_width**-0.5)
        if layer.cross is not None:
            query = _after_norm(layer.cross_norm, layer.cross.project_query)
            parts.append(_queries_scaled(*query, c.heads * c.head_width, c.head_width**-0.5))
            outs.append(layer.cross.project_out)
        parts.append(_after_norm(layer.feedforward_norm, layer.feedforward.widen))
        inward.append(torch.cat([weight for weight, _ in parts]))
        inward_bias.append(torch.cat([bias for _, bias in parts]))
        across.append(torch.stack([out.weight for out in outs]))
        across_bias.append(torch.stack([out.bias for out in outs]))
        down.append(layer.feedforward.narrow.weight)
        down_bias.append(layer.feedforward.narrow.bias)
    head, head_bias = _after_norm(decoder.norm, decoder.head)
    table = torch.stack([layer.attention.table.transpose(1, 2) for layer in decoder.layers])
    stacks = (torch.stack(part) for part in (inward, across, down))
    biases = (torch.stack(part) for part in (inward_bias, across_bias, down_bias))
    packed = (*stacks, head, *biases, head_bias, table, _periods(model))
    return tuple(_array(part) for part in packed)


def _queries_scaled(weight: Tensor, bias: Tensor, rows: int, scale: float) -> tuple[Tensor, Tensor]:
    factor = torch.ones(len(weight))
    factor[:rows] = scale
    return weight * factor[:, None], bias * factor


def _periods(model: Autoencoder) -> Tensor:
    if not model.config.clock:
        return torch.empty(0)
    exponent = torch.linspace(0, 1, model.config.head_width // 4)
    return SHORTEST_PERIOD_STEPS * (LONGEST_PERIOD_STEPS / SHORTEST_PERIOD_STEPS) ** exponent


def _inputs(model: Autoencoder, condition: Condition, rows: int) -> tuple[Any, ...]:
    c = model.config
    constant, nothing = torch.zeros(rows, c.width), torch.empty(0, c.width)
    if condition.style is not None and c.style_shortcut:
        constant = model.style_input(condition.style).expand(rows, -1)
    frames = c.aligned_frames if condition.melody is not None else 0
    melody = condition.melody.numpy().astype(np.int64) if frames and condition.melody is not None else None
    half = c.width // 2
    rates = torch.exp(-np.log(10000.0) * torch.arange(half) / max(1, half - 1))
    tables = (
        model.embedding.weight,
        model.phase.weight if c.clock else nothing,
        model.aligned.weight if frames else nothing,
        rates if not c.clock else torch.empty(0),
    )
    sizes = (c.steps_per_frame, c.melody_frames_behind, frames, c.melody_vocabulary_size)
    heard = (
        np.zeros((rows, 1), np.int64)
        if melody is None
        else np.ascontiguousarray(np.broadcast_to(melody, (rows, melody.shape[1])))
    )
    return _array(constant), heard, tuple(_array(table) for table in tables), sizes


def _memory(model: Autoencoder, condition: Condition, rows: int) -> tuple[np.ndarray, ...]:
    """Keys and values (L, memories, H, D, P) with the timed frames first; rows that hear the same share a memory."""
    c = model.config
    if condition.memory is None:
        none = np.zeros((0, 0, c.heads, c.head_width, 0), np.float32)
        return none, none, *(np.zeros(rows, np.int64) for _ in range(3))
    memory = condition.memory
    distinct, memory_of = _distinct(memory)
    chosen = Memory(*(part[distinct] for part in (memory.vectors, memory.present, memory.steps, memory.timed)))
    is_timed = chosen.timed & chosen.present
    frame = torch.arange(chosen.steps.shape[1]) * c.steps_per_frame
    if not (is_timed <= (is_timed.cummin(dim=1).values & (chosen.steps == frame))).all():
        raise ValueError("the memory's timed positions are not one frame after another from time 0")
    order = (2 - chosen.present.long() - is_timed.long()).argsort(dim=1, stable=True)
    heard = [
        [
            part.gather(2, order[:, None, :, None].expand_as(part)).transpose(2, 3)
            for part in layer.cross.listen(chosen, c.clock)
        ]
        for layer in model.decoder.layers
    ]
    keys, values = (_array(torch.stack([layer[i] for layer in heard])) for i in range(2))
    counts = (is_timed.sum(dim=1).numpy(), chosen.present.sum(dim=1).numpy())
    return keys, values, *counts, np.broadcast_to(memory_of, (rows,)).copy()


def _distinct(memory: Memory) -> tuple[list[int], np.ndarray]:
    """Rows with distinct memories, and for each row which of these is its own."""
    distinct: list[int] = []
    memory_of = np.empty(len(memory.vectors), np.int64)
    parts = (memory.vectors, memory.present, memory.steps, memory.timed)
    for row in range(len(memory_of)):
        same = [i for i, other in enumerate(distinct) if all(torch.equal(part[row], part[other]) for part in parts)]
        memory_of[row] = same[0] if same else len(distinct)
        if not same:
            distinct.append(row)
    return distinct, memory_of


def _scratch(model: Autoencoder, rows: int, memory_positions: int) -> tuple[np.ndarray, ...]:
    c = model.config
    attention, scores = c.heads * c.head_width, max(c.window, memory_positions)
    shapes = (
        (rows, c.width), (rows, c.width), (rows, 3 * attention), (rows, attention), (rows, c.feedforward_width), (2, scores),
    )  # fmt: skip
    x, normal, qkv, heard, hidden, products = (np.zeros(shape, np.float32) for shape in shapes)
    rotation = np.zeros((rows, 2, c.head_width // 4 if c.clock else 0), np.float32)
    return x, normal, qkv, heard, hidden, products, np.zeros(scores, np.int32), rotation
