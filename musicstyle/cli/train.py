"""`musicstyle train`: a folder of MIDI -> a checkpoint."""

from __future__ import annotations

import dataclasses
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from musicstyle.cli._console import Meter, as_argument, give, say, speaks, without_infinity
from musicstyle.cli._corpus import open_corpus
from musicstyle.cli._device import device_option
from musicstyle.cli._flags import settings_are_flags, was_given
from musicstyle.cli._group import StoppedError
from musicstyle.cli._machine import GPU_WORKERS, launched, memory_is_named, usual_workers, who_ended
from musicstyle.cli._paths import A_PATH
from musicstyle.cli._training import (
    MODEL_CHOICES,
    refuse_bad_teacher,
    refuse_early,
    refuse_to_shrink,
    refuse_two_models,
)
from musicstyle.devices import find_device
from musicstyle.errors import MusicstyleError, TrainingError
from musicstyle.files import where_kept
from musicstyle.model.config import PRESETS, Combination, Conditions, ModelConfig
from musicstyle.training.options import StyleInput, TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from musicstyle.corpus.store import Corpus
    from musicstyle.training.loop import Report, Trainer

FEW_PIECES = 20
TUNING_SHARE = 0.1  # of the learning rates, when weights are there to be kept
DEFAULT_PRESET = "tiny"
OF_THE_MACHINE = ("device", "devices", "nodes", "threads")
AT_LEAST_1 = click.IntRange(1)
PRECISIONS = ["auto", "32-true", "bf16-mixed"]


def _setting(name: str, help_text: str, kind: Any) -> Any:
    """An option for a field of TrainingOptions; left out: its default or, with --resume, what the run began with."""
    default = getattr(TrainingOptions(), name)
    return click.option(f"--{name.replace('_', '-')}", type=kind, help=f"{help_text}  [default: {default}]")


@click.command()
@click.option(
    "--data", required=True, type=A_PATH, help="Folder of MIDI, or a corpus made by `musicstyle data prepare`."
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help=f"Size of the model.  [default: {DEFAULT_PRESET}]")
@click.option("--combine", type=click.Choice(get_args(Combination)), help="How melody and style meet.  [default: sum]")
@click.option("--conditions", type=click.Choice(get_args(Conditions)), help="What the model hears.  [default: both]")
@click.option(
    "--window",
    type=AT_LEAST_1,
    help="Last events that the decoder hears, with --init no fewer than it has; default: as the preset or --init.",
)
@click.option(
    "--layers",
    type=AT_LEAST_1,
    help="Layers of the decoder, with --init no fewer than it has; default: as the preset or --init.",
)
@click.option(
    "--width",
    type=AT_LEAST_1,
    help="Size of the hidden vectors, with --init a multiple of what it has; the feed-forward layers widen too.",
)
@click.option("--out", type=A_PATH, help="Folder of the run; default: runs/DATA-PRESET.")
@_setting("steps", "Optimizer steps.", AT_LEAST_1)
@_setting("batch_size", "Crops a step.", AT_LEAST_1)
@click.option("--tokens", type=AT_LEAST_1, help="Length of a crop.  [default: the window, which it teaches whole]")
@_setting(
    "style_input",
    "Style from another crop of the performance, from the same, or from either by a coin for each.",
    click.Choice(get_args(StyleInput)),
)
@_setting(
    "learning_rate",
    "Peak of AdamW's rate; that of Muon, which trains the matrices, rises and falls in proportion.",
    click.FloatRange(0, min_open=True),
)
@_setting("seed", "Of weights, crops and dropout.", click.IntRange(0, 2**31))
@_setting("validate_every", "Steps between validations.", AT_LEAST_1)
@_setting("save_every", "Steps between saves for --resume.", AT_LEAST_1)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that draw batches, for each of --devices.  "
    f"[default: {TrainingOptions().workers}; on a GPU a core each, {GPU_WORKERS} at most]",
)
@device_option("auto")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="auto: bf16 on a GPU and on CPUs that multiply in it.",
)
@click.option("--devices", type=AT_LEAST_1, default=1, show_default=True, help="GPUs (or CPU processes) of a machine.")
@click.option("--nodes", type=AT_LEAST_1, default=1, show_default=True, help="Machines.")
@click.option("--threads", type=AT_LEAST_1, help="CPU threads; default: torch's choice.")
@click.option(
    "--init", type=A_PATH, help="Checkpoint to begin from (fine-tuning), by default at a tenth of the learning rates."
)
@click.option(
    "--teacher",
    type=A_PATH,
    help="Checkpoint whose answers, heard in another key, are half of what is learned; that of --init may be.",
)
@click.option("--resume", is_flag=True, help="Go on from the last save of --out.")
@click.option("--force", is_flag=True, help="Begin anew in an --out that holds a run; it goes when this one saves.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a validation and one at the end.")
def train(
    data: Path,
    preset: str | None,
    out: Path | None,
    device: str,
    precision: str,
    devices: int,
    nodes: int,
    threads: int | None,
    init: Path | None,
    resume: bool,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a model on a folder of MIDI.

    The folder is prepared by itself, once. --out receives best/ (lowest validation NLL with all that the model hears)
    and last/ (for --resume); either is a --checkpoint for `musicstyle generate`. With --resume, settings left out are
    those the run began with.
    """
    from musicstyle.training.state import claimed

    out = out or Path("runs") / f"{data.resolve().name}-{preset or DEFAULT_PRESET}"
    refuse_early(out, resume, force)
    refuse_two_models(init, resume, preset, given)
    asked = _asked_machine()
    device = find_device(device)
    if given["teacher"]:
        given["teacher"] = str(given["teacher"].absolute())  # a run may be resumed from anywhere
    saved = _saved_facts(out) if resume else {}
    begun = _facts(init) if init else saved
    config = _model_config(preset, given, begun)
    if init:
        refuse_to_shrink(init, begun["model"], config)
    if given["tokens"] is None and not resume:
        given["tokens"] = config.window
    if given["workers"] is None and not resume:
        given["workers"] = usual_workers(device, devices)
    with settings_are_flags():
        options = _training_options(given, saved, tuning=init is not None)
        options.refuse_uneven_shares(devices * nodes)  # before more processes begin, each of which would say it
        refuse_bad_teacher(options, config, out)
    corpus = open_corpus(data)
    if precision == "auto":
        precision = saved.get("training", {}).get("precision", precision)
    again = f"musicstyle train --data {as_argument(data)} --out {as_argument(out)}{asked} --resume"
    if speaks():  # before the other processes begin, which write nothing
        click.get_current_context().with_resource(claimed(out))
    with memory_is_named(device):
        trainer = _make_trainer(config, options, corpus, out, (device, precision, devices, nodes), threads)
        _take_up(trainer, init, resume)
        trainer.replaces = force
        _introduce(trainer, corpus)
        if saved.get("corpus", corpus.fingerprint) != corpus.fingerprint:
            say(f"note: {data} holds other pieces than the run learned from; NLLs of before and after do not compare")
        last = _follow(trainer, as_json, again)
    _conclude(trainer, last, as_json)


def _asked_machine() -> str:
    """The flags that a run which goes on must be given again: they belong to the machine and are not saved."""
    given = click.get_current_context().params
    return "".join(f" --{name} {given[name]}" for name in OF_THE_MACHINE if was_given(name))


def _facts(checkpoint: Path) -> dict[str, Any]:
    from musicstyle.model.checkpoint import read_config

    return read_config(checkpoint)


def _saved_facts(out: Path) -> dict[str, Any]:
    from musicstyle.training.state import LAST, read_facts

    folder = where_kept(out / LAST)
    return {} if folder is None else read_facts(folder)


def _model_config(preset: str | None, given: dict[str, Any], saved: dict[str, Any]) -> ModelConfig:
    choices = {name: given[name] for name in MODEL_CHOICES if given[name] is not None}
    config = PRESETS[preset or DEFAULT_PRESET]
    if saved:
        before = ModelConfig.from_dict(saved["model"])
        kept = {name: getattr(before, name) for name in MODEL_CHOICES}
        config = dataclasses.replace(config if preset else before, **kept)
    if given["layers"] is not None:
        choices["decoder_layers"] = given["layers"]
    if (width := given["width"]) is not None:
        choices |= {"width": width, "feedforward_width": max(1, config.feedforward_width * width // config.width)}
    config = dataclasses.replace(config, **choices)
    return config if given["window"] is None else config.with_window(given["window"])


def _training_options(given: dict[str, Any], saved: dict[str, Any], *, tuning: bool) -> TrainingOptions:
    known = {field.name for field in dataclasses.fields(TrainingOptions)}
    values = {name: value for name, value in saved.get("training", {}).items() if name in known}
    changes = {name: value for name, value in given.items() if name in known and value is not None}
    default = TrainingOptions()
    if tuning:
        changes.setdefault("learning_rate", default.learning_rate * TUNING_SHARE)
    if "learning_rate" in changes:
        changes["matrix_learning_rate"] = (
            default.matrix_learning_rate * changes["learning_rate"] / default.learning_rate
        )
    return TrainingOptions(**values | changes)


def _make_trainer(
    config: ModelConfig,
    options: TrainingOptions,
    corpus: Corpus,
    out: Path,
    machine: tuple[str, str, int, int],
    threads: int | None,
) -> Trainer:
    import torch

    from musicstyle.training.loop import Trainer

    fabric = launched(*machine)
    if threads is not None:
        torch.set_num_threads(threads)  # the launch sets its own
    return Trainer(config, options, corpus.path, out, fabric)


def _take_up(trainer: Trainer, init: Path | None, resume: bool) -> None:
    """Begin where an earlier run or another checkpoint ended, if one is named."""
    if resume:
        trainer.resume()
    elif init is not None:
        trainer.start_from(init)


def _introduce(trainer: Trainer, corpus: Corpus) -> None:
    totals = corpus.manifest["totals"]
    weights = sum(p.numel() for p in trainer.plain.parameters())
    say(
        f"{totals['pieces']} pieces, {totals['hours']:.2f} h, {totals['tokens']:,} tokens; "
        f"model of {weights / 1e6:.2f} M parameters on {trainer.fabric.device} in {trainer.precision}; "
        f"step {trainer.step} of {trainer.options.steps}, seed {trainer.options.seed}; into {trainer.out}"
    )
    if totals["pieces"] < FEW_PIECES:
        judged = totals["validation"]["pieces"]
        says = f"over {judged} unseen says little about others" if judged else "is over pieces that it learns from"
        say(
            f"note: {totals['pieces']} pieces are few; the model will learn these by heart sooner than "
            f"it learns to play, and its validation NLL {says}"
        )


def _follow(trainer: Trainer, as_json: bool, again: str) -> Report | None:
    """Train to the end, showing where it stands; the last report, None if there was nothing left to do."""
    report = None
    try:
        with Meter("training") as meter, _interrupt_sets(trainer), _said_by_the_first():
            for report in trainer.run():
                meter.update(report.step / report.steps, _progress_text(report))
                if report.validation is not None:
                    meter.say(_validation_text(report))
                    if as_json and not trainer.stop:
                        _give_or_stop(trainer, report)
    except KeyboardInterrupt:
        raise _stopped(trainer, again) from None
    except RuntimeError as error:
        ended = who_ended(error, trainer.fabric.world_size)
        if ended is None:
            raise
        if trainer.stop:  # the Ctrl-C ended it before it could agree
            raise _stopped(trainer, again) from None
        raise MusicstyleError(f"{ended}; {_saved(trainer, again)}") from None
    if trainer.stop and speaks():  # the others end well: a child's failure would have Fabric kill the one that saves
        raise _stopped(trainer, again)
    return report


def _give_or_stop(trainer: Trainer, report: Report) -> None:
    """A result on stdout; where nobody takes it any more, the run saves after its step and ends, as by Ctrl-C."""
    try:
        give(_as_json(report))
    except OSError as error:
        say(f"stdout: cannot be written ({error.strerror})")
        trainer.stop = True


@contextmanager
def _said_by_the_first() -> Iterator[None]:
    """What all processes come to in the same step is said once; the others end well, as after a stop."""
    try:
        yield
    except TrainingError:
        if speaks():
            raise


@contextmanager
def _interrupt_sets(trainer: Trainer) -> Iterator[None]:
    """The first Ctrl-C, or SIGTERM, lets the run save after its step; the second ends it where it is."""

    def ask_to_stop(_signum: int, _frame: object) -> None:
        if trainer.stop:
            raise KeyboardInterrupt
        trainer.stop = True

    # What schedulers send before they take the machine back counts too.
    before = {one: signal.signal(one, ask_to_stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _stopped(trainer: Trainer, again: str) -> StoppedError:
    return StoppedError(f"stopped at step {trainer.step}; {_saved(trainer, again)}")


def _saved(trainer: Trainer, again: str) -> str:
    saved = {} if trainer.replaces else _saved_facts(trainer.out)
    return f"saved at step {saved['step']}, go on with: {again}" if saved else "nothing was saved yet"


def _progress_text(report: Report) -> str:
    return f"step {report.step} of {report.steps}, loss {report.loss:.3f}, {report.tokens_per_second:.0f} tokens/s"


def _validation_text(report: Report) -> str:
    assert report.validation is not None
    by_mode = ", ".join(f"{mode} {nll:.3f}" for mode, nll in report.validation.items())
    best = "; best yet" if report.best else ""
    return (
        f"step {report.step} of {report.steps}: loss {report.loss:.3f}, validation NLL (nats a token) {by_mode}{best}"
    )


def _conclude(trainer: Trainer, report: Report | None, as_json: bool) -> None:
    from musicstyle.training.state import BEST

    best = trainer.out / BEST
    if report is None:
        say(f"already at step {trainer.step} of {trainer.options.steps}; --steps with more goes on")
    else:
        best_nll = f"best validation NLL {trainer.best:.3f} ({trainer.judged_by})"
        say(f"{report.steps} step{'s' * (report.steps > 1)}, {report.tokens:,} tokens, {best_nll}")
        hears = trainer.config
        inputs = " --style PERFORMANCE.mid" * hears.hears_style + " --melody TUNE.mid" * hears.hears_melody
        say(f"play: musicstyle generate --checkpoint {as_argument(best)}{inputs}")
    if as_json:
        last = {} if report is None else _as_json(report)
        give({**last, "done": True, "checkpoint": str(best), "best_validation_nll": without_infinity(trainer.best)})
    else:
        give(best)


def _as_json(report: Report) -> dict[str, Any]:
    return without_infinity(dataclasses.asdict(report))
