"""The causal decoder: from ids so far and a memory to logits of the next id."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musicstyle.model.attention import KeyValueCache, Memory, Rotation
from musicstyle.model.config import ModelConfig
from musicstyle.model.layers import DecoderLayer, sinusoids
from musicstyle.model.relative import silence


class DecoderCache:
    """What the decoder keeps between calls: keys and values of its last tokens, and those of the memory."""

    def __init__(self, config: ModelConfig, batch: int, device: torch.device) -> None:
        c = config
        self.layers = [KeyValueCache(batch, c.heads, c.window, c.head_width, device) for _ in range(c.decoder_layers)]
        self.heard: list[tuple[Tensor, Tensor] | None] | None = None
        self.position = 0


class Decoder(nn.Module):
    """A stack of causal layers and the vocabulary head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary_size)
        self.dropout = nn.Dropout(config.dropout)

    @property
    def stack(self) -> list[DecoderLayer]:
        """The layers, as what they are."""
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def listen(self, memory: Memory | None) -> list[tuple[Tensor, Tensor] | None]:
        """Keys and values of the memory for each layer; None where a layer hears nothing."""
        if memory is None:
            return [None] * len(self.layers)
        return [layer.cross.listen(memory, self.config.clock) for layer in self.stack if layer.cross is not None]

    def forward(self, x: Tensor, clock: Tensor, memory: Memory | None, cache: DecoderCache | None = None) -> Tensor:
        """Logits of the id that follows each position.

        Args:
            x: Input vectors, (batch, length, width).
            clock: Elapsed 10 ms steps at each position, (batch, length).
            memory: What to listen to; None for the unconditional baseline.
            cache: Of the positions before; filled in place.

        Returns:
            (batch, length, vocabulary_size).
        """
        rotation = None
        first = cache.position if cache is not None else 0
        if self.config.clock:
            rotation = Rotation.of(clock, self.config.head_width // 2)
        else:
            index = torch.arange(first, first + x.shape[1], device=x.device)
            x = x + sinusoids(index[None], self.config.width)
        heard = cache.heard if cache is not None else None
        if heard is None:
            heard = self.listen(memory)
        silent = None if memory is None else silence(memory.audible(clock, self.config.memory_window_steps))
        x = self.dropout(x)
        for i, layer in enumerate(self.layers):
            x = layer(x, rotation, heard[i], silent, cache.layers[i] if cache is not None else None)
        if cache is not None:
            cache.heard, cache.position = heard, first + x.shape[1]
        return self.head(self.norm(x))
