"""`musicstyle eval melody`: plays tunes and counts which of their notes sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from musicstyle.cli._console import Meter, counter
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


@click.command()
@the_melodies
@the_styles
@click.option("--pairs", type=click.IntRange(1), default=12, show_default=True, help="Tunes, each in one style.")
@click.option("--seconds", type=float, default=20.0, show_default=True, help="At most so much of each tune.")
@click.option(
    "--melody-strength",
    type=float,
    multiple=True,
    help="As of generate; may be given several times; default: the checkpoint's, and 1 and 3.",
)
@click.option("--style-strength", type=float, help="Default: the checkpoint's.")
@click.option("--temperature", type=float, help="Default: the checkpoint's.")
@click.option("--top-p", type=float, help="Default: the checkpoint's.")
@the_player
def melody(
    melodies: Path | None,
    styles: Path | None,
    pairs: int,
    melody_strength: tuple[float, ...],
    checkpoint: Path | None,
    device: str,
    threads: int,
    as_json: bool,
    **settings: Any,
) -> None:
    """How much of the melody sounds in what a checkpoint plays.

    A note sounds if its pitch is struck within 50 or 100 ms of its time; chance is the melody moved away. The exact
    rules stand in the docstring of musicstyle.evaluation.melody.
    """
    player = load_player(checkpoint, device, threads)
    seed = settings["seed"]
    chosen = choose_styles(styles, pairs, seed), choose_melodies(melodies, pairs, seed)
    strengths = sorted(set(melody_strength or (1.0, 3.0, settings_of(player).melody_strength)))
    asked = [settings_of(player, melody_strength=strength, **settings) for strength in strengths]
    with Meter("playing") as meter:
        rows = [_measure(player, chosen, options, meter, number, len(asked)) for number, options in enumerate(asked)]
    same = {name: getattr(asked[0], name) for name in settings}
    result = {"checkpoint": player.name, **same, "strengths": rows}
    present(result, as_json, lines(result))


def _measure(
    player: Any, chosen: tuple[list[Path], list[Path]], options: Any, meter: Meter, number: int, settings: int
) -> dict[str, Any]:
    from musicstyle.evaluation.playing import measure_melody, pair_up

    report = counter(meter, "pieces")
    return measure_melody(
        player, pair_up(*chosen), options, lambda done, all_: report(number * all_ + done, settings * all_)
    )[0]


def lines(result: dict[str, Any]) -> list[str]:
    """The result for a person."""
    from musicstyle.evaluation.findings import MELODY_COLUMNS

    rows = [[f"{row['melody_strength']:g}", *(row[name] for name in MELODY_COLUMNS)] for row in result["strengths"]]
    last = result["strengths"][-1]
    said = (
        f"{last['pairs']} tunes, {last['notes']} notes; real playing of other music: "
        f"{last['real_playing_50']:.3f} within 50 ms, {last['real_playing_100']:.3f} within 100 ms"
    )
    return [*table(["strength", *MELODY_COLUMNS], rows), said]
