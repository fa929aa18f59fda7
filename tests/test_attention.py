"""The fast attention against double loops in float64, and what must not depend on what."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from musicstyle.model import relative
from musicstyle.model.attention import CrossAttention, KeyValueCache, Memory, RelativeAttention, Rotation
from musicstyle.model.layers import FeedForward, initialise
from musicstyle.model.relative import ROWS_AT_ONCE, skew, unskew

WIDTH, HEADS, HEAD_WIDTH = 10, 3, 8


def make(max_distance: int, window: int | None) -> RelativeAttention:
    torch.manual_seed(max_distance)
    layer = RelativeAttention(WIDTH, HEADS, HEAD_WIDTH, max_distance, window).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    return layer


def turned(vector: Tensor, steps: float) -> Tensor:
    """Rotation of one head's vector by its definition: pair k turns once in its period."""
    result, pairs = vector.clone(), HEAD_WIDTH // 4
    for k in range(pairs):
        angle = 2 * math.pi * steps / (4.0 * 1000.0 ** (k / (pairs - 1)))
        a, b = vector[k], vector[pairs + k]
        result[k] = a * math.cos(angle) - b * math.sin(angle)
        result[pairs + k] = a * math.sin(angle) + b * math.cos(angle)
    return result


def double_loop(layer: RelativeAttention, x: Tensor, steps: Tensor | None, present: Tensor | None) -> Tensor:
    """Shaw-style relative attention written from its formula, one query and one key at a time."""
    batch, length, _ = x.shape
    qkv = (x @ layer.project_in.weight.T + layer.project_in.bias).view(batch, length, 3, HEADS, HEAD_WIDTH)
    out = torch.zeros(batch, length, HEADS, HEAD_WIDTH, dtype=x.dtype)
    for b in range(batch):
        for h in range(HEADS):
            for i in range(length):
                logits = torch.full((length,), -math.inf, dtype=x.dtype)
                for j in range(length):
                    if layer.window and not i - layer.window < j <= i:
                        continue
                    if present is not None and not present[b, j]:
                        continue
                    q, k = qkv[b, i, 0, h], qkv[b, j, 1, h]
                    row = j - i + layer.behind
                    relative = q @ layer.table[h, row] if 0 <= row < layer.table.shape[1] else 0.0
                    if steps is not None:
                        q, k = turned(q, float(steps[b, i])), turned(k, float(steps[b, j]))
                    logits[j] = (q @ k + relative) / math.sqrt(HEAD_WIDTH)
                out[b, i, h] = logits.softmax(0) @ qkv[b, :, 2, h]
    return out.flatten(2) @ layer.project_out.weight.T + layer.project_out.bias


def clock(batch: int, length: int) -> Tensor:
    return (torch.rand(batch, length) * 30).long().cumsum(dim=1)


@pytest.mark.parametrize(("max_distance", "window"), [(5, 5), (4, 9), (40, 40), (7, None), (1, 3), (30, None)])
@pytest.mark.parametrize("with_clock", [False, True])
def test_relative_attention_is_the_double_loop(max_distance: int, window: int | None, with_clock: bool) -> None:
    layer = make(max_distance, window)
    x = torch.randn(2, 13, WIDTH, dtype=torch.float64)
    steps = clock(2, 13) if with_clock else None
    present = None if window else torch.arange(13) < torch.tensor([[13], [6]])
    rotation = None if steps is None else Rotation.of(steps, HEAD_WIDTH // 2)
    expected = double_loop(layer, x, steps, present)
    torch.testing.assert_close(layer(x, rotation, present), expected, rtol=0, atol=1e-5 if with_clock else 1e-12)


def test_blocks_of_rows_join_without_a_seam() -> None:
    layer = make(50, 70)
    x = torch.randn(1, 2 * ROWS_AT_ONCE + 9, WIDTH, dtype=torch.float64)
    whole = layer(x)
    tail = layer(x[:, -80:])
    torch.testing.assert_close(whole[:, -1], tail[:, -1], rtol=0, atol=1e-12)
    torch.testing.assert_close(layer(x[:, : ROWS_AT_ONCE + 3]), whole[:, : ROWS_AT_ONCE + 3], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("max_distance", "window"), [(5, 5), (4, 9), (40, 40), (7, None), (1, 3), (30, None)])
@pytest.mark.parametrize("rows_at_once", [3, 128])
@pytest.mark.parametrize("with_clock", [False, True])
def test_its_gradient_is_that_of_the_double_loop(
    max_distance: int, window: int | None, rows_at_once: int, with_clock: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relative, "ROWS_AT_ONCE", rows_at_once)
    layer = make(max_distance, window)
    x = torch.randn(2, 8, WIDTH, dtype=torch.float64, requires_grad=True)
    present = None if window else torch.arange(8) < torch.tensor([[8], [5]])
    wanted = [x, *layer.parameters()]
    steps = clock(2, 8) if with_clock else None
    rotation = None if steps is None else Rotation.of(steps, HEAD_WIDTH // 2)
    ours, theirs = layer(x, rotation, present), double_loop(layer, x, steps, present)
    direction = torch.randn_like(ours)
    for got, expected in zip(
        torch.autograd.grad(ours, wanted, direction), torch.autograd.grad(theirs, wanted, direction), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-4 if with_clock else 1e-11)


@given(n=st.integers(1, 7), c=st.integers(1, 9))
def test_unskew_is_the_gradient_of_skew(n: int, c: int) -> None:
    products, cells = torch.randn(2, n, c, dtype=torch.float64), torch.randn(2, n, c + n - 1, dtype=torch.float64)
    torch.testing.assert_close(unskew(skew(products)), products, rtol=0, atol=0)
    torch.testing.assert_close((skew(products) * cells).sum(), (products * unskew(cells)).sum())


@given(n=st.integers(1, 7), c=st.integers(1, 9))
def test_skew_moves_distances_to_keys(n: int, c: int) -> None:
    table = torch.arange(1.0, n * c + 1).view(n, c)
    skewed = skew(table)
    assert skewed.shape == (n, c + n - 1)
    for i in range(n):
        for j in range(c + n - 1):
            assert skewed[i, j] == (table[i, j - i] if 0 <= j - i < c else 0)


def test_later_tokens_change_nothing_earlier() -> None:
    layer = make(6, 11)
    x = torch.randn(2, 17, WIDTH, dtype=torch.float64)
    changed = x.clone()
    changed[:, 9:] += 1
    torch.testing.assert_close(layer(x)[:, :9], layer(changed)[:, :9], rtol=0, atol=0)


def test_tokens_before_the_window_change_nothing() -> None:
    layer = make(4, 5)
    x = torch.randn(1, 14, WIDTH, dtype=torch.float64)
    changed = x.clone()
    changed[:, :6] += 1
    torch.testing.assert_close(layer(x)[:, 10:], layer(changed)[:, 10:], rtol=0, atol=0)
    assert not torch.allclose(layer(x)[:, 9], layer(changed)[:, 9])


def test_padding_changes_nothing_in_an_encoder() -> None:
    layer = make(6, None)
    x = torch.randn(1, 12, WIDTH, dtype=torch.float64)
    present = torch.arange(12)[None] < 7
    torch.testing.assert_close(layer(x, None, present)[:, :7], layer(x[:, :7]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pieces", [(1,) * 30, (4, 9, 1, 1, 12, 3), (10, 10, 10)])
def test_a_cache_gives_what_the_whole_sequence_gives(pieces: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = RelativeAttention(WIDTH, HEADS, HEAD_WIDTH, 5, 8)
    initialise(layer)
    torch.nn.init.normal_(layer.project_out.weight)
    x = torch.randn(2, sum(pieces), WIDTH)
    cache = KeyValueCache(2, HEADS, 8, HEAD_WIDTH, x.device)
    outputs = [layer(chunk, cache=cache) for part in x.split(pieces, dim=1) for chunk in part.split(8, dim=1)]
    torch.testing.assert_close(torch.cat(outputs, dim=1), layer(x), rtol=0, atol=1e-5)


@given(shift=st.integers(0, 50_000))
def test_only_time_differences_count(shift: int) -> None:
    torch.manual_seed(1)
    q, k = torch.randn(1, 1, 1, HEAD_WIDTH), torch.randn(1, 1, 1, HEAD_WIDTH)

    def product(a: int, b: int) -> Tensor:
        return (Rotation.of(torch.tensor([[a]]), 4).turn(q) * Rotation.of(torch.tensor([[b]]), 4).turn(k)).sum()

    torch.testing.assert_close(product(3 + shift, 40 + shift), product(3, 40), rtol=0, atol=2e-2)


def make_memory(frames: int = 9) -> Memory:
    present = torch.arange(frames) < torch.tensor([[frames], [5]])
    steps = (10 * torch.arange(frames)).expand(2, frames)
    return Memory(torch.randn(2, frames, 6), present, steps, torch.ones_like(present))


def test_memory_is_heard_near_now_and_never_not_at_all() -> None:
    memory = make_memory()
    audible = memory.audible(torch.tensor([[0, 35, 500], [0, 35, 500]]), 20)
    assert audible.shape == (2, 1, 3, 9)
    assert audible[0, 0].int().tolist() == [
        [1, 1, 1, 0, 0, 0, 0, 0, 0],  # frames at 0, 10, 20
        [0, 0, 1, 1, 1, 1, 0, 0, 0],  # within 20 of 35
        [0, 0, 0, 0, 0, 0, 1, 1, 1],  # past the end: the last frames
    ]
    assert audible[1, 0, 2].int().tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0]
    assert memory.audible(torch.tensor([[7], [7]]), None)[1, 0, 0].int().tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0]


def silence_of(memory: Memory, now: Tensor, window_steps: int | None) -> Tensor:
    return relative.silence(memory.audible(now, window_steps))


def test_cross_attention_is_torchs_own_in_value_and_gradient() -> None:
    torch.manual_seed(3)
    layer = CrossAttention(WIDTH, 6, HEADS, HEAD_WIDTH).double()
    memory = make_memory(40)
    memory = Memory(memory.vectors.double(), memory.present, memory.steps, memory.timed)
    x = torch.randn(2, 300, WIDTH, dtype=torch.float64, requires_grad=True)  # two blocks of rows and a part
    now = clock(2, 300)
    audible = memory.audible(now, 50)
    k, v = layer.listen(memory, clock=False)

    def expected() -> Tensor:
        q = layer.project_query(x).unflatten(-1, (HEADS, HEAD_WIDTH)).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=audible)
        return layer.project_out(out.transpose(1, 2).flatten(2))

    ours, theirs = layer(x, k, v, silence_of(memory, now, 50), None), expected()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    weights = torch.randn_like(ours)
    learned = [x, *layer.parameters()]
    for a, b in zip(
        torch.autograd.grad((ours * weights).sum(), learned, retain_graph=True),
        torch.autograd.grad((theirs * weights).sum(), learned),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_the_squared_rectifiers_gradient_is_autograds() -> None:
    torch.manual_seed(4)
    layer = FeedForward(5, 11, "relu_squared").double()
    x = torch.randn(3, 7, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x), layer.narrow(F.relu(layer.widen(x)).square()), rtol=0, atol=0)
    assert torch.autograd.gradcheck(layer, (x,))


def test_cross_attention_sees_what_is_present_and_ignores_the_time_of_untimed_positions() -> None:
    torch.manual_seed(2)
    layer = CrossAttention(WIDTH, 6, HEADS, HEAD_WIDTH)
    memory = make_memory()
    x, now = torch.randn(2, 4, WIDTH), clock(2, 4)
    rotation = Rotation.of(now, HEAD_WIDTH // 2)
    silence = silence_of(memory, now, None)
    out = layer(x, *layer.listen(memory, clock=True), silence, rotation)
    vectors = torch.where(memory.present[..., None], memory.vectors, 77.0)
    other = Memory(vectors, memory.present, memory.steps, memory.timed)
    torch.testing.assert_close(layer(x, *layer.listen(other, clock=True), silence, rotation), out, rtol=0, atol=1e-5)
    untimed = [Memory(memory.vectors, memory.present, s, ~memory.timed) for s in (memory.steps, memory.steps * 3)]
    a, b = (layer(x, *layer.listen(m, clock=True), silence, rotation) for m in untimed)
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not torch.allclose(a, out)
