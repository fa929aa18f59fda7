"""`musicstyle eval nll`: a checkpoint and real playing -> nats per token, by mode and kind of token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from musicstyle.cli._console import Meter, counter
from musicstyle.cli._corpus import open_corpus
from musicstyle.cli._evaluation import load_player, present, settings_of, table, the_player
from musicstyle.cli._paths import A_PATH


@click.command()
@click.option(
    "--data", required=True, type=A_PATH, help="Folder of MIDI, or a corpus made by `musicstyle data prepare`."
)
@click.option(
    "--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True, help="Of --data."
)
@click.option("--crops", type=click.IntRange(1), default=1, show_default=True, help="Crops of each piece.")
@click.option("--limit", type=click.IntRange(1), help="So many pieces, a seeded choice; default: all.")
@click.option("--tokens", type=click.IntRange(2), default=2048, show_default=True, help="Length of a crop.")
@click.option(
    "--style-input",
    type=click.Choice(["other", "same"]),
    default="same",
    show_default=True,
    help="Hear the style in the crop itself (same), as published, or elsewhere in the performance (other).",
)
@click.option("--ensemble", type=int, help="Keys in which a crop is heard; 1 as published. Default: the checkpoint's.")
@click.option(
    "--style-tokens", type=click.IntRange(1), help="Length of the crop that is heard as style; default: --tokens."
)
@the_player
def nll(
    data: Path,
    split: str,
    checkpoint: Path | None,
    crops: int,
    limit: int | None,
    device: str,
    threads: int,
    as_json: bool,
    ensemble: int | None,
    style_tokens: int | None,
    **choices: Any,
) -> None:
    """Nats per token of real playing, in every mode.

    A mode is what is heard: both, the melody, the style or none of them. By the published protocol: full crops, no
    augmentation. The interval is a bootstrap over works; gain is what a mode saves against none. What deviates from the
    published protocol stands in the docstring of musicstyle.evaluation.likelihood.
    """
    from musicstyle.corpus.crops import BatchOptions
    from musicstyle.evaluation.likelihood import measure_likelihood, rows_at_once

    player = load_player(checkpoint, device, threads)
    keys = settings_of(player, ensemble=ensemble).ensemble
    corpus = open_corpus(data)
    options = BatchOptions(
        batch_size=rows_at_once(player.model),
        style_tokens=style_tokens or choices["tokens"],
        **choices,
    )
    with Meter("predicting") as meter:
        measured = measure_likelihood(
            player.model,
            corpus,
            split,
            options,
            ensemble=keys,
            crops=crops,
            limit=limit,
            progress=counter(meter, "crops"),
        )
    facts = {"checkpoint": player.name, "split": split, "crops": crops, "crop_tokens": options.tokens, **choices}
    facts |= {"style_tokens": options.style_tokens, "ensemble": keys}
    result = {**facts, **measured.to_dict()}
    present(result, as_json, lines(result))


def lines(result: dict[str, Any]) -> list[str]:
    """The result for a person."""
    kinds = list(next(iter(result["modes"].values()))["by_kind"])
    rows = [
        [
            mode,
            m["nll"],
            m["interval"] and "{:.3f}..{:.3f}".format(*m["interval"]),
            (m["gain"] or [None])[0],
            *(m["by_kind"].get(k) for k in kinds),
        ]
        for mode, m in result["modes"].items()
    ]
    keys = f"in {result['ensemble']} keys" if result["ensemble"] > 1 else "in its own key"
    counted = (
        f"{result['pieces']} pieces of {result['works']} works, each heard {keys}, {result['tokens']} tokens in "
        f"crops of {result['crop_tokens']}; "
        f"{result['dropped']} pieces too short"
    )
    return [
        *table(["mode", "nats/token", "95 %", "gain", *kinds], rows),
        counted,
    ]
