"""What all tests share: the corpus folder, a reproducible hypothesis, one thread."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

# Before NumPy and torch are imported: OpenMP's spinning makes neighbours on a busy machine several times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# The same examples in every run, and no clock: a slow machine is not a failure.
settings.register_profile(
    "musicstyle", derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("musicstyle")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with maestro-v3.0.0, asap and melodies: $MUSICSTYLE_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("MUSICSTYLE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}; set MUSICSTYLE_DATA to a folder that holds maestro-v3.0.0 and melodies")
    return folder


@pytest.fixture(scope="session")
def examples_dir() -> Path:
    """The folder of the example melodies and style performances."""
    return ROOT / "examples"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Keep torch, where a test module has imported it, to one thread, whatever the code under test chose."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def example_script(examples_dir: Path) -> Iterator[Callable[[str], ModuleType]]:
    """A script of examples/ as a module, by its name; it imports its neighbours as a script does."""
    sys.path.insert(0, str(examples_dir))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(examples_dir))


@pytest.fixture(scope="session")
def make_performances(example_script: Callable[[str], ModuleType]) -> ModuleType:
    """The script examples/make_performances.py."""
    return example_script("make_performances")
