"""Cut a stretch of ids out of a piece of a corpus, and say where else in the piece to listen.

NumPy only; only the notes of the crop are read from the mapped file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from musicstyle.corpus.store import notes_of
from musicstyle.music.melody import Extractor, melody_flags, melody_frames
from musicstyle.music.notes import Notes
from musicstyle.music.performance import elapsed_steps, encode
from musicstyle.music.vocabulary import (
    FRAMES_PER_SECOND,
    MAX_PITCH,
    MIN_PITCH,
    NOTE_ON,
    PERFORMANCE,
    SHIFT_STEPS,
    STEPS_PER_SECOND,
)

if TYPE_CHECKING:
    from musicstyle.corpus.store import Corpus

SHORT_SILENCE_SECONDS = 0.15  # a melody note is taken to last through it
_STEPS_PER_FRAME = STEPS_PER_SECOND // FRAMES_PER_SECOND
_IS_NOTE_ON = PERFORMANCE.kinds == PERFORMANCE.kind_index(NOTE_ON)


@dataclass(frozen=True, eq=False)
class Crop:
    """Notes of a piece from one note on, as ids.

    Attributes:
        ids: Performance ids, (n,), without EOS.
        steps: Clock at the end, in steps of 10 ms.
        notes: The notes whose NOTE_ON is among the ids, time 0 at the first onset, ends no later than the clock's.
        melody: Which of them are the melody, (notes,) bool.
        last: First note of the piece behind the crop's.
    """

    ids: np.ndarray
    steps: int
    notes: Notes
    melody: np.ndarray
    last: int


@dataclass(frozen=True)
class Change:
    """How a crop is augmented.

    Attributes:
        stretch: Times are multiplied by it.
        reach: Widest transposition in semitones. Only amounts that keep every note within 21..108 are possible.
        where: In [0, 1): which of the possible transpositions, from the lowest to the highest.
    """

    stretch: float = 1.0
    reach: int = 0
    where: float = 0.5

    def semitones(self, pitch: np.ndarray) -> int:
        """The transposition of notes with these pitches, all within 21..108."""
        possible = transpositions(pitch, self.reach)
        return possible[int(self.where * len(possible))]


def transpositions(pitch: np.ndarray, reach: int) -> range:
    """By how many semitones, at most `reach` up or down, pitches within 21..108 can move and stay there."""
    return range(max(-reach, MIN_PITCH - int(pitch.min())), min(reach, MAX_PITCH - int(pitch.max())) + 1)


UNCHANGED = Change()


def cut(
    corpus: Corpus, piece: int, first: int, tokens: int, *, last: int | None = None, change: Change = UNCHANGED
) -> Crop:
    """Crop `tokens` ids out of a piece: exactly the first ones of all its notes from `first` on.

    Args:
        corpus: Where the piece is.
        piece: Which one.
        first: Its note that becomes time 0.
        tokens: Most ids to give.
        last: The note to stop before; the piece's end by default.
        change: Stretch and transposition.
    """
    last = int(corpus.pieces["count"][piece]) if last is None else last
    size = notes_for(corpus, piece, tokens) * 5 // 4 + 1
    while True:
        stop = min(first + size, last)
        records = corpus.records(piece, first, min(stop + 1, last))
        notes = notes_of(records)
        notes = notes.from_zero().stretch(change.stretch)
        notes = notes.transpose(change.semitones(notes.pitch))
        inside, melody = notes[: stop - first], records["melody"][: stop - first]
        ids = encode(inside)
        elapsed = elapsed_steps(ids)
        # Before the onset of the note left out, nothing can differ from the encoding of the whole piece.
        sure = len(ids) if stop == last else int(np.searchsorted(elapsed, notes.steps()[0][-1]))
        if stop == last or sure >= tokens:
            return cut_notes(inside, melody, ids, tokens, first)
        size *= 2


def cut_notes(notes: Notes, melody: np.ndarray, ids: np.ndarray, tokens: int, first: int = 0) -> Crop:
    """The crop of the first `tokens` of the ids of `notes`; `first` is the number of the first note in its piece."""
    ids = ids[:tokens]
    steps = int(SHIFT_STEPS[ids].sum())
    order = np.lexsort((notes.pitch, notes.steps()[0]))
    heard = np.zeros(len(notes), dtype=bool)
    heard[order[: np.count_nonzero(_IS_NOTE_ON[ids])]] = True
    kept = notes[heard]
    end = steps / STEPS_PER_SECOND
    # A note that begins just behind its step's time may begin behind the clock's end.
    kept = Notes(kept.start, np.maximum(np.minimum(kept.end, end), kept.start), kept.pitch, kept.velocity)
    after = int(np.flatnonzero(heard)[-1]) + 1 if len(kept) else 1
    return Crop(ids, steps, kept, melody[heard], first + after)


def notes_for(corpus: Corpus, piece: int, tokens: int) -> int:
    """How many notes of this piece make about so many ids, at least 1."""
    return max(1, tokens * int(corpus.pieces["count"][piece]) // max(int(corpus.pieces["tokens"][piece]), 1))


def other_place(count: int, first: int, last: int, room: int, rng: np.random.Generator) -> tuple[int, int]:
    """Where else to listen in a piece of `count` notes whose notes first..last-1 are taken.

    Returns:
        (start, stop): begin at note `start`, end before `stop`. If `room` notes are free before or after the taken
        ones, a random place there; else the longer side whole, if it has at least a quarter of that; else a part of at
        most half the piece, at its end that is farther away.
    """
    before, after = max(first - room + 1, 0), max(count - last - room + 1, 0)  # possible starts on each side
    if before + after:
        place = int(rng.integers(before + after))
        return (place, first) if place < before else (last + place - before, count)
    if max(first, count - last) >= max(room // 4, 1):
        return (0, first) if first >= count - last else (last, count)
    half = min(room, max(count // 2, 1))
    if first == count - last:
        start = int(rng.integers(count - half + 1))
    else:
        start = 0 if first > count - last else count - half
    return start, start + half


def crop_melody(crop: Crop, extractor: Extractor = "published") -> np.ndarray:
    """Melody ids of a crop at 10 Hz, (frames,): frame 0 is time 0, the last is that of its last step. None is later.

    Args:
        crop: Its flags are the published extraction's.
        extractor: "line" is found anew in the crop; its notes end as the published ones do, so that it does not tell
            how long they sound.
    """
    frames = (crop.steps + _STEPS_PER_FRAME // 2) // _STEPS_PER_FRAME + 1
    flags = crop.melody if extractor == "published" else melody_flags(crop.notes, extractor)
    return melody_frames(one_voice(crop.notes, flags), frames=frames)


def one_voice(notes: Notes, melody: np.ndarray) -> Notes:
    """The flagged notes, each ending as `extract_melody` ends it: at the next of them, or where all is silent.

    The extraction lets a note last through a silence too short to pay for a rest. How short depends on what follows;
    here it is one number, which gives the extraction's ids on 99.5 % of MAESTRO's frames (60 pieces).
    """
    if not melody.any():
        return notes[melody]
    sounding_until = np.maximum.accumulate(notes.end)
    before_silence = np.append(notes.start[1:] > sounding_until[:-1] + SHORT_SILENCE_SECONDS, True)
    silence = sounding_until[before_silence]
    voice = notes[melody]
    end = silence[np.searchsorted(np.flatnonzero(before_silence), np.flatnonzero(melody))]
    return Notes(voice.start, np.minimum(end, np.append(voice.start[1:], np.inf)), voice.pitch, voice.velocity)
