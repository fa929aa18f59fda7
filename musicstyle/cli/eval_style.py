"""`musicstyle eval style`: is style carried, and what does the embedding know of who plays what?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musicstyle.cli._console import Meter, say
from musicstyle.cli._corpus import open_corpus
from musicstyle.cli._evaluation import (
    A_PATH,
    choose_melodies,
    choose_styles,
    counter,
    load_player,
    present,
    settings_of,
    table,
    the_melodies,
    the_player,
    the_styles,
)

if TYPE_CHECKING:
    from musicstyle.generation.transfer import StyleTransfer


@click.command()
@click.option(
    "--data", type=A_PATH, help="Folder of MIDI or prepared corpus, for what the embedding knows; default: left out."
)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="validation", show_default=True)
@click.option(
    "--performers", type=A_PATH, help="Table with midi_filename and performer; default: the data's, if it is there."
)
@click.option("--crops", type=click.IntRange(2), default=4, show_default=True, help="Crops of each performance.")
@click.option("--count", type=click.IntRange(2), default=8, show_default=True, help="Styles to play in.")
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Length of each piece played.")
@click.option("--style-strength", type=float, help="Default: the checkpoint's.")
@the_melodies
@the_styles
@the_player
def style(
    data: Path | None,
    split: str,
    performers: Path | None,
    crops: int,
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

    Plays in several styles and asks how often a piece is nearer to its own than to another (.5 by chance; "real" is the
    ceiling). With --data, asks whether the nearest crop by style embedding is of the same performance, composer,
    performer, beside the eight features. The rules stand in the docstring of musicstyle.evaluation.style.
    """
    from musicstyle.evaluation.experiments import style_test

    player = load_player(checkpoint, device, threads)
    options, seed = settings_of(player, **settings), settings["seed"]
    chosen = choose_styles(styles, count, seed), choose_melodies(melodies, count, seed)
    with Meter("playing") as meter:
        judged = style_test(player, *chosen, options, progress=counter(meter, "pieces")).to_dict()
    knows = None if data is None else _knowledge(player, data, split, performers, crops, seed)
    present(
        {"checkpoint": player.name, "hits": judged, "embedding": knows},
        as_json,
        hit_lines(judged) + knowledge_lines(knows),
    )


def _knowledge(
    player: StyleTransfer, data: Path, split: str, performers: Path | None, crops: int, seed: int
) -> dict[str, Any]:
    from musicstyle.evaluation.experiments import embed_crops
    from musicstyle.evaluation.knowledge import knowledge, names_for

    corpus = open_corpus(data)
    names = names_for(corpus, performers)
    for what, found in names.items():
        if not found:
            say(f"no table of {what}s for this data; that question is left out")
    with Meter("embedding") as meter:
        embedded = embed_crops(player, corpus, split, crops, progress=counter(meter, "pieces"))
    return knowledge(embedded, names, seed)


def hit_lines(judged: dict[str, Any]) -> list[str]:
    """Hit rates for a person."""
    rows = [
        [mode, m["rate"], "{:.2f}..{:.2f}".format(*m["interval"]), m["own"], m["others"], m["candidates"]]
        for mode, m in judged.items()
    ]
    return table(["played with", "hit rate", "95 %", "own", "others", "candidates"], rows)


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
