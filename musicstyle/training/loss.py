"""What is made small: the NLL of the next id, and beside it the style head's error."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import ModelConfig
from musicstyle.model.encoders import PAD

MODES = {"both": (True, True), "melody": (True, False), "style": (False, True), "none": (False, False)}


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


def style_error(guess: Tensor, features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Mean squared error of the guessed style features, (batch, 8), in units of their deviation."""
    return F.mse_loss(guess.float(), (features - mean) / deviation)


@torch.no_grad()
def validation_nll(model: Autoencoder, batches: list[dict[str, Tensor]], modes: tuple[str, ...]) -> dict[str, float]:
    """NLL in nats per id for each mode ("both", "melody", "style", "none"): summed over all crops, then divided."""
    result = {}
    for mode in modes:
        use_melody, use_style = MODES[mode]
        sums, counts = 0.0, 0
        for batch in batches:
            shown = torch.ones_like(batch["use_melody"])
            logits, _ = model({**batch, "use_melody": shown & use_melody, "use_style": shown & use_style})
            total, count = nll_sum(logits, batch["ids"])
            sums, counts = sums + float(total), counts + int(count)
        result[mode] = sums / counts
    return result
