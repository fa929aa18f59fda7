"""What comes of a generation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicstyle.generation.ranking import Measures
from musicstyle.music.conductor import UNSAID, Conductor
from musicstyle.music.interop import to_pretty_midi
from musicstyle.music.notes import Notes
from musicstyle.music.outputs import write_output

if TYPE_CHECKING:
    import pretty_midi


@dataclass(frozen=True)
class Generation:
    """A generated piece and how it came about.

    Attributes:
        notes: What was played; a primer comes first.
        melody: The tune it was asked to play, as far as it goes, on the time axis and at the pitch of `notes`; None
            without one.
        seed: The seed that gave it.
        retries: How many rounds of seeds before its own were not enough: a round tries as many as are still missing.
        tokens: Ids sampled for it.
        seconds_taken: Wall-clock time; of several variations, until all were there; of a stream, until all was written.
        settings: Everything needed to repeat it.
        conductor: Tempo, metre and key of the tune, without one of the primer, on the time axis and at the pitch of
            `notes`.
        begin_seconds: Where the primer ends and the new begins; 0 without a primer.
        measures: How well it does what was asked; None unless there were variations to rank.
    """

    notes: Notes
    melody: Notes | None
    seed: int
    retries: int
    tokens: int
    seconds_taken: float
    settings: dict[str, Any]
    conductor: Conductor = UNSAID
    begin_seconds: float = 0.0
    measures: Measures | None = None

    @property
    def new_seconds(self) -> float:
        """How much music was made: the length without the primer."""
        return max(0.0, self.notes.duration_seconds - self.begin_seconds)

    @property
    def new_notes(self) -> int:
        """How many notes were made: those behind the primer."""
        return int((self.notes.start >= self.begin_seconds).sum())

    @property
    def real_time_factor(self) -> float:
        """Seconds of music made in a second."""
        return self.new_seconds / self.seconds_taken if self.seconds_taken > 0 else float("inf")

    def save(self, path: str | Path) -> None:
        """Write it as MIDI, sound, picture or page, by the suffix; MIDI text and page say how it came about.

        MIDI is written in the tune's bars.

        Raises:
            UsageError: An unknown suffix.
            OSError: The file cannot be written.
        """
        write_output(path, self.notes, self.melody, conductor=self.conductor, facts=self.settings)

    def to_pretty_midi(self) -> pretty_midi.PrettyMIDI:
        """The notes as one piano of pretty_midi."""
        return to_pretty_midi(self.notes)
