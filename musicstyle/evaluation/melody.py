"""How much of a melody can be heard in a performance of it: a pure function of two sets of notes.

Specification. A melody note *sounds* within a tolerance if the performance strikes the same pitch at most that long
before or after its onset. The matching is one to one and as large as possible; among notes of one pitch it keeps the
order in time. Tolerances are 50 ms (the usual one of transcription, MIREX) and 100 ms (one frame of the melody as the
model hears it: frames round onsets to the nearest 100 ms, so no model that hears frames alone can promise the 50 ms).

- share_50, share_100: melody notes that sound, divided by melody notes.
- on_top: of those that sound within 100 ms, the share above which nothing is struck within 50 ms of them.
- extra_above: notes struck while a melody note lasts, higher than it and no sounding melody note themselves, divided by
  melody notes. Later strikes count too, so it may be above 1.
- deviation_seconds: mean distance of onsets, and bias_seconds: mean of performance minus melody, of those that sound
  within 100 ms.
- chance_50, chance_100: the same shares for the melody moved away, the higher of two means: moved in time (by 8 parts
  of its length, the multiples of the golden ratio, wrapped around: same pitches, same key, other places) and moved in
  pitch (by 1 to 6 semitones up and down: same rhythm, other keys). A dense performance hits much by chance; a share
  means something only above it.

Scores add: counts are summed over pieces and divided once, so a long tune weighs more than a short one.

The published system (Choi et al. 2020) judges the melody by listeners alone; nothing here deviates from it, nothing
there compares. Both pieces must share one time axis: the first melody note at 0 and no tempo of the performer's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from musicstyle.music.matching import SLACK_SECONDS, match
from musicstyle.music.notes import Notes

NARROW_SECONDS, WIDE_SECONDS = 0.05, 0.1
GOLDEN = (5**0.5 - 1) / 2
TIME_MOVES = tuple((k * GOLDEN) % 1 for k in range(1, 9))  # parts of the melody's length
PITCH_MOVES = tuple(semitones for semitones in range(-6, 7) if semitones)


@dataclass(frozen=True)
class MelodyScore:
    """Counts of one or more pieces; they add. The shares of the module's specification are its properties.

    Attributes:
        notes: Melody notes.
        hits_50, hits_100: Melody notes that sound within 50 and 100 ms.
        top: Of hits_100, those above which nothing is struck.
        above: Extra notes above the melody.
        distance_seconds, offset_seconds: Sums over hits_100 of |performance - melody| and of performance - melody.
        moved_time_50, moved_time_100, moved_pitch_50, moved_pitch_100: Mean hits of the melody moved away.
    """

    notes: int = 0
    hits_50: int = 0
    hits_100: int = 0
    top: int = 0
    above: int = 0
    distance_seconds: float = 0.0
    offset_seconds: float = 0.0
    moved_time_50: float = 0.0
    moved_time_100: float = 0.0
    moved_pitch_50: float = 0.0
    moved_pitch_100: float = 0.0

    def __add__(self, other: MelodyScore) -> MelodyScore:
        """The score of both sets of pieces together."""
        return MelodyScore(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def share_50(self) -> float:
        """Melody notes that sound within 50 ms."""
        return self.hits_50 / max(self.notes, 1)

    @property
    def share_100(self) -> float:
        """Melody notes that sound within 100 ms."""
        return self.hits_100 / max(self.notes, 1)

    @property
    def chance_50(self) -> float:
        """What moving the melody away leaves of `share_50`."""
        return max(self.moved_time_50, self.moved_pitch_50) / max(self.notes, 1)

    @property
    def chance_100(self) -> float:
        """What moving the melody away leaves of `share_100`."""
        return max(self.moved_time_100, self.moved_pitch_100) / max(self.notes, 1)

    @property
    def on_top(self) -> float:
        """Of those that sound, the share with nothing struck above."""
        return self.top / max(self.hits_100, 1)

    @property
    def extra_above(self) -> float:
        """Extra notes above the melody, a melody note."""
        return self.above / max(self.notes, 1)

    @property
    def deviation_seconds(self) -> float:
        """Mean distance in time of those that sound."""
        return self.distance_seconds / max(self.hits_100, 1)

    @property
    def bias_seconds(self) -> float:
        """Mean lateness of those that sound."""
        return self.offset_seconds / max(self.hits_100, 1)

    def to_dict(self) -> dict[str, float]:
        """The shares by name, rounded, and the number of melody notes they are of."""
        names = (
            "share_50",
            "share_100",
            "chance_50",
            "chance_100",
            "on_top",
            "extra_above",
            "deviation_seconds",
            "bias_seconds",
        )
        return {"notes": self.notes, **{name: round(getattr(self, name), 4) for name in names}}


def score_melody(melody: Notes, performance: Notes) -> MelodyScore:
    """Compare a performance with the melody it should play, on one time axis.

    Args:
        melody: One voice.
        performance: Anything.
    """
    heard, struck = match(melody, performance, WIDE_SECONDS)
    offset = performance.start[struck] - melody.start[heard]
    moved = {
        (name, tolerance): float(np.mean([len(match(m, performance, tolerance)[0]) for m in candidates] or 0))
        for name, candidates in (("time", moved_in_time(melody)), ("pitch", moved_in_pitch(melody)))
        for tolerance in (NARROW_SECONDS, WIDE_SECONDS)
    }
    return MelodyScore(
        notes=len(melody),
        hits_50=len(match(melody, performance, NARROW_SECONDS)[0]),
        hits_100=len(heard),
        top=int(_is_on_top(performance, struck).sum()),
        above=_extra_above(melody, performance, struck),
        distance_seconds=float(np.abs(offset).sum()),
        offset_seconds=float(offset.sum()),
        moved_time_50=moved["time", NARROW_SECONDS],
        moved_time_100=moved["time", WIDE_SECONDS],
        moved_pitch_50=moved["pitch", NARROW_SECONDS],
        moved_pitch_100=moved["pitch", WIDE_SECONDS],
    )


def moved_in_time(melody: Notes) -> list[Notes]:
    """The melody begun elsewhere: every onset later by a part of the melody's length, wrapped around."""
    length = max(melody.duration_seconds, SLACK_SECONDS)
    moved = []
    for part in TIME_MOVES:
        start = (melody.start + part * length) % length
        moved.append(Notes.from_arrays(start, start, melody.pitch, melody.velocity))
    return moved


def moved_in_pitch(melody: Notes) -> list[Notes]:
    """The melody in other keys, as far as they lie within MIDI's pitches; none if it takes all of them."""
    low, high = (int(melody.pitch.min()), int(melody.pitch.max())) if len(melody) else (60, 60)
    return [
        melody.transpose(semitones) for semitones in PITCH_MOVES if 0 <= low + semitones and high + semitones <= 127
    ]


def _is_on_top(performance: Notes, struck: np.ndarray) -> np.ndarray:
    """For each of these notes, whether nothing higher is struck within 50 ms of it."""
    reach = NARROW_SECONDS + SLACK_SECONDS
    first = np.searchsorted(performance.start, performance.start[struck] - reach)
    last = np.searchsorted(performance.start, performance.start[struck] + reach, side="right")
    together = zip(first.tolist(), last.tolist(), performance.pitch[struck].tolist(), strict=True)
    return np.array([performance.pitch[a:b].max() <= pitch for a, b, pitch in together], dtype=bool)


def _extra_above(melody: Notes, performance: Notes, struck: np.ndarray) -> int:
    """How many notes are struck above a lasting melody note, those that play the melody left out."""
    if not len(melody):
        return 0
    others = np.ones(len(performance), dtype=bool)
    others[struck] = False
    start, pitch = performance.start[others], performance.pitch[others]
    current = np.searchsorted(melody.start, start + SLACK_SECONDS, side="right") - 1
    lasts = (current >= 0) & (start < melody.end[current])
    return int((lasts & (pitch > melody.pitch[current])).sum())
