"""The default checkpoint is found in a clone and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicstyle import resources


def test_in_a_clone_it_lies_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "musicstyle")
    assert resources.default_checkpoint() == tmp_path / "checkpoints" / "default"


def test_in_a_wheel_it_lies_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "site-packages" / "musicstyle" / "_checkpoints" / "default"
    inside.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "site-packages" / "musicstyle")
    assert resources.default_checkpoint() == inside
