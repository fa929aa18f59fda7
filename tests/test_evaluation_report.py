"""Experiments, the report and its verbs, with a tiny model that knows nothing."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from some_notes import random_notes

from musicstyle.cli import main
from musicstyle.cli._group import LazyGroup, Verb
from musicstyle.cli.evaluate import VERBS
from musicstyle.corpus.cut import Crop, cut
from musicstyle.corpus.prepare import prepare
from musicstyle.corpus.store import SPLITS, Corpus
from musicstyle.errors import CorpusError, UsageError
from musicstyle.evaluation import experiments, material
from musicstyle.evaluation.experiments import Crops, Halves, embed_crops, interpolation_test, style_test
from musicstyle.evaluation.findings import findings
from musicstyle.evaluation.interpolation import relative_distance
from musicstyle.evaluation.knowledge import knowledge, names_for
from musicstyle.evaluation.likelihood import lengths
from musicstyle.evaluation.material import chosen, maestro_performances, midi_files
from musicstyle.evaluation.page import page
from musicstyle.evaluation.playing import beginning, pair_up, play_pairs, summarize
from musicstyle.evaluation.report import ASKED, OF_THE_CORPUS, PLAYED, PUBLISHED_NLL, Plan, Report, file_identity
from musicstyle.evaluation.style import distances, retrieval
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import save_checkpoint
from musicstyle.model.config import ModelConfig
from musicstyle.music.midi import read_midi, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import encode
from musicstyle.music.profile import PROFILE
from musicstyle.music.similarity import similarity_matrix

if TYPE_CHECKING:
    from musicstyle.generation.options import GenerationOptions
    from musicstyle.generation.result import Generation
    from musicstyle.model.config import Conditions

SMALL = ModelConfig(
    width=20, heads=3, head_width=8, feedforward_width=28, decoder_layers=1, style_layers=1, melody_layers=1, window=24,
    max_distance=10, encoder_max_distance=5, memory_window_steps=60, melody_frames_ahead=4, melody_frames_behind=1,
)  # fmt: skip
PLAN = Plan(
    seconds=1.5,
    styles=2,
    tunes=2,
    strengths=(1.0, 2.0),
    lines=1,
    mixes=3,
    repeats=1,
    nll_limit=2,
    nll_tokens=60,
    crops=2,
    samples=1,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    model = Autoencoder(SMALL)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    save_checkpoint(folder, model, {"training": {"tokens": 30}, "generation": {"top_p": 0.9}, "step": 7})
    return folder


@pytest.fixture(scope="module")
def player(checkpoint: Path) -> StyleTransfer:
    return StyleTransfer.load(checkpoint)


@pytest.fixture(scope="module")
def maestro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve performances of two composers, listed as MAESTRO lists them."""
    folder = tmp_path_factory.mktemp("maestro-v3.0.0")
    lines = ["canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"]
    for number in range(12):
        composer, split = ("Low", "High")[number % 2], ("train", "validation")[number > 1]
        write_midi(
            folder / f"{number}.midi",
            random_notes(number, 120, 20.0, lowest=30 + 40 * (number % 2), highest=60 + 40 * (number % 2)),
        )
        lines.append(f"{composer},Piece {number},{split},2004,{number}.midi,{number}.wav,20")
    (folder / "maestro-v3.0.0.csv").write_text("\n".join(lines))
    (folder / "performers.csv").write_text("midi_filename,performer\n2.midi,Ann\n4.midi,Ann\n5.midi,Bob\n")
    return folder


@pytest.fixture(scope="module")
def corpus(maestro: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare(maestro, tmp_path_factory.mktemp("prepared") / "corpus", seed=1)


@pytest.fixture
def without_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("MUSICSTYLE_DATA", str(tmp_path / "empty"))


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = [tmp_path_factory.mktemp("tunes") / f"tune{number}.mid" for number in range(2)]
    for number, path in enumerate(paths):
        start = np.arange(5) * 0.3
        write_midi(path, Notes.from_arrays(start, start + 0.3, 60 + number + np.arange(5), np.full(5, 80)))
    return paths


def test_each_piece_of_a_set_is_asked_for_as_long_as_it_may_be_with_a_seed_of_its_own(
    player: StyleTransfer, maestro: Path, tunes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    generate = player.generate

    def watched(style: Any, melody: Any, options: GenerationOptions) -> Generation:
        seeds.append(options.seed)
        return generate(style, melody, options)

    monkeypatch.setattr(player, "generate", watched)
    pairs = pair_up(midi_files(maestro)[:1], tunes)
    assert [melody for _, melody in pairs] == tunes
    played = list(play_pairs(player, pairs, player.default_options(seconds=1.0, seed=4)))
    assert seeds == [4, 5]
    assert [one.score.notes for one in played] == [4, 4]  # onsets at 0, .3, .6, .9
    assert summarize(played)["notes"] == 8


def test_what_a_performance_plays_beside_a_tune_is_its_beginning(tunes: list[Path]) -> None:
    melody, performance = read_midi(tunes[0]), random_notes(1, 60, 9.0).from_zero()
    heard = beginning(performance.shift(3.0), melody)
    assert heard.equals(performance.crop(0.0, melody.duration_seconds), 1e-9)
    assert len(beginning(Notes.empty(), melody)) == 0


def test_real_playing_hears_and_judges_different_halves(maestro: Path) -> None:
    halves = Halves.of(maestro / "3.midi")
    assert len(halves.heard) + len(halves.judge) == 120
    assert abs(len(halves.heard) - len(halves.judge)) <= 1
    middle = halves.heard.duration_seconds / 2
    assert halves.stretch(4.0).equals(halves.heard.crop(middle - 2.0, middle + 2.0), 1e-9)
    assert halves.judge.start[0] == 0


def test_a_snippet_cannot_be_halved(tmp_path: Path) -> None:
    write_midi(tmp_path / "short.mid", random_notes(1, 9, 3.0))
    with pytest.raises(UsageError, match=r"short\.mid: too short"):
        Halves.of(tmp_path / "short.mid")


def test_every_mode_is_judged_by_the_same_references_and_seeds(
    player: StyleTransfer, maestro: Path, tunes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[int, int]] = []
    asked: list[tuple[Path | None, int]] = []
    generate = player.generate

    def watched(style: Any, melody: Any, options: GenerationOptions) -> Generation:
        asked.append((melody, options.seed))
        return generate(style, melody, options)

    monkeypatch.setattr(player, "generate", watched)
    options = player.default_options(seconds=1.5)
    test = style_test(player, midi_files(maestro)[:3], tunes, options, progress=lambda *x: done.append(x))
    assert done == [(i, 12) for i in range(1, 13)]
    in_turn, without = [(tunes[0], 1), (tunes[1], 2), (tunes[0], 3)], [(None, 1), (None, 2), (None, 3)]
    assert asked == [*in_turn, *in_turn, *without, *without]  # both, melody, style, none
    modes = ("real", "both", "melody", "style", "none")
    for measure, parts in ((test.features, 8), (test.profile, 13)):
        for half in (measure.other, measure.heard):
            assert {mode: near.shape for mode, near in half.items()} == dict.fromkeys(modes, (3, 3, parts))
    again = style_test(player, midi_files(maestro)[:3], tunes, options, modes=["style"])
    np.testing.assert_array_equal(again.features.other["style"], test.features.other["style"])


def test_real_playing_as_long_as_the_half_heard_is_that_half(player: StyleTransfer, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.mid" for i in range(3)]
    for i, path in enumerate(paths):
        write_midi(path, random_notes(i, 60, 10.0))
    start = np.arange(20) * 0.5
    write_midi(tmp_path / "long.mid", Notes.from_arrays(start, start + 0.5, 60 + np.arange(20), np.full(20, 80)))
    test = style_test(player, paths, [tmp_path / "long.mid"], player.default_options(seconds=9.0), modes=["none"])
    for measure in (test.features, test.profile):
        np.testing.assert_allclose(np.diagonal(measure.heard["real"]), 1, atol=1e-4)
    for real in test.to_dict()["real"].values():
        assert real["heard"]["rate"] == 1
        assert real["own"] < 1


def test_a_short_tune_makes_every_mode_and_the_real_stretch_short(
    player: StyleTransfer, maestro: Path, tunes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | None] = []
    generate, stretch = player.generate, Halves.stretch

    def watched(style: Any, melody: Any, options: GenerationOptions) -> Generation:
        asked.append(options.seconds)
        return generate(style, melody, options)

    def watched_stretch(half: Halves, seconds: float) -> Notes:
        asked.append(seconds)
        return stretch(half, seconds)

    monkeypatch.setattr(player, "generate", watched)
    monkeypatch.setattr(Halves, "stretch", watched_stretch)
    start = np.arange(5) * 0.4
    write_midi(maestro.parent / "long.mid", Notes.from_arrays(start, start + 0.4, 60 + np.arange(5), np.full(5, 80)))
    style_test(
        player, midi_files(maestro)[:3], [tunes[0], maestro.parent / "long.mid"], player.default_options(seconds=1.7)
    )
    assert asked == [1.5, 1.7, 1.5] * 5  # real and four modes; the third style plays the first tune again


def test_a_short_half_makes_every_mode_and_the_real_stretch_short(
    player: StyleTransfer, maestro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | None] = []
    generate = player.generate

    def watched(style: Any, melody: Any, options: GenerationOptions) -> Generation:
        asked.append(options.seconds)
        return generate(style, melody, options)

    monkeypatch.setattr(player, "generate", watched)
    fast, slow = random_notes(1, 60, 4.5), random_notes(2, 60, 30.0)
    write_midi(tmp_path / "hurried.mid", Notes.concatenate([fast, slow.shift(5.0)]))
    start = np.arange(20) * 0.5
    write_midi(tmp_path / "long.mid", Notes.from_arrays(start, start + 0.5, 60 + np.arange(20), np.full(20, 80)))
    paths = [tmp_path / "hurried.mid", maestro / "3.midi"]
    style_test(player, paths, [tmp_path / "long.mid"], player.default_options(seconds=6.0), modes=["none"])
    assert asked == [Halves.of(paths[0]).heard.duration_seconds, 6.0]
    assert asked[0] is not None
    assert asked[0] < 6.0


def test_one_style_alone_is_refused(player: StyleTransfer, maestro: Path, tunes: list[Path]) -> None:
    with pytest.raises(UsageError, match="at least 2"):
        style_test(player, midi_files(maestro)[:1], tunes, player.default_options(seconds=1.5))


def test_the_ends_of_a_line_are_the_styles_themselves(player: StyleTransfer, maestro: Path, tunes: list[Path]) -> None:
    a, b = midi_files(maestro)[:2]
    options = player.default_options(seconds=1.5)
    there = interpolation_test(player, [(a, b)], tunes[:1], options, 3, 1)
    back = interpolation_test(player, [(b, a)], tunes[:1], options, 3, 1)
    np.testing.assert_allclose(back.mean[::-1], 1 - there.mean, atol=1e-9)


def test_a_line_goes_from_b_to_a_with_the_same_seeds_at_every_mix(
    player: StyleTransfer, maestro: Path, tunes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[Notes], tuple[float, float], Path, int]] = []
    generate = player.generate

    def watched(
        style: list[Notes], melody: Path, options: GenerationOptions, *, style_shares: tuple[float, float]
    ) -> Generation:
        asked.append((style, style_shares, melody, options.seed))
        return generate(style, melody, options, style_shares=style_shares)

    monkeypatch.setattr(player, "generate", watched)
    a, b, c, d = midi_files(maestro)[:4]
    interpolation_test(player, [(a, b), (c, d)], tunes, player.default_options(seconds=1.5, seed=5), 3, 2)
    assert [seed for *_, seed in asked] == [5] * 3 + [6] * 3 + [7] * 3 + [8] * 3
    assert [melody for _, _, melody, _ in asked] == ([tunes[0]] * 3 + [tunes[1]] * 3) * 2
    assert [shares for _, shares, _, _ in asked] == [(0.0, 1.0), (0.5, 0.5), (1.0, 0.0)] * 4
    for (notes, *_), ends in zip(asked, ([(a, b)] * 6 + [(c, d)] * 6), strict=True):
        assert all(part.equals(read_midi(end).from_zero()) for part, end in zip(notes, ends, strict=True))


def test_both_ends_are_judged_by_stretches_of_one_length(
    player: StyleTransfer, maestro: Path, tunes: list[Path], tmp_path: Path
) -> None:
    a = midi_files(maestro)[0]
    whole = read_midi(a).from_zero()
    write_midi(tmp_path / "longer.mid", Notes.concatenate([whole, whole.shift(whole.duration_seconds).transpose(12)]))
    monotone = [whole.crop(0.0, 12.0), read_midi(tmp_path / "longer.mid").from_zero()]
    made = player.generate(monotone[1], tunes[0], player.default_options(seconds=1.5)).notes
    write_midi(tmp_path / "shorter.mid", monotone[0])
    line = interpolation_test(
        player,
        [(tmp_path / "shorter.mid", tmp_path / "longer.mid")],
        tunes[:1],
        player.default_options(seconds=1.5),
        2,
        1,
    )
    length = monotone[0].duration_seconds
    areas = similarity_matrix([made], [part.crop(0.0, length) for part in monotone]).mean(axis=2)
    assert line.mean[0] == pytest.approx(float(relative_distance(areas[:, 0], areas[:, 1])[0]), abs=1e-6)


def test_crops_go_from_the_first_note_of_a_piece_to_its_last(
    player: StyleTransfer, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: dict[int, list[Crop]] = {}

    def watched(of: Corpus, piece: int, first: int, tokens: int) -> Crop:
        crop = cut(of, piece, first, tokens)
        taken.setdefault(piece, []).append(crop)
        return crop

    monkeypatch.setattr(experiments, "cut", watched)
    embed_crops(player, corpus, "validation", 3)
    tokens = player.facts["training"]["tokens"]
    for piece, crops in taken.items():
        notes = corpus.notes(piece)
        assert np.array_equal(crops[0].ids, encode(notes.from_zero())[:tokens])
        assert crops[-1].last >= len(notes) - 3  # as many notes as a crop has ids for, more or less


def test_crops_know_where_they_are_from(player: StyleTransfer, corpus: Corpus, maestro: Path) -> None:
    crops = embed_crops(player, corpus, "validation", 3)
    assert crops.embedding.shape == (30, player.model.style_width)
    assert crops.profile.shape == (30, PROFILE)
    names = names_for(corpus, maestro / "performers.csv")
    assert names["performer"] == {"2.midi": "Ann", "4.midi": "Ann", "5.midi": "Bob"}
    known = knowledge(crops, names)
    assert known["retrieval"]["performer"]["profile"]["queries"] == 6  # Bob has no second performance
    assert known["probe"]["profile"]["accuracy"] > 0.8  # low and high are told by their registers


@pytest.mark.usefixtures("without_data")
def test_pieces_too_short_for_two_crops_are_counted(player: StyleTransfer, tmp_path: Path) -> None:
    for number, notes in enumerate((80, 60, 9, 8)):
        write_midi(tmp_path / "midi" / f"{number}.mid", random_notes(number, notes))
    corpus = prepare(tmp_path / "midi", tmp_path / "corpus")
    corpus.pieces["split"][:] = SPLITS.index("validation")  # in memory only
    crops = embed_crops(player, corpus, "validation", 2)
    assert (crops.paths, crops.dropped) == (["0.mid", "0.mid", "1.mid", "1.mid"], 2)
    report = Report(player, "weights", PLAN, corpus, tmp_path / "report").run()
    assert report["embedding"]["dropped"] == 2
    assert "too short for two: 2)" in page(report)


def test_a_corpus_of_anything_has_no_names(tmp_path: Path, player: StyleTransfer) -> None:
    for number in range(4):
        write_midi(tmp_path / "midi" / f"{number}.mid", random_notes(number, 80))
    corpus = prepare(tmp_path / "midi", tmp_path / "corpus")
    known = knowledge(embed_crops(player, corpus, "train", 2), names_for(corpus))
    assert list(known["retrieval"]) == ["performance"]
    assert known["probe"] == {}


def test_choices_are_seeded_and_tables_are_checked(maestro: Path, tmp_path: Path) -> None:
    files = midi_files(maestro)
    assert chosen(files, 5, 1) == chosen(files, 5, 1) != chosen(files, 5, 2)
    assert sorted(chosen(files, 50, 1)) == files
    (tmp_path / "wrong.csv").write_text("name,who\nx,y\n")
    with pytest.raises(CorpusError, match="no midi_filename column"):
        maestro_performances(maestro, tmp_path / "wrong.csv")
    with pytest.raises(UsageError, match="no maestro-v"):
        maestro_performances(tmp_path / "midi")
    with pytest.raises(UsageError, match=r"no \.mid"):
        midi_files(tmp_path)


def test_tunes_of_a_folder_are_of_every_kind_that_a_tune_may_be(tmp_path: Path) -> None:
    names = ["a.mid", "b.abc", "below/c.MUSICXML", "d.melody"]
    for name in (*names, "README.txt", "e.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(material.tunes(9, folder=tmp_path)) == [tmp_path / name for name in names]


@pytest.mark.usefixtures("without_data")
def test_examples_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(material, "examples", lambda: tmp_path)
    write_midi(tmp_path / "styles" / "a.mid", random_notes(1, 9))
    with pytest.raises(UsageError, match=r"no \.mid"):
        material.tunes(2)
    assert material.styles(2) == [tmp_path / "styles" / "a.mid"]


def test_other_performances_of_a_work_do_not_answer() -> None:
    """Two performances of each of six works, two crops of each: nearest is the same place, played by the other."""
    piece = np.repeat(np.arange(12), 2)
    work, place = piece // 2, np.tile([0, 1], 12)
    rng = np.random.default_rng(0)
    passages = 10 * rng.normal(size=(6, 1, 9)) + rng.normal(size=(6, 2, 9))
    vectors = passages[work, place] + 0.01 * rng.normal(size=(24, 9))
    assert retrieval(distances(vectors), piece.astype(str)).recall_1 == 0.0
    crops = Crops(vectors, np.zeros((24, PROFILE)), piece, work, [f"{number}.midi" for number in piece])
    of_one_work = {f"{number}.midi": f"of work {number // 2}" for number in range(12)}
    of_many = {f"{number}.midi": f"by {number // 6}" for number in range(12)}
    found = knowledge(crops, {"composer": of_one_work, "performer": of_many})["retrieval"]
    assert found["performance"]["embedding"]["recall_1"] == 1.0
    assert "composer" not in found  # of one work each, so that nothing is left that may answer
    assert found["performer"]["embedding"]["chance"] == pytest.approx(8 / 20)  # of the other works alone


def test_the_probe_never_learns_from_another_performance_of_a_work() -> None:
    """Two performances of each of 20 works, whose composers are drawn by lot: only the work can tell."""
    rng = np.random.default_rng(1)
    piece = np.repeat(np.arange(40), 3)
    work, composer = piece // 2, rng.integers(2, size=20)
    vectors, silent = rng.normal(size=(20, 30))[work] + 0.05 * rng.normal(size=(120, 30)), np.zeros((120, PROFILE))
    names = [f"{number}.midi" for number in piece]
    by = {"composer": {f"{number}.midi": f"by {composer[number // 2]}" for number in range(40)}}
    kept_apart, torn = (knowledge(Crops(vectors, silent, piece, of, names), by)["probe"] for of in (work, piece))
    assert kept_apart["embedding"]["accuracy"] < 0.65
    assert torn["embedding"]["accuracy"] > 0.9
    folds = [knowledge(Crops(vectors, silent, piece, work, names), by, seed)["probe"] for seed in (1, 1, 2)]
    assert folds[0] == folds[1] != folds[2]


@pytest.mark.parametrize("above", [False, True])
def test_performers_are_found_from_above_and_from_below(maestro: Path, tmp_path: Path, above: bool) -> None:
    folder = tmp_path / "maestro-v3.0.0"
    shutil.copytree(maestro, folder / "2004")
    rows = (maestro / "maestro-v3.0.0.csv").read_text().splitlines()
    moved = [rows[0], *(row.replace(",2004,", ",2004,2004/") for row in rows[1:])]
    (folder / "maestro-v3.0.0.csv").write_text("\n".join(moved))
    (folder / "2004" / "maestro-v3.0.0.csv").unlink()
    (tmp_path / "who.csv").write_text("midi_filename,performer\n2004/2.midi,Ann\n2004/5.midi,Bob\n")
    known = maestro_performances(tmp_path if above else folder / "2004", tmp_path / "who.csv")
    assert {one.path.name: one.performer for one in known if one.performer} == {"2.midi": "Ann", "5.midi": "Bob"}
    assert len(known) == 12


@pytest.fixture
def data(maestro: Path, tunes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as MUSICSTYLE_DATA names it: MAESTRO and two tunes."""
    (tmp_path / "data" / "melodies" / "nottingham").mkdir(parents=True)
    (tmp_path / "data" / "maestro-v3.0.0").symlink_to(maestro)
    for path in tunes:
        shutil.copy(path, tmp_path / "data" / "melodies" / "nottingham")
    monkeypatch.setenv("MUSICSTYLE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_other_music_is_another_question(player: StyleTransfer, corpus: Corpus, data: Path, tmp_path: Path) -> None:
    def keys() -> dict[str, str]:
        report = Report(player, "weights", PLAN, corpus, tmp_path / "report")
        return {part: report._key(part) for part in report.parts}

    first = keys()
    assert keys() == first
    write_midi(data / "melodies" / "nottingham" / "tune0.mid", random_notes(7, 9))
    second = keys()
    assert {part for part in first if first[part] != second[part]} == set(PLAYED)
    (data / "maestro-performers.csv").write_text("midi_filename,performer\n3.midi,Cid\n")
    third = keys()
    assert {part for part in first if second[part] != third[part]} == {"embedding"}


@pytest.mark.usefixtures("without_data")
def test_a_corpus_of_as_many_other_notes_is_another_question(
    player: StyleTransfer, corpus: Corpus, maestro: Path, tmp_path: Path
) -> None:
    shutil.copytree(maestro, tmp_path / "moved")
    for path in midi_files(tmp_path / "moved"):
        write_midi(path, read_midi(path).transpose(-1))
    moved = prepare(tmp_path / "moved", tmp_path / "corpus", seed=1)
    assert moved.manifest["totals"] == corpus.manifest["totals"]
    first, second = (Report(player, "weights", PLAN, data, tmp_path / "report") for data in (corpus, moved))
    assert all(first._key(part) != second._key(part) for part in OF_THE_CORPUS)


@pytest.mark.usefixtures("without_data")
@pytest.mark.parametrize(
    ("changes", "tokens"), [({}, 300), ({"memory_window_steps": 30}, 30), ({"window": 12, "max_distance": 10}, 30)]
)
def test_the_same_weights_in_another_model_are_asked_anew(
    player: StyleTransfer, tmp_path: Path, changes: dict[str, int], tokens: int
) -> None:
    other = Autoencoder(dataclasses.replace(SMALL, **changes))
    other.load_state_dict(player.model.state_dict())
    reports = [
        Report(one, "weights", PLAN, None, tmp_path / "report")
        for one in (player, StyleTransfer(other.eval(), {**player.facts, "training": {"tokens": tokens}}))
    ]
    assert all(reports[0]._key(part) != reports[1]._key(part) for part in reports[0].parts)


@pytest.mark.usefixtures("without_data")
def test_other_settings_are_another_question_to_what_hears_them(
    player: StyleTransfer, corpus: Corpus, tmp_path: Path
) -> None:
    def keys(**generation: float) -> dict[str, str]:
        other = StyleTransfer(player.model, {**player.facts, "generation": generation})
        report = Report(other, "weights", PLAN, corpus, tmp_path / "report")
        return {part: report._key(part) for part in report.parts}

    first, sharper, ensemble = keys(), keys(top_p=0.5), keys(ensemble=3)
    assert {part for part in first if first[part] != sharper[part]} == set(PLAYED)
    assert {part for part in first if first[part] != ensemble[part]} == {*PLAYED, "likelihood"}


def test_only_pieces_that_were_compared_speak_of_copying() -> None:
    def mode(unusual: int, *pieces: tuple[int, float | None]) -> dict[str, Any]:
        judged = [{"longest": longest, "as_long": as_long} for longest, as_long in pieces]
        return {"pieces": judged, "unusual": unusual, "compared": sum(share is not None for _, share in pieces)}

    modes = {"both": mode(0, (10, 0.5), (500, None)), "none": mode(1, (12, 0.0))}
    (line,) = findings({"memorisation": {"modes": modes}})
    assert "has 12 notes" in line
    assert "1 of 2 pieces" in line
    assert "1 have more notes than any unseen performance" in line


@pytest.mark.usefixtures("without_data")
def test_the_styles_are_of_the_maestro_that_is_given_and_too_few_are_told(
    player: StyleTransfer, corpus: Corpus, maestro: Path, tmp_path: Path
) -> None:
    plan = dataclasses.replace(PLAN, styles=11)
    report = Report(player, "weights", plan, corpus, tmp_path / "report")
    assert sorted(report.material["style"][0]) == sorted(maestro / f"{number}.midi" for number in range(2, 12))
    assert report._lacking() == ["style: 10 styles and 2 tunes (asked: 11 of each)"]
    for line in report._lacking():
        assert line in report._facts()["left_out"]
    assert len(Report(player, "weights", PLAN, None, tmp_path / "report")._lacking()) == 1  # no data was given


@pytest.mark.usefixtures("without_data")
@pytest.mark.parametrize(
    ("conditions", "parts"),
    [
        ("both", ["melody", "style", "interpolation", "likelihood", "embedding", "memorisation"]),
        ("melody", ["melody", "style", "likelihood", "memorisation"]),
        ("style", ["style", "interpolation", "likelihood", "embedding", "memorisation"]),
        ("none", ["style", "likelihood", "memorisation"]),
    ],
)
def test_weights_that_hear_less_are_asked_less(
    conditions: Conditions, parts: list[str], corpus: Corpus, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    model = Autoencoder(dataclasses.replace(SMALL, conditions=conditions)).eval()
    player = StyleTransfer(model, {"training": {"tokens": 30}})
    plan = dataclasses.replace(PLAN, strengths=(1.0,), nll_limit=1, seconds=1.0)
    report = Report(player, "weights", plan, corpus, tmp_path / "report").run()
    assert [part for part in report if part in ASKED] == parts
    assert page(report).count("<h2>") == len(parts) + 2
    if "melody" not in parts:
        with pytest.raises(UsageError, match="hears no melody"):
            next(play_pairs(player, [(corpus.path, corpus.path)], player.default_options(seconds=1.0)))


@pytest.mark.usefixtures("without_data")
def test_a_report_goes_on_where_it_stopped(player: StyleTransfer, corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "report"

    def stop(part: str, done: int, total: int) -> None:
        if part == "interpolation":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Report(player, "weights", PLAN, corpus, out).run(stop)
    assert sorted(path.stem for path in (out / "parts").iterdir()) == ["melody", "style"]
    asked: set[str] = set()
    first = Report(player, "weights", PLAN, corpus, out).run(lambda part, *_: asked.add(part))
    assert asked == {"interpolation", "likelihood", "embedding", "memorisation"}
    asked.clear()
    assert Report(player, "weights", PLAN, corpus, out).run(lambda part, *_: asked.add(part)) == first
    assert asked == set()
    Report(player, "other weights", PLAN, None, out).run(lambda part, *_: asked.add(part))
    assert asked == {"melody", "style", "interpolation"}
    _check_page(first)


def _check_page(report: dict[str, Any]) -> None:
    html = page(report)
    assert html.count("<svg") == 4
    assert not re.search(r'(src|href)="(?!#)|@import|url\((?!#)', html)  # nothing from outside
    identities = re.findall(r' id="([^"]*)"', html)
    assert len(identities) == len(set(identities))
    assert html.count('<svg role="img" aria-label=') == 4
    assert "default-src 'none'" in html
    assert 'name="viewport"' in html
    likelihood = report["likelihood"]
    assert likelihood["published"] == {}  # of other music
    assert "1.706" not in html
    beside = page({**report, "likelihood": {**likelihood, "published": PUBLISHED_NLL}})
    for value in (*PUBLISHED_NLL.values(), 0.080):
        assert f"{value:.3f}" in beside
    assert len(findings(report)) == 10  # four of style (both, style) and two of the embedding (performance, composer)
    assert "styles: 2 (full: 20)" in html


@pytest.mark.usefixtures("without_data")
def test_a_question_that_the_data_cannot_answer_is_left_out_with_the_reason(
    player: StyleTransfer, tmp_path: Path
) -> None:
    write_midi(tmp_path / "midi" / "short.mid", random_notes(1, 8))
    corpus = prepare(tmp_path / "midi", tmp_path / "corpus")
    report = Report(player, "weights", PLAN, corpus, tmp_path / "report").run()
    assert "embedding" not in report
    assert "long enough for two crops" in report["left_out"][-2]
    assert "no piece in its validation split" in report["left_out"][-1]
    assert "likelihood" in report


@pytest.mark.usefixtures("without_data")
def test_crops_are_so_long_that_no_more_than_a_quarter_of_the_pieces_is_shorter(
    player: StyleTransfer, corpus: Corpus, tmp_path: Path
) -> None:
    plan = dataclasses.replace(PLAN, nll_split="validation", nll_tokens=10_000, nll_limit=1)
    told = Report(player, "weights", plan, corpus, tmp_path)._likelihood(lambda *_: None)
    in_order = np.sort(lengths(corpus, corpus.indices("validation")))
    assert len(in_order) == 10
    assert (told["crop_tokens"], told["dropped"]) == (in_order[2], (in_order < in_order[2]).sum())


@pytest.mark.usefixtures("without_data")
def test_published_values_stand_beside_what_they_are_of_alone(
    player: StyleTransfer, maestro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musicstyle.evaluation.report.PROTOCOL_TOKENS", 60)
    corpus = prepare(maestro, tmp_path / "corpus", seed=1)
    corpus.pieces["split"][2:5] = SPLITS.index("test")  # in memory only

    def published(**changes: Any) -> dict[str, float]:
        plan = dataclasses.replace(PLAN, nll_limit=1, **changes)
        told: dict[str, float] = Report(player, "weights", plan, corpus, tmp_path)._likelihood(lambda *_: None)[
            "published"
        ]
        return told

    assert published() == PUBLISHED_NLL
    assert published(nll_split="validation") == published(nll_tokens=59) == {}
    corpus.manifest["source"] = str(tmp_path)  # where no table says that it is MAESTRO
    assert published() == {}


@pytest.mark.usefixtures("without_data")
def test_no_style_is_an_end_of_two_lines(player: StyleTransfer, corpus: Corpus, tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, lines=2, mixes=2)
    report = Report(player, "weights", plan, corpus, tmp_path)
    told = report._interpolation(lambda *_: None)
    ends = [name for pair in told["pairs"] for name in pair]
    assert ends == [path.stem for path in report.material["interpolation"][0]]
    assert len(set(ends)) == 4
    assert told["pieces"] == 2


@pytest.mark.usefixtures("without_data")
def test_what_can_be_heard_on_the_page_is_played_at_the_strength_by_default(
    player: StyleTransfer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = player.generate

    def as_high_as_strong(style: Any, melody: Any, options: GenerationOptions) -> Generation:
        made = generate(style, melody, options)
        start = np.array([0.5, 0.75])
        pitch = round(10 * options.melody_strength) + np.array([40, 41])
        return dataclasses.replace(made, notes=Notes.from_arrays(start, start + 0.3, pitch, [70, 80]))

    monkeypatch.setattr(player, "generate", as_high_as_strong)
    report = Report(player, "weights", PLAN, None, tmp_path)
    (sample,) = report._melody(lambda *_: None)["samples"]
    by_default = report.options.melody_strength
    assert by_default not in PLAN.strengths
    assert sample["notes"] == [[50, 30, 40 + 10 * by_default, 70], [75, 30, 41 + 10 * by_default, 80]]


def test_each_sentence_says_the_number_that_it_is_about() -> None:
    row = {"melody_strength": 2.0, "share_100": 0.95, "share_50": 0.8, "chance_100": 0.1, "chance_50": 0.07}
    rates = {"both": (0.75, 0.85), "style": (0.7, 0.9), "real": (0.74, 0.92)}
    modes = {
        mode: {
            measure: {
                "rate": judge + more,
                "interval": [0.6, 0.8] if mode == "both" else None,
                "candidates": 20,
                "heard": {"rate": heard + more},
            }
            for measure, more in (("features", 0.0), ("profile", 0.05))
        }
        for mode, (judge, heard) in rates.items()
    }
    found = {"embedding": {"recall_1": 0.26, "chance": 0.006}, "profile": {"recall_1": 0.44, "chance": 0.006}}
    assert findings(
        {
            "melody": {"default_strength": 2.0, "strengths": [{"melody_strength": 1.0}, {**row, "on_top": 0.9}]},
            "style": {"modes": modes},
            "embedding": {"retrieval": {"performance": found}},
            "interpolation": {"fall": 0.097, "spearman_of_means": -0.95},
        }
    ) == [
        "Of the melody's notes 95% sound within 100 ms (chance 10%), 90% of them on top.",
        (
            "Playing a tune in a style, a piece is nearer to its own style than to another's, by profile, in 80% (60% "
            "to 80%) of 380 comparisons; real playing reaches 79%, chance is 50%. Judged by the half that was heard it "
            "is 90%, real playing 97%."
        ),
        (
            "Playing a tune in a style, a piece is nearer to its own style than to another's, by the eight features, "
            "in 75% (60% to 80%) of 380 comparisons; real playing reaches 74%, chance is 50%. Judged by the half that "
            "was heard it is 85%, real playing 92%."
        ),
        (
            "Playing freely in a style, a piece is nearer to its own style than to another's, by profile, in 75% of "
            "380 comparisons; real playing reaches 79%, chance is 50%. Judged by the half that was heard it is 95%, "
            "real playing 97%."
        ),
        (
            "Playing freely in a style, a piece is nearer to its own style than to another's, by the eight features, "
            "in 70% of 380 comparisons; real playing reaches 74%, chance is 50%. Judged by the half that was heard it "
            "is 90%, real playing 92%."
        ),
        (
            "The nearest crop by embedding is of the same performance in 26% of queries, by profile in 44% (chance "
            "0.6%)."
        ),
        "From one style to another the relative distance falls by 0.097, Spearman -0.95.",
    ]


def test_what_the_style_saves_is_what_it_saves_beside_the_melody() -> None:
    nats = {"both": 1.75, "melody": 1.81, "style": 1.9, "none": 2.0}
    likelihood = {
        "modes": {mode: {"nll": nll, "interval": [nll - 0.1, nll + 0.1], "by_kind": {}} for mode, nll in nats.items()},
        "published": {},
        "split": "test",
        "crop_tokens": 60,
        "pieces": 3,
        "works": 2,
        "dropped": 0,
        "tokens": 180,
        "ensemble": 1,
    }
    (line,) = findings({"likelihood": likelihood})
    assert "costs 1.750 nats a token with melody and style, 2.000 with neither" in line
    assert line.endswith("style on top of the melody saves 0.060.")
    facts = {"checkpoint": "x", "weights": "y", "step": 1, "musicstyle": "1", "generation": {}, "left_out": []}
    assert "<td>1.810</td><td>1.710 to 1.910</td><td>–</td>" in page({**facts, "likelihood": likelihood})


def test_quick_says_what_it_leaves_out() -> None:
    assert Plan().left_out() == []
    assert any(line.startswith("nll_limit: 32 (full: all)") for line in Plan.quick().left_out())


def test_other_weights_have_another_identity(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "w"
    data = bytearray((checkpoint / "model.safetensors").read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    assert file_identity(copy) != file_identity(checkpoint / "model.safetensors")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in ("eval", *arguments)])


def test_eval_similarity_of_two_files(maestro: Path, tmp_path: Path) -> None:
    a, b, plot = maestro / "3.midi", maestro / "4.midi", tmp_path / "plot.svg"
    result = call("similarity", a, a, "--json")
    assert json.loads(result.stdout)["mean"] == pytest.approx(1)
    assert call("similarity", a, b, "--plot", plot).exit_code == 0
    assert plot.read_text().count("<svg") == 1
    again = call("similarity", a, b, "--plot", plot)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "--force" in again.stderr
    assert call("similarity", a, b, "--plot", plot, "--force", "--density", "kde").exit_code == 0


def test_names_that_are_no_text_are_told_and_drawn(maestro: Path, tmp_path: Path) -> None:
    name = tmp_path / "caf\udce9.mid"
    try:
        shutil.copy(maestro / "3.midi", name)
    except OSError:
        pytest.skip("this file system holds text only")
    result = call("similarity", name, maestro / "4.midi", "--plot", tmp_path / "plot.png")
    assert result.exit_code == 0, result.stderr
    assert "caf?" in result.stdout.splitlines()[0]
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_eval_similarity_of_sets(maestro: Path) -> None:
    result = json.loads(call("similarity", "--reference", maestro, "--candidate", maestro, "--json").stdout)
    assert len(result["pairs"]) == 12
    for arguments in (["--reference", maestro], [maestro / "3.midi"], ["--plot", "x.png"], ["--plot", "x.mid"]):
        refused = call("similarity", *arguments)
        assert refused.exit_code == 2
        assert len(refused.stderr.splitlines()) == 1


def test_eval_similarity_refuses_what_nothing_would_come_of(maestro: Path) -> None:
    a, sets = maestro / "3.midi", ["--reference", maestro, "--candidate", maestro]
    for arguments, flag in (
        ([a, a, "--seconds", "5"], "--seconds"),
        ([*sets, "--checkpoint", maestro], "--checkpoint"),
        ([a, a, "--seed", "1"], "--seed"),
        ([a, a, "--pairs", "all"], "--pairs"),
        ([a, a, "--force"], "--force"),
    ):
        refused = call("similarity", *arguments)
        assert (refused.exit_code, refused.stderr.split(" means nothing")[0]) == (2, f"musicstyle: error: {flag}")


def test_a_plot_is_not_drawn_over_what_it_is_of(maestro: Path, tmp_path: Path) -> None:
    piece = tmp_path / "piece.png"
    piece.write_bytes((maestro / "3.midi").read_bytes())
    for arguments in (("similarity", maestro / "4.midi", piece), ("interpolation", "--melodies", piece)):
        refused = call(*arguments, "--plot", piece, "--force")
        assert (refused.exit_code, piece.read_bytes()) == (2, (maestro / "3.midi").read_bytes())
        assert "is an input too; give another --plot" in refused.stderr


def test_eval_similarity_of_a_checkpoint_takes_the_data_and_the_density(checkpoint: Path, data: Path) -> None:
    def of(*arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            call("similarity", "--checkpoint", checkpoint, "--seconds", "1.5", "--json", *arguments).stdout
        )
        return found

    normal, kernels = of(), of("--density", "kde")
    assert len(normal["styles"]) == 6
    assert set(normal["styles"]) <= {str(number) for number in range(2, 12)}  # the validation split's
    assert (normal["styles"], kernels["density"]) == (kernels["styles"], "kde")
    real, with_kernels = normal["modes"]["real"], kernels["modes"]["real"]
    assert real["features"]["own"] != with_kernels["features"]["own"]
    assert real["profile"] == with_kernels["profile"]


def test_eval_style_refuses_before_it_plays(
    checkpoint: Path, corpus: Corpus, maestro: Path, tunes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "style_test", lambda *_, **__: pytest.fail("has played"))
    deaf = tmp_path / "deaf"
    config = dataclasses.replace(SMALL, conditions="melody")
    save_checkpoint(deaf, Autoencoder(config), {"training": {"tokens": 30}})
    (tmp_path / "wrong.csv").write_text("name,who\nx,y\n")
    (tmp_path / "others.csv").write_text("midi_filename,performer\nelsewhere.midi,Ann\n")
    write_midi(tmp_path / "mine" / "a.mid", random_notes(1, 90))
    write_midi(tmp_path / "mine" / "b.mid", random_notes(2, 90))
    mine = prepare(tmp_path / "mine", tmp_path / "mine-prepared").path
    common = ("style", "--styles", maestro, "--melodies", tunes[0], "--checkpoint")
    for arguments, code, words in (
        ((checkpoint, "--data", tmp_path / "none"), 1, "none"),
        ((checkpoint, "--data", corpus.path, "--split", "test"), 1, "no piece in its test split"),
        ((checkpoint, "--data", corpus.path, "--performers", tmp_path / "wrong.csv"), 1, "no midi_filename column"),
        ((checkpoint, "--data", corpus.path, "--performers", tmp_path / "others.csv"), 2, "others.csv names no perf"),
        (
            (checkpoint, "--data", mine, "--split", "train", "--performers", tmp_path / "none.csv"),
            2,
            "no maestro-v*.csv",
        ),
        ((deaf, "--data", corpus.path), 2, "hears no style"),
        ((checkpoint, "--split", "test"), 2, "--data"),
        ((checkpoint, "--crops", "3"), 2, "--data"),
        ((checkpoint, "--performers", maestro / "performers.csv"), 2, "--data"),
    ):
        result = call(*common, *arguments)
        assert result.exit_code == code
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("without_data")
def test_verbs_that_play(checkpoint: Path, corpus: Corpus, maestro: Path, tunes: list[Path], tmp_path: Path) -> None:
    common = ("--checkpoint", checkpoint, "--styles", maestro, "--seconds", "1.5", "--json")
    melodies = ("--melodies", tunes[0].parent)
    similar = json.loads(call("similarity", *common, *melodies).stdout)
    assert set(similar["modes"]) == {"real", "both", "melody", "style", "none"}
    melody = json.loads(call("melody", *common, *melodies, "--pairs", "1", "--melody-strength", "2").stdout)
    assert melody["strengths"][0]["melody_strength"] == 2
    style = json.loads(
        call("style", *common, *melodies, "--count", "2", "--data", maestro.parent / maestro.name).stdout
    )
    assert {"retrieval", "probe"} <= set(style["embedding"])
    copied = ("memorisation", *common, *melodies, "--count", "1", "--data", corpus.path)
    modes = json.loads(call(*copied).stdout)["modes"]
    assert {mode: judged["compared"] for mode, judged in modes.items()} == dict.fromkeys(
        ("both", "melody", "style", "none"), 1
    )
    line = call(
        "interpolation",
        *common,
        *melodies,
        "--lines",
        "1",
        "--steps",
        "2",
        "--repeats",
        "1",
        "--plot",
        tmp_path / "l.png",
    )
    assert len(json.loads(line.stdout)["distance"]) == 2
    assert (tmp_path / "l.png").stat().st_size > 1000


@pytest.mark.usefixtures("without_data")
def test_the_strengths_that_are_tried_hold_the_checkpoint_s_own(
    checkpoint: Path, maestro: Path, tunes: list[Path], tmp_path: Path
) -> None:
    own = shutil.copytree(checkpoint, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    config["generation"]["melody_strength"] = 1.75
    (own / "config.json").write_text(json.dumps(config))
    arguments = ("--styles", maestro, "--melodies", tunes[0], "--pairs", "1", "--seconds", "1.5", "--json")
    found = json.loads(call("melody", "--checkpoint", own, *arguments).stdout)
    assert [row["melody_strength"] for row in found["strengths"]] == [1.0, 1.75, 3.0]


@pytest.mark.usefixtures("without_data")
def test_each_crop_asks_once(checkpoint: Path, corpus: Corpus, maestro: Path, tunes: list[Path]) -> None:
    played = ("--styles", maestro, "--melodies", tunes[0], "--count", "2", "--seconds", "1.5", "--json")
    result = call("style", "--checkpoint", checkpoint, *played, "--data", corpus.path, "--crops", "3")
    found = json.loads(result.stdout)["embedding"]["retrieval"]["performance"]
    assert {by: one["queries"] for by, one in found.items()} == dict.fromkeys(found, 3 * 10)


def test_eval_nll(checkpoint: Path, corpus: Corpus) -> None:
    arguments = (
        "nll",
        "--data",
        corpus.path,
        "--checkpoint",
        checkpoint,
        "--split",
        "validation",
        "--tokens",
        "60",
        "--limit",
        "3",
    )
    result = json.loads(call(*arguments, "--json").stdout)
    assert set(result["modes"]) == {"both", "melody", "style", "none"}
    assert (result["pieces"], result["tokens"], result["crop_tokens"]) == (3, 180, 60)
    other = json.loads(call(*arguments, "--json", "--style-input", "other").stdout)
    assert other["modes"]["both"] != result["modes"]["both"]
    assert other["modes"]["none"] == result["modes"]["none"]
    assert call(*arguments).stdout.splitlines()[0].startswith("mode")
    in_three_keys = json.loads(call(*arguments, "--json", "--ensemble", "3").stdout)
    assert (result["ensemble"], in_three_keys["ensemble"]) == (1, 3)
    assert in_three_keys["modes"]["none"]["nll"] != result["modes"]["none"]["nll"]


@pytest.mark.usefixtures("without_data")
def test_eval_report(checkpoint: Path, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan, "quick", classmethod(lambda *_: PLAN))
    monkeypatch.setattr(
        Report,
        "_likelihood",
        lambda *_: {
            "modes": {"none": {"nll": 1.0, "interval": None, "by_kind": {}}},
            "published": {},
            "pieces": 1,
            "works": 1,
            "dropped": 2,
            "split": "test",
            "tokens": 2,
            "crop_tokens": 2,
            "ensemble": 1,
        },
    )
    out = tmp_path / "report"
    result = call("report", "--out", out, "--quick", "--checkpoint", checkpoint, "--data", corpus.path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out / "index.html")
    assert json.loads((out / "report.json").read_text())["plan"]["styles"] == 2
    assert "shorter than a crop: 2)" in (out / "index.html").read_text()
    kept = out / "parts" / "style.json"
    before = kept.stat().st_mtime_ns
    again = call("report", "--out", out, "--quick", "--checkpoint", checkpoint, "--data", corpus.path, "--json")
    told = json.loads(again.stdout)
    assert {"page": told.pop("page")} == {"page": str(out / "index.html")}
    assert told == json.loads((out / "report.json").read_text())
    assert kept.stat().st_mtime_ns == before
    assert (
        call("report", "--out", out, "--quick", "--checkpoint", checkpoint, "--data", corpus.path, "--force").exit_code
        == 0
    )
    assert kept.stat().st_mtime_ns > before
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    refused = call("report", "--out", tmp_path / "site")
    assert (refused.exit_code, "holds index.html" in refused.stderr) == (2, True)
    (tmp_path / "diary.txt").write_text("mine")
    refused = call("report", "--out", tmp_path)
    assert refused.exit_code == 2
    assert "diary.txt" in refused.stderr


def test_data_that_is_named_but_not_there_is_a_mistake(
    checkpoint: Path, tunes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICSTYLE_DATA", str(tmp_path / "nowhere"))
    for arguments in (("melody", "--melodies", tunes[0]), ("report", "--out", tmp_path / "report")):
        result = call(*arguments, "--checkpoint", checkpoint)
        assert result.exit_code == 2
        assert result.stderr.splitlines() == [
            f"musicstyle: error: {tmp_path / 'nowhere'}: no such folder, though MUSICSTYLE_DATA names it"
        ]
    assert material.tunes(2, folder=tunes[0].parent)  # who names another folder needs no data


def test_mistakes_are_one_line(checkpoint: Path, tmp_path: Path) -> None:
    for arguments, code, words in (
        (("melody", "--checkpoint", tmp_path), 1, "config.json"),
        (("melody", "--checkpoint", checkpoint, "--melodies", tmp_path / "none"), 2, "not there"),
        (("melody", "--checkpoint", checkpoint, "--seconds", "0.1"), 2, "--seconds"),
        (("melody", "--checkpoint", checkpoint, "--melody-strength", "1", "--melody-strength", "99"), 2, "strength"),
        (("melody", "--checkpoint", checkpoint, "--device", "abacus"), 2, "--device"),
        (("nll", "--checkpoint", checkpoint, "--data", tmp_path / "none"), 1, "none"),
    ):
        result = call(*arguments)
        assert result.exit_code == code
        assert len(result.stderr.splitlines()) == 1
        assert words in result.stderr


@pytest.mark.parametrize(("name", "verb"), VERBS.items())
def test_the_table_says_of_a_verb_what_the_verb_says_of_itself(name: str, verb: Verb) -> None:
    group = main.get_command(click.Context(main), "eval")
    assert isinstance(group, LazyGroup)
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert (command.name, (command.help or "").splitlines()[0]) == (name, verb.help)
