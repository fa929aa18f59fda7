"""MIDI bytes -> tracks of ticks. symusic reads a file in a millisecond; what it refuses, mido may forgive in a hundred.

A track here is what one channel plays with one program in one track of the file. A note-off ends the note of its pitch
that began first. Notes that are never ended are left out.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np

from musicstyle.music.conductor import Key
from musicstyle.music.smf import decoded, find_names

PEDAL_CONTROL = 64
PEDAL_DOWN = 64  # values from here up
_DRUM_CHANNEL = 9
_LAST_TICK = 2**31 - 1


@dataclass(frozen=True)
class RawTrack:
    """One instrument. Ticks from the beginning, int64.

    Attributes:
        name: The file's name for its track.
        program: General MIDI program.
        is_drum: On the percussion channel.
        notes: Columns start_ticks, end_ticks, pitch, velocity, (n, 4).
        pedal: Columns ticks, value of the sustain pedal, (m, 2), in order of time.
    """

    name: str
    program: int
    is_drum: bool
    notes: np.ndarray
    pedal: np.ndarray


@dataclass(frozen=True)
class RawPiece:
    """All instruments, and what conducts them. Ticks from the beginning, int64, in order of time.

    Attributes:
        tempos: Columns ticks, microseconds a quarter, (t, 2).
        metres: Columns ticks, beats, unit, (m, 3).
        keys: Columns ticks, sharps (flats below 0), whether minor, (k, 3).
    """

    tracks: list[RawTrack]
    tempos: np.ndarray
    metres: np.ndarray
    keys: np.ndarray


def parse(data: bytes) -> RawPiece:
    """Read the bytes of a MIDI file whose ticks are parts of a quarter.

    Raises:
        ValueError: neither reader can make sense of it; the message is symusic's, on one line.
    """
    from symusic import Score

    try:
        return _from_symusic(Score.from_midi(data), data)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()).removeprefix("MiniMidi: ").split("! ")[0]
    piece = parse_patiently(data)
    if piece is None:
        raise ValueError(reason)
    return piece


def parse_patiently(data: bytes) -> RawPiece | None:
    """Read with mido: data bytes above 127 are clipped, running status may cross a meta event. None if it fails too."""
    from mido import MidiFile

    try:
        file = MidiFile(file=BytesIO(data), clip=True)
    except Exception:  # noqa: BLE001 - mido raises anything on bytes that are no music
        return None
    conducted = _ConductorReader()
    tracks: list[RawTrack] = []
    for track in file.tracks:
        reader = _TrackReader(decoded(track.name.encode(file.charset)), conducted)
        tracks += reader.read(track)
        if reader.tick > _LAST_TICK:
            return None
    return RawPiece(tracks, *map(_by_time, conducted.tables()))


def _from_symusic(score: Any, data: bytes) -> RawPiece:
    names = {}
    if any("\N{REPLACEMENT CHARACTER}" in track.name for track in score.tracks):  # read as UTF-8, which it is not
        names = {raw.decode("utf-8", "replace"): decoded(raw) for raw in find_names(data)}
    tracks = [
        RawTrack(names.get(one.name, one.name), one.program, one.is_drum, _note_columns(one), _pedal_columns(one))
        for one in score.tracks
    ]
    return RawPiece(
        tracks,
        _columns(score.tempos, "time", "mspq"),
        _columns(score.time_signatures, "time", "numerator", "denominator"),
        _columns(score.key_signatures, "time", "key", "tonality"),
    )


def _columns(events: Any, *names: str) -> np.ndarray:
    columns = events.numpy()
    return _by_time(np.stack([columns[name].astype(np.int64) for name in names], axis=1))


def _note_columns(track: Any) -> np.ndarray:
    columns = track.notes.numpy()
    start = columns["time"].astype(np.int64)
    return np.stack((start, start + columns["duration"], columns["pitch"], columns["velocity"]), axis=1)


def _pedal_columns(track: Any) -> np.ndarray:
    columns = track.controls.numpy()
    is_pedal = columns["number"] == PEDAL_CONTROL
    return _by_time(np.stack((columns["time"][is_pedal], columns["value"][is_pedal]), axis=1).astype(np.int64))


def _by_time(table: np.ndarray) -> np.ndarray:
    table = table[table[:, 0] >= 0]  # symusic's ticks wrap round behind 2**31
    return table[np.argsort(table[:, 0], kind="stable")]


def _table(rows: list[tuple[int, ...]], columns: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, columns)


@dataclass
class _ConductorReader:
    """What the messages of all tracks say of tempo, metre and key."""

    tempos: list[tuple[int, ...]] = field(default_factory=list)
    metres: list[tuple[int, ...]] = field(default_factory=list)
    keys: list[tuple[int, ...]] = field(default_factory=list)

    def read(self, tick: int, message: Any) -> None:
        if message.type == "set_tempo":
            self.tempos.append((tick, message.tempo))
        elif message.type == "time_signature":
            self.metres.append((tick, message.numerator, min(message.denominator, _LAST_TICK)))  # up to 2**255
        elif message.type == "key_signature":
            key = Key.named(tick, message.key)
            self.keys.append((tick, key.sharps, key.is_minor))

    def tables(self) -> list[np.ndarray]:
        return [_table(self.tempos, 2), _table(self.metres, 3), _table(self.keys, 3)]


@dataclass
class _Part:
    """What one channel plays with one program."""

    notes: list[tuple[int, ...]] = field(default_factory=list)
    pedal: list[tuple[int, ...]] = field(default_factory=list)


class _TrackReader:
    """Sorts the messages of one track of a file by channel and program."""

    def __init__(self, name: str, conducted: _ConductorReader) -> None:
        self.name = name
        self.conducted = conducted  # shared by all tracks
        self.tick = 0
        self.programs = [0] * 16
        self.parts: dict[tuple[int, int], _Part] = {}
        # The pedal of a channel while its program has no note: it goes to the next that has, as in symusic.
        self.early: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        self.open: dict[tuple[int, int], deque[tuple[int, int, int]]] = defaultdict(deque)

    def read(self, messages: Any) -> list[RawTrack]:
        """Take the messages of the track, in order; the parts found in it."""
        for message in messages:
            self.tick += message.time
            if message.is_meta:
                self.conducted.read(self.tick, message)
            elif message.type == "program_change":
                self.programs[message.channel] = message.program
            elif message.is_cc(PEDAL_CONTROL):
                part = self.parts.get((message.channel, self.programs[message.channel]))
                pedal = self.early[message.channel] if part is None else part.pedal
                pedal.append((self.tick, message.value))
            elif message.type in ("note_on", "note_off"):
                self.read_note(message)
        return [
            RawTrack(self.name, program, channel == _DRUM_CHANNEL, _table(part.notes, 4), _table(part.pedal, 2))
            for (channel, program), part in self.parts.items()
        ]

    def read_note(self, message: Any) -> None:
        waiting = self.open[message.channel, message.note]
        if message.type == "note_on" and message.velocity > 0:
            program = self.programs[message.channel]
            waiting.append((self.tick, message.velocity, program))
            if (message.channel, program) not in self.parts:
                self.parts[message.channel, program] = _Part(pedal=self.early.pop(message.channel, []))
        elif waiting:
            start, velocity, program = waiting.popleft()
            self.parts[message.channel, program].notes.append((start, self.tick, message.note, velocity))
