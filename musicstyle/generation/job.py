"""One generation with everything it needs, ready to be sampled with any seed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from musicstyle.errors import GenerationError
from musicstyle.generation.engine import sample_ids
from musicstyle.generation.hearing import HeardStyle
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.plan import Plan
from musicstyle.generation.ranking import measure
from musicstyle.generation.result import Generation
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.music.vocabulary import EOS, STEPS_PER_SECOND

TRIES = 8  # rounds of seeds before it is given up

Progress = Callable[[float, float, int], None]


@dataclass(frozen=True)
class Job:
    """What to play and with which model.

    Attributes:
        model: In evaluation mode.
        plan: What is to be played.
        style: None for none.
        options: Sampling settings.
        settings: What the result's file will say, without the seed that gave it.
        progress: Called with seconds of music done, seconds in all, and ids so far.
        began: When the work began, time.monotonic().
    """

    model: Autoencoder
    plan: Plan
    style: HeardStyle | None
    options: GenerationOptions
    settings: dict[str, Any]
    progress: Progress | None = None
    began: float = field(default_factory=time.monotonic)

    def sample(self, seeds: Sequence[int]) -> Iterator[list[int]]:
        """One id of each seed's variation at a time, EOS where it is over."""
        grammars = [self.plan.grammar() for _ in seeds]
        plan, tokens = self.plan, 0
        style = None if self.style is None else self.style.embeddings
        given = (plan.melody_ids, style, grammars, seeds, self.options, plan.primer, plan.asked)
        for ids in sample_ids(self.model, *given):
            tokens += sum(event_id != EOS for event_id in ids)
            self._report(min(grammar.clock for grammar in grammars), tokens)
            yield ids

    def sample_all(self, seeds: Sequence[int]) -> list[np.ndarray]:
        """All ids of each seed's variation, EOS left out, (ids,) each."""
        sampled = np.array(list(self.sample(seeds)), dtype=np.int64).reshape(-1, len(seeds)).T
        return [ids[ids != EOS] for ids in sampled]

    def result(
        self, ids: np.ndarray, seed: int, retries: int, until_seconds: float | None = None, *, ranked: bool = False
    ) -> Generation | None:
        """What came of a seed; None if it gave no notes, or none before the cut.

        Args:
            ids: Without the primer, (ids,).
            seed: The one that gave them.
            retries: How many rounds of seeds before it were not enough.
            until_seconds: Where to cut, on the time axis of the result.
            ranked: Measure it.
        """
        notes, melody = self.plan.notes(ids), self.plan.melody
        begin_seconds = self.plan.primer_seconds
        if until_seconds is not None:
            notes = notes.crop(0.0, until_seconds)
            melody = None if melody is None else melody.crop(0.0, until_seconds)
        new = notes[notes.start >= begin_seconds]
        if not len(new):
            return None
        performances = None if self.style is None else self.style.performances
        measures = measure(new, self.plan.asked, performances) if ranked else None
        settings = {**self.settings, "seed": seed, "retries": retries}
        taken = time.monotonic() - self.began
        conductor = self.plan.conductor
        return Generation(notes, melody, seed, retries, len(ids), taken, settings, conductor, begin_seconds, measures)

    def nothing_to_keep(self, last_seed: int) -> GenerationError:
        """What is raised if too many seeds, up to the last one tried, gave no notes."""
        first = self.options.seed
        return GenerationError(f"too many of the seeds {first} to {last_seed} gave no notes; try other settings")

    def _report(self, steps: int, tokens: int) -> None:
        if self.progress is not None:
            total = (self.plan.end_steps - self.plan.begin_steps) / STEPS_PER_SECOND
            done = max(0.0, (steps - self.plan.begin_steps) / STEPS_PER_SECOND)
            self.progress(min(done, total), total, tokens)


def describe(options: GenerationOptions, plan: Plan) -> dict[str, Any]:
    """The options for a file's text, and what they came to."""
    moved = {"heard_transposed_by": plan.shift} if options.transpose == "auto" else {}
    begun = {"begin_seconds": plan.begin_steps / STEPS_PER_SECOND} if plan.begin_steps else {}
    on_grid = {} if plan.places is None else {"on_grid": True}
    return {**dataclasses.asdict(options), **moved, **begun, **on_grid}
