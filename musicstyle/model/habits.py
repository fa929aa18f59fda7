"""What a performance's habits say of the next id, beside the decoder: a direct way from the style to the logits.

Hidden vectors of a few hundred numbers do not carry how often each interval, wait or length comes; a table does. As a
cache language model mixes in what a text has said before, logits are moved by how much oftener than usual the
performance goes on in each way.

Source: Kuhn & De Mori 1990 (cache), log-linear as Klakow 1998.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANCES = 100  # so many chances a performance is thought to have taken as usual, beside its own


class Habits(nn.Module):
    """How much oftener than usual a performance does what, and what that is worth.

    Attributes:
        usual: Logarithm of how often each way is taken of its chances in the training data, (habits,); `learn_usual`.
        weight: What each is worth, (habits,).
    """

    usual: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("usual", torch.zeros(count))
        self.weight = nn.Parameter(torch.empty(count))

    @torch.no_grad()
    def learn_usual(self, habits: Tensor) -> None:
        """Take what is usual from counts and chances of much playing, (2, habits)."""
        counts, chances = habits.to(self.usual)
        self.usual.copy_(((counts + 0.5) / (chances + 1)).log())

    def forward(self, habits: Tensor) -> Tensor:
        """How much oftener than usual: logarithms of ratios.

        Args:
            habits: Counts and chances of performances, (batch, 2, habits).

        Returns:
            (batch, habits), 0 where nothing is known.
        """
        counts, chances = habits.unbind(dim=1)
        return torch.log((counts + CHANCES * self.usual.exp()) / (chances + CHANCES)) - self.usual

    def worth(self, ratios: Tensor) -> Tensor:
        """What each habit adds to logits: ratios, (batch, habits), to (batch, habits + 1), the last one nothing."""
        return F.pad(ratios * self.weight, (0, 1))


def said(worth: Tensor, places: Tensor, everywhere: Tensor) -> Tensor:
    """What is added to the logits at each place.

    Args:
        worth: Of `Habits.worth`, (batch, habits + 1).
        places: Number of the habit that speaks there for each id, (batch, length, ids).
        everywhere: Of the one that does so beside it, wherever it is, (batch, ids).

    Returns:
        (batch, length, ids).
    """
    return looked_up(worth, places) + worth.gather(1, everywhere.long())[:, None]


def looked_up(worth: Tensor, numbers: Tensor) -> Tensor:
    """What each is worth, (batch, count), by number, (batch, ...): of the latter's shape."""
    return worth.gather(1, numbers.flatten(1).long()).view(numbers.shape)
