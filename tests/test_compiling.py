"""Who waits for the compiler is told, once; what cannot be kept is compiled all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

from musicstyle import compiling
from musicstyle.compiling import compiled, told_of_compiling


def double(x: float) -> float:
    return 2 * x


def test_the_first_use_is_told_of_once_and_the_second_is_not() -> None:
    told: list[str] = []
    fresh = compiling._njit(double)
    with told_of_compiling(lambda: told.append("compiling")):
        assert fresh(2) == 4
        assert fresh(2.5) == 5.0  # another type, compiled again
    assert told == ["compiling"]
    with told_of_compiling(lambda: told.append("again")):
        assert fresh(3) == 6
    assert told == ["compiling"]


def test_where_no_folder_can_be_written_it_is_compiled_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def njit(*, cache: bool = False, **options: Any) -> Any:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(compiling, "_njit", njit)
    assert compiled(double)(2.0) == 4.0
    assert asked == [True, False]


INNER = "from musicstyle.compiling import compiled\n\n@compiled\ndef inner(x):\n    return x + {}\n"
OUTER = """
from inner import inner
from musicstyle.compiling import compiled, told_of_compiling

@compiled
def outer(x):
    return 10 * inner(x)

told = []
with told_of_compiling(lambda: told.append(1)):
    print(outer(1), len(told))
"""


def test_what_is_kept_is_of_the_function_that_is_called_too(tmp_path: Path) -> None:
    """numba by itself would run the old `outer`, with the old `inner` in it."""
    (tmp_path / "outer.py").write_text(OUTER)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": os.pathsep.join(sys.path)}
    said = []
    for added in (1, 1, 2):
        (tmp_path / "inner.py").write_text(INNER.format(added))
        command = [sys.executable, "outer.py"]
        said.append(subprocess.check_output(command, cwd=tmp_path, env=environment, text=True).split())
    assert said == [["20", "1"], ["20", "0"], ["30", "1"]]


STEPS = """
import hashlib
import numpy as np
import torch
from musicstyle.compiling import told_of_compiling
from musicstyle.generation.compiled_stepper import CompiledStepper
from musicstyle.model.checkpoint import load_checkpoint
from musicstyle.resources import default_checkpoint

model, _ = load_checkpoint(default_checkpoint())
hears = torch.tensor([True, False])
melody = torch.arange(100).expand(2, -1) % (model.config.melody_vocabulary_size - 2) + 2
condition = model.condition(melody, torch.linspace(-1, 1, model.style_width).expand(2, -1), hears, hears)
stepper, told, said = CompiledStepper(model, condition, np.arange(2), int8=True), [], hashlib.sha256()
with told_of_compiling(lambda: told.append(1)):
    for token in range(100):
        ids = (np.arange(2) + 97 * token) % model.config.vocabulary_size
        said.update(stepper.step(ids, np.full(2, 9 * token), np.outer(ids, np.arange(stepper.keys)) % 31).tobytes())
print(said.hexdigest(), len(told))
"""


def test_the_process_that_compiles_plays_what_those_play_that_find_it_compiled(tmp_path: Path) -> None:
    """To the last bit; fast arithmetic, whose sums another copy of a function adds up otherwise, did not."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    said = [
        subprocess.check_output([sys.executable, "-c", STEPS], env=environment, text=True).split() for _ in range(2)
    ]
    assert said == [[said[0][0], "1"], [said[0][0], "0"]]
