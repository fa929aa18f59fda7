"""A folder of MIDI files -> a corpus on disk: notes with the pedal folded in, melody flags, splits and a manifest.

Files are read in worker processes and written in the order of their paths as they arrive, so memory stays small and the
result does not depend on the number of workers. (Where no csv places the pieces, performances of one work are looked
for, which takes some 80 bytes a note.) A file whose size and time are those of the last preparation is not opened
again: its notes are copied from the corpus that stands. The new corpus grows in a folder beside and takes the old one's
place in the end: there is never half a corpus.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from musicstyle import __version__
from musicstyle.corpus.reading import File, Reading, Task, find_files, read_all
from musicstyle.corpus.splits import Listed, assign, find_listed
from musicstyle.corpus.store import FILES, FORMAT, NOTE, PIECE, SPLITS, Corpus, is_corpus, notes_of
from musicstyle.errors import CorpusError
from musicstyle.files import put_back, replace_folder
from musicstyle.music.midi import MAX_BYTES

Progress = Callable[[int, int], None]  # files done, files in all
Row = dict[str, Any]  # of the manifest


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Make the corpus `out` of every .mid and .midi file below `source`, or bring it up to date.

    Args:
        source: Folder of MIDI files. A maestro-v*.csv in it, in the folder above or in one just below gives the splits.
        out: Folder of the corpus: absent, empty or an earlier corpus, whole or what is left of it.
        seed: Decides the splits of files that no csv places.
        workers: Processes that read; None for one a core, 1 for none but this one.
        progress: Called with (files done, files in all) after each file.

    Raises:
        CorpusError: no such folder, no MIDI file, no usable notes, `out` holds something else or can't be written.
    """
    files = find_files(Path(source))
    # Resolved: "." has no folder above it, and a link's place must not be taken for that of what it leads to.
    source, out = Path(source).resolve(), Path(out).resolve()
    put_back(out)
    if out.exists() and not (out.is_dir() and (is_corpus(out) or {path.name for path in out.iterdir()} <= FILES)):
        raise CorpusError(f"{out}: is there already and is no corpus; choose another folder")
    old = _Earlier.load(out, source)
    tasks = [Task(str(source), file, old.sha256(file.path)) for file in files if not old.has(file)]
    if old.corpus is not None and not tasks and old.is_current(source, files, seed):
        return old.corpus
    try:
        with replace_folder(out) as folder:
            rows = _write_notes(folder / "notes.npy", files, old, read_all(tasks, workers), progress)
            _write_index(folder, source, rows, seed)
            old.corpus = None  # the mapped file is let go before its folder moves
    except OSError as error:
        # NumPy's own OSError only counts the bytes that were written.
        raise CorpusError(f"{out}: cannot be written ({error.strerror or f'is the disk full? {error}'})") from error
    return Corpus.open(out)


def cached_corpus(source: Path | str, *, workers: int | None = None, progress: Progress | None = None) -> Corpus:
    """The corpus of a folder of MIDI, prepared once in the user's cache. A prepared corpus is opened as it is.

    Raises:
        CorpusError: as `prepare`.
    """
    source = Path(source)
    if is_corpus(source):
        return Corpus.open(source)
    return prepare(source, cache_path(source), workers=workers, progress=progress)


def cache_path(source: Path) -> Path:
    """Where `cached_corpus` keeps the corpus of a source."""
    import platformdirs

    resolved = source.resolve()
    name = f"{resolved.name or 'root'}-{hashlib.sha256(os.fsencode(resolved)).hexdigest()[:12]}"
    return Path(platformdirs.user_cache_dir("musicstyle")) / "corpora" / name


class _Earlier:
    """The corpus that stands in `out`, if any: which files it knows, and their notes."""

    def __init__(self, corpus: Corpus | None, source: Path) -> None:
        self.corpus = corpus
        manifest = corpus.manifest if corpus else {}
        self.pieces: dict[str, Row] = {row["path"]: row for row in manifest.get("pieces", [])}
        self.skipped: dict[str, Row] = {row["path"]: row for row in manifest.get("skipped", [])}
        self.places = {path: place for place, path in enumerate(self.pieces)}
        self.same_source = manifest.get("source") == str(source)

    @classmethod
    def load(cls, out: Path, source: Path) -> _Earlier:
        """Read the manifest of `out`. A damaged corpus, or another version's, counts as none: all is read anew."""
        try:
            return cls(Corpus.open(out) if is_corpus(out) else None, source)
        except (CorpusError, ValueError, KeyError, TypeError):
            return cls(None, source)

    def row(self, path: str) -> Row:
        return self.pieces.get(path) or self.skipped.get(path) or {}

    def has(self, file: File) -> bool:
        """Whether the file need not be opened."""
        row = self.row(file.path)
        # What could not be opened may have been mended without a change of its size and time.
        known = "sha256" in row or not 0 < row.get("size", 1) <= MAX_BYTES
        return known and self.same_source and (row.get("size"), row.get("mtime_ns")) == (file.size, file.mtime_ns)

    def sha256(self, path: str) -> str:
        return str(self.row(path).get("sha256", ""))

    def complete(self, row: Row) -> Reading:
        """The row and notes of a file whose content is known."""
        place = self.places.get(row["path"])
        records = None if self.corpus is None or place is None else self.corpus.records(place)
        return Reading(self.row(row["path"]) | row, records)

    def is_current(self, source: Path, files: Sequence[File], seed: int) -> bool:
        """Whether the corpus is what preparing it again would give, no file having changed."""
        if len(files) != len(self.pieces) + len(self.skipped):
            return False
        listed = find_listed(source)[0]
        if _unplaced(self.pieces, listed) and any("work" not in row for row in self.pieces.values()):
            return False
        splits = _splits(list(self.pieces.values()), listed, seed)
        return all(row["split"] == splits[path] for path, row in self.pieces.items())


def _write_notes(
    path: Path, files: Sequence[File], old: _Earlier, readings: Iterator[Reading], progress: Progress | None
) -> list[Row]:
    """Write the notes of all files in order; returns the manifest's rows, those of skipped files with a `reason`."""
    rows: list[Row] = []
    with path.open("wb") as stream:
        _write_header(stream, 0)
        for done, file in enumerate(files, 1):
            reading = old.complete({"path": file.path}) if old.has(file) else next(readings)
            if reading.records is None and "reason" not in reading.row:
                reading = old.complete(reading.row)
            if reading.records is not None:
                reading.records.tofile(stream)
            rows.append(reading.row)
            if progress:
                progress(done, len(files))
        stream.seek(0)
        _write_header(stream, sum(row["notes"] for row in rows if "reason" not in row))
    return rows


def _write_header(stream: BinaryIO, notes: int) -> None:
    """The .npy header. NumPy pads it to one length for any count, so it is written over when the count is known."""
    np.lib.format.write_array_header_1_0(
        stream, {"descr": np.lib.format.dtype_to_descr(NOTE), "fortran_order": False, "shape": (notes,)}
    )


def _unplaced(paths: Iterable[str], listed: Mapping[str, Listed]) -> list[str]:
    """Those that no csv places. If there are any, works must be known: a csv that places all knows them better."""
    return [path for path in paths if not listed.get(path, Listed()).split]


def _name_works(pieces: Sequence[Row], notes: np.ndarray) -> None:
    """Tell each row the work that it is a performance of, by the path of the first of them."""
    from musicstyle.music.works import works  # brings SciPy, which readers and corpora with a csv do without

    ends = np.cumsum([row["notes"] for row in pieces])
    number = works(notes_of(notes[end - row["notes"] : end]) for row, end in zip(pieces, ends.tolist(), strict=True))
    _, first, of = np.unique(number, return_index=True, return_inverse=True)
    for row, place in zip(pieces, first[of].tolist(), strict=True):
        row["work"] = pieces[place]["path"]


def _splits(pieces: Sequence[Row], listed: Mapping[str, Listed], seed: int) -> dict[str, str]:
    """The split of each path."""
    fingerprints = {row["path"]: row["fingerprint"] for row in pieces}
    return assign(fingerprints, {row["path"]: row["work"] for row in pieces if "work" in row}, listed, seed)


def _splits_from(table: str | None, pieces: int, unplaced: int, seed: int) -> str:
    """Who placed how many of the pieces: the csv of this name, the seed, or both."""
    if table is None or unplaced == pieces:
        return f"seed {seed}"
    return f"{table}, those of {unplaced} other files from seed {seed}" if unplaced else table


def _write_index(folder: Path, source: Path, rows: Sequence[Row], seed: int) -> None:
    """Write index.npy and manifest.json."""
    pieces = [row for row in rows if "reason" not in row]
    skipped = [row for row in rows if "reason" in row]
    if not pieces:
        first = f"{skipped[0]['path']}: {skipped[0]['reason']}"
        raise CorpusError(f"{source}: none of its MIDI files ({len(skipped)}) is usable; the first is {first}")
    notes = np.load(folder / "notes.npy", mmap_mode="r")
    listed, table = find_listed(source)
    for row in pieces:
        for name in ("work", "split"):  # of another preparation, with other pieces
            row.pop(name, None)
    if unplaced := _unplaced([row["path"] for row in pieces], listed):
        _name_works(pieces, notes)
    splits = _splits(pieces, listed, seed)
    for row in pieces:
        row["split"] = splits[row["path"]]
    np.save(folder / "index.npy", _index(pieces, notes))
    versions = {"musicstyle": __version__, "numpy": np.__version__, "symusic": importlib.metadata.version("symusic")}
    manifest = {
        "format": FORMAT,
        "source": str(source),
        "splits_from": _splits_from(table, len(pieces), len(unplaced), seed),
        "seed": seed,
    }
    manifest |= {"versions": versions, "totals": _totals(pieces, skipped), "pieces": pieces, "skipped": skipped}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _index(pieces: Sequence[Row], notes: np.ndarray) -> np.ndarray:
    index = np.empty(len(pieces), PIECE)
    index["count"] = [row["notes"] for row in pieces]
    index["offset"] = np.cumsum(index["count"]) - index["count"]
    for name in ("tokens", "seconds", "pedal"):
        index[name] = [row[name] for row in pieces]
    index["split"] = [SPLITS.index(row["split"]) for row in pieces]
    for record in index:
        pitch = notes["pitch"][record["offset"] : record["offset"] + record["count"]]
        record["low"], record["high"] = pitch.min(), pitch.max()
    return index


def _totals(pieces: Sequence[Row], skipped: Sequence[Row]) -> Row:
    def sums(rows: Sequence[Row]) -> Row:
        hours = round(sum(row["seconds"] for row in rows) / 3600, 6)
        return {"pieces": len(rows), "hours": hours} | {
            name: sum(row[name] for row in rows) for name in ("notes", "tokens", "out_of_range", "pedal")
        }

    by_split = {split: sums([row for row in pieces if row["split"] == split]) for split in SPLITS}
    return sums(pieces) | {"skipped": len(skipped)} | by_split
