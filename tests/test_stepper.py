"""The compiled step against `model.decode`: the same logits for every kind of model, across a slide of the caches."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch

from musicstyle.generation.stepper import CompiledStepper, ReferenceStepper
from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.model.config import Combination, Conditions, ModelConfig

SMALL = ModelConfig(
    width=20, heads=3, head_width=8, feedforward_width=28, decoder_layers=2, style_layers=1, melody_layers=1, window=11,
    max_distance=6, encoder_max_distance=5, memory_window_steps=60, melody_frames_ahead=4, melody_frames_behind=1,
)  # fmt: skip
PUBLISHED = dataclasses.replace(
    SMALL,
    clock=False,
    melody_frames_ahead=0,
    memory_window_steps=None,
    style_shortcut=False,
    activation="relu",
    held_keys=0,
)
EVERY = [
    dataclasses.replace(base, combine=mode, conditions=conditions)
    for base in (SMALL, PUBLISHED)
    for conditions in get_args(Conditions)
    for mode in (get_args(Combination) if conditions == "both" else ("sum",))
] + [
    dataclasses.replace(SMALL, memory_window_steps=None),
    dataclasses.replace(SMALL, max_distance=11, melody_frames_ahead=0),
    dataclasses.replace(SMALL, clock=False),
]  # fmt: skip


def name(config: ModelConfig) -> str:
    changed = {k: v for k, v in config.to_dict().items() if v != getattr(SMALL, k)}
    return "-".join(
        [
            config.conditions,
            config.combine,
            *(f"{k}={v}" for k, v in changed.items() if k in ("clock", "memory_window_steps", "max_distance")),
        ]
    )


def awake(config: ModelConfig) -> Autoencoder:
    """A model whose branches all speak: the true initialisation begins with silent ones."""
    torch.manual_seed(3)
    model = Autoencoder(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    return model.eval()


@torch.inference_mode()
def four_rows(model: Autoencoder, frames: int = 37) -> Condition:
    """Both, melody alone, style alone, and both again."""
    generator = torch.Generator().manual_seed(5)
    melody = torch.randint(2, 92, (1, frames), generator=generator).expand(5, -1)
    style = torch.randn(1, model.config.width, generator=generator).expand(5, -1)
    return model.condition(melody, style, torch.tensor([1, 1, 0, 0, 1]).bool(), torch.tensor([1, 0, 1, 0, 1]).bool())


def played(rows: int, length: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    held = np.maximum(rng.integers(-400, 99, (length, rows, 88)), 0)
    return rng.integers(0, 310, (length, rows)), rng.integers(0, 27, (length, rows)).cumsum(axis=0), held


@pytest.mark.parametrize("config", EVERY, ids=name)
def test_logits_are_those_of_decode_across_a_slide(config: ModelConfig) -> None:
    model = awake(config)
    condition = four_rows(model)
    fast, slow = CompiledStepper(model, condition, 5), ReferenceStepper(model, condition, 5)
    for ids, clock, held in zip(*played(5, 41), strict=True):
        np.testing.assert_allclose(fast.step(ids, clock, held), slow.step(ids, clock, held), rtol=0, atol=1e-4)


@pytest.mark.parametrize("length", [1, 7, 11, 12, 38])
def test_a_prefilled_step_goes_on_where_single_steps_would_be(length: int) -> None:
    model = awake(SMALL)
    condition = four_rows(model)
    ids, clock, held = played(1, length + 15)
    ids, clock, held = (values.repeat(5, axis=1) for values in (ids, clock, held))
    whole, parts = CompiledStepper(model, condition, 5), CompiledStepper(model, condition, 5)
    for i in range(length):
        whole.step(ids[i], clock[i], held[i])
    parts.prefill(ids[:length, 0], clock[:length, 0], held[:length, 0])
    for i in range(length, length + 15):
        np.testing.assert_allclose(
            parts.step(ids[i], clock[i], held[i]), whole.step(ids[i], clock[i], held[i]), rtol=0, atol=1e-4
        )
