"""A larger model takes over what a smaller one has learned, and can learn more."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import pytest
import torch
from some_models import awake
from test_model import SMALL, make_batch

from musicstyle.errors import CheckpointError
from musicstyle.model import growth
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import WEIGHTS, load_weights, save_checkpoint
from musicstyle.model.config import Combination, Conditions
from musicstyle.training.loss import MODES


@pytest.mark.parametrize("rows", [6, 11])  # tables that end before the window, and with it
def test_a_grown_window_hears_what_lies_within_the_old_one_as_before(
    tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "FARTHEST", 4)
    config, batch = dataclasses.replace(SMALL, max_distance=rows), make_batch(tokens=17)
    model, grown = awake(config), Autoencoder(config.with_window(16)).eval()
    save_checkpoint(tmp_path, model, {})
    load_weights(grown, tmp_path / WEIGHTS, grow=True)
    assert grown.config.max_distance == (16 if rows == 11 else rows)
    before, after = model(batch)[0], grown(batch)[0]
    torch.testing.assert_close(after[:, :11], before[:, :11], rtol=0, atol=1e-5)
    assert not torch.allclose(after[:, 11:], before[:, 11:], atol=1e-3)
    if rows == 11:
        with pytest.raises(CheckpointError, match="table is"):
            load_weights(grown, tmp_path / WEIGHTS)
        old, new = (m.state_dict()["decoder.layers.1.attention.table"] for m in (model, grown))
        torch.testing.assert_close(new[:, :5], old[:, :4].mean(dim=1, keepdim=True).expand(-1, 5, -1))
        torch.testing.assert_close(new[:, 5:], old, rtol=0, atol=0)


@pytest.mark.parametrize(("layers", "silent"), [(2, []), (3, [2]), (4, [1, 3]), (5, [1, 3, 4])])
def test_a_grown_stack_plays_as_before_and_its_new_layers_can_learn(
    tmp_path: Path, layers: int, silent: list[int]
) -> None:
    model, batch = awake(SMALL), make_batch()
    grown = Autoencoder(dataclasses.replace(SMALL, decoder_layers=layers)).eval()
    save_checkpoint(tmp_path, model, {})
    load_weights(grown, tmp_path / WEIGHTS, grow=True)
    torch.testing.assert_close(grown(batch)[0], model(batch)[0], rtol=0, atol=1e-5)
    zero = [i for i, layer in enumerate(grown.decoder.stack) if not layer.feedforward.narrow.weight.any()]
    assert zero == silent
    if not silent:  # nothing has grown
        same = grown.state_dict()
        assert all(torch.equal(value, same[name]) for name, value in model.state_dict().items())
    smaller = Autoencoder(dataclasses.replace(SMALL, decoder_layers=1))
    with pytest.raises(CheckpointError, match=r"decoder\.layers\.1.*asks for nothing"):
        load_weights(smaller, tmp_path / WEIGHTS, grow=True)
    grown(batch)[0].square().sum().backward()
    assert all(layer.feedforward.narrow.weight.grad.abs().sum() > 0 for layer in grown.decoder.stack)


@pytest.mark.parametrize(
    ("conditions", "combine"), [*(("both", mode) for mode in get_args(Combination)), ("melody", "sum"), ("none", "sum")]
)
@pytest.mark.parametrize(("width", "feedforward"), [(20, 37), (40, 56), (60, 33)])
def test_a_wider_model_plays_as_before_and_its_repeated_dimensions_can_part(
    tmp_path: Path, conditions: Conditions, combine: Combination, width: int, feedforward: int
) -> None:
    config = dataclasses.replace(SMALL, conditions=conditions, combine=combine)
    model, batch = awake(config), make_batch()
    save_checkpoint(tmp_path, model, {})
    wider = Autoencoder(dataclasses.replace(config, width=width, feedforward_width=feedforward)).double().eval()
    load_weights(wider, tmp_path / WEIGHTS, grow=True)
    for hears in MODES.values():
        heard = {
            **batch,
            **{f"use_{what}": torch.full((3,), used) for what, used in zip(("melody", "style"), hears, strict=True)},
        }
        for before, after in zip(model.double()(heard)[:2], wider(heard)[:2], strict=True):
            torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    wider(batch)[0].square().sum().backward()
    first, *others = wider.embedding.weight.grad.split(20, dim=1)
    assert all((first - other).abs().max() > 0.01 * first.abs().max() for other in others)
    fed = wider.decoder.stack[0].feedforward
    assert not fed.narrow.weight[:, 28:].any()
    assert fed.narrow.weight.grad[:, 28:].any()


def test_what_grows_in_no_known_way_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, awake(SMALL), {})
    longer = {"encoder_max_distance": 9}
    for change in (
        {"width": 10},
        {"heads": 4},
        {"feedforward_width": 20},
        {"head_width": 12},
        {"style_layers": 2},
        longer,
    ):
        with pytest.raises(CheckpointError, match="does not fit its config"):
            load_weights(Autoencoder(dataclasses.replace(SMALL, **change)), tmp_path / WEIGHTS, grow=True)
    no_clock = dataclasses.replace(SMALL, clock=False)
    save_checkpoint(tmp_path, awake(no_clock), {})
    with pytest.raises(CheckpointError, match="does not fit its config"):
        load_weights(Autoencoder(dataclasses.replace(no_clock, width=40)), tmp_path / WEIGHTS, grow=True)
