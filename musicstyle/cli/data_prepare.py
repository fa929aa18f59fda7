"""`musicstyle data prepare`: a folder of MIDI -> a corpus of notes on disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from musicstyle.cli._console import Meter, counter, duration, give, say
from musicstyle.cli._corpus import skipped_lines
from musicstyle.cli._paths import A_PATH
from musicstyle.errors import CorpusError, UsageError


@click.command()
@click.argument("source", metavar="DIR", type=A_PATH)
@click.option("--out", required=True, type=A_PATH, help="Folder of the corpus; made, or brought up to date.")
@click.option("--seed", default=0, show_default=True, help="Decides the splits where no csv does.")
@click.option("--workers", type=click.IntRange(1), help="Processes that read; default: one a core.")
@click.option("--force", is_flag=True, help="Replace a corpus that was made from another folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def prepare(source: Path, out: Path, seed: int, workers: int | None, force: bool, as_json: bool) -> None:
    """Turn a folder of MIDI into a corpus of notes.

    Every .mid and .midi file below DIR is read, pedal folded in and melody marked. MAESTRO's csv gives its official
    splits; else whole works, each with all its performances, are drawn into train, validation and test. Files that have
    not changed since last time are not read again.
    """
    from musicstyle.corpus.prepare import prepare as prepare_corpus

    if not force:
        _refuse_another_source(source, out)
    began = time.monotonic()
    with Meter("preparing") as meter:
        corpus = prepare_corpus(source, out, seed=seed, workers=workers, progress=counter(meter, "files"))
    manifest = corpus.manifest
    for line in skipped_lines(manifest):
        say(line)
    say(f"{_summary(manifest['totals'])}; splits from {manifest['splits_from']}; {duration(time.monotonic() - began)}")
    give(_as_json(out, manifest, time.monotonic() - began) if as_json else out)


def _refuse_another_source(source: Path, out: Path) -> None:
    from musicstyle.corpus.store import Corpus, is_corpus

    if not is_corpus(out):
        return
    try:
        earlier = Corpus.open(out).manifest["source"]
    except CorpusError:  # damaged: it can only get better
        return
    if earlier != str(source.resolve()):
        raise UsageError(f"{out}: holds a corpus made from {earlier}; give another --out, or --force to replace it")


def _summary(totals: dict[str, Any]) -> str:
    splits = ", ".join(f"{totals[split]['pieces']} {split}" for split in ("train", "validation", "test"))
    skipped = f" ({totals['skipped']} skipped)" if totals["skipped"] else ""
    return f"{totals['pieces']} files{skipped}, {totals['notes']:,} notes, {totals['hours']:.2f} h: {splits}"


def _as_json(out: Path, manifest: dict[str, Any], seconds: float) -> dict[str, Any]:
    skipped = [{"path": row["path"], "reason": row["reason"]} for row in manifest["skipped"]]
    facts = {name: manifest[name] for name in ("source", "seed", "splits_from", "totals")}
    return {"out": str(out), **facts, "skipped": skipped, "seconds_taken": round(seconds, 3)}
