"""A piano roll in rows of half a minute, the melody highlighted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musicstyle.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from musicstyle.music.notes import Notes

ROW_SECONDS = 30.0
MAX_ROWS = 40
_HEIGHT_INCHES = 1.9
_OTHERS, _MELODY = "#b9c3cf", "#c8102e"


def draw(path: Path, notes: Notes, melody: Notes, title: str) -> float:
    """Draw all notes, 30 s a row, and the melody over them; of a piece over 20 minutes the beginning.

    Args:
        path: .png, .pdf or .svg, written beside and renamed.
        notes: The piece.
        melody: One voice of it.
        title: Above; what the picture shows is added where it isn't all.

    Returns:
        Seconds that are left out.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    needed = max(1, int(np.ceil(notes.duration_seconds / ROW_SECONDS)))
    rows = min(MAX_ROWS, needed)
    title += f" (the first {rows * ROW_SECONDS / 60:g} minutes)" if rows < needed else ""
    figure = Figure(figsize=(14, 0.9 + _HEIGHT_INCHES * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    low, high = int(notes.pitch.min()) - 2, int(notes.pitch.max()) + 2
    for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False)[:, 0]):
        _row(axes, row * ROW_SECONDS, notes, melody)
        axes.set(xlim=(row * ROW_SECONDS, (row + 1) * ROW_SECONDS), ylim=(low, high))
    axes.set_xlabel("seconds")
    figure.suptitle(title, fontsize=11, parse_math=False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2, fontsize=8, frameon=False)
    with write_atomically(path) as beside, mpl.rc_context({"svg.hashsalt": "musicstyle"}):
        figure.savefig(beside)
    return max(0.0, notes.duration_seconds - rows * ROW_SECONDS)


def _row(axes: Any, begin_seconds: float, notes: Notes, melody: Notes) -> None:
    from matplotlib.collections import PolyCollection

    for part, colour, label in ((notes, _OTHERS, "other notes"), (melody, _MELODY, "melody")):
        inside = part[(part.start < begin_seconds + ROW_SECONDS) & (part.end > begin_seconds)]
        axes.add_collection(PolyCollection(list(_boxes(inside)), facecolors=colour, label=label))
    if len(melody) > 1:
        # A thin line from onset to onset, broken by pauses, so that the eye follows.
        near = melody.start[1:] - melody.end[:-1] < 1.0
        line_x, line_y = melody.start, np.where(np.append(True, near), melody.pitch, np.nan)
        axes.plot(line_x, line_y, color=_MELODY, linewidth=0.5, alpha=0.5)
    octaves = np.arange(0, 128, 12)
    axes.set_yticks(octaves, [f"C{octave // 12 - 1}" for octave in octaves], fontsize=8)
    axes.grid(visible=True, color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _boxes(notes: Notes) -> np.ndarray:
    """Corners of a box a note, (n, 4, 2): seconds and pitch."""
    end = np.maximum(notes.end - 0.01, notes.start + 0.02)
    low, high = notes.pitch - 0.45, notes.pitch + 0.45
    return np.stack(
        [np.stack(corner, axis=1) for corner in ((notes.start, low), (notes.start, high), (end, high), (end, low))],
        axis=1,
    )
