"""Plots of the evaluations, as matplotlib figures and as SVG to stand inside a page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicstyle.errors import UsageError
from musicstyle.evaluation.findings import MEASURES
from musicstyle.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
BLUE, ORANGE, GREY = "#1f77b4", "#d95f02", "#808080"  # each 3:1 on white
SHARES = (0, 1.03)  # of an axis; a point at 1 is drawn whole


def interpolation_figure(line: Mapping[str, Any]) -> Figure:
    """Relative distance from A along the line from B to A."""
    figure = _figure()
    axes = figure.subplots()
    axes.axhline(0.5, color=GREY, linewidth=0.8)
    axes.plot(line["mixes"], line["distance"], color=BLUE, marker="o")
    axes.set_xlabel("share of A in the mix")
    axes.set_ylabel("relative distance from A")
    axes.set_title(f"Spearman {line['spearman_of_means']:.2f}, {line['pieces']} pieces a point", fontsize=10)
    return figure


def nll_figure(likelihood: Mapping[str, Any], published: Mapping[str, float]) -> Figure:
    """Nats per token of each mode with its interval, the published value as a grey line beside it."""
    figure = _figure()
    axes = figure.subplots()
    grey: list[Any] = []
    for place, (mode, measured) in enumerate(likelihood["modes"].items()):
        low, high = measured["interval"] or (measured["nll"], measured["nll"])
        axes.plot([place, place], [low, high], color=BLUE)
        axes.plot(place, measured["nll"], "o", color=BLUE)
        if mode in published:
            grey = axes.plot([place - 0.3, place + 0.3], [published[mode]] * 2, color=GREY, label="published")
    if grey:  # the last stands for all
        axes.legend(handles=grey, fontsize=9)
    axes.set_xticks(range(len(likelihood["modes"])), list(likelihood["modes"]))
    axes.set_ylabel("nats per token")
    return figure


def melody_figure(strengths: list[Mapping[str, Any]]) -> Figure:
    """Shares of the melody that sound, by guidance strength, and chance."""
    figure = _figure()
    axes = figure.subplots()
    x = [row["melody_strength"] for row in strengths]
    for name, label, color in (
        ("share_100", "within 100 ms", BLUE),
        ("share_50", "within 50 ms", ORANGE),
        ("chance_100", "chance, 100 ms", GREY),
    ):
        axes.plot(x, [row[name] for row in strengths], color=color, marker="o", label=label)
    axes.set_ylim(SHARES)
    axes.set_xlabel("melody strength")
    axes.set_ylabel("share of the melody's notes")
    axes.legend(fontsize=9)
    return figure


def hits_figure(hits: Mapping[str, Any]) -> Figure:
    """Hit rate of each way of playing by both measures, chance as a line."""
    figure = _figure()
    axes = figure.subplots()
    bars = []
    for (measure, measured), color, left in zip(MEASURES.items(), (BLUE, ORANGE), (-0.2, 0.2), strict=True):
        rows = [row[measure] for row in hits.values()]
        places = [place + left for place in range(len(rows))]
        bars.append(axes.bar(places, [row["rate"] for row in rows], 0.38, color=color, label=measured))
        for place, row in zip(places, rows, strict=True):
            axes.plot([place, place], row["interval"] or (row["rate"],) * 2, color="black")
    chance = axes.axhline(0.5, color="black", linewidth=0.8, linestyle="--", label="chance")
    axes.legend(handles=[*bars, chance], fontsize=9)
    axes.set_xticks(range(len(hits)), list(hits))
    axes.set_ylim(SHARES)
    axes.set_ylabel("nearer to own style")
    return figure


def svg(figure: Figure, label: str) -> str:
    """The figure as an <svg> element that says its label to those who don't see it; the same for the same figure."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": label, "svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawn = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", stream.getvalue())  # several figures stand in one page
    return drawn[drawn.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def check_suffix(out: Path) -> None:
    """Say before any work that a figure could not be written.

    Raises:
        UsageError: A suffix that is not of SUFFIXES.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{out}: cannot draw {out.suffix or 'without a suffix'}; use {', '.join(SUFFIXES)}")


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure; the suffix chooses the format.

    Raises:
        UsageError: A suffix that is not of SUFFIXES.
    """
    check_suffix(out)
    with write_atomically(out) as beside:
        figure.savefig(beside, dpi=120)


def _figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(5.5, 3.2), layout="constrained")
