"""Generate over (style, melody) pairs and score what comes out: what `eval melody` and the report share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicstyle.errors import UsageError
from musicstyle.evaluation.melody import MelodyScore, score_melody
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes

if TYPE_CHECKING:
    from musicstyle.generation.options import GenerationOptions
    from musicstyle.generation.transfer import StyleTransfer

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Played:
    """One tune played in one style.

    Attributes:
        melody, style: The files.
        score: Of what was generated.
        real: The same tune scored against the style performance itself, which plays something else.
        notes: What was generated.
    """

    melody: Path
    style: Path
    score: MelodyScore
    real: MelodyScore
    notes: Notes

    def to_dict(self) -> dict[str, Any]:
        """Names and shares, ready for JSON."""
        return {
            "melody": self.melody.name,
            "style": self.style.name,
            "real_playing": round(self.real.share_100, 4),
            **self.score.to_dict(),
        }


def play_pairs(
    player: StyleTransfer, pairs: Iterable[tuple[Path, Path]], options: GenerationOptions
) -> Iterator[Played]:
    """Play each (style, melody) pair with a seed of its own, counted from the options' seed.

    Where the length is limited, only the melody notes before the limit are asked for. Weights that hear no style play
    the melody alone; the style is then only the real playing that it is compared with.

    Raises:
        UsageError: The checkpoint hears no melody.
    """
    if not player.model.config.hears_melody:
        raise UsageError(f"checkpoint {player.name} hears no melody; there is nothing to count")
    styles: dict[Path, Notes] = {}
    for number, (style, melody) in enumerate(pairs):
        if style not in styles:
            styles[style] = read_midi(style)
        heard = styles[style] if player.model.config.hears_style else None
        made = player.generate(heard, melody, dataclasses.replace(options, seed=options.seed + number))
        assert made.melody is not None
        yield Played(
            melody,
            style,
            score_melody(made.melody, made.notes),
            score_melody(made.melody, beginning(styles[style], made.melody)),
            made.notes,
        )


def beginning(performance: Notes, melody: Notes) -> Notes:
    """The performance from its first note on, as long as the melody."""
    first = float(performance.start[0]) if len(performance) else 0.0
    return performance.crop(first, first + max(melody.duration_seconds, 1.0))


def pair_up(styles: list[Path], melodies: list[Path]) -> list[tuple[Path, Path]]:
    """Every melody once, the styles taken in turn."""
    return [(styles[number % len(styles)], melody) for number, melody in enumerate(melodies)]


def measure_melody(
    player: StyleTransfer,
    pairs: list[tuple[Path, Path]],
    options: GenerationOptions,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], list[Played]]:
    """Shares over all pairs and, under "pieces", of each of them, ready for JSON; and the pieces.

    Arguments as `play_pairs`; progress is called with pieces played and pieces in all.
    """
    played = []
    for one in play_pairs(player, pairs, options):
        played.append(one)
        if progress is not None:
            progress(len(played), len(pairs))
    shares = {"melody_strength": options.melody_strength, **summarize(played)}
    return {**shares, "pieces": [one.to_dict() for one in played]}, played


def summarize(played: list[Played]) -> dict[str, Any]:
    """Shares over all pairs: counts are summed, then divided."""
    score, real = (sum((getattr(one, name) for one in played), MelodyScore()) for name in ("score", "real"))
    return {
        "pairs": len(played),
        **score.to_dict(),
        "real_playing_50": round(real.share_50, 4),
        "real_playing_100": round(real.share_100, 4),
    }
