"""Shared runs: planted ones are found, a brute-force search agrees, and the verb says where they stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes

from musicstyle.cli import main
from musicstyle.corpus.prepare import prepare
from musicstyle.corpus.store import PIECE, SPLITS, Corpus, records_of
from musicstyle.errors import CorpusError
from musicstyle.evaluation import memorisation
from musicstyle.evaluation.memorisation import (
    LONG_RUN,
    UNSEEN,
    Judged,
    KnownRuns,
    Runs,
    interval_symbols,
    judge,
    summarize,
    unseen_stretches,
)
from musicstyle.evaluation.suffixes import SuffixArray, suffix_order
from musicstyle.music.midi import write_midi
from musicstyle.music.notes import TOGETHER_STEPS, Notes

texts = st.builds(
    lambda parts: np.array([symbol for part, times in parts for symbol in part * times], dtype=np.uint8),
    st.lists(st.tuples(st.lists(st.sampled_from([0, 1, 2, 254]), max_size=5), st.integers(1, 20)), max_size=5),
)


def in_memory(train: Sequence[Notes], validation: Sequence[Notes] = ()) -> Corpus:
    """A corpus that was never on disk."""
    notes = [*train, *validation]
    index = np.zeros(len(notes), PIECE)
    index["count"] = [len(piece) for piece in notes]
    index["offset"] = np.cumsum(index["count"]) - index["count"]
    index["split"] = [SPLITS.index("train")] * len(train) + [SPLITS.index("validation")] * len(validation)
    records = np.concatenate([records_of(piece, np.zeros(len(piece), bool)) for piece in notes])
    corpus = Corpus(Path("memory"), records, index)
    pieces = [{"path": f"{number}.mid"} for number in range(len(notes))]
    corpus.manifest = {"source": "memory", "splits_from": "seed", "pieces": pieces}
    return corpus


def of_length(longest: int) -> Runs:
    return Runs(np.array([1, longest]), np.array([0, 0]))


def test_a_real_stretch_that_shares_as_much_makes_a_piece_usual() -> None:
    assert Judged(of_length(7), None, [of_length(7), of_length(3)]).as_long == 0.5
    assert Judged(of_length(8), None, [of_length(7), of_length(3)]).as_long == 0
    assert Judged(of_length(8), None, []).as_long is None


def test_one_of_twenty_that_shares_as_much_is_enough() -> None:
    real = [of_length(8), *[of_length(3)] * (UNSEEN - 1)]
    judged = [Judged(of_length(longest), None, real) for longest in (8, 9)]
    assert [one.as_long for one in judged] == [1 / UNSEEN, 0]
    assert summarize(judged)["unusual"] == 1


def in_a_row(pitches: Sequence[int], seconds: float = 0.2) -> Notes:
    """One note after the other."""
    start = np.arange(len(pitches)) * seconds
    return Notes.from_arrays(start, start + seconds, pitches, [70] * len(pitches))


@given(texts)
def test_places_are_sorted_by_what_follows_them(text: np.ndarray) -> None:
    whole = text.tobytes()
    assert suffix_order(text).tolist() == sorted(range(len(whole)), key=lambda place: whole[place:])


@given(texts, texts)
def test_the_longest_match_is_the_longest_that_python_finds(text: np.ndarray, wanted: np.ndarray) -> None:
    whole, asked = text.tobytes(), wanted.tobytes()
    length, place = SuffixArray(text).longest(asked)
    assert whole[place : place + length] == asked[:length]
    assert length == len(asked) or asked[: length + 1] not in whole


@given(st.lists(any_notes().filter(len), min_size=1, max_size=4), any_notes())
def test_a_search_through_everything_finds_the_same(trained: list[Notes], piece: Notes) -> None:
    texts = [interval_symbols(notes.pitch[notes.reading_order()]).tobytes() for notes in trained]
    symbols = interval_symbols(piece.pitch[piece.reading_order()]).tobytes()
    expected = [
        1 + max(n for n in range(len(symbols) - i + 1) if any(symbols[i : i + n] in text for text in texts))
        for i in range(len(piece))
    ]
    runs = KnownRuns(in_memory(trained)).runs(piece)
    assert runs.lengths.tolist() == expected
    in_long = {j for i, length in enumerate(expected) if length >= LONG_RUN for j in range(i, i + length)}
    assert (runs.longest, runs.covered) == (max(expected, default=0), len(in_long))


@pytest.mark.parametrize(("count", "semitones"), [(8, 0), (20, 5), (64, -7), (65, 12), (66, -12), (300, 1)])
def test_a_planted_run_is_found_where_it_is_in_any_key_and_at_any_speed(count: int, semitones: int) -> None:
    rng = np.random.default_rng(count)
    # Even intervals only in the training split and odd ones around the planted run: nothing else is shared with it.
    others = [in_a_row(2 * rng.integers(20, 45, 500)) for _ in range(3)]
    planted = others[1].pitch[100 : 100 + count] + semitones
    before, after = planted[0] + np.array([3, 1, 2, 1]), planted[-1] + np.array([1, 2, 3, 4])
    piece = in_a_row([*before, *planted, *after], 0.1)
    known = KnownRuns(in_memory(others))
    runs = known.runs(piece)
    place = known.place(piece, runs)
    assert runs.longest == count
    assert runs.covered == (count if count >= LONG_RUN else 0)
    assert place is not None
    assert place.at_seconds == pytest.approx(0.4)
    assert place.different_intervals == len(np.unique(np.diff(planted)))
    assert (place.trained_on, place.there_seconds) == ("1.mid", pytest.approx(20.0))
    assert place.semitones == semitones


def test_a_run_ends_where_a_performance_ends() -> None:
    first, second = in_a_row([40, 45, 51]), in_a_row([58, 66, 75])
    piece = in_a_row([40, 45, 51, 58, 66, 75])
    assert KnownRuns(in_memory([first, second])).runs(piece).lengths.tolist() == [3, 2, 1, 3, 2, 1]


def test_a_piece_of_the_training_split_is_known_by_heart() -> None:
    pieces = [random_notes(seed, 200) for seed in range(3)]
    known = KnownRuns(in_memory(pieces))
    runs = known.runs(pieces[2])
    assert (runs.notes, runs.longest, runs.covered) == (200, 200, 200)


def test_the_notes_of_a_chord_may_come_in_any_order() -> None:
    def chords(offsets: Sequence[float]) -> Notes:
        start = (np.arange(5)[:, None] * 0.5 + np.array(offsets)).ravel()
        pitch = (np.array([60, 64, 67]) + np.array([0, 5, 7, 2, 9])[:, None]).ravel()
        return Notes.from_arrays(start, start + 0.3, pitch, np.full(15, 70))

    known = KnownRuns(in_memory([chords([0, 0.01, 0.02])]))
    assert known.runs(chords([0.05, 0.02, 0.0])).longest == 15
    assert known.runs(chords([0.10, 0.05, 0.0])).longest < 5  # so far apart they are no chord


def test_a_run_in_chords_is_found_at_its_lowest_note_whichever_was_struck_first() -> None:
    offsets = np.array([0.02, 0.01, 0.0])  # from low to high: the highest comes first
    start = (np.arange(5)[:, None] * 0.5 + offsets).ravel()
    pitch = (np.array([60, 64, 67]) + np.array([0, 5, 7, 2, 9])[:, None]).ravel()
    trained = Notes.from_arrays(start, start + 0.3, pitch, np.full(15, 70))
    known = KnownRuns(in_memory([trained]))
    piece = trained.crop(0.9, 9.0).transpose(2)
    place = known.place(piece, known.runs(piece))
    assert place is not None
    assert (place.there_seconds, place.at_seconds) == pytest.approx((1.02, 0.12))
    assert place.semitones == 2


def test_a_chord_is_counted_from_its_first_note() -> None:
    notes = Notes.from_arrays([0.0, 0.04, 0.08, 0.13], [1.0] * 4, [70, 60, 50, 40], [70] * 4)
    assert notes.pitch[notes.reading_order()].tolist() == [60, 70, 40, 50]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_notes_have_no_run(count: int) -> None:
    known = KnownRuns(in_memory([in_a_row([60, 62, 64])]))
    piece = in_a_row([60] * count)
    runs = known.runs(piece)
    assert (runs.longest, runs.covered, known.place(piece, runs)) == (count, 0, None)


def test_keys_that_no_piano_has_are_left_out() -> None:
    known = KnownRuns(in_memory([in_a_row([60, 62, 64])]))
    assert known.runs(in_a_row([60, 120, 62, 3, 64])).lengths.tolist() == [3, 2, 1]


def test_every_unseen_stretch_is_of_the_validation_split_and_equally_likely() -> None:
    corpus = in_memory([in_a_row([60] * 50)], [in_a_row(range(30, 42)), in_a_row(range(60, 65)), in_a_row([80] * 3)])
    drawn = [
        stretch.pitch.tolist()
        for seed in range(40)
        for stretch in unseen_stretches(corpus, 5, np.random.default_rng(seed))
    ]
    begins, counts = np.unique([pitches[0] for pitches in drawn], return_counts=True)
    assert all(pitches == list(range(pitches[0], pitches[0] + 5)) for pitches in drawn)
    assert begins.tolist() == [*range(30, 38), 60]
    assert counts.min() > 0.5 * counts.mean()
    assert unseen_stretches(corpus, 13, np.random.default_rng(0)) == []


def test_a_copy_is_unusual_and_unrelated_playing_is_not() -> None:
    trained = [random_notes(seed, 300) for seed in range(4)]
    corpus = in_memory(trained, [random_notes(seed, 300) for seed in range(10, 14)])
    judged = judge(KnownRuns(corpus), [trained[0][50:150], random_notes(20, 100), random_notes(21, 400)])
    assert [one.runs.longest >= 90 for one in judged] == [True, False, False]  # its ends may fall into a chord
    assert judged[0].as_long == 0
    assert judged[1].as_long is not None
    assert judged[1].as_long > 0.05
    assert judged[2].as_long is None  # nothing unseen is so long
    summary = summarize(judged)
    assert (summary["unusual"], summary["compared"]) == (1, 2)
    assert (summary["played"]["pieces"], summary["real"]["pieces"]) == (3, 40)
    assert json.loads(json.dumps(judged[0].to_dict()))["place"]["trained_on"] == "0.mid"


def test_each_piece_has_stretches_of_its_own_and_the_seed_chooses_them() -> None:
    known = KnownRuns(in_memory([random_notes(1, 300)], [random_notes(seed, 300, highest=60) for seed in (2, 3)]))
    piece = random_notes(4, 40)

    def drawn(seed: int) -> list[list[list[int]]]:
        return [[real.lengths.tolist() for real in one.real] for one in judge(known, [piece, piece], seed)]

    assert drawn(1) == drawn(1)
    first, second = drawn(1)
    assert first != second
    assert first != drawn(2)[0]


def test_sums_are_divided_last() -> None:
    short, long = Runs(np.array([2, 1]), np.zeros(2, int)), Runs(np.arange(12, 0, -1), np.zeros(12, int))
    summary = summarize([Judged(short, None, []), Judged(long, None, [])])
    assert summary == {
        "played": {"pieces": 2, "notes": 14, "median": 7.0, "percentile_90": 11.0, "max": 12, "covered": 0.8571},
        "real": None,
        "unusual": 0,
        "compared": 0,
    }


def test_without_unseen_pieces_there_is_no_yardstick() -> None:
    corpus = in_memory([in_a_row([60, 62, 64])])
    with pytest.raises(CorpusError, match="validation"):
        judge(KnownRuns(corpus), [in_a_row([60, 62])])


@pytest.fixture(scope="module")
def maestro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six performances, listed as MAESTRO lists them: three of the train split, three of the validation split."""
    folder = tmp_path_factory.mktemp("maestro-v3.0.0")
    lines = ["canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"]
    for number in range(6):
        write_midi(folder / f"{number}.midi", random_notes(number, 150, 60.0))
        split = ("train", "validation")[number % 2]
        lines.append(f"Somebody,Piece {number},{split},2004,{number}.midi,{number}.wav,60")
    (folder / "maestro-v3.0.0.csv").write_text("\n".join(lines))
    return folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["eval", "memorisation", *map(str, arguments)])


def test_the_verb_names_what_a_file_is_copied_from(maestro: Path, tmp_path: Path) -> None:
    copy, own = tmp_path / "copy.mid", tmp_path / "own.mid"
    write_midi(own, random_notes(9, 120, 60.0))
    source = random_notes(2, 150, 60.0)
    write_midi(copy, source[20:120].shift(-float(source.start[20])).transpose(3))
    corpus = prepare(maestro, tmp_path / "corpus")
    result = call("--data", corpus.path, copy, own, "--json")
    assert result.exit_code == 0, result.stderr
    first, second = json.loads(result.stdout)["files"]
    assert first["place"]["trained_on"] == "2.midi"
    assert (first["place"]["title"], first["place"]["semitones"]) == ("Somebody: Piece 2", 3)
    assert first["as_long"] < second["as_long"]
    told = call("--data", corpus.path, copy).stdout
    assert "stand in 2.midi (Somebody: Piece 2)" in told
    assert "+3 semitones" in told


def test_the_seed_chooses_the_unseen_stretches(maestro: Path, tmp_path: Path) -> None:
    write_midi(tmp_path / "own.mid", random_notes(9, 60, 30.0))
    judged = [
        json.loads(call("--data", maestro, tmp_path / "own.mid", "--json", *seed).stdout)["files"][0]
        for seed in ((), ("--seed", "1"), ("--seed", "2"))
    ]
    assert judged[0] == judged[1]
    assert judged[0]["as_long"] != judged[2]["as_long"]
    assert judged[0]["longest"] == judged[2]["longest"]


def test_mistakes_are_one_line(maestro: Path, tmp_path: Path) -> None:
    write_midi(tmp_path / "alone" / "one.mid", random_notes(1, 50))
    for arguments, code, words in (
        (["--data", maestro, tmp_path / "none.mid"], 1, "none.mid"),
        (["--data", prepare(tmp_path / "alone", tmp_path / "corpus").path], 1, "validation"),
        ([tmp_path / "alone" / "one.mid"], 2, "--data"),
        (["--data", maestro, "--count", "3", tmp_path / "alone" / "one.mid"], 2, "--count means nothing"),
        (["--data", tmp_path / "nowhere", "--seconds", "0.1"], 2, "--seconds"),  # before the data is looked at
    ):
        result = call(*arguments)
        assert result.exit_code == code
        assert len(result.stderr.splitlines()) == 1
        assert words in result.stderr


def test_the_specification_says_the_numbers_that_hold() -> None:
    said = memorisation.__doc__ or ""
    assert f"{TOGETHER_STEPS * 10} ms" in said
    for word in (f"LONG_RUN ({LONG_RUN})", f"UNSEEN ({UNSEEN})", f"one piece in {UNSEEN + 1}"):
        assert word in said
