"""Relative self-attention, and cross-attention on a shared clock.

Unusual here: time enters by rotating queries and keys (RoPE over elapsed time in place of an index), so only time
differences count; a table of relative keys adds what distance in ids has to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicstyle.model.relative import Reach, attend, rows_at_once

SHORTEST_PERIOD_STEPS = 4.0  # of the rotations: 40 ms ...
LONGEST_PERIOD_STEPS = 4000.0  # ... to 40 s


def rotation_periods(pairs: int, device: torch.device | None = None) -> Tensor:
    """Steps of one turn for each pair of rotated dimensions, (pairs,), from the shortest to the longest."""
    exponent = torch.linspace(0, 1, pairs, device=device, dtype=torch.float32)
    return SHORTEST_PERIOD_STEPS * (LONGEST_PERIOD_STEPS / SHORTEST_PERIOD_STEPS) ** exponent


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of elapsed time, (batch, 1, length, pairs) each; None stands for "no clock" elsewhere."""

    cosine: Tensor
    sine: Tensor

    @classmethod
    def of(cls, steps: Tensor, rotated_width: int) -> Rotation:
        """Angles of each position.

        Args:
            steps: Elapsed time in 10 ms steps, (batch, length), any real number.
            rotated_width: How many of a head's dimensions turn (even).
        """
        periods = rotation_periods(rotated_width // 2, steps.device)
        # Whole turns are taken off before the cosine: after minutes of music float32 angles would lose the phase.
        turns = torch.remainder(steps[:, None, :, None].float() / periods, 1.0)
        return cls(torch.cos(2 * torch.pi * turns), torch.sin(2 * torch.pi * turns))

    def turn(self, x: Tensor) -> Tensor:
        """Rotate the first 2 * pairs dimensions of (batch, heads, length, head_width), leave the others."""
        pairs = self.cosine.shape[-1]
        a, b, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
        cosine, sine = self.cosine.to(x.dtype), self.sine.to(x.dtype)
        return torch.cat((a * cosine - b * sine, a * sine + b * cosine, rest), dim=-1)


class KeyValueCache:
    """Keys and values of the last tokens of one layer: filled in place, moved to the front when it is full."""

    def __init__(self, batch: int, heads: int, window: int, head_width: int, device: torch.device) -> None:
        self.window = window
        self.keys = torch.empty(batch, heads, 2 * window, head_width, device=device)
        self.values = torch.empty_like(self.keys)
        self.length = 0

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add (batch, heads, n, head_width) keys and values; return all that the new queries may see."""
        n = k.shape[2]
        kept = min(self.length, self.window - 1)
        if self.length + n > self.keys.shape[2]:
            if kept + n > self.keys.shape[2]:
                raise ValueError(f"{n} tokens at once do not fit a cache of {self.keys.shape[2]}")
            for store in (self.keys, self.values):
                store[:, :, :kept] = store[:, :, self.length - kept : self.length].clone()
            self.length = kept
        start, end = self.length - kept, self.length + n
        self.keys[:, :, self.length : end] = k
        self.values[:, :, self.length : end] = v
        self.length = end
        return self.keys[:, :, start:end], self.values[:, :, start:end]


class RelativeAttention(nn.Module):
    """Multi-head self-attention with learned relative keys: causal over a window, or two-sided."""

    def __init__(self, width: int, heads: int, head_width: int, max_distance: int, window: int | None) -> None:
        """`window` None makes it two-sided, with 2 * max_distance - 1 rows in the table."""
        super().__init__()
        self.heads, self.head_width, self.window, self.behind = heads, head_width, window, max_distance - 1
        self.table_is_window = window == max_distance
        self.project_in = nn.Linear(width, 3 * heads * head_width)
        self.project_out = nn.Linear(heads * head_width, width)
        rows = max_distance if window else 2 * max_distance - 1
        self.table = nn.Parameter(torch.empty(heads, rows, head_width))

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        present: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Attend within one sequence.

        Args:
            x: (batch, length, width).
            rotation: Of each position's time; None without a clock.
            present: Which positions are no padding, (batch, length) bool; two-sided attention only.
            cache: Earlier keys and values of the same sequence; causal attention only.

        Returns:
            (batch, length, width).
        """
        q, k, v = self._heads(x)
        turned_q, turned_k = (q, k) if rotation is None else (rotation.turn(q), rotation.turn(k))
        offset = 0
        if cache is not None:
            turned_k, v = cache.append(turned_k, v)
            offset = turned_k.shape[2] - q.shape[2]
        reach = Reach(self.window, self.behind, offset, closed=self.table_is_window)
        out = attend(q, turned_q, turned_k, v, self.table.to(q.dtype), reach, present)
        return self.project_out(out.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        qkv = self.project_in(x).unflatten(-1, (3, self.heads, self.head_width)).permute(2, 0, 3, 1, 4)
        qkv = qkv.contiguous()  # once, where every product of a block would copy its part
        return qkv[0] * self.head_width**-0.5, qkv[1], qkv[2]


@dataclass(frozen=True)
class Memory:
    """What the decoder listens to.

    Attributes:
        vectors: (batch, positions, memory_width).
        present: (batch, positions) bool; at least one in each row.
        steps: Time of each position, (batch, positions); untimed positions hold 0.
        timed: Which positions have a time, (batch, positions) bool; the others are heard from everywhere.
    """

    vectors: Tensor
    present: Tensor
    steps: Tensor
    timed: Tensor

    def __getitem__(self, places: Any) -> Memory:
        """Some of the rows, or of the rows and positions, as a tensor is indexed."""
        return Memory(self.vectors[places], self.present[places], self.steps[places], self.timed[places])

    def audible(self, clock: Tensor, window_steps: int | None) -> Tensor:
        """Which positions are heard at each moment.

        Args:
            clock: Elapsed steps of the decoder's positions, (batch, length).
            window_steps: How far in time a timed position is heard; None: from everywhere.

        Returns:
            (batch, 1, length, positions) bool; every row hears something, the last frames if the clock ran past them.
        """
        if window_steps is None:
            return self.present[:, None, None, :].expand(-1, 1, clock.shape[1], -1)
        end = torch.where(self.timed & self.present, self.steps, 0).amax(dim=1, keepdim=True)
        distance = (self.steps[:, None, :] - clock.clamp(max=end)[:, :, None]).abs()
        near = (distance <= window_steps) | ~self.timed[:, None, :]
        return (near & self.present[:, None, :])[:, None]


class CrossAttention(nn.Module):
    """Multi-head attention from the decoder to its memory; half of each head turns with time, half is content alone."""

    def __init__(self, width: int, memory_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.project_query = nn.Linear(width, heads * head_width)
        self.project_memory = nn.Linear(memory_width, 2 * heads * head_width)
        self.project_out = nn.Linear(heads * head_width, width)

    def listen(self, memory: Memory, clock: bool) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory, (batch, heads, positions, head_width) each: computed once a piece."""
        k, v = (
            self.project_memory(memory.vectors).unflatten(-1, (2, self.heads, self.head_width)).permute(2, 0, 3, 1, 4)
        )
        if clock:
            turned = Rotation.of(memory.steps, self.head_width // 2).turn(k)
            # A position without a time has nothing to say to the half of the head that asks "when".
            timeless = F.pad(k[..., self.head_width // 2 :], (self.head_width // 2, 0))
            k = torch.where(memory.timed[:, None, :, None], turned, timeless)
        return k, v

    def forward(self, x: Tensor, k: Tensor, v: Tensor, silence: Tensor, rotation: Rotation | None) -> Tensor:
        """Attend to the memory's keys and values.

        Args:
            x: (batch, length, width).
            k: Keys from `listen`.
            v: Values from `listen`.
            silence: 0 where a position is heard, minus infinity elsewhere, (batch, 1, length, positions).
            rotation: Of each position's clock over half a head; None without a clock.

        Returns:
            (batch, length, width).
        """
        q = self.project_query(x).unflatten(-1, (self.heads, self.head_width)).transpose(1, 2)
        if rotation is not None:
            q = rotation.turn(q)
        q, silence = q * self.head_width**-0.5, silence.to(q.dtype)
        # Spelt out, some rows at a time: on a CPU twice as fast as torch's fused kernel (docs/experiments.md).
        rows = zip(*(torch.split(part, rows_at_once(q.device), dim=2) for part in (q, silence)), strict=True)
        products = (some @ k.transpose(-1, -2) + silent for some, silent in rows)
        # The type is said, because CUDA's autocast would make and keep float32.
        out = torch.cat([some.softmax(dim=-1, dtype=v.dtype) @ v for some in products], dim=2)
        return self.project_out(out.transpose(1, 2).flatten(2))
