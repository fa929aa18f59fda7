"""A model's weights, memory and inputs as the arrays that the compiled step reads: panels of float32 or int8."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from musicstyle.generation.blocks import LANES, PANEL
from musicstyle.generation.kept import kept_with_model
from musicstyle.model.attention import rotation_periods
from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.model.config import ModelConfig
from musicstyle.model.layers import sinusoid_rates

Arrays = tuple[np.ndarray, ...]
Matrices = list[list[tuple[Tensor, Tensor]]]  # weights and biases, layer by layer


def round_up(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple


def quantised(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers from -127 to 127 and one scale for the last axis: (..., n) float32 to (..., n) int8 and (...)."""
    scales = np.maximum(np.abs(rows).max(axis=-1, initial=0), 1e-30) / 127
    return np.rint(rows / scales[..., None]).astype(np.int8), scales.astype(np.float32)


def panels(rows: np.ndarray, int8: bool, columns: int = PANEL) -> tuple[np.ndarray, np.ndarray]:
    """Rows side by side, so that a loop over their numbers multiplies `columns` rows at once.

    Args:
        rows: (..., rows, n) float32.
        int8: In place of float32.
        columns: Of one panel.

    Returns:
        Panels (..., rows / columns, n, columns) float32 or (..., rows / columns, n / 2, 2 * columns) int8, zeros where
        there is no row; and the rows' scales, (..., rows).
    """
    numbers, scales = quantised(rows) if int8 else (rows, np.ones(rows.shape[:-1], np.float32))
    pair = 2 if int8 else 1
    *outer, count, n = rows.shape
    padded = np.zeros((*outer, round_up(count, columns), round_up(n, pair)), numbers.dtype)
    padded[..., :count, :n] = numbers
    split = padded.reshape(*outer, padded.shape[-2] // columns, columns, padded.shape[-1] // pair, pair)
    together = np.ascontiguousarray(np.moveaxis(split, -2, -3))
    return together.reshape(*together.shape[:-2], columns * pair), scales


def value_panels(values: np.ndarray, int8: bool) -> tuple[np.ndarray, np.ndarray]:
    """Values, (..., positions, D), for sums over positions: panels of D's columns, and a scale for each position."""
    numbers, scales = quantised(values) if int8 else (values, np.ones(values.shape[:-1], np.float32))
    across, _ = panels(np.swapaxes(numbers, -1, -2).astype(np.float32), int8=False, columns=lanes(values.shape[-1]))
    if not int8:
        return across, scales
    *outer, positions, columns = across.shape
    even = np.zeros((*outer, round_up(positions, 2), columns), np.int8)
    even[..., :positions, :] = across
    paired = even.reshape(*outer, even.shape[-2] // 2, 2, columns)
    return np.ascontiguousarray(np.swapaxes(paired, -1, -2)).reshape(*paired.shape[:-2], 2 * columns), scales


def lanes(head_width: int) -> int:
    """Columns of a panel of values."""
    return min(PANEL, round_up(head_width, LANES))


def array(tensor: Tensor) -> np.ndarray:
    """A contiguous float32 copy."""
    return np.array(tensor.detach().float().numpy(), order="C", copy=True)


@kept_with_model
def pack_weights(model: Autoencoder, int8: bool) -> tuple[Any, ...]:
    """See `kernel.step`, weights."""
    c, decoder = model.config, model.decoder
    inward: Matrices = []
    across: Matrices = []
    down: Matrices = []
    queries, scale = c.heads * c.head_width, c.head_width**-0.5
    for layer in decoder.stack:
        parts = [_after_norm(layer.attention_norm, layer.attention.project_in, queries, scale)]
        outs = [layer.attention.project_out]
        if layer.cross is not None and layer.cross_norm is not None:
            parts.append(_after_norm(layer.cross_norm, layer.cross.project_query, queries, scale))
            outs.append(layer.cross.project_out)
        inward.append([*parts, _after_norm(layer.feedforward_norm, layer.feedforward.widen)])
        across.append([(out.weight, out.bias) for out in outs])
        down.append([(layer.feedforward.narrow.weight, layer.feedforward.narrow.bias)])
    head = [[_after_norm(decoder.norm, decoder.head)]]
    tables = panels(array(torch.stack([layer.attention.table for layer in decoder.stack])), int8)
    periods = array(rotation_periods(c.head_width // 4 if c.clock else 0))
    return *(_stack(matrices, int8) for matrices in (inward, across, down, head)), *tables, periods


def _after_norm(norm: nn.LayerNorm, linear: nn.Linear, queries: int = 0, scale: float = 1) -> tuple[Tensor, Tensor]:
    """Weights and bias of `linear` with the norm before it folded in, and the first rows scaled."""
    factor = torch.ones(len(linear.weight))
    factor[:queries] = scale
    weight, bias = linear.weight * norm.weight, linear.bias + linear.weight @ norm.bias
    return weight * factor[:, None], bias * factor


def _stack(layers: Matrices, int8: bool) -> Arrays:
    """Panels, scales and biases of each layer's matrices, which begin at multiples of 64 rows."""
    weights = np.stack([np.concatenate([_filled(weight) for weight, _ in layer]) for layer in layers])
    biases = np.stack([np.concatenate([_filled(bias[:, None])[:, 0] for _, bias in layer]) for layer in layers])
    return *panels(weights, int8), biases


def _filled(rows: Tensor) -> np.ndarray:
    return np.pad(array(rows), ((0, round_up(len(rows), PANEL) - len(rows)), (0, 0)))


def pack_inputs(model: Autoencoder, condition: Condition) -> tuple[Any, ...]:
    """See `kernel.step`, inputs, for every row of the condition."""
    c = model.config
    rows = condition.rows
    constant, nothing = torch.zeros(rows, c.width), torch.empty(0, c.width)
    if condition.style is not None and c.style_shortcut:
        # Row by row: BLAS adds up some rows of a batch in another order than others.
        constant = torch.cat([model.style_input(row) for row in condition.style[:, None]])
    frames, melody = 0, np.zeros((rows, 1), np.int64)
    if condition.melody is not None and c.aligned_frames:
        frames, melody = c.aligned_frames, condition.melody.numpy().astype(np.int64, order="C")
    tables = (
        model.embedding.weight,
        model.phase.weight if c.clock else nothing,
        model.aligned.weight if frames else nothing,
        torch.empty(0) if c.clock else sinusoid_rates(c.width),
    )
    sizes = (c.steps_per_frame, c.melody_frames_behind, frames, c.melody_vocabulary_size)
    return array(constant), melody, tuple(array(table) for table in tables), sizes


class Memories(NamedTuple):
    """Keys, values and their scales, (layers, memories, ...), and the counts of each memory: see `kernel.step`."""

    panels: Arrays
    counts: np.ndarray


def pack_memory(model: Autoencoder, condition: Condition, int8: bool) -> Memories:
    """The memory of a condition of one row; timed frames come first. If the model has no memory, no memories.

    Raises:
        ValueError: The memory's timed positions are no run of frames.
    """
    c, m = model.config, condition.memory
    if m is None:
        none = np.zeros((c.decoder_layers, 0, c.heads, 0, c.head_width), np.float32)
        return Memories(pack_keys_and_values(none, none, int8), np.zeros((0, 3), np.int64))
    heard = m[:, m.present[0]]
    count, positions = int(heard.timed.sum()), heard.timed.shape[1]
    if not heard.timed[0, :count].all() or (heard.steps[0, :count] != torch.arange(count) * c.steps_per_frame).any():
        raise ValueError("the memory's timed positions are not one frame after another from time 0")
    layers = [layer.cross.listen(heard, c.clock) for layer in model.decoder.stack if layer.cross is not None]
    # Timed frames, then from the next panel on what is heard from everywhere.
    others = round_up(count, PANEL)
    placed = np.zeros((2, c.decoder_layers, 1, c.heads, others + positions - count, c.head_width), np.float32)
    for i, to in enumerate(placed):
        both = array(torch.stack([layer[i] for layer in layers]))
        to[..., :count, :], to[..., others:, :] = both[..., :count, :], both[..., count:, :]
    counts = np.array([[count, others, others + positions - count]])
    return Memories(pack_keys_and_values(placed[0], placed[1], int8), counts)


def side_by_side(memories: list[Memories]) -> Memories:
    """Several as one, the shorter ones filled up with zeros."""
    together = []
    for parts in zip(*(memory.panels for memory in memories), strict=True):
        longest = np.max([part.shape for part in parts], axis=0)
        fill = [[(0, 0), (0, 0), *((0, n) for n in longest[2:] - part.shape[2:])] for part in parts]
        together.append(np.concatenate([np.pad(part, n) for part, n in zip(parts, fill, strict=True)], axis=1))
    return Memories(tuple(together), np.concatenate([memory.counts for memory in memories]))


def pack_keys_and_values(keys: np.ndarray, values: np.ndarray, int8: bool) -> Arrays:
    """Panels and scales of keys and values, (..., positions, D) each."""
    (key_panels, key_scales), (mixed, value_scales) = panels(keys, int8), value_panels(values, int8)
    return key_panels, mixed, key_scales, value_scales


def make_scratch(c: ModelConfig, rows: int, positions: int, int8: bool) -> tuple[Any, ...]:
    """See `kernel.step`, scratch. `positions`: of the memory."""
    attention = c.heads * c.head_width
    length = max(c.window, positions) + 2 * PANEL
    columns = max(length, *(round_up(n, PANEL) for n in (3 * attention, c.feedforward_width, c.vocabulary_size)))
    depth = max(length, c.width, attention, c.feedforward_width)
    shapes = ((rows, c.width), (rows, c.width), (rows, 3 * attention), (rows, attention), (rows, c.feedforward_width))
    rotation = np.zeros((rows, 2, c.head_width // 4 if c.clock else 0), np.float32)
    operands = np.zeros((rows, round_up(depth, 2)), np.int16 if int8 else np.float32)
    sums = np.zeros((rows, columns), np.int32 if int8 else np.float32)
    work = (operands, sums, np.zeros(rows, np.float32))
    spare = (np.zeros((2, length), np.float32), np.zeros(length, np.int32))
    return *(np.zeros(shape, np.float32) for shape in shapes), rotation, work, spare
