"""Maxima and exponentials of arrays, written so that they vectorise."""

from __future__ import annotations

import math

import numpy as np

from musicstyle.compiling import compiled

FLOAT = np.float32
LOG2_E = FLOAT(1.4426950408889634)
# 2**f on [-0.5, 0.5] by its series, ln(2)**k / k!; what is left out is below 2e-7.
P1, P2, P3, P4, P5, P6 = (FLOAT(math.log(2) ** k / math.factorial(k)) for k in range(1, 7))


@compiled
def largest(x: np.ndarray) -> np.float32:
    """Maximum of |x|, at least 1e-30.

    By the bits: those of floats that are not negative are in order as whole numbers, and a maximum of whole numbers
    vectorises where that of floats does not (a tenth of the time).
    """
    bits = x.view(np.int32)
    highest = np.int32(0)
    for i in range(bits.shape[0]):
        highest = max(highest, np.int32(bits[i] & np.int32(0x7FFFFFFF)))
    return max(np.int32(highest).view(FLOAT), FLOAT(1e-30))


@compiled
def highest_of(x: np.ndarray) -> np.float32:
    """Maximum of x, by the bits as in `largest`; those of negative floats are turned round before and after."""
    bits = x.view(np.int32)
    highest = np.int32(-0x7FFFFFFF)
    for i in range(bits.shape[0]):
        number = bits[i] ^ ((bits[i] >> np.int32(31)) & np.int32(0x7FFFFFFF))
        highest = max(highest, number)
    return np.int32(highest ^ ((highest >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(FLOAT)


@compiled
def total(x: np.ndarray) -> np.float32:
    """Sum of x, which it spends: half is added onto half, in an order that vectorises and that no compiler chooses."""
    count = x.shape[0]
    while count > 1:
        half = count // 2
        front, back = x[:half], x[count - half : count]
        for i in range(half):
            front[i] += back[i]
        count -= half
    return x[0]


@compiled
def exponentials(scores: np.ndarray, powers: np.ndarray) -> np.float32:
    """Scores to exp(scores - their maximum), in place; returns their sum. `powers`: int32 scratch of that length.

    exp(x) = 2**n * 2**f with n whole: a polynomial and a shift, which vectorise where a call of exp would not.
    """
    highest = highest_of(scores)
    for j in range(scores.shape[0]):
        x = max((scores[j] - highest) * LOG2_E, FLOAT(-126))
        whole = np.int32(x - FLOAT(0.5))  # rounds, as x is not above 0
        f = x - FLOAT(whole)
        powers[j] = (whole + np.int32(127)) << np.int32(23)
        scores[j] = FLOAT(1) + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * (P5 + f * P6)))))
    scales = powers.view(FLOAT)
    for j in range(scores.shape[0]):
        scores[j] *= scales[j]
        scales[j] = scores[j]
    return total(scales)
