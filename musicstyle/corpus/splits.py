"""Which piece is trained on, which validates, which tests.

MAESTRO brings its splits in a csv; they are used as they are. Any other folder is split by piece, about 80/10/10, by a
seed. Pieces that are the same stay together: the same notes under another name or in another key, other performances of
a work, as their notes tell it, and, where a csv tells names, as these do.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from musicstyle.corpus.store import SPLITS
from musicstyle.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Listed:
    """What a csv says of one file, "" where it says nothing.

    Attributes:
        split: Its split.
        composer, title: Of the piece.
        year: Of the recording.
    """

    split: str = ""
    composer: str = ""
    title: str = ""
    year: str = ""

    @property
    def name(self) -> str:
        """The piece's, in one spelling; "" if neither composer nor title is said."""
        return f"{self.composer} / {self.title}".casefold() if self.composer or self.title else ""


def find_csv(source: Path) -> Path | None:
    """MAESTRO's csv (maestro-v3.0.0.csv and its like) in the folder, else the one above, else those just below.

    Of several in one of these places it is the newest.
    """
    for files in (source.glob("maestro-v*.csv"), source.parent.glob("maestro-v*.csv"), source.glob("*/maestro-v*.csv")):
        found = [path for path in files if path.is_file()]
        if found:
            return max(found, key=lambda path: (path.name, path))
    return None


def read_csv(path: Path, source: Path) -> dict[str, Listed]:
    """What the csv tells of the files below `source`, by their POSIX path relative to it.

    Raises:
        CorpusError: the csv cannot be read, has no midi_filename column or names an unknown split.
    """
    listed: dict[str, Listed] = {}
    for row in read_rows(path, "midi_filename"):
        split, *piece = (
            " ".join(row.get(column, "").split())
            for column in ("split", "canonical_composer", "canonical_title", "year")
        )
        if split and split not in SPLITS:
            raise CorpusError(f"{path}: split {split!r}; expected one of {', '.join(SPLITS)}")
        file_path = (path.parent / row["midi_filename"]).absolute()
        if file_path.is_relative_to(source.absolute()):
            listed[file_path.relative_to(source.absolute()).as_posix()] = Listed(split, *piece)
    return listed


def read_rows(path: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a csv that has at least these columns; "" stands where a row is too short.

    Raises:
        CorpusError: it cannot be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: {error}") from error
    if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
        raise CorpusError(f"{path}: no {missing[0]} column; mend it, or move it away to do without")
    return rows


def find_listed(source: Path) -> tuple[dict[str, Listed], str | None]:
    """What a csv tells of the files below `source`, and its name; nothing and None without one.

    Raises:
        CorpusError: as `read_csv`.
    """
    table = find_csv(source)
    return (read_csv(table, source), table.name) if table else ({}, None)


def assign(
    fingerprints: Mapping[str, str], works: Mapping[str, str], listed: Mapping[str, Listed], seed: int
) -> dict[str, str]:
    """Give each file a split.

    Args:
        fingerprints: For each path, a hash that is equal for equal pieces.
        works: For paths whose work is known, a name that all performances of it share.
        listed: What a csv says, by path. Splits it names are kept.
        seed: Decides the rest, in an order that a file more or less hardly changes.

    Returns:
        For each path, a name of SPLITS. Where no csv decides, at least one piece is in train, and of three different
        pieces or more at least one validates.
    """
    splits = {path: split for path in fingerprints if (split := listed.get(path, Listed()).split)}
    free: list[list[str]] = []
    for group in _groups(fingerprints, works, listed):
        official = sorted({splits[path] for path in group if path in splits}, key=SPLITS.index)
        if official:  # an unlisted copy of a test piece must not be trained on: the strictest split of its group
            splits.update({path: official[-1] for path in group if path not in splits})
        else:
            free.append(group)
    splits.update(_assign_free(free, seed))
    return splits


def _assign_free(groups: Sequence[list[str]], seed: int) -> dict[str, str]:
    def draw(group: list[str]) -> str:
        # A path may hold bytes that are no text; they stand in it as surrogates.
        return hashlib.sha256(f"{seed}/{group[0]}".encode("utf-8", "surrogateescape")).hexdigest()

    sizes = [len(group) for group in groups]
    tenth = int(sum(sizes) / 10 + 0.5)
    few = len(groups) < 3  # too few to keep one back
    room = {"validation": 0 if few else max(tenth, min(sizes)), "test": 0 if few else tenth}
    splits: dict[str, str] = {}
    for group in sorted(groups, key=draw):
        chosen = next((split for split, left in room.items() if len(group) <= left), "train")
        if chosen != "train":
            room[chosen] -= len(group)
        splits.update(dict.fromkeys(group, chosen))
    return splits


def _groups(fingerprints: Mapping[str, str], works: Mapping[str, str], listed: Mapping[str, Listed]) -> list[list[str]]:
    """Paths that share a fingerprint, a work or a name, directly or through others, together; sorted."""
    leader = {path: path for path in fingerprints}

    def find(path: str) -> str:
        while leader[path] != path:
            leader[path] = leader[leader[path]]
            path = leader[path]
        return path

    first: dict[tuple[str, str], str] = {}
    for path, fingerprint in sorted(fingerprints.items()):
        name = listed.get(path, Listed()).name
        for key in (("notes", fingerprint), ("work", works.get(path, "")), ("name", name)):
            if key[1]:
                one, two = sorted((find(path), find(first.setdefault(key, path))))
                leader[two] = one
    groups: dict[str, list[str]] = {}
    for path in sorted(fingerprints):
        groups.setdefault(find(path), []).append(path)
    return [groups[key] for key in sorted(groups)]
