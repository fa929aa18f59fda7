"""How a run trains: an inert record, written into the checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from musicstyle.errors import ConfigError

StyleInput = Literal["other", "same", "either"]


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of one run. The defaults suit a short run from nothing; those of the box are in its config.json.

    Attributes:
        steps: Optimizer steps from the first to the last.
        batch_size: Crops a step, over all processes.
        tokens: Length of a target crop, and of the style crop.
        style_input: "other" crop of the same performance, the "same" crop transposed, whole, as published, or "either".
        drop_style: Share of crops whose style is withheld.
        drop_melody: Share of crops whose melody is withheld.
        drop_habits: Share of crops whose style is heard without its habits: a decoder that always has them leaves the
            style to them, and guidance finds nothing to exaggerate (docs/experiments.md).
        line_melody: Share of crops whose melody is the line that is heard out, as tunes are, not the published one.
        augment: Stretch and transpose target crops.
        seed: Of weights, crops and dropout.
        learning_rate: AdamW's peak: tables, norms, biases and the head.
        matrix_learning_rate: Muon's peak: every other matrix.
        weight_decay: Of the matrices.
        warmup_steps: Rising linearly.
        decay_share: Last share of the steps, falling linearly to zero.
        clip: Largest norm of the gradient.
        style_head_weight: Of the style head's squared error beside the NLL.
        teacher: Folder of a checkpoint that teaches beside what was played, see musicstyle.training.teacher; "": none.
        teacher_share: Its share of the NLL.
        validate_every: Steps between validations.
        validation_crops: Crops of one validation.
        save_every: Steps between saves of the last state.
        workers: Processes that draw batches.
    """

    steps: int = 5000
    batch_size: int = 4
    tokens: int = 512
    style_input: StyleInput = "same"
    drop_style: float = 0.15
    drop_melody: float = 0.15
    drop_habits: float = 0.5
    line_melody: float = 0.5
    augment: bool = True
    seed: int = 1
    learning_rate: float = 0.03
    matrix_learning_rate: float = 0.01
    weight_decay: float = 0.01
    warmup_steps: int = 50
    decay_share: float = 0.6
    clip: float = 1.0
    style_head_weight: float = 0.1
    teacher: str = ""
    teacher_share: float = 0.5
    validate_every: int = 250
    validation_crops: int = 16
    save_every: int = 100
    workers: int = 1

    def __post_init__(self) -> None:
        self._refuse_other_types()
        for name in ("steps", "batch_size", "tokens", "validate_every", "validation_crops", "save_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("seed", "warmup_steps", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative")
        for name in ("drop_style", "drop_melody", "drop_habits", "line_melody", "decay_share", "teacher_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")
        for name in ("learning_rate", "matrix_learning_rate", "weight_decay", "clip", "style_head_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be a number from 0 on")
        if self.style_input not in get_args(StyleInput):
            raise ConfigError(f"style_input {self.style_input!r} is unknown; choose {', '.join(get_args(StyleInput))}")

    def _refuse_other_types(self) -> None:
        """A saved run's come from JSON, which may hold anything."""
        for field in fields(self):
            value, types = getattr(self, field.name), {type(field.default)}
            if type(value) not in (types | {int} if float in types else types):
                raise ConfigError(f"{field.name} is {value!r}; it must be something like {field.default!r}")

    def refuse_uneven_shares(self, processes: int) -> None:
        """Refuse processes that can't share a step's crops evenly: an empty or smaller share would weigh wrong.

        Raises:
            ConfigError: With both numbers.
        """
        if self.batch_size % processes:
            raise ConfigError(
                f"batch_size is {self.batch_size} and must be shared evenly by {processes} processes; "
                f"make it a multiple of {processes}"
            )
