"""`musicstyle data check`: what is in a folder of MIDI, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from musicstyle.cli._console import Meter, counter, give, tell
from musicstyle.cli._evaluation import table
from musicstyle.cli._paths import A_PATH

SHOWN = 10  # files of a list; --json has all
COLUMNS = ("all", "train", "validation", "test")


@click.command()
@click.argument("source", metavar="DIR", type=A_PATH)
@click.option("--workers", type=click.IntRange(1), help="Processes that read; default: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def check(source: Path, workers: int | None, as_json: bool) -> None:
    """Look through a folder of MIDI before training on it.

    Counts, ranges and splits; files that cannot be read and why; the same music twice, under another name, in another
    key or tempo; pieces that are in two splits. DIR may be a prepared corpus too.
    """
    from musicstyle.corpus.check import check as check_corpus

    with Meter("reading") as meter:
        facts = check_corpus(source, workers=workers, progress=counter(meter, "files"))
    if as_json:
        give(facts)
        return
    for line in [*_table(facts), "", *_findings(facts)]:
        tell(line)


# What a row shows of the facts of a split.
_ROWS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("files", lambda one: f"{one['files']:,}"),
    ("hours", lambda one: f"{one['hours']:.2f}"),
    ("notes", lambda one: f"{one['notes']:,}"),
    ("notes a second", lambda one: f"{one['notes_per_second']:.2f}"),
    ("tokens a second", lambda one: f"{one['tokens_per_second']:.1f}"),
    ("files with pedal", lambda one: f"{100 * one['pedal_share']:.1f} %"),
    ("pitches", lambda one: _range(one["pitch"])),
    ("velocities", lambda one: _range(one["velocity"])),
)


def _table(facts: dict[str, Any]) -> list[str]:
    """A column for all and one a split."""
    return table(["", *COLUMNS], [[title, *(show(facts[column]) for column in COLUMNS)] for title, show in _ROWS])


def _range(ends: list[int] | None) -> str:
    return f"{ends[0]}..{ends[1]}" if ends else "-"


def _findings(facts: dict[str, Any]) -> list[str]:
    lines = [f"splits from {facts['splits_from']}"]
    lines += _listed("unreadable", [f"{one['path']}: {one['reason']}" for one in facts["unreadable"]])
    if facts["without_pedal"] is None:
        lines.append("most files hold no pedal; not listed")
    else:
        lines += _listed("without pedal", facts["without_pedal"])
        lines += _listed("pedal moved but never down", facts["pedal_never_down"])
    lines += _listed("the same notes twice", [" = ".join(paths) for paths in facts["duplicates"]])
    lines += _listed("pieces in two splits", [_shared(one) for one in facts["in_two_splits"]])
    return [*lines, f"notes that no key of a piano plays: {facts['notes_off_the_piano']}"]


def _listed(title: str, items: list[str]) -> list[str]:
    more = [f"  and {len(items) - SHOWN} more; --json lists all"] if len(items) > SHOWN else []
    return [f"{title}: {len(items) or 'none'}", *(f"  {item}" for item in items[:SHOWN]), *more]


def _shared(one: dict[str, Any]) -> str:
    return f"by {one['shared_by']}: " + " = ".join(f"{file['path']} ({file['split']})" for file in one["files"])
