"""How many of a melody's notes sound? Plays unseen folk tunes in the styles of MAESTRO's validation performances.

    python benchmarks/melody.py [--checkpoint DIR] [--tunes 20] [--seconds 20] [--melody-strength 2 ...]

Prints one JSON object: every tune's shares, those over all tunes, chance, and what real playing of something else
gives. Data: $MUSICSTYLE_DATA or shared/data beside the repository;
without it, the repository's examples.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from musicstyle.evaluation.material import styles, tunes
from musicstyle.evaluation.playing import pair_up, play_pairs, summarize
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.transfer import StyleTransfer

SETTINGS = ("temperature", "top_p", "top_k", "melody_strength", "style_strength", "seconds", "seed")


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    player = StyleTransfer.load(arguments.checkpoint)
    choice = arguments.choice
    chosen_styles = styles(arguments.tunes, choice, arguments.styles_dir)
    pairs = pair_up(chosen_styles, tunes(arguments.tunes, choice, arguments.tunes_dir))
    options = player.default_options(**{name: getattr(arguments, name) for name in SETTINGS})
    print(json.dumps(measure(player, pairs, options), indent=1))


def measure(player: StyleTransfer, pairs: list[tuple[Path, Path]], options: GenerationOptions) -> dict[str, Any]:
    """Play every pair and score what comes out."""
    began, played = time.monotonic(), []
    for one in play_pairs(player, pairs, options):
        played.append(one)
        print(f"{one.melody.stem}: {one.score.share_100:.2f}", file=sys.stderr)
    shares = [one.score.share_100 for one in played]
    return {
        "settings": {name: getattr(options, name) for name in SETTINGS},
        "all": summarize(played),
        "seconds_taken": round(time.monotonic() - began, 1),
        "mean_share_100": round(sum(shares) / len(shares), 4),
        "tunes": [one.to_dict() for one in played],
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tunes", type=int, default=20)
    parser.add_argument("--tunes-dir", type=Path)
    parser.add_argument("--styles-dir", type=Path)
    parser.add_argument("--choice", type=int, default=1, help="seed of the choice of tunes and styles")
    parser.add_argument("--threads", type=int, default=1)
    for name in SETTINGS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int if name in ("top_k", "seed") else float)
    return parser.parse_args()


if __name__ == "__main__":
    main()
