"""The tune in time: a piece runs a little faster or slower from note to note, so that its tune sounds when it was to.

The model hears the tune in frames of 100 ms and strikes a note of it some 35 ms (standard deviation) before or after
its time: quavers limp. So wherever a note of the tune is struck, time is moved to where that note was asked for. In
between it runs evenly and takes along what is played besides: a chord stays together, and what came halfway between two
notes of the tune still does. Where the tune is silent for long, time is the model's own.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from musicstyle.music.matching import SLACK_SECONDS
from musicstyle.music.notes import Notes

REACH_SECONDS = 0.1  # a strike so near to a note of the tune plays it
FREE_SECONDS = 1.0  # in which time comes back to the model's own
SHORTEST, LONGEST = 0.25, 4.0  # seconds that one of the model's may take
_REACH = REACH_SECONDS + SLACK_SECONDS


def by_pitch(seconds: np.ndarray, pitch: np.ndarray) -> dict[int, deque[float]]:
    """When the notes of a tune were asked for, (notes,) in order, by pitch: each waits to be played."""
    waiting: dict[int, deque[float]] = {}
    for second, of in zip(seconds.tolist(), pitch.tolist(), strict=True):
        waiting.setdefault(of, deque()).append(second)
    return waiting


class Timekeeper:
    """Maps the model's time to the time at which it sounds; learned strike by strike, while the piece is written.

    A strike plays the earliest note of its pitch that still waits within REACH_SECONDS, as in
    `musicstyle.music.matching.match`, and sounds then: exactly, unless two notes of the tune less than twice that apart
    are struck too near each other or in the wrong order.
    """

    def __init__(self, asked: Notes | None, begin_seconds: float, end_seconds: float) -> None:
        """Begin where nothing has been struck.

        Args:
            asked: The tune, on the time axis of the result; None: time is the model's own.
            begin_seconds: Where the new notes begin; before it, time is the model's own.
            end_seconds: Where the last of them begin at the latest; after it, time is the model's own.
        """
        self._waiting = {} if asked is None else by_pitch(asked.start, asked.pitch)
        self._end = end_seconds
        self._last = max((starts[-1] for starts in self._waiting.values()), default=-np.inf)
        self.begin_seconds = self._reached = begin_seconds
        self._played = sorted({-1.0, 0.0, begin_seconds})  # seconds of the model's, and
        self._sounds = list(self._played)  # when they sound

    @property
    def known_seconds(self) -> float:
        """The second of the model's up to which it is known when it sounds: nothing that follows changes that."""
        if self._reached > self._last + _REACH:
            return np.inf
        return self._played[-1 if self._reached > self._played[-1] else -2]

    def reach(self, seconds: float) -> None:
        """From here on, everything is played at this second of the model's or later."""
        self._reached = seconds
        while seconds > (free := self._free()) + FREE_SECONDS:
            self._played.append(free)
            self._sounds.append(free)

    def strike(self, seconds: float, pitch: int) -> None:
        """A key goes down at this second of the model's."""
        self.reach(seconds)
        for waiting in self._waiting.values():
            while waiting and waiting[0] < seconds - _REACH:
                waiting.popleft()
        mine = self._waiting.get(pitch)
        if not mine or mine[0] > seconds + _REACH:
            return
        asked = mine.popleft()
        if seconds == self._played[-1]:  # two notes of the tune at once: what the first asks for, and near the second
            self._sounds[-1] = max(self._sounds[-1], asked - REACH_SECONDS)
        else:  # an older note that still waits may come, and would be late; or it may not
            oldest = min((waiting[0] for waiting in self._waiting.values() if waiting), default=np.inf)
            self._fix(seconds, min(asked, max(oldest + REACH_SECONDS / 2, asked - REACH_SECONDS)))

    def sounds(self, seconds: np.ndarray) -> np.ndarray:
        """The model's seconds, (n,), to those at which they sound, (n,), to the microsecond."""
        free = self._free()
        later = [free, max(free, np.max(seconds, initial=0.0)) + FREE_SECONDS]
        return np.interp(seconds, self._played + later, self._sounds + later).round(6)

    def _free(self) -> float:
        """The second at which time is the model's own again, unless a note of the tune comes before."""
        last = self._played[-1]
        return self._end if last < self._end < last + FREE_SECONDS else last + FREE_SECONDS

    def _fix(self, played: float, sounds: float) -> None:
        """Let time pass evenly from the last fixed second to this one, and neither stand still nor leap.

        Nor may it pass the end before the model does: there it is the model's own again, and would run back.
        """
        left = self._end - self._played[-1]
        shortest = min(SHORTEST, (self._end - self._sounds[-1]) / left) if left > 0 else SHORTEST
        passed = played - self._played[-1]
        earliest, latest = (self._sounds[-1] + each * passed for each in (shortest, LONGEST))
        self._played.append(played)
        self._sounds.append(min(max(sounds, earliest), latest))


def in_time(notes: Notes, keeper: Timekeeper) -> Notes:
    """Notes as the model played them, moved so that the tune sounds when it was asked; `keeper` is a fresh one."""
    new = notes.start >= keeper.begin_seconds
    for seconds, pitch in zip(notes.start[new].tolist(), notes.pitch[new].tolist(), strict=True):
        keeper.strike(seconds, pitch)
    return Notes.from_arrays(keeper.sounds(notes.start), keeper.sounds(notes.end), notes.pitch, notes.velocity)
