"""The benchmarks say what they leave out, take ratios within a round and tell mistakes in one line."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from some_notes import random_notes

from musicstyle.corpus.prepare import prepare
from musicstyle.corpus.store import SPLITS, Corpus
from musicstyle.evaluation import experiments
from musicstyle.evaluation.experiments import Halves
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.result import Generation
from musicstyle.model.config import ModelConfig
from musicstyle.music.conductor import UNSAID, Conducted
from musicstyle.music.midi import write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.profile import nearness_matrix

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import generation
import memorisation
import peers
import quantisation
import settings
import similarity
import sonority
import together
import training

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
CONFIG = ModelConfig(width=24, heads=2, head_width=12, feedforward_width=40, decoder_layers=1)


@pytest.mark.parametrize(
    ("package", "leave_out"),
    [
        ("transformers", lambda: generation.of_hugging_face(CONFIG, 4, 1, [4])),
        (
            "transformers",
            lambda: training.steps_of(training.Setting(CONFIG, 1, 8, "cpu", "32-true")).get("hugging_face"),
        ),
        ("onnxruntime", lambda: quantisation.onnx_routes(quantisation.Products(CONFIG), CONFIG) or None),
        ("torchao", lambda: quantisation.torchao_routes(lambda: quantisation.Products(CONFIG)) or None),
    ],
)
def test_a_peer_that_is_missing_is_named_once(
    package: str, leave_out: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (package, "torchao.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    peers.say_missing.cache_clear()
    assert leave_out() is leave_out() is None  # type: ignore[operator]
    (line,) = capsys.readouterr().err.splitlines()
    assert package in line
    assert "pip install '.[bench]'" in line


def test_real_playing_is_as_long_as_what_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"{number}.mid" for number in range(3)]
    for number, path in enumerate(paths):
        write_midi(path, random_notes(number, 120, 40.0))
    tune = random_notes(9, 20, 3.0).from_zero()
    lasts = tune.duration_seconds
    asked: list[float | None] = []

    class Player:
        default_options = staticmethod(GenerationOptions)

        def generate(self, style: Notes, melody: Path, options: GenerationOptions) -> Generation:  # noqa: ARG002
            asked.append(options.seconds)
            return Generation(tune, tune, options.seed, 0, 1, 1.0, {})

    def stretch(half: Halves, seconds: float, whole: Any = Halves.stretch) -> Notes:
        asked.append(seconds)
        return whole(half, seconds)

    monkeypatch.setattr(Halves, "stretch", stretch)
    monkeypatch.setattr(experiments, "read_melody", lambda _: Conducted(tune, UNSAID))
    monkeypatch.setattr(settings, "styles", lambda *_: paths)
    monkeypatch.setattr(settings, "tunes", lambda *_: [tmp_path / "tune.mid"])
    monkeypatch.setattr(settings.StyleTransfer, "load", lambda _: Player())
    monkeypatch.setattr("sys.argv", ["settings.py", "--seconds", "10"])
    settings.main()
    real, played = map(json.loads, capsys.readouterr().out.splitlines())
    assert (real["pairs"], played["share_100"]) == (3, 1)
    assert asked == [lasts] * 9  # the real stretch, what is played, and what its density is beside


def test_a_route_is_compared_with_ours_of_the_same_round() -> None:
    # The neighbour on the machine slows the last two rounds, and not by as much: the ratio of medians would be 2.
    taken = {"theirs": [30.0, 300.0, 60.0], quantisation.OURS: [10.0, 75.0, 30.0]}  # 3, 4 and 2 times as long
    assert quantisation.summary(taken) == {
        "theirs": {"cpu_microseconds_a_token": 60.0, "times_compiled_int8": 3.0},
        quantisation.OURS: {"cpu_microseconds_a_token": 30.0, "times_compiled_int8": 1.0},
    }


@pytest.mark.parametrize(("tokens", "rises"), [(64, {}), (256, {"float32": 2.0, "int8": 2.0, "engine": 2.0})])
def test_a_run_too_short_for_token_100_says_nothing_of_it(tokens: int, rises: dict[str, float]) -> None:
    run = {"per_cpu_second": {tokens: 10.0}, "cpu_ms_at": {mark: mark / 100 for mark in (100, 200) if mark <= tokens}}
    run["cpu_ms_at"][tokens] = 2.0
    kinds = ("float32", "int8", "engine", "engine_guided", "hugging_face")
    limit = {"float32": {"tokens_per_second": 20.0, "with_caches": 10.0}}
    told = generation.goals({**{kind: {"batch 1, threads 1": run} for kind in kinds}, "limit": limit}, tokens)
    assert told["last_token_over_token_100 (1)"] == rises
    assert told["float32_over_hugging_face (3)"] == 1


def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_midi(tmp_path / "midi" / f"{number}.mid", random_notes(number, 30))
    for script, *arguments in (
        ("corpus", "nowhere"),
        ("generation", "--checkpoint", "nowhere"),
        ("memorisation", "--data", "nowhere"),
        ("memorisation", "--data", str(prepare(tmp_path / "midi", tmp_path / "corpus").path)),
        ("recipe", "nowhere"),
        ("recipe", str(tmp_path / "corpus"), "--tokens", "1"),
        ("settings", "--seconds", "0.1"),
        ("settings", "--checkpoint", "nowhere"),
    ):
        monkeypatch.setattr("sys.argv", [f"{script}.py", *arguments])
        with pytest.raises(SystemExit):
            runpy.run_path(str(BENCHMARKS / f"{script}.py"), run_name="__main__")
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
        assert told.err.startswith(f"{script}.py: error: ")


def test_two_performances_are_the_fewest_that_have_a_ceiling() -> None:
    pieces = [random_notes(seed, 60, 20.0) for seed in range(2)]
    assert [similarity.ceiling(pieces[:count], nearness_matrix) is None for count in range(3)] == [True, True, False]


def test_what_is_played_besides_a_tune_is_in_time_and_in_its_key_or_not() -> None:
    """C E G C of a second each; besides, a C with the first, an F sharp 30 ms late, a G sharp for half of the G."""
    tune = Notes.from_arrays([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], [60, 64, 67, 72], [80] * 4)
    late = tune.shift(0.02)
    besides = Notes.from_arrays([0.0, 1.03, 2.5], [1.0, 2.0, 3.0], [48, 66, 44], [50] * 3)
    assert sorted(together.scale(tune).tolist()) == [0, 2, 4, 5, 7, 9, 11]
    figures = together.together([tune], [Notes.concatenate((late, besides))])
    assert figures == {
        "tune_deviation_ms": 0.0,  # late by the same
        "with_tune": [0.333, 0.333, 0.667],
        "in_scale": 0.333,
        "semitone": round(0.5 / (1 + 0.97 + 0.5), 3),
        "returned": None,
    }
    minor = Notes.from_arrays([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], [69, 72, 76, 69], [80] * 4)
    assert sorted(together.scale(minor).tolist()) == [0, 2, 4, 5, 7, 9, 11]
    assert together.scale(minor)[0] == 9


def test_what_returned_with_its_tune_is_counted_in_its_key() -> None:
    phrase = [60, 62, 64, 60, 67, 65, 64, 62]
    start = 0.5 * np.arange(16)
    melody = Notes.from_arrays(start, start + 0.4, phrase + [pitch + 2 for pitch in phrase], np.full(16, 70))
    first = Notes.from_arrays([0.0, 1.1, 2.0], [0.5, 1.5, 2.5], [48, 43, 50], [50] * 3)
    again = Notes.from_arrays([4.0, 5.05, 6.0, 7.0], [4.5, 5.5, 6.5, 7.5], [50, 45, 51, 70], [50] * 4)
    figures = together.together([melody], [Notes.concatenate((melody, first, again))])
    assert figures["returned"] == 0.5  # two of the four that are played to the second phrase
    assert together.together([melody[:8]], [melody[:8]])["returned"] is None


def test_ratios_are_of_what_is_played_over_what_is_real() -> None:
    pieces = [random_notes(seed, count) for seed, count in enumerate((30, 40, 90))]
    real = [random_notes(9, 10)] * 3
    assert settings.ratio(len, pieces, real) == 4
    assert settings.ratio(len, pieces[:2], [real[0], Notes.empty()]) == 3  # silence is beside nothing


def test_a_sequenced_performance_is_on_a_grid_and_all_as_loud() -> None:
    notes = settings.sequenced(Notes.from_arrays([0.07, 0.3, 0.31], [0.1, 0.7, 0.9], [60, 64, 64], [20, 90, 100]))
    assert (notes.start.tolist(), notes.end.tolist()) == ([0.125, 0.25], [0.25, 0.75])
    assert (notes.pitch.tolist(), notes.velocity.tolist()) == ([60, 64], [settings.LOUDNESS] * 2)


def test_copies_are_looked_for_in_what_was_not_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        write_midi(tmp_path / "midi" / f"{number}.mid", random_notes(number, 60))
    prepare(tmp_path / "midi", tmp_path / "corpus")
    corpus, fresh = (Corpus.open(tmp_path / "corpus") for _ in range(2))
    for one in (corpus, fresh):
        one.pieces["split"][:] = [SPLITS.index("train")] * 4 + [SPLITS.index("validation")]
    names = dict(zip((row["path"] for row in corpus.manifest["pieces"]), "abbcd", strict=True))
    monkeypatch.setattr(memorisation, "titles", lambda _: names)
    (again,) = memorisation.played_again(corpus, np.random.default_rng(1))
    assert again in (1, 2)  # the work that was played twice
    pieces = {"known": [corpus.notes(int(again))], "other": [corpus.notes(0)]}
    seen: dict[str, Any] = memorisation.measure(fresh, np.array([again]), pieces)
    assert seen["other"]["played"]["max"] == 60  # itself
    assert seen["known"]["played"]["max"] < 10  # not itself


def test_keys_that_sound_at_once_are_counted_and_clusters_and_low_thirds_told() -> None:
    """A second of five neighbours, a second of one key, a second of a low third and of the same higher up."""
    start = np.array([0.0] * 5 + [1.0] + [2.0] * 4 + [2.9])
    pitch = [60, 61, 62, 63, 64, 60, 40, 44, 60, 64, 20]
    piece = Notes.from_arrays(start, start + 1, pitch, [80] * 11)
    figures = sonority.sonority([piece])  # 30 moments, of which the last has five keys
    assert figures == {"keys": 3.367, "clusters": 0.333, "low_thirds": round(10 / (10 * 4 + 10 * 3 + 1), 3)}
    assert sonority.sonority([piece, piece]) == figures
