"""How fast a corpus is prepared and drawn from, against pretty_midi + note_seq doing the same; prints JSON.

    python benchmarks/corpus.py [MAESTRO] [--files 8] [--workers 1 2] [--skip-prepare]

The sample's notes (pedal folded in), melody and performance ids are asserted equal to what the two libraries give.
MAESTRO: maestro-v3.0.0 in $MUSICSTYLE_DATA, or else in data/.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mistakes import run

from musicstyle.corpus.crops import BatchOptions, batch
from musicstyle.corpus.prepare import prepare
from musicstyle.corpus.reading import File, Task, find_files, read
from musicstyle.corpus.store import Corpus, notes_of
from musicstyle.evaluation.material import MAESTRO, maestro_folder
from musicstyle.music.melody import extract_melody
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode
from musicstyle.music.vocabulary import PERFORMANCE

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # start, end, pitch, velocity


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = maestro_folder() or Path("data") / MAESTRO
    parser.add_argument("source", nargs="?", type=Path, default=default, help="folder of MIDI files")
    parser.add_argument("--files", type=int, default=8, help="files of the comparison")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of processes to prepare with")
    parser.add_argument("--steps", type=int, default=40, help="batches of 8 to draw")
    parser.add_argument("--skip-prepare", action="store_true", help="the comparison and a corpus of its sample only")
    options = parser.parse_args()
    files = find_files(options.source)
    sample = [files[place] for place in np.linspace(0, len(files) - 1, options.files).astype(int)]
    report: dict[str, Any] = {"load": os.getloadavg()[0], "comparison": compare(options.source, sample)}
    with tempfile.TemporaryDirectory() as folder:
        report["prepare"] = []
        for workers in [] if options.skip_prepare else options.workers:
            report["prepare"].append(time_prepare(options.source, Path(folder, str(workers)), workers))
        corpus_folder = Path(folder, str(options.workers[-1]))
        if options.skip_prepare:
            for file in sample:
                link = Path(folder, "sample", file.path)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((options.source / file.path).resolve())
            prepare(Path(folder, "sample"), corpus_folder)
        report["batches"] = time_batches(Corpus.open(corpus_folder), options.steps)
    json.dump(report, sys.stdout, indent=2)
    print()


def time_prepare(source: Path, out: Path, workers: int) -> dict[str, Any]:
    """Prepare all of it from nothing, then again with nothing changed."""
    seconds, corpus = timed(lambda: prepare(source, out, workers=workers))
    again, _ = timed(lambda: prepare(source, out, workers=workers))
    notes = int(corpus.pieces["count"].sum())
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "workers": workers,
        "seconds": round(seconds, 2),
        "files": len(corpus),
        "files_per_second": round(len(corpus) / seconds, 1),
        "notes_per_second": round(notes / seconds),
        "seconds_when_unchanged": round(again, 3),
        "peak_MB_parent_and_largest_worker": [round(kilobytes / 1024) for kilobytes in usage],
        "bytes_on_disk": sum(path.stat().st_size for path in corpus.path.iterdir()),
    }


def time_batches(corpus: Corpus, steps: int) -> dict[str, Any]:
    """Ids a second of one process, 2048 + 2048 a row, augmented; PAD is not counted."""
    options = BatchOptions(batch_size=8)
    batch(corpus, "train", 0, options)

    def draw_all() -> tuple[int, int]:
        drawn = [batch(corpus, "train", step, options) for step in range(steps)]
        return tuple(sum(int(np.count_nonzero(one[name])) for one in drawn) for name in ("ids", "style"))  # type: ignore[return-value]

    seconds, (targets, styles) = timed(draw_all)
    return {
        "tokens_per_second": round((targets + styles) / seconds),
        "target_tokens_per_second": round(targets / seconds),
        "rows_per_second": round(8 * steps / seconds, 1),
        "padding_share": round(1 - targets / (8 * steps * 2048), 4),
    }


def compare(source: Path, sample: list[File]) -> dict[str, Any]:
    """One process, file by file, in seconds of its CPU: ours and theirs, equality asserted."""
    smallest = min(sample, key=lambda file: file.size)
    read(Task(str(source), smallest))  # numba compiles, or loads what it compiled
    read_with_note_seq(source / smallest.path)  # its imports take seconds
    ours = theirs = 0.0
    notes = melody_notes = 0
    for file in sample:
        seconds, mine = timed(lambda file=file: read(Task(str(source), file)), time.process_time)  # type: ignore[misc]
        ours += seconds
        seconds, reference = timed(lambda file=file: read_with_note_seq(source / file.path), time.process_time)  # type: ignore[misc]
        theirs += seconds
        assert mine.records is not None
        check(notes_of(mine.records), mine.records["melody"], reference, file.path)
        notes += len(mine.records)
        melody_notes += int(mine.records["melody"].sum())
    return {
        "files": len(sample),
        "notes": notes,
        "melody_notes": melody_notes,
        "equal": "notes within 1 us, melody, ids",
        "our_cpu_seconds": round(ours, 3),
        "their_cpu_seconds": round(theirs, 3),
        "ratio": round(theirs / ours, 1),
    }


def read_with_note_seq(path: Path) -> tuple[Columns, Columns, list[tuple[str, int]]]:
    """Notes with the pedal applied, melody notes and performance events, by pretty_midi and note_seq."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import note_seq
        from note_seq import melody_inference, performance_lib, sequences_lib
    melody_inference.MAX_NUM_FRAMES = 10**7  # as published it stops at 10,000
    sequence = sequences_lib.apply_sustain_control_changes(note_seq.midi_file_to_note_sequence(str(path)))
    quantized = sequences_lib.quantize_note_sequence_absolute(sequence, 100)
    performance = performance_lib.Performance(quantized, num_velocity_bins=32)
    kinds = {1: "note_on", 2: "note_off", 3: "time_shift", 4: "velocity"}
    events = [(kinds[event.event_type], event.event_value) for event in performance]
    notes = columns(sequence.notes)
    with np.errstate(divide="ignore"):
        instrument = melody_inference.infer_melody_for_sequence(sequence)
    return notes, columns([note for note in sequence.notes if note.instrument == instrument]), events


def columns(notes: Any) -> Columns:
    rows = [(note.start_time, note.end_time, note.pitch, note.velocity) for note in notes]
    table = np.array(sorted(rows, key=lambda row: (row[0], row[2], row[1], row[3])), dtype=np.float64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def check(
    notes: Notes, flags: np.ndarray, reference: tuple[Columns, Columns, list[tuple[str, int]]], name: str
) -> None:
    """Assert that notes, melody and events are the reference's."""
    theirs, their_melody, events = reference
    for mine, other in zip((notes.start, notes.end, notes.pitch, notes.velocity), theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(notes.start[flags], their_melody[0], atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(notes.pitch[flags], their_melody[2], err_msg=name)
    np.testing.assert_allclose(extract_melody(notes).end, their_melody[1], atol=1e-6, err_msg=name)
    mine_events = [PERFORMANCE.decode(event) for event in encode(notes).tolist()]
    assert sorted_steps(mine_events) == sorted_steps(events), f"{name}: performance events differ"


def sorted_steps(events: list[tuple[str, int]]) -> list[tuple[int, str, int, int]]:
    """(step, kind, pitch, velocity bin), sorted: note_seq's order inside a step is another."""
    step, bin_now, found = 0, 0, []
    for kind, value in events:
        if kind == "time_shift":
            step += value
        elif kind == "velocity":
            bin_now = value
        else:
            found.append((step, kind, value, bin_now if kind == "note_on" else 0))
    return sorted(found)


def timed(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Any]:
    begun = clock()
    result = call()
    return clock() - begun, result


if __name__ == "__main__":
    run(main)
