"""A file is whole or absent."""

from __future__ import annotations

import errno
import pickle
from contextlib import suppress
from pathlib import Path

import pytest

from musicstyle import files
from musicstyle.errors import MidiError, MusicstyleError, UsageError
from musicstyle.files import all_or_none, paths_below, put_back, replace_folder, set_aside, write_atomically


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


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Not the file beside; but another that its writer misses is that one's fault."""
    with (
        pytest.raises(OSError, match=r"No space left on device: .*song.mid'") as full,
        write_atomically(tmp_path / "song.mid"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(tmp_path / "song.mid"))
    with pytest.raises(OSError, match=r"'/proc/song.mid'"), write_atomically("/proc/song.mid"):
        pass
    with (
        pytest.raises(FileNotFoundError, match=r"directory: .*font.sf2'"),
        write_atomically(tmp_path / "song.mid"),
    ):
        (tmp_path / "font.sf2").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_of_several_files_all_stay_or_none(tmp_path: Path) -> None:
    for fails in (True, False):
        with suppress(KeyboardInterrupt), all_or_none() as written:
            for name in ("a", "b"):
                (tmp_path / name).touch()
                written.append(tmp_path / name)
            if fails:
                raise KeyboardInterrupt
        assert len(list(tmp_path.iterdir())) == (0 if fails else 2)


def test_the_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with write_atomically(tmp_path / "written") as beside:
        beside.unlink()
        beside.touch(0o600)  # as safetensors does
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def filled(folder: Path, text: str) -> None:
    with replace_folder(folder) as new:
        (new / text).touch()


def test_a_new_folder_takes_the_place_of_the_old_one_and_nothing_else_is_left(tmp_path: Path) -> None:
    for text in ("first", "second", "third"):
        filled(tmp_path / "deep" / "run", text)
        assert [path.name for path in (tmp_path / "deep").rglob("*")] == ["run", text]
        filled(set_aside(tmp_path / "deep" / "run"), "left by a process that was killed while it removed this")


def test_a_folder_that_fails_or_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "run", "first")
    with pytest.raises(TypeError, match="touch"), replace_folder(tmp_path / "run") as new:
        (new / "second").touch(exists=True)  # type: ignore[call-arg]
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name not in ("run", set_aside(tmp_path / "run").name):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path / "run", "second")
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "first"]


def test_there_is_always_a_whole_folder_whenever_a_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rename, moments = tmp_path / "run", Path.rename, []

    def watched(path: Path, target: Path) -> Path:
        moments.append([(folder / "first").exists() for folder in (run, set_aside(run))])
        return rename(path, target)

    filled(run, "first")
    monkeypatch.setattr(Path, "rename", watched)
    filled(run, "second")
    assert moments == [[True, False], [False, True]]
    monkeypatch.undo()
    filled(run, "first")
    run.rename(set_aside(run))  # as a kill at the second moment leaves it
    monkeypatch.setattr(Path, "rename", watched)
    filled(run, "second")
    assert moments[2:] == [[False, True]]
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "second"]


def test_what_a_reader_holds_for_a_moment_is_moved_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows."""
    refusals, rename = [2, 0, 2], Path.rename

    def held(path: Path, target: Path) -> Path:
        if refusals and refusals[0]:
            refusals[0] -= 1
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        del refusals[:1]
        return rename(path, target)

    monkeypatch.setattr(files, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(Path, "rename", held)
    for text in ("first", "second"):
        filled(tmp_path / "run", text)
    assert not refusals
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "second"]
    refusals[:] = [4]
    with pytest.raises(PermissionError):
        filled(tmp_path / "run", "third")
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "second"]


def test_what_was_set_aside_is_put_back_where_nothing_stands(tmp_path: Path) -> None:
    run = tmp_path / "run"
    put_back(run)
    assert not run.exists()
    filled(set_aside(run), "first")
    put_back(run)
    assert (run / "first").exists()
    filled(set_aside(run), "second")
    put_back(run)
    assert (run / "first").exists()


def test_what_lies_below_a_folder_is_found_through_links_and_once(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for path in (inside / "a", inside / "deep/b", outside / "c"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (inside / "linked").symlink_to(outside, target_is_directory=True)
    (inside / "deep/circle").symlink_to(inside, target_is_directory=True)
    found = [path.relative_to(inside).as_posix() for path in paths_below(inside)]
    assert sorted(found) == ["a", "deep/b", "linked/c"]
    with pytest.raises(FileNotFoundError, match="absent"):
        list(paths_below(tmp_path / "absent"))


def test_a_midi_error_is_one_line_and_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(MidiError("a.mid", "is empty")))
    assert issubclass(MidiError, MusicstyleError)
    assert isinstance(error, MidiError)
    assert (str(error), error.path, error.reason) == ("a.mid: is empty", "a.mid", "is empty")


def test_exit_codes() -> None:
    assert MidiError("a", "b").exit_code == 1
    assert UsageError("c").exit_code == 2
