"""Where a run stands, on disk: last and best checkpoint, the optimizers' tensors, the history."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.optim import Optimizer

from musicstyle.errors import CheckpointError, TrainingError
from musicstyle.files import put_back, replace_folder, set_aside
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import CONFIG, WEIGHTS, load_weights, read_config, save_checkpoint, save_tensors

LAST, BEST, HISTORY, OPTIMIZERS, LOCK = "last", "best", "history.json", "optimizers.safetensors", ".lock"
STATES = (("momentum_buffer",), ("step", "exp_avg", "exp_avg_sq"))  # of a parameter: Muon's, AdamW's
RESUMED: dict[str, Any] = {"step": int, "tokens": int, "best_validation_nll": float | None}  # what a run goes on from


def optimizer_tensors(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """All state of the optimizers as named tensors: "optimizer.parameter.name"."""
    return {
        f"{i}.{parameter}.{name}": torch.as_tensor(value).detach()
        for i, optimizer in enumerate(optimizers)
        for parameter, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def restore_optimizers(optimizers: Sequence[Optimizer], tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` took after a step or more, which give every parameter its state.

    Raises:
        ValueError: Other names than it gives, or shapes that are not the parameters'.
    """
    parameters = [[p for group in optimizer.param_groups for p in group["params"]] for optimizer in optimizers]
    wanted = {
        f"{i}.{number}.{name}": () if name == "step" else tuple(parameter.shape)
        for i, (names, owned) in enumerate(zip(STATES, parameters, strict=True))
        for number, parameter in enumerate(owned)
        for name in names
    }
    for key in sorted(wanted.keys() | tensors.keys()):
        ours, theirs = wanted.get(key, "nothing"), tuple(tensors[key].shape) if key in tensors else "nothing"
        if ours != theirs:
            raise ValueError(f"{key} is {theirs}, the model asks for {ours}")
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for key, value in tensors.items():
        owner, number, name = key.split(".", 2)
        states[int(owner)].setdefault(int(number), {})[name] = value.clone()  # not the mapped file, which is replaced
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def save(
    folder: Path,
    model: Autoencoder,
    facts: dict[str, Any],
    history: list[dict[str, Any]],
    optimizers: Sequence[Optimizer] | None = None,
) -> None:
    """Write a checkpoint with its history, in float16; with optimizers, in float32 and with what `--resume` needs.

    Raises:
        TrainingError: The disk is full or the folder not writable; what stood there stands there still.
    """
    try:
        with replace_folder(folder) as new:
            save_checkpoint(new, model, facts, torch.float16 if optimizers is None else torch.float32)
            (new / HISTORY).write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
            if optimizers is not None:
                save_tensors(new / OPTIMIZERS, optimizer_tensors(optimizers))
    except OSError as error:
        reason = str(error.strerror or error.__cause__ or error)  # safetensors' own tells its reason without a number
        raise TrainingError(f"{folder}: cannot be written ({reason}); mend that and call again") from error


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Be the only run that writes into `out`, which is made if absent; the system lets go of it if this process dies.

    Raises:
        TrainingError: Another does, or the folder cannot be written.
    """
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK).acquire(blocking=False)
    except Timeout:
        raise TrainingError(
            f"{out}: another run is being written there; wait for its end, or give another --out"
        ) from None
    except OSError as error:
        raise TrainingError(f"{out}: cannot be written ({error.strerror}); mend that and call again") from error
    try:
        with lock:
            try:
                yield
            finally:
                with suppress(PermissionError):  # Windows removes nothing that is open; there FileLock does, afterwards
                    (out / LOCK).unlink(missing_ok=True)
    finally:
        if made:
            with suppress(OSError):  # it holds something
                out.rmdir()


def remove_run(out: Path) -> None:
    """Remove what runs have saved in a folder; whatever else lies there stays."""
    for folder in (out / BEST, out / LAST):
        shutil.rmtree(set_aside(folder), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def find_last(out: Path) -> Path | None:
    """The folder to resume from; what a run that was killed between two renames left beside is put back."""
    for folder in (out / BEST, out / LAST):
        put_back(folder)
    return out / LAST if (out / LAST / OPTIMIZERS).exists() else None


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts in the config.json of a folder that `save` wrote, those that a run goes on from among them.

    Raises:
        CheckpointError: It is none, or does not hold them.
    """
    facts = read_config(folder)
    kinds = {**RESUMED, "training": dict}
    if wrong := [name for name, kind in kinds.items() if name not in facts or not isinstance(facts[name], kind)]:
        raise CheckpointError(f"{folder / CONFIG}: does not say where the run stood ({', '.join(wrong)} missing)")
    return facts


def restore(
    folder: Path, model: Autoencoder, optimizers: Sequence[Optimizer]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fill model and optimizers from a folder that `save` wrote; return the facts of its config and its history.

    Raises:
        CheckpointError: It was trained with another model, or a file of it does not fit.
    """
    facts = read_facts(folder)
    if facts["model"] != model.config.to_dict():
        changed = [k for k, v in model.config.to_dict().items() if facts["model"].get(k) != v]
        raise CheckpointError(f"{folder}: cannot resume with another model; it differs in {', '.join(changed)}")
    load_weights(model, folder / WEIGHTS)
    with _damage_named(folder / OPTIMIZERS) as path:
        restore_optimizers(optimizers, load_file(path))
    with _damage_named(folder / HISTORY) as path:
        history = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(history, list):
            raise TypeError("not a list")
    return facts, history


@contextmanager
def _damage_named(path: Path) -> Iterator[Path]:
    """Whatever reading the file raises becomes a CheckpointError that names it."""
    try:
        yield path
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged or of another run ({error}); begin anew without --resume") from None
