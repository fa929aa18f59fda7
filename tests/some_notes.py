"""Notes for tests: drawn by hypothesis, drawn at random, and where the real ones lie."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from musicstyle.music.notes import Notes

DATA = Path(os.environ.get("MUSICSTYLE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@st.composite
def any_notes(draw: st.DrawFn, lowest: int = 21, highest: int = 108, max_size: int = 25) -> Notes:
    """Notes anywhere on a fine or a coarse grid: chords, overlaps of one pitch and notes of no length are common."""
    grid_seconds = draw(st.sampled_from([0.0007, 0.01, 0.25]))
    pitches = st.integers(lowest, min(highest, lowest + draw(st.sampled_from([2, 60]))))
    row = st.tuples(st.integers(0, 400), st.integers(0, 300), pitches, st.integers(1, 127))
    rows = draw(st.lists(row, max_size=max_size))
    start, length, pitch, velocity = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return Notes.from_arrays(start * grid_seconds, (start + length) * grid_seconds, pitch, velocity)


def random_notes(seed: int, count: int, seconds: float = 10.0, *, lowest: int = 21, highest: int = 108) -> Notes:
    """Polyphony with no two times alike."""
    rng = np.random.default_rng(seed)
    start = rng.random(count) * seconds
    end = start + 0.02 + rng.exponential(0.5, count)
    return Notes.from_arrays(start, end, rng.integers(lowest, highest + 1, count), rng.integers(1, 128, count))


def chords(step_seconds: float, spread_seconds: float = 0.0, count: int = 40) -> Notes:
    """Triads, one a step, their notes struck so far apart."""
    start = (np.arange(count)[:, None] * step_seconds + np.arange(3) * spread_seconds).ravel()
    return Notes.from_arrays(start, start + step_seconds / 2, np.tile([48, 60, 64], count), np.full(3 * count, 70))


def played_again(notes: Notes, rng: np.random.Generator, wrong: float = 0.02) -> Notes:
    """Another pianist's: a third slower, freely in time, with other touch and some wrong notes."""
    order = np.argsort(notes.start, kind="stable")
    gap = np.diff(notes.start[order], prepend=0.0) * 1.3 * rng.uniform(0.8, 1.25, len(order))
    start = np.cumsum(gap)
    pitch = np.where(rng.random(len(order)) < wrong, rng.integers(30, 90, len(order)), notes.pitch[order])
    return Notes.from_arrays(start, start + 0.1, pitch, rng.integers(30, 100, len(order)))


def a_tune(rng: np.random.Generator, count: int = 400) -> Notes:
    start = np.cumsum(rng.choice([0.1, 0.2, 0.4], count))
    return Notes.from_arrays(start, start + 0.1, rng.integers(40, 80, count), np.full(count, 64))


def real_files(folder: str, count: int) -> list[Path]:
    """Some MIDI files of the data, spread over the folder; the test is skipped where there are none."""
    files = sorted(path for path in (DATA / folder).rglob("*.mid*") if path.is_file())
    if not files:
        pytest.skip(f"no data in {folder}; MUSICSTYLE_DATA names the folder that holds it")
    return files[:: max(1, len(files) // count)][:count]
