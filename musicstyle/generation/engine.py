"""The sampling loop: one id at a time over a key-value cache.

Variations, their guidance rows and the keys in which each is heard are one batch, in this order.

A performance is not played in one style from end to end, so its crops are heard one after the other, each for its share
of the piece: what is behind stays in the cache as it was heard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from musicstyle.errors import GenerationError
from musicstyle.generation.ensemble import Ensemble
from musicstyle.generation.habitual import Habitual
from musicstyle.generation.motivic import Motivic
from musicstyle.generation.options import ENSEMBLE, GenerationOptions
from musicstyle.generation.returning import Returns
from musicstyle.generation.rules import Grammar
from musicstyle.generation.sampling import distribution, draw
from musicstyle.generation.stepper import make_stepper
from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.music.notes import Notes
from musicstyle.music.performance import elapsed_steps, held_steps
from musicstyle.music.vocabulary import EOS, PAD

# By what is heard, (melody, style): how many times as strongly as learned a recalled key is asked for. Guidance gets in
# the way of motifs; asked for so, they come again about as often as in real playing (docs/experiments.md).
RECALL = {(True, True): 4.0, (True, False): 4.0, (False, True): 2.0, (False, False): 1.0}
NO_IDS = np.zeros(0, dtype=np.int64)


def guidance_weights(
    has_melody: bool, has_style: bool, melody_strength: float, style_strength: float
) -> dict[tuple[bool, bool], float]:
    """Rows to compute, (hears melody, hears style), and their weights, which sum to 1; first the one that hears all.

    log p = log p(both) + (m - 1) (log p(both) - log p(no melody)) + (s - 1) (log p(both) - log p(no style)).

    A strength of 0 is an absent condition. The habits of the style are taken at their word: they are exact, and add the
    same to every row.

    Source: Ho & Salimans 2022, arXiv:2207.12598, with one dial a condition.
    """
    has_melody, has_style = has_melody and melody_strength > 0, has_style and style_strength > 0
    weights = {(has_melody, has_style): 1.0}
    dials = ((has_melody, melody_strength, (False, has_style)), (has_style, style_strength, (has_melody, False)))
    for present, strength, without in dials:
        if present:
            weights[has_melody, has_style] += strength - 1
            weights[without] = weights.get(without, 0.0) - (strength - 1)
    return {row: weight for row, weight in weights.items() if weight or row == (has_melody, has_style)}


@torch.inference_mode()
def sample_ids(
    model: Autoencoder,
    melody: np.ndarray | None,
    style: Tensor | None,
    grammars: Sequence[Grammar],
    seeds: Sequence[int],
    options: GenerationOptions,
    primer: np.ndarray = NO_IDS,
    tune: Notes | None = None,
) -> Iterator[list[int]]:
    """Sample several variations in one batch, until the grammar of each says that it is over.

    Each variation draws with its own seed and hears nothing of the others: it is what it would be alone, but for the
    last bits of sums that a batch takes in another order.

    Args:
        model: In evaluation mode.
        melody: Melody ids, (frames,); None for none.
        style: Style embeddings to hear one after the other, (crops, style_width); None for none.
        grammars: One a variation; they have accepted the primer.
        seeds: One a variation.
        options: Sampling settings; their own seed is not read.
        primer: Performance ids that come before what is sampled, (ids,).
        tune: Notes that are asked for, on the time axis: where they return, what was played to them then is recalled.

    Yields:
        The next id of each variation; EOS for one that is over.

    Raises:
        GenerationError: The model answers with what is no number.
    """
    weights = guidance_weights(melody is not None, style is not None, options.melody_strength, options.style_strength)
    mix = np.array(list(weights.values()))
    settings = (float(options.temperature), options.top_k, float(options.top_p), float(options.min_p))
    ensemble = Ensemble(ENSEMBLE[: options.ensemble], len(grammars), len(weights))
    alone = Ensemble(ensemble.semitones, 1, len(weights))
    condition, which = _condition(model, melody, style, list(weights), alone)
    way = Way(len(which), grammars)
    stepper = make_stepper(model, condition, which[way.crops].ravel(), exact=options.exact)
    habitual = None if condition.habits is None else Habitual(condition.habits[which[:, 0]])
    motivic = None
    if model.config.motifs:
        hears = next(iter(weights))
        strength = RECALL[hears] * options.motif_strength
        returns = Returns.of(tune, options.motif_strength) if tune is not None and hears[0] else None
        motivic = Motivic(model.motifs.weight, strength, len(grammars), primer, returns)
    generators = [np.random.default_rng(seed) for seed in seeds]
    stepper.prefill(*alone.heard(*_begun(primer, _reach(model))))
    last = [int(primer[-1]) if len(primer) else PAD] * len(grammars)
    while (allowed := np.array([grammar.allowed() for grammar in grammars])).any():
        state = (np.array(last), np.array([g.clock for g in grammars]), np.array([g.held for g in grammars]))
        if way.goes_on(state[1]):
            stepper.hear(which[way.crops].ravel())
        logits = stepper.step(*ensemble.heard(*state))
        if not np.isfinite(logits).all():
            raise GenerationError("the model answers with what is no number; take another checkpoint or style")
        each = ensemble.mean(logits)
        if habitual is not None:
            each += habitual.says(grammars, state[2], way.crops)[:, None]  # once to all: their weights sum to 1
        if motivic is not None:
            each += motivic.says()[:, None]  # likewise
        last = [
            draw(distribution(rows, mix, may, *settings), generator.random()) if may.any() else EOS
            for rows, may, generator in zip(each, allowed, generators, strict=True)
        ]
        for grammar, event_id in zip(grammars, last, strict=True):
            grammar.accept(event_id)
        if motivic is not None:
            motivic.accept(last)
        yield last


def _begun(primer: np.ndarray, reach: int) -> list[np.ndarray]:
    """What goes into the cache before the loop: PAD and the primer, but for its last id, which the first step takes.

    Returns:
        Of the last `reach` of them the ids, (1, n), the clock after each, (1, n), and the keys held then, (1, n, 88).
    """
    before = np.append(PAD, primer)[:-1]
    return [values[None, -reach:] for values in (before, elapsed_steps(before), held_steps(before))]


def _reach(model: Autoencoder) -> int:
    """How many of the last ids can tell the next: a window in each layer."""
    return model.config.decoder_layers * model.config.window


class Way:
    """How far each variation has come on its way through the crops of a style.

    Attributes:
        crops: Which one each hears, (variations,).
    """

    def __init__(self, count: int, grammars: Sequence[Grammar]) -> None:
        """Begin where the grammars stand, all at one place; each of `count` crops gets its share of what is left."""
        self._count, self._begin = count, grammars[0].clock
        self._length = max(grammars[0].end_steps - self._begin, 1)
        self.crops = np.zeros(len(grammars), np.int64)

    def goes_on(self, clock: np.ndarray) -> bool:
        """Go on to these steps, (variations,); whether any variation hears another crop there than before."""
        before = self.crops
        self.crops = np.minimum((clock - self._begin) * self._count // self._length, self._count - 1)
        return not np.array_equal(before, self.crops)


def _condition(
    model: Autoencoder,
    melody: np.ndarray | None,
    style: Tensor | None,
    hears: list[tuple[bool, bool]],
    alone: Ensemble,
) -> tuple[Condition, np.ndarray]:
    """All that one variation's rows, `alone`, hear on their way through the crops of the style.

    Returns:
        A condition with one row for all that hear the same, whenever they do; and which of its rows each row of `alone`
        hears during each crop, (crops, rows).
    """
    device, keys = next(model.parameters()).device, len(alone.semitones)
    # A row that hears no style hears the same all the way.
    rows = [(m, s, s * crop) for crop in range(1 if style is None else len(style)) for m, s in hears]
    distinct = list(dict.fromkeys(rows))
    which = np.array([[distinct.index(row) * keys + key for key in range(keys)] for row in rows])
    use_melody, use_style, crops = torch.tensor(distinct, device=device).repeat_interleave(keys, dim=0).T
    condition = model.condition(
        None if melody is None else torch.from_numpy(alone.melodies(melody)).to(device),
        None if style is None else style[crops],
        use_melody.bool(),
        use_style.bool(),
    )
    return condition, which.reshape(-1, alone.rows)
