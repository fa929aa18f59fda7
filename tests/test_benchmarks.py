"""The benchmarks say what they leave out, take ratios within a round and find their data from anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musicstyle.model.config import ModelConfig

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import generation
import peers
import quantisation
import training

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
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


def test_a_route_is_compared_with_ours_of_the_same_round() -> None:
    # The neighbour on the machine slows the last two rounds for both.
    taken = {"theirs": [30.0, 60.0, 330.0], quantisation.OURS: [10.0, 20.0, 100.0]}
    assert quantisation.summary(taken) == {
        "theirs": {"cpu_microseconds_a_token": 60.0, "times_compiled_int8": 3.0},
        quantisation.OURS: {"cpu_microseconds_a_token": 20.0, "times_compiled_int8": 1.0},
    }
