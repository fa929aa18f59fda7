"""`musicstyle eval similarity`: how alike pieces are, or sets of them, or what a checkpoint plays and its styles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musicstyle.cli._console import Meter, counter, say
from musicstyle.cli._evaluation import (
    PLAYING,
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
from musicstyle.cli._flags import refuse_given
from musicstyle.cli._paths import A_PATH
from musicstyle.errors import UsageError
from musicstyle.files import as_text

if TYPE_CHECKING:
    from musicstyle.music.similarity import Density

PLAYED = 6  # styles and tunes of a checkpoint
SHOWN = 5  # pieces without a partner


@click.command()
@click.argument("pieces", nargs=-1, metavar="[A.mid B.mid]", type=A_PATH)
@click.option("--reference", type=A_PATH, help="Folder of pieces, to be compared with --candidate.")
@click.option("--candidate", type=A_PATH, help="Folder of pieces.")
@click.option(
    "--pairs",
    type=click.Choice(["name", "all"]),
    default="name",
    show_default=True,
    help="Of two folders, compare pieces of the same name, or each with all.",
)
@click.option(
    "--density",
    type=click.Choice(["normal", "kde"]),
    default="normal",
    show_default=True,
    help="What is fitted to each feature: a normal, as published, or a kernel density.",
)
@the_plot
@the_force
@the_melodies
@the_styles
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Length of what the checkpoint plays.")
@the_player
def similarity(
    pieces: tuple[Path, ...],
    reference: Path | None,
    candidate: Path | None,
    pairs: Any,
    density: Any,
    plot: Path | None,
    force: bool,
    as_json: bool,
    **playing: Any,
) -> None:
    """How alike pieces are, or a checkpoint and its styles.

    By the overlapping areas of eight features, as published, and by profile: what they have in common in thirteen
    distributions, which tells performances apart better. Both from 0 to 1. With two files, part by part. With two
    folders, pair by pair. With neither, a checkpoint plays six of --melodies in six of --styles and is judged by these.
    The rules stand in the docstrings of musicstyle.music.similarity and musicstyle.music.profile.
    """
    check_plot(plot, force, pieces)
    if plot is not None and len(pieces) != 2:
        raise UsageError("--plot draws two pieces; name two MIDI files")
    if pieces or reference or candidate:
        refuse_given((*PLAYING, "seed"), "with files, which are judged as they are")
    if reference is None:
        refuse_given(("pairs",), "without --reference and --candidate")
    if pieces:
        if len(pieces) != 2 or reference or candidate:
            raise UsageError("name two MIDI files, or --reference and --candidate, or nothing")
        result, lines = _two_pieces(*pieces, density, plot)
    elif reference or candidate:
        if not (reference and candidate):
            raise UsageError("--reference and --candidate go together")
        result, lines = _two_sets(reference, candidate, pairs, density)
    else:
        result, lines = _checkpoint(density, **playing)
    present(result, as_json, lines)


def _two_pieces(first: Path, second: Path, density: Density, plot: Path | None) -> tuple[dict[str, Any], list[str]]:
    from musicstyle.evaluation.similarity import plot_similarity
    from musicstyle.music import profile
    from musicstyle.music import similarity as metric
    from musicstyle.music.midi import read_midi

    a, b = read_midi(first), read_midi(second)
    areas = metric.similarity(a, b, density)
    normals = [metric.summary(notes) for notes in (a, b)]
    features: dict[str, dict[str, Any]] = {
        name: {
            "a": {"mean": float(normals[0][i, 0]), "deviation": float(normals[0][i, 1])},
            "b": {"mean": float(normals[1][i, 0]), "deviation": float(normals[1][i, 1])},
            "area": float(areas.by_feature[i]),
        }
        for i, name in enumerate(metric.FEATURES)
    }
    rows = [
        [name, *(f"{f[side]['mean']:.2f} ± {f[side]['deviation']:.2f}" for side in "ab"), f["area"]]
        for name, f in features.items()
    ]
    if plot is not None:
        plot_similarity(a, b, plot, density=density, labels=(as_text(first.stem), as_text(second.stem)))
        say(f"drawn into {plot}")
    common = profile.in_common(profile.profile(a), profile.profile(b))
    parts = dict(zip(profile.PARTS, common.tolist(), strict=True))
    near = float(common.mean())
    result = {
        "a": str(first),
        "b": str(second),
        "density": density,
        "mean": areas.mean,
        "features": features,
        "profile": {"mean": near, "parts": parts},
    }
    lines = table(["feature", first.stem, second.stem, "area"], [*rows, ["mean", "", "", areas.mean]])
    return result, [*lines, "", *table(["of the profile", "in common"], [*map(list, parts.items()), ["mean", near]])]


def _two_sets(reference: Path, candidate: Path, pairs: Any, density: Density) -> tuple[dict[str, Any], list[str]]:
    from musicstyle.evaluation.similarity import compare_sets, read_set

    compared = compare_sets(read_set(reference), read_set(candidate), pairs, density)
    result = {"reference": str(reference), "candidate": str(candidate), "density": density, **compared.to_dict()}
    rows = [[row["reference"], row["candidate"], row["mean"], row["profile"]] for row in result["pairs"]]
    if compared.unmatched:
        more = f" and {len(compared.unmatched) - SHOWN} more; --json lists all" if compared.unmatched[SHOWN:] else ""
        say(f"without a partner: {', '.join(compared.unmatched[:SHOWN])}{more}")
    means = ["mean", "", compared.mean, result["profile"]]
    return result, table(["reference", "candidate", "area", "by profile"], [*rows, means])


def _checkpoint(
    density: Density,
    *,
    melodies: Path | None,
    styles: Path | None,
    seconds: float,
    checkpoint: Path | None,
    seed: int,
    device: str,
    threads: int,
) -> tuple[dict[str, Any], list[str]]:
    from musicstyle.evaluation.experiments import style_test
    from musicstyle.evaluation.findings import MEASURES

    player = load_player(checkpoint, device, threads)
    options = settings_of(player, seconds=seconds, seed=seed)
    performances, tunes = choose_styles(styles, PLAYED, seed), choose_melodies(melodies, PLAYED, seed)
    with Meter("playing") as meter:
        progress = counter(meter, "pieces")
        judged = style_test(player, performances, tunes, options, progress=progress, density=density).to_dict()
    names = [path.stem for path in performances]
    result = {"checkpoint": player.name, "styles": names, "density": density, "modes": judged}
    lines: list[str] = []
    for measure, measured in MEASURES.items():
        by = {mode: m[measure] for mode, m in judged.items()}
        rows = [[mode, m["heard"]["own"], m["own"], m["others"], *m["by_part"].values()] for mode, m in by.items()]
        head = [measured, "heard: own", "own", "others", *by["real"]["by_part"]]
        lines += [""] * bool(lines) + table(head, rows)
    return result, lines
