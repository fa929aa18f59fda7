"""`musicstyle eval report`: all evaluations of a checkpoint, as one page and one JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from musicstyle.cli._console import Meter, give, say
from musicstyle.cli._corpus import open_corpus
from musicstyle.cli._evaluation import load_player, the_player
from musicstyle.cli._paths import A_PATH, refuse_unwritable
from musicstyle.errors import UsageError

PAGE, RESULT = "index.html", "report.json"


@click.command()
@click.option("--out", required=True, type=A_PATH, help="Folder of the report; made, or gone on with.")
@click.option(
    "--data",
    type=A_PATH,
    help="Folder of MIDI or prepared corpus; MAESTRO gives the styles too. Default: MAESTRO in MUSICSTYLE_DATA.",
)
@click.option("--quick", is_flag=True, help="Some five minutes for the weights in the box; it says what is left out.")
@click.option("--force", is_flag=True, help="Ask everything again; forget the answers kept in --out.")
@the_player
def report(
    out: Path,
    data: Path | None,
    quick: bool,
    checkpoint: Path | None,
    seed: int,
    device: str,
    threads: int,
    force: bool,
    as_json: bool,
) -> None:
    """All of it, as one page and one JSON.

    Likelihood, melody, style, embedding, interpolation, memorisation: index.html, which needs nothing else, and
    report.json. Each part is kept as it is done; the same command again goes on where it stopped. The data is the
    folder that the environment's MUSICSTYLE_DATA names, with maestro-v3.0.0 and melodies/nottingham in it; without it,
    the examples are played.
    """
    from musicstyle.evaluation.findings import findings
    from musicstyle.evaluation.material import maestro_folder
    from musicstyle.evaluation.page import page
    from musicstyle.evaluation.report import Plan, Report, file_identity
    from musicstyle.files import as_text, write_atomically
    from musicstyle.model.checkpoint import WEIGHTS
    from musicstyle.resources import default_checkpoint

    _refuse_another_folder(out)
    player = load_player(checkpoint, device, threads)
    identity = file_identity((checkpoint or default_checkpoint()) / WEIGHTS)
    folder = data or maestro_folder()
    corpus = None if folder is None else open_corpus(folder)
    if force:
        for part in (out / "parts").glob("*.json"):
            part.unlink()
    plan = Plan.quick(seed) if quick else Plan(seed=seed)
    with Meter("reporting") as meter:
        asked = Report(player, identity, plan, corpus, out)
        result = asked.run(
            lambda part, done, total: meter.update(
                (asked.parts.index(part) + done / total) / len(asked.parts), f"{part}, {done} of {total}"
            )
        )
    for name, content in ((RESULT, json.dumps(_without_samples(result), indent=1) + "\n"), (PAGE, page(result))):
        with write_atomically(out / name) as beside:
            beside.write_text(as_text(content), encoding="utf-8")
    for line in findings(result):
        say(line)
    give({"page": str(out / PAGE), **_without_samples(result)} if as_json else out / PAGE)


def _refuse_another_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; give --out a folder")
    refuse_unwritable(out / PAGE)
    here = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.is_dir() else set()
    of_a_report = {RESULT, "parts"} & here
    if others := sorted(here - {PAGE, RESULT, "parts"} if of_a_report else here):
        raise UsageError(f"{out}: holds {others[0]}, so it is no report; give another --out")


def _without_samples(result: dict[str, Any]) -> dict[str, Any]:
    if "melody" not in result:
        return result
    return {**result, "melody": {k: v for k, v in result["melody"].items() if k != "samples"}}
