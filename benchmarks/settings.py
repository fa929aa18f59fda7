"""Which settings to generate with: melody kept and style reached, over a grid, on validation pairs; prints JSON lines.

    python benchmarks/settings.py [--checkpoint DIR] [--pairs 20] [--seconds 20] [--choice 1] [--skip 0]
        [--styles DIR] [--sequenced]
        [--melody-strength 1 2 3] [--style-strength 1 2] [--motif-strength 0 1]
        [--temperature 1] [--top-p 0.95] [--min-p 0] [--ensemble 1 3]

What isn't given is as in GenerationOptions. Every setting plays the same tunes in the styles of the same performances
with the same seeds. Pairs are the first of a random order (--choice) of all validation performances, after --skip of
them: settings chosen on some pairs can be judged on others of the same order. Styles from elsewhere: --styles takes the
MIDI files below a folder, --sequenced puts performances on a grid of GRID seconds, all notes as loud, as a sequencer
writes them. Data: $MUSICSTYLE_DATA; without it, the repository's examples.

The first line is of real playing as long ("real"), then comes one a setting:

- share_50, share_100: shares of the melody's notes that sound within 50 and 100 ms (`musicstyle eval melody`); of
  settings only, like density, length, sounding and tokens_per_second.
- features, profile: by either measure and by the half of its performance that was not heard ("other") or was ("heard"),
  in what share of pairs a piece is nearer to its own than to another's ("rate", "interval"), and how near ("own"); see
  `musicstyle eval style`.
- density, length, sounding: how many notes, the median one's length, and how many sound at once, each over that of real
  playing as long; the median over the pieces.
- together: how what is played besides the tune goes with it (together.py); of real playing, besides the line that is
  heard out.
- sonority: how many keys sound at once, how closely (sonority.py).
- recurrence: how much of a voice comes again (recurrence.py).
- tokens_per_second: of all that generating takes, one thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mistakes import run
from recurrence import recurrence
from sonority import sonority
from together import together

from musicstyle.evaluation.experiments import Halves, StyleTest, candidate_seconds
from musicstyle.evaluation.material import styles, tunes
from musicstyle.evaluation.melody import MelodyScore, score_melody
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.music.melody import piano_melody
from musicstyle.music.notes import Notes

GRID = 0.125  # seconds, for --sequenced
LOUDNESS = 100
SWEPT = ("melody_strength", "style_strength", "motif_strength", "temperature", "top_p", "min_p", "ensemble")
SETTINGS = {name: [getattr(GenerationOptions(), name)] for name in SWEPT}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--choice", type=int, default=1, help="seed of the order of tunes and performances")
    parser.add_argument("--skip", type=int, default=0, help="so many of either first")
    parser.add_argument("--styles", type=Path, help="folder of other styles")
    parser.add_argument("--sequenced", action="store_true", help="styles on a grid, all notes as loud")
    parser.add_argument("--seed", type=int, default=1, help="of the first piece; the others count on")
    for name, values in SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(values[0]), nargs="+", default=values)
    options = parser.parse_args()
    torch.set_num_threads(1)
    stop = options.skip + options.pairs
    halves = [Halves.of(path) for path in styles(stop, options.choice, options.styles)[options.skip :]]
    if options.sequenced:
        halves = [Halves(half.name, sequenced(half.heard), sequenced(half.judge)) for half in halves]
    melodies = tunes(stop, options.choice)[options.skip :]
    if len(halves) < 2 or not melodies:
        parser.error(f"--skip {options.skip} leaves {len(halves)} performances and {len(melodies)} tunes")
    player = StyleTransfer.load(options.checkpoint)
    lengths = candidate_seconds(halves, melodies, GenerationOptions(seconds=options.seconds))
    real = [half.stretch(seconds) for half, seconds in zip(halves, lengths, strict=True)]
    by_line = together([piano_melody(notes) for notes in real], real)
    known = {**judge(real, halves), "together": by_line, "sonority": sonority(real), "recurrence": recurrence(real)}
    print(json.dumps({"pairs": len(halves), "real": known}), flush=True)
    for values in itertools.product(*(getattr(options, name) for name in SETTINGS)):
        setting = dict(zip(SETTINGS, values, strict=True))
        print(json.dumps({**setting, **measure(player, halves, melodies, lengths, setting, options.seed)}), flush=True)


def measure(
    player: StyleTransfer,
    halves: list[Halves],
    melodies: list[Path],
    lengths: list[float],
    setting: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Play every pair with one setting, so many seconds each."""
    chosen = player.default_options(**setting)
    score, played, asked, tokens, seconds = MelodyScore(), [], [], 0, 0.0
    for i, half in enumerate(halves):
        made = player.generate(
            half.heard, melodies[i % len(melodies)], replace(chosen, seed=seed + i, seconds=lengths[i])
        )
        assert made.melody is not None
        asked.append(made.melody)
        score += score_melody(asked[-1], made.notes)
        played.append(made.notes)
        tokens, seconds = tokens + made.tokens, seconds + made.seconds_taken
    real = [half.stretch(notes.duration_seconds) for notes, half in zip(played, halves, strict=True)]
    return {
        "share_50": round(score.share_50, 4),
        "share_100": round(score.share_100, 4),
        **judge(played, halves),
        "density": ratio(len, played, real),
        "length": ratio(lambda notes: float(np.median(notes.end - notes.start)), played, real),
        "sounding": ratio(lambda notes: float(np.sum(notes.end - notes.start)), played, real),
        "together": together(asked, played),
        "sonority": sonority(played),
        "recurrence": recurrence(played),
        "tokens_per_second": round(tokens / seconds),
    }


def sequenced(notes: Notes) -> Notes:
    """A performance as a sequencer would write it."""
    start, end = (np.round(seconds / GRID) * GRID for seconds in (notes.start, notes.end))
    _, once = np.unique(np.stack((start, notes.pitch)), axis=1, return_index=True)
    end = np.maximum(end, start + GRID)
    return Notes.from_arrays(start[once], end[once], notes.pitch[once], np.full(len(once), LOUDNESS))


def ratio(of: Callable[[Notes], float], played: list[Notes], real: list[Notes]) -> float:
    """The median over pieces of a number of what was played over that of real playing, where that is not silent."""
    pairs = [pair for pair in zip(played, real, strict=True) if len(pair[1])]
    return round(float(np.median([of(ours) / of(theirs) for ours, theirs in pairs])), 3)


def judge(played: list[Notes], halves: list[Halves]) -> dict[str, Any]:
    """Hit rate and nearness to its own of one piece a performance, by eight features and by profile, by both halves."""
    return {
        measure: {
            half: {name: hits[name] for name in ("rate", "interval", "own")}
            for half, hits in (("other", by), ("heard", by["heard"]))
        }
        for measure, by in StyleTest.of({"played": played}, halves).to_dict()["played"].items()
    }


if __name__ == "__main__":
    run(main)
