"""A file is whole or absent."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from musicstyle.errors import MidiError, MusicstyleError, UsageError
from musicstyle.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_success_leaves_the_file_and_nothing_else(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "deep" / "song.mid") as beside:
        assert beside.suffix == ".mid"
        beside.write_text("whole")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["song.mid"]
    assert (tmp_path / "deep" / "song.mid").read_text() == "whole"


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    path.write_text("old")
    with pytest.raises(TypeError, match="data must be str"), write_atomically(path) as beside:
        beside.write_text(b"half")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_the_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with write_atomically(tmp_path / "written") as beside:
        beside.unlink()
        beside.touch(0o600)  # as safetensors does
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_midi_error_is_one_line_and_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(MidiError("a.mid", "is empty")))
    assert issubclass(MidiError, MusicstyleError)
    assert isinstance(error, MidiError)
    assert (str(error), error.path, error.reason) == ("a.mid: is empty", "a.mid", "is empty")


def test_exit_codes() -> None:
    assert MidiError("a", "b").exit_code == 1
    assert UsageError("c").exit_code == 2
