"""`musicstyle data fetch`: a known collection -> a folder of MIDI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from musicstyle.cli._console import Meter, give, say
from musicstyle.cli._group import StoppedError
from musicstyle.cli._paths import A_PATH

NAMES = ("maestro",)
MEGABYTE = 1e6


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option("--to", required=True, type=A_PATH, help="Folder that receives it; made if absent.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def fetch(name: str, to: Path, as_json: bool) -> None:
    """Download a known collection and unpack it.

    maestro: 199 hours of piano competition, 1276 MIDI files, 58 MB (MAESTRO v3.0.0). The archive's checksum is
    verified. A download that breaks off goes on where it stopped when called again.
    """
    from musicstyle.corpus.fetch import COLLECTIONS, part_path
    from musicstyle.corpus.fetch import fetch as fetch_collection

    collection = COLLECTIONS[name]
    say(f"{collection.name}: {collection.licence}")
    try:
        with Meter("fetching") as meter:
            folder = fetch_collection(collection, to, progress=_report(meter))
    except KeyboardInterrupt:
        part = part_path(collection, to)
        kept = part.stat().st_size / MEGABYTE if part.is_file() else 0.0
        raise StoppedError(f"stopped; {kept:.1f} MB are kept, call again to go on") from None
    give({"folder": str(folder), "url": collection.url, "sha256": collection.sha256} if as_json else folder)


def _report(meter: Meter) -> Any:
    def report(done: int, total: int | None) -> None:
        of_all = f" of {total / MEGABYTE:.1f}" if total else ""
        meter.update(done / total if total else 0.0, f"{done / MEGABYTE:.1f}{of_all} MB")

    return report
