"""One decoding step as plain loops that numba compiles: the decoder's weights are read once and nothing is allocated.

Keys and values lie as (head_width, positions), so that loops run along positions and vectorise whatever the head width
is. The caches are rings: a token overwrites the one that leaves the window, and the softmax does not mind the order; only
the relative table's part is laid out by distance and added in two runs. Shapes: rows R, layers L, width W, heads H,
head_width D, attention width A = H * D, feed-forward width F, table rows M, ids V, memory positions P.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

FLOAT = np.float32
LOG2_E = FLOAT(1.4426950408889634)
# 2**f on [-0.5, 0.5] by its series, ln(2)**k / k!; what is left out is below 2e-7.
P1, P2, P3, P4, P5, P6 = (FLOAT(math.log(2) ** k / math.factorial(k)) for k in range(1, 7))


def compiled(**options: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`njit`, kept on disk between runs where a folder for it can be written."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(cache=True, nogil=True, error_model="numpy", **options)(function)
        except RuntimeError:  # numba found no folder to keep it in
            return njit(nogil=True, error_model="numpy", **options)(function)

    return decorate


@compiled(fastmath=True)
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Inner product."""
    total = FLOAT(0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@compiled(fastmath=True)
def project(weights: np.ndarray, bias: np.ndarray, x: np.ndarray, y: np.ndarray, add: bool) -> None:
    """y = x @ weights.T + bias, or y += that: weights (out, in), bias (out,), x (R, in), y (R, >= out).

    Weights are the outer loop: each is read once, whatever R is.
    """
    rows = x.shape[0]
    for o in range(weights.shape[0]):
        w = weights[o]
        r = 0
        while r + 4 <= rows:
            a, b, c, d = FLOAT(0), FLOAT(0), FLOAT(0), FLOAT(0)
            for i in range(w.shape[0]):
                a += w[i] * x[r, i]
                b += w[i] * x[r + 1, i]
                c += w[i] * x[r + 2, i]
                d += w[i] * x[r + 3, i]
            y[r, o] = a + bias[o] + (y[r, o] if add else FLOAT(0))
            y[r + 1, o] = b + bias[o] + (y[r + 1, o] if add else FLOAT(0))
            y[r + 2, o] = c + bias[o] + (y[r + 2, o] if add else FLOAT(0))
            y[r + 3, o] = d + bias[o] + (y[r + 3, o] if add else FLOAT(0))
            r += 4
        while r < rows:
            y[r, o] = dot(w, x[r]) + bias[o] + (y[r, o] if add else FLOAT(0))
            r += 1


@compiled(fastmath=True)
def normalise(x: np.ndarray, epsilon: float, y: np.ndarray) -> None:
    """Each row of x, (R, W), to mean 0 and variance 1; the norm's scale and shift are in the weights that follow."""
    width = x.shape[1]
    for r in range(x.shape[0]):
        mean = FLOAT(0)
        for i in range(width):
            mean += x[r, i]
        mean /= FLOAT(width)
        square = FLOAT(0)
        for i in range(width):
            square += (x[r, i] - mean) * (x[r, i] - mean)
        scale = FLOAT(1) / np.sqrt(square / FLOAT(width) + FLOAT(epsilon))
        for i in range(width):
            y[r, i] = (x[r, i] - mean) * scale


@compiled()
def turns(clock: int, periods: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> None:
    """Cosines and sines of elapsed time, (pairs,); float32 divisions as in `Rotation.of`, so without fast arithmetic."""
    for i in range(periods.shape[0]):
        turn = FLOAT(clock) / periods[i]
        angle = FLOAT(2 * np.pi) * (turn - np.floor(turn))
        cosine[i], sine[i] = np.cos(angle), np.sin(angle)


@compiled(fastmath=True)
def turn(x: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> None:
    """Rotate the first 2 * pairs numbers of x, in place."""
    pairs = cosine.shape[0]
    for i in range(pairs):
        a, b = x[i], x[pairs + i]
        x[i], x[pairs + i] = a * cosine[i] - b * sine[i], a * sine[i] + b * cosine[i]


@compiled(fastmath=True)
def score(q: np.ndarray, keys: np.ndarray, first: int, last: int, scores: np.ndarray) -> None:
    """q @ keys[:, first:last] into the front of scores; keys (D, positions), D a multiple of 4."""
    for j in range(last - first):
        scores[j] = FLOAT(0)
    for d in range(0, q.shape[0], 4):
        a, b, c, e = q[d], q[d + 1], q[d + 2], q[d + 3]
        k0, k1 = keys[d, first:last], keys[d + 1, first:last]
        k2, k3 = keys[d + 2, first:last], keys[d + 3, first:last]
        for j in range(last - first):
            scores[j] += a * k0[j] + b * k1[j] + c * k2[j] + e * k3[j]


@compiled(fastmath=True)
def exponentials(scores: np.ndarray, powers: np.ndarray) -> float:
    """scores to exp(scores - their maximum), in place; their sum. `powers` is int32 scratch of the same length.

    exp(x) = 2**n * 2**f with n whole: a polynomial and a shift, which vectorise where a call of exp would not.
    """
    highest = scores[0]
    for j in range(scores.shape[0]):
        highest = max(highest, scores[j])
    for j in range(scores.shape[0]):
        x = max((scores[j] - highest) * LOG2_E, FLOAT(-126))
        whole = np.int32(x - FLOAT(0.5))  # rounds, as x is not above 0
        f = x - FLOAT(whole)
        powers[j] = (whole + np.int32(127)) << np.int32(23)
        scores[j] = FLOAT(1) + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * (P5 + f * P6)))))
    scales = powers.view(FLOAT)
    total = FLOAT(0)
    for j in range(scores.shape[0]):
        scores[j] *= scales[j]
        total += scores[j]
    return total


@compiled(fastmath=True)
def mix(shares: np.ndarray, values: np.ndarray, first: int, last: int, factor: float, add: bool, y: np.ndarray) -> None:
    """y = factor * values[:, first:last] @ shares, or y += that; values (D, positions), D a multiple of 4."""
    for d in range(0, y.shape[0], 4):
        v0, v1 = values[d, first:last], values[d + 1, first:last]
        v2, v3 = values[d + 2, first:last], values[d + 3, first:last]
        a, b, c, e = FLOAT(0), FLOAT(0), FLOAT(0), FLOAT(0)
        for j in range(last - first):
            a += shares[j] * v0[j]
            b += shares[j] * v1[j]
            c += shares[j] * v2[j]
            e += shares[j] * v3[j]
        if not add:
            y[d], y[d + 1], y[d + 2], y[d + 3] = FLOAT(0), FLOAT(0), FLOAT(0), FLOAT(0)
        y[d] += factor * a
        y[d + 1] += factor * b
        y[d + 2] += factor * c
        y[d + 3] += factor * e


@compiled(fastmath=True)
def attend(
    qkv: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    table: np.ndarray,
    position: int,
    rotation: np.ndarray,
    scratch: np.ndarray,
    powers: np.ndarray,
    y: np.ndarray,
) -> None:
    """Relative attention of one row: qkv (3A,), keys and values (H, D, window) rings, table (H, D, M), y (A,)."""
    heads, head_width, window = keys.shape
    slot, seen = position % window, min(position + 1, window)
    reach = min(seen, table.shape[2])
    near, scores = scratch[0, :reach], scratch[1, :seen]
    for h in range(heads):
        low = h * head_width
        q = qkv[low : low + head_width]
        k = qkv[heads * head_width + low : heads * head_width + low + head_width]
        v = qkv[2 * heads * head_width + low : 2 * heads * head_width + low + head_width]
        score(q, table[h], table.shape[2] - reach, table.shape[2], near)
        turn(q, rotation[0], rotation[1])
        turn(k, rotation[0], rotation[1])
        for d in range(head_width):
            keys[h, d, slot] = k[d]
            values[h, d, slot] = v[d]
        score(q, keys[h], 0, seen, scores)
        wrapped = max(0, reach - 1 - slot)  # of the nearest positions, those at the ring's end
        for j in range(wrapped):
            scores[window - wrapped + j] += near[j]
        for j in range(wrapped, reach):
            scores[slot - reach + 1 + j] += near[j]
        total = exponentials(scores, powers[:seen])
        mix(scores, values[h], 0, seen, FLOAT(1) / total, False, y[low : low + head_width])


@compiled(fastmath=True)
def hear(
    q: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    audible: tuple[int, int, int, int],
    rotation: np.ndarray,
    scratch: np.ndarray,
    powers: np.ndarray,
    y: np.ndarray,
) -> None:
    """Attention of one row to its memory: q (A,), keys and values (H, D, P), y (A,).

    `audible`: first and last of the timed positions that are near, then of the others.
    """
    heads, head_width, _ = keys.shape
    first, last, others, end = audible
    timed, count = last - first, last - first + end - others
    scores = scratch[0, :count]
    for h in range(heads):
        low, high = h * head_width, (h + 1) * head_width
        turn(q[low:high], rotation[0], rotation[1])
        score(q[low:high], keys[h], first, last, scores[:timed])
        score(q[low:high], keys[h], others, end, scores[timed:])
        factor = FLOAT(1) / exponentials(scores, powers[:count])
        mix(scores[:timed], values[h], first, last, factor, False, y[low:high])
        mix(scores[timed:], values[h], others, end, factor, True, y[low:high])


@compiled()
def near_now(
    clock: int, timed: int, positions: int, steps_per_frame: int, window_steps: int
) -> tuple[int, int, int, int]:
    """What `Memory.audible` leaves: a run of the `timed` frames and all positions after them; window_steps < 0: no window."""
    if window_steps < 0:
        return 0, timed, timed, positions
    now = min(clock, (timed - 1) * steps_per_frame)
    first = max(0, -((window_steps - now) // steps_per_frame))
    return first, min(timed, (now + window_steps) // steps_per_frame + 1), timed, positions


@compiled(fastmath=True)
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


@compiled(fastmath=True)
def rectify(x: np.ndarray, squared: bool) -> None:
    """max(x, 0), or its square, in place."""
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            positive = max(x[r, i], FLOAT(0))
            x[r, i] = positive * positive if squared else positive


@compiled()
def step(
    ids: np.ndarray,
    clock: np.ndarray,
    position: int,
    inputs: Any,
    weights: Any,
    caches: Any,
    memory: Any,
    scratch: Any,
    settings: Any,
    logits: np.ndarray,
) -> None:
    """Logits of the next id of every row, (R, V), written in place; the caches take the token in.

    Args:
        ids: (R,) int64.
        clock: Elapsed 10 ms steps after each id, (R,) int64.
        position: How many tokens came before.
        inputs: constant (R, W), melody (R, frames), (embedding, phase, aligned, rates), sizes: see `embed`.
        weights: inward (L, 3A + A + F, W), across (L, 2, W, A), down (L, W, F), head (V, W), biases of inward, across,
            down, head; relative table (L, H, D, M); periods (pairs,).
        caches: keys and values, (L, R, H, D, window).
        memory: keys and values (L, memories, H, D, P); timed and all positions of each memory; memory of each row.
        scratch: x (R, W), normalised (R, W), qkv (R, 3A), heard (R, A), hidden (R, F), scores (2, n), powers (n,),
            rotation (R, 2, pairs).
        settings: epsilon, squared, steps_per_frame, memory window in steps.
        logits: (R, V).
    """
    constant, melody, tables, sizes = inputs
    inward, across, down, head, inward_bias, across_bias, down_bias, head_bias, table, periods = weights
    keys, values = caches
    memory_keys, memory_values, timed, positions, memory_of = memory
    x, normal, qkv, heard, hidden, scores, powers, rotation = scratch
    epsilon, squared, steps_per_frame, window_steps = settings
    rows, attention = heard.shape
    for r in range(rows):
        embed(ids[r], clock[r], position, constant[r], melody[r], tables, sizes, x[r])
        turns(clock[r], periods, rotation[r, 0], rotation[r, 1])
    for i in range(down.shape[0]):
        end = 3 * attention
        normalise(x, epsilon, normal)
        project(inward[i, :end], inward_bias[i, :end], normal, qkv, False)
        for r in range(rows):
            attend(qkv[r], keys[i, r], values[i, r], table[i], position, rotation[r], scores, powers, heard[r])
        project(across[i, 0], across_bias[i, 0], heard, x, True)
        if memory_keys.shape[0]:
            normalise(x, epsilon, normal)
            project(inward[i, end : end + attention], inward_bias[i, end : end + attention], normal, qkv, False)
            for r in range(rows):
                m = memory_of[r]
                audible = near_now(clock[r], timed[m], positions[m], steps_per_frame, window_steps)
                k, v = memory_keys[i, m], memory_values[i, m]
                hear(qkv[r, :attention], k, v, audible, rotation[r], scores, powers, heard[r])
            project(across[i, 1], across_bias[i, 1], heard, x, True)
            end += attention
        normalise(x, epsilon, normal)
        project(inward[i, end:], inward_bias[i, end:], normal, hidden, False)
        rectify(hidden, squared)
        project(down[i], down_bias[i], hidden, x, True)
    normalise(x, epsilon, normal)
    project(head, head_bias, normal, logits, False)
