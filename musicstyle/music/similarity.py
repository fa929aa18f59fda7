"""How alike two pieces are played: eight features a window, and the overlapping area (OA) of their densities.

The specification. A piece is cut into windows of 2 s; a note belongs to the window in which it begins. Each window
gives

    note_density         notes that begin in it, a second
    pitch_range          highest minus lowest pitch, semitones
    pitch_mean           semitones (MIDI)            pitch_variance       semitones squared
    velocity_mean        1..127                      velocity_variance
    duration_mean        seconds, onset to offset    duration_variance    seconds squared

Variances are the population's (ddof 0). A normal is fitted to each feature's values over the windows of the piece:
their mean and their population standard deviation (ddof 0). The OA of two pieces in a feature is the area under the
smaller of the two normals, 0..1, computed exactly with the normal CDF at the crossing points (two of them; one if the
deviations are equal). The similarity of two pieces is the mean over the eight features, that of sets the mean over
the pairs. Durations depend on the pedal: fold it in for both or for neither (`read_midi` does by default).

Source: Choi et al. 2020, arXiv:1912.05537, section on performance similarity, after Yang & Lerch 2020. Their code for
it was never released, so the rules it leaves open are set here, and their price was measured. Figures are for 426
MAESTRO performances (every third), first half against second half, in draws of 24: own halves .779, halves of others
.624, own above other 88.6 % of the time (standard deviation between draws .018, .024 and .038).

Rules and deviations, with direction and size where known
  - Windows without a note are left out. Counting them as eight zeros lowers own by .006, leaves others as they are
    and lowers "own above other" by 2.0 points: a pause is no style, and zeros of pitch spoil two of eight normals.
  - A window with one note has range and variances 0. Leaving it out of those features changes less than .001.
  - The first window begins at the first onset, so that silence before a piece does not count (from time 0: less than
    .002). The last window counts like any other, though the piece may end in it, which lowers its density.
  - A deviation below MIN_DEVIATION counts as MIN_DEVIATION, so that a constant feature is a spike and not a division
    by zero: two equal spikes overlap in 1, two different ones, or a spike and a bell, in 0 (to about 1e-5).
  - A piece without notes has no densities. Its OA with anything, itself included, is 0, and it stays in the averages:
    a system is not to gain by silence.
  - Windows are not the sampling the paper may have used. 1 s windows: own +.021, others +.027; 4 s: own -.025, others
    -.033.
  - density="kde" replaces the normal by a Gaussian kernel density with Scott's bandwidth, deviation (ddof 1) x
    windows^(-1/5), as scipy.stats.gaussian_kde has by default. The paper has normals; skewed features (duration
    variance above all) are not normal. Own and others rise by .008, "own above other" by 1 to 2 points (two sets of
    24 performances). The area is a trapezoid sum over both curves, right to about 1e-3; a piece takes 0.1 s.

What the numbers mean. OA grows with the length of the pieces, whoever plays: 60 s against 60 s of one performance
gives .72, its halves .74 in pieces of 2 to 4 minutes and .82 in pieces over 13, while others rise from .54 to .56 and
.75. Compare like lengths only, and against a floor and a ceiling of the same lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from musicstyle.music.notes import Notes

Density = Literal["normal", "kde"]

WINDOW_SECONDS = 2.0
MIN_DEVIATION = 1e-6
CURVE_POINTS = 1024
FEATURES = (
    "note_density",
    "pitch_range",
    "pitch_mean",
    "pitch_variance",
    "velocity_mean",
    "velocity_variance",
    "duration_mean",
    "duration_variance",
)
UNITS = ("notes/s", "semitones", "MIDI pitch", "semitones²", "MIDI velocity", "velocity²", "s", "s²")


@dataclass(frozen=True, eq=False)
class Similarity:
    """The overlapping areas of two pieces.

    Attributes:
        by_feature: OA in the order of FEATURES, (8,) float64, each 0..1.
    """

    by_feature: np.ndarray

    @property
    def mean(self) -> float:
        """The mean over the eight features, 0..1."""
        return float(self.by_feature.mean())


class Curves(NamedTuple):
    """The densities of a piece, one row a feature: where (8, points), rising, and how high (8, points)."""

    points: np.ndarray
    heights: np.ndarray


def features(notes: Notes, window_seconds: float = WINDOW_SECONDS) -> np.ndarray:
    """The eight features of every window in which a note begins.

    Args:
        notes: Sorted by onset, as Notes always are.
        window_seconds: Length of a window, above 0. The first begins at the first onset.

    Returns:
        (windows, 8) float64 in the order of FEATURES, always finite; (0, 8) for no notes.

    Raises:
        ValueError: the window is not above 0.
    """
    if not window_seconds > 0:
        raise ValueError(f"window_seconds must be above 0, not {window_seconds}")
    if not len(notes):
        return np.empty((0, len(FEATURES)))
    window = ((notes.start - notes.start[0]) / window_seconds).astype(np.int64)
    begins = np.concatenate([[True], window[1:] != window[:-1]])
    first = np.flatnonzero(begins)  # the first note of each window that has any
    count = np.diff(first, append=len(window))
    table = np.empty((8, len(first)))
    table[0] = count / window_seconds
    table[1] = np.maximum.reduceat(notes.pitch, first) - np.minimum.reduceat(notes.pitch, first)
    for row, column in ((2, notes.pitch), (4, notes.velocity), (6, notes.end - notes.start)):
        table[row] = mean = np.add.reduceat(column, first) / count
        # Two passes lose no digits: the variance of equal pitches is exactly 0.
        apart = column - np.repeat(mean, count)
        table[row + 1] = np.add.reduceat(apart * apart, first) / count
    return np.ascontiguousarray(table.T)


def summary(notes: Notes, window_seconds: float = WINDOW_SECONDS) -> np.ndarray:
    """The normals of a piece: mean and population standard deviation of each feature over its windows.

    Returns:
        (8, 2) float64, all NaN for no notes.
    """
    values = features(notes, window_seconds)
    if not len(values):
        return np.full((len(FEATURES), 2), np.nan)
    mean = np.add.reduce(values) / len(values)
    apart = values - mean
    return np.stack([mean, np.sqrt(np.add.reduce(apart * apart) / len(values))], axis=1)


def summaries(pieces: Sequence[Notes], window_seconds: float = WINDOW_SECONDS) -> np.ndarray:
    """`summary` of every piece, (pieces, 8, 2). A piece that occurs again (the same object) is measured once."""
    known = {piece: summary(piece, window_seconds) for piece in set(pieces)}
    return np.array([known[piece] for piece in pieces]).reshape(-1, len(FEATURES), 2)


def overlapping_area(mean_a: np.ndarray, std_a: np.ndarray, mean_b: np.ndarray, std_b: np.ndarray) -> np.ndarray:
    """The area under the smaller of two normal densities, exactly.

    In units of the narrower normal a, with it at 0, the wider b has deviation r >= 1 and stands at t >= 0. The
    densities cross where (r² - 1)x² + 2tx - (t² + 2r² ln r) = 0; a is the higher between the crossings. The roots are
    written without differences of like numbers; r² - 1 is one, but where densities cross, an area hardly changes.

    Args:
        mean_a: Any shape, as the others: they broadcast.
        std_a: Below MIN_DEVIATION counts as MIN_DEVIATION.
        mean_b: As mean_a.
        std_b: As std_a.

    Returns:
        The broadcast shape, float64, 0..1; 0 where any argument is NaN (a piece without notes).
    """
    from scipy.special import ndtr

    std_a, std_b = np.maximum(std_a, MIN_DEVIATION), np.maximum(std_b, MIN_DEVIATION)
    narrow, wide = np.minimum(std_a, std_b), np.maximum(std_a, std_b)
    t = np.abs(np.subtract(mean_a, mean_b)) / narrow
    r = wide / narrow
    log_r, excess = np.log(r), r * r - 1
    reach = t + r * np.sqrt(t * t + 2 * excess * log_r)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = -reach / excess  # -inf for equal deviations: one crossing only
        high = (t * t + 2 * r * r * log_r) / reach
        outside = ndtr(low) + ndtr(-high)  # of a
        inside = ndtr((high - t) / r) - ndtr((low - t) / r)  # of b
    area = np.where(reach == 0, 1.0, outside + inside)
    return np.clip(np.nan_to_num(area, nan=0.0), 0.0, 1.0)


def kernel_curves(values: np.ndarray) -> Curves:
    """Gaussian kernel densities of the columns of `features`, each over a grid of its own.

    Args:
        values: (windows, 8), at least one window.

    Returns:
        Curves of CURVE_POINTS points a feature, from 5 bandwidths below the least value to 5 above the greatest.
    """
    count = len(values)
    deviation = values.std(axis=0, ddof=1) if count > 1 else np.zeros(values.shape[1])
    bandwidth = np.maximum(deviation * count ** (-1 / 5), MIN_DEVIATION)  # Scott
    low, high = values.min(axis=0) - 5 * bandwidth, values.max(axis=0) + 5 * bandwidth
    points = np.linspace(low, high, CURVE_POINTS, axis=1)
    heights = np.stack([_kernel_sum(*row) for row in zip(points, values.T, bandwidth, strict=True)])
    return Curves(points, heights)


def curve_overlap(a: Curves | None, b: Curves | None) -> np.ndarray:
    """The area under the smaller of two curves, feature by feature, (8,), 0..1; 0 if either is None (no notes)."""
    if a is None or b is None:
        return np.zeros(len(FEATURES))
    return np.array([_area_of_smaller(*row) for row in zip(*a, *b, strict=True)])


def similarity(
    a: Notes, b: Notes, density: Density = "normal", *, window_seconds: float = WINDOW_SECONDS
) -> Similarity:
    """The overlapping areas of two pieces.

    Args:
        a: One piece.
        b: The other; the order does not matter.
        density: "normal" fits normals as published, "kde" Gaussian kernel densities.
        window_seconds: Length of a window for both.

    Raises:
        ValueError: another density, or a window not above 0.
    """
    return Similarity(similarity_of_pairs([a], [b], density, window_seconds=window_seconds)[0])


def similarity_of_pairs(
    first: Sequence[Notes],
    second: Sequence[Notes],
    density: Density = "normal",
    *,
    window_seconds: float = WINDOW_SECONDS,
) -> np.ndarray:
    """OA of first[i] and second[i] for every i, (pairs, 8). A piece that occurs again in a list is measured once.

    Raises:
        ValueError: different lengths, another density, or a window not above 0.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs need two lists of one length, not {len(first)} and {len(second)}")
    if _checked(density) == "normal":
        a, b = summaries(first, window_seconds), summaries(second, window_seconds)
        return overlapping_area(a[..., 0], a[..., 1], b[..., 0], b[..., 1])
    pairs = zip(_curves(first, window_seconds), _curves(second, window_seconds), strict=True)
    return np.array([curve_overlap(*pair) for pair in pairs]).reshape(-1, len(FEATURES))


def similarity_matrix(first: Sequence[Notes], second: Sequence[Notes], density: Density = "normal") -> np.ndarray:
    """OA of every piece of `first` with every piece of `second`, (first, second, 8).

    Raises:
        ValueError: another density.
    """
    if _checked(density) == "normal":
        a, b = summaries(first)[:, None], summaries(second)[None]
        return overlapping_area(a[..., 0], a[..., 1], b[..., 0], b[..., 1])
    a_curves, b_curves = _curves(first), _curves(second)
    rows = [curve_overlap(a, b) for a in a_curves for b in b_curves]
    return np.array(rows).reshape(len(first), len(second), len(FEATURES))


def _checked(density: Density) -> Density:
    if density not in get_args(Density):
        raise ValueError(f"density must be one of {', '.join(get_args(Density))}, not {density!r}")
    return density


def _curves(pieces: Sequence[Notes], window_seconds: float = WINDOW_SECONDS) -> list[Curves | None]:
    """The densities of every piece, None of one without notes; measured once as in `summaries`."""
    known = {piece: kernel_curves(features(piece, window_seconds)) if len(piece) else None for piece in set(pieces)}
    return [known[piece] for piece in pieces]


def _kernel_sum(points: np.ndarray, values: np.ndarray, bandwidth: float) -> np.ndarray:
    away = (points[:, None] - values) / bandwidth  # (points, windows)
    return np.exp(-0.5 * away * away).sum(axis=1) / (len(values) * bandwidth * np.sqrt(2 * np.pi))


def _area_of_smaller(points_a: np.ndarray, a: np.ndarray, points_b: np.ndarray, b: np.ndarray) -> float:
    # Both grids together, so that a narrow curve keeps its resolution beside a wide one.
    points = np.sort(np.concatenate([points_a, points_b]))
    smaller = np.minimum(
        np.interp(points, points_a, a, left=0.0, right=0.0), np.interp(points, points_b, b, left=0.0, right=0.0)
    )
    return min(1.0, float(np.diff(points) @ (smaller[1:] + smaller[:-1])) / 2)
