"""How many of a melody's notes sound? Plays unseen folk tunes in the styles of MAESTRO's validation performances.

    python benchmarks/melody.py [--checkpoint DIR] [--tunes 20] [--seconds 20] [--melody-strength 2 ...]
    python benchmarks/melody.py --sweep [--sweep-melody-strength 1 2 3] [--sweep-top-p 0.9 0.95] [...]

Prints one JSON object: every tune's shares, those over all tunes, chance, and what real playing of something else
gives. With --sweep, one line of JSON a setting, best last. Data: $MUSICSTYLE_DATA or shared/data beside the repository;
without it, the repository's examples.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import torch

from musicstyle.evaluation.material import styles, tunes
from musicstyle.evaluation.playing import pair_up, play_pairs, summarize
from musicstyle.generation.transfer import StyleTransfer

SETTINGS = ("temperature", "top_p", "top_k", "melody_strength", "style_strength", "seconds", "seed")
SWEPT = {
    "melody_strength": [1.0, 1.5, 2.0, 3.0],
    "style_strength": [1.0],
    "top_p": [0.9, 0.95],
    "temperature": [0.9, 1.0],
}


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    player = StyleTransfer.load(arguments.checkpoint)
    choice = arguments.choice
    chosen_styles = styles(arguments.tunes, choice, arguments.styles_dir)
    pairs = pair_up(chosen_styles, tunes(arguments.tunes, choice, arguments.tunes_dir))
    given = {name: getattr(arguments, name) for name in SETTINGS}
    grid = {name: getattr(arguments, f"sweep_{name}") for name in SWEPT} if arguments.sweep else {}
    settings = [given | dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    results = [measure(player, pairs, one, arguments.sweep) for one in settings]
    if arguments.sweep:
        best = max(results, key=lambda result: result["all"]["share_100"])
        print(json.dumps({"best": best["settings"], **best["all"]}))


def measure(player: StyleTransfer, pairs: list[tuple[Path, Path]], settings: dict, brief: bool) -> dict:
    options, began, played = player.default_options(**settings), time.monotonic(), []
    for one in play_pairs(player, pairs, options):
        played.append(one)
        if not brief:
            print(f"{one.melody.stem}: {one.score.share_100:.2f}", file=sys.stderr)
    used = {name: getattr(options, name) for name in SETTINGS}
    result = {"settings": used, "all": summarize(played), "seconds_taken": round(time.monotonic() - began, 1)}
    if brief:
        print(json.dumps({**{name: used[name] for name in SWEPT}, **result["all"]}), flush=True)
    else:
        shares = [one.score.share_100 for one in played]
        result |= {"mean_share_100": round(sum(shares) / len(shares), 4), "tunes": [one.to_dict() for one in played]}
        print(json.dumps(result, indent=1))
    return result


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tunes", type=int, default=20)
    parser.add_argument("--tunes-dir", type=Path)
    parser.add_argument("--styles-dir", type=Path)
    parser.add_argument("--choice", type=int, default=1, help="seed of the choice of tunes and styles")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sweep", action="store_true")
    for name in SETTINGS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int if name in ("top_k", "seed") else float)
    for name, values in SWEPT.items():
        parser.add_argument(f"--sweep-{name.replace('_', '-')}", type=float, nargs="+", default=values)
    return parser.parse_args()


if __name__ == "__main__":
    main()
