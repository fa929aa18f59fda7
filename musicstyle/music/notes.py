"""Notes: what every other room understands. Four arrays, sorted, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from musicstyle.music.vocabulary import MAX_PITCH, MIN_PITCH, STEPS_PER_SECOND, bin_velocity, velocity_bin

if TYPE_CHECKING:
    from collections.abc import Sequence

Index = slice | np.ndarray
TOGETHER_STEPS = 5  # 50 ms


@dataclass(frozen=True, eq=False)
class Notes:
    """Notes sorted by (start, pitch), ties by (end, velocity). Make them with `from_arrays`, which sorts and checks.

    Attributes:
        start: Onsets, seconds, (n,) float64.
        end: Offsets, seconds, (n,) float64, none before its onset.
        pitch: MIDI pitches, (n,) int64.
        velocity: 1..127, (n,) int64.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray

    @classmethod
    def from_arrays(cls, start: Any, end: Any, pitch: Any, velocity: Any) -> Notes:
        """Sort and check four sequences of the same length.

        Raises:
            ValueError: different lengths; a time that is negative, infinite or NaN; an end before its start; a pitch
                outside 0..127; a velocity outside 1..127.
        """
        notes = cls(
            np.asarray(start, dtype=np.float64),
            np.asarray(end, dtype=np.float64),
            np.asarray(pitch, dtype=np.int64),
            np.asarray(velocity, dtype=np.int64),
        )
        notes._check()
        return notes.in_order()

    @classmethod
    def empty(cls) -> Notes:
        """No notes."""
        return cls.from_arrays([], [], [], [])

    @classmethod
    def concatenate(cls, parts: Sequence[Notes]) -> Notes:
        """All notes of all parts together, sorted. Times are left as they are."""
        if not parts:
            return cls.empty()
        together = zip(*(part.columns() for part in parts), strict=True)
        return cls(*(np.concatenate(columns) for columns in together)).in_order()

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, index: Index) -> Notes:
        """The notes of a slice, of a boolean mask or at an array of places; these must leave them sorted."""
        return Notes(*(column[index] for column in self.columns()))

    def __repr__(self) -> str:
        return f"Notes({len(self)} in {self.duration_seconds:.2f} s)"

    @property
    def duration_seconds(self) -> float:
        """The last offset, 0 if there are no notes."""
        return float(self.end.max()) if len(self) else 0.0

    def equals(self, other: Notes, tolerance_seconds: float = 0.0) -> bool:
        """Same notes in the same order, times within the tolerance."""
        if len(self) != len(other):
            return False
        exact = np.array_equal(self.pitch, other.pitch) and np.array_equal(self.velocity, other.velocity)
        return exact and all(
            bool(np.all(np.abs(mine - theirs) <= tolerance_seconds))
            for mine, theirs in ((self.start, other.start), (self.end, other.end))
        )

    def crop(self, start_seconds: float, end_seconds: float) -> Notes:
        """Notes whose onset lies in [start, end), ends cut at the end, time counted from the start."""
        first, last = np.searchsorted(self.start, [start_seconds, end_seconds], side="left")
        inside = self[first:last]
        return Notes(
            inside.start - start_seconds,
            np.minimum(inside.end, end_seconds) - start_seconds,
            inside.pitch,
            inside.velocity,
        ).in_order()

    def shift(self, seconds: float) -> Notes:
        """All notes later by `seconds` (earlier if negative)."""
        return Notes(self.start + seconds, self.end + seconds, self.pitch, self.velocity)

    def from_zero(self) -> Notes:
        """The same notes, the first of them at 0.

        Raises:
            IndexError: there is none.
        """
        return self.shift(-float(self.start[0]))

    def stretch(self, factor: float) -> Notes:
        """All times multiplied by `factor`: 2 is half as fast.

        Raises:
            ValueError: the factor is not above 0.
        """
        if not factor > 0:
            raise ValueError(f"stretch factor must be above 0, not {factor}")
        return Notes(self.start * factor, self.end * factor, self.pitch, self.velocity)

    def transpose(self, semitones: int) -> Notes:
        """All pitches higher by `semitones`. Drops nothing: see `in_piano_range`."""
        return Notes(self.start, self.end, self.pitch + semitones, self.velocity)

    def in_piano_range(self) -> np.ndarray:
        """Which notes have a key on the piano, 21..108, (n,) bool."""
        return (self.pitch >= MIN_PITCH) & (self.pitch <= MAX_PITCH)

    def steps(self, steps_per_second: int = STEPS_PER_SECOND) -> tuple[np.ndarray, np.ndarray]:
        """Onsets and offsets in whole steps, (n,) int64 each: int(t * rate + 0.5), at least one step long."""
        start = np.floor(self.start * steps_per_second + 0.5).astype(np.int64)
        end = np.floor(self.end * steps_per_second + 0.5).astype(np.int64)
        return start, np.maximum(end, start + 1)

    def chords(self) -> np.ndarray:
        """Number of each note's chord, from 0, (n,): a chord is what begins within TOGETHER_STEPS of its first note."""
        onset = self.steps()[0]
        after = np.searchsorted(onset, onset + TOGETHER_STEPS, side="right").tolist()
        begins = np.zeros(len(onset), dtype=np.int64)
        first = 0
        while first < len(onset):
            begins[first] = 1
            first = after[first]
        return np.cumsum(begins) - 1

    def reading_order(self) -> np.ndarray:
        """The order in which notes are read, chord by chord and each from low to high, (n,)."""
        return np.lexsort((self.pitch, self.chords()))

    def quantized(self) -> Notes:
        """What performance tokens can say of these notes: decode(encode(notes)) exactly, for any notes in range.

        Times go to the nearest step and a note is at least one step long. Velocities go to the lowest of their bin of
        four. A NOTE_OFF names a pitch, not a note, so where notes of one pitch overlap the first to begin is the first
        to end: the onsets (in order, ties by velocity) are paired with the offsets (in order). Notes of one pitch that
        do not overlap keep their own offset.
        """
        start, end = self.steps()
        bins = velocity_bin(self.velocity)
        onsets = np.lexsort((bins, start, self.pitch))
        offsets = np.lexsort((end, self.pitch))
        return Notes(
            start[onsets] / STEPS_PER_SECOND,
            end[offsets] / STEPS_PER_SECOND,
            self.pitch[onsets],
            bin_velocity(bins[onsets]),
        ).in_order()

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Start, end, pitch, velocity."""
        return self.start, self.end, self.pitch, self.velocity

    def in_order(self) -> Notes:
        """The same notes, sorted as Notes must be. For whoever builds them from arrays known to be valid."""
        return self[np.lexsort((self.velocity, self.end, self.pitch, self.start))]

    def _check(self) -> None:
        lengths = {column.shape for column in self.columns()}
        if len(lengths) != 1 or self.start.ndim != 1:
            raise ValueError(f"start, end, pitch and velocity must be 1-D and of one length, not {sorted(lengths)}")
        if not (np.isfinite(self.start).all() and np.isfinite(self.end).all()):
            raise ValueError("note times must be finite")
        if (self.start < 0).any() or (self.end < self.start).any():
            raise ValueError("note times must not be negative, nor a note end before it starts")
        if ((self.pitch < 0) | (self.pitch > 127)).any():
            raise ValueError("pitches must lie in 0..127")
        if ((self.velocity < 1) | (self.velocity > 127)).any():
            raise ValueError("velocities must lie in 1..127")
