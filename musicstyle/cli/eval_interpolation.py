"""`musicstyle eval interpolation`: plays along the line between two styles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from musicstyle.cli._console import Meter, counter, say
from musicstyle.cli._evaluation import (
    check_plot,
    choose_melodies,
    choose_styles,
    load_player,
    present,
    settings_of,
    table,
    the_force,
    the_melodies,
    the_player,
    the_plot,
    the_styles,
)
from musicstyle.errors import UsageError


@click.command()
@the_melodies
@the_styles
@click.option("--lines", type=click.IntRange(1), default=2, show_default=True, help="Pairs of styles.")
@click.option(
    "--steps", type=click.IntRange(2), default=5, show_default=True, help="Mixes of each pair, its ends among them."
)
@click.option("--repeats", type=click.IntRange(1), default=2, show_default=True, help="Pieces at each mix.")
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Length of each piece.")
@the_plot
@the_force
@the_player
def interpolation(
    melodies: Path | None,
    styles: Path | None,
    lines: int,
    steps: int,
    repeats: int,
    seconds: float,
    plot: Path | None,
    force: bool,
    checkpoint: Path | None,
    seed: int,
    device: str,
    threads: int,
    as_json: bool,
) -> None:
    """Whether mixes of two styles lie between them.

    Plays in mixes of the styles of two performances, t of A and 1 - t of B. The relative distance from A (by the
    overlapping areas; below a half is nearer to A) should fall as t rises from 0 to 1: Spearman's rank correlation is
    -1 if it falls at every step. The rules stand in the docstring of musicstyle.evaluation.interpolation.
    """
    from musicstyle.evaluation.experiments import interpolation_test
    from musicstyle.evaluation.figures import interpolation_figure, save_figure

    check_plot(plot, force, (melodies, styles))
    player = load_player(checkpoint, device, threads)
    options = settings_of(player, seconds=seconds, seed=seed)
    performances = choose_styles(styles, 2 * lines, seed)
    if len(performances) < 2:
        raise UsageError("a line needs two performances; give --styles a folder of them")
    pairs = list(zip(performances[::2], performances[1::2], strict=False))
    with Meter("playing") as meter:
        line = interpolation_test(
            player, pairs, choose_melodies(melodies, 4, seed), options, steps, repeats, counter(meter, "pieces")
        )
    result = {"checkpoint": player.name, "lines": [[a.stem, b.stem] for a, b in pairs], **line.to_dict()}
    present(result, as_json, line_lines(result))
    if plot is not None:
        save_figure(interpolation_figure(result), plot)
        say(f"drawn into {plot}")


def line_lines(result: dict[str, Any]) -> list[str]:
    """The line for a person."""
    rows = [[f"{mix:.2f}", distance] for mix, distance in zip(result["mixes"], result["distance"], strict=True)]
    means, pieces = result["spearman_of_means"], result["spearman_of_pieces"]
    last = f"Spearman {means:.3f} of the means, {pieces:.3f} of single pieces; falls by {result['fall']:.3f}"
    return [*table(["t", "distance from A"], rows), last]
