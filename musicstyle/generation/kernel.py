"""One decoding step as plain loops that numba compiles: the decoder's weights are read once and nothing is allocated.

Everything that is multiplied lies in panels (see blocks.py): weights by outputs, keys by positions, values by columns.
The same source is float32 or int8: the arrays decide. In int8 a weight's row, a key and a value each have a scale, and
what they are multiplied with is rounded to 16 bits as it comes (`operand`), finely enough to cost nothing.

The caches are rings: a token overwrites the one that leaves the window, and the softmax does not mind the order; only
the relative table's part is laid out by distance and added in two runs.

Slices are taken as a[i][j:k], not a[i, j:k]: numba then knows that they have no gaps, which loops need to vectorise.

Sizes: rows R, layers L, width W, heads H, head_width D, attention width A = H * D, feed-forward width F, table rows M.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from musicstyle.compiling import compiled
from musicstyle.generation.arithmetic import FLOAT, exponentials, largest, total
from musicstyle.generation.blocks import PANEL, multiply, multiply_one

BYTE_LIMIT = FLOAT(127)


@compiled
def operand(x: np.ndarray, depth: int, out: np.ndarray) -> np.float32:
    """Write x into out, as it is for float32, rounded for int16; returns the factor that makes out x again.

    The limit keeps a sum of `depth` products with int8 within 31 bits.
    """
    if out.itemsize == 4:
        for i in range(x.shape[0]):
            out[i] = x[i]
        return FLOAT(1)
    highest = largest(x)
    limit = FLOAT(min(32767, 2147483647 // (128 * depth)))
    factor = limit / highest
    for i in range(x.shape[0]):
        out[i] = np.int32(np.rint(x[i] * factor))
    return highest / limit


@compiled
def project(layer: Any, x: np.ndarray, work: Any, y: np.ndarray, add: bool) -> None:
    """Write x @ weights.T + bias into y, or onto it; x (R, in), y (R, out). Weights are read once, whatever R is.

    `layer`: panels of the weights; scales and bias, (out,). `work`: operands (R, ...), sums (R, ...), factors (R,).
    """
    panels, scales, bias = layer
    operands, sums, factors = work
    for r in range(x.shape[0]):
        factors[r] = operand(x[r], x.shape[1], operands[r])
    multiply(panels, operands, sums)
    for r in range(x.shape[0]):
        factor = factors[r]
        for o in range(scales.shape[0]):
            before = y[r, o] if add else FLOAT(0)
            y[r, o] = before + bias[o] + FLOAT(sums[r, o]) * scales[o] * factor


@compiled
def normalise(x: np.ndarray, epsilon: float, y: np.ndarray) -> None:
    """Each row of x, (R, W), to mean 0 and variance 1; the norm's scale and shift are in the weights that follow."""
    width = x.shape[1]
    for r in range(x.shape[0]):
        for i in range(width):
            y[r, i] = x[r, i]
        mean = total(y[r]) / FLOAT(width)
        for i in range(width):
            y[r, i] = (x[r, i] - mean) * (x[r, i] - mean)
        scale = FLOAT(1) / np.sqrt(total(y[r]) / FLOAT(width) + FLOAT(epsilon))
        for i in range(width):
            y[r, i] = (x[r, i] - mean) * scale


@compiled
def turns(clock: int, periods: np.ndarray, rotation: np.ndarray) -> None:
    """Cosines and sines of elapsed time, (2, pairs); float32 divisions as in `Rotation.of`."""
    for i in range(periods.shape[0]):
        turn = FLOAT(clock) / periods[i]
        angle = FLOAT(2 * np.pi) * (turn - np.floor(turn))
        rotation[0, i], rotation[1, i] = np.cos(angle), np.sin(angle)


@compiled
def turn(x: np.ndarray, rotation: np.ndarray) -> None:
    """Rotate the first 2 * pairs numbers of x, in place."""
    pairs = rotation.shape[1]
    for i in range(pairs):
        a, b = x[i], x[pairs + i]
        x[i], x[pairs + i] = a * rotation[0, i] - b * rotation[1, i], a * rotation[1, i] + b * rotation[0, i]


@compiled
def score(
    q: np.ndarray, factor: float, keys: np.ndarray, scales: np.ndarray, first: int, last: int, sums: np.ndarray,
    scores: np.ndarray,
) -> None:  # fmt: skip
    """Write q . key of the positions from first to before last into the front of scores.

    q is an operand (1, D) and its factor; keys are panels (n, D, 64) or (n, D / 2, 128); scales (positions,).
    """
    begin = first // PANEL
    multiply(keys[begin : -(-last // PANEL)], q, sums)
    products, scales = sums[0][first - begin * PANEL :][: last - first], scales[first:last]
    for j in range(last - first):
        scores[j] = FLOAT(products[j]) * scales[j] * factor


@compiled
def mix(
    shares: np.ndarray, factor: float, values: np.ndarray, scales: np.ndarray, first: int, last: int, work: Any,
    y: np.ndarray,
) -> None:  # fmt: skip
    """Add factor * (sum of share * value over the positions from first to before last) to y, (D,); shares are spent.

    values: (columns / lanes, positions, lanes) or (columns / lanes, positions / 2, 2 * lanes), lanes at most 64.
    """
    operands, sums, _ = work
    pair = 4 // operands.itemsize
    lead = first % pair
    weights = operands[0][lead:]
    operands[0, 0] = 0
    near = scales[first:last]
    for j in range(last - first):
        shares[j] *= near[j]
    factor *= operand(shares[: last - first], last - first, weights)
    weights[last - first] = 0
    depth, lanes = (lead + last - first + pair - 1) // pair, values.shape[2] // pair
    for part in range(values.shape[0]):
        multiply_one(values[part], first // pair, depth, operands[0], sums[0])
        for d in range(part * lanes, min(y.shape[0], (part + 1) * lanes)):
            y[d] += FLOAT(sums[0, d - part * lanes]) * factor


@compiled
def keep(x: np.ndarray, whole: bool) -> np.float32:
    """Make x ready to be stored, in place: rounded to -127 ... 127 if `whole`; returns its scale."""
    if not whole:
        return FLOAT(1)
    highest = largest(x)
    factor = BYTE_LIMIT / highest
    for i in range(x.shape[0]):
        x[i] = np.rint(x[i] * factor)
    return highest / BYTE_LIMIT


@compiled
def add(x: np.ndarray, others: np.ndarray) -> None:
    """Add the others to the front of x, in place."""
    for i in range(others.shape[0]):
        x[i] += others[i]


@compiled
def remember(k: np.ndarray, v: np.ndarray, slot: int, h: int, cache: Any) -> None:
    """Put one head's key and value, (D,) each, into a row's ring."""
    keys, values, key_scales, value_scales = cache
    pair = keys.shape[3] // PANEL
    key_scales[h, slot], value_scales[h, slot] = keep(k, pair == 2), keep(v, pair == 2)
    panel, column = keys[h, slot // PANEL], slot % PANEL * pair
    for d in range(panel.shape[0]):
        for i in range(pair):
            panel[d, column + i] = k[d * pair + i]
    lanes, column = values.shape[3] // pair, slot % pair
    for part in range(values.shape[1]):
        line = values[h, part, slot // pair]
        for d in range(min(lanes, v.shape[0] - part * lanes)):
            line[d * pair + column] = v[part * lanes + d]


@compiled
def attend(
    qkv: np.ndarray, cache: Any, table: Any, position: int, rotation: np.ndarray, work: Any, spare: Any, y: np.ndarray
) -> None:
    """Relative attention of one row.

    Args:
        qkv: (3A,).
        cache: Keys and values, panels of a ring; their scales, (H, window).
        table: Panels (H, n, D, 64) by distance, the farthest first; scales (H, M).
        position: Of this token.
        rotation: (2, pairs).
        work: As in `project`.
        spare: scores (2, n), powers (n,).
        y: (A,).
    """
    keys, values, key_scales, value_scales = cache
    panels, table_scales = table
    operands, sums, _ = work
    heads, window = key_scales.shape
    head_width, distances = y.shape[0] // heads, table_scales.shape[1]
    slot, seen = position % window, min(position + 1, window)
    reach = min(seen, distances)
    near, scores = spare[0][0][:reach], spare[0][1][:seen]
    wrapped = max(0, reach - 1 - slot)  # of the nearest positions, those at the ring's end
    y[:] = 0
    for h in range(heads):
        low, high = h * head_width, (h + 1) * head_width
        q, k, v = qkv[low:high], qkv[y.shape[0] + low : y.shape[0] + high], qkv[2 * y.shape[0] + low :][:head_width]
        factor = operand(q, head_width, operands[0])
        score(operands[:1], factor, panels[h], table_scales[h], distances - reach, distances, sums, near)
        turn(q, rotation)
        turn(k, rotation)
        remember(k, v, slot, h, cache)
        factor = operand(q, head_width, operands[0])
        score(operands[:1], factor, keys[h], key_scales[h], 0, seen, sums, scores)
        add(scores[window - wrapped :], near[:wrapped])
        add(scores[slot + 1 - reach + wrapped :], near[wrapped:])
        factor = FLOAT(1) / exponentials(scores, spare[1][:seen])
        mix(scores, factor, values[h], value_scales[h], 0, seen, work, y[low:high])


@compiled
def hear(
    q: np.ndarray, memory: Any, audible: tuple[int, int, int, int], rotation: np.ndarray, work: Any, spare: Any,
    y: np.ndarray,
) -> None:  # fmt: skip
    """Attention of one row to its memory: q (A,), memory as a row's cache, y (A,).

    `audible`: first and end of the timed positions that are near, then of the others (see `near_now`).
    """
    keys, values, key_scales, value_scales = memory
    operands, sums, _ = work
    heads = key_scales.shape[0]
    head_width = y.shape[0] // heads
    first, last, others, end = audible
    timed, count = last - first, last - first + end - others
    scores = spare[0][0][:count]
    y[:] = 0
    for h in range(heads):
        low, high = h * head_width, (h + 1) * head_width
        turn(q[low:high], rotation)
        factor = operand(q[low:high], head_width, operands[0])
        if timed:
            score(operands[:1], factor, keys[h], key_scales[h], first, last, sums, scores)
        if count > timed:
            score(operands[:1], factor, keys[h], key_scales[h], others, end, sums, scores[timed:])
        factor = FLOAT(1) / exponentials(scores, spare[1][:count])
        if timed:
            mix(scores, factor, values[h], value_scales[h], first, last, work, y[low:high])
        if count > timed:
            mix(scores[timed:], factor, values[h], value_scales[h], others, end, work, y[low:high])


@compiled
def near_now(clock: int, counts: np.ndarray, steps_per_frame: int, window_steps: int) -> tuple[int, int, int, int]:
    """What `Memory.audible` leaves: a run of the timed frames, and all other positions.

    `counts`: timed frames, first and end of the other positions. An end is one beyond the last. window_steps below 0:
    no window.
    """
    timed, others, end = counts[0], counts[1], counts[2]
    if window_steps < 0:
        return 0, timed, others, end
    now = min(clock, (timed - 1) * steps_per_frame)
    first = max(0, -((window_steps - now) // steps_per_frame))
    last = min(timed, (now + window_steps) // steps_per_frame + 1)
    return first, max(first, last), others, end


@compiled
def embed(
    event_id: int, clock: int, position: int, constant: np.ndarray, melody: np.ndarray, tables: Any, sizes: Any,
    x: np.ndarray,
) -> None:  # fmt: skip
    """The decoder's input of one row, (W,): id, phase of the clock, melody frames around now, style; or sinusoids."""
    embedding, phase, aligned, rates = tables
    steps_per_frame, behind, frames, melody_ids = sizes
    for i in range(x.shape[0]):
        x[i] = embedding[event_id, i] + constant[i]
    if phase.shape[0]:
        moment = (clock + steps_per_frame // 2) % steps_per_frame
        for i in range(x.shape[0]):
            x[i] += phase[moment, i]
    now = (clock + steps_per_frame // 2) // steps_per_frame
    for offset in range(frames):
        frame = now + offset - behind
        melody_id = melody[frame] if 0 <= frame < melody.shape[0] else 0
        for i in range(x.shape[0]):
            x[i] += aligned[offset * melody_ids + melody_id, i]
    for i in range(rates.shape[0]):
        angle = FLOAT(position) * rates[i]
        x[i] += np.sin(angle)
        x[rates.shape[0] + i] += np.cos(angle)


@compiled
def rectify(x: np.ndarray, squared: bool) -> None:
    """max(x, 0), or its square, in place."""
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            positive = max(x[r, i], FLOAT(0))  # in this order what is no number stays so
            x[r, i] = positive * positive if squared else positive


@compiled
def part(weights: Any, layer: int, first: int, outputs: int) -> Any:
    """One matrix out of a stack: panels, scales and bias; `first` is its first row, a multiple of 64."""
    panels, scales, bias = weights
    begin, end = first // PANEL, -(-(first + outputs) // PANEL)
    return panels[layer][begin:end], scales[layer][first : first + outputs], bias[layer][first : first + outputs]


@compiled
def row_of(cache: Any, layer: int, row: int) -> Any:
    """Keys, values and their scales of one layer and row."""
    keys, values, key_scales, value_scales = cache
    return keys[layer, row], values[layer, row], key_scales[layer, row], value_scales[layer, row]


@compiled
def step(
    ids: np.ndarray, clock: np.ndarray, position: int, inputs: Any, weights: Any, cache: Any, memory: Any, scratch: Any,
    settings: Any, logits: np.ndarray,
) -> None:  # fmt: skip
    """Logits of the next id of every row, (R, V), written in place; the cache takes the token in.

    Args:
        ids: (R,) int64.
        clock: Elapsed 10 ms steps after each id, (R,) int64.
        position: How many tokens came before.
        inputs: constant (R, W), melody (R, frames), (embedding, phase, aligned, rates), sizes: see `embed`.
        weights: Stacks of panels, scales, biases: inward (q, k, v; query of the memory; widening), across (out of
            both attentions), down, head; then the relative table's panels and scales, and the periods of the rotation.
        cache: Keys and values by layer and row, their scales (L, R, H, window).
        memory: The same of the memories, what each one's counts are (see `near_now`), and which one each row hears.
        scratch: x (R, W), normalised (R, W), qkv (R, 3A), heard (R, A), hidden (R, F), rotation (R, 2, pairs), then
            `work` and `spare` (see `attend`).
        settings: epsilon, squared, steps_per_frame, memory window in steps.
        logits: (R, V).
    """
    constant, melody, tables, sizes = inputs
    inward, across, down, head, table, table_scales, periods = weights
    heard_memory, counts, memory_of = memory
    x, normal, qkv, heard, hidden, rotation, work, spare = scratch
    epsilon, squared, steps_per_frame, window_steps = settings
    rows, width, attention = x.shape[0], x.shape[1], heard.shape[1]
    second = -(-3 * attention // PANEL) * PANEL
    third = second
    if counts.shape[0]:
        third += -(-attention // PANEL) * PANEL
    for r in range(rows):
        embed(ids[r], clock[r], position, constant[r], melody[r], tables, sizes, x[r])
        turns(clock[r], periods, rotation[r])
    for i in range(down[0].shape[0]):
        normalise(x, epsilon, normal)
        project(part(inward, i, 0, 3 * attention), normal, work, qkv, False)
        for r in range(rows):
            own = row_of(cache, i, r)
            attend(qkv[r], own, (table[i], table_scales[i]), position, rotation[r], work, spare, heard[r])
        project(part(across, i, 0, width), heard, work, x, True)
        if counts.shape[0]:
            normalise(x, epsilon, normal)
            project(part(inward, i, second, attention), normal, work, qkv, False)
            for r in range(rows):
                m = memory_of[r]
                audible = near_now(clock[r], counts[m], steps_per_frame, window_steps)
                own = row_of(heard_memory, i, m)
                hear(qkv[r][:attention], own, audible, rotation[r], work, spare, heard[r])
            project(part(across, i, -(-width // PANEL) * PANEL, width), heard, work, x, True)
        normalise(x, epsilon, normal)
        project(part(inward, i, third, hidden.shape[1]), normal, work, hidden, False)
        rectify(hidden, squared)
        project(part(down, i, 0, width), hidden, work, x, True)
    normalise(x, epsilon, normal)
    project(part(head, 0, 0, logits.shape[1]), normal, work, logits, False)
