"""The loop learns, stops, resumes bit for bit, and keeps what it promises on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.mpi import MPIEnvironment
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from musicstyle.corpus.crops import TEACHERS, BatchOptions
from musicstyle.corpus.prepare import prepare
from musicstyle.corpus.store import Corpus
from musicstyle.errors import CheckpointError, ConfigError, TrainingError
from musicstyle.files import set_aside
from musicstyle.model import checkpoint
from musicstyle.model.autoencoder import STYLE, Autoencoder
from musicstyle.model.checkpoint import load_checkpoint
from musicstyle.model.config import ModelConfig
from musicstyle.music.habits import habits, places
from musicstyle.music.midi import write_midi
from musicstyle.music.motifs import recalled
from musicstyle.music.notes import Notes
from musicstyle.music.performance import decode
from musicstyle.music.vocabulary import EOS
from musicstyle.training import batches, loop
from musicstyle.training.batches import (
    SCALE_ROWS,
    batch_options,
    ending_workers,
    training_batches,
    training_features,
    training_habits,
    validation_batches,
)
from musicstyle.training.loop import Report, Trainer, choose_precision, make_fabric
from musicstyle.training.loss import (
    feature_scale,
    nll_sum,
    served_modes,
    style_error,
    taught_nll_sum,
    validation_nll,
)
from musicstyle.training.optimizers import is_matrix, make_optimizers
from musicstyle.training.options import TrainingOptions
from musicstyle.training.schedule import trapezoid
from musicstyle.training.state import LOCK, OPTIMIZERS, claimed, find_last, remove_run
from musicstyle.training.teacher import Teacher

SMALL = ModelConfig(
    width=24, heads=2, head_width=12, feedforward_width=40, decoder_layers=1, style_layers=1, melody_layers=1,
    window=32, max_distance=16, encoder_max_distance=8, dropout=0.1,
)  # fmt: skip
OPTIONS = TrainingOptions(
    steps=12, batch_size=3, tokens=48, seed=4, warmup_steps=2, validate_every=5, validation_crops=2,
    save_every=4, workers=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random notes in an even rhythm: only the melody can tell which come."""
    source, out = tmp_path_factory.mktemp("midi"), tmp_path_factory.mktemp("prepared") / "corpus"
    for key in range(6):
        start = np.arange(90) * 0.25
        pitch = np.random.default_rng(key).choice([50, 55, 60, 70], 90)
        write_midi(source / f"scale{key}.mid", Notes.from_arrays(start, start + 0.2, pitch, np.full(90, 70)))
    prepare(source, out, seed=1)
    return out


def run(
    corpus: Path,
    out: Path,
    options: TrainingOptions,
    *,
    precision: str = "32-true",
    resume: bool = False,
    stop: int | None = None,
) -> list[Report]:
    trainer = Trainer(SMALL, options, corpus, out, make_fabric("cpu", precision))
    if resume:
        trainer.resume()
    reports = []
    for report in trainer.run():
        reports.append(report)
        if report.step == stop:
            break
    return reports


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_resumed_run_gives_bit_for_bit_the_losses_of_an_unbroken_one(
    corpus: Path, tmp_path: Path, precision: str
) -> None:
    whole = run(corpus, tmp_path / "whole", OPTIONS, precision=precision)
    first = run(corpus, tmp_path / "broken", OPTIONS, precision=precision, stop=10)  # killed two steps after a save
    helped = dataclasses.replace(OPTIONS, workers=2)
    second = run(corpus, tmp_path / "broken", helped, precision=precision, resume=True)
    assert [r.step for r in second] == [9, 10, 11, 12]
    assert [r.loss for r in first[:8] + second] == [r.loss for r in whole]
    assert second[-1].validation == whole[-1].validation
    for folder in ("last", "best"):
        ours, theirs = (load_checkpoint(tmp_path / name / folder)[0].state_dict() for name in ("whole", "broken"))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    histories = [json.loads((tmp_path / name / "last" / "history.json").read_text()) for name in ("whole", "broken")]
    assert histories[0] == histories[1]
    assert [entry["step"] for entry in histories[0]] == [5, 10, 12]


def test_bf16_learns_as_float32_does(corpus: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, steps=20, validate_every=20)
    exact, mixed = (run(corpus, tmp_path / p, options, precision=p) for p in ("32-true", "bf16-mixed"))
    assert all(abs(a.loss - b.loss) < 0.05 for a, b in zip(exact, mixed, strict=True))
    assert exact[-1].loss != mixed[-1].loss
    assert load_checkpoint(tmp_path / "bf16-mixed" / "last")[1]["training"]["precision"] == "bf16-mixed"


@pytest.mark.parametrize(
    ("device", "capabilities", "precision"),
    [
        ("cpu", {"avx512_bf16": True}, "bf16-mixed"),
        ("cpu", {"amx_bf16": True}, "bf16-mixed"),
        ("cpu", {"avx2": True, "avx512_bf16": False}, "32-true"),
        ("cuda", {}, "bf16-mixed"),
        ("mps", {"bf16": True}, "32-true"),
    ],
)
def test_bf16_where_the_machine_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch, device: str, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision(device) == precision


def test_an_mpi4py_without_an_mpi_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its wheels bring none, and raise what Fabric does not catch."""

    def detect() -> bool:
        raise RuntimeError("cannot load MPI library")

    monkeypatch.setattr(MPIEnvironment, "detect", staticmethod(detect))
    for devices in (1, 2):
        make_fabric("cpu", devices=devices)


def test_it_learns_and_keeps_the_best(corpus: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, steps=60, validate_every=20, save_every=200, drop_melody=0.3)
    reports = run(corpus, tmp_path, options)
    first = next(training_batches(corpus, options, 0))
    uniform = float(first["possible"].sum(-1)[first["ids"] != 0].log().mean())
    assert reports[0].loss == pytest.approx(uniform, abs=1e-3)  # a silent head knows nothing but what is possible
    assert np.mean([r.loss for r in reports[-10:]]) < uniform - 0.5
    validations = [r.validation for r in reports if r.validation]
    assert validations[-1]["both"] < validations[0]["both"] - 0.1
    _, facts = load_checkpoint(tmp_path / "best")
    assert facts["best_validation_nll"] == min(v["both"] for v in validations)
    assert facts["training"]["tokens"] == 48
    saved = [load_file(tmp_path / name / "model.safetensors").values() for name in ("best", "last")]
    assert [{tensor.dtype for tensor in tensors} for tensors in saved] == [{torch.float16}, {torch.float32}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "last"]


def test_the_best_is_judged_by_all_that_the_model_hears(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = iter([3.0, 2.5, 2.8, 2.5])
    monkeypatch.setattr(loop, "validation_nll", lambda *_: {"both": (now := next(both)), "none": 5 - now})
    reports = run(corpus, tmp_path, dataclasses.replace(OPTIONS, steps=8, validate_every=2))
    assert [report.best for report in reports if report.validation] == [True, True, False, False]
    assert load_checkpoint(tmp_path / "best")[1]["step"] == 4
    for conditions, mode in (("melody", "melody"), ("style", "style"), ("none", "none")):
        config = dataclasses.replace(SMALL, conditions=conditions)  # type: ignore[arg-type]
        assert Trainer(config, OPTIONS, corpus, tmp_path, make_fabric("cpu")).judged_by == mode


@pytest.mark.slow
def test_it_learns_to_follow_the_melody(corpus: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, steps=900, batch_size=8, validate_every=300, save_every=900, drop_melody=0.2)
    final = run(corpus, tmp_path, options)[-1].validation
    assert final is not None
    assert final["melody"] < final["none"] - 0.1  # the pitches are random: only the melody can tell them
    assert final["both"] < final["style"] - 0.1


def test_a_loss_that_is_no_number_ends_the_run(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "nll_sum", lambda logits, _: (logits.sum() * math.nan, torch.tensor(1)))
    with pytest.raises(TrainingError, match=r"step 1: the loss is nan"):
        run(corpus, tmp_path, OPTIONS)
    assert not (tmp_path / "last").exists()


def test_a_gradient_that_is_no_number_ends_the_run_before_it_is_saved(corpus: Path, tmp_path: Path) -> None:
    trainer = Trainer(SMALL, dataclasses.replace(OPTIONS, save_every=1), corpus, tmp_path, make_fabric("cpu"))
    reports = trainer.run()
    for _ in range(2):
        next(reports)
    next(iter(trainer.plain.parameters())).register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(TrainingError, match=r"step 3: the loss is nan"):
        next(reports)
    assert load_checkpoint(tmp_path / "last")[1]["step"] == 2


def test_a_loss_read_now_and_then_is_that_of_the_last_reading(corpus: Path, tmp_path: Path) -> None:
    every = run(corpus, tmp_path / "every", OPTIONS)
    trainer = Trainer(SMALL, OPTIONS, corpus, tmp_path / "third", make_fabric("cpu", "32-true"))
    trainer.read_every = 3  # as on a GPU
    third = list(trainer.run())
    read = [1, 1, 3, 4, 5, 6, 6, 8, 9, 10, 10, 12]  # the first; multiples of 3; of 5, validations; of 4, saves
    assert [r.loss for r in third] == [every[step - 1].loss for step in read]
    assert third[-1].validation == every[-1].validation


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_validation_that_is_no_number_ends_the_run_and_leaves_the_best(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    def second_fails(model: Autoencoder, batches: Any, modes: Any) -> dict[str, float]:
        scores = validation_nll(model, batches, modes)
        return {**scores, "style": number} if (tmp_path / "best").exists() else scores

    monkeypatch.setattr(loop, "validation_nll", second_fails)
    with pytest.raises(TrainingError, match=rf"step 10: .* no number .*{number}"):
        run(corpus, tmp_path, dataclasses.replace(OPTIONS, save_every=5))
    assert load_checkpoint(tmp_path / "best")[1]["step"] == 5
    assert load_checkpoint(tmp_path / "last")[1]["step"] == 5


def test_a_resumed_run_holds_no_file_of_what_it_will_replace(corpus: Path, tmp_path: Path) -> None:
    """On Windows a mapped file cannot be moved, nor its folder."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("the system does not tell which files are mapped")
    run(corpus, tmp_path, OPTIONS, stop=4)
    trainer = Trainer(SMALL, OPTIONS, corpus, tmp_path, make_fabric("cpu", "32-true"))
    trainer.resume()
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_a_claim_ends_well_where_open_files_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows, where the lock itself removes its file when it is let go of."""
    unlink = Path.unlink

    def refuse(path: Path, **given: bool) -> None:
        if path.name == LOCK:
            raise PermissionError(errno.EACCES, "is being used by another process", str(path))
        unlink(path, **given)

    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(2):
        with claimed(tmp_path / "run"):
            pass


def test_of_a_run_that_wrote_nothing_no_folder_is_left_but_one_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("there", "deep/made"):
        with claimed(tmp_path / name):
            assert (tmp_path / name).is_dir()
    assert (tmp_path / "there").is_dir()
    assert not (tmp_path / "deep" / "made").exists()


def test_without_the_optimizers_state_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    assert find_last(tmp_path) is None
    (tmp_path / "last" / OPTIMIZERS).touch()
    assert find_last(tmp_path) == tmp_path / "last"


def test_what_runs_have_saved_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """What one that was killed between two renames set aside too: it would come back."""
    for folder in (tmp_path / "best", tmp_path / "last", set_aside(tmp_path / "last"), tmp_path / "of-the-user"):
        folder.mkdir()
        (folder / "model.safetensors").touch()
    remove_run(tmp_path)
    assert find_last(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["of-the-user"]


def test_a_run_without_a_validation_yet_is_saved_as_json_and_resumed(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path, OPTIONS, stop=4)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    facts = json.loads((tmp_path / "last" / "config.json").read_text(), parse_constant=refuse)
    assert facts["best_validation_nll"] is None
    trainer = Trainer(SMALL, OPTIONS, corpus, tmp_path, make_fabric("cpu"))
    trainer.resume()
    assert (trainer.step, trainer.best) == (4, math.inf)


def test_the_optimizers_are_made_where_the_model_computes(corpus: Path, tmp_path: Path) -> None:
    elsewhere = SimpleNamespace(device=torch.device("meta"), world_size=1)  # stands for a GPU
    trainer = Trainer(SMALL, OPTIONS, corpus, tmp_path, elsewhere)  # type: ignore[arg-type]
    steered = [p for o in trainer.optimizers for group in o.param_groups for p in group["params"]]
    assert {p.device.type for p in steered} == {"meta"}
    assert {id(p) for p in steered} == {id(p) for p in trainer.plain.parameters()}


@pytest.fixture
def second_process(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Makes this process one of two as far as Fabric tells; `asks` is what the other says, `heard` what it is told."""
    other = SimpleNamespace(asks=0.0, heard=[], rank=0)

    def all_reduce(_fabric: Fabric, ours: torch.Tensor, **_: Any) -> torch.Tensor:
        if ours > 1:  # a number of ids, of which the other has as many
            return 2 * ours
        other.heard.append(float(ours))
        return ours + other.asks

    monkeypatch.setattr(Fabric, "world_size", property(lambda _: 2))
    monkeypatch.setattr(Fabric, "global_rank", property(lambda _: other.rank))
    monkeypatch.setattr(Fabric, "all_reduce", all_reduce)
    return other


def test_processes_stop_together_whichever_was_asked(
    corpus: Path, tmp_path: Path, second_process: SimpleNamespace
) -> None:
    options = dataclasses.replace(OPTIONS, batch_size=4, save_every=100)
    trainer = Trainer(SMALL, options, corpus, tmp_path / "asked-there", make_fabric("cpu"))
    for report in trainer.run():
        second_process.asks = float(report.step == 3)
    assert (trainer.step, trainer.stop) == (3, True)
    ours = zip(range(3), training_batches(corpus, options, 0, 0, 2), strict=False)
    assert trainer.tokens == 2 * sum(int((batch["ids"] != 0).sum()) for _, batch in ours)
    assert load_checkpoint(tmp_path / "asked-there" / "last")[1]["step"] == 3
    second_process.asks, second_process.heard = 0.0, []
    trainer = Trainer(SMALL, options, corpus, tmp_path / "asked-here", make_fabric("cpu"))
    for report in trainer.run():
        trainer.stop = report.step == 2
    assert second_process.heard == [0, 1]


def test_processes_draw_dropout_of_their_own_and_the_first_as_one_alone(
    corpus: Path, tmp_path: Path, second_process: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(OPTIONS, batch_size=4, steps=2)
    seeds: list[int] = []
    seed = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda n: seeds.append(n) or seed(n))  # type: ignore[func-returns-value]
    for rank in range(2):
        second_process.rank = rank
        list(Trainer(SMALL, options, corpus, tmp_path / "run", make_fabric("cpu")).run())
    first, second = seeds[:3], seeds[3:]
    assert first == [OPTIONS.seed, OPTIONS.seed * 1_000_003, OPTIONS.seed * 1_000_003 + 1]
    assert second[0] == OPTIONS.seed  # the same weights
    assert not set(first[1:]) & set(second[1:])


def test_crops_that_processes_cannot_share_are_refused(
    corpus: Path, tmp_path: Path, second_process: SimpleNamespace
) -> None:
    with pytest.raises(ConfigError, match=r"batch_size is 3 .* 2 processes; make it a multiple of 2"):
        Trainer(SMALL, OPTIONS, corpus, tmp_path, make_fabric("cpu"))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def as_row(path: Path) -> None:
    tensors = load_file(path)
    save_file({**tensors, "0.0.momentum_buffer": tensors["0.0.momentum_buffer"].reshape(1, -1)}, path)


@pytest.mark.parametrize(
    ("name", "error"), [("save_file", SafetensorError("the disk is full")), ("dumps", OSError(28, "the disk is full"))]
)
def test_a_save_that_the_disk_has_no_room_for_is_said_and_leaves_the_last_one(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    run(corpus, tmp_path, OPTIONS, stop=4)

    def full(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(checkpoint if name == "save_file" else json, name, full)
    with pytest.raises(TrainingError, match=r"best: cannot be written \(the disk is full\); mend that"):
        run(corpus, tmp_path, OPTIONS, resume=True)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert load_checkpoint(tmp_path / "last")[1]["step"] == 4


def test_a_run_that_was_killed_between_two_renames_goes_on(corpus: Path, tmp_path: Path) -> None:
    whole = run(corpus, tmp_path / "whole", OPTIONS)
    run(corpus, tmp_path / "killed", OPTIONS, stop=9)
    for name in ("best", "last"):
        (tmp_path / "killed" / name).rename(set_aside(tmp_path / "killed" / name))
    trainer = Trainer(SMALL, OPTIONS, corpus, tmp_path / "killed", make_fabric("cpu", "32-true"))
    trainer.resume()
    assert load_checkpoint(tmp_path / "killed" / "best")[1]["step"] == 5
    assert [report.loss for report in trainer.run()] == [report.loss for report in whole[8:]]


def without(name: str) -> Any:
    return lambda path: save_file({key: t for key, t in load_file(path).items() if key != name}, path)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("optimizers.safetensors", cut_short),
        ("optimizers.safetensors", as_row),
        ("optimizers.safetensors", lambda path: save_file({"momentum": torch.zeros(3)}, path)),
        *(("optimizers.safetensors", without(one)) for one in ("0.0.momentum_buffer", "1.3.exp_avg", "1.3.step")),
        ("optimizers.safetensors", lambda path: save_file({"1.999.exp_avg": torch.zeros(3)}, path)),
        ("history.json", cut_short),
        ("history.json", Path.unlink),
        ("history.json", lambda path: path.write_text("{}")),
        ("config.json", lambda path: path.write_text(path.read_text().replace('"tokens": ', '"tocks": '))),
        ("config.json", lambda path: path.write_text(path.read_text().replace('"step": 4', '"step": "4"'))),
        ("config.json", lambda path: path.write_text(path.read_text().replace('"training": ', '"trained": '))),
    ],
)
def test_a_damaged_state_is_refused_by_name(corpus: Path, tmp_path: Path, name: str, damage: Any) -> None:
    run(corpus, tmp_path, dataclasses.replace(OPTIONS, steps=4))
    folder = find_last(tmp_path)
    assert folder is not None
    damage(folder / name)
    with pytest.raises(CheckpointError, match=name):
        Trainer(SMALL, OPTIONS, corpus, tmp_path, make_fabric("cpu")).resume()


def test_what_a_run_that_was_killed_while_saving_left_is_removed(corpus: Path, tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\nfrom musicstyle.files import replace_folder\n"
        "with replace_folder(pathlib.Path(sys.argv[1])) as new:\n"
        "    (new / 'model.safetensors').touch()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "last"], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / ".of-the-user").mkdir()
    assert len(list(tmp_path.iterdir())) == 2
    run(corpus, tmp_path, dataclasses.replace(OPTIONS, steps=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".of-the-user", "best", "last"]


def test_refusals(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(corpus, tmp_path / "empty", OPTIONS, resume=True)
    run(corpus, tmp_path / "run", dataclasses.replace(OPTIONS, steps=1))
    other = Trainer(dataclasses.replace(SMALL, combine="tile"), OPTIONS, corpus, tmp_path / "run", make_fabric("cpu"))
    with pytest.raises(CheckpointError, match="combine"):
        other.resume()
    for field, value in (("steps", 0), ("drop_style", 1.5), ("style_input", "none")):
        with pytest.raises(ConfigError, match=field):
            dataclasses.replace(OPTIONS, **{field: value})


@given(steps=st.integers(1, 500), warmup=st.integers(0, 50), share=st.floats(0, 1))
def test_the_schedule_rises_holds_and_falls(steps: int, warmup: int, share: float) -> None:
    factors = [trapezoid(s, steps, warmup, share) for s in range(steps)]
    assert all(0 < f <= 1 for f in factors)
    peak = factors.index(max(factors))
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_trapezoid_by_hand() -> None:
    assert [trapezoid(s, 10, 2, 0.4) for s in range(10)] == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert trapezoid(0, 10, 1, 0.4) == trapezoid(0, 10, 0, 0.4) == 1  # nothing to rise from


def test_the_style_features_scale_is_of_the_training_data_and_not_of_the_rows_of_a_step(corpus: Path) -> None:
    features = training_features(corpus, OPTIONS)
    assert features.shape == (SCALE_ROWS, 8)
    drawn = torch.cat([batch["style_features"] for batch in training_batches(corpus, OPTIONS, 0)])
    assert torch.equal(features[: OPTIONS.batch_size], drawn[: OPTIONS.batch_size])  # augmented, as they are trained on
    for change in ({"validation_crops": 1}, {"batch_size": 8}, {"workers": 2}, {"steps": 3}):
        assert torch.equal(training_features(corpus, dataclasses.replace(OPTIONS, **change)), features)


def test_a_feature_that_never_changes_weighs_nothing() -> None:
    features = torch.tensor([[60.0, 0.0, 3.0, 299.0], [64.0, 1e-4, 3.0, 301.0]])  # the last by a 300th of itself
    mean, deviation = feature_scale(features)
    assert mean.tolist() == pytest.approx([62, 5e-5, 3, 300])
    assert deviation.tolist() == [2, math.inf, math.inf, math.inf]
    surprise = torch.tensor([[62.0, 500.0, 900.0, 9e4]])
    assert style_error(torch.zeros(1, 4), surprise, mean, deviation) == 0


def test_one_piece_and_one_validation_crop_do_not_drown_the_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = np.arange(30) * 0.25
    notes = Notes.from_arrays(start, start + 0.2, 50 + np.arange(30) % 12, np.full(30, 70))
    write_midi(tmp_path / "midi" / "alone.mid", notes)
    prepare(tmp_path / "midi", tmp_path / "alone", seed=1)
    errors: list[float] = []

    def noting(*arguments: torch.Tensor) -> torch.Tensor:
        errors.append(float((error := style_error(*arguments)).detach()))
        return error

    monkeypatch.setattr(loop, "style_error", noting)
    for data in (corpus, tmp_path / "alone"):
        run(data, tmp_path / data.name, dataclasses.replace(OPTIONS, steps=6, validation_crops=1))
    assert len(errors) == 12
    assert max(errors) < 20


def test_padding_has_no_share_in_the_loss() -> None:
    logits, ids = torch.randn(2, 5, 310), torch.randint(2, 310, (2, 5))
    ids[1, 2:] = 0
    total, count = nll_sum(logits, ids)
    by_hand = -logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0][ids != 0].sum()
    assert count == 7
    torch.testing.assert_close(total, by_hand)


def test_validation_sums_then_divides(corpus: Path) -> None:
    torch.manual_seed(0)
    model = Autoencoder(SMALL).eval()
    torch.nn.init.normal_(model.decoder.head.weight)
    batches = validation_batches(corpus, dataclasses.replace(OPTIONS, validation_crops=6))
    assert len(batches) == 2
    together = {
        name: torch.cat([b[name] for b in batches])
        for name in ("ids", "clock", "held", "places", "everywhere", "recalled", "possible", *STYLE, "use_style")
    }
    with torch.no_grad():
        logits, *_ = model(
            {**together, "melody": torch.zeros(6, 1, dtype=torch.long), "use_melody": torch.zeros(6, dtype=torch.bool)}
        )
    total, count = nll_sum(logits, together["ids"])
    assert validation_nll(model, batches, ("style",))["style"] == pytest.approx(float(total / count), abs=1e-5)


def test_batches_do_not_depend_on_workers_and_ranks_share_them(corpus: Path) -> None:
    alone = list(training_batches(corpus, OPTIONS, 9))
    helped = list(training_batches(corpus, dataclasses.replace(OPTIONS, workers=2), 9))
    assert len(alone) == len(helped) == 3
    assert alone[0]["ids"].shape == alone[0]["style"].shape == (3, 48)
    assert all(torch.equal(a["ids"], b["ids"]) for a, b in zip(alone, helped, strict=True))
    ranks = [next(training_batches(corpus, OPTIONS, 9, rank, 2))["ids"] for rank in range(2)]
    assert torch.equal(torch.cat((ranks[0][:1], ranks[1], ranks[0][1:])), alone[0]["ids"])


def test_crops_are_drawn_as_the_options_of_the_run_say() -> None:
    asked = dataclasses.replace(
        OPTIONS, style_input="either", augment=False, drop_style=0.1, drop_melody=0.2, line_melody=0.3
    )
    drawn, usual = batch_options(asked), BatchOptions()
    for field in dataclasses.fields(BatchOptions):
        value = getattr(drawn, field.name)
        assert value == getattr(asked, field.name.replace("style_tokens", "tokens"))
        assert value != getattr(usual, field.name)


def test_a_validation_is_of_the_same_crops_whatever_the_seed(corpus: Path) -> None:
    one, other = (validation_batches(corpus, dataclasses.replace(OPTIONS, seed=seed)) for seed in (4, 5))
    assert all(torch.equal(a["ids"], b["ids"]) for a, b in zip(one, other, strict=True))


def test_a_validation_is_of_so_many_crops_of_pieces_that_are_not_learned_from(corpus: Path) -> None:
    opened, options = Corpus.open(corpus), dataclasses.replace(OPTIONS, validation_crops=5)
    crops = [decode(row[row > EOS])[0].pitch for batch in validation_batches(corpus, options) for row in batch["ids"]]
    assert len(crops) == 5
    for crop in crops:
        whole = [np.lib.stride_tricks.sliding_window_view(opened.notes(piece).pitch, len(crop)) for piece in range(6)]
        found = [piece for piece in range(6) if (whole[piece] == crop).all(axis=1).any()]
        assert found == opened.indices("validation").tolist()


def test_what_is_usual_is_that_of_crops_as_the_run_draws_them(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "USUAL_ROWS", 6)
    options = dataclasses.replace(OPTIONS, batch_size=6)
    drawn = next(training_batches(corpus, options, 0))["ids"].numpy()
    assert np.array_equal(training_habits(corpus, options).numpy(), sum(habits(row) for row in drawn))


def test_a_teacher_hears_other_keys_at_every_step_and_the_same_in_a_resumed_run(corpus: Path) -> None:
    options = dataclasses.replace(OPTIONS, steps=6, teacher="of any name")
    keys, resumed = ([batch["teacher_table"] for batch in training_batches(corpus, options, first)] for first in (0, 3))
    assert all(torch.equal(one, other) for one, other in zip(keys[3:], resumed, strict=True))
    assert len({table.numpy().tobytes() for table in keys}) == 6


def test_workers_end_with_what_they_draw_for(corpus: Path) -> None:
    drawn = training_batches(corpus, dataclasses.replace(OPTIONS, steps=60, workers=1), 0)
    with ending_workers(drawn):
        next(drawn)
        assert len(multiprocessing.active_children()) == 1
    assert not multiprocessing.active_children()


def test_a_worker_leaves_ctrl_c_and_the_first_sigterm_to_the_loop(corpus: Path) -> None:
    batches = training_batches(corpus, dataclasses.replace(OPTIONS, steps=60, workers=1), 0)
    next(batches)
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGINT)  # Ctrl-C at a terminal goes to workers too
    os.kill(worker.pid, signal.SIGTERM)  # as a scheduler does, to all processes at once
    assert len([next(batches) for _ in range(20)]) == 20  # far more than were drawn ahead
    os.kill(worker.pid, signal.SIGTERM)
    with contextlib.suppress(RuntimeError):  # torch's word for it, if that comes first
        worker.join(60)
    assert worker.exitcode == -signal.SIGTERM


def test_every_parameter_has_one_optimizer_and_tables_are_no_matrices() -> None:
    model = Autoencoder(SMALL)
    muon, adam = make_optimizers(model, OPTIONS)
    ours = [id(p) for optimizer in (muon, adam) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(ours) == sorted(id(p) for p in model.parameters())
    assert [group["weight_decay"] for o in (muon, adam) for group in o.param_groups] == [OPTIONS.weight_decay, 0]
    named = dict(model.named_parameters())
    assert is_matrix(
        "decoder.layers.0.attention.project_in.weight", named["decoder.layers.0.attention.project_in.weight"]
    )
    tables = {
        "embedding.weight", "melody_encoder.embedding.weight", "phase.weight", "aligned.weight", "held.weight",
        "style_counts.weight", "style_head.weight", "decoder.head.weight",
    }  # fmt: skip
    assert {n for n, p in named.items() if p.ndim == 2 and not is_matrix(n, p)} == tables
    assert not is_matrix("decoder.layers.0.attention.table", named["decoder.layers.0.attention.table"])


@pytest.mark.parametrize(
    ("conditions", "modes"),
    [
        ("both", ("both", "melody", "style", "none")),
        ("melody", ("melody", "none")),
        ("style", ("style", "none")),
        ("none", ("none",)),
    ],
)
def test_a_model_is_judged_in_the_modes_it_can_hear(conditions: str, modes: tuple[str, ...]) -> None:
    assert served_modes(dataclasses.replace(SMALL, conditions=conditions)) == modes  # type: ignore[arg-type]


@pytest.fixture
def taught(corpus: Path, tmp_path: Path) -> TrainingOptions:
    """Options with a teacher that has learned a little."""
    run(corpus, tmp_path / "teacher", dataclasses.replace(OPTIONS, steps=20, seed=9))
    return dataclasses.replace(OPTIONS, teacher=str(tmp_path / "teacher" / "last"))


def test_a_teacher_answers_in_the_key_of_the_batch(corpus: Path, taught: TrainingOptions) -> None:
    batch = next(training_batches(corpus, taught, 0))
    teacher = Teacher(Path(taught.teacher), SMALL, torch.device("cpu"))
    answers = teacher.answers(batch)
    torch.testing.assert_close(answers.sum(dim=-1), torch.ones(3, 48))
    assert not answers[~batch["possible"]].any()
    # Oracle: the model hears a batch that is in the other key throughout.
    moved = {name: batch[TEACHERS + name] for name in ("ids", "melody", "held")}
    rows = [(ids.numpy(), held.numpy()) for ids, held in zip(moved["ids"], moved["held"], strict=True)]
    for name, of in (("places", places), ("recalled", recalled)):
        moved[name] = torch.from_numpy(np.stack([of(*row) for row in rows]))
    heard = {name: values for name, values in (batch | moved).items() if name != "possible"}
    logits = teacher.model(heard)[0].detach()
    for row in range(3):
        for place in (0, 20, 47):
            if (target := int(batch["ids"][row, place])) == 0:
                continue
            may = batch["possible"][row, place].nonzero()[:, 0]
            there = logits[row, place, batch["teacher_table"][row][may]].softmax(dim=0)
            assert answers[row, place, target] == pytest.approx(
                float(there[(may == target).nonzero().item()]), rel=1e-4
            )


def test_what_a_teacher_teaches_is_least_where_the_pupil_says_the_same() -> None:
    logits = torch.randn(2, 5, 7, dtype=torch.float64)
    ids, impossible = torch.randint(1, 5, (2, 5)), torch.zeros(2, 5, 7, dtype=torch.bool)
    impossible[..., 5:], ids[1, 3:] = True, 0
    logits = logits.masked_fill(impossible, -torch.inf)
    certain = torch.nn.functional.one_hot(ids, 7).double()
    torch.testing.assert_close(taught_nll_sum(logits, certain, ids), nll_sum(logits, ids)[0], check_dtype=False)
    pupil = logits.float().requires_grad_()
    own = pupil.detach().softmax(dim=-1)
    nats = taught_nll_sum(pupil, own, ids)
    entropy = torch.distributions.Categorical(own).entropy()[ids != 0].sum()
    torch.testing.assert_close(nats.detach(), entropy)
    (gradient,) = torch.autograd.grad(nats, pupil)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-6)


def test_a_taught_run_learns_something_else_and_resumes_bit_for_bit(
    corpus: Path, tmp_path: Path, taught: TrainingOptions
) -> None:
    alone = run(corpus, tmp_path / "alone", OPTIONS)
    whole = run(corpus, tmp_path / "whole", taught)
    first = run(corpus, tmp_path / "broken", taught, stop=10)
    second = run(corpus, tmp_path / "broken", dataclasses.replace(taught, workers=2), resume=True)
    assert [r.loss for r in first[:8] + second] == [r.loss for r in whole]
    assert whole[0].loss == alone[0].loss  # the same crops, which the loss that is told is of
    assert whole[-1].loss != alone[-1].loss


def test_a_teacher_that_hears_something_else_is_refused(corpus: Path, tmp_path: Path, taught: TrainingOptions) -> None:
    deaf = dataclasses.replace(SMALL, conditions="melody")
    with pytest.raises(ConfigError, match="hears both and its pupil melody"):
        Trainer(deaf, taught, corpus, tmp_path / "run", make_fabric("cpu"))
    with pytest.raises(CheckpointError, match="nowhere"):
        Trainer(SMALL, dataclasses.replace(taught, teacher="nowhere"), corpus, tmp_path / "run", make_fabric("cpu"))
