"""`musicstyle data prepare` and `musicstyle train`: from MIDI to a checkpoint that plays, and on after a stop."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from lightning_fabric import Fabric
from lightning_fabric.strategies.launchers.subprocess_script import _basic_subprocess_cmd
from refusals import refused
from safetensors.torch import load_file

from musicstyle.cli import main
from musicstyle.cli._machine import name_program, usual_workers
from musicstyle.cli.train import _as_json, _model_config, _training_options
from musicstyle.corpus.store import Corpus
from musicstyle.files import set_aside
from musicstyle.model.checkpoint import CONFIG
from musicstyle.model.config import PRESETS, ModelConfig
from musicstyle.music.midi import read_midi, write_midi
from musicstyle.music.notes import Notes
from musicstyle.resources import default_checkpoint
from musicstyle.training.loop import Report, Trainer
from musicstyle.training.options import TrainingOptions

SMALL = ModelConfig(
    width=24, heads=2, head_width=12, feedforward_width=40, decoder_layers=1, style_layers=1, melody_layers=1,
    window=32, max_distance=16, encoder_max_distance=8,
)  # fmt: skip
QUICK = ("--device", "cpu", "--workers", "0", "--batch-size", "2", "--tokens", "40", "--threads", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: four tunes and a broken file in midi/, a small preset, a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.setitem(PRESETS, "tiny", SMALL)
    for key in range(4):
        start = np.arange(70) * 0.2
        pitch = 50 + 3 * key + (np.arange(70) * (key + 1)) % 12
        write_midi(tmp_path / "midi" / f"tune{key}.mid", Notes.from_arrays(start, start + 0.15, pitch, np.full(70, 64)))
    (tmp_path / "midi" / "broken.mid").write_bytes(b"MThd")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_prepare_says_what_was_read_and_what_was_not(folder: Path) -> None:
    result = call("data", "prepare", "midi", "--out", "corpus")
    assert (result.exit_code, result.stdout) == (0, "corpus\n")
    skipped, summary = result.stderr.splitlines()
    assert skipped.startswith("skipped broken.mid: ")
    assert "4 files (1 skipped), 280 notes" in summary
    assert len(Corpus.open(folder / "corpus")) == 4


def test_prepare_names_a_few_skipped_files_and_counts_the_rest(folder: Path) -> None:
    for number in range(8):
        (folder / "midi" / f"bad{number}.mid").write_bytes(b"")
    lines = call("data", "prepare", "midi", "--out", "corpus").stderr.splitlines()
    assert [line.startswith("skipped ") for line in lines] == [True] * 6 + [False]
    assert "4 more" in lines[5]


def test_prepare_as_json(folder: Path) -> None:
    facts = json.loads(call("data", "prepare", "midi", "--out", "corpus", "--seed", "3", "--json").stdout)
    assert (facts["out"], facts["seed"], facts["totals"]["pieces"]) == ("corpus", 3, 4)
    assert [row["path"] for row in facts["skipped"]] == ["broken.mid"]


def test_prepare_refuses_to_replace_what_is_not_its_own(folder: Path) -> None:
    call("data", "prepare", "midi", "--out", "corpus")
    (folder / "other").mkdir()
    write_midi(folder / "other" / "a.mid", read_midi(folder / "midi" / "tune1.mid"))
    refused(call("data", "prepare", "other", "--out", "corpus"), 2, "corpus", "--force")
    assert len(Corpus.open(folder / "corpus")) == 4
    assert call("data", "prepare", "midi", "--out", "corpus").exit_code == 0
    assert call("data", "prepare", "other", "--out", "corpus", "--force").exit_code == 0
    assert len(Corpus.open(folder / "corpus")) == 1
    refused(call("data", "prepare", "midi", "--out", "other", "--force"), 1, "other")


@pytest.mark.parametrize(
    "verb", [("data", "prepare", "{}", "--out", "corpus"), ("train", "--data", "{}", "--out", "run")]
)
@pytest.mark.parametrize(("name", "word"), [("nowhere", "no such folder"), ("bare", "no .mid"), ("bad", "usable")])
def test_a_folder_without_music_is_refused_and_leaves_nothing(
    folder: Path, verb: tuple[str, ...], name: str, word: str
) -> None:
    (folder / "bare").mkdir()
    (folder / "bad").mkdir()
    (folder / "bad" / "drum.mid").write_bytes(b"MThd")
    before = sorted(folder.iterdir())
    refused(call(*(part.format(name) for part in verb)), 1, name, word)
    assert [path for path in sorted(folder.iterdir()) if path.name != "cache"] == before


def test_an_out_that_cannot_be_made_is_refused_before_any_work(folder: Path) -> None:
    before = sorted(folder.iterdir())
    refused(
        call("train", "--data", "midi", "--out", "midi/tune0.mid/run", *QUICK), 2, "midi/tune0.mid/run", "no folder"
    )
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("conditions", "inputs"),
    [("melody", " --melody TUNE.mid"), ("style", " --style PERFORMANCE.mid"), ("none", "")],
)
def test_what_is_told_to_play_is_what_the_model_hears(folder: Path, conditions: str, inputs: str) -> None:
    result = call("train", "--data", "midi", "--steps", "1", "--out", "run", "--conditions", conditions, *QUICK)
    assert f"({conditions})" in result.stderr.splitlines()[-2]
    assert result.stderr.splitlines()[-1] == f"play: musicstyle generate --checkpoint run/best{inputs}"


def test_a_teacher_of_no_use_is_refused_before_any_work(folder: Path) -> None:
    before = sorted(folder.iterdir())
    refused(call("train", "--data", "midi", "--teacher", "nowhere"), 1, "nowhere")
    refused(
        call("train", "--data", "midi", "--teacher", str(default_checkpoint()), "--conditions", "melody"),
        2,
        "--teacher",
        "hears both and its pupil melody",
    )
    assert sorted(folder.iterdir()) == before


def test_a_teacher_is_found_from_anywhere(folder: Path) -> None:
    refused(call("train", "--data", "midi", "--teacher", ""), 2, "--teacher", "an empty name")
    assert call("train", "--data", "midi", "--out", "a_teacher", "--steps", "1", *QUICK).exit_code == 0
    taught = ("--out", "run", "--teacher", "a_teacher/best", "--steps", "1")
    refused(call("train", "--data", "midi", *taught, "--conditions", "melody", *QUICK), 2, "a_teacher/best hears")
    assert call("train", "--data", "midi", *taught, *QUICK).exit_code == 0
    begun = json.loads((folder / "run" / "last" / CONFIG).read_text())["training"]
    assert begun["teacher"] == str(folder / "a_teacher" / "best")


def test_a_teacher_that_the_run_would_write_over_is_refused(folder: Path) -> None:
    shutil.copytree(default_checkpoint(), folder / "run" / "best")
    arguments = ("train", "--data", "midi", "--out", "run", "--force", "--teacher", "run/../run/best")
    refused(call(*arguments), 2, "--teacher ", "run/../run/best", "writes over it", "--out")


@pytest.mark.parametrize("flag", ["--teacher", "--init"])
def test_a_checkpoint_of_other_fields_is_named(folder: Path, flag: str) -> None:
    (folder / "old").mkdir()
    config = json.loads((default_checkpoint() / "config.json").read_text())
    del config["model"]["style_habits"]
    (folder / "old" / "config.json").write_text(json.dumps(config))
    words = "missing field in the model's config: style_habits"
    refused(call("train", "--data", "midi", flag, "old"), 1, f"old/config.json: {words}")


def test_train_makes_a_checkpoint_that_plays(folder: Path) -> None:
    result = call("train", "--data", "midi", "--steps", "3", "--validate-every", "2", *QUICK)
    assert (result.exit_code, result.stdout) == (0, "runs/midi-tiny/best\n"), result.stderr
    assert "skipped broken.mid" in result.stderr
    assert "4 pieces are few" in result.stderr
    assert [line.split(":")[0] for line in result.stderr.splitlines() if "NLL (nats" in line] == [
        "step 2 of 3",
        "step 3 of 3",
    ]
    played = call("generate", "--checkpoint", "runs/midi-tiny/best", "--style", "midi/tune1.mid", "--seconds", "1")
    assert played.exit_code == 0, played.stderr


def test_train_prints_json_lines(folder: Path) -> None:
    result = call("train", "--data", "midi", "--out", "run", "--steps", "5", "--validate-every", "2", "--json", *QUICK)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 5, 5]
    assert [line.get("done", False) for line in lines] == [False, False, False, True]
    assert set(lines[0]["validation"]) == {"both", "melody", "style", "none"}
    assert lines[-1]["checkpoint"] == "run/best"
    assert lines[-1]["best_validation_nll"] == min(line["validation"]["both"] for line in lines)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals
) -> None:
    whole = Trainer.run

    def interrupted(self: Trainer) -> Any:
        for report in whole(self):
            yield report
            if report.step == 5:
                os.kill(os.getpid(), sent)

    monkeypatch.setattr(Trainer, "run", interrupted)
    run = ("train", "--data", "midi", "--out", "my run")
    stopped = call(*run, "--steps", "7", "--save-every", "2", "--combine", "tile", "--precision", "32-true", *QUICK)
    assert stopped.exit_code == 130
    last = stopped.stderr.splitlines()[-1]
    assert last.startswith("musicstyle: stopped at step 5; saved at step 5")
    assert last.endswith("musicstyle train --data midi --out 'my run' --device cpu --threads 1 --resume")

    monkeypatch.setattr(Trainer, "run", whole)
    resumed = call(*run, "--resume", "--device", "cpu")
    assert resumed.exit_code == 0, resumed.stderr
    assert "on cpu in 32-true; step 5 of 7, seed 1; into my run" in resumed.stderr
    facts = json.loads((folder / "my run" / "last" / "config.json").read_text())
    assert (facts["step"], facts["training"]["tokens"], facts["model"]["combine"]) == (7, 40, "tile")

    finished = call(*run, "--resume", "--device", "cpu")
    assert (finished.exit_code, finished.stdout) == (0, "my run/best\n")
    assert "already at step 7 of 7" in finished.stderr


@pytest.mark.parametrize(
    ("training", "code", "words"),
    [
        ([1], 1, ["run/last/config.json", "(training missing)"]),
        ({"steps": "many"}, 2, ["--steps is 'many'", "like 5000"]),
        ({"augment": 1}, 2, ["--augment is 1", "like True"]),
        ({"workers": -1}, 2, ["--workers is -1", "negative"]),
    ],
)
def test_saved_settings_that_are_none_are_refused(folder: Path, training: Any, code: int, words: list[str]) -> None:
    assert call("train", "--data", "midi", "--out", "run", "--steps", "1", *QUICK).exit_code == 0
    config = folder / "run" / "last" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "training": training}))
    refused(call("train", "--data", "midi", "--out", "run", "--resume", "--device", "cpu"), code, *words)


def test_fine_tuning_begins_with_the_weights_of_a_checkpoint(folder: Path) -> None:
    assert call("train", "--data", "midi", "--out", "first", "--steps", "4", *QUICK).exit_code == 0
    tuned = ("train", "--data", "midi", "--out", "tuned", "--init", "first/best", "--steps", "1", *QUICK)
    result = call(*tuned, "--learning-rate", "1e-9", "--json")
    assert result.exit_code == 0, result.stderr
    before = json.loads((folder / "first" / "best" / "config.json").read_text())["validation_nll"]
    assert json.loads(result.stdout.splitlines()[0])["validation"] == pytest.approx(before, abs=1e-4)
    gentle = call(*tuned, "--force")
    assert gentle.exit_code == 0, gentle.stderr
    facts = json.loads((folder / "tuned" / "best" / "config.json").read_text())
    rates = {name: facts["training"][name] for name in ("learning_rate", "matrix_learning_rate")}
    assert rates == {name: pytest.approx(getattr(TrainingOptions(), name) / 10) for name in rates}
    refused(call(*tuned, "--force", "--preset", "tiny"), 2, "--init", "--preset")
    window = facts["model"]["window"]
    refused(call(*tuned, "--force", "--window", str(window - 1)), 2, "--window", str(window))
    larger = ("--window", str(2 * window), "--layers", "7", "--width", "48")
    grown = call(*tuned, "--force", *larger, "--learning-rate", "1e-9", "--json")
    assert grown.exit_code == 0, grown.stderr
    model = json.loads((folder / "tuned" / "best" / "config.json").read_text())["model"]
    assert (model["window"], model["decoder_layers"], model["width"], model["feedforward_width"]) == (
        2 * window, 7, 48, 80,
    )  # fmt: skip
    assert json.loads(grown.stdout.splitlines()[0])["validation"] == pytest.approx(before, abs=1e-4)
    again = ("train", "--data", "midi", "--out", "again", "--init", "tuned/best", "--layers", "6", *QUICK)
    refused(call(*again), 2, "--layers 6", "7", "can only grow")
    refused(call(*again[: -len(QUICK) - 2], "--width", "72", *QUICK), 2, "--width 72", "48", "multiple")
    refused(call(*tuned[:4], "elsewhere", "--init", "nowhere", *QUICK), 1, "nowhere", "no checkpoint")


def test_a_run_is_not_written_over_unasked_nor_by_one_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("train", "--data", "midi", "--out", "run", "--steps", "1", *QUICK)
    assert call(*run).exit_code == 0
    best = folder / "run" / "best"
    (best / "mark").write_text("of the first run")
    refused(call(*run), 2, "run", "--resume", "--force")
    refused(call(*run, "--resume", "--force"), 2, "--resume", "--force")
    another = call(*run, "--resume", "--combine", "concat")
    assert (another.exit_code, "differs in combine" in another.stderr.splitlines()[-1]) == (1, True)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", lambda *_: torch.tensor(float("nan")))
        failed = call(*run, "--force")
    assert (failed.exit_code, "the loss is nan" in failed.stderr.splitlines()[-1]) == (1, True)
    assert (best / "mark").exists()
    shutil.rmtree(folder / "run" / "last")
    best.rename(set_aside(best))  # as a kill between two renames leaves the first save
    refused(call(*run), 2, "run", "--resume", "--force")
    assert (set_aside(best) / "mark").exists()  # nor moved: another run may be about to put its own there
    assert call(*run, "--force").exit_code == 0
    assert not (best / "mark").exists()


def test_going_on_with_other_pieces_is_said(folder: Path) -> None:
    run = ("train", "--out", "run", "--steps", "1", *QUICK)
    assert call(*run, "--data", "midi").exit_code == 0
    shutil.copytree("midi", "copied")
    shutil.copytree("midi", "other")
    (folder / "other" / "tune0.mid").unlink()
    for data, said in (("midi", False), ("copied", False), ("other", True)):
        resumed = call("train", "--out", "run", "--data", data, "--resume", "--device", "cpu")
        assert resumed.exit_code == 0, resumed.stderr
        assert ("holds other pieces" in resumed.stderr) == said


def test_two_runs_do_not_write_into_one_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, whole, second = ("train", "--data", "midi", "--out", "run", "--steps", "1", *QUICK), Trainer.run, []

    def meanwhile(self: Trainer) -> Any:
        monkeypatch.setattr(Trainer, "run", whole)
        child = [sys.executable, "-m", "musicstyle", *run]
        second.append(subprocess.run(child, capture_output=True, text=True, check=False))
        yield from whole(self)

    monkeypatch.setattr(Trainer, "run", meanwhile)
    assert call(*run).exit_code == 0
    (refusal,) = second
    assert (refusal.returncode, refusal.stdout) == (1, "")
    assert "run: another run is being written there" in refusal.stderr.splitlines()[-1]
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["best", "last"]
    assert call(*run, "--force").exit_code == 0  # it was let go of


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--out", "midi/tune0.mid"], 2, ["tune0.mid", "folder"]),
        (["--out", "new", "--resume"], 2, ["new", "--resume"]),
        (["--steps", "0"], 2, ["--steps"]),
        (["--learning-rate", "0"], 2, ["--learning-rate"]),
        (["--learning-rate", "nan"], 2, ["--learning-rate is nan"]),
        *((["--precision", kind], 2, ["--precision", kind]) for kind in ("8-bit", "16-mixed", "bf16-true", "64-true")),
        (["--device", "cuda:9"], 2, ["--device", "cuda:9"]),
        (["--devices", "2", "--batch-size", "3"], 2, ["--batch-size is 3", "multiple of 2"]),
    ],
)
def test_what_train_cannot_do_is_refused(folder: Path, arguments: list[str], code: int, words: list[str]) -> None:
    before = sorted(folder.rglob("*"))
    refused(call("train", "--data", "midi", *arguments), code, *words)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    before = sorted(folder.iterdir())
    for verb in (
        ("train", "--data", "midi", "--out", "run"),
        ("generate", "--seconds", "1"),
        ("eval", "nll", "--data", "midi"),
    ):
        refused(call(*verb, "--device", "cuda"), 2, "device cuda", "take cpu")
        refused(call(*verb, "--device", "cpu:x"), 2, "--device", "cpu:x")
    assert [path for path in sorted(folder.iterdir()) if path.name != "cache"] == before


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_files_trains_and_says_what_it_cannot_promise(folder: Path, count: int) -> None:
    for path in sorted((folder / "midi").iterdir())[: 5 - count]:
        path.unlink()
    result = call("train", "--data", "midi", "--out", "run", "--steps", "1", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert f"{count} pieces are few" in result.stderr


def test_a_report_is_json_whatever_its_numbers() -> None:
    report = Report(2, 3, float("nan"), 80, 9.0, 1.0, {"both": 3.0, "none": float("inf")})
    facts = json.loads(json.dumps(_as_json(report), allow_nan=False))
    assert (facts["loss"], facts["validation"], facts["step"]) == (None, {"both": 3.0, "none": None}, 2)


def test_after_a_stop_only_the_first_process_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Trainer) -> Any:
        yield Report(1, 9, 5.0, 80, 9.0, 1.0)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "run", interrupted)
    run = ("train", "--data", "midi", "--out", "run", *QUICK)
    assert call(*run).exit_code == 130
    monkeypatch.setenv("LOCAL_RANK", "1")
    second = call(*run)
    assert (second.exit_code, second.stdout, second.stderr) == (0, "", "")


def test_memory_that_is_out_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("train", "--data", "midi", "--out", "run", *QUICK)
    words = ("out of memory on cpu", "--batch-size", "--width")
    before = [path for path in folder.iterdir() if path.name != "cache"]
    result = call(*run, "--width", str(10**12))  # more than any machine can address
    assert result.exit_code == 1, result.exception
    assert all(word in result.stderr.splitlines()[-1] for word in words)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Trainer, "_train_step", full)
    result = call(*run)
    assert result.exit_code == 1, result.exception
    assert all(word in result.stderr.splitlines()[-1] for word in words)
    assert [path for path in folder.iterdir() if path.name != "cache"] == before


def test_what_ends_all_processes_is_said_by_the_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "_train_step", lambda *_: torch.tensor(float("nan")))
    run = ("train", "--data", "midi", "--out", "run", *QUICK)
    first = call(*run)
    assert (first.exit_code, "the loss is nan" in first.stderr.splitlines()[-1]) == (1, True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    second = call(*run)
    assert (second.exit_code, second.stdout, second.stderr) == (0, "", "")


def test_a_process_that_an_early_interrupt_ended_is_no_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(self: Trainer) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(Trainer, "run", alone)
    run = ("train", "--data", "midi", "--out", "run", *QUICK)
    with pytest.raises(RuntimeError, match="by peer"):  # one process has no peer: this would be a fault of ours
        CliRunner().invoke(main, run, catch_exceptions=False)
    monkeypatch.setattr(Fabric, "world_size", property(lambda _: 2))
    stopped = call(*run)
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1] == "musicstyle: stopped at step 0; nothing was saved yet"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert (call(*run).exit_code, call(*run).stderr) == (130, "")


def test_a_run_whose_save_fails_ends(folder: Path) -> None:
    """Its workers too, for which Python's exit would wait."""
    full = """if True:
        from musicstyle.cli import main
        from musicstyle.training import state
        def save_checkpoint(*_):
            try:
                raise ValueError("no space left")  # as safetensors says it
            except ValueError as error:
                raise OSError from error
        state.save_checkpoint = save_checkpoint
        main("train --data midi --out run --steps 2 --batch-size 2 --tokens 40 --threads 1 --workers 1".split())
    """
    failed = subprocess.run([sys.executable, "-c", full], capture_output=True, text=True, timeout=90, check=False)
    assert failed.returncode == 1
    told = "musicstyle: error: run/best: cannot be written (no space left); mend that and call again"
    assert failed.stderr.splitlines()[-1] == told


def test_a_run_to_which_nobody_listens_is_saved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicstyle.cli.train.give", Mock(side_effect=BrokenPipeError(errno.EPIPE, "Broken pipe")))
    arguments = ("--out", "run", "--steps", "9", "--validate-every", "3", "--json")
    left = call("train", "--data", "midi", *arguments, *QUICK)
    assert left.exit_code == 130
    assert left.stderr.splitlines()[-2] == "stdout: cannot be written (Broken pipe)"
    assert "saved at step 3, go on with: musicstyle train" in left.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("processes", "words", "told"),
    [
        (1, "DataLoader worker (pid 9) is killed by signal: Killed.", "a process of the run was killed"),
        (2, "pair.cc:537 Connection reset by peer", "another process of the run ended, killed"),
    ],
)
def test_a_process_that_was_killed_is_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, processes: int, words: str, told: str
) -> None:
    whole = Trainer.run

    def killed(self: Trainer) -> Any:
        for report in whole(self):
            yield report
            if report.step == 2:
                monkeypatch.setattr(Fabric, "world_size", property(lambda _: processes))
                raise RuntimeError(words)

    monkeypatch.setattr(Trainer, "run", killed)
    failed = call("train", "--data", "midi", "--out", "run", "--save-every", "2", *QUICK)
    assert failed.exit_code == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith(f"musicstyle: error: {told} (out of memory, or of /dev/shm?)")
    assert "; saved at step 2, go on" in last


@pytest.mark.slow
def test_two_processes_learn_what_one_does(folder: Path) -> None:
    for number in range(40):  # crops of many lengths, which fall to the two processes unevenly
        count = 4 + number % 9
        start = np.arange(count) * 0.3
        write_midi(Path("short") / f"{number}.mid", Notes.from_arrays(start, start + 0.2, 40 + start * 5, start + 60))
    weights = []
    for devices in (1, 2):
        command = [sys.executable, "-m", "musicstyle", "train", "--data", "short", "--out", f"run{devices}", *QUICK]
        command += ["--batch-size", "4", "--steps", "3", "--precision", "32-true", "--devices", str(devices)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)})
        weights.append(load_file(f"run{devices}/last/model.safetensors"))
    one, two = weights
    # Sums in another order: 8e-5. Were each process to divide by its own ids, 5e-3.
    torch.testing.assert_close(two, one, rtol=0, atol=5e-4)


def test_other_processes_are_told_what_to_run_by_an_archive_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As musicstyle.exe on Windows is, an archive with a module __main__ that nobody else can import by that name."""
    program = ModuleType("__main__")
    program.__spec__ = ModuleSpec("__main__", None)
    monkeypatch.setitem(sys.modules, "__main__", program)
    monkeypatch.setattr(sys, "argv", ["musicstyle", "train", "--devices", "2"])
    name_program()
    assert _basic_subprocess_cmd() == [sys.executable, "-m", "musicstyle.__main__", "train", "--devices", "2"]


@pytest.mark.slow
def test_two_processes_stop_together_and_save_once(folder: Path) -> None:
    command = [sys.executable, "-m", "musicstyle", "train", "--data", "midi", "--out", "run", *QUICK]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [*command, "--devices", "2", "--steps", "100000", "--validate-every", "3"],
        stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "validation NLL (nats" in line:
            os.killpg(process.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
            break
    lines += process.stderr.read().splitlines()
    process.stderr.close()
    assert process.wait(60) == 130, lines
    stopped = [line for line in lines if "stopped at step" in line]
    assert len(stopped) == 1, lines
    saved = json.loads((folder / "run" / "last" / "config.json").read_text())["step"]
    assert f"stopped at step {saved}; saved at step {saved}" in stopped[0]


def test_crops_are_as_long_as_the_window_unless_said(folder: Path) -> None:
    quick = ("--device", "cpu", "--workers", "0", "--batch-size", "2", "--steps", "1")
    assert call("train", "--data", "midi", "--out", "run", "--window", "48", *quick).exit_code == 0
    assert json.loads((folder / "run" / "best" / "config.json").read_text())["training"]["tokens"] == 48


def none_given(**given: Any) -> dict[str, Any]:
    names = ("combine", "conditions", "window", "layers", "width", "steps", "learning_rate")
    return {**dict.fromkeys(names), **given}


def test_settings_come_from_the_flag_then_the_saved_run_then_the_default() -> None:
    saved = {"training": {"steps": 77, "tokens": 99, "gone_since": 1}}
    options = _training_options(none_given(steps=88), saved, tuning=False)
    assert (options.steps, options.tokens, options.batch_size) == (88, 99, TrainingOptions().batch_size)


def test_both_learning_rates_scale_together() -> None:
    default = TrainingOptions()
    halved = _training_options(none_given(learning_rate=default.learning_rate / 2), {}, tuning=False)
    assert halved.matrix_learning_rate == pytest.approx(default.matrix_learning_rate / 2)


def test_the_models_shape_comes_from_the_flag_then_the_saved_run_then_the_preset() -> None:
    assert _model_config("base", none_given(), {}) == PRESETS["base"]
    assert _model_config(None, none_given(combine="tile"), {}).combine == "tile"
    saved = {"model": _model_config("base", none_given(combine="concat", conditions="melody"), {}).to_dict()}
    assert _model_config(None, none_given(), saved).to_dict() == saved["model"]
    assert _model_config("base", none_given(), saved).to_dict() == saved["model"]
    assert _model_config(None, none_given(combine="sum"), saved).combine == "sum"
    assert _model_config(None, none_given(window=1024), {}).max_distance == 1024  # tiny's tables end with the window
    wider = _model_config("base", none_given(width=576), {})
    assert (wider.width, wider.feedforward_width) == (576, PRESETS["base"].feedforward_width * 576 // 384)
    longer = _model_config(None, none_given(window=4096), saved)
    assert (longer.window, longer.max_distance, longer.combine) == (4096, 1024, "concat")  # base's do not


def test_a_gpu_has_more_processes_draw_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, devices, workers in ((16, 1, 12), (8, 1, 7), (16, 4, 3), (2, 1, 1), (1, 1, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, n=cores: set(range(n)), raising=False)
        assert usual_workers("cuda", devices) == workers
        assert usual_workers("cpu", devices) is None
