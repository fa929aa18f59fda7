"""What lies far outside of what was learned from is taken back towards its mean; nothing else is moved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from some_models import SMALL
from torch import Tensor

from musicstyle.generation.hearing import HeardStyle, hear
from musicstyle.generation.performances import Performances
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import ModelConfig
from musicstyle.model.growth import grown
from musicstyle.model.truncation import FARTHEST, MOMENTUM, Truncation
from musicstyle.music.notes import Notes

WIDTH, HABITS = 6, 3


def learned(seed: int = 0, width: int = WIDTH) -> Truncation:
    module = Truncation(width)
    module.learn(torch.randn(50, width, generator=torch.Generator().manual_seed(seed)) * torch.arange(1, width + 1) + 3)
    return module


def distance(module: Truncation, styles: Tensor) -> Tensor:
    return (((styles - module.mean) / module.variance.sqrt()) ** 2).mean(dim=1).sqrt()


@given(times=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_only_what_is_far_is_taken_back_and_only_so_far(times: float, seed: int) -> None:
    module = learned()
    way = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(seed)) * module.variance.sqrt() * times
    habits = torch.full((4, HABITS), 9.0)
    near, left = module(torch.cat((module.mean + way, habits), dim=1))
    before = distance(module, module.mean + way)
    torch.testing.assert_close(distance(module, near[:, :WIDTH]), before.clamp(max=FARTHEST), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(near[:, :WIDTH] - module.mean, way * left[:, None], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(left, (FARTHEST / before).clamp(max=1.0))
    assert near[:, WIDTH:].equal(habits)
    again, _ = module(near)
    torch.testing.assert_close(again, near, rtol=1e-4, atol=1e-4)


def test_before_anything_was_learned_all_is_near() -> None:
    styles = torch.randn(3, WIDTH) * 100
    heard, left = Truncation(WIDTH)(styles)
    assert heard.equal(styles)
    assert left.tolist() == [1, 1, 1]


def test_of_one_style_nobody_knows_what_is_far() -> None:
    one = Truncation(WIDTH)
    one.learn(torch.ones(1, WIDTH))
    styles = torch.randn(3, WIDTH) * 100
    assert one(styles)[0].equal(styles)


def test_what_was_always_the_same_is_near_where_it_is_so_and_far_elsewhere() -> None:
    module = Truncation(WIDTH)
    module.learn(torch.randn(50, WIDTH) * torch.tensor([0.0, *[1.0] * (WIDTH - 1)]))
    there, elsewhere = module.mean, module.mean + torch.eye(WIDTH)[0]
    heard, left = module(torch.stack((there, elsewhere)))
    assert left[0] == 1
    assert heard[0].equal(there)
    torch.testing.assert_close(heard[1], module.mean, rtol=0, atol=1e-4)


def test_styles_of_few_bits_are_learned_from_with_all_that_they_have() -> None:
    styles = (torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(1)) + 100).bfloat16()
    few, many = Truncation(WIDTH), Truncation(WIDTH)
    few.learn(styles)
    many.learn(styles.float())
    assert few.mean.equal(many.mean)
    assert few.variance.equal(many.variance)


def test_how_far_is_no_matter_of_units() -> None:
    module, styles = learned(), torch.randn(5, WIDTH) * 30
    small = Truncation(WIDTH)
    small.load_state_dict({"mean": module.mean / 1000, "variance": module.variance / 1000**2})
    torch.testing.assert_close(small(styles / 1000)[1], module(styles)[1])


@pytest.mark.parametrize("styles", [1, 8])
def test_mean_and_variance_are_those_of_all_steps_the_later_the_heavier(styles: int) -> None:
    steps = [np.random.default_rng(i).normal(i, 1 + i, (styles, WIDTH)) for i in range(5)]
    module = Truncation(WIDTH).double()
    for step in steps:
        module.learn(torch.from_numpy(step))
    heavy = MOMENTUM * (1 - MOMENTUM) ** np.arange(4, -1, -1)
    heavy[0] /= MOMENTUM  # the first stands for all before it
    np.testing.assert_allclose(heavy.sum(), 1)
    weights = np.repeat(heavy / styles, styles)
    rows = np.concatenate(steps)
    mean = weights @ rows
    np.testing.assert_allclose(module.mean.numpy(), mean, rtol=1e-6)
    np.testing.assert_allclose(module.variance.numpy(), weights @ (rows - mean) ** 2, rtol=1e-6)


def test_a_wider_model_finds_the_same_styles_far() -> None:
    torch.manual_seed(1)
    small, large = (Autoencoder(ModelConfig(**{**SMALL.to_dict(), "width": width})) for width in (20, 40))
    small.truncation.load_state_dict(learned(width=20).state_dict())
    large.load_state_dict(grown(small.state_dict(), large), strict=False)
    styles = torch.randn(5, 20) * 30
    torch.testing.assert_close(large.truncation(styles.repeat(1, 2))[1], small.truncation(styles)[1])


def test_what_is_short_and_far_is_exaggerated_less_than_what_is_either() -> None:
    def strength(asked: float, **known: float) -> float:
        return HeardStyle(None, None, known).strength(asked)  # type: ignore[arg-type]

    assert strength(3.5, short=1.0, far=1.0) == 3.5
    assert strength(3.5, short=0.5, far=1.0) == strength(3.5, short=1.0, far=0.5) == 2.25
    assert strength(3.5, short=0.5, far=0.5) == 1.625
    assert strength(0.5, short=0.5, far=0.5) == 0.5  # what does not exaggerate is as it was asked for


def test_a_far_style_is_heard_as_a_near_one_and_exaggerated_less() -> None:
    torch.manual_seed(4)
    model = Autoencoder(SMALL).eval()
    player = StyleTransfer(model, {"training": {"tokens": 16}})
    start = np.arange(60) / 8
    notes = Notes.from_arrays(start, start + 0.1, 60 + np.arange(60) % 7, np.full(60, 80))
    style = hear(model, Performances.of([notes]), 16).embeddings
    model.truncation.mean.copy_(style[0, : SMALL.width] - 5 * FARTHEST)
    model.truncation.variance.fill_(1.0)
    job = player.stream(notes, style_strength=3.5).job
    expected, left = model.truncation(style)
    assert 0.15 < left.mean() < 0.25
    assert job.style is not None
    torch.testing.assert_close(job.style.embeddings, expected)
    assert job.options.style_strength == pytest.approx(1 + 2.5 * float(left.mean()))
    assert job.settings["style_strength_as_known"] == job.options.style_strength
    assert job.settings["style_is"] == "far"
