"""What is to be played and how the model hears it: tempo, transposition, primer and length become one time axis.

With a primer the axis begins at its first note; the tune begins where the primer ends, at the next whole frame, and
under the primer the model hears the primer's own melody. With `transpose="auto"` the model hears everything `shift`
semitones higher than it sounds in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musicstyle.errors import UsageError
from musicstyle.generation.grid import Grid, places
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.performances import Performances
from musicstyle.generation.rules import TWO_HANDS, Duties, Grammar, Limits
from musicstyle.generation.timing import Timekeeper, in_time
from musicstyle.music.conductor import UNSAID, Conductor
from musicstyle.music.melody import extract_melody, melody_frames
from musicstyle.music.notes import Notes
from musicstyle.music.performance import decode, encode
from musicstyle.music.vocabulary import (
    EOS,
    FRAMES_PER_SECOND,
    KEYS,
    MAX_PITCH,
    MIN_PITCH,
    SHIFT_STEPS,
    STEPS_PER_SECOND,
)

TAIL_STEPS = 200  # the last notes may ring for 2 s after the tune
FREE_SECONDS = 30.0  # length without a tune
HEARD_BEYOND_SECONDS = 30.0  # of the tune behind the end: about a crop of those that weights learn from
_STEPS_PER_FRAME = STEPS_PER_SECOND // FRAMES_PER_SECOND


@dataclass(frozen=True)
class Plan:
    """One piece that is to be generated.

    Attributes:
        melody: The tune that is asked for, on the time axis and at the pitch of the result, up to where the piece ends;
            None without one.
        melody_ids: What the model hears: the primer's melody, the tune up to HEARD_BEYOND_SECONDS behind the end, then
            EOS, (frames + 1,); None without a tune.
        primer: Performance ids of the primer as the model hears it, (ids,), empty without one.
        primer_steps: Its length.
        begin_steps: Where the tune begins and the length is counted from: there, or at the next whole frame.
        end_steps: No note begins here or later.
        shift: Semitones by which the model hears everything higher than it is to sound.
        keep_melody: Every melody note is due.
        limits: What the grammar keeps the piece to: those of the style, or of two hands without one.
        conductor: The tune's tempo, metre and key, on the time axis and at the pitch of the result.
        places: Of the grid that the piece is played on, (places,), see musicstyle.generation.grid; None: on none.
    """

    melody: Notes | None
    melody_ids: np.ndarray | None
    primer: np.ndarray
    primer_steps: int
    begin_steps: int
    end_steps: int
    shift: int
    keep_melody: bool
    limits: Limits
    conductor: Conductor
    places: np.ndarray | None

    def grammar(self) -> Grammar:
        """A fresh grammar that has heard the primer."""
        pitches = np.arange(KEYS) + MIN_PITCH - self.shift
        playable = (pitches >= MIN_PITCH) & (pitches <= MAX_PITCH)
        grammar = Grammar(self.end_steps, self.end_steps + TAIL_STEPS, self.limits, playable=playable)
        for event_id in self.primer.tolist():
            grammar.accept(event_id)
        grammar.duties = self._duties()  # after the primer, which fulfils none
        return grammar

    def notes(self, ids: np.ndarray) -> Notes:
        """The primer and what was sampled after it, as they are to sound."""
        played = decode(np.concatenate((self.primer, ids)))[0].transpose(-self.shift)
        notes, grid = in_time(played, self.timekeeper()), self.grid()
        return notes if grid is None else grid.moved(notes)

    def grid(self) -> Grid | None:
        """A fresh one; None if there is none."""
        if self.places is None:
            return None
        return Grid(self.places, self.end_steps / STEPS_PER_SECOND, self.limits.most_struck, self.asked)

    def timekeeper(self) -> Timekeeper:
        """A fresh one, before anything has been struck."""
        return Timekeeper(self.asked, self.primer_seconds, self.end_steps / STEPS_PER_SECOND)

    @property
    def primer_seconds(self) -> float:
        """Where the primer ends and new notes may begin."""
        return self.primer_steps / STEPS_PER_SECOND

    @property
    def asked(self) -> Notes | None:
        """The notes of the tune that begin before the end; those of one key and step are one. None without a tune."""
        if self.melody is None:
            return None
        onset = self.melody.steps()[0]
        _, first = np.unique(np.stack((onset, self.melody.pitch)), axis=1, return_index=True)
        return self.melody[np.sort(first[onset[first] < self.end_steps])]

    def _duties(self) -> Duties | None:
        asked = self.asked if self.keep_melody else None
        return None if asked is None else Duties(*asked.steps(), asked.pitch + self.shift - MIN_PITCH, self.end_steps)


def make_plan(
    tune: Notes | None,
    style: Performances | None,
    primer: Notes | None,
    options: GenerationOptions,
    conductor: Conductor = UNSAID,
) -> Plan:
    """Put tune and primer on one axis.

    Args:
        tune: One voice on the piano's keys, time 0 at its first note.
        style: For its register and its limits.
        primer: Notes on the piano's keys.
        options: tempo, transpose, seconds, keep_melody and whether style_strength is 0 are read.
        conductor: Of the tune, on its clock; without a tune, of what is played, on the time axis of the result.

    Raises:
        UsageError: A setting that means nothing without a tune or a style, or a tune that leaves the piano.
    """
    if tune is None and (options.tempo != 1 or options.transpose != 0):
        raise UsageError("--tempo and --transpose mean nothing without a melody")
    asked = None if tune is None else _as_asked(tune, options)
    shift = 0
    if options.transpose == "auto" and asked is not None:
        if style is None:
            raise UsageError("--transpose auto means nothing without a style, whose register it takes")
        shift = register_shift(asked, style.register, primer)
    start = Notes.empty() if primer is None else primer.from_zero().transpose(shift).quantized()
    ids = encode(start)
    primer_steps = int(SHIFT_STEPS[ids].sum())
    begin = -(-primer_steps // _STEPS_PER_FRAME) * _STEPS_PER_FRAME
    seconds = FREE_SECONDS if asked is None else asked.duration_seconds
    if options.seconds is not None:
        seconds = options.seconds if asked is None else min(seconds, options.seconds)
    end = begin + int(seconds * STEPS_PER_SECOND + 0.5)
    heard = None
    if asked is not None:
        asked = asked.crop(0.0, seconds + HEARD_BEYOND_SECONDS).shift(begin / STEPS_PER_SECOND)
        heard = _melody_ids(start, asked.transpose(shift), begin)
        asked = asked.crop(0.0, begin / STEPS_PER_SECOND + seconds)
        semitones = 0 if options.transpose == "auto" else options.transpose
        conductor = conductor.faster(options.tempo).transposed(semitones).after(begin / STEPS_PER_SECOND)
    if style is None or options.style_strength == 0:
        limits, unit = TWO_HANDS, None
    else:
        limits, unit = style.limits, style.unit_seconds
    last = (end + TAIL_STEPS) / STEPS_PER_SECOND
    grid = None if unit is None else places(asked, unit, primer_steps / STEPS_PER_SECOND, last)
    return Plan(asked, heard, ids, primer_steps, begin, end, shift, options.keep_melody, limits, conductor, grid)


def register_shift(tune: Notes, register: float, primer: Notes | None = None) -> int:
    """Semitones from the tune's register, the median pitch of its notes, to another, as far as the piano reaches.

    Neither the tune nor a primer, which moves with it, leaves the piano.
    """
    apart = round(float(register - np.median(tune.pitch)))
    moved = tune.pitch if primer is None else np.concatenate((tune.pitch, primer.pitch))
    return int(np.clip(apart, MIN_PITCH - moved.min(), MAX_PITCH - moved.max()))


def _as_asked(tune: Notes, options: GenerationOptions) -> Notes:
    """The tune at the tempo and the pitch that were asked for."""
    tune = tune.stretch(1 / options.tempo)
    if options.transpose == "auto":
        return tune
    tune = tune.transpose(options.transpose)
    if not tune.in_piano_range().all():
        raise UsageError(
            f"--transpose {options.transpose} takes the melody to pitches {tune.pitch.min()} to {tune.pitch.max()}, "
            f"off the piano's {MIN_PITCH} to {MAX_PITCH}"
        )
    return tune


def _melody_ids(primer: Notes, tune: Notes, begin_steps: int) -> np.ndarray:
    """The primer's own melody up to where the tune begins, then the tune, then EOS."""
    begin = begin_steps // _STEPS_PER_FRAME
    before = melody_frames(extract_melody(primer) if len(primer) else primer, frames=begin)
    after = melody_frames(tune)[begin:]
    return np.concatenate((before, after, [EOS]))
