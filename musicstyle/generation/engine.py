"""The sampling loop: one id at a time over a key-value cache, with guidance rows in one batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.rules import Grammar
from musicstyle.generation.sampling import draw, probabilities
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.decoder import DecoderCache
from musicstyle.music.vocabulary import EOS, PAD


def guidance_weights(
    has_melody: bool, has_style: bool, melody_strength: float, style_strength: float
) -> dict[tuple[bool, bool], float]:
    """Rows to compute, (hears melody, hears style), and their weights, which sum to 1.

    log p = log p(both) + (m - 1) (log p(both) - log p(no melody)) + (s - 1) (log p(both) - log p(no style)).

    Source: Ho & Salimans 2022, arXiv:2207.12598, with one dial a condition.
    """
    weights = {(has_melody, has_style): 1.0}
    dials = ((has_melody, melody_strength, (False, has_style)), (has_style, style_strength, (has_melody, False)))
    for present, strength, without in dials:
        if present:
            weights[has_melody, has_style] += strength - 1
            weights[without] = weights.get(without, 0.0) - (strength - 1)
    return {row: weight for row, weight in weights.items() if weight}


@torch.inference_mode()
def generate_ids(
    model: Autoencoder,
    melody: Tensor | None,
    style: Tensor | None,
    grammar: Grammar,
    options: GenerationOptions,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Sample performance ids until the grammar says the piece is over.

    Args:
        model: In evaluation mode.
        melody: Melody ids, (frames,); None for none.
        style: Style embedding, (width,); None for none.
        grammar: Its clock decides the length.
        options: Sampling settings.
        progress: Called after each id with the elapsed 10 ms steps and the number of ids.

    Returns:
        (ids,) int64, EOS left out.
    """
    device = next(model.parameters()).device
    weights = guidance_weights(melody is not None, style is not None, options.melody_strength, options.style_strength)
    rows = len(weights)
    use_melody = torch.tensor([row[0] for row in weights], device=device)
    use_style = torch.tensor([row[1] for row in weights], device=device)
    mix = torch.tensor(list(weights.values()), device=device)[:, None]
    condition = model.condition(
        None if melody is None else melody.expand(rows, -1),
        None if style is None else style.expand(rows, -1),
        use_melody,
        use_style,
    )
    cache = DecoderCache(model.config, rows, device)
    generator = torch.Generator().manual_seed(options.seed)
    ids: list[int] = []
    last = PAD
    while (allowed := grammar.allowed()).any():
        inputs = torch.full((rows, 1), last, device=device)
        clock = torch.full((rows, 1), grammar.clock, device=device)
        held = torch.from_numpy(grammar.held).to(device).expand(rows, 1, -1)
        logits = model.decode(inputs, clock, held, condition, cache)[:, -1].float()
        guided = (mix * logits.log_softmax(dim=-1)).sum(dim=0).cpu()
        guided.masked_fill_(~torch.from_numpy(allowed), float("-inf"))
        last = draw(probabilities(guided, options.temperature, options.top_k, options.top_p), generator)
        grammar.accept(last)
        if last != EOS:
            ids.append(last)
        if progress is not None:
            progress(grammar.clock, len(ids))
    return np.asarray(ids, dtype=np.int64)
