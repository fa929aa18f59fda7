"""What the verbs of `musicstyle eval` have in common: options, where music comes from, tables on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musicstyle.cli._console import give, tell
from musicstyle.cli._device import device_option
from musicstyle.cli._flags import refuse_given, settings_are_flags
from musicstyle.cli._paths import A_PATH, refuse_to_write
from musicstyle.errors import UsageError

if TYPE_CHECKING:
    from musicstyle.generation.options import GenerationOptions
    from musicstyle.generation.transfer import StyleTransfer


the_checkpoint = click.option("--checkpoint", type=A_PATH, help="Folder of the model; default: the one in the box.")
the_device = device_option("cpu")
the_threads = click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads; more help large models only."
)
the_seed = click.option(
    "--seed", type=click.IntRange(0, 2**31), default=1, show_default=True, help="Seed of all that is drawn."
)
the_json = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
the_force = click.option("--force", is_flag=True, help="Write over files that are already there.")
the_plot = click.option("--plot", type=A_PATH, help="Draw it into this file (.png, .svg, .pdf).")
the_styles = click.option(
    "--styles",
    type=A_PATH,
    help="Performance or folder of them; default: MAESTRO's validation split in MUSICSTYLE_DATA, else the examples.",
)
the_melodies = click.option(
    "--melodies",
    type=A_PATH,
    help="File with a tune, or a folder of them; default: Nottingham's tunes in MUSICSTYLE_DATA, else the examples.",
)


PLAYING = ("melodies", "styles", "seconds", "checkpoint", "device", "threads")  # idle where files are judged


def the_player(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a verb that asks a checkpoint: --checkpoint, --seed, --device, --threads and --json."""
    for option in (the_json, the_threads, the_device, the_seed, the_checkpoint):
        command = option(command)
    return command


def load_player(checkpoint: Path | None, device: str, threads: int) -> StyleTransfer:
    """The checkpoint, ready to play.

    Raises:
        UsageError: torch sees no such device here.
        CheckpointError: There is no checkpoint.
    """
    import torch

    from musicstyle.generation.transfer import StyleTransfer

    torch.set_num_threads(threads)
    return StyleTransfer.load(checkpoint, device)


def settings_of(player: StyleTransfer, **changes: Any) -> GenerationOptions:
    """The checkpoint's defaults with a person's changes.

    Raises:
        UsageError: A value that can't be.
    """
    with settings_are_flags():
        return player.default_options(**changes)


def files_of(path: Path | None) -> tuple[list[Path], Path | None]:
    """(the one file, None) if a file is named, ([], folder) otherwise.

    Raises:
        UsageError: Nothing is there.
    """
    if path is not None and not path.exists():
        raise UsageError(f"{path}: not there")
    return ([path], None) if path is not None and path.is_file() else ([], path)


def choose_styles(path: Path | None, count: int, seed: int) -> list[Path]:
    """Performances: the file, a seeded choice of the folder's, or the default's."""
    from musicstyle.evaluation.material import styles

    named, folder = files_of(path)
    return named or styles(count, seed, folder)


def choose_melodies(path: Path | None, count: int, seed: int) -> list[Path]:
    """Tunes: the file, a seeded choice of the folder's, or the default's."""
    from musicstyle.evaluation.material import tunes

    named, folder = files_of(path)
    return named or tunes(count, seed, folder)


def check_plot(plot: Path | None, force: bool, inputs: Iterable[Path | None] = ()) -> None:
    """Say before any work what would keep a plot from being written.

    Raises:
        UsageError: What `refuse_to_write` says, its suffix is of no known format, or --force stands alone.
    """
    from musicstyle.evaluation.figures import check_suffix

    if plot is None:
        refuse_given(("force",), "without --plot")
        return
    check_suffix(plot)
    refuse_to_write(plot, force, inputs, "--plot")


def present(result: dict[str, Any], as_json: bool, lines: Sequence[str]) -> None:
    """The result on stdout: JSON, or lines for a person."""
    if as_json:
        give(result)
    else:
        for line in lines:
            tell(line)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    texts = [[text(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in texts
    ]


def text(value: Any) -> str:
    """A cell: three decimals for a number, a dash for nothing."""
    if isinstance(value, float):
        return f"{value:.3f}"
    return "-" if value is None else str(value)
