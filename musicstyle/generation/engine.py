"""The sampling loop: one id at a time over a key-value cache.

Variations, their guidance rows and the keys in which each is heard are one batch, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from musicstyle.errors import GenerationError
from musicstyle.generation.options import ENSEMBLE, GenerationOptions
from musicstyle.generation.rules import Grammar
from musicstyle.generation.sampling import distribution, draw
from musicstyle.generation.stepper import make_stepper
from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.music.performance import elapsed_steps, held_steps
from musicstyle.music.transposed import held_transposed, melody_table, performance_table
from musicstyle.music.vocabulary import EOS, PAD

NO_IDS = np.zeros(0, dtype=np.int64)


def guidance_weights(
    has_melody: bool, has_style: bool, melody_strength: float, style_strength: float
) -> dict[tuple[bool, bool], float]:
    """Rows to compute, (hears melody, hears style), and their weights, which sum to 1.

    log p = log p(both) + (m - 1) (log p(both) - log p(no melody)) + (s - 1) (log p(both) - log p(no style)).

    A strength of 0 is an absent condition.

    Source: Ho & Salimans 2022, arXiv:2207.12598, with one dial a condition.
    """
    has_melody, has_style = has_melody and melody_strength > 0, has_style and style_strength > 0
    weights = {(has_melody, has_style): 1.0}
    dials = ((has_melody, melody_strength, (False, has_style)), (has_style, style_strength, (has_melody, False)))
    for present, strength, without in dials:
        if present:
            weights[has_melody, has_style] += strength - 1
            weights[without] = weights.get(without, 0.0) - (strength - 1)
    return {row: weight for row, weight in weights.items() if weight}


@torch.inference_mode()
def sample_ids(
    model: Autoencoder,
    melody: Tensor | None,
    style: Tensor | None,
    grammars: Sequence[Grammar],
    seeds: Sequence[int],
    options: GenerationOptions,
    primer: np.ndarray = NO_IDS,
) -> Iterator[list[int]]:
    """Sample several variations in one batch, until the grammar of each says that it is over.

    Each variation draws with its own seed and hears nothing of the others: it is what it would be alone, but for the
    last bits of sums that a batch takes in another order.

    Args:
        model: In evaluation mode.
        melody: Melody ids, (frames,); None for none.
        style: Style embedding, (width,); None for none.
        grammars: One a variation; they have accepted the primer.
        seeds: One a variation.
        options: Sampling settings; their own seed is not read.
        primer: Performance ids that come before what is sampled, (ids,).

    Yields:
        The next id of each variation; EOS for one that is over.

    Raises:
        GenerationError: The model answers with what is no number.
    """
    weights = guidance_weights(melody is not None, style is not None, options.melody_strength, options.style_strength)
    mix = np.array(list(weights.values()))
    temperature = options.temperature * (options.guidance_temperature if len(weights) > 1 else 1.0)
    settings = (float(temperature), options.top_k, float(options.top_p), float(options.min_p))
    ensemble = Ensemble(ENSEMBLE[: options.ensemble], len(weights))
    condition = _condition(model, melody, style, list(weights) * len(grammars), ensemble)
    stepper = make_stepper(model, condition, len(grammars) * ensemble.rows, exact=options.exact)
    generators = [np.random.default_rng(seed) for seed in seeds]
    heard = np.append(PAD, primer)[:-1] if len(primer) else NO_IDS  # the loop puts in the last id
    begun = (heard, elapsed_steps(heard), held_steps(heard))
    stepper.prefill(*ensemble.heard(*(np.stack([values] * len(grammars)) for values in begun)))
    last = [int(primer[-1]) if len(primer) else PAD] * len(grammars)
    while (allowed := np.array([grammar.allowed() for grammar in grammars])).any():
        state = (last, [g.clock for g in grammars], [g.held for g in grammars])
        logits = stepper.step(*ensemble.heard(*map(np.array, state)))
        if not np.isfinite(logits).all():
            raise GenerationError("the model answers with what is no number; take another checkpoint or style")
        each = ensemble.mean(logits)
        last = [
            draw(distribution(each[i], mix, allowed[i], *settings), generators[i].random()) if allowed[i].any() else EOS
            for i in range(len(grammars))
        ]
        for grammar, event_id in zip(grammars, last, strict=True):
            grammar.accept(event_id)
        yield last


class Ensemble:
    """The keys in which each of a variation's guidance rows is heard, and the way back to the piece's own.

    A model that has not heard a passage in every key says a little of something else in each; their mean is nearer to
    the truth than any (docs/experiments.md).
    """

    def __init__(self, semitones: Sequence[int], guidance_rows: int) -> None:
        self.semitones, self._guidance = semitones, guidance_rows
        self._tables = np.stack([performance_table(key) for key in semitones])

    @property
    def rows(self) -> int:
        """Of one variation."""
        return self._guidance * len(self.semitones)

    def heard(self, ids: np.ndarray, clock: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The state of all rows from that of the variations: ids and clock (variations, ...), held (..., 88)."""
        tables = [performance_table(key) for key in self.semitones]
        return (
            self._rows([table[ids] for table in tables]),
            self._rows([clock] * len(tables)),
            self._rows([held_transposed(held, key) for key in self.semitones]),
        )

    def mean(self, logits: np.ndarray) -> np.ndarray:
        """Logits of all rows, (rows, ids), in the piece's own key: (variations, guidance rows, ids)."""
        each = logits.reshape(-1, self._guidance, *self._tables.shape)
        return np.take_along_axis(each, self._tables[None, None], axis=-1).mean(axis=2)

    def _rows(self, each: list[np.ndarray]) -> np.ndarray:
        in_keys = np.stack(each, axis=1)  # (variations, keys, ...)
        rows = np.repeat(in_keys[:, None], self._guidance, axis=1)
        return rows.reshape(len(in_keys) * self.rows, *in_keys.shape[2:])


def _condition(
    model: Autoencoder, melody: Tensor | None, style: Tensor | None, hears: list[tuple[bool, bool]], ensemble: Ensemble
) -> Condition:
    device = next(model.parameters()).device
    hears = [row for row in hears for _ in ensemble.semitones]
    if melody is not None:
        in_keys = [torch.from_numpy(melody_table(key).copy()).to(device)[melody] for key in ensemble.semitones]
        melody = torch.stack(in_keys).repeat(len(hears) // len(in_keys), 1)
    return model.condition(
        melody,
        None if style is None else style.expand(len(hears), -1),
        torch.tensor([row[0] for row in hears], device=device),
        torch.tensor([row[1] for row in hears], device=device),
    )
