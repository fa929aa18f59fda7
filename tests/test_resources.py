"""The default checkpoint and the examples are found in a clone and in an installed wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from musicstyle import resources


def test_in_a_clone_it_lies_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "musicstyle")
    assert resources.default_checkpoint() == tmp_path / "checkpoints" / "default"
    assert resources.examples() == tmp_path / "examples"


def test_in_a_wheel_it_lies_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "site-packages" / "musicstyle" / "_checkpoints" / "default"
    inside.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "site-packages" / "musicstyle")
    (inside.parents[1] / "_examples").mkdir()
    assert resources.default_checkpoint() == inside
    assert resources.examples() == inside.parents[1] / "_examples"


def test_a_wheel_takes_all_of_it_along() -> None:
    """The build's table names every example and the checkpoint, and puts them where `resources` looks."""
    root = Path(resources.__file__).resolve().parents[1]
    wheel = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    packed = {path for pattern in wheel["include"] for path in root.glob(pattern.lstrip("/"))}
    assert set(resources.examples().rglob("*.mid")) | {resources.default_checkpoint()} <= packed
    assert wheel["sources"] == {
        "checkpoints/default": "musicstyle/_checkpoints/default",
        "examples": "musicstyle/_examples",
    }
