"""What a step of training does, seen where it happens: rates, clipping, the teacher's share, processes, habits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from some_notes import random_notes
from torch import Tensor
from torch.optim import Optimizer

from musicstyle.corpus.prepare import prepare
from musicstyle.model.checkpoint import load_checkpoint
from musicstyle.model.config import ModelConfig
from musicstyle.model.habits import Habits
from musicstyle.music.midi import write_midi
from musicstyle.training.batches import training_batches, training_habits
from musicstyle.training.loop import Trainer, make_fabric
from musicstyle.training.options import TrainingOptions
from musicstyle.training.schedule import trapezoid

SMALL = ModelConfig(
    width=24, heads=2, head_width=12, feedforward_width=40, decoder_layers=1, style_layers=1, melody_layers=1,
    window=32, max_distance=16, encoder_max_distance=8,
)  # fmt: skip
OPTIONS = TrainingOptions(
    steps=6, batch_size=4, tokens=48, seed=4, warmup_steps=2, validate_every=6, validation_crops=2, save_every=6,
    workers=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("midi"), tmp_path_factory.mktemp("prepared") / "corpus"
    for number in range(6):
        write_midi(source / f"{number}.mid", random_notes(number, 300, 60.0))
    prepare(source, out, seed=1)
    return out


def trained(
    corpus: Path, out: Path, options: TrainingOptions, at_step: Callable[[Trainer], Any] = lambda _: None
) -> tuple[Trainer, list[Any]]:
    """The trainer after its run, and what `at_step` saw before each step of the first optimizer."""
    trainer, seen = Trainer(SMALL, options, corpus, out, make_fabric("cpu", "32-true")), []

    def look(_optimizer: Optimizer, _arguments: Any, _keywords: Any) -> None:
        seen.append(at_step(trainer))

    trainer.optimizers[0].register_step_pre_hook(look)
    for _ in trainer.run():
        pass
    return trainer, seen


def gradients(trainer: Trainer) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in trainer.plain.named_parameters() if p.grad is not None}


def test_the_rates_follow_the_schedule(corpus: Path, tmp_path: Path) -> None:
    def rates(trainer: Trainer) -> list[float]:
        return [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]

    trainer, seen = trained(corpus, tmp_path, OPTIONS, rates)
    peaks = [group["initial_lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert {OPTIONS.learning_rate, OPTIONS.matrix_learning_rate} == set(peaks)
    for step, found in enumerate(seen):
        factor = trapezoid(step, OPTIONS.steps, OPTIONS.warmup_steps, OPTIONS.decay_share)
        assert found == pytest.approx([peak * factor for peak in peaks])


def test_the_gradient_is_clipped(corpus: Path, tmp_path: Path) -> None:
    def norm(trainer: Trainer) -> float:
        return float(torch.stack([g.norm() for g in gradients(trainer).values()]).norm())

    for clip in (1e-3, 1e9):
        _, norms = trained(corpus, tmp_path / f"{clip}", dataclasses.replace(OPTIONS, clip=clip), norm)
        assert all((one <= 1.001 * clip) and (one > 0.01 or clip == 1e-3) for one in norms)


def test_it_learns_with_dropout_after_a_validation_too(corpus: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, steps=3, validate_every=1)
    assert trained(corpus, tmp_path, options, lambda trainer: trainer.plain.training)[1] == [True] * 3


def test_the_style_heads_error_weighs_as_asked(corpus: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, steps=1, clip=1e9)
    of_head = []
    for weight in (0.0, 0.1, 0.3):
        _, (found,) = trained(corpus, tmp_path, dataclasses.replace(options, style_head_weight=weight), gradients)
        of_head.append(found["style_head.weight"])
    assert not of_head[0].any()
    assert of_head[1].any()
    torch.testing.assert_close(of_head[2], 3 * of_head[1])


def test_a_teacher_without_a_share_teaches_nothing_and_one_with_all_of_it_everything(
    corpus: Path, tmp_path: Path
) -> None:
    teacher = str(tmp_path / "teacher" / "last")
    trained(corpus, tmp_path / "teacher", dataclasses.replace(OPTIONS, seed=9))
    alone, _ = trained(corpus, tmp_path / "alone", OPTIONS)
    weights = {}
    for share in (0.0, 0.5, 1.0):
        taught = dataclasses.replace(OPTIONS, teacher=teacher, teacher_share=share)
        weights[share] = trained(corpus, tmp_path / f"{share}", taught)[0].plain.state_dict()
    ours = alone.plain.state_dict()
    assert all(torch.equal(weights[0.0][name], ours[name]) for name in ours)
    head = "decoder.head.weight"
    apart = [float((weights[share][head] - ours[head]).norm()) for share in (0.5, 1.0)]
    assert 0 < apart[0] < apart[1]


def test_two_processes_have_the_gradient_of_one(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dataclasses.replace(OPTIONS, steps=1, clip=1e9)
    _, (whole,) = trained(corpus, tmp_path / "one", options, gradients)
    batch = next(training_batches(corpus, options, 0))
    count = int((batch["ids"] != 0).sum())

    def all_reduce(_fabric: Fabric, value: Tensor, **_: Any) -> Tensor:
        return torch.tensor(float(count)) if value > 1 else value  # the ids of both, or who asks to stop

    monkeypatch.setattr(Fabric, "world_size", property(lambda _: 2))
    monkeypatch.setattr(Fabric, "all_reduce", all_reduce)
    monkeypatch.setattr(Fabric, "all_gather", lambda _, rows: rows[None])  # what is far moves no gradient
    halves = []
    for rank in range(2):
        monkeypatch.setattr(Fabric, "global_rank", property(lambda _, rank=rank: rank))
        halves += trained(corpus, tmp_path / "two", options, gradients)[1]
    for name, gradient in whole.items():
        mean = (halves[0][name] + halves[1][name]) / 2  # as DistributedDataParallel takes it
        torch.testing.assert_close(mean, gradient, rtol=1e-4, atol=1e-7)


def test_which_styles_are_near_is_learned_in_training_alone(corpus: Path, tmp_path: Path) -> None:
    """Of crops one by one, too; that all processes' are, `test_two_processes_learn_what_one_does` sees."""
    options = dataclasses.replace(OPTIONS, batch_size=1)
    styles, _ = trained(corpus, tmp_path, options)
    truncation = styles.plain.truncation
    assert (truncation.variance > 0).all()
    before = truncation.variance.clone()
    styles.plain.eval()
    styles.plain(next(training_batches(corpus, options, 0)))
    assert torch.equal(truncation.variance, before)


def test_what_is_usual_is_learned_once_from_the_training_data(corpus: Path, tmp_path: Path) -> None:
    first, _ = trained(corpus, tmp_path / "first", OPTIONS)
    expected = Habits(SMALL.style_habits)
    expected.learn_usual(training_habits(corpus, OPTIONS))
    assert expected.usual.min() < -1
    assert torch.equal(first.plain.habits.usual, expected.usual)
    tuned = dataclasses.replace(OPTIONS, seed=5)  # other crops, of which other habits would be usual
    second = Trainer(SMALL, tuned, corpus, tmp_path / "second", make_fabric("cpu", "32-true"))
    second.start_from(tmp_path / "first" / "last")
    list(second.run())
    assert torch.equal(load_checkpoint(tmp_path / "second" / "last")[0].habits.usual, expected.usual)
