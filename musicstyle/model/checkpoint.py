"""A checkpoint: weights as safetensors beside readable JSON; nothing in it can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from musicstyle.errors import CheckpointError, ConfigError
from musicstyle.files import write_atomically
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import ModelConfig
from musicstyle.model.growth import grown

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"


def save_checkpoint(
    folder: Path, model: Autoencoder, facts: dict[str, Any], dtype: torch.dtype = torch.float32
) -> None:
    """Write config.json and model.safetensors into a folder.

    Args:
        folder: Made if it doesn't exist.
        model: Whose weights are written.
        facts: What else config.json says (training settings, step, validation NLL, generation defaults).
        dtype: Of the weights in the file; float16 halves it. They are float32 again when they are loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / WEIGHTS, {name: t.detach().to(dtype) for name, t in model.state_dict().items()})
    with write_atomically(folder / CONFIG) as path:
        text = json.dumps({"format": FORMAT, "model": model.config.to_dict(), **facts}, indent=2)
        path.write_text(text + "\n", encoding="utf-8")


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write named tensors as safetensors, whole or not at all.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    try:
        with write_atomically(path) as beside:
            save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, beside)
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error})") from error


def read_config(folder: Path) -> dict[str, Any]:
    """The facts in a checkpoint's config.json; under "model" what `ModelConfig.from_dict` takes.

    Raises:
        CheckpointError: Not a checkpoint, of another format, or of no model.
    """
    path = folder / CONFIG
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: no checkpoint there ({CONFIG} is missing)") from None
    except NotADirectoryError:
        raise CheckpointError(f"{folder}: is a file; give the folder of a checkpoint") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or not isinstance(facts.get("model"), dict):
        raise CheckpointError(f"{path}: not a musicstyle checkpoint of format {FORMAT}")
    try:
        ModelConfig.from_dict(facts["model"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return facts


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> tuple[Autoencoder, dict[str, Any]]:
    """A model in evaluation mode and the facts of its config.json.

    Raises:
        CheckpointError: Missing or unreadable files, or weights that do not fit the config; the message names which.
    """
    facts = read_config(folder)
    model = Autoencoder(ModelConfig.from_dict(facts["model"]))
    load_weights(model, folder / WEIGHTS)
    return model.to(device).eval(), facts


def load_weights(model: Autoencoder, path: Path, *, grow: bool = False) -> None:
    """Fill a model with weights from a safetensors file.

    Args:
        model: Whatever it was filled with is lost.
        path: The file.
        grow: The weights may be those of a smaller model, see `grown`.

    Raises:
        CheckpointError: Missing, unreadable, of other names or shapes than the model's, or no numbers.
    """
    try:
        weights = {name: value.float() for name, value in load_file(path).items()}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None
    if grow:
        weights = grown(weights, model)
    wanted = model.state_dict()
    for name in sorted(set(wanted) | set(weights)):
        ours = tuple(wanted[name].shape) if name in wanted else "nothing"
        theirs = tuple(weights[name].shape) if name in weights else "nothing"
        if ours != theirs:
            raise CheckpointError(f"{path}: does not fit its config: {name} is {theirs}, the config asks for {ours}")
        if not weights[name].isfinite().all():
            raise CheckpointError(f"{path}: {name} holds what is no number; take an earlier checkpoint")
    model.load_state_dict(weights)
