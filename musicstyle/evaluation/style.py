"""Does style go in, and does it come out? Hit rate, retrieval and linear probe: pure functions of numbers.

Specification.
(a) Hit rate. A matrix holds how near candidate i, played in the style of performance i, is to reference j: by the
    eight features their overlapping area (`musicstyle.music.similarity`), by profile what they have in common
    (`musicstyle.music.profile`), the mean over the parts of either. The rate is the share of pairs i != j in which
    candidate i is nearer to its own reference than to j's; what is equal counts half. If candidates do not depend on
    style its expectation is .5: what is a hit for i against j is as likely a miss for j against i. The candidate hears
    one half of a performance and is judged against the other, so that copied notes earn nothing. Candidate i is as long
    in every mode, with a tune or without: the seconds asked for, or the length of tune i or of the half that is heard
    if that is shorter. Beside them "real" is a stretch of real playing, as long, from the middle of the half that was
    heard. Beside it stands the same with the halves that were heard as references ("heard"): "real" is then a part of
    what it is judged by, and copied notes would count. The published average similarity, against the performance heard,
    is the diagonal ("own") of that by the eight features.
(b) Retrieval. Crops of performances are style embeddings; each dimension is brought to mean 0 and deviation 1 over all
    crops, nearness is Euclidean. Beside it stands the nearness by profile, in which nothing is learned. For each crop
    the others are ranked. Left out are, for "same performance", the crops of other performances of the same work (at
    the same place they hold the same notes, whoever plays); for "same composer" and "same performer" those and the
    crops of its own performance, since any of them would answer for it. Queries for which nothing relevant is left are
    left out and counted. Of crops that are equally near, the relevant come last. Recall at k: a relevant crop is among
    the k nearest. MRR: mean of 1 / rank of the first relevant one. Chance: expected recall at 1 of a random order.
(c) Linear probe. Ridge regression onto one-hot labels, closed form, on standardised vectors, embeddings and beside them
    profiles; the largest output is the answer. Five folds over whole works, each with all its performances; within
    each, the ridge is chosen of RIDGES by five inner folds. Labels with fewer than five works are left out. Accuracy is
    the share of crops answered rightly, balanced accuracy the mean over labels, beside the share of the commonest.

The paper (Choi et al. 2020) has neither (b) nor (c), and of (a) the average similarity only.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

RIDGES = (1.0, 10.0, 100.0, 1000.0)
FOLDS = 5
RESAMPLES = 1000


class NothingToAskError(ValueError):
    """The labels leave no question."""


@dataclass(frozen=True)
class Hits:
    """How near candidates are to their own reference and to the others' (see the module's specification).

    Attributes:
        rate: Share of pairs in which own is nearer.
        interval: 95 % bootstrap interval of the rate, performances drawn with replacement; None of two, as every draw
            of both gives the same.
        own, others: Mean areas.
        candidates: How many.
    """

    rate: float
    interval: tuple[float, float] | None
    own: float
    others: float
    candidates: int

    def to_dict(self) -> dict[str, Any]:
        """Rounded, ready for JSON."""
        return _rounded(asdict(self))


@dataclass(frozen=True)
class Retrieval:
    """How well nearness of crops finds what belongs together.

    Attributes:
        recall_1, recall_5, mrr: See the module's specification.
        chance: Recall at 1 of a random order.
        queries: Crops that could be asked for.
        left_out: Crops for which nothing relevant was there.
    """

    recall_1: float
    recall_5: float
    mrr: float
    chance: float
    queries: int
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Rounded, ready for JSON."""
        return _rounded(asdict(self))


@dataclass(frozen=True)
class Probe:
    """What a linear map of the vectors knows of their labels.

    Attributes:
        accuracy, balanced_accuracy: Of held-out works' crops.
        commonest: Share of the commonest label: what knowing nothing gives.
        labels: How many there are.
        crops: How many were asked.
    """

    accuracy: float
    balanced_accuracy: float
    commonest: float
    labels: int
    crops: int

    def to_dict(self) -> dict[str, Any]:
        """Rounded, ready for JSON."""
        return _rounded(asdict(self))


def hit_rate(areas: np.ndarray) -> Hits:
    """Judge a matrix of areas, (candidates, references), the own reference of candidate i being number i.

    Raises:
        ValueError: It isn't square or has fewer than two rows.
    """
    count = len(areas)
    if areas.shape != (count, count) or count < 2:
        raise ValueError(f"a hit rate needs a square matrix of at least 2 rows, not {areas.shape}")
    other = ~np.eye(count, dtype=bool)
    own = np.diag(areas)[:, None]
    hits = (own > areas) + 0.5 * (own == areas)
    interval = _interval(hits) if count > 2 else None
    return Hits(float(hits[other].mean()), interval, float(own.mean()), float(areas[other].mean()), count)


def _interval(hits: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean over pairs of different performances, these drawn with replacement."""
    drawn = np.random.default_rng(0).integers(len(hits), size=(RESAMPLES, len(hits)))
    different = drawn[:, :, None] != drawn[:, None, :]
    values = np.where(different, hits[drawn[:, :, None], drawn[:, None, :]], 0.0).sum(axis=(1, 2))
    pairs = different.sum(axis=(1, 2))
    low, high = np.percentile(values[pairs > 0] / pairs[pairs > 0], [2.5, 97.5])
    return float(low), float(high)


def standardised(vectors: np.ndarray) -> np.ndarray:
    """Each column of (n, d) brought to mean 0 and deviation 1; columns that never change become 0."""
    deviation = vectors.std(axis=0)
    return (vectors - vectors.mean(axis=0)) / np.where(deviation > 1e-12, deviation, 1.0)


def distances(vectors: np.ndarray) -> np.ndarray:
    """Euclidean distances of vectors (n, d) whose dimensions weigh alike, (n, n)."""
    from scipy.spatial.distance import cdist

    # In 64 bits and by differences: equal vectors are equally near to the last digit, whichever is asked.
    points = standardised(vectors.astype(np.float64))
    return cdist(points, points)


def retrieval(distance: np.ndarray, labels: np.ndarray, silent: np.ndarray | None = None) -> Retrieval:
    """Rank all crops by nearness to each.

    Args:
        distance: How far apart crops are, (n, n).
        labels: What belongs together, (n,); empty strings belong to nothing.
        silent: Which crops do not answer for which, (n, n) bool; no crop answers for itself. None: all others do.

    Raises:
        NothingToAskError: There is no query with an answer.
    """
    candidate = ~np.eye(len(distance), dtype=bool)
    if silent is not None:
        candidate &= ~silent
    relevant = candidate & (labels[:, None] == labels[None, :]) & (labels != "")[:, None]
    asked = relevant.any(axis=1)
    if not asked.any():
        raise NothingToAskError("no crop has another that belongs with it")
    nearest = np.where(relevant, distance, np.inf).min(axis=1, keepdims=True)
    # Ties count against: the first relevant crop comes after all irrelevant ones as near. So does what is no number.
    rank = 1 + (candidate & ~relevant & ~(distance > nearest)).sum(axis=1)[asked]
    chance = relevant[asked].sum(axis=1) / candidate[asked].sum(axis=1)
    return Retrieval(
        recall_1=float((rank <= 1).mean()),
        recall_5=float((rank <= 5).mean()),
        mrr=math.fsum(1 / rank) / len(rank),  # the same in any order
        chance=float(chance.mean()),
        queries=int(asked.sum()),
        left_out=int((~asked).sum()),
    )


def linear_probe(vectors: np.ndarray, labels: np.ndarray, works: np.ndarray, seed: int = 0) -> Probe:
    """Predict labels of held-out works by ridge regression.

    Args:
        vectors: (n, d).
        labels: (n,) strings; labels with fewer than FOLDS works, and empty ones, are left out.
        works: (n,) which work each crop is of; no work is learned from and asked.
        seed: Of the folds.

    Raises:
        NothingToAskError: Fewer than two labels are left.
    """
    enough = [name for name in np.unique(labels) if name and len(np.unique(works[labels == name])) >= FOLDS]
    if len(enough) < 2:
        raise NothingToAskError(f"a probe needs two labels of at least {FOLDS} works each")
    kept = np.isin(labels, enough)
    vectors, works = vectors[kept], works[kept]
    number = np.searchsorted(np.array(enough), labels[kept])
    answers = np.empty_like(number)
    for learned, held_out in _folds(works, seed):
        ridge = _best_ridge(vectors[learned], number[learned], works[learned], seed)
        answers[held_out] = _ridge_answers(vectors[learned], number[learned], vectors[held_out], ridge)
    right = answers == number
    return Probe(
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([right[number == label].mean() for label in np.unique(number)])),
        commonest=float(np.bincount(number).max() / len(number)),
        labels=len(enough),
        crops=len(number),
    )


def _folds(works: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(learned, held out) masks; whole works are held out."""
    names, number = np.unique(works, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    return [(fold[number] != k, fold[number] == k) for k in range(FOLDS) if (fold == k).any()]


def _best_ridge(vectors: np.ndarray, number: np.ndarray, works: np.ndarray, seed: int) -> float:
    right = dict.fromkeys(RIDGES, 0)
    for learned, held_out in _folds(works, seed + 1):
        for ridge in RIDGES:
            answers = _ridge_answers(vectors[learned], number[learned], vectors[held_out], ridge)
            right[ridge] += int((answers == number[held_out]).sum())
    return max(RIDGES, key=lambda ridge: right[ridge])


def _ridge_answers(vectors: np.ndarray, number: np.ndarray, asked: np.ndarray, ridge: float) -> np.ndarray:
    mean, deviation = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-12)
    x, y = (vectors - mean) / deviation, np.eye(int(number.max()) + 1)[number]
    weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (y - y.mean(axis=0)))
    return np.argmax((asked - mean) / deviation @ weights + y.mean(axis=0), axis=1)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value
