"""`musicstyle generate`: a tune and a performance -> the tune played in the performance's style."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musicstyle.cli._console import Meter, duration, give, say
from musicstyle.errors import ConfigError, UsageError
from musicstyle.generation.options import GenerationOptions

if TYPE_CHECKING:
    from musicstyle.generation.result import Generation

SEEDS = 1_000_000  # short enough to type again
SUFFIXES = (".mid", ".midi")
A_FILE = click.Path(path_type=Path)
AS_CHECKPOINT = "default: the checkpoint's"


@click.command()
@click.option("--style", type=A_FILE, help="MIDI file of a performance; without it, any style.")
@click.option(
    "--melody", type=A_FILE, help="MIDI file of a tune, or of a piece whose melody is taken; without it, any tune."
)
@click.option("--out", type=A_FILE, help="MIDI file to write; default: in this folder, named after the inputs.")
@click.option("--force", is_flag=True, help="Write over a file that is already there.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32), help="The same seed gives the same music; default: drawn, and told."
)
@click.option("--temperature", type=float, help=f"Daring: 0 always takes the likeliest; {AS_CHECKPOINT}.")
@click.option("--top-k", type=int, help=f"Draw from the k likeliest events only, 0 for all; {AS_CHECKPOINT}.")
@click.option(
    "--top-p", type=float, help=f"Draw from the likeliest events that reach this probability; {AS_CHECKPOINT}."
)
@click.option("--seconds", type=float, help="Longest length; default: the tune's, or 30 without a tune.")
@click.option("--melody-strength", type=float, help=f"1 as learned, more clings to the tune; {AS_CHECKPOINT}.")
@click.option("--style-strength", type=float, help=f"1 as learned, more exaggerates the style; {AS_CHECKPOINT}.")
@click.option("--melody-track", metavar="N|NAME", help="Take the melody from this track of the file, not from all.")
@click.option("--checkpoint", type=A_FILE, help="Folder of the model; default: the one that comes with musicstyle.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def generate(
    style: Path | None,
    melody: Path | None,
    out: Path | None,
    force: bool,
    melody_track: str | None,
    checkpoint: Path | None,
    device: str,
    as_json: bool,
    **settings: Any,
) -> None:
    """Play a tune in the style of a performance.

    Without --style or --melody the model is free in it; without both it improvises. The last line on stdout is the path
    of the MIDI file.
    """
    out = out or default_out(style, melody)
    _refuse_early(out, force, style, melody, melody_track, settings)
    if settings["seed"] is None:
        settings["seed"] = secrets.randbelow(SEEDS)

    with Meter("playing") as meter:
        from musicstyle.generation.transfer import StyleTransfer

        player = StyleTransfer.load(checkpoint, _device(device))
        options = player.default_options(**settings)
        result = player.generate(style, melody, options, melody_track=melody_track, progress=_report(meter))
    result.save(out)
    if result.retries:
        say(
            f"seed {settings['seed']} gave no notes worth keeping; seed {result.seed} was taken, retry {result.retries}"
        )
    say(_summary(result))
    give(_as_json(out, result) if as_json else out)


def default_out(style: Path | None, melody: Path | None) -> Path:
    """The name of the result, in the current folder."""
    if melody is None:
        return Path("improvisation.mid" if style is None else f"improvisation-in-the-style-of-{style.stem}.mid")
    return Path(f"{melody.stem}-played.mid" if style is None else f"{melody.stem}-in-the-style-of-{style.stem}.mid")


def _refuse_early(
    out: Path, force: bool, style: Path | None, melody: Path | None, melody_track: str | None, settings: dict[str, Any]
) -> None:
    """Say before any work what would go wrong after it."""
    try:
        GenerationOptions(**{name: value for name, value in settings.items() if value is not None})
    except ConfigError as error:
        raise UsageError(f"--{str(error).replace('_', '-', 1)}") from None
    if melody is None and (melody_track or settings["melody_strength"] is not None):
        raise UsageError("--melody-track and --melody-strength mean nothing without --melody")
    if style is None and settings["style_strength"] is not None:
        raise UsageError("--style-strength means nothing without --style")
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{out}: only MIDI files are written; let --out end in .mid")
    if out.exists() and (out.is_dir() or not force):
        how = "give the name of a file" if out.is_dir() else "give another --out, or --force to write over it"
        raise UsageError(f"{out}: is there already; {how}")
    if out.exists() and any(path is not None and path.exists() and path.samefile(out) for path in (style, melody)):
        raise UsageError(f"{out}: is an input too; give another --out")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{out}: cannot be written, {folder} is {'not writable' if folder.is_dir() else 'no folder'}")


def _device(name: str) -> str:
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[name]:
        raise UsageError(f"--device {name}: torch sees none here; use --device cpu")
    return name


def _report(meter: Meter) -> Any:
    def report(done_seconds: float, total_seconds: float, tokens: int) -> None:
        meter.update(
            done_seconds / total_seconds, f"{done_seconds:.1f} of {total_seconds:.1f} s of music, {tokens} tokens"
        )

    return report


def _summary(result: Generation) -> str:
    music, taken = result.notes.duration_seconds, result.seconds_taken
    return (
        f"{len(result.notes)} notes, {duration(music)} of music in {taken:.1f} s "
        f"({result.tokens / taken:.0f} tokens/s, {music / taken:.1f} times as fast as it sounds); "
        f"again with --seed {result.seed}"
    )


def _as_json(out: Path, result: Generation) -> dict[str, Any]:
    music, taken = result.notes.duration_seconds, result.seconds_taken
    return {
        "out": str(out),
        "seed": result.seed,
        "retries": result.retries,
        "notes": len(result.notes),
        "seconds": round(music, 3),
        "tokens": result.tokens,
        "seconds_taken": round(taken, 3),
        "tokens_per_second": round(result.tokens / taken, 1),
        "real_time_factor": round(music / taken, 3),
        "settings": result.settings,
    }
