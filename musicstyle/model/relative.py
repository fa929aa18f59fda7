"""Relative attention over blocks of query rows, with its gradient written out.

Unusual here: the skew works on a block of query rows at a time, so that a window of keys costs a window of memory;
cells outside the relative table can be filled with minus infinity, which makes the table its own causal window mask;
each block adds to the keys' gradient in place, where autograd would make a gradient of all keys for every block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS_AT_ONCE = 128  # query rows of one block: measured best on CPU caches (docs/experiments.md)
ROWS_AT_ONCE_ON_GPU = 512  # a GPU waits for every launch, so fewer and larger blocks


@dataclass(frozen=True)
class Reach:
    """How far queries look.

    Attributes:
        window: How many last keys a query sees, itself among them; None: all keys, on both sides.
        behind: Rows of the relative table that belong to earlier keys.
        offset: Position of the first query among the keys (keys before it come from a cache).
        closed: The table reaches as far as the window, so that it masks what the window hides.
    """

    window: int | None
    behind: int
    offset: int
    closed: bool


@dataclass(frozen=True)
class Block:
    """Some query rows, the keys that any of them sees and the table rows between the two.

    Attributes:
        rows: Of the queries.
        keys: Of the keys.
        table: Rows of the relative table.
        margins: Columns by which the skewed table products fall short of the keys, left and right; negative: stand out.
        place: Position of the first row.
    """

    rows: slice
    keys: slice
    table: slice
    margins: tuple[int, int]
    place: int


def rows_at_once(device: torch.device) -> int:
    """Query rows of one block where the attention is computed."""
    return ROWS_AT_ONCE if device.type == "cpu" else ROWS_AT_ONCE_ON_GPU


def blocks(queries: int, keys: int, table_rows: int, reach: Reach, rows: int) -> Iterator[Block]:
    """Cut the queries into blocks of so many rows."""
    for first in range(0, queries, rows):
        n, place = min(rows, queries - first), reach.offset + first
        start = max(0, place - reach.window + 1) if reach.window else 0
        end = place + n if reach.window else keys
        # Rows of the table that no key of this run can meet are left out of the product.
        low, high = max(0, reach.behind - (place + n - 1 - start)), min(table_rows, reach.behind + end - place)
        leftmost = place - reach.behind + low
        margins = (leftmost - start, end - (leftmost + high - low + n - 1))
        yield Block(slice(first, first + n), slice(start, end), slice(low, high), margins, place)


def skew(products: Tensor, outside: float = 0.0) -> Tensor:
    """Shift row i right by i columns, so that table columns (distances) become key columns.

    Args:
        products: Of n query rows with the c rows of a relative table, (..., n, c).
        outside: What stands where the table has no row.

    Returns:
        (..., n, c + n - 1); cell (i, j) is products[i, j - i], and `outside` where that column doesn't exist.

    Source: Huang et al. 2019, arXiv:1809.04281: pad, reshape, drop; here for any block of rows.
    """
    *batch, n, c = products.shape
    padded = F.pad(products, (0, n), value=outside).flatten(-2)
    return padded[..., : n * (c + n - 1)].view(*batch, n, c + n - 1)


def unskew(cells: Tensor) -> Tensor:
    """The inverse of `skew`, and its gradient: (..., n, c + n - 1) to (..., n, c)."""
    *batch, n, columns = cells.shape
    padded = F.pad(cells.flatten(-2), (0, n)).view(*batch, n, columns + 1)
    return padded[..., : columns + 1 - n]


def add_columns(cells: Tensor, left: int, right: int, value: float = 0.0) -> Tensor:
    """Add columns to (..., rows, columns), or cut off as many as a negative number says."""
    if left <= 0 and right <= 0:
        return cells[..., -left : cells.shape[-1] + right]
    return F.pad(cells, (left, right), value=value)


def silence(heard: Tensor) -> Tensor:
    """What is added to attention's products so that only what is heard counts: 0 there, minus infinity elsewhere."""
    return torch.where(heard, 0.0, float("-inf"))


def hidden(block: Block, window: int, device: torch.device) -> Tensor:
    """Which keys each query may not see, (queries, keys) bool: all but itself and the window - 1 before it."""
    query = torch.arange(block.place, block.place + block.rows.stop - block.rows.start, device=device)[:, None]
    key = torch.arange(block.keys.start, block.keys.stop, device=device)[None, :]
    return (key > query) | (key <= query - window)


def logits(q: Tensor, turned_q: Tensor, k: Tensor, table: Tensor, block: Block, reach: Reach) -> Tensor:
    """Of a block's queries over its keys, (batch, heads, rows, keys); arguments as for `attend`."""
    outside = float("-inf") if reach.closed else 0.0
    relative = skew(q[:, :, block.rows] @ table[:, block.table].transpose(-1, -2), outside)
    relative = add_columns(relative, *block.margins, outside)
    turned_q, k = turned_q[:, :, block.rows].flatten(0, 1), k[:, :, block.keys].flatten(0, 1)
    products = torch.baddbmm(relative.flatten(0, 1), turned_q, k.transpose(1, 2)).view_as(relative)
    if reach.window and not reach.closed and relative.shape[2] > 1:
        products = products.masked_fill(hidden(block, reach.window, q.device), float("-inf"))
    return products


def attend(
    q: Tensor, turned_q: Tensor, k: Tensor, v: Tensor, table: Tensor, reach: Reach, present: Tensor | None = None
) -> Tensor:
    """Attention whose logits are turned_q . k plus q . table, the row of the table being the distance.

    Args:
        q: Queries for the table, (batch, heads, length, head_width).
        turned_q: Queries for the keys, of the same shape.
        k: Keys, (batch, heads, keys, head_width).
        v: Values, (batch, heads, keys, head_width).
        table: Relative keys, (heads, rows, head_width); row r is for keys r - behind positions after the query.
        reach: Which keys a query sees.
        present: Which keys are no padding, (batch, keys) bool.

    Returns:
        (batch, heads, length, head_width).
    """
    out: Tensor = _Attend.apply(q, turned_q, k, v, table, reach, present, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
    return out


class _Attend(torch.autograd.Function):
    """`attend` and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        turned_q: Tensor,
        k: Tensor,
        v: Tensor,
        table: Tensor,
        reach: Reach,
        present: Tensor | None,
        learning: bool,
    ) -> Tensor:
        """Arguments and result are those of `attend`; learning: keep what the gradient needs."""
        outputs, kept = [], []
        places = list(blocks(q.shape[2], k.shape[2], table.shape[1], reach, rows_at_once(q.device)))
        silent = None if present is None else silence(present).to(q.dtype)[:, None, None]
        for block in places:
            products = logits(q, turned_q, k, table, block, reach)
            if silent is not None:
                products += silent[..., block.keys]
            shares = products.softmax(dim=-1, dtype=v.dtype)  # unasked, CUDA's autocast gives float32
            outputs.append(shares @ v[:, :, block.keys])
            if learning:
                kept.append(shares)
        ctx.places = places
        ctx.save_for_backward(q, turned_q, k, v, table, *kept)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of q, turned_q, k, v and the table from that of the result; None for what has none."""
        q, turned_q, k, v, table, *kept = ctx.saved_tensors
        grad = grad.contiguous()
        grad_q, grad_turned, grad_table = torch.empty_like(q), torch.empty_like(q), torch.zeros_like(table)
        grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
        for block, shares in zip(ctx.places, kept, strict=True):
            rows, keys, (left, right) = block.rows, block.keys, block.margins
            here = grad[:, :, rows]
            grad_v[:, :, keys] += shares.transpose(-1, -2) @ here
            grad_shares = here @ v[:, :, keys].transpose(-1, -2)
            # The softmax's own gradient, as autograd calls it.
            cells = torch._softmax_backward_data(grad_shares, shares, -1, shares.dtype)  # noqa: SLF001
            grad_turned[:, :, rows] = cells @ k[:, :, keys]
            grad_k[:, :, keys] += cells.transpose(-1, -2) @ turned_q[:, :, rows]
            distances = unskew(add_columns(cells, -left, -right))
            grad_q[:, :, rows] = distances @ table[:, block.table]
            grad_table[:, block.table] += (distances.transpose(-1, -2) @ q[:, :, rows]).sum(dim=0)
        return grad_q, grad_turned, grad_k, grad_v, grad_table, None, None, None
