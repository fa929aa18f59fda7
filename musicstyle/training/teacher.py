"""A teacher: weights whose answers in another key are learned beside what was played.

Weights say a little of something else in every key, and the mean over the keys is nearer to the truth than any of them,
but costs a row a key when playing. Taught by weights of its own kind that hear each crop in a key drawn at random, a
model comes to say that mean by itself; and a whole distribution tells more than the one id that was played.

Source: Hinton et al. 2015, arXiv:1503.02531; a teacher no larger than its pupil: Furlanello et al. 2018,
arXiv:1805.04770.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from musicstyle.corpus.crops import TEACHERS
from musicstyle.errors import ConfigError
from musicstyle.model.checkpoint import load_checkpoint, read_config
from musicstyle.model.config import ModelConfig


def refuse_other_hearing(checkpoint: Path, pupil: ModelConfig) -> None:
    """A teacher must hear what its pupil hears.

    Raises:
        CheckpointError: There is none.
        ConfigError: It hears other conditions.
    """
    hears = ModelConfig.from_dict(read_config(checkpoint)["model"]).conditions
    if hears != pupil.conditions:
        raise ConfigError(
            f"teacher {checkpoint} hears {hears} and its pupil {pupil.conditions}; both must hear the same"
        )


class Teacher:
    """A checkpoint that answers."""

    def __init__(self, checkpoint: Path, pupil: ModelConfig, device: torch.device) -> None:
        """Load it.

        Raises:
            CheckpointError: There is none, or it does not fit.
            ConfigError: It hears other conditions than its pupil.
        """
        refuse_other_hearing(checkpoint, pupil)
        self.model = load_checkpoint(checkpoint, device)[0]

    @torch.no_grad()
    def answers(self, batch: dict[str, Tensor]) -> Tensor:
        """How likely it holds every id at every place of a training batch, in the key of the batch.

        Args:
            batch: As `Autoencoder.forward` takes it, and what the teacher hears
                (musicstyle.corpus.crops.for_teacher).

        Returns:
            (batch, length, vocabulary_size) float32; 0 for what is impossible.
        """
        key = {name.removeprefix(TEACHERS): values for name, values in batch.items() if name.startswith(TEACHERS)}
        model = self.model
        logits = model.predict(batch, model.style_of(batch), batch["use_melody"], batch["use_style"], key)
        return logits.float().softmax(dim=-1)
