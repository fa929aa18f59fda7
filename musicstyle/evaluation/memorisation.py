"""Is it copied? The longest run of notes that playing shares with the training performances, in any key.

Specification. A performance is read chord by chord: a chord is its first note and all notes begun within 50 ms after it
(onsets in whole steps of 10 ms), from low to high; its notes within the piano's range. A run of n notes is n notes that
follow each other in this reading; it is shared if the n - 1 pitch intervals between them stand, in this order, within
some one performance of the training split. So transposition, tempo, rhythm and touch do not matter; one note more, less
or other ends a run. For each note the longest shared run that begins with it is found, exactly. Of a piece are told:

- longest: notes of its longest shared run; 1 if not even one interval is shared, 0 of no notes.
- covered: share of its notes that lie in a shared run of LONG_RUN (12) notes or more. Of several pieces: summed, then
  divided.

Repeated notes, scales and trills are shared by everybody, so neither number means anything alone. The yardstick is real
playing that the weights have not seen: for each piece UNSEEN (20) stretches of as many notes from the validation
split, drawn evenly over all places where so many fit. `as_long` is the share of these whose longest run is as long or
longer; a piece is `unusual` where none is: if nothing is copied, at most one piece in 21 is. MAESTRO's splits are by
composition, so that no validation piece is of a composition in the training split; elsewhere look.

Why 50 ms: notes of one chord are struck in any order some milliseconds apart. With the order of their onsets instead,
another performance of the same composition shares much shorter runs (docs/experiments.md), so a copy would hide.
What it does not see: a copy with ornaments, with left-out notes, or of one voice alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from musicstyle.evaluation.material import titles
from musicstyle.evaluation.suffixes import SuffixArray

if TYPE_CHECKING:
    from musicstyle.corpus.store import Corpus
    from musicstyle.music.notes import Notes

LONG_RUN = 12
UNSEEN = 20
BORDER = 0  # between two performances; no interval has it
UNISON = 88  # symbol of the interval 0; one up is 89, and the piano has 87 up and down

Progress = Callable[[int, int], None]
Answer = dict[str, Any]


def interval_symbols(pitch: np.ndarray) -> np.ndarray:
    """From each note to the next, (n - 1,) uint8."""
    return (np.diff(pitch) + UNISON).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Runs:
    """The shared runs of a piece.

    Attributes:
        lengths: Notes of the longest shared run from each note on, in the order of reading, (n,), at least 1.
        places: Where such a run begins among all notes of the training split as read, (n,).
    """

    lengths: np.ndarray
    places: np.ndarray

    @property
    def notes(self) -> int:
        """Of the piece."""
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """Notes of the longest."""
        return int(self.lengths.max(initial=0))

    @property
    def covered(self) -> int:
        """How many notes lie in a run of LONG_RUN or more."""
        begins = np.flatnonzero(self.lengths >= LONG_RUN)
        edges = np.zeros(self.notes + 1, dtype=np.int64)
        np.add.at(edges, begins, 1)
        np.add.at(edges, begins + self.lengths[begins], -1)
        return int((np.cumsum(edges) > 0).sum())


@dataclass(frozen=True)
class Place:
    """Where the longest run of a piece stands.

    Attributes:
        at_seconds: Onset of its first note in the piece.
        trained_on: The training performance, as the corpus names its file.
        title: "Composer: Title" where a table says it, else empty.
        there_seconds: Onset of its first note there.
        semitones: How much higher the piece plays it.
        different_intervals: How many intervals it is made of: few in a trill, a scale or repeated notes.
    """

    at_seconds: float
    trained_on: str
    title: str
    there_seconds: float
    semitones: int
    different_intervals: int

    def to_dict(self) -> Answer:
        """Ready for JSON."""
        return {k: round(v, 2) if isinstance(v, float) else v for k, v in vars(self).items()}


class KnownRuns:
    """All runs of the training split of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        """Read and sort them: 5 s for the 5.7 million notes of MAESTRO.

        Raises:
            CorpusError: The corpus has no training split.
        """
        self.corpus, self.pieces = corpus, corpus.indices("train")
        self._titles = titles(corpus)
        self._ends = corpus.ends("train")
        parts: list[np.ndarray] = []
        border = np.array([BORDER], dtype=np.uint8)
        for piece in self.pieces.tolist():
            notes = corpus.notes(piece)
            parts += [interval_symbols(notes.pitch[notes.reading_order()]), border]
        self._suffixes = SuffixArray(np.concatenate(parts))  # one symbol a note

    def runs(self, notes: Notes) -> Runs:
        """The longest shared run from each note of a piece on."""
        notes = notes[notes.in_piano_range()]
        symbols = interval_symbols(notes.pitch[notes.reading_order()]).tobytes()
        found = np.array([self._suffixes.longest(symbols[first:]) for first in range(len(notes))], dtype=np.int64)
        lengths, places = found.reshape(-1, 2).T
        return Runs(lengths + 1, places)

    def place(self, notes: Notes, runs: Runs) -> Place | None:
        """Where the longest run of `runs(notes)` stands; None if it has fewer than two notes."""
        if runs.longest < 2:
            return None
        first = int(runs.lengths.argmax())
        notes = notes[notes.in_piano_range()]
        here = notes[notes.reading_order()][first : first + runs.longest]
        row = int(np.searchsorted(self._ends, runs.places[first], side="right"))
        piece = int(self.pieces[row])
        before = int(self._ends[row]) - int(self.corpus.pieces["count"][piece])
        trained = self.corpus.notes(piece)
        there = int(trained.reading_order()[int(runs.places[first]) - before])
        name = self.corpus.manifest["pieces"][piece]["path"]
        return Place(
            at_seconds=float(here.start[0]),
            trained_on=name,
            title=self._titles.get(name, ""),
            there_seconds=float(trained.start[there]),
            semitones=int(here.pitch[0] - trained.pitch[there]),
            different_intervals=len(np.unique(np.diff(here.pitch))),
        )


@dataclass(frozen=True, eq=False)
class Judged:
    """A piece beside unseen real playing of as many notes.

    Attributes:
        runs: Of the piece.
        place: Of its longest run.
        real: Runs of the real stretches; none if no unseen performance has as many notes.
    """

    runs: Runs
    place: Place | None
    real: Sequence[Runs]

    @property
    def as_long(self) -> float | None:
        """Share of the real stretches whose longest run is as long or longer; None if there are none."""
        longest = [real.longest for real in self.real]
        return float(np.mean(np.array(longest) >= self.runs.longest)) if longest else None

    def to_dict(self) -> Answer:
        """Ready for JSON."""
        return {
            "notes": self.runs.notes,
            "longest": self.runs.longest,
            "covered": _share(self.runs.covered, self.runs.notes),
            "place": self.place.to_dict() if self.place else None,
            "as_long": self.as_long,
            "real": distribution(self.real),
        }


def judge(known: KnownRuns, pieces: Sequence[Notes], seed: int = 1, progress: Progress | None = None) -> list[Judged]:
    """Find the shared runs of each piece and of unseen real playing of as many notes.

    Args:
        known: Of the training split; the unseen are of the same corpus's validation split.
        pieces: Any playing.
        seed: Of the choice of stretches.
        progress: Called with pieces done and pieces in all.

    Raises:
        CorpusError: The corpus has no validation split.
    """
    judged = []
    for number, piece in enumerate(pieces):
        runs = known.runs(piece)
        stretches = unseen_stretches(known.corpus, runs.notes, np.random.default_rng([seed, number]))
        judged.append(Judged(runs, known.place(piece, runs), [known.runs(stretch) for stretch in stretches]))
        if progress is not None:
            progress(len(judged), len(pieces))
    return judged


def unseen_stretches(corpus: Corpus, count: int, rng: np.random.Generator) -> list[Notes]:
    """UNSEEN stretches of `count` notes from the validation split; none if no performance has so many."""
    indices = corpus.indices("validation")
    places = np.cumsum(np.maximum(corpus.pieces["count"][indices] - count + 1, 0))
    if not places[-1]:
        return []
    drawn = rng.integers(places[-1], size=UNSEEN)
    rows = np.searchsorted(places, drawn, side="right")
    last = corpus.pieces["count"][indices[rows]] - (places[rows] - drawn) + 1
    return [corpus.notes(int(indices[row]), int(end) - count, int(end)) for row, end in zip(rows, last, strict=True)]


def distribution(runs: Sequence[Runs]) -> Answer | None:
    """Of several pieces: their number, notes in all, median, 90th percentile and maximum of longest, and covered."""
    if not runs:
        return None
    longest, notes = [one.longest for one in runs], sum(one.notes for one in runs)
    return {
        "pieces": len(runs),
        "notes": notes,
        "median": float(np.median(longest)),
        "percentile_90": round(float(np.percentile(longest, 90)), 2),
        "max": max(longest),
        "covered": _share(sum(one.covered for one in runs), notes),
    }


def summarize(judged: Sequence[Judged]) -> Answer:
    """The distributions of pieces and of real playing, and how many pieces are unusual."""
    asked = [one.as_long for one in judged if one.as_long is not None]
    return {
        "played": distribution([one.runs for one in judged]),
        "real": distribution([real for one in judged for real in one.real]),
        "unusual": sum(share == 0 for share in asked),
        "compared": len(asked),
    }


def judge_modes(known: KnownRuns, played: Mapping[str, Sequence[Notes]], seed: int = 1) -> Answer:
    """`summarize` of the pieces of each mode and, under "pieces", each of them, ready for JSON."""
    answer: Answer = {}
    for mode, pieces in played.items():
        judged = judge(known, pieces, seed)
        answer[mode] = {**summarize(judged), "pieces": [one.to_dict() for one in judged]}
    return answer


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
