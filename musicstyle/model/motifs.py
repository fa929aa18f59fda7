"""What the piece itself says of the next id, beside the decoder: what came after the same motif the last time.

A decoder as small as ours does not learn to look up what followed the last notes when they were played before, far back
and in another key; a search does it exactly. What is found moves the logits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicstyle.model.habits import looked_up


class Motifs(nn.Module):
    """What each opinion is worth, in nats.

    Attributes:
        weight: (opinions,).
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count))

    def forward(self, recalled: Tensor) -> Tensor:
        """What is added to the logits at each place.

        Args:
            recalled: The opinion of each voice of each id, of musicstyle.music.motifs, (batch, voices, length, ids).

        Returns:
            (batch, length, ids).
        """
        worth = F.pad(self.weight, (0, 1)).expand(len(recalled), -1)  # the last one says nothing
        return looked_up(worth, recalled).sum(dim=1)
