"""What is in a folder of MIDI, and what is wrong with it: counts, ranges, duplicates, leaks between splits."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from musicstyle.corpus.prepare import Progress, Row, cached_corpus
from musicstyle.corpus.splits import Listed, find_listed
from musicstyle.corpus.store import SPLITS, Corpus
from musicstyle.errors import MidiError
from musicstyle.music.parse import parse
from musicstyle.music.smf import check_and_unwrap, with_ticks_a_quarter
from musicstyle.music.works import works


def check(source: Path | str, *, workers: int | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Look through a folder of MIDI, or a corpus prepared from one.

    A folder is prepared first, once, in the user's cache.

    Args:
        source: The folder.
        workers: Processes that read; None for one a core.
        progress: Called with (files done, files in all) after each file.

    Returns:
        "source", "splits_from";
        "all" and each split's name: files, hours, notes, notes_per_second, tokens, tokens_per_second, with_pedal,
        pedal_share, and the ranges pitch and velocity (lowest, highest; None without notes);
        "without_pedal", "pedal_never_down": paths of files without pedal events, and of those whose pedal is moved but
        never half down; both None where most files are like that, as scores are;
        "duplicates": lists of paths with the same notes, in whatever key and tempo;
        "in_two_splits": pieces found in more than one split: {"shared_by": "notes", "name" (the csv's) or "work" (as
        musicstyle.music.works tells it), "files": [{"path", "split"}]}; a group is told once, by the first of these;
        "unreadable": {"path", "reason"} of files of no use;
        "notes_off_the_piano": notes left out because no key of the piano plays them.

    Raises:
        CorpusError: no such folder, nothing usable in it.
    """
    corpus = cached_corpus(source, workers=workers, progress=progress)
    manifest = corpus.manifest
    rows = manifest["pieces"]
    groups = {"all": np.arange(len(corpus))} | {
        split: np.flatnonzero(corpus.pieces["split"] == place) for place, split in enumerate(SPLITS)
    }
    facts: dict[str, Any] = {"source": manifest["source"], "splits_from": manifest["splits_from"]}
    facts |= {name: _facts(corpus, pieces) for name, pieces in groups.items()}
    return facts | {
        **_pedal_faults(rows, Path(manifest["source"])),
        "duplicates": [[row["path"] for row in group] for group in _alike(rows, [row["fingerprint"] for row in rows])],
        "in_two_splits": _in_two_splits(corpus),
        "unreadable": [{"path": row["path"], "reason": row["reason"]} for row in manifest["skipped"]],
        "notes_off_the_piano": manifest["totals"]["out_of_range"],
    }


def _facts(corpus: Corpus, pieces: np.ndarray) -> dict[str, Any]:
    """Counts and ranges of some pieces of a corpus."""
    index = corpus.pieces[pieces]
    seconds, notes, tokens = float(index["seconds"].sum()), int(index["count"].sum()), int(index["tokens"].sum())
    return {
        "files": len(pieces),
        "hours": round(seconds / 3600, 4),
        "notes": notes,
        "notes_per_second": round(notes / seconds, 3) if seconds else 0.0,
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 3) if seconds else 0.0,
        "with_pedal": int(index["pedal"].sum()),
        "pedal_share": round(float(index["pedal"].mean()), 4) if len(pieces) else 0.0,
        "pitch": [int(index["low"].min()), int(index["high"].max())] if len(pieces) else None,
        "velocity": _velocity_range(corpus, pieces),
    }


def _velocity_range(corpus: Corpus, pieces: np.ndarray) -> list[int] | None:
    """Lowest and highest, piece by piece, so that memory does not grow with the corpus."""
    ranges = [
        (int(column.min()), int(column.max())) for column in (corpus.records(i)["velocity"] for i in pieces.tolist())
    ]
    return [min(low for low, _ in ranges), max(high for _, high in ranges)] if ranges else None


def _pedal_faults(rows: list[Row], source: Path) -> dict[str, list[str]] | dict[str, None]:
    """The files whose pedal never holds a note, by the reason. One that is gone by now counts as moving its pedal."""
    silent = [row["path"] for row in rows if not row["pedal"]]
    if 2 * len(silent) > len(rows):
        return {"without_pedal": None, "pedal_never_down": None}
    found: dict[str, list[str]] = {"without_pedal": [], "pedal_never_down": []}
    for path in silent:
        found["pedal_never_down" if _moves_pedal(source / path) else "without_pedal"].append(path)
    return found


def _moves_pedal(path: Path) -> bool:
    try:
        data = with_ticks_a_quarter(check_and_unwrap(path, path.read_bytes()))
        return any(len(track.pedal) for track in parse(data).tracks)
    except (OSError, ValueError, MidiError):
        return True


def _in_two_splits(corpus: Corpus) -> list[dict[str, Any]]:
    """Pieces that some model would be trained on and tested with."""
    rows = corpus.manifest["pieces"]
    listed, _ = find_listed(Path(corpus.manifest["source"]))
    if "work" in rows[0]:  # looked for when the corpus was prepared
        of_works = [row["work"] for row in rows]
    else:
        of_works = [str(number) for number in works(corpus.notes(piece) for piece in range(len(corpus)))]
    keys = {
        "notes": [row["fingerprint"] for row in rows],
        "name": [listed.get(row["path"], Listed()).name for row in rows],
        "work": of_works,
    }
    found: list[dict[str, Any]] = []
    for shared_by, of in keys.items():
        for group in _alike(rows, of):
            files = [{"path": row["path"], "split": row["split"]} for row in group]
            if len({file["split"] for file in files}) > 1 and files not in (one["files"] for one in found):
                found.append({"shared_by": shared_by, "files": files})
    return found


def _alike(rows: list[Row], keys: list[str]) -> list[list[Row]]:
    """Rows that share a key, in groups of two or more. An empty key is shared with none."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row, key in zip(rows, keys, strict=True):
        groups[key].append(row)
    return [group for key, group in groups.items() if key and len(group) > 1]
