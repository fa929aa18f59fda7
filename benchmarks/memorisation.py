"""Would a copy be seen, and what does it cost? Shared runs of performances of known and of unseen compositions.

    python benchmarks/memorisation.py --data MAESTRO [--pieces 40] [--notes 300] [--together-steps 0 5 10]

Known: performances taken out of the training split, of compositions that another training performance plays (same
composer and title); a machine that had learned pieces by heart would share about as much. Unseen: of the test split.
Both as stretches of equally many notes, for each width of a chord. Prints one line of JSON a width; cost is CPU time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
from mistakes import run

from musicstyle.corpus.prepare import cached_corpus
from musicstyle.corpus.store import SPLITS, Corpus
from musicstyle.errors import UsageError
from musicstyle.evaluation import memorisation
from musicstyle.evaluation.material import titles
from musicstyle.music import notes
from musicstyle.music.notes import Notes


def main() -> None:
    arguments = parse()
    corpus = cached_corpus(arguments.data)
    rng = np.random.default_rng(arguments.seed)
    unseen = choose(corpus, corpus.indices("test"), arguments, rng)
    known = choose(corpus, played_again(corpus, rng), arguments, rng)
    stretches = {"known": known, "unseen": unseen}
    pieces = {what: [stretch(corpus, int(p), arguments.notes, rng) for p in of] for what, of in stretches.items()}
    for width in arguments.together_steps:
        notes.TOGETHER_STEPS = width
        print(json.dumps({"together_steps": width, **measure(Corpus.open(corpus.path), known, pieces)}), flush=True)


def measure(corpus: Corpus, taken_out: np.ndarray, pieces: dict[str, list[Notes]]) -> dict[str, object]:
    corpus.pieces["split"][taken_out] = SPLITS.index("test")  # in memory only
    began = time.process_time()
    known = memorisation.KnownRuns(corpus)
    indexed = time.process_time()
    judged = {what: memorisation.judge(known, of) for what, of in pieces.items()}
    seconds = {"index_seconds": indexed - began, "judge_seconds": time.process_time() - indexed}
    return {**{what: memorisation.summarize(of) for what, of in judged.items()}, **seconds}


def played_again(corpus: Corpus, rng: np.random.Generator) -> np.ndarray:
    """One training performance of each composition that has several."""
    rows, names = corpus.manifest["pieces"], titles(corpus)
    if not names:
        raise UsageError(f"{corpus.path}: no table says of what work its performances are; give MAESTRO")
    train = rng.permutation(corpus.indices("train"))
    played = Counter(names[rows[piece]["path"]] for piece in train.tolist())
    first = {names[rows[piece]["path"]]: piece for piece in train.tolist()}
    return np.array([piece for name, piece in first.items() if played[name] > 1])


def choose(corpus: Corpus, of: np.ndarray, arguments: argparse.Namespace, rng: np.random.Generator) -> np.ndarray:
    enough = of[corpus.pieces["count"][of] >= arguments.notes]
    return rng.permutation(enough)[: arguments.pieces]


def stretch(corpus: Corpus, piece: int, count: int, rng: np.random.Generator) -> Notes:
    first = int(rng.integers(corpus.pieces["count"][piece] - count + 1))
    return corpus.notes(piece, first, first + count)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Would a copy be seen, and what does it cost?")
    parser.add_argument("--data", type=Path, required=True, help="MAESTRO's folder, or the corpus prepared of it")
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--notes", type=int, default=300)
    parser.add_argument("--together-steps", type=int, nargs="+", default=[0, 2, 5, 8, 10])
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
