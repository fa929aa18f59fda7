"""MIDI files -> notes as they are stored, in worker processes. A file of no use gives a reason, not an error."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from musicstyle.corpus.store import is_corpus, records_of
from musicstyle.devices import cores
from musicstyle.errors import CorpusError, MidiError
from musicstyle.files import paths_below
from musicstyle.music.melody import melody_flags
from musicstyle.music.midi import MIDI_SUFFIXES, merged, read_bytes, read_tracks
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode
from musicstyle.music.vocabulary import MAX_PITCH, MIN_PITCH

FEW_FILES = 16  # below this, starting worker processes takes longer than reading


@dataclass(frozen=True)
class File:
    """A MIDI file of the source: POSIX path below it, bytes, time of its last change."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Task:
    """One file to read. `known_sha256` is the content whose notes are there already ("" if none)."""

    source: str
    file: File
    known_sha256: str = ""


@dataclass(frozen=True)
class Reading:
    """What a worker found.

    Attributes:
        row: Row of the manifest; with a `reason` if the file is of no use.
        records: NOTE records, or None: of no use, or the known content.
    """

    row: dict[str, Any]
    records: np.ndarray | None


def find_files(source: Path) -> list[File]:
    """Every .mid and .midi file below `source`, whatever the case of its name, in the order of the paths.

    Raises:
        CorpusError: `source` is no folder, holds no MIDI file, or what is below it cannot be read.
    """
    if not source.is_dir():
        raise CorpusError(f"{source}: {'not a folder' if source.exists() else 'no such folder'}; give a folder of MIDI")
    found = []
    try:
        for path in paths_below(source):
            if path.suffix.lower() in MIDI_SUFFIXES and path.is_file():
                stat = path.stat()
                found.append(File(path.relative_to(source).as_posix(), stat.st_size, stat.st_mtime_ns))
    except OSError as error:
        raise CorpusError(f"{error.filename}: cannot be read ({error.strerror or error})") from error
    if not found:
        prepared = "; it is prepared already, give it to train --data as it is" if is_corpus(source) else ""
        raise CorpusError(f"{source}: no .mid or .midi file in it or below it{prepared}")
    return sorted(found, key=lambda file: file.path)


def read_all(tasks: Sequence[Task], workers: int | None) -> Iterator[Reading]:
    """Read files, in their order, in worker processes if there are enough files to pay for starting them.

    Args:
        tasks: What to read.
        workers: Processes; None for one a core, 1 for none but this one.

    Raises:
        CorpusError: the system killed a worker.
    """
    workers = workers if workers is not None else cores()
    if workers <= 1 or len(tasks) < FEW_FILES:
        yield from map(read, tasks)
        return
    # Spawned, not forked: a fork inherits the threads' locks of whatever the caller has imported.
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=_begin_to_work,
    )
    try:
        yield from pool.map(read, tasks, chunksize=max(1, min(8, len(tasks) // (workers * 4))))
    except BrokenProcessPool as error:
        raise CorpusError("a reading process was killed (out of memory?); try again with fewer workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_to_work() -> None:
    """In a worker process: leave Ctrl-C to the first one, and end when that one does, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def read(task: Task) -> Reading:
    """Read one file: hash, notes, melody flags, counts."""
    path = Path(task.source, task.file.path)
    row: dict[str, Any] = {"path": task.file.path, "size": task.file.size, "mtime_ns": task.file.mtime_ns}
    try:
        data = read_bytes(path)
        row["sha256"] = hashlib.sha256(data).hexdigest()
        if row["sha256"] == task.known_sha256:
            return Reading(row, None)
        piece = read_tracks(path, data=data)
        everything = merged(path, piece).notes
    except MidiError as error:
        return Reading(row | {"reason": error.reason}, None)
    notes = everything[everything.in_piano_range()]
    if not len(notes):
        return Reading(row | {"reason": f"no note within {MIN_PITCH}..{MAX_PITCH}"}, None)
    row |= {"notes": len(notes), "out_of_range": len(everything) - len(notes), "pedal": piece.has_pedal}
    row |= {"tokens": len(encode(notes)), "seconds": round(notes.duration_seconds, 6)}
    return Reading(row | {"fingerprint": fingerprint(notes)}, records_of(notes, melody_flags(notes)))


def fingerprint(notes: Notes) -> str:
    """A hash equal for the same notes in another key or tempo: how often each pitch is struck, above the lowest.

    Without the order of the onsets: in real playing it changes with the tempo, where notes lie closer than 10 ms.
    """
    counts = np.bincount(notes.pitch - notes.pitch.min())
    return hashlib.sha256(counts.astype("<i4").tobytes()).hexdigest()[:32]
