"""Which notes are the melody? Judges extraction on POP909: truth is the MELODY track, input the mix of all tracks.

    python benchmarks/melody_extraction.py [--pieces 50] [--half tune|test|all] [--flat]

Note-level precision, recall and F1 by mir_eval.transcription: onset within 50 ms, pitch within a quarter tone, offsets
not asked for; the mean over pieces. "published" is note_seq's Viterbi; "skyline" the highest note of each chord (onsets
within 50 ms); "skyline, sounding" only where nothing higher still sounds; "line" is ours. The numbers of "line" were
tuned on the even files ("tune"), so those that count are of the odd ones ("test"). --flat gives every note one
velocity, as scores have it. Prints one JSON object. Data: pop909 in $MUSICSTYLE_DATA, or else in data/.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from mistakes import run

from musicstyle.evaluation.material import data_folder
from musicstyle.music.melody import melody_flags
from musicstyle.music.midi import read_tracks
from musicstyle.music.notes import Notes

CHORD_SECONDS = 0.05
HALVES = {"tune": slice(0, None, 2), "test": slice(1, None, 2), "all": slice(None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=(data_folder() or Path("data")) / "pop909")
    parser.add_argument("--half", choices=HALVES, default="test")
    parser.add_argument("--pieces", type=int, help="so many pieces, spread evenly; default: all of the half")
    parser.add_argument("--flat", action="store_true", help="one velocity for all notes")
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("*.mid"))[HALVES[arguments.half]]
    if not files:
        parser.error(f"no POP909 files in {arguments.data}; set MUSICSTYLE_DATA")
    if arguments.pieces:
        files = files[:: max(1, len(files) // arguments.pieces)][: arguments.pieces]
    pieces = [one for one in map(read_piece, files) if one is not None]
    if arguments.flat:
        pieces = [(replace(mix, velocity=np.full(len(mix), 100)), truth) for mix, truth in pieces]
    results = {name: judge(extract, pieces) for name, extract in EXTRACTORS.items()}
    facts = {"pieces": len(pieces), "half": arguments.half, "flat": arguments.flat}
    print(json.dumps({**facts, "notes": sum(len(mix) for mix, _ in pieces), "extractors": results}, indent=1))


def read_piece(path: Path) -> tuple[Notes, Notes] | None:
    """All notes together, pedal folded in as in any file a user gives; and the melody. None without a MELODY track."""
    tracks = read_tracks(path).tracks
    truth = [track.notes for track in tracks if track.name.strip().upper() == "MELODY"]
    mix = Notes.concatenate([track.notes for track in tracks if not track.is_drum])
    return (mix, Notes.concatenate(truth)) if truth else None


def judge(extract: Callable[[Notes], np.ndarray], pieces: list[tuple[Notes, Notes]]) -> dict[str, float]:
    extract(pieces[0][0])  # what is compiled is compiled now
    began = time.process_time()
    found = [mix[extract(mix)] for mix, _ in pieces]
    seconds = time.process_time() - began
    scores = np.array([score(truth, one) for (_, truth), one in zip(pieces, found, strict=True)])
    mean, spread = scores.mean(axis=0), scores[:, 2].std() / np.sqrt(len(scores))
    names = ("precision", "recall", "f1")
    rate = {"notes_per_second": round(sum(len(mix) for mix, _ in pieces) / seconds)}
    return {name: round(float(value), 4) for name, value in zip(names, mean, strict=True)} | {
        "f1_standard_error": round(float(spread), 4),
        **rate,
    }


def score(truth: Notes, found: Notes) -> tuple[float, float, float]:
    from mir_eval.transcription import match_notes
    from mir_eval.util import midi_to_hz

    def arguments(notes: Notes) -> tuple[np.ndarray, np.ndarray]:
        ends = np.maximum(notes.end, notes.start + 0.01)  # mir_eval refuses notes of no length
        return np.stack((notes.start, ends), axis=1), midi_to_hz(notes.pitch.astype(float))

    if not len(found):
        return 0.0, 0.0, 0.0
    matched = len(match_notes(*arguments(truth), *arguments(found), offset_ratio=None))
    precision, recall = matched / len(found), matched / len(truth)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def skyline(notes: Notes, *, sounding: bool = False) -> np.ndarray:
    """The highest of each group of onsets; with `sounding`, only if nothing of the skyline above it still sounds."""
    flags = np.zeros(len(notes), dtype=bool)
    first, top, until = 0, -1, -1.0
    while first < len(notes):
        last = int(np.searchsorted(notes.start, notes.start[first] + CHORD_SECONDS, side="right"))
        highest = first + int(notes.pitch[first:last].argmax())
        if not sounding or notes.start[highest] >= until - 0.02 or notes.pitch[highest] > top:
            flags[highest], top, until = True, notes.pitch[highest], notes.end[highest]
        first = last
    return flags


EXTRACTORS: dict[str, Callable[[Notes], np.ndarray]] = {
    "published": melody_flags,
    "skyline": skyline,
    "skyline, sounding": lambda notes: skyline(notes, sounding=True),
    "line": lambda notes: melody_flags(notes, "line"),
}

if __name__ == "__main__":
    run(main)
