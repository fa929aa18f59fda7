"""Does style move smoothly between two performances? The relative distance along the line between them.

Specification. Of performances A and B the styles are mixed, t of A and 1 - t of B, at equal steps of t from 0 to 1
(`musicstyle.generation.performances`). At each, `repeats` pieces are generated, with the same seeds at every t, and the
relative distance from A is

    1 - OA_A / (OA_A + OA_B)

with OA the similarity (`musicstyle.music.similarity`, mean of the eight features) of the piece with A and with B. It is
above a half near B and should fall as t rises. Reported are its mean at each t, over pieces and pairs of performances;
Spearman's rank correlation of t with that mean (-1: falls at every step, 0: no trend), and of t with the single values;
and the fall from the first t to the last, which says whether the ends differ at all.

Source: Choi et al. 2020, arXiv:1912.05537, section on interpolation. Deviations: theirs are 1,000 pairs with 64 steps
and no number for monotonicity; ours are as many as asked for. OA grows with length, so A and B are judged by stretches
of one length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Line:
    """Relative distances along the line from B (t = 0) to A (t = 1).

    Attributes:
        mixes: The t, (steps,), rising.
        distances: (pieces, steps), relative distance from A.
    """

    mixes: np.ndarray
    distances: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean distance at each t, (steps,)."""
        return self.distances.mean(axis=0)

    @property
    def fall(self) -> float:
        """How much nearer to A the last t is than the first."""
        return float(self.mean[0] - self.mean[-1])

    def to_dict(self) -> dict[str, Any]:
        """Everything, rounded, ready for JSON."""
        single = np.tile(self.mixes, len(self.distances))
        return {
            "mixes": np.round(self.mixes, 4).tolist(),
            "distance": np.round(self.mean, 4).tolist(),
            "spearman_of_means": round(spearman(self.mixes, self.mean), 4),
            "spearman_of_pieces": round(spearman(single, self.distances.ravel()), 4),
            "fall": round(self.fall, 4),
            "pieces": len(self.distances),
        }


def relative_distance(area_a: np.ndarray, area_b: np.ndarray) -> np.ndarray:
    """1 - a / (a + b), elementwise; a half where both areas are 0."""
    total = np.add(area_a, area_b)
    return np.where(total > 0, 1 - area_a / np.where(total > 0, total, 1.0), 0.5)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of two equally long sequences; 0 where one of them never changes."""
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else 0.0
