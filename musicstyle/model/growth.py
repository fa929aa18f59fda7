"""How a model takes over what a smaller one has learned: deeper, wider, over a longer window.

What the smaller one could hear is heard as before; what is new begins silent, or as copies that differ a little.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.layers import BRANCH_ENDS

LAYERS = "decoder.layers."
FARTHEST = 64  # rows of a relative table
OF_NO_WIDTH = ("habits.", "motifs.")  # one number a habit or an opinion, whatever the width
TABLES_OF_IDS = ("embedding.weight", "phase.weight", "aligned.weight")
# Maps of a hidden vector to something else; "style_input" maps one to another.
READERS = ("project_in", "project_query", "project_memory", "widen", "head", "style_head", "style_input")


def grown(weights: dict[str, Tensor], model: Autoencoder) -> dict[str, Tensor]:
    """The weights of a smaller model as those of a larger one; what does not fit is left as it is.

    Args:
        weights: Of a model with fewer decoder layers or feed-forward units, a shorter window, or hidden vectors a whole
            number of times as short (with a clock only: sinusoids of the index would not repeat as dimensions do).
        model: The larger one, fresh: what is new begins as its own parameters are.
    """
    fresh = model.state_dict()
    larger = _deeper(weights, len(model.decoder.layers))
    width = len(larger.get("decoder.norm.weight", ()))
    times = model.config.width // width if width and model.config.width % width == 0 else 0
    for name, value in larger.items():
        if name not in fresh or name.startswith(OF_NO_WIDTH) or not _no_larger(value, fresh[name]):
            continue
        if name.endswith(".table"):
            larger[name] = _longer(value, fresh[name]) if name.startswith(LAYERS) else value
        elif times == 1 or (times and model.config.clock):
            larger[name] = _wider(name, value, fresh[name], width, times)
    return larger


def _no_larger(value: Tensor, fresh: Tensor) -> bool:
    return value.ndim == fresh.ndim and all(old <= new for old, new in zip(value.shape, fresh.shape, strict=True))


def _deeper(weights: dict[str, Tensor], after: int) -> dict[str, Tensor]:
    """Layers are repeated in place, spread over the stack; what a repeated layer adds begins at zero."""
    deeper = {name: value for name, value in weights.items() if not name.startswith(LAYERS)}
    before = len({name.removeprefix(LAYERS).split(".")[0] for name in weights if name.startswith(LAYERS)})
    after, previous = max(before, after), -1
    for number in range(after):
        source = (number * before + before // 2) // after
        for name, value in weights.items():
            if name.startswith(f"{LAYERS}{source}."):
                part = name.removeprefix(f"{LAYERS}{source}.")
                silent = source == previous and part.rsplit(".", 1)[0].endswith(BRANCH_ENDS)
                deeper[f"{LAYERS}{number}.{part}"] = torch.zeros_like(value) if silent else value
        previous = source
    return deeper


def _longer(table: Tensor, fresh: Tensor) -> Tensor:
    """New rows are the mean of the FARTHEST farthest, so that beyond the old window is heard as near its end."""
    missing = fresh.shape[1] - table.shape[1]  # the farthest row is the first
    return torch.cat((table[:, :FARTHEST].mean(dim=1, keepdim=True).expand(-1, missing, -1), table), dim=1)


def _wider(name: str, value: Tensor, fresh: Tensor, width: int, times: int) -> Tensor:
    """A parameter for hidden vectors that repeat their `width` dimensions, and for more feed-forward units.

    Source: Chen et al. 2016, arXiv:1511.05641 (Net2Net).
    """
    *_, layer, kind = ("", *name.split("."))
    if layer in READERS and kind == "weight":
        value = _shared(value, fresh, width, times)
    if layer == "narrow" and kind == "weight":
        value = F.pad(value, (0, fresh.shape[1] - value.shape[1]))  # new units are silent
    if layer == "widen":
        return torch.cat((value, fresh[len(value) :]))
    if name.endswith(TABLES_OF_IDS):
        return value.repeat(1, times)
    if layer == "style_input" or layer not in READERS:  # which both reads and gives
        return value.repeat(times, *([1] * (value.ndim - 1)))
    return value


def _shared(value: Tensor, fresh: Tensor, width: int, times: int) -> Tensor:
    """What reads a hidden vector: a dimension's weight is shared among its repetitions, each a little different.

    The differences, without which repetitions would never part, are a fresh parameter's and add up to zero.
    """
    vectors = value.shape[1] // width  # a memory of "tile" has two side by side
    noise = fresh[: len(value)].reshape(len(value), vectors, times, width)
    share = value.reshape(len(value), vectors, 1, width) / times
    return (share + (noise - noise.mean(dim=2, keepdim=True))).flatten(1)  # exactly `value` where nothing is repeated
