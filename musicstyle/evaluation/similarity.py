"""Similarity of sets of pieces, and the picture of two pieces' densities and profiles.

The metrics are specified in `musicstyle.music.similarity` and `musicstyle.music.profile`; this adds which pieces are
compared. A set is a folder: every MIDI file below it, named by its path without the suffix. Pairs are formed by name
(what lies in one folder only is reported, not compared) or as all against all (a set against itself then holds each
piece's pair with itself, which is 1 by either).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from musicstyle.errors import UsageError
from musicstyle.evaluation.figures import BLUE, ORANGE, save_figure
from musicstyle.evaluation.material import midi_files
from musicstyle.music.midi import read_midi
from musicstyle.music.profile import EDGES, PARTS, by_part, in_common, profile
from musicstyle.music.profile import UNITS as PROFILE_UNITS
from musicstyle.music.similarity import (
    FEATURES,
    MIN_DEVIATION,
    UNITS,
    Curves,
    Density,
    features,
    kernel_curves,
    similarity,
    similarity_matrix,
    similarity_of_pairs,
    summary,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from musicstyle.music.notes import Notes

Pairing = Literal["name", "all"]


@dataclass(frozen=True, eq=False)
class SetSimilarity:
    """How alike pairs of pieces are.

    Attributes:
        pairs: (reference name, candidate name), one a pair.
        by_feature: OA, (pairs, 8) in the order of FEATURES.
        in_common: By profile, (pairs, 13) in the order of PARTS.
        unmatched: Names that found no partner, sorted; always empty for all against all.
    """

    pairs: tuple[tuple[str, str], ...]
    by_feature: np.ndarray
    in_common: np.ndarray
    unmatched: tuple[str, ...]

    @property
    def mean(self) -> float:
        """The mean OA over features and pairs, 0..1."""
        return float(self.by_feature.mean())

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "mean": self.mean,
            "by_feature": dict(zip(FEATURES, self.by_feature.mean(axis=0).tolist(), strict=True)),
            "profile": float(self.in_common.mean()),
            "by_part": dict(zip(PARTS, self.in_common.mean(axis=0).tolist(), strict=True)),
            "pairs": [
                {
                    "reference": a,
                    "candidate": b,
                    "mean": float(areas.mean()),
                    "by_feature": areas.tolist(),
                    "profile": float(common.mean()),
                    "by_part": common.tolist(),
                }
                for (a, b), areas, common in zip(self.pairs, self.by_feature, self.in_common, strict=True)
            ],
            "unmatched": list(self.unmatched),
        }


def read_set(folder: str | os.PathLike[str]) -> dict[str, Notes]:
    """Every MIDI file below a folder, by its path in it without the suffix, sorted.

    Raises:
        UsageError: no folder, no MIDI file in it, or two files of one name.
        MidiError: a file that cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; a set is a folder of MIDI files")
    pieces: dict[str, Notes] = {}
    for path in midi_files(root):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in pieces:
            raise UsageError(f"{path}: another file is also named {name}; rename one")
        pieces[name] = read_midi(path)
    return pieces


def compare_sets(
    reference: Mapping[str, Notes],
    candidate: Mapping[str, Notes],
    pairing: Pairing = "name",
    density: Density = "normal",
) -> SetSimilarity:
    """How alike two sets of pieces are.

    Args:
        reference: Pieces by name.
        candidate: Pieces by name.
        pairing: "name" compares what bears the same name, "all" every reference with every candidate.
        density: As in `musicstyle.music.similarity.similarity`.

    Raises:
        UsageError: no pair, or another pairing.
        ValueError: another density.
    """
    if pairing == "name":
        names = [name for name in reference if name in candidate]
        pairs = [(name, name) for name in names]
        areas = similarity_of_pairs([reference[n] for n in names], [candidate[n] for n in names], density)
        unmatched = sorted(set(reference) ^ set(candidate))
    elif pairing == "all":
        pairs = [(a, b) for a in reference for b in candidate]
        areas = similarity_matrix(list(reference.values()), list(candidate.values()), density)
        areas, unmatched = areas.reshape(-1, len(FEATURES)), []
    else:
        raise UsageError(f"pairing must be name or all, not {pairing!r}")
    if not pairs:
        raise UsageError(_no_pair(reference, candidate))
    ours, theirs = ({name: profile(notes) for name, notes in pieces.items()} for pieces in (reference, candidate))
    common = np.array([in_common(ours[a], theirs[b]) for a, b in pairs])
    return SetSimilarity(tuple(pairs), areas, common, tuple(unmatched))


def plot_similarity(
    a: Notes,
    b: Notes,
    out: str | os.PathLike[str],
    *,
    density: Density = "normal",
    labels: tuple[str, str] = ("A", "B"),
) -> Path:
    """Draw the eight pairs of densities and the thirteen of histograms, what they share filled, and write the figure.

    Args:
        a: One piece.
        b: The other.
        out: Where; the suffix (.png, .svg, .pdf) chooses the format. Replaced whole or left alone.
        density: As in `musicstyle.music.similarity.similarity`.
        labels: What the legend calls the two.

    Returns:
        `out` as a path.

    Raises:
        UsageError: a suffix that is none of `figures.SUFFIXES`, or a piece without notes.
        ValueError: another density.
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    target, figure = Path(out), Figure(figsize=(16, 13), layout="constrained")
    if not (len(a) and len(b)):
        raise UsageError(f"{labels[0] if not len(a) else labels[1]}: no notes, so no densities to draw")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(2, 3))[:, 0]
    _draw_features(upper, (a, b), density, labels)
    _draw_profiles(lower, (a, b))
    save_figure(figure, target)
    return target


def _draw_features(figure: SubFigure, pieces: tuple[Notes, Notes], density: Density, labels: tuple[str, str]) -> None:
    result = similarity(*pieces, density)
    figure.suptitle(f"{labels[0]} and {labels[1]}: overlapping area {result.mean:.3f}", parse_math=False)
    curves = [_curves(notes, density) for notes in pieces]
    for index, axes in enumerate(figure.subplots(2, 4).flat):
        _draw(axes, [(c.points[index], c.heights[index]) for c in curves], labels)
        axes.set_title(f"{FEATURES[index].replace('_', ' ')}  {result.by_feature[index]:.3f}", fontsize=10)
        axes.set_xlabel(UNITS[index])


def _draw_profiles(figure: SubFigure, pieces: tuple[Notes, Notes]) -> None:
    shares = [profile(notes) for notes in pieces]
    common = in_common(*shares)
    histograms = [by_part(one) for one in shares]
    figure.suptitle(f"in common by profile {common.mean():.3f}")
    grid = figure.subplots(3, 5).flatten()
    for axes, part, unit, share in zip(grid[: len(PARTS)], PARTS, PROFILE_UNITS, common, strict=True):
        heights = [each[part][:-1] for each in histograms]
        axes.stairs(np.minimum(*heights), EDGES[part], fill=True, color="0.8")
        for height, color in zip(heights, (BLUE, ORANGE), strict=True):
            axes.stairs(height, EDGES[part], color=color)
        axes.set_yticks([])
        axes.set_title(f"{part.replace('_', ' ')}  {share:.3f}", fontsize=10)
        axes.set_xlabel(unit)
    for axes in grid[len(PARTS) :]:
        axes.set_axis_off()


def _draw(axes: Axes, lines: list[tuple[np.ndarray, np.ndarray]], labels: tuple[str, str]) -> None:
    points = np.sort(np.concatenate([x for x, _ in lines]))
    heights = [np.interp(points, x, y, left=0.0, right=0.0) for x, y in lines]
    drawn = [axes.plot(points, height, color=color)[0] for height, color in zip(heights, (BLUE, ORANGE), strict=True)]
    axes.fill_between(points, np.minimum(*heights), color="0.8")
    # A spike (a feature that never changes) would flatten its partner to the ground: it may leave at the top.
    low, high = sorted(float(height.max()) for height in heights)
    axes.set_ylim(0, 1.1 * min(high, 4 * low))
    axes.set_yticks([])
    if axes.get_subplotspec().is_first_col() and axes.get_subplotspec().is_first_row():  # type: ignore[union-attr]
        legend = axes.legend(drawn, labels, fontsize=9)  # handles given: a label may begin with an underscore
        for entry in legend.get_texts():
            entry.set_parse_math(False)


def _curves(notes: Notes, density: Density) -> Curves:
    if density == "kde":
        return kernel_curves(features(notes))
    mean, deviation = summary(notes).T[..., None]  # (8, 1) each
    deviation = np.maximum(deviation, MIN_DEVIATION)
    away = np.linspace(-4, 4, 401)
    return Curves(mean + away * deviation, np.exp(-0.5 * away * away) / (deviation * np.sqrt(2 * np.pi)))


def _no_pair(reference: Mapping[str, Notes], candidate: Mapping[str, Notes]) -> str:
    if not (reference and candidate):
        return "nothing to compare: a set is empty"
    return (
        f"no name is in both sets (for instance {next(iter(reference))} and {next(iter(candidate))}); "
        "name the files alike or compare all against all"
    )
