"""Performance encoder and melody encoder: two-sided stacks over ids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musicstyle.model.attention import Rotation
from musicstyle.model.config import ModelConfig
from musicstyle.model.layers import EncoderLayer, sinusoids

PAD = 0  # the padding id of both vocabularies


def masked_mean(x: Tensor, present: Tensor) -> Tensor:
    """Mean over the positions that are present.

    Args:
        x: (batch, length, width).
        present: (batch, length) bool.

    Returns:
        (batch, width); zeros where nothing is present. The published mean counts padding too; this one doesn't.
    """
    weights = present.to(x.dtype)
    return torch.einsum("blw,bl->bw", x, weights) / weights.sum(dim=1, keepdim=True).clamp(min=1)


class Encoder(nn.Module):
    """A stack of two-sided layers over vectors, with a last norm."""

    def __init__(self, config: ModelConfig, layers: int) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(layers))
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, steps: Tensor, present: Tensor) -> Tensor:
        """Encode (batch, length, width) vectors that stand at the given 10 ms steps, (batch, length)."""
        rotation = None
        if self.config.clock:
            rotation = Rotation.of(steps, self.config.head_width // 2)
        else:
            x = x + sinusoids(torch.arange(x.shape[1], device=x.device)[None], self.config.width)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, rotation, present)
        return self.norm(x)


class MelodyEncoder(nn.Module):
    """Melody ids to one vector a 100 ms frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.melody_vocabulary_size, config.width)
        self.encoder = Encoder(config, config.melody_layers)

    def forward(self, melody: Tensor) -> Tensor:
        """(batch, frames) ids, PAD after the end, to (batch, frames, width)."""
        frames = torch.arange(melody.shape[1], device=melody.device)
        present = melody != PAD
        present[:, 0] = True  # a softmax over nothing is not a number; such a row is never heard
        return self.encoder(
            self.embedding(melody), (frames * self.config.steps_per_frame)[None].expand_as(melody), present
        )
