"""Play key events while they are being made: one thread writes ahead, the other plays in time.

A playing that Ctrl-C ends is ended in order: the writing stops, every key is let go, and how far it was heard is told.
Where writing is slower than playing, the music waits and goes on in rhythm; nothing is skipped.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from musicstyle.generation.streaming import KeyEvent, Stream

LEAD_SECONDS = 0.5  # of music written before the first note is played
LATE_SECONDS = 0.03  # a delay that is heard; a smaller one is caught up
_POLL_SECONDS = 0.1


class Keys(Protocol):
    """Something with keys that sounds."""

    def strike(self, pitch: int, velocity: int) -> None:
        """Press a key, velocity 1..127."""

    def release(self, pitch: int) -> None:
        """Let go of a key."""

    def close(self) -> None:
        """Be silent and give back what was taken."""


@dataclass(frozen=True)
class Heard:
    """How a playing went.

    Attributes:
        until_seconds: How far it was heard, on the time axis of the stream's result.
        stopped: Whether Ctrl-C ended it.
        latency_seconds: From the call to the first note.
        waited_seconds: How long the music had to wait for notes to be written.
    """

    until_seconds: float
    stopped: bool
    latency_seconds: float
    waited_seconds: float


class _Writer(threading.Thread):
    """Iterates a stream into a queue; what it raises is raised where the queue is read. None ends it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.events: queue.Queue[KeyEvent | BaseException | None] = queue.Queue()
        self.reached_seconds = stream.begin_seconds

    def run(self) -> None:
        try:
            for event in self.stream:
                self.reached_seconds = event.seconds
                self.events.put(event)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that plays
            self.events.put(error)
        self.events.put(None)

    def next(self) -> KeyEvent | None:
        """Wait for the next event; None after the last."""
        while True:
            try:
                event = self.events.get(timeout=_POLL_SECONDS)  # in slices, so that Ctrl-C is heard on every system
            except queue.Empty:
                continue
            if isinstance(event, BaseException):
                raise event
            return event


class _Player:
    """Strikes keys in time. A late event moves the beginning, so that what follows keeps its rhythm."""

    def __init__(self, keys: Keys, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self.keys, self.now, self.sleep = keys, now, sleep
        self.zero: float | None = None  # when second 0 of the stream is played
        self.waited_seconds = 0.0
        self.down: set[int] = set()

    def play(self, event: KeyEvent) -> None:
        """Wait until it is time, then strike or release the key."""
        if self.zero is None:
            self.zero = self.now() - event.seconds
        early = self.zero + event.seconds - self.now()
        if early > 0:
            self.sleep(early)
        elif early < -LATE_SECONDS:
            self.zero -= early
            self.waited_seconds -= early
        if event.velocity:
            self.down.add(event.pitch)
            self.keys.strike(event.pitch, event.velocity)
        else:
            self.down.discard(event.pitch)
            self.keys.release(event.pitch)

    def reached(self) -> float:
        return 0.0 if self.zero is None else self.now() - self.zero

    def let_go(self) -> None:
        for pitch in sorted(self.down):
            self.keys.release(pitch)
        self.down.clear()


def play(
    stream: Stream, keys: Keys, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Heard:
    """Play a stream to its end or until Ctrl-C. The keys are closed in any case.

    Args:
        stream: Not yet iterated; afterwards `stream.result(heard.until_seconds)` is what was heard.
        keys: What sounds.
        now: A clock, seconds.
        sleep: Waits so many seconds.

    Raises:
        GenerationError: The stream's.
    """
    began = now()
    writer, player = _Writer(stream), _Player(keys, now, sleep)
    latency, last, stopped = 0.0, stream.begin_seconds, False
    writer.start()
    try:
        while writer.is_alive() and writer.reached_seconds < stream.begin_seconds + LEAD_SECONDS:
            sleep(0.01)
        while (event := writer.next()) is not None:
            if player.zero is None:
                latency = now() - began
            player.play(event)
            last = event.seconds
    except KeyboardInterrupt:
        stopped = True
        last = max(last, min(player.reached(), writer.reached_seconds))
    finally:
        stream.stop()
        try:  # before the writer ends, which may take as long as a prefill
            player.let_go()
        finally:
            keys.close()
        writer.join()
    return Heard(last, stopped, latency, player.waited_seconds)
