"""A piece while it is being written: keys go down and up as soon as it is sure when, and nothing takes them back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import starmap

import numpy as np

from musicstyle.generation.grid import Grid
from musicstyle.generation.job import TRIES, Job
from musicstyle.generation.result import Generation
from musicstyle.generation.timing import Timekeeper
from musicstyle.music.vocabulary import (
    EOS,
    NOTE_OFF,
    NOTE_ON,
    PERFORMANCE,
    STEPS_PER_SECOND,
    TIME_SHIFT,
    VELOCITY,
    VELOCITY_BINS,
    bin_velocity,
)

_VELOCITIES: list[int] = bin_velocity(np.arange(VELOCITY_BINS + 1)).tolist()  # by bin; 0, none yet, is never heard


@dataclass(frozen=True)
class KeyEvent:
    """A key goes down or up.

    Attributes:
        seconds: When, on the time axis of the result.
        pitch: MIDI pitch.
        velocity: 1..127; 0 lets go.
    """

    seconds: float
    pitch: int
    velocity: int


class Stream:
    """Iterate it once for the key events, in order of time, while the rest is being written.

    A seed that gives no notes is followed by the next one; as it had no events, nobody hears of it.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.begin_seconds = job.plan.primer_seconds
        self._ids: list[int] = []
        self._stopped = False
        self._retries = 0
        self._written = time.monotonic()

    def __iter__(self) -> Iterator[KeyEvent]:
        """Sample.

        Raises:
            GenerationError: Every seed tried gave no notes.
        """
        for self._retries in range(TRIES):
            self._ids = []
            any_event = False
            for event in self._events():
                any_event = True
                yield event
            if any_event or self._stopped:
                return
        raise self.job.nothing_to_keep(self._seed)

    def stop(self) -> None:
        """Let the iteration end at the next id; may be called from another thread."""
        self._stopped = True

    def result(self, until_seconds: float | None = None) -> Generation | None:
        """What has been written so far, keys still down let go; None if that is nothing.

        Args:
            until_seconds: Where to cut it.
        """
        ids = np.asarray(self._ids, dtype=np.int64)
        result = self.job.result(ids, self._seed, self._retries, until_seconds)
        # Listening takes longer than writing.
        return None if result is None else replace(result, seconds_taken=self._written - self.job.began)

    @property
    def _seed(self) -> int:
        return self.job.options.seed + self._retries

    def _events(self) -> Iterator[KeyEvent]:
        """Events as they are to sound, each as soon as what follows can no longer move it."""
        keeper, grid = self.job.plan.timekeeper(), self.job.plan.grid()
        waiting: list[KeyEvent] = []
        for event in self._played():
            if event.velocity:
                keeper.strike(event.seconds, event.pitch)
            else:
                keeper.reach(event.seconds)
            waiting.append(event)
            if known := sum(event.seconds <= keeper.known_seconds for event in waiting):  # the first so many
                yield from _on_grid(_sounding(waiting[:known], keeper), grid)
                del waiting[:known]
        yield from _on_grid(_sounding(waiting, keeper), grid)
        if grid is not None:
            yield from starmap(KeyEvent, grid.ready())

    def _played(self) -> Iterator[KeyEvent]:
        """Events as the model plays them."""
        plan = self.job.plan
        grammar = plan.grammar()
        clock, velocity = grammar.clock, _VELOCITIES[grammar.velocity_bin]
        down: set[int] = set()
        for (event_id,) in self.job.sample([self._seed]):
            if event_id == EOS or self._stopped:
                break
            self._ids.append(event_id)
            self._written = time.monotonic()
            kind, value = PERFORMANCE.decode(event_id)
            if kind == TIME_SHIFT:
                clock += value
            elif kind == VELOCITY:
                velocity = _VELOCITIES[value]
            elif kind == NOTE_ON:
                down.add(value)
                yield KeyEvent(clock / STEPS_PER_SECOND, value - plan.shift, velocity)
            elif kind == NOTE_OFF:
                down.discard(value)
                yield KeyEvent(clock / STEPS_PER_SECOND, value - plan.shift, 0)
        for pitch in sorted(down):
            yield KeyEvent(clock / STEPS_PER_SECOND, pitch - plan.shift, 0)


def _sounding(played: Sequence[KeyEvent], keeper: Timekeeper) -> list[KeyEvent]:
    seconds = keeper.sounds(np.array([event.seconds for event in played])).tolist()
    return [replace(event, seconds=sounds) for event, sounds in zip(played, seconds, strict=True)]


def _on_grid(events: list[KeyEvent], grid: Grid | None) -> Iterable[KeyEvent]:
    """The events, or what is sure of a grid after them."""
    if grid is None:
        return events
    for event in events:
        grid.put((event.seconds, event.pitch, event.velocity))
    return starmap(KeyEvent, grid.ready(events[-1].seconds)) if events else []
