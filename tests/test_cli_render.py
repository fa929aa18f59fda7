"""`musicstyle render`: what is asked for is written, a mistake costs one line and leaves nothing behind."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from refusals import refused

from musicstyle.cli import main
from musicstyle.generation.transfer import read_melody
from musicstyle.music.midi import read_midi, read_tracks, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.scores import read_notes


def scale(count: int, first: int = 60, start_seconds: float = 0.0) -> Notes:
    start = start_seconds + np.arange(count) * 0.25
    return Notes.from_arrays(start, start + 0.2, first + np.arange(count) % 12, np.full(count, 70))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    played = Notes.concatenate([scale(5), scale(5, 40)])
    write_midi("piece.mid", played, text=["musicstyle: 0.1.0", "seed: 77", "style: <b>.mid"])
    write_midi("tune.mid", scale(5, start_seconds=2.0))
    write_midi("other.mid", played, text=["secret: of another program"])
    Path("text.mid").write_text("no music")
    Path("nowhere.mid").symlink_to("missing.mid")
    Path("round.mid").symlink_to("round.mid")
    return tmp_path


def render(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["render", *arguments])


def shown_in(page: str) -> dict[str, Any]:
    """The data that stands in a page."""
    text = Path(page).read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text.split('<script type="application/json">')[1].split("</script>")[0])
    return data


def test_several_outputs_at_once(folder: Path) -> None:
    names = ["a.wav", "new/a.png", "a.svg", "a.html"]
    result = render("piece.mid", *(word for name in names for word in ("--out", name)))
    assert (result.exit_code, result.stdout.splitlines()) == (0, names)
    assert soundfile.info("a.wav").duration > 1.2


def test_json_is_one_object(folder: Path) -> None:
    result = render("piece.mid", "--out", "a.ogg", "--json")
    assert json.loads(result.stdout) == {"outs": ["a.ogg"], "notes": 10, "seconds": 1.2}


def test_a_page_tells_the_settings_of_generated_files_only(folder: Path) -> None:
    render("piece.mid", "--out", "a.html", "--title", "A <i>title")
    page = Path("a.html").read_text(encoding="utf-8")
    assert "<dt>seed</dt><dd>77</dd>" in page
    assert "&lt;b&gt;.mid" in page
    assert "<h1>A &lt;i&gt;title</h1>" in page
    render("other.mid", "--out", "b.html")
    other = Path("b.html").read_text(encoding="utf-8")
    assert "secret" not in other
    assert "<h1>other</h1>" in other
    write_midi("long.mid", scale(5), text=["musicstyle: 0.1.0", "seed: 5", f"lyrics: {'la ' * 99}"])
    render("long.mid", "--out", "c.html")
    long = Path("c.html").read_text(encoding="utf-8")
    assert "<dt>seed</dt>" in long
    assert "lyrics" not in long


def test_the_tune_is_laid_where_it_is_played(folder: Path) -> None:
    # The tune's file begins with 2 s of silence, which `generate` leaves out.
    render("piece.mid", "--out", "a.html", "--melody", "tune.mid")
    notes = shown_in("a.html")
    assert [row[0] for row in notes["melody"]] == [0, 250, 500, 750, 1000]
    assert [row[4] for row in notes["notes"]] == [0, 1] * 5


def test_the_tune_is_laid_as_it_was_asked_for(folder: Path) -> None:
    """Twice as fast, three semitones higher and behind a primer, as the file says."""
    text = ["musicstyle: 0.1.0", "tempo: 2.0", "transpose: 3", "begin_seconds: 1.5"]
    tune = scale(5).stretch(0.5).transpose(3)
    write_midi("asked.mid", Notes.concatenate([scale(3, 40), tune.shift(1.5)]), text=text)
    assert render("asked.mid", "--out", "a.html", "--melody", "tune.mid").exit_code == 0
    assert [row[0] for row in shown_in("a.html")["melody"]] == [1500, 1625, 1750, 1875, 2000]
    assert [row[4] for row in shown_in("a.html")["notes"]] == [0] * 3 + [1] * 5


@pytest.mark.parametrize(
    "fact",
    ["tempo: fast", "tempo: 0", "tempo: nan", "transpose: 3 up", "transpose: 1" + "0" * 30, "begin_seconds: inf"],
)
def test_facts_of_others_move_no_tune(folder: Path, fact: str) -> None:
    write_midi("odd.mid", scale(5), text=["musicstyle: mine", fact])
    assert render("odd.mid", "--out", "a.html", "--melody", "tune.mid").exit_code == 0
    assert len(shown_in("a.html")["melody"]) == 5


def test_the_tune_is_of_the_track_that_was_heard(folder: Path) -> None:
    for name, pitch in (("descant", 84), ("tune", 60)):
        write_midi(f"{name}.mid", scale(5, pitch))
    tracks = [mido.MidiFile(f"{name}.mid").tracks[1] for name in ("descant", "tune")]
    for track, name in zip(tracks, ("descant", "tune"), strict=True):
        track.insert(0, mido.MetaMessage("track_name", name=name))
    file = mido.MidiFile(type=1, ticks_per_beat=500)
    file.tracks += tracks
    file.save("two.mid")
    for track, shown in (("tune", 60), ("None", 84), ("absent", 84)):
        write_midi("played.mid", scale(5, 60), text=["musicstyle: 0.1.0", f"melody_track: {track}"])
        assert render("played.mid", "--out", "a.html", "--melody", "two.mid", "--force").exit_code == 0
        assert shown_in("a.html")["melody"][0][2] == shown


def test_the_tune_of_a_polyphonic_piece_is_the_one_that_generate_plays(folder: Path) -> None:
    # A long, soft, high note over a loud tune: the published search would take it.
    pad = Notes.from_arrays([0.0], [6.0], [96], [20])
    loud = Notes.from_arrays(np.arange(12) * 0.5, np.arange(12) * 0.5 + 0.45, 70 + np.arange(12) % 5, np.full(12, 100))
    write_midi("both.mid", Notes.concatenate([pad, loud]))
    render("both.mid", "--out", "b.html", "--melody", "both.mid")
    data = shown_in("b.html")
    shown = [row[0] for row in data["melody"]]
    assert shown == [round(1000 * seconds) for seconds in read_melody("both.mid").notes.start]
    assert len(shown) > 1


def test_the_tune_may_be_text(folder: Path) -> None:
    result = render("piece.mid", "--out", "a.html", "--melody", "tempo=240 C4 C#4 D4 D#4 E4")
    assert result.exit_code == 0, result.stderr
    data = shown_in("a.html")
    assert [row[0] for row in data["melody"]] == [0, 250, 500, 750, 1000]


def test_what_is_rendered_may_be_a_tune_in_text_too(folder: Path) -> None:
    result = render("tempo=240 C4 D4:1/2 E4", "--out", "a.html", "--out", "a.mid")
    assert result.exit_code == 0, result.stderr
    assert [row[:3] for row in shown_in("a.html")["notes"]] == [[0, 250, 60], [250, 375, 62], [375, 625, 64]]
    assert "<h1>tempo=240 C4 D4:1/2 E4</h1>" in Path("a.html").read_text(encoding="utf-8")
    assert read_midi("a.mid").equals(read_notes("tempo=240 C4 D4:1/2 E4").notes, tolerance_seconds=0.001)


def test_a_file_that_is_there_is_kept_without_force(folder: Path) -> None:
    Path("a.wav").write_text("mine")
    refused(render("piece.mid", "--out", "b.png", "--out", "a.wav"), 2, "a.wav", "--force")
    assert Path("a.wav").read_text() == "mine"
    assert not Path("b.png").exists()
    assert render("piece.mid", "--out", "a.wav", "--force").exit_code == 0
    assert soundfile.info("a.wav").samplerate == 44_100
    for name in ("nowhere.mid", "round.mid"):
        assert render("piece.mid", "--out", name, "--force").exit_code == 0
        assert not Path(name).is_symlink()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("piece.mid", "--out", "a.aac"), 2, ("a.aac", ".wav", ".flac", ".ogg", ".mp3", ".png", ".svg", ".html")),
        (("piece.mid", "--out", "noending"), 2, ("noending", ".wav")),
        (("piece.mid",), 2, ("--out",)),
        (("piece.mid", "--out", "a.wav", "--out", "./a.wav"), 2, ("a.wav", "twice")),
        (("piece.mid", "--out", "piece.mid", "--force"), 2, ("piece.mid", "input")),
        (("piece.mid", "--out", "a.wav", "--melody", "tune.mid"), 2, ("--melody", ".png")),
        (("piece.mid", "--out", "a.wav", "--out", "a.mid", "--title", "A"), 2, ("--title", ".png")),
        (("piece.mid", "--out", "a.png", "--melody", "text.mid"), 1, ("text.mid",)),
        (("missing.mid", "--out", "a.wav"), 1, ("missing.mid", "no such file")),
        (("text.mid", "--out", "a.wav"), 1, ("text.mid",)),
        (("piece.mid", "--out", "piece.mid/a.wav"), 2, ("piece.mid", "no folder")),
        (("piece.mid", "--out", "nowhere.mid"), 2, ("nowhere.mid", "is there already", "--force")),
        (("piece.mid", "--out", "round.mid"), 2, ("round.mid", "is there already", "--force")),
        (("piece.mid", "--out", "round.mid/a.wav"), 2, ("round.mid", "no folder")),
    ],
)
def test_mistakes_cost_one_line(folder: Path, arguments: tuple[str, ...], code: int, words: tuple[str, ...]) -> None:
    before = sorted(path.name for path in folder.iterdir())
    refused(render(*arguments), code, *words)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_pipe_is_read_once(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    writer = threading.Thread(target=(folder / "pipe").write_bytes, args=((folder / "tune.mid").read_bytes(),))
    writer.start()
    assert render("pipe", "--out", "again.mid").exit_code == 0
    writer.join()
    assert read_midi(folder / "again.mid").equals(read_midi(folder / "tune.mid"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tune.abc", "X:1\nL:1/4\nM:3/4\nQ:1/4=90\nK:G\nGAB|c2[dF]|\n"),
        ("tune.txt", "tempo=96 G4 A4 B4 C5:2 D5"),
    ],
)
def test_a_score_or_a_tune_is_rendered_in_its_bars(folder: Path, name: str, text: str) -> None:
    Path(name).write_text(text)
    result = render(name, "--out", "tune-too.mid", "--out", "tune.wav", "--out", "tune.html")
    assert result.exit_code == 0, result.output
    asked, written = read_notes(name), read_tracks("tune-too.mid")
    assert read_midi("tune-too.mid").equals(asked.notes, tolerance_seconds=1e-3)
    assert written.conductor == asked.conductor
    assert soundfile.info("tune.wav").duration > asked.notes.duration_seconds
