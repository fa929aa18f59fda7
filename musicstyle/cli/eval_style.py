"""`musicstyle eval style`: is style carried, and what does the embedding know of who plays what?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musicstyle.cli._console import Meter, counter, say
from musicstyle.cli._corpus import open_corpus
from musicstyle.cli._evaluation import (
    choose_melodies,
    choose_styles,
    load_player,
    present,
    settings_of,
    table,
    the_melodies,
    the_player,
    the_styles,
)
from musicstyle.cli._paths import A_PATH
from musicstyle.errors import UsageError
from musicstyle.evaluation.findings import HIT_COLUMNS, MEASURES, hit_cells

if TYPE_CHECKING:
    from musicstyle.corpus.store import Corpus
    from musicstyle.evaluation.knowledge import Names
    from musicstyle.generation.transfer import StyleTransfer

SPLIT, CROPS = "validation", 4


@click.command()
@click.option(
    "--data", type=A_PATH, help="Folder of MIDI or prepared corpus, for what the embedding knows; default: left out."
)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), help=f"Of --data; default: {SPLIT}.")
@click.option(
    "--performers",
    type=A_PATH,
    help="Table with midi_filename and performer; default: maestro-performers.csv in MUSICSTYLE_DATA.",
)
@click.option("--crops", type=click.IntRange(2), help=f"Crops of each performance of --data; default: {CROPS}.")
@click.option("--count", type=click.IntRange(2), default=8, show_default=True, help="Styles to play in.")
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Length of each piece played.")
@click.option("--style-strength", type=float, help="Default: the checkpoint's.")
@the_melodies
@the_styles
@the_player
def style(
    data: Path | None,
    split: str | None,
    performers: Path | None,
    crops: int | None,
    count: int,
    melodies: Path | None,
    styles: Path | None,
    checkpoint: Path | None,
    device: str,
    threads: int,
    as_json: bool,
    **settings: Any,
) -> None:
    """Whether style is carried, and what the embedding knows.

    Plays in several styles and asks how often a piece is nearer to its own than to another (.5 by chance; "real" is a
    stretch of the performance itself). One half of each performance is heard, the other judges; under "heard" the half
    that was heard judges, as in published similarities. Near is what two pieces have in common by profile (thirteen
    distributions), and beside it the overlapping area of the eight features. With --data, asks whether the nearest crop
    by style embedding, and by profile, is of the same performance, composer, performer; other performances of the same
    work, as their notes tell it, do not answer. The rules stand in the docstring of musicstyle.evaluation.style.
    """
    from musicstyle.evaluation.experiments import style_test

    if data is None and (performers or split or crops):
        raise UsageError("--performers, --split and --crops ask about --data; name it, or leave them out")
    player = load_player(checkpoint, device, threads)
    options, seed = settings_of(player, **settings), settings["seed"]
    chosen = choose_styles(styles, count, seed), choose_melodies(melodies, count, seed)
    # What cannot be answered is refused before all the playing.
    asked = None if data is None else _open(player, data, split or SPLIT, performers)
    with Meter("playing") as meter:
        judged = style_test(player, *chosen, options, progress=counter(meter, "pieces")).to_dict()
    knows = None if asked is None else _knowledge(player, *asked, split or SPLIT, crops or CROPS, seed)
    present(
        {"checkpoint": player.name, "hits": judged, "embedding": knows},
        as_json,
        hit_lines(judged) + knowledge_lines(knows),
    )


def _open(player: StyleTransfer, data: Path, split: str, performers: Path | None) -> tuple[Corpus, Names]:
    """The corpus, and the names that are known of its files.

    Raises:
        CorpusError: `data` is of no use, or has nothing in that split; or `performers` is no such table.
        UsageError: The checkpoint hears no style; or `performers` tells nothing of `data`.
    """
    from musicstyle.evaluation.experiments import refuse_without_style
    from musicstyle.evaluation.knowledge import names_for
    from musicstyle.evaluation.material import listed

    refuse_without_style(player)
    corpus = open_corpus(data)
    corpus.indices(split)
    if performers is not None and not listed(corpus):
        raise UsageError(f"--performers: {data} has no maestro-v*.csv, beside which {performers} would name its files")
    names = names_for(corpus, performers)
    if performers is not None and not names["performer"]:
        raise UsageError(f"--performers: {performers} names no performer of a file of {data}")
    for what, found in names.items():
        if not found:
            say(f"no table of {what}s for this data; that question is left out")
    return corpus, names


def _knowledge(
    player: StyleTransfer, corpus: Corpus, names: Names, split: str, crops: int, seed: int
) -> dict[str, Any]:
    from musicstyle.evaluation.experiments import embed_crops
    from musicstyle.evaluation.knowledge import knowledge

    with Meter("embedding") as meter:
        embedded = embed_crops(player, corpus, split, crops, progress=counter(meter, "pieces"))
    return knowledge(embedded, names, seed)


def hit_lines(judged: dict[str, Any]) -> list[str]:
    """Hit rates for a person."""
    lines: list[str] = []
    for measure, measured in MEASURES.items():
        rows = [[mode, *hit_cells(m[measure]), m[measure]["candidates"]] for mode, m in judged.items()]
        lines += [""] * bool(lines) + table([f"{measured}, played with", *HIT_COLUMNS, "candidates"], rows)
    return lines


def knowledge_lines(knows: dict[str, Any] | None) -> list[str]:
    """Retrieval and probe for a person."""
    if knows is None:
        return []
    names = ("recall_1", "recall_5", "mrr", "chance", "queries")
    rows = [
        [f"same {what}, {by}", *(r[n] for n in names)]
        for what, both in knows["retrieval"].items()
        for by, r in both.items()
    ]
    lines = ["", *table(["nearest crop", *names], rows)]
    if knows["probe"]:
        asked = ("accuracy", "balanced_accuracy", "commonest", "labels")
        lines += [
            "",
            *table(["composer by", *asked], [[by, *(p[n] for n in asked)] for by, p in knows["probe"].items()]),
        ]
    return lines
