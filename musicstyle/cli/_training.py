"""What `train` refuses before it begins: runs that would be lost, and models that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicstyle.cli._paths import refuse_unwritable
from musicstyle.errors import UsageError
from musicstyle.files import where_kept

if TYPE_CHECKING:
    from musicstyle.model.config import ModelConfig
    from musicstyle.training.options import TrainingOptions

MODEL_CHOICES = ("combine", "conditions")


def refuse_early(out: Path, resume: bool, force: bool) -> None:
    """A run is neither written over unasked nor gone on with where there is none.

    Raises:
        UsageError: It would be, or `out` cannot be the folder of a run.
    """
    from musicstyle.training.state import BEST, LAST

    if resume and force:
        raise UsageError("--resume goes on with a run and --force begins it anew; choose one")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out is the folder of a run")
    if resume and not where_kept(out / LAST):
        raise UsageError(f"{out}: no saved run to go on with; give its --out, or leave --resume out")
    if not resume and not force and (where_kept(out / BEST) or where_kept(out / LAST)):
        raise UsageError(f"{out}: holds a run; --resume to go on with it, --force to begin anew, or another --out")
    refuse_unwritable(out / LAST)


def refuse_two_models(init: Path | None, resume: bool, preset: str | None, given: dict[str, Any]) -> None:
    """--init brings its own model: nothing else may choose one.

    Raises:
        UsageError: Something does.
    """
    if init is None:
        return
    if resume:
        raise UsageError("--init begins with a checkpoint's weights and --resume goes on with a run; choose one")
    if preset or any(given[name] is not None for name in MODEL_CHOICES):
        raise UsageError(f"--init {init}: brings its own model; leave --preset, --combine and --conditions out")


def refuse_to_shrink(init: Path, before: dict[str, Any], config: ModelConfig) -> None:
    """--window, --layers and --width may make the model of --init larger.

    Raises:
        UsageError: They make it smaller, or wider in a way it cannot grow.
    """
    for flag, name in (("window", "window"), ("layers", "decoder_layers")):
        if getattr(config, name) < before[name]:
            raise UsageError(f"--{flag} {getattr(config, name)}: {init} has {before[name]}; it can only grow")
    if config.width % before["width"]:
        raise UsageError(f"--width {config.width}: {init} has {before['width']}; give a multiple of it")
    if config.width != before["width"] and not config.clock:
        raise UsageError(f"--width {config.width}: {init} has no clock; such a model grows no wider, leave --width out")


def refuse_bad_teacher(options: TrainingOptions, config: ModelConfig, out: Path) -> None:
    """--teacher hears what the model hears, and stays as it is.

    Raises:
        UsageError: The run would write over it.
        CheckpointError: It is none.
        ConfigError: It hears something else.
    """
    from musicstyle.training.teacher import refuse_other_hearing

    if options.teacher:
        if Path(options.teacher).resolve().is_relative_to(out.resolve()):
            raise UsageError(f"--teacher {options.teacher}: the run writes over it; give another --out than {out}")
        refuse_other_hearing(Path(options.teacher), config)
