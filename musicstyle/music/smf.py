"""The bytes of a Standard MIDI File: are they whole, how long is a tick, which text do they carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from musicstyle.errors import MidiError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_HEADER_BYTES = 14
_ANY_DIVISION = (480).to_bytes(2)
_DEFAULT_MICROSECONDS_PER_QUARTER = 500_000
_MICROSECONDS = 1_000_000
_TEXT, _TRACK_NAME = 0x01, 0x03  # kinds of meta events
# SMPTE frame rates, as seconds a frame: a fraction.
_SMPTE_SECONDS_PER_FRAME = {24: (1, 24), 25: (1, 25), 29: (1001, 30_000), 30: (1, 30)}


def begins_as_midi(data: bytes) -> bool:
    """Whether bytes begin as those of a MIDI file do, in a RIFF wrapper or without one."""
    return data.startswith(b"MThd") or _is_wrapped(data)


def check_and_unwrap(path: str | os.PathLike[str], data: bytes) -> bytes:
    """The bytes of the MIDI file in `data`, out of a RIFF wrapper if there is one, known to be whole.

    Raises:
        MidiError: not MIDI, or cut short: a chunk that ends behind the file, or fewer tracks than announced.
    """
    if _is_wrapped(data):
        data = data[20:]
    if not data.startswith(b"MThd"):
        raise MidiError(path, "is not a MIDI file (does not begin with MThd)")
    if len(data) < _HEADER_BYTES:
        raise MidiError(path, "is cut short inside its header")
    announced = int.from_bytes(data[10:12])
    found = sum(1 for kind, _, _ in _chunks(path, data) if kind == b"MTrk")
    if not announced:
        raise MidiError(path, "announces no tracks")
    if found < announced:
        raise MidiError(path, f"is cut short: it announces {announced} tracks and holds {found}")
    _check_division(path, data)
    return data


@dataclass(frozen=True)
class TickClock:
    """Ticks -> seconds, in integers until one last division.

    Attributes:
        ticks: Where each tempo begins, (tempos,) int64, the first 0.
        rates: Units a tick from there on, (tempos,) int64.
        elapsed: Units elapsed at those ticks, (tempos,) int64.
        units_per_second: How many units make a second.
    """

    ticks: np.ndarray
    rates: np.ndarray
    elapsed: np.ndarray
    units_per_second: int

    @classmethod
    def of(cls, division: int, tempos: np.ndarray) -> TickClock:
        """The clock of a file from its division and its tempos: ticks, microseconds a quarter, (t, 2), in order."""
        if division < 0:  # SMPTE: tempo events mean nothing
            seconds, frames = _SMPTE_SECONDS_PER_FRAME[-(division >> 8)]
            return cls._from_tempos(np.zeros(1, np.int64), np.array([seconds]), frames * (division & 0xFF))
        ticks, rates = tempos.T
        last = np.append(np.diff(ticks) > 0, True)[: len(ticks)]  # of several tempos in one tick the last counts
        ticks, rates = ticks[last], rates[last]
        if not len(ticks) or ticks[0] > 0:
            ticks, rates = np.append(0, ticks), np.append(_DEFAULT_MICROSECONDS_PER_QUARTER, rates)
        return cls._from_tempos(ticks, rates, division * _MICROSECONDS)

    def seconds(self, ticks: np.ndarray) -> np.ndarray:
        """Times of ticks, (n,) int64 -> (n,) float64."""
        index = np.searchsorted(self.ticks, ticks, side="right") - 1
        return (self.elapsed[index] + (ticks - self.ticks[index]) * self.rates[index]) / self.units_per_second

    def nearest_ticks(self, seconds: np.ndarray) -> np.ndarray:
        """Ticks of times, (n,) float64 -> (n,) int64."""
        units = seconds * self.units_per_second
        index = np.searchsorted(self.elapsed, units, side="right") - 1
        return self.ticks[index] + np.floor((units - self.elapsed[index]) / self.rates[index] + 0.5).astype(np.int64)

    @classmethod
    def _from_tempos(cls, ticks: np.ndarray, rates: np.ndarray, units_per_second: int) -> TickClock:
        elapsed = np.append(0, np.cumsum(np.diff(ticks) * rates[:-1]))
        return cls(ticks, rates.astype(np.int64), elapsed.astype(np.int64), units_per_second)


def find_text(data: bytes) -> tuple[str, ...]:
    """Every text event of a whole file, track by track, as `decoded` reads it. What cannot be walked has none."""
    return tuple(map(decoded, _meta_events(data, _TEXT)))


def find_names(data: bytes) -> tuple[bytes, ...]:
    """Every name of a track of a whole file."""
    return tuple(_meta_events(data, _TRACK_NAME))


def decoded(raw: bytes) -> str:
    """Bytes of unknown encoding as text: UTF-8, or else Windows-1252, which is Latin-1 where that has letters."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def with_ticks_a_quarter(data: bytes) -> bytes:
    """The same events in a file whose ticks are parts of a quarter, for readers that refuse SMPTE time."""
    return data if division_of(data) > 0 else data[:12] + _ANY_DIVISION + data[_HEADER_BYTES:]


def _is_wrapped(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:16] == b"RMIDdata"


def _chunks(path: str | os.PathLike[str], data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte and end of each chunk behind the header, as far as whole chunks reach.

    Raises:
        MidiError: a track chunk that ends behind the file.
    """
    place = 8 + int.from_bytes(data[4:8])
    while place + 8 <= len(data):
        kind, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8])
        begin, place = place + 8, place + 8 + length
        if place > len(data):
            if kind == b"MTrk":
                missing = place - len(data)
                raise MidiError(path, f"is cut short: the last {missing} of {length} bytes of a track are missing")
            return  # rubbish behind the tracks
        yield kind, begin, place


def division_of(data: bytes) -> int:
    """Ticks a quarter; or, negative, minus the SMPTE frame rate in the high byte and ticks a frame in the low one."""
    return int.from_bytes(data[12:14], signed=True)


def _check_division(path: str | os.PathLike[str], data: bytes) -> None:
    division = division_of(data)
    if division == 0 or (division < 0 and division & 0xFF == 0):
        raise MidiError(path, "says that a beat has 0 ticks")
    if division < 0 and -(division >> 8) not in _SMPTE_SECONDS_PER_FRAME:
        raise MidiError(path, f"has an unknown SMPTE frame rate, {-(division >> 8)}; known are 24, 25, 29 and 30")


def _meta_events(data: bytes, kind: int) -> Iterator[bytes]:
    """What the meta events of a kind hold, track by track."""
    for chunk, begin, end in _chunks("", data):
        if chunk == b"MTrk":
            yield from _of_track(data[begin:end], kind)


def _of_track(track: bytes, kind: int) -> Iterator[bytes]:
    """The meta events of a kind in one track's bytes, up to where they stop making sense."""
    place, status = 0, 0
    try:
        while place < len(track):
            _, place = _variable_length(track, place)
            if track[place] >= 0x80:
                status, place = track[place], place + 1
            if status == 0xFF:
                found = track[place]
                length, place = _variable_length(track, place + 1)
                if found == kind:
                    yield track[place : place + length]
                place += length
            elif status in (0xF0, 0xF7):
                length, place = _variable_length(track, place)
                place += length
            else:
                place += 1 if 0xC0 <= status < 0xE0 else 2
    except IndexError:
        return


def _variable_length(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place behind it."""
    value = 0
    while True:
        byte, place = data[place], place + 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place
