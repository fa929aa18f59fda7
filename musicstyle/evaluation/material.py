"""What evaluations play: tunes and performances, a seeded choice of the data, or without it the examples."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musicstyle.errors import UsageError

if TYPE_CHECKING:
    from musicstyle.corpus.store import Corpus

_CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = _CHECKOUT / "examples"
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
    """$MUSICSTYLE_DATA, or shared/data beside the repository; None if neither is there."""
    folder = Path(os.environ.get("MUSICSTYLE_DATA", _CHECKOUT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def midi_files(folder: Path) -> list[Path]:
    """All MIDI files below a folder, sorted.

    Raises:
        UsageError: There is none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    if not files:
        raise UsageError(f"{folder}: no .mid or .midi files there")
    return files


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
    """A seeded choice of the tunes in a folder, by default the Nottingham tunes; without the data, the examples."""
    data = data_folder()
    if folder is None and data is not None and (data / "melodies" / "nottingham").is_dir():
        folder = data / "melodies" / "nottingham"
    files = sorted(EXAMPLES.glob("*.mid")) if folder is None else midi_files(folder)
    return chosen(files, count, seed)


def styles(count: int, seed: int = 1, folder: Path | None = None, split: str = "validation") -> list[Path]:
    """A seeded choice of the performances in a folder, by default MAESTRO's split; without the data, the examples."""
    data = data_folder()
    if folder is None and data is not None and (data / MAESTRO / CSV).is_file():
        files = [one.path for one in maestro_performances(data / MAESTRO) if one.split == split]
    else:
        files = midi_files(EXAMPLES / "styles" if folder is None else folder)
    return chosen(sorted(files), count, seed)


def chosen(files: list[Path], count: int, seed: int) -> list[Path]:
    """So many of the files in a random order; all of them if there are no more."""
    order = np.random.default_rng(seed).permutation(len(files))
    return [files[i] for i in order[:count]]


def _rows(path: Path, column: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise UsageError(f"{path}: not there; it should list midi_filename and {column}")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows or not {"midi_filename", column} <= set(rows[0]):
        raise UsageError(f"{path}: lacks the columns midi_filename and {column}")
    return rows
