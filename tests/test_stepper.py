"""The compiled step against `model.decode`: the same logits for every kind of model, across a slide of the caches."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import some_models
import torch

from musicstyle.generation import arithmetic, blocks, kernel, packing, stepper
from musicstyle.generation.compiled_stepper import CompiledStepper, _one_thread
from musicstyle.generation.stepper import ReferenceStepper
from musicstyle.model.attention import Memory
from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.model.checkpoint import read_config
from musicstyle.model.config import Combination, Conditions, ModelConfig
from musicstyle.resources import default_checkpoint

SMALL = ModelConfig(
    width=20, heads=3, head_width=8, feedforward_width=28, decoder_layers=2, style_layers=1, melody_layers=1, window=11,
    max_distance=6, encoder_max_distance=5, memory_window_steps=60, melody_frames_ahead=4, melody_frames_behind=1,
)  # fmt: skip
PUBLISHED = dataclasses.replace(
    SMALL,
    clock=False,
    melody_frames_ahead=0,
    memory_window_steps=None,
    style_shortcut=False,
    activation="relu",
    held_keys=0,
)
EACH = np.arange(5)
EVERY = [
    dataclasses.replace(base, combine=mode, conditions=conditions)
    for base in (SMALL, PUBLISHED)
    for conditions in get_args(Conditions)
    for mode in (get_args(Combination) if conditions == "both" else ("sum",))
] + [
    dataclasses.replace(SMALL, memory_window_steps=None),
    dataclasses.replace(SMALL, max_distance=11, melody_frames_ahead=0),
    dataclasses.replace(SMALL, clock=False),
]  # fmt: skip


awake = partial(some_models.awake, deviation=0.2)


def name(config: ModelConfig) -> str:
    told = ("clock", "memory_window_steps", "max_distance")
    changed = [f"{k}={v}" for k, v in config.to_dict().items() if k in told and v != getattr(SMALL, k)]
    return "-".join([config.conditions, config.combine, *changed])


@torch.inference_mode()
def five_rows(model: Autoencoder, frames: int = 37) -> Condition:
    """Both, melody alone, style alone, and both again."""
    generator = torch.Generator().manual_seed(5)
    melody = torch.randint(2, 92, (1, frames), generator=generator).expand(5, -1)
    style = torch.randn(1, model.style_width, generator=generator).expand(5, -1)
    return model.condition(melody, style, torch.tensor([1, 1, 0, 0, 1]).bool(), torch.tensor([1, 0, 1, 0, 1]).bool())


def played(rows: int, length: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    held = np.maximum(rng.integers(-400, 99, (length, rows, 88)), 0)
    return rng.integers(0, 310, (length, rows)), rng.integers(0, 27, (length, rows)).cumsum(axis=0), held


@pytest.mark.parametrize("config", EVERY, ids=name)
def test_logits_are_those_of_decode_across_a_slide(config: ModelConfig) -> None:
    model = awake(config)
    condition = five_rows(model)
    fast, slow = CompiledStepper(model, condition, EACH), ReferenceStepper(model, condition, EACH)
    for ids, clock, held in zip(*played(5, 41), strict=True):
        np.testing.assert_allclose(fast.step(ids, clock, held), slow.step(ids, clock, held), rtol=0, atol=1e-4)


@pytest.mark.parametrize("length", [1, 7, 11, 12, 38])
def test_a_prefilled_step_goes_on_where_single_steps_would_be(length: int) -> None:
    model = awake(SMALL)
    condition = five_rows(model)
    ids, clock, held = played(5, length + 15)
    whole, parts = CompiledStepper(model, condition, EACH), CompiledStepper(model, condition, EACH)
    for i in range(length):
        whole.step(ids[i], clock[i], held[i])
    parts.prefill(*(values[:length].swapaxes(0, 1) for values in (ids, clock, held)))
    for i in range(length, length + 15):
        np.testing.assert_allclose(
            parts.step(ids[i], clock[i], held[i]), whole.step(ids[i], clock[i], held[i]), rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("config", EVERY, ids=name)
def test_rows_may_hear_something_else_from_some_id_on(config: ModelConfig) -> None:
    model = awake(config)
    condition, others = five_rows(model), np.array([2, 0, 3, 1, 4])
    fast, threaded, slow, constant = (
        CompiledStepper(model, condition, EACH),
        CompiledStepper(model, condition, EACH, threads=2),
        ReferenceStepper(model, condition, EACH),
        ReferenceStepper(model, condition, EACH),
    )
    for i, (ids, clock, held) in enumerate(zip(*played(5, 30), strict=True)):
        for one in (fast, threaded, slow) if i == 14 else ():
            one.hear(others)
        expected, unchanged = slow.step(ids, clock, held), constant.step(ids, clock, held)
        np.testing.assert_allclose(fast.step(ids, clock, held), expected, rtol=0, atol=1e-4)
        np.testing.assert_allclose(threaded.step(ids, clock, held), expected, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(expected[4], unchanged[4])  # it goes on hearing what it heard
        assert np.array_equal(expected, unchanged) == (i < 14 or config.conditions == "none")


def test_two_who_pack_at_once_leave_torch_its_threads() -> None:
    """A thread that is new to torch takes over what is set just then, and must not leave it to those that follow."""
    before = torch.get_num_threads()
    inside, both_inside, done = Event(), Event(), Event()

    def first() -> None:
        with _one_thread():
            inside.set()
            both_inside.wait()
        done.set()

    def second() -> None:
        inside.wait()
        with _one_thread():
            both_inside.set()
            done.wait()

    try:
        torch.set_num_threads(2)
        with ThreadPoolExecutor(2) as both:
            for result in [both.submit(first), both.submit(second)]:
                result.result()
        with ThreadPoolExecutor(1) as later:
            assert (later.submit(torch.get_num_threads).result(), torch.get_num_threads()) == (2, 2)
    finally:
        torch.set_num_threads(before)


def test_no_thread_is_without_a_row_and_nothing_but_a_cpu_is_compiled_for() -> None:
    model = awake(SMALL)
    condition = five_rows(model)
    assert CompiledStepper(model, condition, EACH, threads=9).threads == 5
    with pytest.raises(ValueError, match="CPU only"):
        CompiledStepper(model.to("meta"), condition, EACH)


def test_memories_are_packed_by_one_thread_and_the_others_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before, pack, seen = torch.get_num_threads(), packing.pack_memory, []

    def watched(*arguments: Any) -> packing.Memories:
        seen.append(torch.get_num_threads())
        return pack(*arguments)

    monkeypatch.setattr(packing, "pack_memory", watched)
    try:
        torch.set_num_threads(2)
        CompiledStepper(awake(SMALL), five_rows(awake(SMALL)), EACH)
        assert (seen, torch.get_num_threads()) == ([1] * 5, 2)
    finally:
        torch.set_num_threads(before)


def test_a_memory_is_packed_when_a_row_begins_to_hear_it_and_kept_while_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = awake(SMALL)
    condition, pack, packed = five_rows(model), packing.pack_memory, []

    def watched(*arguments: Any) -> packing.Memories:
        packed.append(1)
        return pack(*arguments)

    monkeypatch.setattr(packing, "pack_memory", watched)
    fast = CompiledStepper(model, condition, np.array([0, 0, 1]))
    for heard, count in (([0, 0, 1], 2), ([1, 0, 0], 2), ([1, 2, 1], 3), ([0, 2, 1], 4)):
        fast.hear(np.array(heard))
        assert len(packed) == count


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_that_begin_alike_are_prefilled_once(threads: int) -> None:
    model = awake(SMALL)
    condition, again = five_rows(model), np.arange(15) % 5
    ids, clock, held = (np.tile(values, (1, 3, *[1] * (values.ndim - 2))) for values in played(5, 40))
    fast = CompiledStepper(model, condition, again, threads=threads)
    once, each = (ReferenceStepper(model, condition, again) for _ in range(2))
    for one, rows in ((fast, 5), (once, 5), (each, 15)):
        one.prefill(*(values[:30, :rows].swapaxes(0, 1) for values in (ids, clock, held)))
    for i in range(30, 40):
        state = ids[i], clock[i], held[i]
        expected = each.step(*state)
        np.testing.assert_array_equal(once.step(*state), expected)
        np.testing.assert_allclose(fast.step(*state), expected, rtol=0, atol=1e-4)


def test_a_prefill_is_no_reason_to_compile_again() -> None:
    model = awake(SMALL)
    fast, (ids, clock, held) = CompiledStepper(model, five_rows(model), EACH), played(5, 4)
    fast.step(ids[0], clock[0], held[0])
    before = len(kernel.step.signatures)
    fast.prefill(*(values.swapaxes(0, 1) for values in (ids, clock, held)))
    fast.prefill(*(np.ascontiguousarray(values.swapaxes(0, 1)) for values in (ids, clock, held)))
    assert len(kernel.step.signatures) == before


def test_logits_are_those_of_decode_at_the_sizes_of_the_box() -> None:
    box = ModelConfig.from_dict(read_config(default_checkpoint())["model"])
    model = awake(dataclasses.replace(box, decoder_layers=2, style_layers=1))
    condition, before = five_rows(model), box.window - 5
    ids, clock, held = (values.repeat(5, axis=1) for values in played(1, box.window + 5))
    fast, slow = CompiledStepper(model, condition, EACH), ReferenceStepper(model, condition, EACH)
    for one in (fast, slow):
        one.prefill(*(values[:before].swapaxes(0, 1) for values in (ids, clock, held)))
    for i in range(before, len(ids)):
        state = ids[i], clock[i], held[i]
        np.testing.assert_allclose(fast.step(*state), slow.step(*state), rtol=0, atol=1e-4)


def divergence(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean nats by which `ours` misses `theirs`, (rows, ids) logits."""
    a, b = (torch.from_numpy(x).double().log_softmax(-1) for x in (ours, theirs))
    return float((b.exp() * (b - a)).sum(-1).mean())


@pytest.mark.parametrize("config", EVERY, ids=name)
def test_int8_stays_near_the_reference_across_a_slide(config: ModelConfig) -> None:
    model = awake(config)
    condition = five_rows(model)
    fast, slow = CompiledStepper(model, condition, EACH, int8=True), ReferenceStepper(model, condition, EACH)
    missed = [
        divergence(fast.step(ids, clock, held), slow.step(ids, clock, held))
        for ids, clock, held in zip(*played(5, 41), strict=True)
    ]
    assert 0 < np.mean(missed) < 0.01


@pytest.mark.parametrize("int8", [False, True])
def test_a_row_is_the_same_with_threads_and_among_other_rows(int8: bool) -> None:
    model = awake(SMALL)
    condition = five_rows(model)
    together, shared = (CompiledStepper(model, condition, EACH, int8=int8, threads=threads) for threads in (1, 3))
    for i, (ids, clock, held) in enumerate(zip(*played(5, 23), strict=True)):
        ids[4], clock[4], held[4] = ids[0], clock[0], held[0]  # and the fifth row hears what the first does
        logits = together.step(ids, clock, held)
        assert np.array_equal(shared.step(ids, clock, held), logits), i
        assert np.array_equal(logits[4], logits[0])


def test_rows_that_hear_the_same_share_a_memory_and_a_long_melody_costs_no_more_at_its_end() -> None:
    """Ten minutes: the step reads the frames around now only, so it stays right where float32 clocks grow coarse."""
    model = awake(SMALL)
    condition = five_rows(model, frames=6000)
    hears = np.array([0, 1, 2, 3, 0])
    fast, slow = CompiledStepper(model, condition, hears), ReferenceStepper(model, condition, hears)
    assert fast._parts[0].memory[2].tolist() == [0, 1, 2, 3, 0]
    for clock in (0, 29_000, 59_400, 59_990, 61_000):
        ids = np.arange(5) + clock % 300
        ours, theirs = (s.step(ids, np.full(5, clock), np.zeros((5, 88), int)) for s in (fast, slow))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_the_chosen_stepper_is_int8_and_float32_when_asked_or_when_int8_is_far_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = awake(SMALL)
    condition = five_rows(model)
    chosen = stepper.make_stepper(model, condition, EACH)
    assert isinstance(chosen, CompiledStepper)
    assert chosen.int8 == blocks.HAS_PAIRS
    assert chosen.position == 0
    exact = stepper.make_stepper(model, condition, EACH, exact=True)
    assert isinstance(exact, CompiledStepper)
    assert not exact.int8
    monkeypatch.setattr(stepper, "INT8_DIVERGENCE", 0.0)
    monkeypatch.setattr(stepper, "_agrees", count := Counted(stepper._agrees))
    stepper.make_stepper(model, condition, EACH)
    assert count.calls == 0  # found out once
    with torch.no_grad():
        model.decoder.head.bias.add_(1.0)
    far_off = stepper.make_stepper(model, condition, EACH)
    assert count.calls == 1 + blocks.HAS_PAIRS
    assert isinstance(far_off, CompiledStepper)
    assert not far_off.int8
    monkeypatch.setattr(stepper, "TOLERANCE", -1.0)
    assert isinstance(stepper.make_stepper(awake(SMALL), condition, EACH), ReferenceStepper)


@pytest.mark.parametrize("sooner", [1, 2])
def test_rows_are_shared_out_where_that_is_sooner(monkeypatch: pytest.MonkeyPatch, sooner: int) -> None:
    model, seconds = awake(SMALL), 0.0
    fast = CompiledStepper(model, five_rows(model), EACH)

    def step(*_: np.ndarray) -> None:
        nonlocal seconds
        seconds += 1 if fast.threads == sooner else 2

    monkeypatch.setattr(fast, "step", step)
    monkeypatch.setattr(stepper, "time", SimpleNamespace(perf_counter=lambda: seconds))
    stepper._share_out_if_sooner(fast, 5, 2)
    assert (fast.threads, fast.position) == (sooner, 0)


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.calls += 1
        return self.function(*arguments, **keywords)


def test_a_chosen_stepper_begins_as_a_fresh_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing it with and without threads leaves keys in the caches that nothing may see afterwards."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    model = awake(SMALL)
    condition = five_rows(model)
    checked, fresh = stepper.make_stepper(model, condition, EACH, exact=True), CompiledStepper(model, condition, EACH)
    for ids, clock, held in zip(*played(5, 19), strict=True):
        assert np.array_equal(checked.step(ids, clock, held), fresh.step(ids, clock, held))


def test_a_changed_model_is_packed_again() -> None:
    model = awake(SMALL)
    condition = five_rows(model)
    before = CompiledStepper(model, condition, EACH)
    assert CompiledStepper(model, condition, EACH)._weights is before._weights
    with torch.no_grad():
        model.decoder.head.bias.add_(1.0)
    ids, clock, held = played(5, 1)
    changed = CompiledStepper(model, condition, EACH).step(ids[0], clock[0], held[0])
    np.testing.assert_allclose(changed, before.step(ids[0], clock[0], held[0]) + 1.0, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 6, 64), (2, 5, 70), (3, 48, 128), (7, 33, 200), (8, 1, 5)])
@pytest.mark.parametrize("int8", [False, True])
def test_panels_multiply_as_matrices_do(rows: int, depth: int, columns: int, int8: bool) -> None:
    rng = np.random.default_rng(rows)
    weights = rng.integers(-127, 128, (columns, depth)).astype(np.float32)
    weights[:, 0] = 127  # then the scales are 1
    packed, scales = packing.panels(weights, int8)
    x = rng.integers(-2000, 2000, (rows, depth + depth % 2)).astype(np.int16 if int8 else np.float32)
    y = np.zeros((rows, 64 * len(packed)), np.int32 if int8 else np.float32)
    blocks.multiply(packed, x, y)
    assert np.array_equal(scales, np.ones(columns, np.float32))
    assert np.array_equal(y[:, :columns], x[:, :depth].astype(np.int64) @ weights.T.astype(np.int64))


def test_a_lesser_processor_that_numba_is_to_compile_for_is_believed(tmp_path: Path) -> None:
    """An instruction that it lacks would end the process."""
    program = (
        "import numpy as np\n"
        "from musicstyle.generation import blocks\n"
        "y = np.zeros((1, 64), np.int32)\n"
        "blocks.multiply(np.ones((1, 3, 128), np.int8), np.ones((1, 6), np.int16), y)\n"
        "assert (y == 6).all() and not blocks.HAS_PAIRS\n"
    )
    environment = os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_sums_of_int8_products_do_not_overflow() -> None:
    """A row of ones and weights that all point one way: of the depth that a feed-forward layer has, and deeper."""
    for depth in (768, 4096):
        layer = (*packing.panels(np.ones((64, depth), np.float32), int8=True), np.zeros(64, np.float32))
        work = (np.zeros((1, depth), np.int16), np.zeros((1, 64), np.int32), np.zeros(1, np.float32))
        y = np.zeros((1, 64), np.float32)
        kernel.project(layer, np.ones((1, depth), np.float32), work, y, False)
        np.testing.assert_allclose(y, depth, rtol=1e-3)


def test_exponentials_are_exponentials() -> None:
    for highest, count in ((-7.3, 271), (0.0, 1), (5.1, 2), (5.1, 64)):
        scores = np.linspace(highest - 80, highest, count, dtype=np.float32)
        expected = np.exp(scores.astype(np.float64) - scores.max())
        ours = scores.copy()
        total = arithmetic.exponentials(ours, np.zeros(count, np.int32))
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-30)
        assert total == pytest.approx(expected.sum(), rel=1e-5)


@pytest.mark.parametrize("squared", [True, False])
def test_what_is_no_number_stays_so(squared: bool) -> None:
    x = np.array([[np.nan, -1.0, 3.0]], np.float32)
    kernel.rectify(x, squared)
    np.testing.assert_array_equal(x, [[np.nan, 0, 9 if squared else 3]])


def test_the_memory_window_is_that_of_the_reference() -> None:
    """Every frame that `Memory.audible` lets through, and no other, at clocks before, within and after the melody."""
    frames, steps_per_frame = 23, 10
    present = torch.ones(1, frames, dtype=torch.bool)
    memory = Memory(torch.zeros(1, frames, 1), present, torch.arange(frames)[None] * steps_per_frame, present)
    for window in (0, 7, 10, 60, 999):
        for clock in range(0, 400, 3):
            heard = memory.audible(torch.tensor([[clock]]), window)[0, 0, 0]
            first, last, _, _ = kernel.near_now(clock, np.array([frames, 64, 64]), steps_per_frame, window)
            assert heard.nonzero()[:, 0].tolist() == list(range(first, last))
