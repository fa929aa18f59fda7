"""`musicstyle eval memorisation`: runs of notes shared with the training performances, beside unseen real playing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musicstyle.cli._console import Meter, counter
from musicstyle.cli._corpus import open_corpus
from musicstyle.cli._evaluation import (
    PLAYING,
    choose_melodies,
    choose_styles,
    load_player,
    present,
    settings_of,
    table,
    the_melodies,
    the_player,
    the_styles,
)
from musicstyle.cli._flags import refuse_given
from musicstyle.cli._paths import A_PATH

if TYPE_CHECKING:
    from musicstyle.evaluation.memorisation import KnownRuns
    from musicstyle.generation.options import GenerationOptions
    from musicstyle.generation.transfer import StyleTransfer
    from musicstyle.music.notes import Notes


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE.mid]...", type=A_PATH)
@click.option(
    "--data",
    type=A_PATH,
    required=True,
    help="Folder of MIDI or corpus that the weights were trained on; only its train split is searched.",
)
@click.option("--count", type=click.IntRange(1), default=20, show_default=True, help="Pieces to play in each mode.")
@click.option("--seconds", type=float, default=30.0, show_default=True, help="Length of each piece played.")
@the_melodies
@the_styles
@the_player
def memorisation(files: tuple[Path, ...], data: Path, seed: int, as_json: bool, **playing: Any) -> None:
    """Whether notes are copied from the training performances.

    The longest run of notes shared with one of them, in any key, of the files named or, without any, of what a
    checkpoint plays; beside it unseen real playing of as many notes. The rules stand in the docstring of
    musicstyle.evaluation.memorisation.
    """
    from musicstyle.evaluation.memorisation import KnownRuns
    from musicstyle.music.midi import read_midi

    if files:
        refuse_given(("count", *PLAYING), "with files, which are judged as they are")
    named = [read_midi(file) for file in files]
    chosen = None if files else _choose(seed, **playing)  # refuse early: the corpus may take minutes
    corpus = open_corpus(data)
    corpus.indices("validation")
    known = KnownRuns(corpus)
    if chosen is None:
        result: dict[str, Any] = {"files": _judge_files(known, files, named, seed)}
        lines = file_lines(result["files"])
    else:
        result = _judge_checkpoint(known, *chosen)
        lines = mode_lines(result["modes"])
    present(result, as_json, lines)


def _judge_files(known: KnownRuns, files: Sequence[Path], notes: Sequence[Notes], seed: int) -> list[dict[str, Any]]:
    from musicstyle.evaluation.memorisation import judge

    with Meter("comparing") as meter:
        judged = judge(known, notes, seed, counter(meter, "files"))
    return [{"file": str(file), **one.to_dict()} for file, one in zip(files, judged, strict=True)]


def _choose(
    seed: int,
    count: int,
    seconds: float,
    melodies: Path | None,
    styles: Path | None,
    checkpoint: Path | None,
    device: str,
    threads: int,
) -> tuple[StyleTransfer, GenerationOptions, list[Path], list[Path]]:
    """Who plays, how, in which styles and what."""
    player = load_player(checkpoint, device, threads)
    options = settings_of(player, seconds=seconds, seed=seed)
    return player, options, choose_styles(styles, count, seed), choose_melodies(melodies, count, seed)


def _judge_checkpoint(
    known: KnownRuns, player: StyleTransfer, options: GenerationOptions, styles: list[Path], tunes: list[Path]
) -> dict[str, Any]:
    from musicstyle.evaluation.experiments import play_modes
    from musicstyle.evaluation.memorisation import judge_modes

    with Meter("playing") as meter:
        played = play_modes(player, styles, tunes, options, progress=counter(meter, "pieces"))
    return {
        "checkpoint": player.name,
        "seconds": options.seconds,
        "seed": options.seed,
        "modes": judge_modes(known, played, options.seed),
    }


def mode_lines(modes: Mapping[str, Any]) -> list[str]:
    """What a checkpoint plays, for a person."""
    from musicstyle.evaluation.findings import RUN_COLUMNS, run_cells

    head = ["played with", *RUN_COLUMNS, "unusual"]
    rows = []
    for mode, judged in modes.items():
        rows.append([mode, *run_cells(judged["played"]), f"{judged['unusual']} of {judged['compared']}"])
        if judged["real"]:
            rows.append(["  real, unseen", *run_cells(judged["real"]), ""])
    longest = max((piece for judged in modes.values() for piece in judged["pieces"]), key=lambda one: one["longest"])
    return [*table(head, rows), *place_lines(longest)]


def file_lines(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Files, for a person."""
    lines = []
    for one in files:
        lines.append(f"{one['file']}: longest shared run {one['longest']} of {one['notes']} notes")
        lines += place_lines(one)
        if one["real"]:
            real = one["real"]
            lines.append(
                f"  of {real['pieces']} stretches of unseen real playing with as many notes, {one['as_long']:.0%} have "
                f"as long a run (median {real['median']:g}, longest {real['max']})"
            )
        else:
            lines.append("  no unseen performance has as many notes; compare a part of it")
        lines.append(f"  {one['covered']:.0%} of its notes lie in long shared runs" + _beside(one["real"]))
    return lines


def _beside(real: Mapping[str, Any] | None) -> str:
    return f" (real: {real['covered']:.0%})" if real else ""


def place_lines(piece: Mapping[str, Any]) -> list[str]:
    """Where the longest run of a piece stands; no line if it has none."""
    place = piece["place"]
    if place is None:
        return []
    higher = f", {place['semitones']:+d} semitones" if place["semitones"] else ""
    title = f" ({place['title']})" if place["title"] else ""
    return [
        (
            f"  its {piece['longest']} notes from {place['at_seconds']:.1f} s on, of {place['different_intervals']} "
            f"different intervals, stand in {place['trained_on']}{title} from {place['there_seconds']:.1f} s on{higher}"
        )
    ]
