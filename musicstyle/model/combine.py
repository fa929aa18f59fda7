"""One memory out of a melody and a style."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from musicstyle.model.config import Combination


def combine(melody: Tensor, style: Tensor, stop: Tensor | None, mode: Combination) -> Tensor:
    """Give the decoder one memory holding both the melody and the style.

    Args:
        melody: Melody encoding, (batch, frames, width).
        style: Style embedding, (batch, width).
        stop: What stands between melody and style in "concat", (width,); None in the other modes.
        mode: "sum" adds the style to every frame, "concat" appends the stop vector and the style in time, "tile" widens
            each frame with it.

    Returns:
        (batch, frames, width), (batch, frames + 2, width) or (batch, frames, 2 * width).

    Source: Choi et al. 2020, arXiv:1912.05537. Deviation: the stop vector is learned and fits any batch and width.
    """
    match mode:
        case "sum":
            return melody + style[:, None]
        case "concat":
            assert stop is not None
            return torch.cat((melody, stop.expand(len(melody), 1, -1), style[:, None]), dim=1)
        case "tile":
            return torch.cat((melody, style[:, None].expand_as(melody)), dim=-1)
        case _:
            assert_never(mode)
