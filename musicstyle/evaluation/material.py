"""What evaluations play: tunes and performances, a seeded choice of the data, or without it the examples."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musicstyle.errors import UsageError
from musicstyle.music.midi import MIDI_SUFFIXES
from musicstyle.resources import examples

if TYPE_CHECKING:
    from musicstyle.corpus.store import Corpus

_CHECKOUT = Path(__file__).resolve().parents[2]
MAESTRO, CSV = "maestro-v3.0.0", "maestro-v3.0.0.csv"


@dataclass(frozen=True)
class Performance:
    """One recorded performance of MAESTRO.

    Attributes:
        path: Its MIDI file.
        split: "train", "validation" or "test".
        composer, title, year: As listed; title and year are empty where they aren't.
        performer: Empty where unknown.
    """

    path: Path
    split: str
    composer: str
    title: str = ""
    year: str = ""
    performer: str = ""


def data_folder() -> Path | None:
    """$MUSICSTYLE_DATA, or if that isn't set shared/data beside the repository; None if that isn't there.

    Raises:
        UsageError: $MUSICSTYLE_DATA is no folder.
    """
    if named := os.environ.get("MUSICSTYLE_DATA"):
        if not Path(named).is_dir():
            raise UsageError(f"{named}: no such folder, though MUSICSTYLE_DATA names it")
        return Path(named)
    beside = _CHECKOUT.parent / "shared" / "data"
    return beside if beside.is_dir() else None


def midi_files(folder: Path) -> list[Path]:
    """All MIDI files below a folder, sorted.

    Raises:
        UsageError: There is none.
    """
    return _midi_among(folder.rglob("*"), folder)


def maestro_performances(folder: Path, performers: Path | None = None) -> list[Performance]:
    """MAESTRO's table, with performers from a csv of (midi_filename, performer) where given.

    Args:
        folder: Holds maestro-v3.0.0.csv.
        performers: For example maestro-performers.csv.

    Raises:
        UsageError: A table is missing or lacks its columns.
    """
    names = (
        {} if performers is None else {row["midi_filename"]: row["performer"] for row in _rows(performers, "performer")}
    )
    return [
        Performance(
            folder / row["midi_filename"],
            row["split"],
            row["canonical_composer"],
            row.get("canonical_title", ""),
            row.get("year", ""),
            names.get(row["midi_filename"], ""),
        )
        for row in _rows(folder / CSV, "canonical_composer")
        if (folder / row["midi_filename"]).is_file()
    ]


def listed(corpus: Corpus, performers: Path | None = None) -> dict[str, Performance]:
    """What MAESTRO's table says of each file, as the corpus names it; empty if the corpus was made of something else.

    Args:
        corpus: Its manifest says which folder it was made of.
        performers: As for `maestro_performances`.

    Raises:
        UsageError: `performers` lacks its columns.
    """
    source = Path(corpus.manifest.get("source", ""))
    if not (source / CSV).is_file():
        return {}
    return {one.path.relative_to(source).as_posix(): one for one in maestro_performances(source, performers)}


def titles(corpus: Corpus) -> dict[str, str]:
    """Composer and title of each file, as the corpus names it, where MAESTRO's table says them."""
    return {path: f"{one.composer}: {one.title}" for path, one in listed(corpus).items()}


def tunes(count: int, seed: int = 1, folder: Path | None = None) -> list[Path]:
    """A seeded choice of the tunes in a folder, by default the Nottingham tunes; without the data, the examples.

    Raises:
        UsageError: There is none.
    """
    if folder is None and (data := data_folder()) is not None and (data / "melodies" / "nottingham").is_dir():
        folder = data / "melodies" / "nottingham"
    # Not below the examples: their styles lie there.
    files = _midi_among(examples().glob("*"), examples()) if folder is None else midi_files(folder)
    return chosen(files, count, seed)


def styles(count: int, seed: int = 1, folder: Path | None = None, corpus: Corpus | None = None) -> list[Path]:
    """A seeded choice of the performances in a folder, by default MAESTRO's validation split; without it, the examples.

    Args:
        count: How many; fewer if no more are there.
        seed: Of the choice.
        folder: Where to look; the rest is then not asked.
        corpus: If it was made of MAESTRO, the performances are those of its source; otherwise those of the data.

    Raises:
        UsageError: There is none.
    """
    files = _validation_split(corpus) if folder is None else []
    return chosen(sorted(files or midi_files(folder or examples() / "styles")), count, seed)


def chosen(files: list[Path], count: int, seed: int) -> list[Path]:
    """So many of the files in a random order; all of them if there are no more."""
    order = np.random.default_rng(seed).permutation(len(files))
    return [files[i] for i in order[:count]]


def _validation_split(corpus: Corpus | None) -> list[Path]:
    """MAESTRO's, of the corpus or else of the data; empty without either."""
    known = [] if corpus is None else list(listed(corpus).values())
    if not known and (data := data_folder()) is not None and (data / MAESTRO / CSV).is_file():
        known = maestro_performances(data / MAESTRO)
    return [one.path for one in known if one.split == "validation"]


def _midi_among(paths: Iterable[Path], folder: Path) -> list[Path]:
    files = sorted(path for path in paths if path.suffix.lower() in MIDI_SUFFIXES and path.is_file())
    if not files:
        raise UsageError(f"{folder}: no .mid or .midi files there")
    return files


def _rows(path: Path, column: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise UsageError(f"{path}: not there; it should list midi_filename and {column}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a csv in UTF-8 ({error})") from error
    if not rows or not {"midi_filename", column} <= set(rows[0]):
        raise UsageError(f"{path}: lacks the columns midi_filename and {column}")
    return rows
