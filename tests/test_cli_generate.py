"""`musicstyle generate` on random weights: what comes out, and a mistake costs one line and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mido
import numpy as np
import pytest
from click.testing import CliRunner, Result
from refusals import refused

from musicstyle.cli import main
from musicstyle.cli.generate import default_out
from musicstyle.generation import live
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.result import Generation
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import CONFIG, WEIGHTS, save_checkpoint
from musicstyle.model.config import ModelConfig
from musicstyle.music.midi import read_midi, read_tracks, write_midi
from musicstyle.music.notes import Notes

SMALL = ModelConfig(
    width=24, heads=2, head_width=12, feedforward_width=40, decoder_layers=1, style_layers=1, melody_layers=1,
    window=32, max_distance=16, encoder_max_distance=8,
)  # fmt: skip


def scale(count: int, first: int = 60, step_seconds: float = 0.25) -> Notes:
    start = np.arange(count) * step_seconds
    return Notes.from_arrays(start, start + step_seconds * 0.9, first + np.arange(count) % 12, np.full(count, 70))


def only_on_channel(path: Path, channel: int, *, velocity: int) -> None:
    track = mido.MidiTrack([mido.Message("note_on", note=40, velocity=velocity, channel=channel, time=9)])
    track.append(mido.Message("note_off", note=40, channel=channel, time=480))
    mido.MidiFile(tracks=[track]).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with good and bad inputs and two checkpoints in it."""
    monkeypatch.chdir(tmp_path)
    write_midi(tmp_path / "tune.mid", scale(9))
    write_midi(tmp_path / "etude.mid", scale(40, first=48, step_seconds=0.2))
    write_midi(tmp_path / "short.mid", scale(2, step_seconds=0.3))
    whole = (tmp_path / "etude.mid").read_bytes()
    (tmp_path / "cut.mid").write_bytes(whole[:-50])
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "text.mid").write_text("no music at all")
    only_on_channel(tmp_path / "drums.mid", 9, velocity=80)
    only_on_channel(tmp_path / "silent.mid", 0, velocity=0)
    save_checkpoint(tmp_path / "model", Autoencoder(SMALL), {"training": {"tokens": 50}})
    return tmp_path


def generate(*arguments: str | Path, checkpoint: str = "model") -> Result:
    return CliRunner().invoke(main, ["generate", "--checkpoint", checkpoint, *map(str, arguments)])


def test_a_tune_in_a_style_lands_in_the_current_folder(folder: Path) -> None:
    result = generate("--style", "etude.mid", "--melody", folder / "tune.mid", "--seed", "5")
    assert (result.exit_code, result.stdout) == (0, "tune-in-the-style-of-etude.mid\n")
    assert "--seed 5" in result.stderr
    out = folder / "tune-in-the-style-of-etude.mid"
    assert len(read_midi(out))
    text = read_tracks(out).text
    assert {"seed: 5", "style: etude.mid", "melody: tune.mid"} <= set(text)


@pytest.mark.parametrize(
    ("style", "melody", "name"),
    [
        ("a/bach.mid", "b/tune.midi", "tune-in-the-style-of-bach.mid"),
        (None, "b/tune.midi", "tune-played.mid"),
        ("a/bach.mid", None, "improvisation-in-the-style-of-bach.mid"),
        (None, None, "improvisation.mid"),
        ("a/bach.mid", "tempo=90 C4 G4:2", "tune-in-the-style-of-bach.mid"),
        ("a/bach.mid b/satie.mid c/ravel", "b/tune.midi", "tune-in-the-style-of-bach-and-2-more.mid"),
        ("a/", "b/tune.midi", "tune-in-the-style-of-a.mid"),
        ("a/bach.mid", "C4 prelude.mid", "C4 prelude-in-the-style-of-bach.mid"),
    ],
)
def test_a_result_is_named_after_its_inputs(style: str | None, melody: str | None, name: str) -> None:
    assert default_out(list(map(Path, (style or "").split())), melody and Path(melody)) == Path(name)  # type: ignore[arg-type]


def test_several_styles_are_mixed_and_a_folder_is_all_that_is_in_it(folder: Path) -> None:
    two = folder / "two" / "deeper"
    two.mkdir(parents=True)
    write_midi(two / "b.mid", scale(50, first=70, step_seconds=0.1))
    write_midi(two.parent / "a.mid", scale(50, first=30, step_seconds=0.4))
    asked = ["--melody", "tune.mid", "--seed", "3"]
    mixed = generate("--style", "etude.mid", "--style", "two", "--style-shares", "7,3", *asked, "--out", "mixed.mid")
    assert mixed.exit_code == 0
    assert {"style: etude.mid, a.mid, b.mid", "style_shares: [7.0, 1.5, 1.5]"} <= set(
        read_tracks(folder / "mixed.mid").text
    )
    named = [flag for name in ("etude.mid", "two/a.mid", "two/deeper/b.mid") for flag in ("--style", name)]
    generate(*named, "--style-shares", "14,3,3", *asked, "--out", "named.mid")
    assert read_midi(folder / "named.mid").equals(read_midi(folder / "mixed.mid"))
    generate("--style", "two", *asked, "--out", "whole.mid")
    text = read_tracks(folder / "whole.mid").text
    assert "style: a.mid, b.mid" in text
    assert not any(line.startswith("style_shares") for line in text)
    refused(generate("--style", "two", "--style", "etude.mid", "--out", "two/a.mid", "--force"), 2, "input")


def test_the_seed_that_is_told_gives_the_same_again(folder: Path) -> None:
    told = json.loads(generate("--melody", "tune.mid", "--out", "one.mid", "--json").stdout)
    again = generate("--melody", "tune.mid", "--out", "two.mid", "--seed", str(told["seed"]))
    assert again.exit_code == 0
    assert read_midi(folder / "one.mid").equals(read_midi(folder / "two.mid"))


def test_json_is_one_object_with_the_facts(folder: Path) -> None:
    result = generate("--seconds", "2", "--seed", "3", "--temperature", "1.1", "--out", "new/free.mid", "--json")
    (line,) = result.stdout.splitlines()
    facts = json.loads(line)
    assert facts["out"] == "new/free.mid"
    notes = read_midi(folder / facts["out"])
    assert facts["notes"] == len(notes) > 0
    assert facts["seconds"] == pytest.approx(notes.duration_seconds, abs=0.002)
    assert (facts["seed"], facts["settings"]["temperature"], facts["settings"]["style"]) == (
        3 + facts["retries"],
        1.1,
        None,
    )
    assert min(facts["tokens"], facts["tokens_per_second"], facts["real_time_factor"], facts["seconds_taken"]) > 0


def test_settings_left_out_are_the_checkpoints(folder: Path) -> None:
    facts = {"training": {"tokens": 50}, "generation": {"temperature": 0.8, "top_k": 40}}
    save_checkpoint(folder / "tuned", Autoencoder(SMALL), facts)
    result = generate("--seconds", "1", "--top-k", "30", "--json", checkpoint="tuned")
    settings = json.loads(result.stdout)["settings"]
    assert (settings["temperature"], settings["top_k"]) == (0.8, 30)


def test_a_retry_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = StyleTransfer.generate

    def second_try(self: StyleTransfer, *arguments: Any, **more: Any) -> Any:
        result = played(self, *arguments, **more)
        return dataclasses.replace(result, seed=result.seed + 1, retries=1)

    monkeypatch.setattr(StyleTransfer, "generate", second_try)
    result = generate("--seconds", "1", "--seed", "7")
    assert "seed 7 gave no notes worth keeping; seed 8 was taken" in result.stderr


def test_a_style_of_a_program_is_said(folder: Path) -> None:
    start = np.repeat(np.arange(20) * 0.25, 2)
    write_midi("program.mid", Notes.from_arrays(start, start + 0.25, np.tile([48, 60], 20), np.full(40, 80)))
    of_a_program, of_a_person = (
        generate("--style", f"{name}.mid", "--seconds", "1", "--out", f"{name}-out.mid")
        for name in ("program", "etude")
    )
    assert "the style was written by a program, on a grid, and so is what was played" in of_a_program.stderr
    assert "grid" not in of_a_person.stderr


def test_a_style_that_is_not_exaggerated_as_asked_is_said(folder: Path) -> None:
    short, long = (
        generate("--style", f"{name}.mid", "--seconds", "1", "--style-strength", "3") for name in ("short", "etude")
    )
    assert "the style is short: --style-strength 3 became 1.3" in short.stderr
    assert "became" not in long.stderr


def test_a_first_piece_is_not_told_as_slow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def at_once(tell: Callable[[], None]) -> Iterator[None]:
        tell()
        yield

    assert "tokens/s" in generate("--seconds", "1", "--seed", "1", "--out", "a.mid").stderr
    monkeypatch.setattr("musicstyle.compiling.told_of_compiling", at_once)
    told = generate("--seconds", "1", "--seed", "1", "--out", "b.mid").stderr
    assert told.startswith("compiling for this processor, once")
    assert "compiling included" in told
    assert "tokens/s" not in told


def test_one_track_can_be_the_melody(folder: Path) -> None:
    result = generate("--melody", "tune.mid", "--melody-track", "0", "--seed", "1")
    assert result.exit_code == 0, result.stderr
    refused(generate("--melody", "tune.mid", "--melody-track", "flute", "--out", "x.mid"), 2, "tune.mid", "flute")


@pytest.mark.parametrize("flag", ["--style", "--melody"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.mid", "no such file"),
        ("empty.mid", "empty"),
        ("cut.mid", "cut short"),
        ("text.mid", "not a MIDI file"),
        ("drums.mid", "only drums"),
        ("silent.mid", "no notes"),
    ],
)
def test_a_bad_file_costs_one_line_and_leaves_nothing(folder: Path, flag: str, name: str, reason: str) -> None:
    before = sorted(folder.rglob("*"))
    refused(generate(flag, name), 1, name, reason)
    assert sorted(folder.rglob("*")) == before


def test_a_melody_shorter_than_a_second_is_refused(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    refused(generate("--melody", "short.mid"), 1, "short.mid", "1 s")
    assert sorted(folder.rglob("*")) == before


def spoil(path: Path, how: str) -> None:
    if how == "nothing there":
        path.rename(path.with_name("elsewhere"))
    elif how == "another width":
        facts = json.loads((path / CONFIG).read_text())
        facts["model"]["width"] = 36
        (path / CONFIG).write_text(json.dumps(facts))
    elif how == "weights cut":
        (path / WEIGHTS).write_bytes((path / WEIGHTS).read_bytes()[:-9])
    elif how == "no weights":
        (path / WEIGHTS).unlink()
    else:
        (path / CONFIG).write_text("{")


@pytest.mark.parametrize("how", ["nothing there", "another width", "weights cut", "no weights", "config broken"])
def test_a_checkpoint_that_does_not_fit_is_refused(folder: Path, how: str) -> None:
    spoil(folder / "model", how)
    before = sorted(folder.rglob("*"))
    refused(generate("--melody", "tune.mid"), 1, "model")
    assert sorted(folder.rglob("*")) == before


def test_a_checkpoint_that_hears_no_style_says_so(folder: Path) -> None:
    deaf = dataclasses.replace(SMALL, conditions="melody")
    save_checkpoint(folder / "deaf", Autoencoder(deaf), {"training": {"tokens": 50}})
    refused(generate("--style", "etude.mid", checkpoint="deaf"), 2, "deaf", "--style")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--temperature", "11"], ["--temperature", "11", "10"]),
        (["--top-p", "0"], ["--top-p"]),
        (["--top-k", "-1"], ["--top-k"]),
        (["--seconds", "nan"], ["--seconds"]),
        (["--motif-strength", "11"], ["--motif-strength", "11", "10"]),
        (["--seed", "-1"], ["--seed"]),
        (["--style-strength", "2"], ["--style-strength", "--style"]),
        (["--style", ""], ["--style", "empty name"]),
        (["--melody", ""], ["--melody", "empty name"]),
        (["--style-shares", "1"], ["--style-shares", "--style"]),
        (["--style", "etude.mid", "--style-shares", "1;2"], ["--style-shares", "1;2", "7,3"]),
        (["--style", "etude.mid", "--style-shares", "1,2"], ["--style-shares", "2 numbers for 1", "one for each"]),
        (["--style", "model"], ["model", "no .mid or .midi files"]),
        (["--melody-track", "1"], ["--melody-track", "--melody"]),
        (["--out", "song.doc"], ["song.doc", ".mid", ".wav"]),
        (["--out", "etude.mid"], ["etude.mid", "--force"]),
        (["--out", "tune.mid", "--melody", "tune.mid", "--force"], ["tune.mid", "input"]),
        (["--out", "tune.mid/x.mid"], ["tune.mid", "no folder"]),
        (["--device", "abacus"], ["--device", "abacus"]),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.setattr(StyleTransfer, "load", Mock(side_effect=AssertionError("work was begun")))
    etude = (folder / "etude.mid").read_bytes()
    before = sorted(folder.rglob("*"))
    refused(generate(*arguments), 2, *words)
    assert sorted(folder.rglob("*")) == before
    assert (folder / "etude.mid").read_bytes() == etude


def test_a_folder_is_no_tune(folder: Path) -> None:
    refused(generate("--melody", "model"), 1, "model", "folder")


def test_a_folder_is_no_file_even_by_force(folder: Path) -> None:
    (folder / "songs.mid").mkdir()
    refused(generate("--out", "songs.mid", "--force"), 2, "songs.mid", "name of a file")


def test_a_default_name_that_is_too_long_is_told_with_what_to_do(folder: Path) -> None:
    write_midi(folder / f"{'a' * 240}.mid", scale(9))
    refused(
        generate("--melody", f"{'a' * 240}.mid", "--style", "etude.mid"), 2, "File name too long", "give another --out"
    )


def test_force_writes_over_a_file(folder: Path) -> None:
    (folder / "old.mid").write_text("old")
    assert generate("--seconds", "1", "--out", "old.mid", "--force").exit_code == 0
    assert len(read_midi(folder / "old.mid"))


def test_force_with_a_tune_in_text_that_is_longer_than_a_files_name(folder: Path) -> None:
    (folder / "old.mid").write_text("old")
    result = generate("--melody", "C4 " * 90, "--seconds", "1", "--out", "old.mid", "--force")
    assert result.exit_code == 0, result.stderr


def test_ctrl_c_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StyleTransfer, "generate", Mock(side_effect=KeyboardInterrupt))
    before = sorted(folder.rglob("*"))
    result = generate("--seconds", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "musicstyle: stopped\n")
    assert sorted(folder.rglob("*")) == before


def test_a_failure_while_writing_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Generation.save
    for error, code in ((KeyboardInterrupt(), 130), (OSError(28, "No space left on device", "x-2.mid"), 1)):

        def second_fails(self: Generation, path: Path, error: BaseException = error) -> None:
            if path.stem.endswith("2"):
                raise error
            save(self, path)

        monkeypatch.setattr(Generation, "save", second_fails)
        before = sorted(folder.rglob("*"))
        result = generate("--variations", "3", "--seconds", "1", "--seed", "1", "--out", "x.mid")
        assert (result.exit_code, result.stdout) == (code, "")
        assert sorted(folder.rglob("*")) == before


def test_variations_are_ranked_numbered_and_told(folder: Path) -> None:
    result = generate("--style", "etude.mid", "--melody", "tune.mid", "--seed", "8", "--variations", "3")
    stem = "tune-in-the-style-of-etude"
    assert result.stdout.splitlines() == [f"{stem}-{rank}.mid" for rank in (1, 2, 3)]
    assert "ranked by the mean of melody kept and nearness to the style" in result.stderr
    told = [line for line in result.stderr.splitlines() if line.startswith(stem)]
    assert len(told) == 3
    again = generate(
        "--style", "etude.mid", "--melody", "tune.mid", "--seed", "8", "--variations", "3", "--json", "--force"
    )
    facts = json.loads(again.stdout)["variations"]
    means = [(one["melody_kept"] + one["style_near"]) / 2 for one in facts]
    assert means == sorted(means, reverse=True)
    assert {one["seed"] for one in facts} == {8, 9, 10}
    largest = str(2**64)  # whatever is told as the best one's seed can be given again
    told = generate("--seed", largest, "--variations", "2", "--seconds", "1", "--out", "y.mid").stderr.split("--seed ")[
        1
    ]
    assert generate("--seed", told.strip(), "--seconds", "1", "--out", "z.mid").exit_code == 0
    asked = ("--variations", "2", "--seconds", "1", "--temperature", "0")
    refused(generate(*asked), 2, "2 variations at temperature 0 would be the same")
    (folder / "x-2.mid").write_text("mine")
    refused(generate("--variations", "2", "--seconds", "1", "--out", "x.mid"), 2, "x-2.mid", "--force")


def test_keep_melody_tempo_transposition_and_primer_reach_the_file(folder: Path) -> None:
    asked = ["--keep-melody", "--tempo", "150%", "--transpose", "3", "--prime", "etude.mid", "--min-p", "0.02"]
    result = generate("--melody", "tune.mid", "--out", "x.mid", "--seed", "4", "--json", *asked)
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    settings = facts["settings"]
    assert (settings["tempo"], settings["transpose"], settings["min_p"]) == (1.5, 3, 0.02)
    assert (settings["keep_melody"], settings["prime"]) == (True, "etude.mid")
    notes = read_midi(folder / "x.mid")
    assert 0 < facts["new_notes"] < facts["notes"] == len(notes)
    etude = read_midi(folder / "etude.mid")
    assert notes[notes.start < 7.9].pitch.tolist() == etude.pitch.tolist()
    begin = np.ceil(etude.duration_seconds * 10) / 10
    for start, pitch in zip(scale(9).start / 1.5 + begin, scale(9).pitch + 3, strict=True):
        assert np.abs(notes.start[notes.pitch == pitch] - start).min() <= 0.1
    assert "keep_melody: True" in read_tracks(folder / "x.mid").text


def test_auto_transposition_is_said(folder: Path) -> None:
    write_midi(folder / "high.mid", scale(9, first=90))
    result = generate("--style", "etude.mid", "--melody", "high.mid", "--transpose", "auto", "--seed", "1")
    assert result.exit_code == 0, result.stderr
    assert "semitones lower, in the register of the style, and moved back" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--melody", "tune.mid", "--tempo", "120"], ["--tempo", "120", "0.25", "4"]),
        (["--melody", "tune.mid", "--tempo", "fast"], ["--tempo", "fast", "120%"]),
        (["--melody", "tune.mid", "--transpose", "up"], ["--transpose", "up", "auto"]),
        (["--melody", "tune.mid", "--transpose", "auto"], ["--transpose auto", "--style"]),
        (["--tempo", "2"], ["--tempo", "--melody"]),
        (["--keep-melody"], ["--keep-melody", "--melody"]),
        (["--free-melody"], ["--free-melody", "--melody"]),
        (["--variations", "0"], ["--variations"]),
        (["--variations", "2", "--out", "."], ["what to write is known by the ending"]),
        (["--variations", "2", "--play"], ["--play", "--variations"]),
        (["--prime", "etude.mid", "--out", "etude.mid", "--force"], ["etude.mid", "input"]),
    ],
)
def test_what_cannot_be_meant_of_the_newer_settings_is_refused_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    test_what_cannot_be_meant_is_refused_before_any_work(folder, monkeypatch, arguments, words)


def test_help_tells_the_defaults_and_that_a_checkpoint_may_have_others() -> None:
    shown = " ".join(CliRunner().invoke(main, ["generate", "--help"]).stdout.split())
    for name in ("temperature", "top_k", "top_p", "min_p", "melody_strength", "style_strength", "motif_strength"):
        says = shown.split(f"--{name.replace('_', '-')} ")[1].split(" --")[0]
        assert f"default: {getattr(GenerationOptions(), name):g}, or the checkpoint's." in says, name


class Silent:
    """Keys nobody hears; the fourth strike is when the person presses Ctrl-C, if at all."""

    def __init__(self, interrupt: bool) -> None:
        self.left = 4 if interrupt else 10**9

    def strike(self, *_: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def release(self, pitch: int) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("interrupt", [False, True])
def test_play_writes_what_was_heard(folder: Path, monkeypatch: pytest.MonkeyPatch, interrupt: bool) -> None:
    monkeypatch.setattr("musicstyle.generation.sinks.open_keys", lambda _: Silent(interrupt))
    asked = ["--melody", "tune.mid", "--seed", "3", "--keep-melody"]  # nine strikes at least
    result = generate(*asked, "--play", "Some Port", "--out", "x.mid")
    assert result.stdout == "x.mid\n"
    assert "the first note sounded after" in result.stderr
    whole = generate(*asked, "--out", "whole.mid")
    assert whole.exit_code == 0
    played, notes = read_midi(folder / "x.mid"), read_midi(folder / "whole.mid")
    if interrupt:
        assert result.exit_code == 130
        assert "stopped; what was played until then" in result.stderr
        assert result.stderr.splitlines()[-1].endswith("again with --seed 3")
        assert 0 < len(played) < len(notes)
        assert played.pitch.tolist() == notes.pitch[: len(played)].tolist()
    else:
        assert result.exit_code == 0
        assert played.equals(notes)


def test_what_was_heard_is_told_as_json_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicstyle.generation.sinks.open_keys", lambda _: Silent(interrupt=True))
    result = generate("--melody", "tune.mid", "--keep-melody", "--play", "--out", "x.mid", "--json")
    assert result.exit_code == 130
    facts = json.loads(result.stdout)
    assert (facts["out"], facts["notes"]) == ("x.mid", len(read_midi(folder / "x.mid")))


def test_ctrl_c_pressed_again_loses_nothing_of_what_was_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Silent):
        def strike(self, *_: int) -> None:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGINT)

        def close(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("musicstyle.generation.sinks.open_keys", lambda _: Impatient(interrupt=True))
    before = signal.getsignal(signal.SIGINT)
    result = generate("--melody", "tune.mid", "--seed", "3", "--keep-melody", "--play", "--out", "x.mid")
    assert (result.exit_code, result.stdout) == (130, "x.mid\n"), result.exception
    assert "stopped; what was played until then" in result.stderr
    assert len(read_midi(folder / "x.mid")) >= 3
    assert signal.getsignal(signal.SIGINT) == before


def test_listening_is_not_counted_as_writing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("musicstyle.generation.sinks.open_keys", lambda _: Silent(interrupt=False))
    began = time.monotonic()
    result = generate("--melody", "tune.mid", "--keep-melody", "--play", "--out", "x.mid", "--json")
    facts = json.loads(result.stdout)
    assert facts["seconds_taken"] < time.monotonic() - began - 0.5  # of which it sounded for two seconds and more


@pytest.mark.parametrize("more", [[], ["--prime", "etude.mid"]])
def test_ctrl_c_during_the_lead_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    """Half a second is written and nothing has sounded yet."""
    monkeypatch.setattr("musicstyle.generation.sinks.open_keys", lambda _: Silent(interrupt=False))
    monkeypatch.setattr(live._Writer, "next", Mock(side_effect=KeyboardInterrupt))
    before = sorted(folder.rglob("*"))
    result = generate("--melody", "tune.mid", "--keep-melody", *more, "--play", "--out", "x.mid")
    assert (result.exit_code, result.stdout) == (130, ""), result.exception
    assert result.stderr.splitlines()[-1] == "musicstyle: stopped before the first note; nothing was written"
    assert sorted(folder.rglob("*")) == before
