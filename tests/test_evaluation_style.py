"""Hit rate, retrieval, probe and interpolation against answers known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given
from hypothesis import strategies as st

from musicstyle.evaluation.interpolation import Line, relative_distance, spearman
from musicstyle.evaluation.style import (
    RIDGES,
    _best_ridge,
    _ridge_answers,
    distances,
    hit_rate,
    linear_probe,
    retrieval,
    standardised,
)


def test_hits_by_hand() -> None:
    areas = np.array([[0.9, 0.1, 0.9], [0.2, 0.5, 0.6], [0.3, 0.3, 0.3]])
    hits = hit_rate(areas)
    # Row 0: hit, tie; row 1: hit, miss; row 2: two ties.
    assert hits.rate == pytest.approx((1 + 0.5 + 1 + 0 + 0.5 + 0.5) / 6)
    assert hits.own == pytest.approx((0.9 + 0.5 + 0.3) / 3)
    assert hits.others == pytest.approx((0.1 + 0.9 + 0.2 + 0.6 + 0.3 + 0.3) / 6)


def test_the_interval_of_the_rate_knows_how_many_were_asked() -> None:
    rng = np.random.default_rng(0)
    few, many = (hit_rate(rng.random((count, count)) + 0.2 * np.eye(count)) for count in (6, 40))
    for hits in (few, many):
        assert 0 <= hits.interval[0] < hits.rate < hits.interval[1] <= 1
    assert np.diff(many.interval) < np.diff(few.interval)
    assert hit_rate(np.eye(5)).interval == (1, 1)
    assert hit_rate(np.array([[0.5, 0.4], [0.6, 0.5]])).to_dict()["interval"] is None  # of two nothing can be told


def test_the_interval_of_the_rate_covers_the_truth_19_times_of_20() -> None:
    rng = np.random.default_rng(1)
    found = [hit_rate(rng.random((20, 20))).interval for _ in range(400)]
    assert 0.93 <= np.mean([low <= 0.5 <= high for low, high in found]) <= 0.97


@given(st.integers(2, 9), st.integers(0, 1000))
def test_candidates_that_do_not_hear_the_style_hit_half(count: int, seed: int) -> None:
    one_candidate = np.random.default_rng(seed).random(count)
    assert hit_rate(np.tile(one_candidate, (count, 1))).rate == 0.5


@pytest.mark.parametrize("shape", [(1, 1), (2, 3)])
def test_a_hit_rate_needs_a_square(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="square"):
        hit_rate(np.zeros(shape))


def test_retrieval_by_hand() -> None:
    vectors = np.array([[0.0], [1.0], [2.1], [10.0], [11.5]])
    labels = np.array(["a", "b", "a", "b", ""])
    # 0 (a) meets 1, then 2: rank 2. 1 (b) meets 0, 2, then 3: rank 3. 2 (a): rank 2. 3 (b) meets 4, 2, then 1: rank 3.
    found = retrieval(distances(vectors), labels)
    assert (found.recall_1, found.recall_5, found.queries, found.left_out) == (0, 1, 4, 1)
    assert found.mrr == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 3) / 4)
    assert found.chance == pytest.approx(1 / 4)


def naive_rank(points: np.ndarray, labels: np.ndarray, own: np.ndarray, query: int) -> int | None:
    others = [i for i in range(len(points)) if own[i] != own[query]]
    distances = {i: float(np.linalg.norm(points[i] - points[query])) for i in others}
    for rank, i in enumerate(sorted(others, key=lambda i: distances[i]), 1):
        if labels[i] == labels[query]:
            return rank
    return None


@given(st.integers(0, 500))
def test_retrieval_is_the_naive_ranking(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, labels, own = rng.normal(size=(17, 3)), rng.choice(["x", "y", "z"], 17), rng.integers(6, size=17)
    ranks = [naive_rank(standardised(vectors), labels, own, query) for query in range(17)]
    answered = [rank for rank in ranks if rank is not None]
    if not answered:
        return
    found = retrieval(distances(vectors), labels, own[:, None] == own[None, :])
    assert found.left_out == 17 - len(answered)
    assert found.mrr == pytest.approx(np.mean([1 / rank for rank in answered]))
    assert found.recall_5 == pytest.approx(np.mean([rank <= 5 for rank in answered]))


def test_retrieval_takes_no_notice_of_units() -> None:
    rng = np.random.default_rng(5)
    vectors, labels = rng.normal(size=(30, 4)), rng.choice(["p", "q"], 30)
    assert retrieval(distances(vectors), labels) == retrieval(distances(vectors * [1, 1000, 0.01, 7] + 3), labels)


def test_equal_vectors_find_nothing_for_certain() -> None:
    assert retrieval(distances(np.zeros((6, 2))), np.array(["a", "a", "a", "b", "b", "b"])).recall_1 == 0
    with pytest.raises(ValueError, match="belongs"):
        retrieval(distances(np.zeros((2, 2))), np.array(["a", "b"]))


@given(st.integers(0, 500))
@example(206)  # summed in another order, a mean is rounded otherwise
def test_copies_are_ties_in_32_bits_too_so_that_the_order_of_crops_is_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(12, 150)).astype(np.float32)[rng.integers(12, size=40)]
    labels, order = rng.choice(["a", "b", "c"], 40), rng.permutation(40)
    told, shuffled = (retrieval(distances(vectors[i]), labels[i]).to_dict() for i in (np.arange(40), order))
    assert told == shuffled


def test_a_vector_that_holds_no_number_finds_nothing() -> None:
    vectors = np.random.default_rng(3).normal(size=(12, 3))
    vectors[4, 1] = np.nan  # and so it is with its column, once standardised
    assert retrieval(distances(vectors), np.tile(["a", "b"], 6)).recall_1 == 0


def crops(of: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    performances = np.repeat(np.arange(of * 10), 3)
    number = performances % of
    centres = rng.normal(size=(of, 7))
    return centres[number] + noise * rng.normal(size=(len(number), 7)), np.array(list("abcd"))[number], performances


def test_the_probe_reads_what_is_there_and_only_that() -> None:
    vectors, labels, performances = crops(4, 0.05)
    assert linear_probe(vectors, labels, performances).accuracy == 1
    shuffled = np.random.default_rng(1).normal(size=vectors.shape)
    probe = linear_probe(shuffled, labels, performances)
    assert probe.balanced_accuracy < 0.45
    assert (probe.labels, probe.commonest, probe.crops) == (4, 0.25, 120)


def test_the_probe_cannot_learn_a_performance_by_heart() -> None:
    """Vectors that say which performance, and nothing of the label, are worth nothing."""
    performances = np.repeat(np.arange(20), 4)
    assert linear_probe(np.eye(20)[performances], np.array(["a", "b"])[performances % 2], performances).accuracy <= 0.6


def test_the_ridge_is_chosen_by_what_was_not_learned_from() -> None:
    rng = np.random.default_rng(0)
    number, works = np.arange(80) % 2, np.arange(80)
    vectors = rng.normal(size=(80, 80)) + 0.2 * (2 * number[:, None] - 1)  # each tells a little: all should be heard
    assert (_ridge_answers(vectors, number, vectors, RIDGES[0]) == number).all()  # by heart
    assert _best_ridge(vectors, number, works, 0) == 100.0


def test_the_inner_folds_keep_works_together_too() -> None:
    """Four copies of each vector: torn apart, learning by heart would seem the best."""
    rng = np.random.default_rng(0)
    number, works = np.repeat(np.arange(80) % 2, 4), np.repeat(np.arange(80), 4)
    vectors = np.repeat(rng.normal(size=(80, 80)) + 0.2 * (2 * number[::4, None] - 1), 4, axis=0)
    assert _best_ridge(vectors, number, np.arange(320), 0) < _best_ridge(vectors, number, works, 0)


def test_always_saying_the_commonest_is_balanced_to_chance() -> None:
    labels, works = np.array(["a"] * 32 + ["b"] * 8), np.arange(40)
    probe = linear_probe(np.zeros((40, 3)), labels, works)
    assert (probe.accuracy, probe.balanced_accuracy, probe.commonest) == (0.8, 0.5, 0.8)


def test_many_crops_of_few_works_are_no_label() -> None:
    works = np.repeat(np.arange(14), 5)
    labels = np.array(["a", "b", "c"])[works // 5]  # c: 20 crops of 4 works
    probe = linear_probe(np.random.default_rng(4).normal(size=(70, 3)), labels, works)
    assert (probe.labels, probe.crops) == (2, 50)


def test_rare_and_nameless_labels_are_not_asked() -> None:
    vectors, labels, performances = crops(4, 0.1)
    labels[labels == "d"] = ""
    assert linear_probe(vectors, labels, performances).labels == 3
    with pytest.raises(ValueError, match="two labels"):
        linear_probe(vectors[:6], labels[:6], performances[:6])


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=20))
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=float).T
    if np.ptp(x) and np.ptp(y):
        assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    else:
        assert spearman(x, y) == 0


def test_relative_distance() -> None:
    assert relative_distance(np.array([0.6, 0.2, 0.0, 0.0]), np.array([0.2, 0.6, 0.5, 0.0])) == pytest.approx(
        [0.25, 0.75, 1.0, 0.5]
    )


def test_a_line_that_falls_at_every_step() -> None:
    line = Line(np.linspace(0, 1, 4), np.array([[0.7, 0.6, 0.5, 0.3], [0.6, 0.5, 0.5, 0.4]])).to_dict()
    assert line["spearman_of_means"] == -1
    of_pieces = scipy.stats.spearmanr([0, 1, 2, 3] * 2, [0.7, 0.6, 0.5, 0.3, 0.6, 0.5, 0.5, 0.4]).statistic
    assert line["spearman_of_pieces"] == pytest.approx(of_pieces, abs=1e-4)
    assert line["distance"] == [0.65, 0.55, 0.5, 0.35]
    assert line["fall"] == 0.3
