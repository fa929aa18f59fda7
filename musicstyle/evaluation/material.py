"""What evaluations play: tunes and performances, a seeded choice of the data, or without it the examples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musicstyle.corpus.splits import find_csv, read_csv, read_rows
from musicstyle.errors import UsageError
from musicstyle.files import paths_below
from musicstyle.music.midi import MIDI_SUFFIXES
from musicstyle.music.scores import SUFFIXES
from musicstyle.resources import examples

if TYPE_CHECKING:
    from musicstyle.corpus.store import Corpus

MAESTRO = "maestro-v3.0.0"
TUNES = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")  # a .txt may hold any text


@dataclass(frozen=True)
class Performance:
    """One recorded performance of MAESTRO.

    Attributes:
        path: Its MIDI file.
        split: "train", "validation" or "test".
        composer, title, year, performer: Empty where unknown.
    """

    path: Path
    split: str
    composer: str
    title: str = ""
    year: str = ""
    performer: str = ""


def data_folder() -> Path | None:
    """The folder that $MUSICSTYLE_DATA names; None where it isn't set.

    Raises:
        UsageError: $MUSICSTYLE_DATA is no folder.
    """
    named = os.environ.get("MUSICSTYLE_DATA")
    if named and not Path(named).is_dir():
        raise UsageError(f"{named}: no such folder, though MUSICSTYLE_DATA names it")
    return Path(named) if named else None


def maestro_folder() -> Path | None:
    """MAESTRO in the data folder; None where there is none."""
    data = data_folder()
    return data / MAESTRO if data is not None and (data / MAESTRO).is_dir() else None


def midi_files(folder: Path) -> list[Path]:
    """All MIDI files below a folder, sorted.

    Raises:
        UsageError: There is none.
        OSError: A folder below it cannot be read.
    """
    return _files_among(paths_below(folder), folder, MIDI_SUFFIXES)


def maestro_performances(folder: Path, performers: Path | None = None) -> list[Performance]:
    """What MAESTRO's table lists below a folder and is there, with performers from a csv where given.

    Args:
        folder: See `musicstyle.corpus.splits.find_csv` for where the table is looked for.
        performers: A table of midi_filename and performer, for example maestro-performers.csv.

    Raises:
        UsageError: There is no table.
        CorpusError: A table cannot be read or lacks its columns.
    """
    table = find_csv(folder)
    if table is None:
        raise UsageError(f"{folder}: no maestro-v*.csv there")
    rows = [] if performers is None else read_rows(performers, "midi_filename", "performer")
    # Both tables name files from where MAESTRO's lies, which may be above the folder or below it.
    names = {(table.parent / row["midi_filename"]).absolute(): row["performer"] for row in rows}
    return [
        Performance(
            folder / path, one.split, one.composer, one.title, one.year, names.get((folder / path).absolute(), "")
        )
        for path, one in read_csv(table, folder).items()
        if (folder / path).is_file()
    ]


def listed(corpus: Corpus, performers: Path | None = None) -> dict[str, Performance]:
    """What MAESTRO's table says of each file, as the corpus names it; empty if the corpus was made of something else.

    Args:
        corpus: Its manifest says which folder it was made of.
        performers: As for `maestro_performances`.

    Raises:
        CorpusError: As for `maestro_performances`.
    """
    source = Path(corpus.manifest["source"])
    if find_csv(source) is None:
        return {}
    return {one.path.relative_to(source).as_posix(): one for one in maestro_performances(source, performers)}


def titles(corpus: Corpus) -> dict[str, str]:
    """Composer and title of each file, as the corpus names it, where MAESTRO's table says them."""
    return {path: ": ".join(filter(None, (one.composer, one.title))) for path, one in listed(corpus).items()}


def tunes(count: int, seed: int = 1, folder: Path | None = None) -> list[Path]:
    """A seeded choice of the tunes below a folder, by default the Nottingham tunes; without the data, the examples.

    Files of every suffix in TUNES count.

    Raises:
        UsageError: There is none.
    """
    if folder is None and (data := data_folder()) is not None and (data / "melodies" / "nottingham").is_dir():
        folder = data / "melodies" / "nottingham"
    # Not below the examples: their styles lie there.
    paths = examples().glob("*") if folder is None else paths_below(folder)
    return chosen(_files_among(paths, folder or examples(), TUNES), count, seed)


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
    if not known and (folder := maestro_folder()) is not None and find_csv(folder) is not None:
        known = maestro_performances(folder)
    return [one.path for one in known if one.split == "validation"]


def _files_among(paths: Iterable[Path], folder: Path, suffixes: Sequence[str]) -> list[Path]:
    files = sorted(path for path in paths if path.suffix.lower() in suffixes and path.is_file())
    if not files:
        raise UsageError(f"{folder}: no {' or '.join(suffixes)} files there")
    return files
