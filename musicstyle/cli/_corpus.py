"""What several verbs say about preparing a corpus, and the corpus of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from musicstyle.cli._console import Meter, counter, say

if TYPE_CHECKING:
    from pathlib import Path

    from musicstyle.corpus.store import Corpus

NAMED_SKIPS = 5


def skipped_lines(manifest: dict[str, Any]) -> list[str]:
    """What was not usable: the first few by name and reason."""
    skipped = manifest["skipped"]
    lines = [f"skipped {row['path']}: {row['reason']}" for row in skipped[:NAMED_SKIPS]]
    if len(skipped) > NAMED_SKIPS:
        lines.append(f"skipped {len(skipped) - NAMED_SKIPS} more files; the corpus's manifest.json names them all")
    return lines


def open_corpus(data: Path) -> Corpus:
    """The prepared corpus in `data`, or the one made of the MIDI below it."""
    from musicstyle.corpus.prepare import cached_corpus

    with Meter("preparing") as meter:
        corpus = cached_corpus(data, progress=counter(meter, "files"))
    for line in skipped_lines(corpus.manifest):
        say(line)
    return corpus
