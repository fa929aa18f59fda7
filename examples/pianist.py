"""A pianist for scores: an Interpretation says how a score is played.

Phrases breathe in tempo and loudness, the melody leads by 10 to 25 ms and sounds louder, chords are not struck at once,
the end slows down, the foot follows the harmony, and hands are uneven. Everything random is drawn from the seed of the
interpretation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scores.notation import ScoreNote

GRID_BEATS = 1 / 16  # the tempo is constant over so much of a beat
SHORTEST_SECONDS = 0.04
KEY_RETURN_SECONDS = 0.03  # a key has to come up before it can be struck again


@dataclass(frozen=True)
class Phrase:
    """Bars from first to last (1 is the first bar played) under one arc; loudness is added to every velocity in it."""

    first_bar: int
    last_bar: int
    loudness: float = 0.0


@dataclass(frozen=True)
class Hand:
    """How one voice of the score is played.

    Attributes:
        velocity: Its loudness at rest.
        legato: Sounding part of the written duration.
        lead_seconds: How much it comes before the beat.
        contour: Velocity added for each semitone above the voice's mean pitch.
    """

    velocity: float
    legato: float
    lead_seconds: float = 0.0
    contour: float = 0.3


@dataclass(frozen=True)
class Interpretation:
    """How a score is played. Units are in the names; fractions are of the tempo."""

    title: str
    seed: int
    bpm: float
    beats_per_bar: int
    hands: tuple[Hand, ...]
    phrases: tuple[Phrase, ...]
    arc_tempo: float  # how much faster the middle of a phrase is than its ends
    arc_velocity: float  # how much louder it is
    breath_beats: float  # time taken before a new phrase
    drift: float  # standard deviation of the slow wandering of the tempo
    accents: tuple[float, ...]  # velocity added on each equal part of a bar
    delays_beats: tuple[float, ...]  # lateness of each equal part of a bar
    chord_spread_seconds: float
    ritardando_beats: float
    ritardando_depth: float
    jitter_seconds: float = 0.006
    jitter_velocity: float = 2.5
    hold_seconds: float = 1.0  # the last chord is held so much longer
    pedal_beats: tuple[float, ...] = ()  # lengths of pedals in a bar, one after the other; none: dry
    pedal_bars: frozenset[int] = field(default_factory=frozenset)  # only in these bars; empty: in all


@dataclass(frozen=True)
class PlayedNote:
    """A note of the performance: seconds, MIDI pitch and velocity."""

    start_seconds: float
    end_seconds: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Performance:
    """A played score: its notes, and its pedal as (seconds, value of controller 64)."""

    title: str
    notes: tuple[PlayedNote, ...]
    pedal: tuple[tuple[float, int], ...]

    @property
    def seconds(self) -> float:
        """The time of the last key's release."""
        return max(note.end_seconds for note in self.notes)


class Pulse:
    """Where each beat of the score falls, in seconds."""

    def __init__(self, how: Interpretation, beats: float, random: np.random.Generator) -> None:
        self._grid = np.arange(0, beats + 2 * how.beats_per_bar, GRID_BEATS)
        tempo = _arc_tempo(how, self._grid) + _wander(how.drift, len(self._grid), random)
        tempo *= _ritardando(how, beats - self._grid)
        lengths = 60 / how.bpm / tempo * GRID_BEATS
        for phrase in how.phrases[1:]:
            before = (phrase.first_bar - 1) * how.beats_per_bar
            last_half_beat = (self._grid >= before - 0.5) & (self._grid < before)
            lengths[last_half_beat] += how.breath_beats * 60 / how.bpm / last_half_beat.sum()
        self._seconds = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])

    def seconds(self, beats: float) -> float:
        """Give the time of a place in the score."""
        return float(np.interp(beats, self._grid, self._seconds))


def _arc_tempo(how: Interpretation, beats: np.ndarray) -> np.ndarray:
    """Speed up to the middle of each phrase and slow down at its end."""
    tempo = np.ones_like(beats)
    for phrase in how.phrases:
        place = _place(how, phrase, beats)
        inside = (place >= 0) & (place < 1)
        tempo[inside] += how.arc_tempo * (np.sin(np.pi * place[inside] ** 0.85) - 0.6)
    return tempo


def _place(how: Interpretation, phrase: Phrase, beats: np.ndarray) -> np.ndarray:
    """Say where in the phrase beats lie: 0 at its beginning, 1 at its end."""
    first = (phrase.first_bar - 1) * how.beats_per_bar
    return (beats - first) / (phrase.last_bar * how.beats_per_bar - first)


def _wander(spread: float, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw the slow wandering of a tempo: noise that forgets itself in some two beats."""
    memory = 1 - GRID_BEATS / 2
    wander = np.zeros(count)
    for index, noise in enumerate(random.normal(0, spread * np.sqrt(1 - memory**2), count - 1), start=1):
        wander[index] = memory * wander[index - 1] + noise
    return wander


def _ritardando(how: Interpretation, beats_left: np.ndarray) -> np.ndarray:
    """Slow down to the end."""
    place = np.clip(1 - beats_left / how.ritardando_beats, 0, 1)
    return 1 - how.ritardando_depth * place**1.6


def perform(how: Interpretation, score: Sequence[ScoreNote]) -> Performance:
    """Play a score."""
    random = np.random.default_rng(how.seed)
    beats = max(note.onset_beats + note.duration_beats for note in score)
    pulse = Pulse(how, beats, random)
    means = [np.mean([note.pitch for note in score if note.voice == voice]) for voice in range(len(how.hands))]
    notes = []
    by_chord = sorted(score, key=lambda note: (note.onset_beats, note.voice, note.pitch))
    for _, together in itertools.groupby(by_chord, key=lambda note: (note.onset_beats, note.voice)):
        chord = list(together)
        spread = np.cumsum([0.0, *random.uniform(0.3, 1.7, len(chord) - 1)]) * how.chord_spread_seconds
        last = chord[0].onset_beats + chord[0].duration_beats >= beats
        for note, late in zip(chord, spread - spread[-1] / 2, strict=True):
            notes.append(_play(how, note, pulse, float(late), float(means[note.voice]), random, last=last))
    first = min(note.start_seconds for note in notes) - 0.5
    shifted = [_at(note, note.start_seconds - first, note.end_seconds - first) for note in notes]
    pedal = tuple((at - first, value) for at, value in _pedal(how, pulse, beats, random))
    return Performance(how.title, tuple(_release_keys(shifted)), pedal)


def _play(
    how: Interpretation,
    note: ScoreNote,
    pulse: Pulse,
    late_seconds: float,
    mean_pitch: float,
    random: np.random.Generator,
    *,
    last: bool,
) -> PlayedNote:
    """Strike one key: when, how long and how hard."""
    hand = how.hands[note.voice]
    in_bar = note.onset_beats % how.beats_per_bar / how.beats_per_bar
    delay = how.delays_beats[int(in_bar * len(how.delays_beats))] * 60 / how.bpm
    lead = hand.lead_seconds * random.uniform(0.7, 1.3)
    written_start = pulse.seconds(note.onset_beats)
    start = written_start + delay + late_seconds - lead + random.normal(0, how.jitter_seconds)
    held = (pulse.seconds(note.onset_beats + note.duration_beats) - written_start) * hand.legato
    held = held * random.normal(1, 0.06) + (how.hold_seconds if last else 0)
    velocity = (
        hand.velocity
        + _loudness(how, note.onset_beats)
        + how.accents[int(in_bar * len(how.accents))]
        + hand.contour * (note.pitch - mean_pitch)
        + random.normal(0, how.jitter_velocity)
    )
    return PlayedNote(start, start + max(held, SHORTEST_SECONDS), note.pitch, int(np.clip(round(velocity), 12, 122)))


def _loudness(how: Interpretation, beats: float) -> float:
    """Swell to the middle of the phrase."""
    for phrase in how.phrases:
        place = float(_place(how, phrase, np.array(beats)))
        if 0 <= place < 1:
            return phrase.loudness + how.arc_velocity * (float(np.sin(np.pi * place)) - 0.5)
    return 0.0


def _at(note: PlayedNote, start_seconds: float, end_seconds: float) -> PlayedNote:
    """Move a note to times in whole milliseconds."""
    return PlayedNote(round(start_seconds, 3), round(end_seconds, 3), note.pitch, note.velocity)


def _release_keys(notes: Sequence[PlayedNote]) -> Iterator[PlayedNote]:
    """Let each key come up before it is struck again."""
    by_key = sorted(notes, key=lambda note: (note.pitch, note.start_seconds))
    for note, following in itertools.zip_longest(by_key, by_key[1:]):
        end = note.end_seconds
        if following is not None and following.pitch == note.pitch:
            halfway = (note.start_seconds + following.start_seconds) / 2
            end = min(end, max(following.start_seconds - KEY_RETURN_SECONDS, halfway))
        yield _at(note, note.start_seconds, end)


def _pedal(how: Interpretation, pulse: Pulse, beats: float, random: np.random.Generator) -> list[tuple[float, int]]:
    """Change the pedal after the harmony: the foot comes up just after the new bass and goes down a moment later."""
    changes = []
    for bar in range(int(np.ceil(beats / how.beats_per_bar))):
        if how.pedal_bars and bar + 1 not in how.pedal_bars:
            continue
        start = float(bar * how.beats_per_bar)
        for length in how.pedal_beats:
            end = min(start + length, beats)
            if end > start:
                down = pulse.seconds(start) + random.uniform(0.09, 0.16)
                up = pulse.seconds(end) + (how.hold_seconds if end >= beats else random.uniform(0.0, 0.04))
                changes += _foot(down, up, int(random.integers(88, 128)))
            start = end
    return changes


def _foot(down_seconds: float, up_seconds: float, depth: int) -> list[tuple[float, int]]:
    """Move the foot down and up: the controller goes through values between, as a pianist's does."""
    going_down = [(down_seconds - 0.03, depth // 3), (down_seconds - 0.015, 2 * depth // 3), (down_seconds, depth)]
    return [*going_down, (up_seconds - 0.015, depth // 2), (up_seconds, 0)]
