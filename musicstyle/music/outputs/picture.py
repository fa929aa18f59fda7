"""Notes -> a piano roll as a picture: PNG or SVG.

Long pieces run over several rows, as a score does. Vertical lines are bars, with their numbers above, where the piece
keeps to them, else seconds. Loud notes are strong in colour. A melody given with the notes is
outlined where it stands; the notes that play it (same pitch, struck within 100 ms) are filled in its colour.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musicstyle.errors import UsageError
from musicstyle.files import write_atomically
from musicstyle.music.conductor import UNSAID, Bars, Conductor
from musicstyle.music.notes import Notes

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
SAME_NOTE_SECONDS = 0.1
SECONDS_A_ROW = 70.0  # what a row holds before its notes become too small
SHORTEST_ROW_SECONDS = 2
MOST_ROWS = 8
MOST_LINES, MOST_NUMBERS = 64, 20  # bars of a row that are drawn, and that are numbered
LONGEST_TITLE = 120
TICK_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)
NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
BLACK_KEYS = (1, 3, 6, 8, 10)

WIDTH_INCHES, ROW_INCHES, LOW_ROW_INCHES, MARGIN_INCHES, GAP_INCHES = 13.0, 3.4, 2.5, 0.62, 0.36
DOTS_AN_INCH = 130
INK, FAINT, LINE, BLACK_KEY = "#1d2330", "#6c7482", "#dfe3ea", "#f3f5f9"
SOFT, LOUD = "#6a95d3", "#102f66"  # a note's colour by velocity; the softest is 3:1 on white
MELODY_SOFT, MELODY_LOUD, MELODY_EDGE = "#e0791a", "#b32d00", "#8a2200"
SOFTEST, LOUDEST = 25, 105  # velocities; beyond them the colour stays


def write_picture(
    path: str | os.PathLike[str],
    notes: Notes,
    melody: Notes | None = None,
    title: str | None = None,
    conductor: Conductor = UNSAID,
) -> None:
    """Draw a piano roll.

    Args:
        path: .png or .svg; written beside and renamed.
        notes: At least one.
        melody: What the notes were asked to play, or one voice of them, on the same clock.
        title: A heading, plain text.
        conductor: Its bars, on the same clock.

    Raises:
        UsageError: Another suffix.
        ValueError: No notes.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a picture is written as {', '.join(SUFFIXES)}")
    if not len(notes):
        raise ValueError("no notes to draw")
    from matplotlib import rc_context

    # No date and no random names, so that the same notes give the same file.
    with rc_context({"svg.hashsalt": "musicstyle", "font.family": "DejaVu Sans"}), write_atomically(path) as beside:
        bars = conductor.bars_of(notes)
        figure = _figure(notes, melody if melody is not None else Notes.empty(), title or "", bars)
        kind = Path(path).suffix.lower()[1:]
        figure.savefig(beside, format=kind, dpi=DOTS_AN_INCH, metadata={"Date": None} if kind == "svg" else None)


def plays_melody(notes: Notes, melody: Notes) -> np.ndarray:
    """Which notes play a note of the melody: its pitch, struck within 100 ms of it, (n,) bool."""
    flags = np.zeros(len(notes), dtype=bool)
    for pitch in np.unique(melody.pitch).tolist():
        wanted, mine = melody.start[melody.pitch == pitch], np.flatnonzero(notes.pitch == pitch)
        distance = np.abs(notes.start[mine][:, None] - wanted[None, :])
        flags[mine] = (distance <= SAME_NOTE_SECONDS + 1e-9).any(axis=1)
    return flags


def pitch_name(pitch: int) -> str:
    """C4 for 60."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def _figure(notes: Notes, melody: Notes, title: str, bars: Bars) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    duration = max(notes.duration_seconds, melody.duration_seconds)
    rows, row_seconds = _layout(duration)
    row_inches = ROW_INCHES if rows == 1 else LOW_ROW_INCHES
    height = rows * row_inches + (rows - 1) * GAP_INCHES + 2 * MARGIN_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DOTS_AN_INCH, facecolor="white")
    FigureCanvasAgg(figure)  # draws without a screen and without pyplot's global state
    inches = (MARGIN_INCHES / WIDTH_INCHES, MARGIN_INCHES / height)
    grid = figure.add_gridspec(
        rows, 1, left=inches[0], right=1 - inches[0] / 2, bottom=inches[1], top=1 - inches[1],
        hspace=GAP_INCHES / row_inches,
    )  # fmt: skip
    low, high = _pitch_range(notes, melody)
    flags = plays_melody(notes, melody)
    for row in range(rows):
        axes = figure.add_subplot(grid[row])
        _frame(axes, row * row_seconds, row_seconds, low, high)
        _draw_bars(axes, bars)
        _draw_notes(axes, notes, flags)
        _outline(axes, melody)
    figure.axes[-1].set_xlabel("time", color=FAINT, fontsize=9)
    top = 1 - inches[1] * 0.42
    heading = _one_line(title)
    shown = figure.text(inches[0], top, heading, parse_math=False, color=INK, fontsize=14, weight="bold", va="center")
    room = 1 - 1.5 * inches[0] - (0.285 if len(melody) else 0.16)  # the legend begins there
    wide = shown.get_window_extent().width / figure.bbox.width
    shown.set_fontsize(14 * min(1, room / max(wide, 1e-9)))
    _legend(figure, top, height, len(melody) > 0)
    return figure


def _layout(duration_seconds: float) -> tuple[int, float]:
    """Rows, and seconds in each: as many rows as keep notes wide enough, all of them full."""
    rows = min(max(1, math.ceil(duration_seconds / SECONDS_A_ROW)), MOST_ROWS)
    return rows, max(SHORTEST_ROW_SECONDS, math.ceil(duration_seconds / rows))


def _pitch_range(notes: Notes, melody: Notes) -> tuple[int, int]:
    pitches = np.concatenate((notes.pitch, melody.pitch))
    low, high = int(pitches.min()), int(pitches.max())
    spare = max(0, 24 - (high - low)) / 2  # never less than two octaves, or notes would be walls
    return max(0, low - 1 - math.ceil(spare)), min(127, high + 1 + math.floor(spare))


def _frame(axes: Axes, start_seconds: float, row_seconds: float, low: int, high: int) -> None:
    """The empty roll: stripes for black keys, a line below each C, times and pitch names."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    axes.set_xlim(start_seconds, start_seconds + row_seconds)
    axes.set_ylim(low - 0.5, high + 0.5)
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=BLACK_KEY, linewidth=0, zorder=0)
        if pitch % 12 == 0:
            axes.axhline(pitch - 0.5, color=LINE, linewidth=0.9, zorder=1)
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(octaves, [pitch_name(pitch) for pitch in octaves])
    axes.xaxis.set_major_locator(MultipleLocator(_tick_seconds(row_seconds)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds)))
    axes.tick_params(length=0, labelsize=8.5, labelcolor=FAINT)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)


def _draw_bars(axes: Axes, bars: Bars) -> None:
    """A line where each bar begins, and numbers above: 1, 3, 5 or 1, 5, 9 where there are many; else a line a tick."""
    axes.set_axisbelow(True)
    if not len(bars.seconds):
        axes.grid(axis="x", color=LINE, linewidth=0.7, zorder=1)
        return
    first, last = axes.get_xlim()
    number = bars.first + np.arange(len(bars.seconds))
    here = (bars.seconds >= first) & (bars.seconds < last)
    numbered = here & ((number - 1) % _one_in(here.sum() / MOST_NUMBERS) == 0)
    drawn = here & ((number - 1) % _one_in(here.sum() / MOST_LINES) == 0)
    bottom_to_top: Any = axes.get_xaxis_transform()
    axes.vlines(bars.seconds[drawn], 0, 1, transform=bottom_to_top, color=LINE, linewidth=0.9, zorder=1)
    text: dict[str, Any] = {"transform": bottom_to_top, "color": FAINT, "fontsize": 7.5, "va": "bottom"}
    for seconds, name in zip(bars.seconds[numbered].tolist(), number[numbered].tolist(), strict=True):
        axes.text(seconds, 1.005, str(name), ha="center", **text)
    axes.text(first - (last - first) * 0.012, 1.005, "bar", ha="right", **text)


def _one_in(ratio: float) -> int:
    """The least power of two that is not below a ratio."""
    return 2 ** max(0, math.ceil(math.log2(ratio))) if ratio > 0 else 1


def _draw_notes(axes: Axes, notes: Notes, is_melody: np.ndarray) -> None:
    from matplotlib.collections import PolyCollection

    order = np.lexsort((notes.velocity, is_melody))  # the melody on top, and the loud over the soft
    shown = order[_in_row(axes, notes)[order]]
    if not len(shown):
        return
    colours = np.where(
        is_melody[shown, None],
        _shades(notes.velocity[shown], MELODY_SOFT, MELODY_LOUD),
        _shades(notes.velocity[shown], SOFT, LOUD),
    )
    axes.add_collection(
        PolyCollection(
            _boxes(axes, notes[shown], 0.42), facecolors=colours, edgecolors="white", linewidths=0.35, zorder=3
        )
    )


def _outline(axes: Axes, melody: Notes) -> None:
    from matplotlib.collections import PolyCollection

    boxes = _boxes(axes, melody[_in_row(axes, melody)], 0.62)
    if boxes:
        axes.add_collection(PolyCollection(boxes, facecolors="none", edgecolors=MELODY_EDGE, linewidths=0.9, zorder=4))


def _in_row(axes: Axes, notes: Notes) -> np.ndarray:
    first, last = axes.get_xlim()
    return (notes.start < last) & (notes.end >= first)


def _boxes(axes: Axes, notes: Notes, half_height: float) -> list[np.ndarray]:
    """Corners, n of (4, 2); no box narrower than can be seen."""
    first, last = axes.get_xlim()
    end = np.maximum(notes.end, notes.start + (last - first) / 900)
    low, high = notes.pitch - half_height, notes.pitch + half_height
    across = np.stack((notes.start, end, end, notes.start), axis=1)
    return list(np.stack((across, np.stack((low, low, high, high), axis=1)), axis=2))


def _shades(velocity: np.ndarray, soft: str, loud: str) -> np.ndarray:
    from matplotlib.colors import to_rgb

    strength = ((velocity - SOFTEST) / (LOUDEST - SOFTEST)).clip(0, 1)[:, None]
    return np.asarray(to_rgb(soft)) * (1 - strength) + np.asarray(to_rgb(loud)) * strength


def _legend(figure: Figure, top: float, height: float, with_melody: bool) -> None:
    """A ramp from soft to loud at the upper right, and what an outline means."""
    right = 1 - MARGIN_INCHES / WIDTH_INCHES / 2
    text: dict[str, Any] = {"color": FAINT, "fontsize": 9, "va": "center"}
    figure.text(right - 0.028, top, "loud", ha="left", **text)
    ramp = np.linspace(SOFTEST, LOUDEST, 64)
    rows = [_shades(ramp, SOFT, LOUD)] + [_shades(ramp, MELODY_SOFT, MELODY_LOUD)] * with_melody
    axes = figure.add_axes((right - 0.107, top - 0.065 / height, 0.075, 0.13 / height))
    axes.imshow(np.stack(rows), aspect="auto", interpolation="nearest")
    axes.set_axis_off()
    figure.text(right - 0.111, top, "soft", ha="right", **text)
    if with_melody:
        frame = figure.add_axes((right - 0.268, top - 0.05 / height, 0.018, 0.10 / height))
        frame.set(xticks=[], yticks=[], facecolor="none")
        for spine in frame.spines.values():
            spine.set(color=MELODY_EDGE, linewidth=0.9)
        figure.text(right - 0.245, top, "melody", ha="left", **text)


def _one_line(title: str) -> str:
    """What can be printed of a title, cut where it is too long."""
    line = "".join(letter for letter in " ".join(title.split()) if letter.isprintable())
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1]}…"


def _tick_seconds(row_seconds: float) -> float:
    """A round time that divides a row into at most 16 parts."""
    return next((step for step in TICK_SECONDS if row_seconds <= 16 * step), row_seconds / 8)


def _clock(seconds: float) -> str:
    """Tick labels: 0:07, 1:30, 0:02.50."""
    minutes, rest = divmod(round(seconds, 2), 60)
    return f"{int(minutes)}:{rest:05.2f}" if rest % 1 else f"{int(minutes)}:{int(rest):02}"
