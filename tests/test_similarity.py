"""Similarity: features against a loop, areas against statistics and quadrature, and what must leave them alone."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from some_notes import any_notes, random_notes

from musicstyle.errors import UsageError
from musicstyle.evaluation.similarity import compare_sets, plot_similarity, read_set
from musicstyle.music.midi import write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.profile import PARTS, nearness_matrix
from musicstyle.music.similarity import (
    FEATURES,
    MIN_DEVIATION,
    UNITS,
    Density,
    features,
    overlapping_area,
    similarity,
    similarity_matrix,
    similarity_of_pairs,
    summaries,
    summary,
)

DENSITIES: tuple[Density, ...] = ("normal", "kde")
MEANS = st.floats(-200, 200)
DEVIATIONS = st.floats(1e-3, 1e3)


def area(a: NormalDist, b: NormalDist) -> float:
    return float(overlapping_area(*(np.array(v) for v in (a.mean, a.stdev, b.mean, b.stdev))))


def features_by_loop(notes: Notes, window_seconds: float) -> np.ndarray:
    """The specification, read aloud."""
    rows = []
    origin = notes.start.min()
    for window in range(int((notes.start.max() - origin) / window_seconds) + 1):
        mine = [i for i in range(len(notes)) if int((notes.start[i] - origin) / window_seconds) == window]
        if mine:
            columns = notes.pitch[mine], notes.velocity[mine], (notes.end - notes.start)[mine]
            moments = [moment for c in columns for moment in (c.mean(), c.var())]
            rows.append([len(mine) / window_seconds, np.ptp(notes.pitch[mine]), *moments])
    return np.array(rows)


# --- features


def test_features_of_a_chord_a_pause_and_a_single_note():
    notes = Notes.from_arrays([3.0, 3.5, 9.0], [4.0, 4.0, 9.25], [60, 67, 72], [40, 60, 100])
    expected = [
        [1.0, 7, 63.5, 3.5**2, 50, 10**2, 0.75, 0.25**2],
        # 5..7 and 7..9 are empty and left out; 9.0 begins a window
        [0.5, 0, 72, 0, 100, 0, 0.25, 0],
    ]
    np.testing.assert_allclose(features(notes), expected, rtol=1e-15)


@given(any_notes(), st.sampled_from([0.3, 2.0, 5.0]))
def test_features_are_those_of_a_loop(notes, window_seconds):
    assume(len(notes))
    np.testing.assert_allclose(
        features(notes, window_seconds), features_by_loop(notes, window_seconds), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("seconds", np.arange(1, 12) / 10)
def test_equal_notes_have_no_variance(seconds):
    """Nor less than none, though a tenth of a second is no binary number."""
    chord = Notes.from_arrays([0.0] * 3, [seconds] * 3, [60, 60, 60], [70, 70, 70])
    variances = features(chord)[0, [3, 5, 7]]
    assert (variances >= 0).all()
    np.testing.assert_allclose(variances, 0, atol=1e-30)


def test_features_of_no_notes_are_no_windows():
    assert features(Notes.empty()).shape == (0, 8)
    assert np.isnan(summary(Notes.empty())).all()
    assert len(FEATURES) == len(UNITS) == 8


@pytest.mark.parametrize("window_seconds", [0.0, -1.0, float("nan")])
def test_a_window_must_have_a_length(window_seconds):
    with pytest.raises(ValueError, match="above 0"):
        features(random_notes(3, 5), window_seconds)


def test_summary_is_mean_and_population_deviation_over_windows():
    notes = random_notes(1, 211, 31.0)
    values = features(notes)
    np.testing.assert_allclose(summary(notes), np.stack([values.mean(axis=0), values.std(axis=0)], axis=1))
    assert summaries([notes, Notes.empty(), notes]).shape == (3, 8, 2)
    assert summaries([]).shape == (0, 8, 2)


@pytest.mark.parametrize("seconds", [0.5, 4.0, 77.25])  # of two powers, so that no onset changes its window by rounding
def test_silence_before_a_piece_changes_nothing(seconds):
    notes = random_notes(2, 97, 20.0)
    notes = Notes(np.round(notes.start * 256) / 256, np.round(notes.end * 256) / 256, notes.pitch, notes.velocity)
    np.testing.assert_array_equal(features(notes.shift(seconds)), features(notes))


# --- the area of two normals


def test_golden_areas():
    # Equal deviations cross once, halfway, so the area is both tails beyond one deviation.
    assert area(NormalDist(0, 1), NormalDist(2, 1)) == pytest.approx(0.31731, abs=5e-6)
    # The documentation of statistics.NormalDist.overlap prints this as 0.8035050657330205
    assert area(NormalDist(2.4, 1.6), NormalDist(3.2, 2.0)) == pytest.approx(0.8035050657330205, abs=1e-14)


@given(MEANS, DEVIATIONS, MEANS, DEVIATIONS)
@example(0.0, 1.0, 0.0, 1.0)
@example(0.0, 1.0, 0.0, 2.0)
@example(3.0, 2.0, -1.0, 2.0)
@example(0.0, 1e-3, 200.0, 1e3)
def test_area_is_that_of_the_standard_library(mean_a, std_a, mean_b, std_b):
    a, b = NormalDist(mean_a, std_a), NormalDist(mean_b, std_b)
    # The oracle subtracts like numbers where the deviations are nearly, but not quite, equal.
    assume(std_a == std_b or abs(std_a / std_b - 1) > 1e-4)
    assert area(a, b) == pytest.approx(a.overlap(b), abs=1e-8)


@given(MEANS, DEVIATIONS, MEANS, st.sampled_from([1e-15, 1e-12, 1e-8, 1e-6]))
def test_area_is_continuous_where_the_deviations_become_equal(mean_a, std, mean_b, relative):
    a, b = NormalDist(mean_a, std), NormalDist(mean_b, std)
    assert area(a, NormalDist(mean_b, std * (1 + relative))) == pytest.approx(a.overlap(b), abs=2 * relative + 1e-12)


@given(MEANS, DEVIATIONS, MEANS, DEVIATIONS, st.floats(0.01, 100), st.floats(-50, 50))
def test_area_is_symmetric_within_bounds_and_free_of_unit_and_origin(mean_a, std_a, mean_b, std_b, unit, origin):
    a, b = NormalDist(mean_a, std_a), NormalDist(mean_b, std_b)
    assert 0 <= area(a, b) <= 1
    assert area(a, b) == area(b, a)
    assert area(a * -unit + origin, b * -unit + origin) == pytest.approx(area(a, b), abs=1e-6)
    assert area(a, a) == 1


@given(DEVIATIONS, DEVIATIONS)
def test_area_falls_as_the_means_part(std_a, std_b):
    distances = np.linspace(0, 6 * (std_a + std_b), 157)
    areas = overlapping_area(0.0, std_a, distances, std_b)
    assert (np.diff(areas) <= 1e-12).all()
    assert areas[-1] < 1e-6


def test_area_falls_as_the_deviations_part():
    assert (np.diff(overlapping_area(1.0, 1.0, 1.0, np.geomspace(1, 1e6, 83))) < 0).all()


def test_areas_broadcast():
    mean, std = np.random.default_rng(0).random((2, 5, 3, 8)) + 0.1
    areas = overlapping_area(mean[:, None], std[:, None], mean[None], std[None])
    assert areas.shape == (5, 5, 3, 8)
    a, b = (NormalDist(mean[i, 2, 6], std[i, 2, 6]) for i in (4, 1))
    assert areas[4, 1, 2, 6] == pytest.approx(a.overlap(b), abs=1e-12)


def test_constant_features_are_spikes():
    def at(mean_b: float, std_b: float) -> float:
        return float(overlapping_area(7.0, 0.0, mean_b, std_b))

    assert at(7.0, 0.0) == at(7.0, MIN_DEVIATION) == 1
    assert at(7.0 + 1e-12, 0.0) == pytest.approx(1, abs=1e-5)
    assert at(7.1, 0.0) == 0
    assert at(7.0, 1.0) == pytest.approx(0, abs=1e-5)


def test_no_notes_overlap_with_nothing():
    assert overlapping_area(np.nan, np.nan, 0.0, 1.0) == 0
    for density in DENSITIES:
        for other in (random_notes(1, 50), Notes.empty()):
            assert not similarity(Notes.empty(), other, density).by_feature.any()


# --- pieces


@pytest.mark.parametrize("density", DENSITIES)
def test_a_piece_is_like_itself_and_likeness_is_mutual(density):
    a, b = random_notes(5, 160, 37.0), random_notes(6, 90, 29.0, lowest=50)
    np.testing.assert_allclose(similarity(a, a, density).by_feature, 1, atol=1e-4)
    there, back = similarity(a, b, density), similarity(b, a, density)
    np.testing.assert_allclose(there.by_feature, back.by_feature, atol=1e-12)
    assert there.mean == pytest.approx(there.by_feature.mean())
    assert 0 < there.mean < 0.95


@given(any_notes(), any_notes(), st.sampled_from(DENSITIES))
def test_areas_of_any_pieces_are_within_bounds(a, b, density):
    by_feature = similarity(a, b, density).by_feature
    assert by_feature.shape == (8,)
    assert ((by_feature >= 0) & (by_feature <= 1)).all()
    own = similarity(a, a, density).mean
    assert own == pytest.approx(1.0 if len(a) else 0.0, abs=1e-3)


@pytest.mark.parametrize("density", DENSITIES)
def test_transposing_both_changes_nothing_and_one_only_the_mean_pitch(density):
    a, b = random_notes(7, 140, 41.0, highest=90), random_notes(8, 200, 33.0, highest=90)
    before = similarity(a, b, density).by_feature
    both = similarity(a.transpose(11), b.transpose(11), density).by_feature
    np.testing.assert_allclose(both, before, atol=1e-9)
    one = similarity(a, b.transpose(11), density).by_feature
    changed = ~np.isclose(one, before, atol=1e-9)
    assert [FEATURES[i] for i in np.flatnonzero(changed)] == ["pitch_mean"]


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("factor", [0.25, 2.0, 8.0])  # powers of two: no onset changes its window by rounding
def test_stretching_pieces_and_windows_alike_changes_nothing(density, factor):
    a, b = random_notes(9, 140, 41.0), random_notes(10, 200, 33.0)
    before = similarity(a, b, density).by_feature
    after = similarity(a.stretch(factor), b.stretch(factor), density, window_seconds=2 * factor).by_feature
    np.testing.assert_allclose(after, before, atol=1e-9)


@pytest.mark.parametrize("density", DENSITIES)
def test_louder_touches_velocity_alone_and_longer_duration_alone(density):
    a, b = random_notes(11, 140, 41.0), random_notes(12, 200, 33.0)
    b = Notes(b.start, b.end, b.pitch, b.velocity // 2 + 1)
    before = similarity(a, b, density).by_feature
    louder = similarity(a, Notes(b.start, b.end, b.pitch, 2 * b.velocity - 1), density).by_feature
    legato = similarity(a, Notes(b.start, 2 * b.end - b.start, b.pitch, b.velocity), density).by_feature
    for after, word in ((louder, "velocity"), (legato, "duration")):
        changed = {FEATURES[i] for i in np.flatnonzero(~np.isclose(after, before, atol=1e-9))}
        assert changed == {f"{word}_mean", f"{word}_variance"}


def test_kernel_areas_are_those_of_quadrature():
    stats = pytest.importorskip("scipy.stats")
    a, b = random_notes(13, 260, 50.0), random_notes(14, 130, 35.0, lowest=40)
    expected = []
    for mine, theirs in zip(features(a).T, features(b).T, strict=True):
        f, g = stats.gaussian_kde(mine), stats.gaussian_kde(theirs)
        both = np.concatenate([mine, theirs])
        points = np.linspace(both.min() - np.ptp(both), both.max() + np.ptp(both), 9_001)
        expected.append(np.minimum(f(points), g(points)).sum() * (points[1] - points[0]))
    np.testing.assert_allclose(similarity(a, b, "kde").by_feature, expected, atol=3e-4)


def test_another_density_is_refused():
    notes = random_notes(1, 9)
    for compare in (similarity_of_pairs, similarity_matrix):
        with pytest.raises(ValueError, match="normal, kde"):
            compare([notes], [notes], "gamma")


# --- sets


@pytest.mark.parametrize("density", DENSITIES)
def test_sets_are_their_pairs(density):
    first = [random_notes(seed, 60 + seed, 25.0) for seed in (20, 21, 22)]
    second = [random_notes(seed, 90 + seed, 20.0) for seed in (30, 31)] + [Notes.empty(), first[1]]
    matrix = similarity_matrix(first, second, density)
    assert matrix.shape == (3, 4, 8)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            np.testing.assert_allclose(matrix[i, j], similarity(a, b, density).by_feature, atol=1e-12)
    pairs = similarity_of_pairs(first, second[:3], density)
    np.testing.assert_allclose(pairs, matrix[range(3), range(3)], atol=1e-12)
    assert similarity_of_pairs([], [], density).shape == (0, 8)
    assert similarity_matrix(first, [], density).shape == (3, 0, 8)


def test_pairs_need_two_lists_of_one_length():
    with pytest.raises(ValueError, match="1 and 0"):
        similarity_of_pairs([random_notes(1, 9)], [])


def test_sets_by_name_and_all_against_all(tmp_path: Path):
    for folder, names in (("real", ("x", "sub/y", "only")), ("made", ("sub/y", "x", "new"))):
        for seed, name in enumerate(names):
            path = tmp_path / folder / f"{name}.mid"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_midi(path, random_notes(seed, 80 + seed, 20.0))
    real, made = read_set(tmp_path / "real"), read_set(tmp_path / "made")
    assert list(real) == ["only", "sub/y", "x"]
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/to").symlink_to(tmp_path / "real", target_is_directory=True)
    assert list(read_set(tmp_path / "linked")) == ["to/only", "to/sub/y", "to/x"]

    by_name = compare_sets(real, made)
    assert by_name.pairs == (("sub/y", "sub/y"), ("x", "x"))
    assert by_name.unmatched == ("new", "only")
    np.testing.assert_allclose(by_name.by_feature[1], similarity(real["x"], made["x"]).by_feature)
    assert by_name.mean == pytest.approx(by_name.by_feature.mean())

    everything = compare_sets(real, made, "all")
    assert everything.by_feature.shape == (9, 8)
    assert everything.pairs[5] == ("sub/y", "x")
    np.testing.assert_allclose(everything.by_feature[5], similarity(real["sub/y"], made["x"]).by_feature)
    written = json.loads(json.dumps(everything.to_dict()))
    assert list(written["by_feature"]) == list(FEATURES)
    assert written["mean"] == everything.mean
    assert list(written["by_part"]) == list(PARTS)
    assert written["pairs"][5]["by_part"] == nearness_matrix([real["sub/y"]], [made["x"]])[0, 0].tolist()
    assert written["profile"] == pytest.approx(np.mean([pair["profile"] for pair in written["pairs"]]))


def test_sets_that_cannot_be_compared_say_so(tmp_path: Path):
    notes = random_notes(1, 9)
    with pytest.raises(UsageError, match=r"no name is in both sets.* a and b"):
        compare_sets({"a": notes}, {"b": notes})
    with pytest.raises(UsageError, match="empty"):
        compare_sets({"a": notes}, {}, "all")
    with pytest.raises(UsageError, match="name or all"):
        compare_sets({"a": notes}, {"a": notes}, "some")
    with pytest.raises(UsageError, match="no such folder"):
        read_set(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"no \.mid"):
        read_set(tmp_path)
    for suffix in (".mid", ".midi"):
        write_midi(tmp_path / f"one{suffix}", notes)
    with pytest.raises(UsageError, match="also named one"):
        read_set(tmp_path)


# --- the picture


@pytest.mark.parametrize("density", DENSITIES)
def test_the_picture_is_a_whole_file(tmp_path: Path, density):
    held = Notes.from_arrays(np.arange(30.0), np.arange(30.0) + 1, [60] * 30, [64] * 30)  # every feature constant
    for suffix, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        out = tmp_path / "deep" / f"plot{suffix}"
        assert plot_similarity(random_notes(1, 200, 40.0), held, out, density=density, labels=("this", "that")) == out
        assert out.read_bytes().startswith(magic)
    assert len(list(out.parent.iterdir())) == 2


def test_names_stand_in_the_picture_as_they_are(tmp_path: Path):
    """Neither read as a formula nor left out of the legend."""
    notes, names = random_notes(1, 20), ("x$_$", "_take")
    drawn = plot_similarity(notes, notes, tmp_path / "plot.svg", labels=names).read_text()
    assert all(drawn.count(f"<!-- {name} -->") == 1 for name in names)


def test_every_part_stands_in_the_picture_with_what_is_in_common(tmp_path: Path):
    a, b = random_notes(1, 60), random_notes(2, 60)
    drawn = plot_similarity(a, b, tmp_path / "plot.svg").read_text()
    shares = dict(zip(FEATURES, similarity(a, b).by_feature, strict=True))
    shares |= dict(zip(PARTS, nearness_matrix([a], [b])[0, 0], strict=True))
    for part, share in shares.items():
        assert drawn.count(f"<!-- {part.replace('_', ' ')}  {share:.3f} -->") == 1


def test_a_picture_that_cannot_be_drawn_says_so(tmp_path: Path):
    notes = random_notes(1, 20)
    for name in ("plot.mid", "plot"):
        with pytest.raises(UsageError, match=r"use .*png"):
            plot_similarity(notes, notes, tmp_path / name)
    with pytest.raises(UsageError, match=r"^B: no notes"):
        plot_similarity(notes, Notes.empty(), tmp_path / "plot.png")
    assert not list(tmp_path.iterdir())
