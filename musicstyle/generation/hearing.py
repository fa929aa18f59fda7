"""Performances -> what the model hears of their style, and how much of it is known."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from musicstyle.generation.performances import Performances
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.music.habits import habits
from musicstyle.music.notes import Notes
from musicstyle.music.performance import elapsed_steps, encode

STYLE_CROPS = 8  # of a performance, spread evenly and heard one after the other
MOST_KNOWN = 1024  # performances; each some 30 KB

Hearing = Callable[[int, int], None]
Known = dict[bytes, tuple[Tensor, float]]  # by a digest of the notes: embeddings, the share of a crop that they lack


@dataclass(frozen=True)
class HeardStyle:
    """A style as the model hears it, and how much is known of what it asks for.

    What is counted in a few notes is those notes more than a style, and what a style far from all that was learned from
    asks for is not known either; exaggerated, both cost the tune and gain no style.

    Attributes:
        performances: Whose it is.
        embeddings: To be heard one after the other, (STYLE_CROPS, style_width), as near to what was learned from as
            `Truncation` takes them.
        known: The share of it that is known, 0..1, by what limits it: that the performances are "short", or "far" from
            what was learned from.
    """

    performances: Performances
    embeddings: Tensor
    known: dict[str, float]

    @property
    def lacks(self) -> str:
        """Why not all is known; empty if all is."""
        return " and ".join(why for why, share in self.known.items() if share < 1)

    def strength(self, asked: float) -> float:
        """Guidance to use: as strong as asked for, but what goes beyond 1 only by the share that is known."""
        return 1 + (asked - 1) * math.prod(self.known.values()) if asked > 1 else asked


def hear(
    model: Autoencoder,
    performances: Performances,
    tokens: int,
    progress: Hearing | None = None,
    known: Known | None = None,
) -> HeardStyle:
    """Hear crops of each performance; of several, the mean of their first crops, of their second, and so on.

    Args:
        model: It hears styles.
        performances: Of any length.
        tokens: Length of the crops that the weights learned from.
        progress: Called with performances heard and how many there are.
        known: What these weights heard before, with so many tokens; what is new is added.
    """
    embeddings, lacking = [], []
    for notes in performances.notes:
        embedding, lacks = _heard(model, notes, tokens, {} if known is None else known)
        embeddings.append(embedding)
        lacking.append(lacks)
        if progress is not None:
            progress(len(lacking), len(performances.notes))
    near, left = model.truncation(performances.mean(embeddings))
    return HeardStyle(performances, near, {"short": 1 - performances.mean(lacking), "far": float(left.mean())})


def _heard(model: Autoencoder, notes: Notes, tokens: int, known: Known) -> tuple[Tensor, float]:
    """Embeddings to be heard one after the other, (STYLE_CROPS, style_width), and the share of a crop that is missing.

    Of a performance that gives fewer crops, each stands there several times.
    """
    key = hashlib.blake2b(b"".join(column.tobytes() for column in notes.columns()), digest_size=16).digest()
    if (found := known.get(key)) is None:
        crops = style_crops(notes, tokens)
        embedding = embed(model, crops)[torch.arange(STYLE_CROPS) * len(crops) // STYLE_CROPS]
        found = embedding, max(0.0, 1 - len(crops[0]) / tokens)
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[key] = found
    return found


def style_crops(notes: Notes, tokens: int) -> list[np.ndarray]:
    """Ids of up to STYLE_CROPS crops of a performance, each up to `tokens` long, spread evenly over it."""
    ids = encode(notes.from_zero())
    if len(ids) <= tokens:
        return [ids]
    per_note = len(ids) / len(notes)
    room = min(max(1, len(notes) - int(tokens / per_note)), len(notes) - 1)
    starts = np.unique(np.linspace(0, room, STYLE_CROPS).astype(int))
    parts = (notes[first : first + tokens] for first in starts)
    return [encode(part.from_zero())[:tokens] for part in parts]


def embed(model: Autoencoder, crops: Sequence[np.ndarray]) -> Tensor:
    """Style embeddings of performance ids, (ids,) each and none empty: (crops, style_width)."""
    length = max(map(len, crops))
    ids = np.zeros((len(crops), length), dtype=np.int64)
    clock = np.zeros_like(ids)
    for row, crop in enumerate(crops):
        ids[row, : len(crop)], clock[row, : len(crop)] = crop, elapsed_steps(crop)
    counted = np.stack([habits(row) for row in ids])
    device = next(model.parameters()).device
    with torch.inference_mode():
        return model.encode_style(*(torch.from_numpy(part).to(device) for part in (ids, clock, counted)))
