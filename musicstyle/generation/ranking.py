"""Which of several variations does best what was asked, by the project's own measures.

Melody kept is the share of the tune's notes that sound within 100 ms; style near is the mean overlapping area of the
eight features with the style's performance, or of several the mean by their shares. Variations are ranked by the mean
of those that can be had. All are of one length, so their areas may be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from musicstyle.generation.performances import Performances
from musicstyle.music.matching import match
from musicstyle.music.notes import Notes

TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True)
class Measures:
    """How well a piece does what was asked.

    Attributes:
        melody_kept: Share of the melody's notes that sound, 0..1; None without a melody.
        style_near: Mean overlapping area with the style, 0..1; None without one.
    """

    melody_kept: float | None
    style_near: float | None

    @property
    def mean(self) -> float:
        """The mean of what was measured, 0..1; 0 if nothing was."""
        known = [value for value in (self.melody_kept, self.style_near) if value is not None]
        return sum(known) / len(known) if known else 0.0


def measure(notes: Notes, melody: Notes | None, style: Performances | None) -> Measures:
    """Measure a piece.

    Args:
        notes: What was played, without a primer.
        melody: What it was to play, on the same time axis.
        style: What it was to be like.
    """
    return Measures(
        len(match(melody, notes, TOLERANCE_SECONDS)[0]) / len(melody) if melody is not None and len(melody) else None,
        None if style is None else style.near(notes),
    )
