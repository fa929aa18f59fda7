"""Sampling obeys the grammar, the clock and the seed; the cached engine is the naive one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from some_models import SMALL, awake

from musicstyle.errors import CheckpointError, ConfigError, GenerationError, MidiError, UsageError
from musicstyle.generation.engine import guidance_weights, sample_ids
from musicstyle.generation.job import Job
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.plan import TAIL_STEPS, make_plan
from musicstyle.generation.rules import Grammar
from musicstyle.generation.sampling import distribution, draw
from musicstyle.generation.transfer import StyleTransfer, read_melody
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import save_checkpoint
from musicstyle.model.decoder import DecoderCache
from musicstyle.model.habits import said
from musicstyle.music.habits import EVERYWHERE, HABITS, places
from musicstyle.music.midi import read_midi, read_tracks, write_midi
from musicstyle.music.motifs import recalled
from musicstyle.music.notes import Notes
from musicstyle.music.performance import decode, elapsed_steps, encode, held_before, held_steps
from musicstyle.music.transposed import held_transposed, melody_table, performance_table
from musicstyle.music.vocabulary import EOS, NOTE_ON, PERFORMANCE, TIME_SHIFT, VELOCITY

WIDTH = SMALL.width + HABITS
YES = torch.tensor([True])


@pytest.fixture(scope="module")
def transfer() -> StyleTransfer:
    return StyleTransfer(awake(), {"training": {"tokens": 64}, "generation": {"top_p": 0.9}})


def test_weights_that_are_no_numbers_end_the_sampling() -> None:
    broken = Autoencoder(SMALL).eval()
    torch.nn.init.constant_(broken.decoder.norm.weight, torch.nan)
    options, grammar = GenerationOptions(exact=True), Grammar(300, 500)
    with pytest.raises(GenerationError, match="no number"):
        next(sample_ids(broken, None, None, [grammar], [1], options))


def tune(notes: int = 6, seconds: float = 0.4) -> Notes:
    start = np.arange(notes) * seconds
    return Notes.from_arrays(start, start + seconds * 0.9, 60 + np.arange(notes), np.full(notes, 80))


def random_notes(seed: int, count: int = 60) -> Notes:
    """Chords and runs in which no key is struck twice without being let go."""
    rng = np.random.default_rng(seed)
    start = np.round(np.cumsum(rng.choice([0.0, 0.01, 0.3, 2.6], count)), 2)
    notes = Notes.from_arrays(
        start, start + rng.uniform(0.01, 1.5, count), rng.integers(21, 109, count), rng.integers(1, 128, count)
    )
    quantized, kept = notes.quantized(), []
    free_at = dict.fromkeys(range(128), 0.0)
    for i, (s, e, p) in enumerate(zip(quantized.start, quantized.end, quantized.pitch, strict=True)):
        if s >= free_at[int(p)]:
            kept.append(i)
            free_at[int(p)] = e
    return quantized[np.array(kept)]


def walk(grammar: Grammar, seed: int) -> np.ndarray:
    rng, ids = np.random.default_rng(seed), []
    while (allowed := grammar.allowed()).any():
        ids.append(int(rng.choice(np.flatnonzero(allowed))))
        grammar.accept(ids[-1])
    return np.array([i for i in ids if i != EOS], dtype=np.int64)


@given(seed=st.integers(0, 10_000))
def test_whatever_encode_writes_is_grammatical(seed: int) -> None:
    ids = encode(random_notes(seed))
    grammar = Grammar(10**6, 10**6)
    for event_id in ids:
        assert grammar.allowed()[event_id]
        grammar.accept(int(event_id))
    assert grammar.clock == elapsed_steps(ids)[-1]


@given(seed=st.integers(0, 10_000), end=st.integers(1, 400))
def test_whatever_is_grammatical_could_have_been_written_and_the_clock_stops_it(seed: int, end: int) -> None:
    ids = walk(Grammar(end, end + 50), seed)
    notes, dropped = decode(ids)
    assert dropped.unmatched_offs == dropped.specials == dropped.unknown == 0
    assert elapsed_steps(ids)[-1] <= end + 50
    assert (notes.start < end / 100).all()
    if not dropped:  # every note was let go, so nothing had to be mended
        again = encode(notes)
        shifts = np.isin(ids, PERFORMANCE.ids(TIME_SHIFT))
        assert len(again) <= len(ids)
        assert np.array_equal(again, ids[: len(again)]) or not shifts.any()


def test_the_end_lets_notes_ring_but_not_begin() -> None:
    grammar = Grammar(100, 150)
    for kind, value in ((VELOCITY, 20), (NOTE_ON, 60), (TIME_SHIFT, 100)):
        grammar.accept(PERFORMANCE.encode(kind, value))
    kinds = {PERFORMANCE.decode(int(i))[0] for i in np.flatnonzero(grammar.allowed()) if i != EOS}
    assert kinds == {"note_off", "time_shift"}
    assert grammar.allowed()[EOS]
    assert grammar.allowed()[[PERFORMANCE.encode(TIME_SHIFT, s) for s in (50, 51)]].tolist() == [True, False]
    grammar.accept(PERFORMANCE.encode("note_off", 60))
    assert grammar.finished


def test_the_last_note_may_ring_for_two_seconds_after_the_tune() -> None:
    plan = make_plan(tune(3), None, None, GenerationOptions())
    grammar = plan.grammar()
    for kind, value in ((VELOCITY, 20), (NOTE_ON, 60)):
        grammar.accept(PERFORMANCE.encode(kind, value))
    while not grammar.finished:
        longest = np.flatnonzero(grammar.allowed()[PERFORMANCE.ids(TIME_SHIFT)])[-1] + 1
        grammar.accept(PERFORMANCE.encode(TIME_SHIFT, int(longest)))
    assert plan.end_steps == round(plan.melody.duration_seconds * 100)
    assert grammar.clock == plan.end_steps + 200


def test_a_velocity_stands_before_a_note_and_changes_something() -> None:
    grammar = Grammar(100, 150)
    assert not grammar.allowed()[PERFORMANCE.encode(NOTE_ON, 60)]  # nothing stands at the start
    grammar.accept(PERFORMANCE.encode(VELOCITY, 9))
    assert {PERFORMANCE.decode(int(i))[0] for i in np.flatnonzero(grammar.allowed())} == {NOTE_ON}
    grammar.accept(PERFORMANCE.encode(NOTE_ON, 60))
    velocities = grammar.allowed()[PERFORMANCE.ids(VELOCITY)]
    assert not velocities[8]
    assert velocities.sum() == 31


@given(melody=st.booleans(), style=st.booleans(), m=st.floats(0, 4), s=st.floats(0, 4))
def test_guidance_weights_sum_to_one_and_neutral_dials_cost_nothing(
    melody: bool, style: bool, m: float, s: float
) -> None:
    weights = guidance_weights(melody, style, m, s)
    assert sum(weights.values()) == pytest.approx(1)
    assert all((not hears_m or melody) and (not hears_s or style) for hears_m, hears_s in weights)
    assert guidance_weights(melody, style, 1, 1) == {(melody, style): 1}
    assert guidance_weights(melody, style, 0, s) == guidance_weights(False, style, 1, s)
    assert guidance_weights(melody, style, m, 0) == guidance_weights(melody, False, m, 1)


@pytest.mark.parametrize("ensemble", [1, 3])
@pytest.mark.parametrize(("guided", "strength"), [("melody", 1.0), ("melody", 2.5), ("style", 2.5)])
def test_the_engine_draws_what_the_full_recomputation_draws(
    transfer: StyleTransfer, guided: str, strength: float, ensemble: int
) -> None:
    """The cache slides several times on the way; the reference computes the whole sequence at once, without a cache."""
    model = transfer.model
    torch.manual_seed(5)
    melody, style = torch.randint(2, 92, (40,)), torch.randn(1, WIDTH)
    options = GenerationOptions(
        seed=9, top_p=0.9, ensemble=ensemble, exact=True, motif_strength=0.25,
        **{"melody_strength": 1, "style_strength": 1, f"{guided}_strength": strength},
    )  # fmt: skip
    sampled = sample_ids(model, melody.numpy(), style, [Grammar(3000, 3100)], [options.seed], options)
    ids = np.array([event_id for (event_id,) in sampled if event_id != EOS])
    assert len(ids) > 4 * SMALL.window
    use_melody, use_style = (torch.tensor([True, guided != what]) for what in ("melody", "style"))
    clock = torch.from_numpy(np.append(0, elapsed_steps(ids))[:-1]).expand(2, -1)
    rows = np.zeros((2, len(ids), 310), dtype=np.float32)
    for semitones in (0, -3, 3)[:ensemble]:
        table = torch.from_numpy(performance_table(semitones).copy())
        tune = torch.from_numpy(melody_table(semitones).copy())[melody].expand(2, -1)
        condition = model.condition(tune, style.repeat(2, 1), use_melody, use_style)
        inputs = F.pad(table[torch.from_numpy(ids)], (1, 0))[:-1].expand(2, -1)
        held = np.pad(held_transposed(held_steps(ids), semitones), ((1, 0), (0, 0)))[:-1]
        with torch.inference_mode():
            logits = model.decode(inputs, clock, torch.from_numpy(held).expand(2, -1, -1), condition)
            rows += logits[..., table].numpy() / ensemble
    with torch.inference_mode():  # of the row that hears all
        spoken = torch.from_numpy(places(ids, held_before(ids)))
        rows += said(condition.habits[:1], spoken[None], torch.from_numpy(EVERYWHERE)[None])[0].numpy()
        rows += model.motifs(torch.from_numpy(recalled(ids, held_before(ids)))[None])[0].numpy()
    grammar, generator, mix = (
        Grammar(3000, 3100),
        np.random.default_rng(options.seed),
        np.array([strength, 1 - strength]),
    )
    for position, event_id in enumerate(ids):
        weights = distribution(rows[:, position], mix, grammar.allowed(), 1.0, 0, 0.9, options.min_p)
        assert draw(weights, generator.random()) == event_id
        grammar.accept(int(event_id))


def test_a_style_s_crops_are_heard_one_after_the_other(transfer: StyleTransfer) -> None:
    """By hand: `model.decode` id by id, its condition changed at each third of what follows the primer."""
    model, primer = transfer.model, encode(tune(3))
    torch.manual_seed(6)
    melody, styles = torch.randint(2, 92, (40,)), torch.randn(3, WIDTH)
    begin, end = int(elapsed_steps(primer)[-1]), 1200
    options = GenerationOptions(melody_strength=1, style_strength=1, motif_strength=0.25, exact=True)
    grammars = [Grammar(end, end + 100) for _ in range(4)]  # two by the engine, two by hand
    for grammar in grammars:
        for event_id in primer.tolist():
            grammar.accept(event_id)
    sampled = np.array(list(sample_ids(model, melody.numpy(), styles, grammars[:2], [3, 4], options, primer)))
    for ids, grammar, seed in zip(sampled.T, grammars[2:], (3, 4), strict=True):
        cache, generator, heard = DecoderCache(model.config, 1, torch.device("cpu")), np.random.default_rng(seed), -1
        so_far = np.concatenate(([0], primer, ids[ids != EOS]))
        clock, held = elapsed_steps(so_far), held_steps(so_far)
        spoken, motifs = (of(so_far[1:], held_before(so_far[1:])) for of in (places, recalled))
        for i, event_id in enumerate(so_far[1:]):
            crop = int(np.clip((clock[i] - begin) / ((end - begin) / 3), 0, 2))
            if crop != heard:
                condition, cache.heard, heard = (
                    model.condition(melody[None], styles[crop : crop + 1], YES, YES),
                    None,
                    crop,
                )
            state = (torch.from_numpy(values[None, i : i + 1]) for values in (so_far, clock, held))
            with torch.inference_mode():
                logits = model.decode(*state, condition, cache)[0]
                logits += said(
                    condition.habits, torch.from_numpy(spoken[None, i : i + 1]), torch.from_numpy(EVERYWHERE)[None]
                )[0]
                logits += model.motifs(torch.from_numpy(motifs[None, :, i : i + 1]))[0]
            if i >= len(primer):
                allowed = grammar.allowed()
                weights = distribution(logits.numpy(), np.ones(1), allowed, 1.0, 0, 1.0, options.min_p)
                assert draw(weights, generator.random()) == event_id
                grammar.accept(int(event_id))
        assert heard == 2
        assert len(ids) > 4 * SMALL.window


def test_of_a_long_primer_what_reaches_the_next_id_is_heard(
    transfer: StyleTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two layers of a window of 24 reach 47 ids back; whole, the primer gives the same."""
    model, primer, options = transfer.model, encode(tune(45)), GenerationOptions(style_strength=1, exact=True)
    assert len(primer) > 3 * SMALL.decoder_layers * SMALL.window
    end = int(elapsed_steps(primer)[-1]) + 800

    seen: list[np.ndarray] = []

    def watched(rows: np.ndarray, *others: Any) -> np.ndarray:
        seen.append(rows.copy())
        return distribution(rows, *others)

    def logits() -> np.ndarray:
        grammar = Grammar(end, end + 100)
        for event_id in primer.tolist():
            grammar.accept(event_id)
        seen.clear()
        list(sample_ids(model, None, None, [grammar], [3], options, primer))
        return np.stack(seen[:20])

    monkeypatch.setattr("musicstyle.generation.engine.distribution", watched)
    shortened, by_reach = logits(), {}
    for reach in (10**6, SMALL.window):
        monkeypatch.setattr("musicstyle.generation.engine._reach", lambda _model, reach=reach: reach)
        by_reach[reach] = logits()
    np.testing.assert_allclose(shortened, by_reach[10**6], rtol=0, atol=1e-4)
    assert np.abs(shortened[0] - by_reach[SMALL.window][0]).max() > 1e-3  # one window does not reach as far


def test_same_seed_same_notes_other_seed_other_notes_and_the_file_says_so(
    transfer: StyleTransfer, tmp_path: Path
) -> None:
    options = transfer.default_options(seed=11)
    assert options.top_p == 0.9
    first, again = (transfer.generate(random_notes(1), tune(), options) for _ in range(2))
    other = transfer.generate(random_notes(1), tune(), dataclasses.replace(options, seed=12))
    assert first.notes.equals(again.notes)
    assert not first.notes.equals(other.notes)
    first.save(tmp_path / "out.mid")
    assert read_midi(tmp_path / "out.mid").equals(first.notes, 1e-9)
    text = "\n".join(read_tracks(tmp_path / "out.mid").text)
    assert f"seed: {first.seed}" in text
    assert "top_p: 0.9" in text


@pytest.mark.parametrize("use", ["both", "style", "melody", "none"])
def test_any_condition_may_be_left_out_and_the_tune_decides_the_length(transfer: StyleTransfer, use: str) -> None:
    style = random_notes(2) if use in ("both", "style") else None
    melody = tune() if use in ("both", "melody") else None
    result = transfer.generate(style, melody, transfer.default_options(seed=1, seconds=None if melody else 3))
    end = tune().duration_seconds if melody else 3
    assert len(result.notes)
    assert (result.notes.start < end).all()
    assert result.notes.duration_seconds <= end + TAIL_STEPS / 100 + 1e-9  # seconds, not steps
    shorter = transfer.generate(style, melody, transfer.default_options(seed=1, seconds=1))
    assert (shorter.notes.start < 1).all()


def test_the_likeliest_of_more_than_there_are_is_all(transfer: StyleTransfer) -> None:
    most, every = (transfer.generate(None, tune(), top_k=k, seconds=2.0).notes for k in (10**20, 0))
    assert most.equals(every)


def test_a_degenerate_sample_is_retried_with_the_next_seed(
    transfer: StyleTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def silent_until(good: int):  # type: ignore[no-untyped-def]
        def sample(self: Job, tried: range) -> list[np.ndarray]:
            seeds.extend(tried)
            return [encode(random_notes(3)) if seed == good else np.zeros(0, dtype=np.int64) for seed in tried]

        return sample

    monkeypatch.setattr(Job, "sample_all", silent_until(7))
    result = transfer.generate(None, tune(), transfer.default_options(seed=5))
    assert (result.seed, result.retries, seeds) == (7, 2, [5, 6, 7])
    assert result.settings["seed"] == 7
    monkeypatch.setattr(Job, "sample_all", silent_until(-1))
    with pytest.raises(GenerationError, match="no notes"):
        transfer.generate(None, tune())


def test_a_polyphonic_piece_gives_its_melody_and_a_track_can_be_named(tmp_path: Path) -> None:
    low = Notes.from_arrays([0, 0.5, 1], [0.5, 1, 1.5], [40, 43, 45], [60, 60, 60])
    both = Notes.concatenate([low, low.transpose(32)])
    write_midi(tmp_path / "both.mid", both.shift(2.0))
    melody = read_melody(tmp_path / "both.mid").notes
    assert melody.pitch.tolist() == [72, 75, 77]
    assert melody.start[0] == 0
    number = str(read_tracks(tmp_path / "both.mid").tracks[0].index)
    assert len(read_melody(tmp_path / "both.mid", number).notes) == 3
    with pytest.raises(UsageError, match="no track 'violin'"):
        read_melody(tmp_path / "both.mid", "violin")


def test_what_is_cut_before_its_first_note_is_nothing(transfer: StyleTransfer) -> None:
    before_a_frame = Notes.from_arrays([0.0], [0.92], [60], [80])  # so notes may come 80 ms before the tune
    for prime, seed in [(None, 1), (tune(), 1), *((before_a_frame, seed) for seed in range(4))]:
        stream = transfer.stream(None, tune(12), prime=prime, seconds=5, seed=seed)
        assert list(stream)
        assert stream.result(stream.begin_seconds) is None
        assert stream.result() is not None


def test_weights_that_keep_the_melody_by_themselves_may_play_without_one(transfer: StyleTransfer) -> None:
    keeping = StyleTransfer(transfer.model, {**transfer.facts, "generation": {"keep_melody": True}})
    assert len(keeping.generate(seconds=1.0).notes)


def test_variations_make_up_for_seeds_without_notes_and_tell_rounds_and_seeds_truly(
    transfer: StyleTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    good: set[int] = {5, 9}

    def sample(self: Job, tried: range) -> list[np.ndarray]:
        return [encode(random_notes(3)) if seed in good else np.zeros(0, dtype=np.int64) for seed in tried]

    monkeypatch.setattr(Job, "sample_all", sample)
    options = transfer.default_options(seed=5)
    # Seeds 5, 6 and 7 are the first round, 8 and 9 the second, 10 the third, and one more in each of five further ones.
    good |= {10}
    made = transfer.variations(3, None, None, options)
    assert sorted((one.seed, one.retries) for one in made) == [(5, 0), (9, 1), (10, 2)]
    good -= {10}
    with pytest.raises(GenerationError, match="too many of the seeds 5 to 15 gave no notes"):
        transfer.variations(3, None, None, options)


def test_the_guide_tells_the_defaults() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "generation.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:4:2] for row in guide.splitlines() if row.startswith("| `--")]
    told: dict[str, str] = {}
    for flags, defaults in rows:
        names = [flag.strip(" `-").replace("-", "_") for flag in flags.split(",")]
        told |= dict(zip(names, map(str.strip, defaults.split(",")), strict=False))
    for name in ("temperature", "top_k", "top_p", "min_p", "melody_strength", "style_strength", "motif_strength"):
        assert told[name] == f"{getattr(GenerationOptions(), name):g}", name


def test_refusals(transfer: StyleTransfer) -> None:
    with pytest.raises(MidiError, match="at least 1 s"):
        transfer.generate(None, tune(1, 0.5))
    with pytest.raises(UsageError, match="melody track 0 means nothing"):
        transfer.generate(None, tune(), melody_track="0")
    with pytest.raises(UsageError, match="keep_melody means nothing"):
        transfer.generate(random_notes(1), keep_melody=True)
    deaf = StyleTransfer(Autoencoder(dataclasses.replace(SMALL, conditions="melody")).eval(), transfer.facts)
    with pytest.raises(UsageError, match="hears no style"):
        deaf.generate(random_notes(1), tune())
    for field, value in (
        ("temperature", -1.0),
        ("top_p", 0.0),
        ("seconds", 0.5),
        ("melody_strength", 99.0),
        ("top_k", -1),
        ("top_k", 3.0),
        ("seed", 1.5),
        ("ensemble", 2.0),
        ("transpose", 1.5),
        ("keep_melody", "no"),
        ("exact", 1),
    ):
        with pytest.raises(ConfigError, match=field):
            GenerationOptions(**{field: value})
    assert GenerationOptions(transpose=np.int64(3), seed=np.int64(2)).transpose == 3


def test_numpy_s_numbers_are_taken_as_python_s() -> None:
    asked = GenerationOptions(seed=np.int64(2), tempo=np.float32(1.5), exact=np.True_)
    assert asked == GenerationOptions(seed=2, tempo=1.5, exact=True)
    assert {type(value) for value in dataclasses.asdict(asked).values()} <= {int, float, bool, type(None)}


@pytest.mark.parametrize("device", ["potato", *([] if torch.cuda.is_available() else ["cuda", "cuda:1"])])
def test_a_device_that_there_is_not_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match=f"device {device}: t"):
        StyleTransfer.load(device=device)


def test_a_checkpoint_with_a_setting_that_there_is_not_is_refused(transfer: StyleTransfer) -> None:
    newer = StyleTransfer(transfer.model, {**transfer.facts, "generation": {"swing": 0.6, "tempo": 1.2}}, "newer")
    with pytest.raises(CheckpointError, match=r"newer: .*swing, tempo"):
        newer.generate(None, tune())


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"training": None}, "training.tokens"),
        ({"training": {"tokens": 0}}, "training.tokens"),
        ({"training": {"tokens": 64}, "generation": None}, "generation: None"),
    ],
)
def test_a_config_of_another_shape_is_refused(
    transfer: StyleTransfer, tmp_path: Path, facts: dict[str, Any], told: str
) -> None:
    save_checkpoint(tmp_path, transfer.model, facts)
    with pytest.raises(CheckpointError, match=told):
        StyleTransfer.load(tmp_path)
