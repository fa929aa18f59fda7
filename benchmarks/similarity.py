"""Overlapping area: how fast, beside pretty_midi objects and a window loop, and what real playing reaches.

    python benchmarks/similarity.py [--pairs 1000] [--data FOLDER] [--seed 0] [--pieces 24] [--quick]

Prints one JSON object.
"speed": 1,000 pairs of pieces, drawn from the data folder with a seed. Both sides start from notes in memory (arrays
here, pretty_midi objects there) and end with eight areas a pair. The loop goes through the sorted notes once, gathers
each window's and calls NumPy's mean and var on them; areas by statistics.NormalDist.overlap. Pieces that occur in
several pairs are measured once on our side as `similarity_of_pairs` does; "ratio_each_piece_once" grants that to the
loop as well.
"ceiling": first half against second half of performances, each half against the other performances' halves; by
profile likewise.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from mistakes import run

from musicstyle.evaluation.material import maestro_folder
from musicstyle.evaluation.style import hit_rate
from musicstyle.music.interop import to_pretty_midi
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes
from musicstyle.music.profile import nearness_matrix
from musicstyle.music.similarity import (
    MIN_DEVIATION,
    WINDOW_SECONDS,
    similarity_matrix,
    similarity_of_pairs,
)

Measure = Callable[[Sequence[Notes], Sequence[Notes]], np.ndarray]  # pieces and pieces -> (first, second, parts), 0..1

EARLIER = {"own": 0.748, "others": 0.536, "own_above_other": 0.928}  # the project's earlier measurement


def loop_normals(midi: Any) -> list[NormalDist]:
    """The eight normals of a piece, note by note: what `summary` does, from its specification."""
    notes = sorted((n for i in midi.instruments if not i.is_drum for n in i.notes), key=lambda n: n.start)
    rows = []
    for _, members in groupby(notes, key=lambda n: int((n.start - notes[0].start) / WINDOW_SECONDS)):
        window = list(members)
        pitches, velocities = [n.pitch for n in window], [n.velocity for n in window]
        durations = [n.end - n.start for n in window]
        row = [len(window) / WINDOW_SECONDS, max(pitches) - min(pitches)]
        for values in (pitches, velocities, durations):
            row += [float(np.mean(values)), float(np.var(values))]
        rows.append(row)
    return [NormalDist(float(np.mean(c)), max(float(np.std(c)), MIN_DEVIATION)) for c in zip(*rows, strict=True)]


def loop_pair(a: Any, b: Any) -> list[float]:
    return [x.overlap(y) for x, y in zip(loop_normals(a), loop_normals(b), strict=True)]


def synthetic(seed: int) -> Notes:
    """A piece of 1 to 10 minutes at a performance's density."""
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(60, 600)
    count = int(seconds * rng.uniform(4, 14))
    start = rng.random(count) * seconds
    pitch = np.clip(rng.normal(64, 12, count), 21, 108).astype(int)
    velocity = np.clip(rng.normal(66, 16, count), 1, 127).astype(int)
    return Notes.from_arrays(start, start + 0.03 + rng.exponential(0.6, count), pitch, velocity)


def seconds_of(work: Callable[[], Any]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def speed(pieces: Sequence[Notes], pairs: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, len(pieces), (2, pairs))
    first, second = [pieces[i] for i in left], [pieces[i] for i in right]
    similarity_of_pairs(first[:1], second[:1])  # imports
    ours = min(seconds_of(lambda: similarity_of_pairs(first, second)) for _ in range(3))
    areas = similarity_of_pairs(first, second)
    worst, loop_seconds = 0.0, 0.0
    for a, b, row in zip(first, second, areas, strict=True):
        midi_a, midi_b = to_pretty_midi(a), to_pretty_midi(b)  # not timed
        begin = time.process_time()
        expected = loop_pair(midi_a, midi_b)
        loop_seconds += time.process_time() - begin
        worst = max(worst, float(np.abs(row - expected).max()))
    different = len(set(left) | set(right))
    return {
        "pairs": pairs,
        "pieces": different,
        "notes_a_piece": round(float(np.mean([len(p) for p in first + second]))),
        "musicstyle_cpu_seconds": ours,
        "loop_cpu_seconds": loop_seconds,
        "ratio": loop_seconds / ours,
        "ratio_each_piece_once": loop_seconds / ours * different / (2 * pairs),
        "largest_difference": worst,
    }


def ceiling(pieces: Sequence[Notes], measure: Measure) -> dict[str, float] | None:
    """What real playing reaches; None of fewer than two performances."""
    if len(pieces) < 2:
        return None
    halves = [(p.crop(0, p.duration_seconds / 2), p.crop(p.duration_seconds / 2, np.inf)) for p in pieces]
    hits = hit_rate(measure([a for a, _ in halves], [b for _, b in halves]).mean(axis=-1))
    return {"performances": hits.candidates, "own": hits.own, "others": hits.others, "own_above_other": hits.rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=maestro_folder(), help="of MIDI; default: $MUSICSTYLE_DATA's MAESTRO"
    )
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--pieces", type=int, default=24, help="performances of the ceiling")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="60 pairs, no kernel densities")
    options = parser.parse_args()
    pairs = 60 if options.quick else options.pairs
    rng = np.random.default_rng(options.seed)
    files = sorted(options.data.rglob("*.mid*")) if options.data else []
    if options.data and not files:
        parser.error(f"--data {options.data}: no MIDI file in it or below it")
    report: dict[str, Any] = {"source": str(options.data) if files else "synthetic", "seed": options.seed}
    if files:
        chosen = [files[i] for i in sorted(rng.permutation(len(files))[: 2 * pairs])]
        report["speed"] = speed([read_midi(path) for path in chosen], pairs, options.seed)
        spread = [read_midi(p) for p in files[:: max(1, len(files) // options.pieces)][: options.pieces]]
        # The ceiling rises with length. The earlier measurement's figures are those of pieces of this length.
        middling = [p for path in files[::3] if 120 <= (p := read_midi(path)).duration_seconds < 240]
        middling = middling[:: max(1, len(middling) // options.pieces)][: options.pieces]
        report["ceiling"] = {
            "earlier": EARLIER,
            "spread over the data": ceiling(spread, similarity_matrix),
            "2 to 4 minutes": ceiling(middling, similarity_matrix),
            "spread over the data, profile": ceiling(spread, nearness_matrix),
            "2 to 4 minutes, profile": ceiling(middling, nearness_matrix),
        }
        kernels = partial(similarity_matrix, density="kde")
        if not options.quick:
            report["ceiling"] |= {
                "spread over the data, kde": ceiling(spread, kernels),
                "2 to 4 minutes, kde": ceiling(middling, kernels),
            }
    else:
        report["speed"] = speed([synthetic(seed) for seed in range(2 * pairs)], pairs, options.seed)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    run(main)
