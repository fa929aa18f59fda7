"""What a folder of MIDI holds and what is wrong with it, on a folder whose faults are known, and on MAESTRO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from click.testing import CliRunner
from some_notes import a_tune, played_again, random_notes

from musicstyle.cli import main
from musicstyle.corpus.check import check
from musicstyle.errors import CorpusError
from musicstyle.music.midi import read_midi, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))


def add_pedal(path: Path, value: int) -> None:
    file = mido.MidiFile(path)
    file.tracks[1].insert(0, mido.Message("control_change", control=64, value=value))
    file.save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pieces; one is there twice (higher, slower, in another split), two without pedal, three files of no use."""
    source = tmp_path / "music"
    pieces = {f"{letter}.mid": random_notes(seed, 20 + 3 * seed, lowest=40) for seed, letter in enumerate("abcdef", 1)}
    pieces["b again.mid"] = pieces["b.mid"].quantized().transpose(-2).stretch(1.25)
    for name, notes in pieces.items():
        write_midi(source / name, notes.quantized() if name != "b again.mid" else notes)
        if name not in ("a.mid", "c.mid"):
            add_pedal(source / name, 100)
    add_pedal(source / "c.mid", 30)
    (source / "empty.mid").write_bytes(b"")
    (source / "text.mid").write_text("hello")
    write_midi(source / "low.mid", Notes.from_arrays([0.0], [1.0], [5], [64]))
    rows = ["canonical_composer,canonical_title,split,midi_filename"]
    splits = {"a": "train", "b": "train", "b again": "test", "c": "train", "d": "validation", "e": "test", "f": "train"}
    names = {"d": "Etude", "e": "Etude"}
    rows += [f"X,{names.get(name, name)},{split},{name}.mid" for name, split in splits.items()]
    (source / "maestro-v9.csv").write_text("\n".join(rows), encoding="utf-8")
    return source


def test_every_fault_is_found(folder: Path) -> None:
    facts = check(folder)
    assert [facts[split]["files"] for split in ("all", "train", "validation", "test")] == [7, 4, 1, 2]
    assert facts["duplicates"] == [["b again.mid", "b.mid"]]
    by_notes, by_name = facts["in_two_splits"]
    assert by_notes == {
        "shared_by": "notes",
        "files": [{"path": "b again.mid", "split": "test"}, {"path": "b.mid", "split": "train"}],
    }
    assert by_name["shared_by"] == "name"
    assert [file["path"] for file in by_name["files"]] == ["d.mid", "e.mid"]
    assert facts["without_pedal"] == ["a.mid"]
    csv = folder / "maestro-v9.csv"
    csv.write_text(csv.read_text(encoding="utf-8").replace("X,b again,", "X,b,"), encoding="utf-8")
    assert check(folder)["in_two_splits"] == facts["in_two_splits"]  # by notes and by name: once
    assert facts["pedal_never_down"] == ["c.mid"]
    assert facts["all"]["with_pedal"] == 5
    reasons = {one["path"]: one["reason"] for one in facts["unreadable"]}
    assert reasons.keys() == {"empty.mid", "low.mid", "text.mid"}
    assert "0 bytes" in reasons["empty.mid"]


def test_a_work_in_two_splits_is_told_by_its_notes(tmp_path: Path) -> None:
    rng, source = np.random.default_rng(0), tmp_path / "music"
    for name in ("one", "two"):
        write_midi(source / f"{name}.mid", tune := a_tune(rng))
        write_midi(source / f"{name} again.mid", played_again(tune, rng))
    splits = {"one": "train", "one again": "test", "two": "train", "two again": "train"}
    rows = ["split,midi_filename", *(f"{split},{name}.mid" for name, split in splits.items())]
    (source / "maestro-v9.csv").write_text("\n".join(rows), encoding="utf-8")
    files = [{"path": "one again.mid", "split": "test"}, {"path": "one.mid", "split": "train"}]
    assert check(source)["in_two_splits"] == [{"shared_by": "work", "files": files}]


def test_counts_are_those_of_the_notes(folder: Path) -> None:
    facts = check(folder)
    pieces = [read_midi(folder / f"{name}.mid") for name in ("b again", "e")]
    one = facts["test"]
    seconds = sum(notes.duration_seconds for notes in pieces)
    tokens = sum(len(encode(notes)) for notes in pieces)
    assert one["notes"] == sum(map(len, pieces))
    assert one["tokens"] == tokens
    assert one["hours"] == pytest.approx(seconds / 3600, abs=1e-4)
    assert one["notes_per_second"] == pytest.approx(one["notes"] / seconds, abs=1e-3)
    assert one["tokens_per_second"] == pytest.approx(tokens / seconds, abs=1e-3)
    for name in ("pitch", "velocity"):
        values = np.concatenate([getattr(notes, name) for notes in pieces])
        assert one[name] == [values.min(), values.max()]


def test_a_prepared_corpus_gives_the_same(folder: Path, tmp_path: Path) -> None:
    from musicstyle.corpus.prepare import prepare

    prepare(folder, tmp_path / "corpus")
    assert check(tmp_path / "corpus") == check(folder)


def test_a_folder_of_scores_lacks_nothing(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_midi(tmp_path / "m" / f"{seed}.mid", random_notes(seed, 9))
    facts = check(tmp_path / "m")
    assert facts["without_pedal"] is facts["pedal_never_down"] is None
    assert facts["test"] == {
        "files": 0, "hours": 0.0, "notes": 0, "notes_per_second": 0.0, "tokens": 0, "tokens_per_second": 0.0,
        "with_pedal": 0, "pedal_share": 0.0, "pitch": None, "velocity": None,
    }  # fmt: skip


def test_the_verb(folder: Path) -> None:
    done = CliRunner().invoke(main, ["data", "check", str(folder)])
    assert done.exit_code == 0, done.output
    for line in (
        "unreadable: 3",
        "  empty.mid: is empty (0 bytes)",
        "the same notes twice: 1",
        "  b again.mid = b.mid",
    ):
        assert line in done.stdout.splitlines()
    result: dict[str, Any] = json.loads(CliRunner().invoke(main, ["data", "check", str(folder), "--json"]).stdout)
    assert result == check(folder)


def test_the_verb_on_scores_and_names_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    try:
        (tmp_path / "m" / "caf\udce9.mid").write_bytes(b"")
    except OSError:
        pytest.skip("this file system holds text only")
    write_midi(tmp_path / "m" / "score.mid", random_notes(1, 9))
    done = CliRunner().invoke(main, ["data", "check", str(tmp_path / "m")])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "  caf?.mid: is empty (0 bytes)" in lines
    assert "most files hold no pedal; not listed" in lines
    assert not any(line.startswith(("without pedal", "pedal moved")) for line in lines)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder"):
        check(tmp_path / "nothing")


@pytest.mark.slow
def test_known_facts_of_maestro(data_dir: Path) -> None:
    # Splits as the dataset's page gives them; files without pedal counted with mido.
    facts = check(data_dir / "maestro-v3.0.0")
    assert [facts[split]["files"] for split in ("train", "validation", "test")] == [962, 137, 177]
    assert len(facts["without_pedal"]) == 3
    assert len(facts["pedal_never_down"]) == 6
    assert facts["all"]["notes"] == 7_040_163
    assert facts["unreadable"] == facts["duplicates"] == []
