"""What the metrics are given: pieces played by a checkpoint, and embeddings of crops of real playing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musicstyle.corpus.cut import cut, notes_for
from musicstyle.corpus.store import Corpus
from musicstyle.errors import UsageError
from musicstyle.evaluation.interpolation import Line, relative_distance
from musicstyle.evaluation.style import hit_rate
from musicstyle.generation.hearing import embed
from musicstyle.generation.transfer import StyleTransfer, read_melody
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes
from musicstyle.music.profile import PARTS, nearness_matrix, profile
from musicstyle.music.similarity import FEATURES, similarity_matrix
from musicstyle.music.works import works
from musicstyle.training.loss import MODES, served_modes

if TYPE_CHECKING:
    from musicstyle.generation.options import GenerationOptions
    from musicstyle.music.similarity import Density

Progress = Callable[[int, int], None]
SHORTEST_HALF_SECONDS = 4.0


@dataclasses.dataclass(frozen=True, eq=False)
class Halves:
    """A performance cut in two at the middle of its notes: one half is heard, by the other candidates are judged."""

    name: str
    heard: Notes
    judge: Notes

    @classmethod
    def of(cls, path: Path) -> Halves:
        """Read and cut a file.

        Raises:
            MidiError: It cannot be read.
            UsageError: It is too short to cut.
        """
        notes = read_midi(path)
        notes = notes[notes.in_piano_range()]
        middle = len(notes) // 2
        halves = [part.from_zero() for part in (notes[:middle], notes[middle:]) if len(part)]
        if len(halves) < 2 or min(part.duration_seconds for part in halves) < SHORTEST_HALF_SECONDS:
            raise UsageError(
                f"{path}: too short to hear one half of its notes and judge by the other; "
                f"each must last {SHORTEST_HALF_SECONDS:g} s"
            )
        return cls(path.stem, *halves)

    def stretch(self, seconds: float) -> Notes:
        """So many seconds from the middle of the half that is heard: what real playing offers as a candidate."""
        start = max(0.0, (self.heard.duration_seconds - seconds) / 2)
        return self.heard.crop(start, start + seconds)


@dataclasses.dataclass(frozen=True, eq=False)
class Compared:
    """How near candidates are to references, by one measure.

    Attributes:
        parts: Names of what the measure compares.
        other: With the halves that were not heard, by mode ("both", "melody", "style", "none", and "real"),
            (candidates, references, parts), 0..1.
        heard: The same with the halves that were heard.
    """

    parts: tuple[str, ...]
    other: dict[str, np.ndarray]
    heard: dict[str, np.ndarray]

    @classmethod
    def of(
        cls,
        measure: Callable[[Sequence[Notes], Sequence[Notes]], np.ndarray],
        parts: tuple[str, ...],
        played: Mapping[str, Sequence[Notes]],
        halves: Sequence[Halves],
    ) -> Compared:
        """Compare pieces, by mode one a performance, with all the halves."""
        other, heard = (
            {mode: measure(notes, references) for mode, notes in played.items()}
            for references in ([half.judge for half in halves], [half.heard for half in halves])
        )
        return cls(parts, other, heard)

    def to_dict(self, mode: str) -> dict[str, Any]:
        """Hits of a mode, how near it is to its own by part, and the hits by the halves heard, ready for JSON."""
        own = self.other[mode].diagonal().mean(axis=1)
        return {
            **hit_rate(self.other[mode].mean(axis=2)).to_dict(),
            "by_part": {name: round(float(value), 4) for name, value in zip(self.parts, own, strict=True)},
            "heard": hit_rate(self.heard[mode].mean(axis=2)).to_dict(),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class StyleTest:
    """Candidates beside references.

    Attributes:
        names: Of the performances.
        features: By the overlapping areas of the eight features.
        profile: By what their profiles have in common.
    """

    names: list[str]
    features: Compared
    profile: Compared

    @classmethod
    def of(
        cls, played: Mapping[str, Sequence[Notes]], halves: Sequence[Halves], density: Density = "normal"
    ) -> StyleTest:
        """Compare pieces, by mode one a performance, with all the halves."""
        areas = partial(similarity_matrix, density=density)
        return cls(
            [half.name for half in halves],
            Compared.of(areas, FEATURES, played, halves),
            Compared.of(nearness_matrix, PARTS, played, halves),
        )

    def to_dict(self) -> dict[str, Any]:
        """What each measure says of every mode, ready for JSON."""
        return {
            mode: {"features": self.features.to_dict(mode), "profile": self.profile.to_dict(mode)}
            for mode in self.features.other
        }


def style_test(
    player: StyleTransfer,
    styles: Sequence[Path],
    melodies: Sequence[Path],
    options: GenerationOptions,
    modes: Sequence[str] | None = None,
    progress: Progress | None = None,
    density: Density = "normal",
) -> StyleTest:
    """Play one piece a style and mode, and compare all with all.

    Args:
        player: The checkpoint.
        styles: Performances, at least two.
        melodies: Tunes; style i gets number i, taken in turn.
        options: `seconds` must be set; candidate i and its real stretch are as long as `candidate_seconds` says.
        modes: Of those that the weights serve; None: all.
        progress: Called with pieces played and pieces in all.
        density: As in `musicstyle.music.similarity.similarity`.

    Raises:
        UsageError: Fewer than two styles, or a performance too short.
    """
    if len(styles) < 2:
        raise UsageError("a style is recognised among others: at least 2 performances are needed")
    halves = [Halves.of(path) for path in styles]
    heard = [half.heard for half in halves]
    lengths = candidate_seconds(halves, melodies, options)
    played = {"real": [half.stretch(length) for half, length in zip(halves, lengths, strict=True)]}
    played |= play_modes(player, heard, melodies, options, modes, progress, lengths)
    return StyleTest.of(played, halves, density)


def play_modes(
    player: StyleTransfer,
    styles: Sequence[Notes | Path],
    melodies: Sequence[Path],
    options: GenerationOptions,
    modes: Sequence[str] | None = None,
    progress: Progress | None = None,
    lengths: Sequence[float] | None = None,
) -> dict[str, list[Notes]]:
    """Play one piece a style in each mode, style i with melody i (taken in turn) and the options' seed + i.

    Arguments as `style_test`, and the seconds of each piece; None: as `piece_seconds` says.

    Returns:
        The pieces by mode; modes that the weights do not serve are left out.
    """
    served = served_modes(player.model.config)
    wanted = [mode for mode in modes or served if mode in served]
    lengths = lengths or piece_seconds(melodies, len(styles), options)
    played: dict[str, list[Notes]] = {mode: [] for mode in wanted}
    for mode, pieces in played.items():
        hears_melody, hears_style = MODES[mode]
        for i in range(len(styles)):
            style = styles[i] if hears_style else None
            melody = melodies[i % len(melodies)] if hears_melody else None
            mine = dataclasses.replace(options, seed=options.seed + i, seconds=lengths[i])
            made = player.generate(style, melody, mine)
            pieces.append(made.notes)
            if progress is not None:
                progress(sum(map(len, played.values())), len(wanted) * len(styles))
    return played


def piece_seconds(melodies: Sequence[Path], count: int, options: GenerationOptions) -> list[float]:
    """Length of piece i in every mode: the options' `seconds`, or its tune's if that is shorter.

    A piece with a tune ends with it. Played longer without one, it would be judged by more music.
    """
    assert options.seconds is not None
    tunes = [read_melody(path).notes.duration_seconds for path in melodies[:count]]
    return [min(options.seconds, tunes[i % len(tunes)]) for i in range(count)]


def candidate_seconds(halves: Sequence[Halves], melodies: Sequence[Path], options: GenerationOptions) -> list[float]:
    """Length of candidate i: as `piece_seconds` says, or that of the half that is heard if that is shorter."""
    lengths = piece_seconds(melodies, len(halves), options)
    return [min(length, half.heard.duration_seconds) for length, half in zip(lengths, halves, strict=True)]


def interpolation_test(
    player: StyleTransfer,
    pairs: Sequence[tuple[Path, Path]],
    melodies: Sequence[Path],
    options: GenerationOptions,
    steps: int = 5,
    repeats: int = 2,
    progress: Progress | None = None,
) -> Line:
    """Play along the line between the styles of each pair (A, B).

    Args:
        player: A checkpoint that hears styles.
        pairs: Performances.
        melodies: Tunes, taken in turn; none, or weights that hear no melody: style alone.
        options: `seconds` must be set.
        steps: Mixes, the ends among them.
        repeats: Pieces at each mix of each pair.
        progress: Called with pieces played and pieces in all.

    Raises:
        UsageError: The checkpoint hears no style.
    """
    refuse_without_style(player, "nothing to interpolate")
    melodies = melodies if player.model.config.hears_melody else []
    mixes = np.linspace(0, 1, steps)
    rows: list[np.ndarray] = []
    for number, (a, b) in enumerate(pairs):
        notes = [read_midi(path).from_zero() for path in (a, b)]
        length = min(part.duration_seconds for part in notes)
        for repeat in range(repeats):
            seed = options.seed + number * repeats + repeat
            tune = melodies[(number * repeats + repeat) % len(melodies)] if melodies else None
            made = []
            for mix in mixes.tolist():
                mine = dataclasses.replace(options, seed=seed)
                made.append(player.generate(notes, tune, mine, style_shares=(mix, 1 - mix)).notes)
                if progress is not None:
                    progress(len(rows) * steps + len(made), len(pairs) * repeats * steps)
            areas = similarity_matrix(made, [part.crop(0.0, length) for part in notes]).mean(axis=2)
            rows.append(relative_distance(areas[:, 0], areas[:, 1]))
    return Line(mixes, np.array(rows))


@dataclasses.dataclass(frozen=True, eq=False)
class Crops:
    """Crops of real playing as vectors.

    Attributes:
        embedding: Style embeddings, (n, style_width).
        profile: Their profiles, (n, PROFILE).
        piece: Number of the piece in the corpus, (n,).
        work: Number of the work that the piece is a performance of, (n,); see musicstyle.music.works.
        paths: File of each crop's piece as the corpus names it, n of them.
        dropped: Pieces of the split that are too short for two crops.
    """

    embedding: np.ndarray
    profile: np.ndarray
    piece: np.ndarray
    work: np.ndarray
    paths: list[str]
    dropped: int = 0


@torch.inference_mode()
def embed_crops(
    player: StyleTransfer,
    corpus: Corpus,
    split: str,
    crops: int = 4,
    progress: Progress | None = None,
) -> Crops:
    """Embed crops spread evenly over each piece of a split, about as long as those that the weights were trained on.

    Pieces too short for as many crops give fewer; one too short for two is left out and counted. How many ids a crop
    has is known only once it is cut: where notes lie dense the last may be a tenth shorter, or two just touch.

    Raises:
        UsageError: The checkpoint hears no style, or no piece is long enough for two crops.
    """
    refuse_without_style(player)
    tokens = int(player.facts["training"]["tokens"])
    pieces = corpus.indices(split)
    embedding, profiles, origin = [], [], []
    for done, piece in enumerate(pieces.tolist()):
        for first in _places(corpus, piece, tokens, crops):
            crop = cut(corpus, piece, first, tokens)
            embedding.append(embed(player.model, [crop.ids])[0].float().cpu().numpy())
            profiles.append(profile(crop.notes))
            origin.append(piece)
        if progress is not None:
            progress(done + 1, len(pieces))
    if not origin:
        raise UsageError(
            f"{corpus.path}: no piece of the {split} split is long enough for two crops of {tokens} tokens"
        )
    rows = corpus.manifest["pieces"]
    performances, of = np.unique(origin, return_inverse=True)
    work = works([corpus.notes(int(piece)) for piece in performances])[of]
    paths, dropped = [rows[piece]["path"] for piece in origin], len(pieces) - len(performances)
    return Crops(np.array(embedding), np.array(profiles), np.array(origin), work, paths, dropped)


def _places(corpus: Corpus, piece: int, tokens: int, crops: int) -> list[int]:
    """First notes of crops spread evenly; none if there is no room for two."""
    count, size = int(corpus.pieces["count"][piece]), notes_for(corpus, piece, tokens)
    fitting = min(crops, int(corpus.pieces["tokens"][piece]) // tokens)
    if fitting < 2:
        return []
    return np.linspace(0, max(count - size, 0), fitting).astype(int).tolist()


def refuse_without_style(player: StyleTransfer, lacking: str = "no embedding to ask") -> None:
    """Say early what there is not.

    Raises:
        UsageError: The checkpoint hears no style.
    """
    if not player.model.config.hears_style:
        raise UsageError(f"checkpoint {player.name} hears no style; there is {lacking}")
