"""The training benchmark compares what it says it compares."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from musicstyle.model.attention import RelativeAttention
from musicstyle.model.config import ModelConfig

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import training

CONFIG = ModelConfig(
    width=24, heads=2, head_width=12, feedforward_width=40, decoder_layers=2, style_layers=1, melody_layers=1,
    window=32, max_distance=32, encoder_max_distance=8,
)  # fmt: skip


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_part_learns(precision: str) -> None:
    setting = training.Setting(CONFIG, batch_size=2, tokens=40, device="cpu", precision=precision)
    for part, make in training.parts_of(setting).items():
        step = make()
        if step is None:
            continue
        first = float(step())
        assert min(float(step()) for _ in range(6)) < first, part
        assert training.step_flops(setting, part) > 0


def test_without_its_table_the_relative_attention_is_the_fused_one() -> None:
    torch.manual_seed(0)
    layer = RelativeAttention(10, 3, 8, 50, 50)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    torch.nn.init.zeros_(layer.table)
    x = torch.randn(2, 13, 10)
    torch.testing.assert_close(training.PlainAttention(layer)(x), layer(x))


def test_flops_by_hand() -> None:
    """One layer, no keys' input: linear maps, and for 3 tokens the products with 1, 2 and 3 keys, thrice."""
    config = replace(CONFIG, decoder_layers=1, held_keys=0, conditions="none")
    setting = training.Setting(config, batch_size=5, tokens=3, device="cpu", precision="32-true")
    linear = 2 * (24 * 72 + 24 * 24 + 2 * 24 * 40 + 24 * 310)
    assert training.step_flops(setting, "decoder_alone") == 3 * 5 * (3 * linear + 3 * 2 * 24 * (1 + 2 + 3))
    assert training.step_flops(setting, "no_relative") == 3 * 5 * (3 * linear + 2 * 2 * 24 * (1 + 2 + 3))
