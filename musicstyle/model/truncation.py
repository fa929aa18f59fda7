"""What styles the weights have learned from, and how one from farther out is heard.

A decoder knows what to do near the styles it has learned from. What a sequencer wrote lies far outside of them, and
guidance goes further still: the decoder, asked for what it has never heard, presses all keys. So a style embedding is
taken back towards the mean of those learned from until it is no farther out than nine of ten of them are.

Source: the truncation trick (Marchesi 2017, arXiv:1706.00082; Karras et al. 2019, arXiv:1812.04948), for far ones only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FARTHEST = 1.2  # deviations, root mean square over the dimensions
MOMENTUM = 0.01  # what a training step's styles weigh in what is usual


class Truncation(nn.Module):
    """Mean and variance of the style embeddings that were learned from; all 0 where none was yet.

    Attributes:
        mean: (width,).
        variance: (width,).
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.zeros(width))

    @torch.no_grad()
    def learn(self, styles: Tensor) -> None:
        """Take in a training step's style embeddings, (batch, width): a moving mean, and a variance about it."""
        styles = styles.float()
        moved = styles.mean(dim=0) - self.mean
        spread = styles.var(dim=0, correction=0)
        part = torch.where(self.mean.any(), MOMENTUM, 1.0)  # asked where it is, so that no CPU waits for a GPU
        self.variance.copy_((1 - part) * (self.variance + part * moved**2) + part * spread)
        self.mean.add_(part * moved)

    def forward(self, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Take styles back to FARTHEST from the mean, those that are farther.

        Args:
            styles: Style embeddings, (crops, width or more); what lies beyond the width stays.

        Returns:
            Of the same shape; and what share of its way from the mean each one keeps, (crops,): 1 if it is near enough.
        """
        if not self.variance.any():
            return styles, torch.ones_like(styles[:, 0])
        width = len(self.mean)
        way = styles[:, :width] - self.mean
        distance = (way**2 / self.variance.clamp(min=1e-12)).mean(dim=1).sqrt()
        left = (FARTHEST / distance).clamp(max=1.0)
        return torch.cat((self.mean + way * left[:, None], styles[:, width:]), dim=1), left
