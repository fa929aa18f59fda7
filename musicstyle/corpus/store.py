"""A prepared corpus on disk: three files, opened in milliseconds whatever their size.

notes.npy: every note of every piece, one after another (NOTE records), memory-mapped, so memory does not grow with it.
index.npy: one PIECE record a piece: where its notes lie, how many ids they make, its split.
manifest.json: what was read, what was skipped and why, hashes, versions. For people, `data check`, evaluations and the
next preparation; opening and drawing never read it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from musicstyle.errors import CorpusError
from musicstyle.music.notes import Notes

# Raise it if the same MIDI file would give other notes, flags, columns or facts: older corpora are then read anew.
FORMAT = 2
MANIFEST = ("source", "splits_from", "seed", "totals", "pieces", "skipped")  # what manifest.json says
FILES = frozenset({"notes.npy", "index.npy", "manifest.json"})
SPLITS = ("train", "validation", "test")

NOTE = np.dtype(
    [("start", "<f8"), ("end", "<f8"), ("pitch", "u1"), ("velocity", "u1"), ("melody", "?")]
)  # seconds, MIDI numbers
PIECE = np.dtype(
    [
        ("offset", "<i8"),  # first note in notes.npy
        ("count", "<i8"),  # notes
        ("tokens", "<i8"),  # performance ids of the whole piece, EOS not counted
        ("seconds", "<f8"),  # last end
        ("split", "u1"),  # place in SPLITS
        ("low", "u1"),  # lowest and highest pitch
        ("high", "u1"),
        ("pedal", "?"),  # the sustain pedal goes down
    ]
)


class Corpus:
    """A prepared corpus, read-only. Pickles as its path, so worker processes map the same file.

    Attributes:
        path: Its folder.
        pieces: The index: PIECE records, one a piece, (pieces,).
    """

    def __init__(self, path: Path, notes: np.ndarray, pieces: np.ndarray) -> None:
        self.path = path
        self.pieces = pieces
        self._notes = notes
        self._draws: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def open(cls, path: Path | str) -> Corpus:
        """Map the corpus in folder `path`. Time and memory do not depend on its notes.

        Raises:
            CorpusError: `path` is not a prepared corpus, or is a damaged one.
        """
        path = Path(path)
        if not is_corpus(path):
            raise CorpusError(f"{path}: not a prepared corpus; make one with: musicstyle data prepare DIR --out {path}")
        try:
            notes = np.load(path / "notes.npy", mmap_mode="r").view(np.ndarray)  # memmap's own slicing is slow
            index = np.load(path / "index.npy")
        except (OSError, ValueError, EOFError) as error:  # EOFError: an empty file
            raise CorpusError(f"{path}: damaged corpus ({error}); prepare it again") from error
        if notes.dtype != NOTE or index.dtype != PIECE or not len(index):
            raise CorpusError(f"{path}: made by another version of musicstyle; prepare it again")
        if int(index["count"].sum()) != len(notes):
            raise CorpusError(
                f"{path}: damaged corpus (index {int(index['count'].sum())} notes, file {len(notes)}); prepare it again"
            )
        return cls(path, notes, index)

    def __reduce__(self) -> tuple[Any, ...]:
        return Corpus.open, (self.path,)

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was read, skipped and why: parsed when first asked for.

        Raises:
            CorpusError: it is damaged, or of another version.
        """
        try:
            manifest = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CorpusError(f"{self.path}: damaged corpus (manifest.json: {error}); prepare it again") from error
        if not isinstance(manifest, dict):
            raise CorpusError(f"{self.path}: damaged corpus (manifest.json holds no table); prepare it again")
        if manifest.get("format") != FORMAT:
            raise CorpusError(f"{self.path}: made by another version of musicstyle; prepare it again")
        if missing := [name for name in MANIFEST if name not in manifest]:
            raise CorpusError(f"{self.path}: damaged corpus (manifest.json has no {missing[0]}); prepare it again")
        return manifest

    @property
    def fingerprint(self) -> str:
        """The same for corpora of pieces of the same sizes and splits in the same order; of others hardly ever."""
        return hashlib.sha256(self.pieces.tobytes()).hexdigest()[:16]

    def indices(self, split: str) -> np.ndarray:
        """Pieces of one split ("train", "validation" or "test"), (n,) in the order of the index.

        Raises:
            CorpusError: there is no such split, or no piece in it.
        """
        return self._draw(split)[0]

    def split_or_train(self, split: str) -> str:
        """The split if there is a piece in it, else "train"."""
        return split if (self.pieces["split"] == SPLITS.index(split)).any() else "train"

    def ends(self, split: str) -> np.ndarray:
        """Running sum of the notes of `indices(split)`, (n,).

        Where a random number below the last entry falls, there is a piece drawn in proportion to its notes.
        """
        return self._draw(split)[1]

    def _draw(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        if split not in self._draws:
            if split not in SPLITS:
                raise CorpusError(f"{split}: no such split; choose one of {', '.join(SPLITS)}")
            indices = np.flatnonzero(self.pieces["split"] == SPLITS.index(split))
            if not len(indices):
                source, splits_from = (self.manifest[name] for name in ("source", "splits_from"))
                raise CorpusError(
                    f"{source}: no piece in its {split} split ({len(self)} pieces in all, splits from {splits_from})"
                )
            self._draws[split] = indices, np.cumsum(self.pieces["count"][indices])
        return self._draws[split]

    def records(self, piece: int, first: int = 0, last: int | None = None) -> np.ndarray:
        """Notes first..last-1 of a piece as NOTE records, a view of the mapped file."""
        offset, count = int(self.pieces["offset"][piece]), int(self.pieces["count"][piece])
        stop = count if last is None else min(last, count)
        return self._notes[offset + first : offset + stop]

    def notes(self, piece: int, first: int = 0, last: int | None = None) -> Notes:
        """Notes first..last-1 of a piece (all by default), times in seconds from the piece's start, pedal folded in."""
        return notes_of(self.records(piece, first, last))


def is_corpus(path: Path) -> bool:
    """Whether a folder holds the three files of a prepared corpus."""
    return all((path / name).is_file() for name in FILES)


def notes_of(records: np.ndarray) -> Notes:
    """NOTE records as Notes: arrays of their own, in memory."""
    return Notes(
        start=np.ascontiguousarray(records["start"]),
        end=np.ascontiguousarray(records["end"]),
        pitch=records["pitch"].astype(np.int64),
        velocity=records["velocity"].astype(np.int64),
    )


def records_of(notes: Notes, melody: np.ndarray) -> np.ndarray:
    """Notes and their melody flags as NOTE records, (notes,)."""
    records = np.empty(len(notes), NOTE)
    for name in ("start", "end", "pitch", "velocity"):
        records[name] = getattr(notes, name)
    records["melody"] = melody
    return records
