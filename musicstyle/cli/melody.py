"""`musicstyle melody`: what the tool takes the melody of a piece to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

import click

from musicstyle.cli._console import duration, give, say
from musicstyle.cli._flags import refuse_given
from musicstyle.cli._paths import A_PATH, refuse_to_write
from musicstyle.errors import MidiError, UsageError
from musicstyle.files import all_or_none
from musicstyle.music.melody import Extractor, extract_melody
from musicstyle.music.midi import MIDI_SUFFIXES, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.outputs.picture import SUFFIXES, write_picture
from musicstyle.music.plaintext import format_tune
from musicstyle.music.scores import read_notes, source_name


@click.command()
@click.argument("file", type=A_PATH)
@click.option("--out", type=A_PATH, help="MIDI file to write the melody to.")
@click.option("--plot", type=A_PATH, help="Picture to draw: all notes, the melody highlighted (.png .svg).")
@click.option(
    "--extractor",
    type=click.Choice(get_args(Extractor)),
    default="line",
    show_default=True,
    help="line: what generate takes of your files. published: that of the paper. Models are trained with both.",
)
@click.option(
    "--melody-track",
    metavar="N|NAME",
    help="Look at this track of a MIDI file only: its name, or its number from 0 among those with notes; or at this "
    "tune of an ABC book: its title or number.",
)
@click.option("--force", is_flag=True, help="Write over files that are already there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def melody(
    file: Path,
    out: Path | None,
    plot: Path | None,
    extractor: str,
    melody_track: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show what the melody of a piece is taken to be.

    FILE is MIDI, MusicXML (.xml .musicxml .mxl), ABC (of a book the first tune, or that of --melody-track), Humdrum
    (.krn) or a tune in plain text (.txt .melody); or, in quotes, a tune itself: "tempo=100 C4 C4 G4 G4 A4 A4 G4:2". The
    melody is printed in that form, in quarters of the file's tempo if it keeps to them, else with a beat a second.
    """
    _refuse_early(file, out, plot, force)
    everything, conductor = read_notes(file, track=melody_track)
    notes = everything[everything.in_piano_range()]
    if not len(notes):
        raise MidiError(file, "no notes within the piano's range")
    tune = extract_melody(notes, cast("Extractor", extractor))
    with all_or_none() as written:
        if out is not None:
            text = [f"melody of: {source_name(file)}", f"extractor: {extractor}"]
            write_midi(out, tune, conductor=conductor, text=text)
            written.append(out)
        if plot is not None:
            title = f"{source_name(file)}: the melody, by the {extractor} extractor"
            write_picture(plot, notes, tune, title, conductor)
    say(f"{len(tune)} of {len(notes)} notes are the melody, {duration(notes.duration_seconds)}")
    paths = [path for path in (out, plot) if path is not None]
    if as_json:
        names = {"file": str(file), "extractor": extractor, "out": out and str(out), "plot": plot and str(plot)}
        give(names | _as_json(tune, notes))
    elif paths:
        for path in paths:
            give(path)
    else:
        click.echo(format_tune(tune, conductor))


def _refuse_early(file: Path, out: Path | None, plot: Path | None, force: bool) -> None:
    if out is None and plot is None:
        refuse_given(("force",), "without --out or --plot")
    for path, suffixes, flag in ((out, MIDI_SUFFIXES, "--out"), (plot, SUFFIXES, "--plot")):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{path}: let {flag} end in {' or '.join(suffixes)}")
        refuse_to_write(path, force, [file], flag)


def _as_json(tune: Notes, notes: Notes) -> dict[str, Any]:
    """Counts, and the rows of the tune: start, end (s), pitch, velocity."""
    rows = [[round(float(start), 4), round(float(end), 4), int(pitch), int(velocity)]
            for start, end, pitch, velocity in zip(*tune.columns(), strict=True)]  # fmt: skip
    seconds = round(notes.duration_seconds, 3)
    return {"notes": len(notes), "melody_notes": len(tune), "seconds": seconds, "melody": rows}
