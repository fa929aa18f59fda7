"""From logits to an id: a ladder of small functions, each calling the one before."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Minus infinity for all but the k likeliest of (..., ids); all are kept if k is 0."""
    if k == 0 or k >= logits.shape[-1]:
        return logits
    threshold = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < threshold, float("-inf"))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Minus infinity for all but the fewest likeliest ids whose probabilities sum to at least p.

    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """
    if p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
    drop = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= p)
    return logits.masked_fill(drop, float("-inf"))


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Minus infinity for all ids less than p times as likely as the likeliest of (..., ids); all are kept if p is 0.

    Source: Nguyen et al. 2024, arXiv:2407.01082.
    """
    if p == 0:
        return logits
    threshold = logits.amax(dim=-1, keepdim=True) + math.log(p)
    return logits.masked_fill(logits < threshold, float("-inf"))


def probabilities(logits: Tensor, temperature: float, top_k: int, top_p: float, min_p: float = 0.0) -> Tensor:
    """The distribution that is drawn from, (..., ids): temperature first, then top k, top p and min p."""
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    return keep_min_p(keep_top_p(keep_top_k(logits / temperature, top_k), top_p), min_p).softmax(dim=-1)


def draw(distribution: Tensor, generator: torch.Generator) -> int:
    """One id of an (ids,) distribution."""
    return int(torch.multinomial(distribution, 1, generator=generator))
