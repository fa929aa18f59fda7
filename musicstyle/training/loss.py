"""What is made small: the NLL of the next id, and beside it the style head's error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import ModelConfig
from musicstyle.model.encoders import PAD

MODES = {"both": (True, True), "melody": (True, False), "style": (False, True), "none": (False, False)}
LEAST_SPREAD = 0.01  # of a style feature, in parts of 1 + its mean: below it the crops at hand are all alike in it


def served_modes(config: ModelConfig) -> tuple[str, ...]:
    """The modes that a model can be judged in: those that ask it to hear nothing it has no encoder for."""
    return tuple(
        mode
        for mode, (melody, style) in MODES.items()
        if (config.hears_melody or not melody) and (config.hears_style or not style)
    )


def nll_sum(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Summed NLL in nats and the number of ids it is over; PAD is left out.

    Args:
        logits: (batch, length, vocabulary_size).
        ids: Targets, (batch, length).
    """
    total = F.cross_entropy(logits.flatten(0, 1).float(), ids.flatten(), ignore_index=PAD, reduction="sum")
    return total, (ids != PAD).sum()


def taught_nll_sum(logits: Tensor, answers: Tensor, ids: Tensor) -> Tensor:
    """Summed cross-entropy in nats with a teacher's answers: the mean of `nll_sum` over targets drawn from them.

    Args:
        logits: (batch, length, vocabulary_size).
        answers: Probabilities, of the same shape; 0 where a logit is minus infinity.
        ids: Targets, (batch, length); where they are PAD, nothing is learned.
    """
    nats = torch.where(answers > 0, -answers * logits.float().log_softmax(dim=-1), 0.0).sum(dim=-1)
    return torch.where(ids != PAD, nats, 0.0).sum()


def feature_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """What makes the style features' errors weigh alike.

    Args:
        features: Of some crops of the training data, (crops, 8).

    Returns:
        Mean and deviation, (8,) each. A feature that hardly changes has an infinite deviation: it tells nothing about
        the style, and a finite one would let the first crop that differs drown the NLL.
    """
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0)
    return mean, torch.where(deviation < LEAST_SPREAD * (1 + mean.abs()), torch.inf, deviation)


def style_error(guess: Tensor, features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Mean squared error of the guessed style features, (batch, 8), in units of their deviation."""
    return F.mse_loss(guess.float(), (features - mean) / deviation)


@torch.inference_mode()
def logits_by_mode(
    model: Autoencoder,
    batch: dict[str, Tensor],
    modes: tuple[str, ...],
    keys: Sequence[dict[str, Tensor] | None] = (None,),
) -> Iterator[Tensor]:
    """Logits of every target of a batch in each mode.

    Args:
        model: In evaluation mode.
        batch: As `Autoencoder.forward` takes it.
        modes: Of those that the model serves.
        keys: The batch as musicstyle.corpus.crops.transposed has it, in the keys to hear it in: the mean of what the
            decoder says in them is taken. None: as it is.

    Yields:
        (batch, length, vocabulary_size) float32, minus infinity for what is impossible.
    """
    device = next(model.parameters()).device
    batch = _on(device, batch)
    keys = [key and _on(device, key) for key in keys]
    style = model.style_of(batch)
    for mode in modes:
        melody_too, style_too = (torch.full_like(batch["use_melody"], used) for used in MODES[mode])
        each = [model.predict(batch, style, melody_too, style_too, key) for key in keys]
        yield torch.stack(each).mean(dim=0).float()


def _on(device: torch.device, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.to(device) for name, values in batch.items()}


def token_nll(logits: Tensor, ids: Tensor) -> Tensor:
    """NLL of every target, (batch, length) float64 on the CPU, of logits (batch, length, ids); PAD's are 0."""
    nll = F.cross_entropy(logits.transpose(1, 2), ids.to(logits.device), ignore_index=PAD, reduction="none")
    return nll.cpu().double()


def validation_nll(model: Autoencoder, batches: list[dict[str, Tensor]], modes: tuple[str, ...]) -> dict[str, float]:
    """NLL in nats per id for each mode ("both", "melody", "style", "none"): summed over all crops, then divided."""
    sums = np.sum(
        [
            [float(token_nll(logits, batch["ids"]).sum()) for logits in logits_by_mode(model, batch, modes)]
            for batch in batches
        ],
        axis=0,
    )
    count = sum(int((batch["ids"] != PAD).sum()) for batch in batches)
    return dict(zip(modes, (sums / count).tolist(), strict=True))
