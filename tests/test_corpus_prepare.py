"""Preparing a folder of MIDI: what is read, what is skipped, what is not read again, and who is trained on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from some_notes import random_notes

from musicstyle.corpus import prepare as prepare_module
from musicstyle.corpus import reading
from musicstyle.corpus.prepare import cache_path, cached_corpus, prepare
from musicstyle.corpus.reading import fingerprint
from musicstyle.corpus.splits import Listed, assign, find_csv, find_listed, read_csv
from musicstyle.corpus.store import FORMAT, NOTE, PIECE, SPLITS, Corpus, notes_of, records_of
from musicstyle.errors import CorpusError
from musicstyle.files import set_aside
from musicstyle.music.melody import melody_flags
from musicstyle.music.midi import MAX_BYTES, read_midi, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode


def tune(seed: int, count: int, low: int = 40, high: int = 90) -> Notes:
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.integers(1, 40, count)) / 100
    return Notes.from_arrays(
        start, start + rng.integers(2, 90, count) / 100, rng.integers(low, high, count), rng.integers(1, 128, count)
    ).quantized()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five pieces of 11, 13, 17, 19 and 23 notes in nested folders, names of all cases."""
    folder = tmp_path / "source"
    for number, (name, count) in enumerate(
        [("a.mid", 11), ("b/c.MIDI", 13), ("b/d/e.midi", 17), ("f.Mid", 19), ("g.mid", 23)]
    ):
        write_midi(folder / name, tune(number, count))
    (folder / "notes.txt").write_text("no music")
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths whose bytes were read, in order."""
    paths: list[str] = []
    read = reading.read

    def watched(task: reading.Task) -> reading.Reading:
        paths.append(task.file.path)
        return read(task)

    monkeypatch.setattr(reading, "read", watched)
    return paths


def rows(corpus: Corpus, kind: str = "pieces") -> dict[str, dict[str, object]]:
    return {row["path"]: row for row in corpus.manifest[kind]}


def test_notes_and_flags_are_those_of_the_files(source: Path, tmp_path: Path) -> None:
    corpus = prepare(source, tmp_path / "out")
    assert [row["path"] for row in corpus.manifest["pieces"]] == ["a.mid", "b/c.MIDI", "b/d/e.midi", "f.Mid", "g.mid"]
    assert corpus.pieces["count"].tolist() == [11, 13, 17, 19, 23]
    assert corpus.pieces["offset"].tolist() == [0, 11, 24, 41, 60]
    for piece, row in enumerate(corpus.manifest["pieces"]):
        expected = read_midi(source / row["path"])
        assert corpus.notes(piece).equals(expected)
        np.testing.assert_array_equal(corpus.records(piece)["melody"], melody_flags(expected))
        assert row["sha256"] == hashlib.sha256((source / row["path"]).read_bytes()).hexdigest()
        assert row["tokens"] == corpus.pieces["tokens"][piece] == len(encode(expected))
        record = corpus.pieces[piece]
        assert (record["low"], record["high"]) == (expected.pitch.min(), expected.pitch.max())
    assert corpus.notes(3, 4, 9).equals(corpus.notes(3)[4:9])
    assert corpus.notes(0, 4, 10**6).equals(corpus.notes(0)[4:])  # not of the next piece
    assert sum(len(corpus.indices(split)) for split in ("train", "validation")) == 4
    totals = corpus.manifest["totals"]
    assert (totals["pieces"], totals["notes"], totals["skipped"]) == (5, 83, 0)
    assert sum(totals[split]["notes"] for split in SPLITS) == 83


def test_worker_processes_give_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(reading.FEW_FILES + 3):
        write_midi(source / f"{number}.mid", tune(number, 5 + number))
    (source / "x.mid").write_bytes(b"MThd")
    seen: list[tuple[int, int]] = []
    alone = prepare(source, tmp_path / "one", workers=1)
    together = prepare(source, tmp_path / "two", workers=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 20) for done in range(1, 21)]
    for name in ("notes.npy", "index.npy", "manifest.json"):
        assert (alone.path / name).read_bytes() == (together.path / name).read_bytes()


def test_reading_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    for number in range(reading.FEW_FILES):
        write_midi(tmp_path / "source" / f"{number}.mid", tune(number, 9))
    script = (
        "import os, signal, sys\n"
        "from musicstyle.corpus.prepare import prepare\n"
        "at_end = lambda done, total: done == total and os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare('source', 'out', workers=2, progress=at_end)\n"
    )
    root = str(Path(__file__).parent.parent)
    # Its output ends when the last process that could write it has ended.
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL


def test_skipped_files_are_named_with_the_reason(source: Path, tmp_path: Path) -> None:
    (source / "broken.mid").write_bytes((source / "g.mid").read_bytes()[:40])
    (source / "empty.mid").write_bytes(b"")
    (source / "text.mid").write_text("this is not MIDI")
    write_midi(source / "none.mid", Notes.empty())
    write_midi(source / "whistle.mid", Notes.from_arrays([0, 1], [1, 2], [109, 127], [64, 64]))
    corpus = prepare(source, tmp_path / "out")
    skipped = rows(corpus, "skipped")
    assert sorted(skipped) == ["broken.mid", "empty.mid", "none.mid", "text.mid", "whistle.mid"]
    assert skipped["whistle.mid"]["reason"] == "no note within 21..108"
    assert all(row["reason"] and str(source) not in str(row["reason"]) for row in skipped.values())
    assert len(corpus) == 5


def test_a_file_that_could_not_be_opened_is_tried_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, closed = Path.open, True

    def locked(self: Path, *arguments: Any, **more: Any) -> Any:
        if closed and self.name == "g.mid":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", locked)
    assert "g.mid" in rows(prepare(source, tmp_path / "out", workers=1), "skipped")
    closed = False
    assert "g.mid" in rows(prepare(source, tmp_path / "out", workers=1))


def test_notes_without_a_key_are_dropped_and_counted(tmp_path: Path) -> None:
    write_midi(tmp_path / "in/a.mid", Notes.from_arrays([0, 1, 2, 3], [1, 2, 3, 4], [20, 21, 108, 109], [64] * 4))
    corpus = prepare(tmp_path / "in", tmp_path / "out")
    assert corpus.notes(0).pitch.tolist() == [21, 108]
    assert rows(corpus)["a.mid"]["out_of_range"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such folder"),
        ({}, "no .mid or .midi file"),
        ({"a.mid": b""}, r"none of its MIDI files \(1\) is usable"),
    ],
)
def test_an_empty_result_is_an_error(content: dict[str, bytes] | None, message: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    if content is not None:
        source.mkdir()
        for name, data in content.items():
            (source / name).write_bytes(data)
    with pytest.raises(CorpusError, match=message) as raised:
        prepare(source, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert str(source) in str(raised.value)
    assert not list(tmp_path.glob("*out*"))
    assert not list(tmp_path.glob(".*"))


def test_a_folder_of_something_else_is_not_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/diary.txt").write_text("dear diary")
    with pytest.raises(CorpusError, match="is there already and is no corpus"):
        prepare(source, tmp_path / "out")
    assert (tmp_path / "out/diary.txt").read_text() == "dear diary"


def test_a_corpus_behind_a_link_is_brought_up_to_date_where_it_lies(source: Path, tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "big disk", target_is_directory=True)
    prepare(source, tmp_path / "out")
    (source / "a.mid").unlink()
    prepare(source, tmp_path / "out")
    assert (tmp_path / "out").is_symlink()
    assert len(Corpus.open(tmp_path / "big disk")) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big disk", "out", "source"]


def test_linked_folders_are_entered_once_and_circles_end(source: Path, tmp_path: Path) -> None:
    write_midi(tmp_path / "elsewhere/h.mid", tune(7, 31))
    (source / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (source / "link again").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (source / "b/circle").symlink_to(source, target_is_directory=True)
    assert [file.path for file in reading.find_files(source)] == [
        "a.mid", "b/c.MIDI", "b/d/e.midi", "f.Mid", "g.mid", "link/h.mid",
    ]  # fmt: skip


def test_a_folder_that_cannot_be_entered_is_said(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def locked(path: str) -> Any:
        if Path(path).name == "b":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(CorpusError, match=r"b: cannot be read \(Permission denied\)"):
        reading.find_files(source)


def test_an_unchanged_corpus_is_not_touched(source: Path, tmp_path: Path, opened: list[str]) -> None:
    first = prepare(source, tmp_path / "out")
    stamps = [(path.name, path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(first.path.iterdir())]
    assert len(opened) == 5
    prepare(source, tmp_path / "out")
    assert len(opened) == 5
    assert stamps == [(path.name, path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(first.path.iterdir())]


def test_one_changed_file_costs_one_file(source: Path, tmp_path: Path, opened: list[str]) -> None:
    (source / "bad.mid").write_bytes(b"nothing")
    prepare(source, tmp_path / "out")
    opened.clear()
    write_midi(source / "b/c.MIDI", tune(99, 29))
    corpus = prepare(source, tmp_path / "out")
    assert opened == ["b/c.MIDI"]
    fresh = prepare(source, tmp_path / "fresh")
    for name in ("notes.npy", "index.npy", "manifest.json"):
        assert (corpus.path / name).read_bytes() == (fresh.path / name).read_bytes()
    assert corpus.pieces["count"].tolist() == [11, 29, 17, 19, 23]


def test_a_touched_file_keeps_its_notes(source: Path, tmp_path: Path, opened: list[str]) -> None:
    before = prepare(source, tmp_path / "out").notes(4)
    opened.clear()
    os.utime(source / "g.mid", ns=(1, 1))
    assert prepare(source, tmp_path / "out").notes(4).equals(before)
    assert opened == ["g.mid"]
    prepare(source, tmp_path / "out")
    assert opened == ["g.mid"]


def test_removed_and_added_files(source: Path, tmp_path: Path, opened: list[str]) -> None:
    prepare(source, tmp_path / "out")
    opened.clear()
    (source / "a.mid").unlink()
    write_midi(source / "h.mid", tune(7, 31))
    corpus = prepare(source, tmp_path / "out")
    assert opened == ["h.mid"]
    assert sorted(rows(corpus)) == ["b/c.MIDI", "b/d/e.midi", "f.Mid", "g.mid", "h.mid"]
    for piece, path in enumerate(rows(corpus)):
        assert corpus.notes(piece).equals(read_midi(source / path))


def test_another_source_is_read_by_content(source: Path, tmp_path: Path, opened: list[str]) -> None:
    prepare(source, tmp_path / "out")
    opened.clear()
    moved = source.rename(tmp_path / "moved")
    corpus = prepare(moved, tmp_path / "out")
    assert len(opened) == 5
    assert corpus.manifest["source"] == str(moved.resolve())


def test_a_damaged_corpus_is_made_anew(source: Path, tmp_path: Path, opened: list[str]) -> None:
    out = prepare(source, tmp_path / "out").path
    with (out / "notes.npy").open("r+b") as file:
        file.truncate(300)
    with pytest.raises(CorpusError, match="damaged"):
        Corpus.open(out)
    prepare(source, out)
    assert len(opened) == 10


@pytest.mark.parametrize("name", ["notes.npy", "index.npy", "manifest.json"])
def test_a_corpus_that_lacks_a_file_is_made_anew(name: str, source: Path, tmp_path: Path) -> None:
    out = prepare(source, tmp_path / "out").path
    (out / name).unlink()
    assert len(prepare(source, out)) == 5


def test_a_corpus_is_not_prepared_again(tmp_path: Path) -> None:
    write_midi(tmp_path / "midi" / "a.mid", random_notes(1, 30))
    prepare(tmp_path / "midi", tmp_path / "corpus")
    with pytest.raises(CorpusError, match="it is prepared already"):
        prepare(tmp_path / "corpus", tmp_path / "again")


def test_a_corpus_that_a_killed_process_set_aside_is_not_read_again(
    source: Path, tmp_path: Path, opened: list[str]
) -> None:
    out = prepare(source, tmp_path / "out").path
    out.rename(set_aside(out))
    assert len(prepare(source, out)) == 5
    assert len(opened) == 5


def test_an_index_that_does_not_fit_the_notes_is_refused(source: Path, tmp_path: Path) -> None:
    out = prepare(source, tmp_path / "out").path
    index = np.load(out / "index.npy")
    np.save(out / "index.npy", index[:-1])
    with pytest.raises(CorpusError, match=r"damaged corpus \(index 60 notes, file 83\)"):
        Corpus.open(out)
    np.save(out / "index.npy", index.astype([(name, "<i8") for name in index.dtype.names or ()]))
    with pytest.raises(CorpusError, match="made by another version"):
        Corpus.open(out)


def test_another_versions_corpus_is_refused_and_made_anew(source: Path, tmp_path: Path, opened: list[str]) -> None:
    out = prepare(source, tmp_path / "out").path
    manifest = out / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 1}))
    with pytest.raises(CorpusError, match=r"another version of musicstyle; prepare it again"):
        _ = Corpus.open(out).manifest
    assert len(prepare(source, out).manifest["pieces"]) == 5
    assert len(opened) == 10


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.npy", ""),
        ("index.npy", ""),
        ("manifest.json", "{"),
        ("manifest.json", ""),
        ("manifest.json", "[]"),
        ("manifest.json", f'{{"format": {FORMAT}}}'),
    ],
)
def test_an_empty_or_broken_file_is_named_and_mended(
    name: str, content: str, source: Path, tmp_path: Path, opened: list[str]
) -> None:
    out = prepare(source, tmp_path / "out").path
    (out / name).write_text(content)
    with pytest.raises(CorpusError, match=r"damaged corpus .*prepare it again"):
        _ = Corpus.open(out).manifest
    assert len(prepare(source, out).manifest["pieces"]) == 5
    assert len(opened) == 10


def test_a_new_corpus_that_cannot_take_its_place_leaves_the_old_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = prepare(source, tmp_path / "out").path
    write_midi(source / "h.mid", tune(5, 37))
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if target == out and path != set_aside(out):
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(CorpusError, match="cannot be written"):
        prepare(source, out)
    assert Corpus.open(out).pieces["count"].tolist() == [11, 13, 17, 19, 23]
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]


def test_a_break_leaves_the_old_corpus(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = prepare(source, tmp_path / "out").path
    write_midi(source / "a.mid", tune(5, 37))

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, out, progress=stop)
    assert Corpus.open(out).pieces["count"].tolist() == [11, 13, 17, 19, 23]
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]

    for error, words in (
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("9 requested and 4 written"), "is the disk full? 9 requested and 4 written"),  # as NumPy says it
    ):

        def full(*args: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr(prepare_module, "_write_index", full)
        with pytest.raises(CorpusError, match=rf"out: cannot be written \({re.escape(words)}\)"):
            prepare(source, out)
        assert len(Corpus.open(out)) == 5


def test_cached_corpus_is_made_once(
    source: Path, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    corpus = cached_corpus(source)
    assert corpus.path == cache_path(source)
    assert corpus.path.parent == tmp_path / "cache/musicstyle/corpora"
    cached_corpus(source)
    assert len(opened) == 5
    assert cached_corpus(corpus.path).path == corpus.path
    twin = tmp_path / "elsewhere" / "source"
    assert cache_path(twin) != cache_path(source)
    assert cache_path(source / ".." / "source") == cache_path(source)


def test_opening_what_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="not a prepared corpus"):
        Corpus.open(tmp_path)


def test_splits_without_pieces_and_unknown_splits(tmp_path: Path) -> None:
    write_midi(tmp_path / "in/a.mid", tune(1, 9))
    corpus = prepare(tmp_path / "in", tmp_path / "out")
    assert corpus.indices("train").tolist() == [0]
    with pytest.raises(CorpusError, match=r"in: no piece in its test split \(1 pieces in all, splits from seed 0\)"):
        corpus.indices("test")
    with pytest.raises(CorpusError, match="no such split"):
        corpus.indices("dev")


def test_a_corpus_pickles_as_its_path(source: Path, tmp_path: Path) -> None:
    corpus = prepare(source, tmp_path / "out")
    pickled = pickle.dumps(corpus)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    assert copy.notes(2).equals(corpus.notes(2))


def test_records_round_trip() -> None:
    notes = tune(3, 41)
    flags = np.arange(41) % 3 == 0
    records = records_of(notes, flags)
    assert records.itemsize == 19
    assert notes_of(records).equals(notes)
    np.testing.assert_array_equal(records["melody"], flags)


def test_sixty_thousand_hours_open_at_once(tmp_path: Path) -> None:
    """As much piano as the published YouTube set times six: 385,000 pieces, 2.1 G notes, a sparse file of 40 GB."""
    import time

    pieces, count = 385_000, 5_500
    index = np.zeros(pieces, PIECE)
    index["count"], index["tokens"], index["seconds"] = count, 4 * count, 561.0
    index["offset"] = np.arange(pieces) * count
    index["split"] = np.arange(pieces) % 10 == 9
    folder = tmp_path / "corpus"
    folder.mkdir()
    np.save(folder / "index.npy", index)
    (folder / "manifest.json").write_text("{}")
    with (folder / "notes.npy").open("wb") as stream:
        prepare_module._write_header(stream, pieces * count)
        try:
            stream.truncate(stream.tell() + pieces * count * NOTE.itemsize)
        except OSError as error:
            pytest.skip(f"no sparse file of 40 GB here: {error}")
    begun = time.perf_counter()
    corpus = Corpus.open(folder)
    assert len(corpus.indices("train")) == 346_500
    assert corpus.ends("validation")[-1] == 38_500 * count
    assert len(corpus.notes(384_999)) == count
    assert time.perf_counter() - begun < 5
    (folder / "notes.npy").unlink()


# Splits


def maestro_csv(folder: Path, rows: list[tuple[str, str, str]], name: str = "maestro-v9.9.9.csv") -> Path:
    lines = ["canonical_composer,canonical_title,split,midi_filename"]
    lines += [f'Someone,"{title}",{split},{path}' for path, split, title in rows]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def test_the_official_splits_are_used(source: Path, tmp_path: Path) -> None:
    official = [
        ("a.mid", "test", "A"),
        ("b/c.MIDI", "train", "C"),
        ("b/d/e.midi", "validation", "E"),
        ("f.Mid", "test", "F"),
    ]
    maestro_csv(source, [*official, ("absent.mid", "train", "X")])
    write_midi(source / "copy_of_a.mid", read_midi(source / "a.mid").transpose(5).stretch(1.5))
    corpus = prepare(source, tmp_path / "out")
    splits = {path: row["split"] for path, row in rows(corpus).items()}
    assert {path: splits[path] for path, _, _ in official} == {path: split for path, split, _ in official}
    assert splits["copy_of_a.mid"] == "test"
    assert corpus.manifest["splits_from"] == "maestro-v9.9.9.csv, those of 2 other files from seed 0"
    assert [SPLITS[split] for split in corpus.pieces["split"]] == [row["split"] for row in corpus.manifest["pieces"]]


def test_a_changed_csv_moves_pieces_without_reading_them(source: Path, tmp_path: Path, opened: list[str]) -> None:
    maestro_csv(source, [("a.mid", "test", "A"), ("g.mid", "train", "G")])
    assert rows(prepare(source, tmp_path / "out"))["a.mid"]["split"] == "test"
    opened.clear()
    maestro_csv(source, [("a.mid", "train", "A"), ("g.mid", "train", "G")])
    assert rows(prepare(source, tmp_path / "out"))["a.mid"]["split"] == "train"
    assert opened == []


def test_a_year_of_maestro_keeps_its_official_splits(tmp_path: Path) -> None:
    table = maestro_csv(tmp_path / "maestro", [("2018/a.mid", "test", "A"), ("2004/b.mid", "train", "B")])
    (tmp_path / "maestro/2018").mkdir()
    assert find_csv(tmp_path / "maestro/2018") == table
    assert find_csv(tmp_path) == table
    assert read_csv(table, tmp_path / "maestro/2018") == {"a.mid": Listed("test", "Someone", "A")}
    newer = maestro_csv(tmp_path / "maestro", [], "maestro-v9.9.10.csv")
    newer.write_text("title\nx\n")
    with pytest.raises(CorpusError, match="no midi_filename column"):
        read_csv(newer, tmp_path)


@pytest.mark.parametrize(("inside", "typed"), [("2018", "."), ("2018/b", "..")])
def test_a_source_named_by_dots_keeps_its_official_splits(
    inside: str, typed: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maestro_csv(tmp_path / "maestro", [("2018/a.mid", "test", "A"), ("2018/g.mid", "validation", "G")])
    source.rename(tmp_path / "maestro/2018")
    monkeypatch.chdir(tmp_path / "maestro" / inside)
    corpus = prepare(typed, tmp_path / "out")
    assert corpus.manifest["splits_from"] == "maestro-v9.9.9.csv, those of 3 other files from seed 0"
    assert {path: rows(corpus)[path]["split"] for path in ("a.mid", "g.mid")} == {
        "a.mid": "test",
        "g.mid": "validation",
    }


def test_names_that_are_no_text(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    try:
        source = source.rename(tmp_path / "mus\udce9e")
        (source / "a.mid").rename(source / "caf\udce9.mid")
    except OSError:
        pytest.skip("this file system holds text only")
    assert "caf\udce9.mid" in rows(prepare(source, tmp_path / "out"))
    corpus = cached_corpus(source)
    assert corpus.notes(list(rows(corpus)).index("caf\udce9.mid")).equals(read_midi(source / "caf\udce9.mid"))


def test_of_csvs_the_folder_s_own_comes_before_those_above_and_below(tmp_path: Path) -> None:
    below, above = maestro_csv(tmp_path / "maestro/2018", []), maestro_csv(tmp_path, [])
    assert find_csv(tmp_path / "maestro") == above
    own = maestro_csv(tmp_path / "maestro", [])
    assert find_csv(tmp_path / "maestro") == own
    for path in (own, above):
        path.unlink()
    assert find_csv(tmp_path / "maestro") == below
    old = maestro_csv(tmp_path / "maestro/2019", [])
    old.rename(old.with_name("maestro-v1.0.0.csv"))
    assert find_csv(tmp_path / "maestro") == below


def test_a_csv_as_a_spreadsheet_saves_it_is_read_alike(tmp_path: Path) -> None:
    """A mark at its beginning, blanks about its words, a row that ends where nothing more is said."""
    table = tmp_path / "maestro-v9.9.9.csv"
    rows = "midi_filename,split,canonical_composer,canonical_title\na.mid, test ,Clara  Schumann, Op. 6\nb.mid,train\n"
    table.write_text(rows, encoding="utf-8-sig")
    assert read_csv(table, tmp_path) == {
        "a.mid": Listed("test", "Clara Schumann", "Op. 6"),
        "b.mid": Listed("train"),
    }
    assert Listed(title="OP. 6").name == Listed(title="Op. 6").name


def test_of_two_csvs_the_newer_counts(source: Path) -> None:
    for version, split in (("2.0.0", "test"), ("3.0.0", "validation"), ("1.0.0", "train")):
        maestro_csv(source, [("a.mid", split, "")], f"maestro-v{version}.csv")
    assert find_listed(source) == ({"a.mid": Listed("validation", "Someone")}, "maestro-v3.0.0.csv")


def test_a_csv_that_places_no_file_is_not_named(source: Path, tmp_path: Path) -> None:
    maestro_csv(tmp_path, [("elsewhere/a.mid", "test", "A")])
    assert prepare(source, tmp_path / "out").manifest["splits_from"] == "seed 0"


@pytest.mark.parametrize("size", [0, MAX_BYTES + 1])
def test_what_has_nothing_to_read_is_not_read_again(source: Path, tmp_path: Path, size: int) -> None:
    with (source / "odd.mid").open("wb") as file:
        file.truncate(size)
    manifest = prepare(source, tmp_path / "out").path / "manifest.json"
    before = manifest.stat().st_ino
    assert "odd.mid" in rows(prepare(source, tmp_path / "out"), "skipped")
    assert manifest.stat().st_ino == before


def test_an_unknown_official_split_is_refused(tmp_path: Path) -> None:
    table = maestro_csv(tmp_path, [("a.mid", "dev", "A")])
    with pytest.raises(CorpusError, match="split 'dev'"):
        read_csv(table, tmp_path)


@pytest.mark.parametrize(
    ("files", "validation", "test"), [(1, 0, 0), (2, 0, 0), (3, 1, 0), (4, 1, 0), (10, 1, 1), (50, 5, 5), (101, 10, 10)]
)
def test_the_seeded_split_is_eighty_ten_ten(files: int, validation: int, test: int) -> None:
    splits = list(assign({f"{number}.mid": f"hash {number}" for number in range(files)}, {}, {}, seed=3).values())
    assert (splits.count("validation"), splits.count("test")) == (validation, test)
    assert len(splits) == files


def test_the_seed_decides_and_one_more_file_hardly_changes_it() -> None:
    fingerprints = {f"{number}.mid": f"hash {number}" for number in range(60)}
    first = assign(fingerprints, {}, {}, seed=1)
    assert first == assign(dict(reversed(fingerprints.items())), {}, {}, seed=1)
    assert first != assign(fingerprints, {}, {}, seed=2)
    more = assign(fingerprints | {"new.mid": "hash new"}, {}, {}, seed=1)
    assert sum(first[path] != more[path] for path in first) <= 2


def test_equal_pieces_stay_together() -> None:
    fingerprints = {f"{number}.mid": f"hash {number // 4}" for number in range(40)}
    listed = {f"{number}.mid": Listed(title=f"Sonata {number // 8}") for number in range(40)}
    for seed in range(20):
        splits = assign(fingerprints, {}, {}, seed)
        assert all(splits[f"{number}.mid"] == splits[f"{number // 4 * 4}.mid"] for number in range(40))
        assert {"train", "validation"} <= set(splits.values())
        works = {path: one.name for path, one in listed.items()}
        assert assign(fingerprints, works, {}, seed) == assign(fingerprints, {}, listed, seed)
        named = assign(fingerprints, {}, listed, seed)
        assert all(named[f"{number}.mid"] == named[f"{number // 8 * 8}.mid"] for number in range(40))


def test_performances_of_a_work_stay_together_unless_a_csv_places_them(tmp_path: Path) -> None:
    folder, rng = tmp_path / "midi", np.random.default_rng(0)
    for work in range(12):
        played = random_notes(work, 120, 60.0)
        for pianist in range(3):
            hurried = played.stretch(float(rng.uniform(0.7, 1.4)))
            wrong = rng.permutation(120) < 4
            pitch = np.where(wrong, 60, hurried.pitch)
            notes = Notes.from_arrays(hurried.start, hurried.end, pitch, rng.integers(30, 90, 120))
            write_midi(folder / f"{pianist}" / f"{work:02}.mid", notes)
    corpus = prepare(folder, tmp_path / "out", workers=1)
    splits = {path: row["split"] for path, row in rows(corpus).items()}
    assert all(row["work"] == f"0/{path[-6:]}" for path, row in rows(corpus).items())
    assert all(split == splits[f"0/{path[-6:]}"] for path, split in splits.items())
    assert set(splits.values()) == set(SPLITS)
    manifest = corpus.path / "manifest.json"
    before = manifest.read_text()
    facts = json.loads(before)
    apart = assign({row["path"]: row["fingerprint"] for row in facts["pieces"]}, {}, {}, 0)
    for row in facts["pieces"]:  # as an earlier version placed them, which did not look for works
        del row["work"]
        row["split"] = apart[row["path"]]
    manifest.write_text(json.dumps(facts))
    prepare(folder, tmp_path / "out", workers=1)
    assert manifest.read_text() == before
    maestro_csv(folder, [(path, SPLITS[int(path[0])], "") for path in splits])
    placed = prepare(folder, tmp_path / "out", workers=1)
    assert all(row["split"] == SPLITS[int(path[0])] and "work" not in row for path, row in rows(placed).items())


def test_an_unlisted_copy_takes_the_strictest_split_of_its_originals() -> None:
    fingerprints = dict.fromkeys(("a.mid", "b.mid", "copy.mid"), "same") | {"c.mid": "other"}
    listed = {"a.mid": Listed("test"), "b.mid": Listed("train"), "c.mid": Listed("validation")}
    splits = assign(fingerprints, {}, listed, seed=0)
    assert splits == {"a.mid": "test", "b.mid": "train", "copy.mid": "test", "c.mid": "validation"}


def test_one_large_group_is_trained_on() -> None:
    fingerprints = {f"{number}.mid": "same" if number < 30 else f"other {number}" for number in range(33)}
    splits = assign(fingerprints, {}, {}, seed=0)
    assert splits["0.mid"] == "train"
    assert set(splits.values()) == {"train", "validation"} or set(splits.values()) == set(SPLITS)


def test_the_fingerprint_knows_a_piece_in_another_key_and_tempo() -> None:
    notes = tune(11, 43)
    assert fingerprint(notes) == fingerprint(notes.transpose(-7).stretch(2).shift(3))
    human = random_notes(5, 400)  # onsets at any time: in another tempo they are rounded otherwise
    assert fingerprint(human) == fingerprint(human.stretch(0.97).transpose(2))
    assert fingerprint(notes) != fingerprint(notes[:-1])
    other = notes.pitch.copy()
    other[20] += 1
    assert fingerprint(notes) != fingerprint(Notes(notes.start, notes.end, other, notes.velocity))


def test_maestro(tmp_path: Path, data_dir: Path) -> None:
    year = data_dir / "maestro-v3.0.0/2009"
    few = tmp_path / "maestro-v3.0.0/2009"
    few.mkdir(parents=True)
    for file in sorted(year.iterdir())[:6]:
        (few / file.name).symlink_to(file)
    (tmp_path / "maestro-v3.0.0/maestro-v3.0.0.csv").symlink_to(year.parent / "maestro-v3.0.0.csv")
    corpus = prepare(tmp_path / "maestro-v3.0.0", tmp_path / "out")
    official = json.loads((year.parent / "maestro-v3.0.0.json").read_text())
    split_of = dict(zip(official["midi_filename"].values(), official["split"].values(), strict=True))
    assert {path: row["split"] for path, row in rows(corpus).items()} == {path: split_of[path] for path in rows(corpus)}
    assert len(corpus) == 6
    assert corpus.manifest["splits_from"] == "maestro-v3.0.0.csv"
