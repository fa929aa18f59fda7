"""`musicstyle melody`: what is printed, written and refused."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from some_notes import random_notes

from musicstyle.cli import main
from musicstyle.music.melody import extract_melody
from musicstyle.music.midi import read_midi, read_tracks, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.outputs.picture import write_picture
from musicstyle.music.plaintext import parse_tune

TUNE = "tempo=60 C4 D4:2 R:0.5 E4:0.25 Bb3:1.125"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["melody", *map(str, arguments)])


@pytest.fixture
def piece(tmp_path: Path) -> Path:
    write_midi(tmp_path / "piece.mid", random_notes(4, 60))
    return tmp_path / "piece.mid"


def test_a_tune_is_printed_as_it_was_given() -> None:
    done = call(TUNE)
    assert done.exit_code == 0, done.output
    assert parse_tune(done.stdout).notes.equals(parse_tune(TUNE).notes)
    assert "4 of 4 notes are the melody" in done.stderr


def test_a_tune_in_text_is_recorded_whole(tmp_path: Path) -> None:
    tune = "C4:1/2 D4:1/2 E4:3/2 F4:2"
    assert call(tune, "--out", tmp_path / "out.mid").exit_code == 0
    assert read_tracks(tmp_path / "out.mid").text[0] == f"melody of: {tune}"


def test_a_name_that_is_no_text_is_written_and_drawn(piece: Path, tmp_path: Path) -> None:
    try:
        piece = piece.rename(tmp_path / "caf\udce9.mid")
    except OSError:
        pytest.skip("this file system holds text only")
    done = call(piece, "--out", tmp_path / "out.mid", "--plot", tmp_path / "out.png")
    assert done.exit_code == 0, done.output
    assert read_tracks(tmp_path / "out.mid").text[0] == "melody of: caf?.mid"


@pytest.mark.parametrize("extractor", ["line", "published"])
def test_a_piece_s_melody_is_written_and_told(piece: Path, tmp_path: Path, extractor: str) -> None:
    out = tmp_path / "out.mid"
    done = call(piece, "--out", out, "--extractor", extractor, "--json")
    assert done.exit_code == 0, done.output
    melody = extract_melody(read_midi(piece), extractor)  # type: ignore[arg-type]
    written, told = read_midi(out), json.loads(done.stdout)
    assert written.equals(melody, tolerance_seconds=1e-3)
    assert told["melody_notes"] == len(melody) < told["notes"] == 60
    start, end, pitch, velocity = np.array(told["melody"]).T
    assert Notes.from_arrays(start, end, pitch, velocity).equals(melody, tolerance_seconds=1e-3)
    assert (told["out"], told["plot"], told["extractor"]) == (str(out), None, extractor)
    assert read_tracks(out).text == (f"melody of: {piece.name}", f"extractor: {extractor}")


@pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture(piece: Path, tmp_path: Path, suffix: str, begins: bytes) -> None:
    plot = tmp_path / f"a $picture{suffix}"
    done = call(piece, "--plot", plot)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{plot}\n"
    assert plot.read_bytes().startswith(begins)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["piece.mid", plot.name])


def test_the_picture_is_that_of_the_melody_and_the_same_again(piece: Path, tmp_path: Path) -> None:
    name = "a $ and a \x1b.mid"
    (tmp_path / name).write_bytes(piece.read_bytes())
    for plot in ("a.svg", "b.svg"):
        assert call(tmp_path / name, "--plot", tmp_path / plot).exit_code == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    notes = read_midi(piece)
    title = f"{name}: the melody, by the line extractor"
    write_picture(tmp_path / "c.svg", notes, extract_melody(notes, "line"), title)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "c.svg").read_bytes()
    write_picture(tmp_path / "c.svg", notes, extract_melody(notes, "published"), title)
    assert (tmp_path / "a.svg").read_bytes() != (tmp_path / "c.svg").read_bytes()


def test_a_track(tmp_path: Path, piece: Path) -> None:
    assert json.loads(call(piece, "--melody-track", "0", "--json").stdout)["notes"] == 60
    with pytest.raises(Exception, match="no track '5'"):
        CliRunner().invoke(
            main, ["melody", str(piece), "--melody-track", "5"], catch_exceptions=False, standalone_mode=False
        )


def test_notes_that_no_piano_has(tmp_path: Path) -> None:
    write_midi(tmp_path / "low.mid", Notes.from_arrays([0, 1], [1, 2], [12, 14], [90, 90]))
    done = call(tmp_path / "low.mid")
    assert (done.exit_code, "no notes within the piano's range" in done.stderr) == (1, True)


def test_all_is_written_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("musicstyle.cli.melody.write_picture", full)
    done = call("C4 D4 E4", "--out", tmp_path / "a.mid", "--plot", tmp_path / "a.png")
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing.mid"], 1, "nothing.mid: no such file"),
        (["C4 X4"], 1, "'X4' is no note"),
        (["C4 D4", "--out", "x.wav"], 2, "let --out end in .mid"),
        (["C4 D4", "--plot", "x.jpg"], 2, "let --plot end in .png"),
        (["C4 D4", "--extractor", "loudest"], 2, "loudest"),
        (["C4 D4", "--force"], 2, "--force means nothing without --out or --plot"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], code: int, message: str) -> None:
    done = call(*arguments)
    assert done.exit_code == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_written_over_unasked(piece: Path, tmp_path: Path) -> None:
    out = tmp_path / "there.mid"
    out.write_text("mine")
    done = call(piece, "--out", out)
    assert (done.exit_code, out.read_text()) == (2, "mine")
    assert "--force" in done.stderr
    assert call(piece, "--out", out, "--force").exit_code == 0
    (tmp_path / "link.mid").symlink_to(piece)
    (tmp_path / "sub").mkdir()
    before = piece.read_bytes()
    for same in (piece, tmp_path / "sub" / ".." / piece.name, tmp_path / "link.mid"):
        assert call(piece, "--out", same, "--force").exit_code == 2
    assert piece.read_bytes() == before
    assert call(piece, "--out", piece / "below.mid").exit_code == 2
    assert call(piece, "--out", tmp_path, "--force").exit_code == 2
