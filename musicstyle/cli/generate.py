"""`musicstyle generate`: a tune and a performance -> the tune played in the performance's style."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musicstyle.cli._console import Meter, counter, duration
from musicstyle.cli._device import device_option
from musicstyle.cli._flags import settings_are_flags
from musicstyle.cli._group import StoppedError
from musicstyle.cli._made import give_made, tell_of
from musicstyle.cli._paths import A_PATH, refuse_to_write
from musicstyle.errors import UsageError
from musicstyle.files import all_or_none
from musicstyle.generation.options import GenerationOptions
from musicstyle.music.outputs import output_kind

if TYPE_CHECKING:
    from musicstyle.generation.live import Heard, Keys
    from musicstyle.generation.result import Generation
    from musicstyle.generation.streaming import Stream

SEEDS = 1_000_000  # short enough to type again
DEFAULTS = GenerationOptions()
MOST_VARIATIONS = 64
COMPILING = "compiling for this processor, once: about 10 s"
NEEDS = {  # settings that mean nothing without an input
    "melody": ("melody_track", "melody_strength", "keep_melody", "tempo", "transpose"),
    "style": ("style_shares", "style_strength"),
}
OF_INPUTS = ("melody_track", "style_shares")  # which are no settings of GenerationOptions


def _dial(name: str, help_text: str, kind: type[int | float] = float) -> Any:
    """An option for a number of GenerationOptions, whose default a checkpoint may change."""
    default = f"default: {getattr(DEFAULTS, name):g}, or the checkpoint's"
    return click.option(f"--{name.replace('_', '-')}", type=kind, help=f"{help_text}; {default}.")


def _tempo(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """A factor, 1.2, or a percentage, 120%, to the factor."""
    try:
        return None if text is None else float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a factor like 1.2 nor a percentage like 120%") from None


def _semitones(_context: click.Context, _option: click.Parameter, text: str | None) -> int | str | None:
    """A whole number, or "auto"."""
    try:
        return text if text is None or text == "auto" else int(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number of semitones nor auto") from None


def _shares(_context: click.Context, _option: click.Parameter, text: str | None) -> list[float] | None:
    """Numbers between commas."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} are no numbers between commas, like 7,3") from None


@click.command()
@click.option(
    "--style",
    "styles",
    type=A_PATH,
    multiple=True,
    help="MIDI file of a performance, or folder of them; several are mixed; without it, any style.",
)
@click.option(
    "--style-shares",
    callback=_shares,
    metavar="N,N,...",
    help="How much of each --style, as 7,3; default: as much of each.",
)
@click.option(
    "--melody",
    type=A_PATH,
    help="Tune, or piece whose melody is taken: MIDI, MusicXML, ABC, Humdrum, or in quotes a text as 'C4 C4 G4:2'.",
)
@click.option(
    "--out",
    type=A_PATH,
    help="What to write: .mid, or sound, picture or page by the ending; default: a .mid named after the inputs.",
)
@click.option("--force", is_flag=True, help="Write over a file that is already there.")
@click.option("--seed", type=click.IntRange(0), help="The same seed gives the same music; default: drawn, and told.")
@_dial("temperature", "Daring: 1 as learned, 0 takes the likeliest")
@_dial("top_k", "Draw from the k likeliest events only, 0 for all", int)
@_dial("top_p", "Draw from the likeliest events that reach this probability")
@_dial("min_p", "Draw from events that before guidance are at least this share as likely as the likeliest")
@click.option(
    "--seconds",
    type=float,
    help="Longest length, never longer than the tune, with up to 2 s to fade; default: the tune's, or 30.",
)
@_dial("melody_strength", "1 as learned, more clings to the tune")
@_dial("style_strength", "1 as learned, more exaggerates the style")
@_dial("motif_strength", "How often motifs and what goes with a tune come again: 1 about as in real playing, 0 hardly")
@click.option(
    "--keep-melody/--free-melody",
    default=None,
    help="Leave no melody note out, or let it be; default: let it be, or the checkpoint's.",
)
@click.option(
    "--melody-track",
    metavar="N|NAME",
    help="Take the melody from this track of the file: its name, or its number from 0 among those with notes; or this "
    "tune of an ABC book: its title or number, else its first.",
)
@click.option("--tempo", callback=_tempo, metavar="FACTOR|PERCENT%", help="Play the tune faster: 1.2 or 120%.")
@click.option(
    "--transpose",
    callback=_semitones,
    metavar="N|auto",
    help="Play the tune N semitones higher; auto: in the style's register, and move the result back.",
)
@click.option(
    "--prime", type=A_PATH, help="MIDI file of a performance to go on from; the result begins with it, then the tune."
)
@click.option(
    "--variations",
    type=click.IntRange(1, MOST_VARIATIONS),
    default=1,
    help="Make N at once, with N seeds, and rank them: NAME-1.mid is the best.",
)
@click.option(
    "--play",
    is_flag=False,
    flag_value="",
    metavar="[PORT]",
    help="Play it while it is being written: on this MIDI port, or without PORT on the built-in piano. "
    "Ctrl-C keeps what was played.",
)
@_dial("ensemble", "Keys, 1 to 5, in which the piece is heard, to play the mean of them; 3 is a third as fast", int)
@click.option(
    "--exact",
    is_flag=True,
    default=None,
    help="Compute with 32-bit weights: slower; the default takes 8-bit ones, nearly the same.",
)
@click.option("--checkpoint", type=A_PATH, help="Folder of the model; default: the one that comes with musicstyle.")
@device_option("cpu")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def generate(
    styles: tuple[Path, ...],
    style_shares: list[float] | None,
    melody: Path | None,
    prime: Path | None,
    out: Path | None,
    force: bool,
    melody_track: str | None,
    variations: int,
    play: str | None,
    checkpoint: Path | None,
    device: str,
    as_json: bool,
    **settings: Any,
) -> None:
    """Play a tune in the style of a performance.

    Without --style or --melody the model is free in it; without both it improvises. The last line on stdout is the path
    of the file written; with --variations there is one line a file, the best first. Ctrl-C leaves no file, except with
    --play.
    """
    outs = _names(out or default_out(styles, melody), variations)
    given = {**settings, "melody_track": melody_track, "style_shares": style_shares}
    _refuse_meaningless({"style": styles, "melody": melody}, given, variations, play)
    performances, shares = _performances(styles, style_shares)
    for path in outs:
        refuse_to_write(path, force, [*performances, melody, prime])
    if settings["seed"] is None:
        settings["seed"] = secrets.randbelow(SEEDS)
    keys = None if play is None else _open(play)

    with Meter("playing") as meter, ExitStack() as stack:
        from musicstyle.compiling import told_of_compiling
        from musicstyle.generation.transfer import StyleTransfer

        compiling: list[str] = []

        def say_that_it_compiles() -> None:
            compiling.append(COMPILING)
            meter.say(COMPILING)

        stack.enter_context(told_of_compiling(say_that_it_compiles))
        player = StyleTransfer.load(checkpoint, device)
        arguments: dict[str, Any] = {
            "style": performances or None,
            "style_shares": shares,
            "melody": melody,
            "prime": prime,
            "options": player.default_options(**settings),
            "melody_track": melody_track,
            "hearing": counter(meter, "performances heard"),
            "progress": _report(meter),
        }
        if keys is not None:
            made = [_play(player.stream(**arguments), keys, meter, outs[0], as_json)]
        elif variations > 1:
            made = player.variations(variations, **arguments)
        else:
            made = [player.generate(**arguments)]
        _save(outs, made, meter)
    tell_of(outs, made, settings["seed"], compiled=bool(compiling))
    give_made(outs, made, as_json)


def _save(outs: list[Path], made: list[Generation], meter: Meter) -> None:
    with all_or_none() as written:
        for path, result in zip(outs, made, strict=True):
            meter.update(len(written) / len(outs), f"writing {path}")
            result.save(path)
            written.append(path)


def default_out(styles: Sequence[Path], melody: Path | None) -> Path:
    """The name of the result, in the current folder."""
    from musicstyle.music.scores import is_tune

    tune = "improvisation" if melody is None else "tune" if is_tune(melody) else melody.stem
    if not styles:
        return Path(f"{tune}.mid" if melody is None else f"{tune}-played.mid")
    others = f"-and-{len(styles) - 1}-more" if len(styles) > 1 else ""
    return Path(f"{tune}-in-the-style-of-{styles[0].absolute().stem}{others}.mid")


def _performances(styles: Sequence[Path], shares: Sequence[float] | None) -> tuple[list[Path], list[float] | None]:
    """The files that are meant, those of a folder for it, and the share of each.

    Raises:
        UsageError: Not one share for each style, or a folder without MIDI files.
    """
    from musicstyle.evaluation.material import midi_files

    # os.path's, which takes a name longer than any file's for one that isn't there.
    files = [midi_files(style) if os.path.isdir(style) else [style] for style in styles]  # noqa: PTH112
    asked = [1.0] * len(styles) if shares is None else shares
    if len(asked) != len(styles):
        raise UsageError(f"--style-shares has {len(asked)} numbers for {len(styles)} of --style; give one for each")
    each = [share / len(of) for share, of in zip(asked, files, strict=True) for _ in of]
    as_much_of_each = shares is None and len(set(each)) <= 1
    return [path for of in files for path in of], None if as_much_of_each else each


def _names(out: Path, variations: int) -> list[Path]:
    """The files to write: the name itself, or as many numbered ones, 1 for the best."""
    output_kind(out)  # before a number is put in: "." has no name to put it into
    return [out] if variations == 1 else [out.with_stem(f"{out.stem}-{rank}") for rank in range(1, variations + 1)]


def _refuse_meaningless(inputs: dict[str, Any], settings: dict[str, Any], variations: int, play: str | None) -> None:
    """Say before any work what cannot be meant."""
    given = {name: value for name, value in settings.items() if value is not None}
    with settings_are_flags():
        GenerationOptions(**{name: value for name, value in given.items() if name not in OF_INPUTS})
    for needed, names in NEEDS.items():
        for name in names:
            if name in given and not inputs[needed]:
                flag = "free-melody" if given[name] is False else name.replace("_", "-")
                raise UsageError(f"--{flag} means nothing without --{needed}")
    if given.get("transpose") == "auto" and not inputs["style"]:
        raise UsageError("--transpose auto means nothing without --style, whose register it takes")
    if play is not None and variations > 1:
        raise UsageError("--play plays what is being written and cannot choose; leave --variations out")


def _report(meter: Meter) -> Callable[[float, float, int], None]:
    def report(done_seconds: float, total_seconds: float, tokens: int) -> None:
        meter.update(
            done_seconds / total_seconds, f"{done_seconds:.1f} of {total_seconds:.1f} s of music, {tokens} tokens"
        )

    return report


def _open(play: str) -> Keys:
    from musicstyle.generation.sinks import open_keys

    return open_keys(play)


def _play(stream: Stream, keys: Keys, meter: Meter, out: Path, as_json: bool) -> Generation:
    """Play it; on Ctrl-C, write what was heard and stop, and do not be stopped in that."""
    from musicstyle.generation import live

    def stop(_signum: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        return _heard(stream, live.play(stream, keys), meter, out, as_json)
    finally:
        signal.signal(signal.SIGINT, before)


def _heard(stream: Stream, heard: Heard, meter: Meter, out: Path, as_json: bool) -> Generation:
    waited = f"; the music had to wait {heard.waited_seconds:.1f} s in all" if heard.waited_seconds > 0 else ""
    meter.say(f"the first note sounded after {heard.latency_seconds:.1f} s{waited}")
    result = stream.result(heard.until_seconds if heard.stopped else None)
    if result is None:
        raise StoppedError("stopped before the first note; nothing was written")
    if heard.stopped:
        result.save(out)
        give_made([out], [result], as_json)
        length = duration(result.notes.duration_seconds)
        raise StoppedError(f"stopped; what was played until then, {length}, is kept; again with --seed {result.seed}")
    return result
