"""Models for tests: small, all sizes different, and with something to say from every part."""

from __future__ import annotations

import torch

from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import ModelConfig

SMALL = ModelConfig(
    width=20, heads=3, head_width=8, feedforward_width=28, decoder_layers=2, style_layers=1, melody_layers=1, window=24,
    max_distance=10, encoder_max_distance=5, memory_window_steps=60, melody_frames_ahead=4, melody_frames_behind=1,
)  # fmt: skip


def awake(config: ModelConfig = SMALL, *, seed: int = 3, deviation: float = 0.3) -> Autoencoder:
    """A model whose branches all speak: the true initialisation begins with silent ones."""
    torch.manual_seed(seed)
    model = Autoencoder(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, deviation)
    return model.eval()
