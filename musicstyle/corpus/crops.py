"""Examples drawn from a corpus: crop, augmentation and both token streams, as the arrays of a batch. NumPy only.

Row r of step s depends on (seed, s, r) and the corpus alone: any number of worker processes, a resumed run and a single
row drawn by itself give the same arrays. Pieces are drawn in proportion to their notes.

Deviations from the released code of Choi et al. 2020: pieces shorter than a crop are kept (padded); a crop may begin up
to half its length before the piece (it then starts at the first note) and end as far behind it, so that beginnings and
EOS are learned; the melody is that of the whole piece, not inferred from the crop, but where `line_melody` asks for the
line that is heard out; by default the style is heard elsewhere in the performance, transposed and stretched by amounts
of its own (`style_input="same"` is as published).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from musicstyle.corpus.cut import (
    UNCHANGED,
    Change,
    Crop,
    crop_melody,
    cut,
    cut_notes,
    notes_for,
    other_place,
    transpositions,
)
from musicstyle.corpus.store import Corpus
from musicstyle.music.grammar import possible
from musicstyle.music.habits import EVERYWHERE, habits, places
from musicstyle.music.motifs import recalled
from musicstyle.music.notes import Notes
from musicstyle.music.performance import elapsed_steps, held_before
from musicstyle.music.similarity import FEATURES, features
from musicstyle.music.transposed import held_transposed, melody_table, performance_table
from musicstyle.music.vocabulary import EOS, NOTE_OFF, NOTE_ON, PAD, PERFORMANCE

Batch = dict[str, np.ndarray]

STRETCHES = (0.95, 0.975, 1.0, 1.025, 1.05)  # the target's times are multiplied by one of these
TRANSPOSITION = 3  # semitones, up or down, of the target
STYLE_STRETCH = 0.05  # the style crop's times change by up to this part
STYLE_TRANSPOSITION = 6
TEACHER_TRANSPOSITION = 6  # semitones at most from a crop to what a teacher hears of it
TEACHERS = "teacher_"  # before the names of what a teacher hears
_NOTES = [PERFORMANCE.kind_index(kind) for kind in (NOTE_ON, NOTE_OFF)]


@dataclass(frozen=True)
class BatchOptions:
    """How batches are drawn.

    Attributes:
        batch_size: Rows.
        tokens: Length of the target crop in ids, EOS counted.
        style_tokens: Length of the style crop in ids.
        style_input: "other" hears the style elsewhere in the performance, "same" in the target itself, "either" in the
            one or the other, by a coin for each row.
        augment: Stretch and transpose, target and style each by an amount of its own.
        drop_style: Probability that a row is to be played without its style.
        drop_melody: Probability that a row is to be played without its melody.
        drop_habits: Probability that a row's style is heard without its habits.
        line_melody: Probability that a row's melody is the line that is heard out, in place of the published one.
        seed: Not negative.

    Raises:
        ValueError: a size below 1, a probability outside 0..1, an unknown style_input.
    """

    batch_size: int = 8
    tokens: int = 2048
    style_tokens: int = 2048
    style_input: Literal["other", "same", "either"] = "other"
    augment: bool = True
    drop_style: float = 0.0
    drop_melody: float = 0.0
    drop_habits: float = 0.0
    line_melody: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no batch can be drawn with."""
        for name, least in (("batch_size", 1), ("tokens", 1), ("style_tokens", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if self.style_input not in ("other", "same", "either"):
            raise ValueError(f"style_input is {self.style_input!r}; it must be 'other', 'same' or 'either'")
        for name in ("drop_style", "drop_melody", "drop_habits", "line_melody"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in 0..1")

    def as_played(self) -> BatchOptions:
        """The same with nothing augmented, dropped or heard out as a line: to judge on."""
        return replace(self, augment=False, drop_style=0.0, drop_melody=0.0, drop_habits=0.0, line_melody=0.0)


@dataclass(frozen=True, eq=False)
class Example:
    """One row of a batch, before padding: ids, melody and style of any length, style_features (8,)."""

    ids: np.ndarray
    melody: np.ndarray
    style: np.ndarray
    style_features: np.ndarray
    use_melody: bool
    use_style: bool
    use_habits: bool


def batch(corpus: Corpus, split: str, step: int, options: BatchOptions, rows: slice = slice(None)) -> Batch:
    """Draw the batch of one training step, or some of its rows.

    Args:
        corpus: What to draw from.
        split: "train", "validation" or "test".
        step: Number of the batch, not negative.
        options: How to draw.
        rows: Which of the `batch_size` rows, B of them; the others are not computed.

    Returns:
        "ids" (B, tokens) int64 performance ids, EOS where the crop reaches the piece's end, PAD after;
        "clock" (B, tokens) int64, 10 ms steps elapsed before each id;
        "held" (B, tokens, 88) int32 steps each key has been down then, plus 1; 0 for a key that is up;
        "places" (B, tokens, 310) int16, which habit of the style speaks for each id there (musicstyle.music.habits);
        "everywhere" (B, 310) int16, which speaks beside it wherever the id stands;
        "recalled" (B, voices, tokens, 310) int16, what each voice of the target says there (musicstyle.music.motifs);
        "possible" (B, tokens, 310) bool, which ids could stand there;
        "melody" (B, F) int64 melody ids of the same crop at 10 Hz from time 0, EOS if "ids" has one, PAD after, F the
        longest row's length;
        "style" (B, style_tokens) int64 performance ids of the style crop, PAD after;
        "style_clock" (B, style_tokens) int64, steps elapsed after each of them;
        "style_habits" (B, 2, HABITS) float32, counts and chances of the style crop's habits, 0 where they are dropped;
        "style_features" (B, 8) float32, mean similarity features of the style crop, finite;
        "use_melody", "use_style" (B,) bool, False where the condition is dropped.

    Raises:
        CorpusError: nothing in that split.
    """
    return collate([draw(corpus, split, step, row, options) for row in range(options.batch_size)[rows]], options)


def draw(corpus: Corpus, split: str, step: int, row: int, options: BatchOptions) -> Example:
    """Draw one row of one step; arguments and content are those of `batch`."""
    rng = np.random.default_rng([options.seed, step, row])
    ends = corpus.ends(split)
    piece = int(corpus.indices(split)[np.searchsorted(ends, rng.integers(ends[-1]), side="right")])
    count = int(corpus.pieces["count"][piece])
    half = notes_for(corpus, piece, options.tokens) // 2
    first = int(rng.integers(-half, max(count - half, 1)))
    return example_at(corpus, piece, min(max(first, 0), count - 1), rng, options)


def evaluation_batches(corpus: Corpus, split: str, options: BatchOptions, count: int | None = None) -> Iterator[Batch]:
    """The crops of the protocol, the same at every call: no augmentation, nothing dropped.

    Args:
        corpus: What to draw from.
        split: "train", "validation" or "test".
        options: Sizes, style input and seed; augmentation, dropping and the line are off whatever it says.
        count: So many crops, one from each of as many equal parts of the split, full wherever the piece is
            long enough. None: the whole split, crop after crop, but for a few notes
            of chords that a crop's end divides.

    Yields:
        Batches as `batch` gives them, the last one perhaps smaller. The crops do not depend on `batch_size`.

    Raises:
        CorpusError: nothing in that split.
        ValueError: a count below 1.
    """
    if count is not None and count < 1:
        raise ValueError(f"count is {count}; it must be 1 or more, or None for all")
    options = options.as_played()
    begins = _every_crop(corpus, split, options) if count is None else _spread(corpus, split, options, count)
    examples: list[Example] = []
    for number, (piece, first) in enumerate(begins):
        examples.append(example_at(corpus, piece, first, np.random.default_rng([options.seed, number]), options))
        if len(examples) == options.batch_size:
            yield collate(examples, options)
            examples = []
    if examples:
        yield collate(examples, options)


def collate(examples: Sequence[Example], options: BatchOptions) -> Batch:
    """Pad examples to a batch: what `batch` returns."""
    ids = _pad([example.ids for example in examples], options.tokens)
    style = _pad([example.style for example in examples], options.style_tokens)
    elapsed = elapsed_steps(ids)
    held = np.stack([held_before(row) for row in ids])
    return {
        "ids": ids,
        "clock": np.concatenate([np.zeros_like(elapsed[:, :1]), elapsed[:, :-1]], axis=1),
        "held": held,
        "places": np.stack([places(*row) for row in zip(ids, held, strict=True)]),
        "recalled": np.stack([recalled(*row) for row in zip(ids, held, strict=True)]),
        "everywhere": np.tile(EVERYWHERE, (len(ids), 1)),
        "possible": np.stack([possible(*row) for row in zip(ids, held > 0, strict=True)]),
        "melody": _pad([example.melody for example in examples], max(len(example.melody) for example in examples)),
        "style": style,
        "style_clock": elapsed_steps(style),
        "style_habits": np.stack(
            [habits(row) * example.use_habits for row, example in zip(style, examples, strict=True)]
        ),
        "style_features": np.stack([example.style_features for example in examples]),
        "use_melody": np.array([example.use_melody for example in examples]),
        "use_style": np.array([example.use_style for example in examples]),
    }


def transposed(batch: Batch, semitones: Sequence[int]) -> Batch:
    """A batch whose rows are so many semitones higher, as the decoder hears and says them.

    Style, habits and motifs stay as they are: they are those of any key.

    Returns:
        "ids", "melody" and "held" of the same shapes; "table" (B, 310) int64, what each id of the batch is there.
    """
    rows = list(zip(semitones, batch["ids"], batch["melody"], batch["held"], strict=True))
    return {
        "ids": np.stack([performance_table(key)[ids] for key, ids, _, _ in rows]),
        "melody": np.stack([melody_table(key)[melody] for key, _, melody, _ in rows]),
        "held": np.stack([held_transposed(held, key) for key, _, _, held in rows]),
        "table": np.stack([performance_table(key) for key in semitones]),
    }


def for_teacher(batch: Batch, step: int, options: BatchOptions, rows: slice = slice(None)) -> Batch:
    """What a teacher hears of some rows of the batch of a step: each in another key, drawn among those it fits into.

    Returns:
        What `transposed` gives, each with TEACHERS before its name.
    """
    numbers = range(options.batch_size)[rows]
    drawn = [np.random.default_rng([options.seed, step, row, 1]) for row in numbers]
    semitones = [_another_key(ids, rng) for ids, rng in zip(batch["ids"], drawn, strict=True)]
    return {TEACHERS + name: values for name, values in transposed(batch, semitones).items()}


def _another_key(ids: np.ndarray, rng: np.random.Generator) -> int:
    pitches = PERFORMANCE.values[ids[np.isin(PERFORMANCE.kinds[ids], _NOTES)]]
    if not len(pitches):
        return 0
    others = [key for key in transpositions(pitches, TEACHER_TRANSPOSITION) if key]
    return int(rng.choice(others)) if others else 0


def habits_of_crops(corpus: Corpus, options: BatchOptions, count: int) -> np.ndarray:
    """Counts and chances of the habits of the first `count` training rows of step 0, (2, HABITS) float64."""
    rows = [draw(corpus, "train", 0, row, options).ids for row in range(count)]
    return np.stack([habits(ids) for ids in rows]).sum(axis=0, dtype=np.float64)


def mean_features(notes: Notes) -> np.ndarray:
    """Means of the similarity features over the 2 s windows, (8,) float32; zeros for no notes."""
    return (features(notes).mean(axis=0) if len(notes) else np.zeros(len(FEATURES))).astype(np.float32)


def _spread(corpus: Corpus, split: str, options: BatchOptions, count: int) -> Iterator[tuple[int, int]]:
    """(piece, first note) of `count` crops, one drawn from each of as many equal parts of the split's notes."""
    rng = np.random.default_rng(options.seed)
    ends, indices = corpus.ends(split), corpus.indices(split)
    for place in ((np.arange(count) + rng.random(count)) * (int(ends[-1]) / count)).astype(np.int64).tolist():
        number = int(np.searchsorted(ends, place, side="right"))
        piece = int(indices[number])
        notes = int(corpus.pieces["count"][piece])
        latest = max(notes - notes_for(corpus, piece, options.tokens) - 1, 0)  # from here on a crop would fall short
        yield piece, min(place - int(ends[number]) + notes, latest)


def _every_crop(corpus: Corpus, split: str, options: BatchOptions) -> Iterator[tuple[int, int]]:
    """(piece, first note) of crop after crop of every piece."""
    for piece in corpus.indices(split).tolist():
        first = 0
        while first < corpus.pieces["count"][piece]:
            yield piece, first
            first = cut(corpus, piece, first, options.tokens).last


def example_at(corpus: Corpus, piece: int, first: int, rng: np.random.Generator, options: BatchOptions) -> Example:
    """The example whose crop begins at note `first` of a piece; `rng` draws what is left to chance."""
    stretch = STRETCHES[rng.integers(len(STRETCHES))]
    change = Change(stretch, TRANSPOSITION, rng.random()) if options.augment else UNCHANGED
    target = cut(corpus, piece, first, options.tokens, change=change)
    style = _style(corpus, piece, first, target, rng, options)
    at_end = len(target.ids) < options.tokens  # all ids to the piece's end are there, and room for EOS
    use_melody, use_style = (bool(rng.random() >= share) for share in (options.drop_melody, options.drop_style))
    melody = crop_melody(target, "line" if rng.random() < options.line_melody else "published")
    use_habits = bool(rng.random() >= options.drop_habits)
    return Example(
        ids=np.append(target.ids, EOS) if at_end else target.ids,
        melody=np.append(melody, EOS) if at_end else melody,
        style=style.ids,
        style_features=mean_features(style.notes),
        use_melody=use_melody,
        use_style=use_style,
        use_habits=use_habits,
    )


def _style(
    corpus: Corpus, piece: int, first: int, target: Crop, rng: np.random.Generator, options: BatchOptions
) -> Crop:
    stretch = rng.uniform(1 - STYLE_STRETCH, 1 + STYLE_STRETCH)
    change = Change(stretch, STYLE_TRANSPOSITION, rng.random()) if options.augment else UNCHANGED
    same = options.style_input == "same" or (options.style_input == "either" and rng.random() < 0.5)
    if same:  # transposed only: the paper speaks of tempo too, its code does not touch it
        semitones = change.semitones(target.notes.pitch) if len(target.notes) else 0
        ids = performance_table(semitones)[target.ids]
        return cut_notes(target.notes.transpose(semitones), target.melody, ids, options.style_tokens)
    room = notes_for(corpus, piece, options.style_tokens)
    start, stop = other_place(int(corpus.pieces["count"][piece]), first, target.last, room, rng)
    return cut(corpus, piece, start, options.style_tokens, last=stop, change=change)


def _pad(rows: Iterable[np.ndarray], length: int) -> np.ndarray:
    return np.stack([np.pad(row, (0, length - len(row)), constant_values=PAD) for row in rows])
