"""Muon is torch's, but for the precision it computes in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from musicstyle.training import muon
from musicstyle.training.muon import Muon, nearly_orthogonal

SHAPES = [(24, 24), (12, 40), (40, 12), (1, 16)]


@pytest.mark.parametrize(("in_bf16", "tolerance"), [(True, 0.005), (False, 0.02)])
def test_it_steps_as_torch_does(monkeypatch: pytest.MonkeyPatch, in_bf16: bool, tolerance: float) -> None:
    """As near as the eight bits allow that torch computes with."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": in_bf16}, raising=False)
    generator = torch.Generator().manual_seed(1)
    start = [torch.randn(shape, generator=generator) for shape in (*SHAPES, *SHAPES)]
    settings: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.03, "momentum": 0.9}
    ours, theirs = ([nn.Parameter(values.clone()) for values in start] for _ in range(2))
    optimizers = Muon(ours, **settings), torch.optim.Muon(theirs, **settings)
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=generator)
        for optimizer in optimizers:
            optimizer.step()
    for one, other, values in zip(ours, theirs, start, strict=True):
        assert (one - values).norm() > 0.1
        assert (one - other).norm() <= tolerance * (other - values).norm()
    state = [{name: set(kept) for name, kept in optimizer.state_dict()["state"].items()} for optimizer in optimizers]
    assert state[0] == state[1]  # a run that torch's began is gone on with


@pytest.mark.parametrize(("in_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_it_computes_in_what_the_machine_multiplies_fast(
    monkeypatch: pytest.MonkeyPatch, in_bf16: bool, dtype: torch.dtype
) -> None:
    computed: list[torch.dtype] = []

    def watched(matrices: Tensor, dtype: torch.dtype) -> Tensor:
        computed.append(dtype)
        return nearly_orthogonal(matrices, dtype)

    monkeypatch.setattr(muon, "nearly_orthogonal", watched)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": in_bf16}, raising=False)
    parameter = nn.Parameter(torch.ones(3, 4))
    parameter.grad = torch.ones(3, 4)
    Muon([parameter], lr=0.1, weight_decay=0.0, momentum=0.9).step()
    assert computed == [dtype]


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    made = left.T @ nearly_orthogonal(matrix[None], torch.float64)[0] @ right.T
    assert (made - made.diag().diag()).abs().max() < 1e-9
    far_from_none = values / values.norm() > 0.02
    assert far_from_none.sum() > 0.8 * len(values)
    assert made.diag()[far_from_none].min() > 0.65
    assert made.diag().max() < 1.25


def test_no_gradient_moves_nothing_and_a_zero_one_is_a_number() -> None:
    still, zero = (nn.Parameter(torch.ones(3, 4)) for _ in range(2))
    zero.grad = torch.zeros(3, 4)
    Muon([still, zero], lr=0.1, weight_decay=0.5, momentum=0.9).step()
    assert torch.equal(still, torch.ones(3, 4))
    torch.testing.assert_close(zero, torch.full((3, 4), 0.95))
