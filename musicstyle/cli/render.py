"""`musicstyle render`: MIDI, a score or a tune -> what a person hears and sees."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from musicstyle.cli._console import Meter, give
from musicstyle.cli._flags import refuse_given
from musicstyle.cli._paths import A_PATH, refuse_to_write
from musicstyle.errors import ConfigError, UsageError
from musicstyle.files import all_or_none
from musicstyle.generation.options import GenerationOptions
from musicstyle.music.outputs import output_kind, write_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from musicstyle.music.conductor import Conducted
    from musicstyle.music.notes import Notes

LONGEST_FACT = 200  # characters; text of other programs' files may be anything


@click.command()
@click.argument("file", type=A_PATH)
@click.option(
    "--out", "outs", type=A_PATH, multiple=True, required=True,
    help="File to write; its ending decides: .wav .flac .ogg .mp3 for sound, .png .svg for a picture, .html for a page "
    "with both, .mid. May be given several times.",
)  # fmt: skip
@click.option("--title", help="Heading of the picture and the page; default: the name of FILE.")
@click.option(
    "--melody", type=A_PATH, help="The tune it plays, as for generate: outlined in the picture and on the page."
)
@click.option("--force", is_flag=True, help="Write over files that are already there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def render(
    file: Path, outs: tuple[Path, ...], title: str | None, melody: Path | None, force: bool, as_json: bool
) -> None:
    """Turn MIDI into sound, a picture or a page.

    FILE may also be a score or a tune in plain text, as for `musicstyle melody`. The page shows and plays the piece
    without a network. stdout gets the path of each file written.
    """
    from musicstyle.music.scores import is_tune

    _refuse_early(file, melody, outs, force)
    (notes, conductor), facts = _piece(file)
    title = title or (str(file) if is_tune(file) else file.stem)
    tune = None if melody is None else _tune(melody, notes, facts)
    with Meter("rendering") as meter, all_or_none() as written:
        for out in outs:
            meter.update(len(written) / len(outs), str(out))
            write_output(out, notes, tune, conductor=conductor, title=title, facts=facts)
            written.append(out)
    if as_json:
        give({"outs": [str(out) for out in outs], "notes": len(notes), "seconds": round(notes.duration_seconds, 3)})
    else:
        for out in outs:
            give(out)


def _piece(file: Path) -> tuple[Conducted, dict[str, str]]:
    """All notes and bars of a file, and the settings that `generate` wrote into it."""
    from musicstyle.music.midi import merged, read_tracks
    from musicstyle.music.scores import SCORE_FORMATS, TUNE_SUFFIXES, is_tune, read_notes

    if is_tune(file) or file.suffix.lower() in (*SCORE_FORMATS, *TUNE_SUFFIXES):
        return read_notes(file), {}
    piece = read_tracks(file)
    return merged(file, piece), _facts(piece.text)


def _refuse_early(file: Path, melody: Path | None, outs: tuple[Path, ...], force: bool) -> None:
    """Say before any work what would go wrong after it."""
    kinds = {output_kind(out) for out in outs}
    if not kinds & {"picture", "page"}:
        refuse_given(("title", "melody"), "without an --out that ends in .png, .svg or .html, which show it")
    seen: set[str] = set()
    for out in outs:
        refuse_to_write(out, force, [file, melody])
        place = os.path.realpath(out)  # Path.resolve raises where links lead in a circle
        if place in seen:
            raise UsageError(f"{out}: given twice as --out")
        seen.add(place)


def _tune(path: Path, notes: Notes, facts: dict[str, str]) -> Notes:
    """The melody of a file on the clock of the notes: as it stands, or as `generate` says that it was asked for."""
    from musicstyle.music.melody import piano_melody
    from musicstyle.music.outputs.picture import plays_melody

    tune = piano_melody(_of_its_track(path, facts))
    if not len(tune):
        raise UsageError(f"{path}: holds no melody")
    # Whichever place more of the notes agree with.
    return max((tune, _asked(tune, facts)), key=lambda place: int(plays_melody(notes, place).sum()))


def _of_its_track(path: Path, facts: dict[str, str]) -> Notes:
    """The notes of a file, those of the track that the facts name if it has one."""
    from musicstyle.music.scores import read_notes

    if (track := facts.get("melody_track", "None")) != "None":
        with contextlib.suppress(UsageError):
            return read_notes(path, track=track).notes
    return read_notes(path).notes


def _asked(tune: Notes, facts: dict[str, str]) -> Notes:
    """The tune where the facts say that it was asked for; as it stands where they are none of `generate`."""
    transpose = facts.get("transpose", "auto")
    try:
        semitones = 0 if transpose == "auto" else int(transpose)  # what "auto" moved was moved back
        asked = GenerationOptions(tempo=float(facts.get("tempo", 1)), transpose=semitones)
        begin = float(facts.get("begin_seconds", 0))
    except (ValueError, ConfigError):
        return tune
    moved = tune.from_zero().stretch(1 / asked.tempo).transpose(semitones)
    return moved.shift(begin) if math.isfinite(begin) else tune


def _facts(text: Sequence[str]) -> dict[str, str]:
    """The settings that `generate` wrote into a file; none from files of others."""
    facts = dict(line.split(": ", 1) for line in text if ": " in line and len(line) <= LONGEST_FACT)
    return facts if "musicstyle" in facts else {}
