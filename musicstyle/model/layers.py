"""The blocks that encoders and decoder are stacks of, and how every parameter begins."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from musicstyle.model.attention import CrossAttention, KeyValueCache, RelativeAttention, Rotation
from musicstyle.model.config import Activation, ModelConfig


class _SquaredRectifier(torch.autograd.Function):
    """max(x, 0) squared; its gradient in two passes over the memory, where autograd's own takes five."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rectified = F.relu(x)
        ctx.save_for_backward(rectified)
        return rectified * rectified

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (rectified,) = ctx.saved_tensors
        return (grad * rectified).mul_(2)


class FeedForward(nn.Module):
    """Two linear maps with a (squared) rectifier between them."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.squared = activation == "relu_squared"
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        rectifier = _SquaredRectifier.apply if self.squared else F.relu
        return self.narrow(rectifier(self.widen(x)))


class EncoderLayer(nn.Module):
    """Two-sided relative attention, then feed-forward; both pre-norm and residual."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config
        self.attention_norm = nn.LayerNorm(c.width)
        self.attention = RelativeAttention(c.width, c.heads, c.head_width, c.encoder_max_distance, window=None)
        self.feedforward_norm = nn.LayerNorm(c.width)
        self.feedforward = FeedForward(c.width, c.feedforward_width, c.activation)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, rotation: Rotation | None, present: Tensor) -> Tensor:
        """Map (batch, length, width) to the same, looking both ways at what is present, (batch, length) bool."""
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation, present))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


class DecoderLayer(nn.Module):
    """Causal relative attention, attention to the memory (if there is one), feed-forward; all pre-norm and residual."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        c = config
        self.attention_norm = nn.LayerNorm(c.width)
        self.attention = RelativeAttention(c.width, c.heads, c.head_width, c.max_distance, c.window)
        self.cross_norm = nn.LayerNorm(c.width) if c.conditions != "none" else None
        self.cross = CrossAttention(c.width, c.memory_width, c.heads, c.head_width) if c.conditions != "none" else None
        self.feedforward_norm = nn.LayerNorm(c.width)
        self.feedforward = FeedForward(c.width, c.feedforward_width, c.activation)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None,
        heard: tuple[Tensor, Tensor] | None,
        silence: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """Map (batch, length, width) to the same; the arguments are those of the attentions."""
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation, cache=cache))
        if self.cross is not None and self.cross_norm is not None and heard is not None and silence is not None:
            x = x + self.dropout(self.cross(self.cross_norm(x), *heard, silence, rotation))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))


def sinusoid_rates(width: int, device: torch.device | None = None) -> Tensor:
    """Radians a position of each pair of sine and cosine in `sinusoids`, (width // 2,)."""
    half = width // 2
    return torch.exp(-math.log(10000.0) * torch.arange(half, device=device) / max(1, half - 1))


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """The published index encoding: (batch, length) positions to (batch, length, width).

    Source: Vaswani et al. 2017; kept for the `paper` preset, which has no clock.
    """
    angles = positions[..., None].float() * sinusoid_rates(width, positions.device)
    return F.pad(torch.cat((angles.sin(), angles.cos()), dim=-1), (0, width % 2))


BRANCH_ENDS = ("project_out", "narrow")  # the maps by which a residual branch joins
SILENT = (
    *(f"{name}.weight" for name in BRANCH_ENDS),
    "decoder.head.weight", "held.weight", "style_counts.weight", "habits.weight", "motifs.weight",
)  # fmt: skip


@torch.no_grad()
def initialise(model: nn.Module) -> None:
    """Set every parameter: linear maps to keep variance, ids and single vectors to variance 1, other tables small.

    Those of SILENT are 0, so that residual branches, additions to the input and the logits begin with nothing to say.
    """
    for name, parameter in model.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if name.endswith(SILENT) or last == "bias":
            parameter.zero_()
        elif "norm" in name:
            parameter.fill_(1.0)
        elif name.endswith("table") or (
            parameter.ndim == 2 and not name.endswith(("embedding.weight", "phase.weight"))
        ):
            parameter.normal_(0.0, parameter.shape[-1] ** -0.5)
        else:
            parameter.normal_(0.0, 1.0)
