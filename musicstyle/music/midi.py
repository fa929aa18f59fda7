"""MIDI files <-> Notes, with the sustain pedal folded in. Every fault of a file is one MidiError: path and reason.

Reading goes through symusic, in ticks; the seconds are computed here from the tempo map in integers and divided once,
so they are the nearest float64 (symusic's own are float32, which moves tokens in long pieces). Writing goes through
mido.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musicstyle.errors import MidiError
from musicstyle.files import as_text, write_atomically
from musicstyle.music.conductor import UNSAID, Conducted, Conductor, Tempo
from musicstyle.music.notes import Notes
from musicstyle.music.parse import PEDAL_DOWN, RawPiece, RawTrack, parse
from musicstyle.music.smf import TickClock, check_and_unwrap, division_of, find_text, with_ticks_a_quarter

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

MIDI_SUFFIXES = (".mid", ".midi")
MAX_BYTES = 32 * 2**20  # a symphony's MusicXML has 20 MB, the longest of MAESTRO's MIDI 0.3
MAX_HOURS = 24  # a wrong byte in a time can make a file of centuries

# Thirty-seconds, triplets and quintuplets are whole ticks, and at 120 quarters a minute so are 10 ms steps: 48.
TICKS_PER_QUARTER = 2400
_MAX_MICROSECONDS = 2**24 - 1  # a quarter
_TICKS_AT_ONCE = 2**28  # between two events there are fewer


@dataclass(frozen=True)
class MidiTrack:
    """The notes of one track, channel and program of a file.

    Attributes:
        index: Place in the file, from 0, counting only tracks with notes.
        name: The file's name for it, may be empty.
        program: General MIDI program, 0 is the grand piano.
        is_drum: On the percussion channel; its pitches are no pitches.
        notes: Pedal folded in if asked for.
    """

    index: int
    name: str
    program: int
    is_drum: bool
    notes: Notes


@dataclass(frozen=True)
class MidiPiece:
    """A MIDI file, track by track.

    Attributes:
        tracks: Every track with notes, drums too.
        has_pedal: Whether the sustain pedal of any track goes down.
        conductor: Its tempos, metres and keys.
        data: The file's bytes.
    """

    tracks: tuple[MidiTrack, ...]
    has_pedal: bool
    conductor: Conductor = field(repr=False)
    data: bytes = field(repr=False)

    @cached_property
    def text(self) -> tuple[str, ...]:
        """The file's text events (not names, not lyrics), in order; searched for when first asked."""
        return find_text(self.data)


def read_midi(path: str | os.PathLike[str], *, pedal: bool = True, data: bytes | None = None) -> Notes:
    """All notes of a file but the drums', every track merged.

    Args:
        path: A Standard MIDI File (type 0, 1 or 2; metrical or SMPTE time; RIFF-wrapped too).
        pedal: Fold the sustain pedal into the ends, as note_seq.sequences_lib.apply_sustain_control_changes does.
        data: The file's bytes where they have been read.

    Raises:
        MidiError: missing, a folder, unreadable, empty, too large, no MIDI, cut short, damaged, longer than a day,
            without notes, drums only.
    """
    return merged(path, read_tracks(path, pedal=pedal, data=data)).notes


def read_tracks(path: str | os.PathLike[str], *, pedal: bool = True, data: bytes | None = None) -> MidiPiece:
    """The file track by track, drums too, with its text events.

    Args and errors as `read_midi`, except that drums alone are no error.
    """
    data = check_and_unwrap(path, read_bytes(path) if data is None else data)
    try:
        piece = parse(with_ticks_a_quarter(data))
    except ValueError as error:
        raise MidiError(path, f"damaged MIDI data ({error})") from None
    clock = TickClock.of(division_of(data), piece.tempos)
    notes = [_notes_in_seconds(track, clock) for track in piece.tracks]
    refuse_endless(path, notes)
    if pedal:
        notes = _with_pedal(notes, piece.tracks, clock)
        refuse_endless(path, notes)  # a pedal may hold a note for centuries too
    voiced = [(track, part) for track, part in zip(piece.tracks, notes, strict=True) if len(part)]
    if not voiced:
        raise MidiError(path, "holds no notes")
    tracks = tuple(
        MidiTrack(index, track.name, track.program, track.is_drum, part) for index, (track, part) in enumerate(voiced)
    )
    has_pedal = any((track.pedal[:, 1] >= PEDAL_DOWN).any() for track in piece.tracks)
    return MidiPiece(tracks, has_pedal, conductor_of(division_of(data), piece), data)


def merged(path: str | os.PathLike[str], piece: MidiPiece) -> Conducted:
    """The notes of every track of a file but the drums', in its bars.

    Raises:
        MidiError: drums only.
    """
    pitched = [track.notes for track in piece.tracks if not track.is_drum]
    if not pitched:
        raise MidiError(path, "holds only drums, no pitched notes")
    return Conducted(Notes.concatenate(pitched), piece.conductor)


def conductor_of(division: int, piece: RawPiece) -> Conductor:
    """What conducts a file of so many ticks a quarter; where a tick is a part of a second, nothing does."""
    return Conductor.of_ticks(division, piece.tempos, piece.metres, piece.keys) if division > 0 else UNSAID


def write_midi(
    path: str | os.PathLike[str],
    notes: Notes,
    *,
    conductor: Conductor = UNSAID,
    text: Sequence[str] = (),
    program: int = 0,
) -> None:
    """Write a type 1 file: one track of text, tempo, metre and key, one of notes.

    Times are rounded to ticks: a fifth of a millisecond at 120 quarters a minute, at which 10 ms steps are exact. In
    a tick, note-offs come before note-ons. MIDI cannot say which of two sounding notes of one pitch a note-off ends, so
    they are read back first in, first out: notes from `Notes.quantized` come back exactly, others with the ends of
    overlapping notes of one pitch in order. A note shorter than a tick gets one.

    Args:
        path: Written beside and renamed.
        notes: Pitches 0..127, times from 0.
        conductor: Tempo, metre and key, on the clock of the notes; unsaid where it has more ticks than MIDI can count.
        text: Text events at time 0, UTF-8; bytes of file names that are no text become "?".
        program: General MIDI program.

    Raises:
        ValueError: a pitch outside 0..127 or a time before 0.
    """
    import mido

    if len(notes) and (notes.start.min() < 0 or notes.pitch.min() < 0 or notes.pitch.max() > 127):
        raise ValueError("MIDI holds pitches 0..127 and times from 0 only")
    if len(notes) and conductor.quarters(notes.duration_seconds) * TICKS_PER_QUARTER >= _TICKS_AT_ONCE:
        conductor = UNSAID
    tempos = np.array([(_ticks(mark.quarters), _microseconds(mark)) for mark in conductor.tempos], dtype=np.int64)
    played = _note_messages(notes, TickClock.of(TICKS_PER_QUARTER, tempos))
    first = mido.MidiTrack(mido.MetaMessage("text", text=as_text(line)) for line in text)
    first.extend(_conductor_messages(conductor, sum(message.time for message in played)))
    piano = mido.MidiTrack([mido.Message("program_change", program=program), *played])
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER, charset="utf-8", tracks=[first, piano])
    with write_atomically(path) as beside:
        file.save(beside)


def fold_pedal(notes: Notes, pedal_seconds: np.ndarray, pedal_down: np.ndarray, final_seconds: float) -> Notes:
    """Extend notes that end under the pedal to pedal-up or the next onset of their pitch, whichever is first.

    An onset under the pedal also ends a note of its pitch that is still held; of two that begin at once, one stays.
    A note that no pedal-up follows is held to `final_seconds`.

    Args:
        notes: One instrument's.
        pedal_seconds: Times of the pedal's events, (m,) in order.
        pedal_down: Whether each is down, (m,) bool. At one instant, up wins.
        final_seconds: The last event of the whole file.

    Source: note_seq.sequences_lib.apply_sustain_control_changes, without its loop over events.
    """
    if not len(notes) or not pedal_down.any():
        return notes
    ups = pedal_seconds[~pedal_down]
    release = np.append(ups, final_seconds)[np.searchsorted(ups, notes.end, side="right")]
    held = _pedal_state(pedal_seconds, pedal_down, notes.end)
    end = np.where(held, release, notes.end)

    onset_under_pedal = _pedal_state(pedal_seconds, pedal_down, notes.start)
    end = np.minimum(end, _next_onset(notes, onset_under_pedal))
    kept = (end > notes.start) | (notes.end <= notes.start)
    return Notes(notes.start, end, notes.pitch, notes.velocity)[kept].in_order()


def _pedal_state(pedal_seconds: np.ndarray, pedal_down: np.ndarray, at_seconds: np.ndarray) -> np.ndarray:
    """Whether the pedal is down at each time, after all its events of that instant, (n,) bool."""
    # Events of one instant are read downs first, so the last one of an instant decides and an up among them wins.
    order = np.lexsort((~pedal_down, pedal_seconds))
    down = np.concatenate(([False], pedal_down[order]))
    return down[np.searchsorted(pedal_seconds[order], at_seconds, side="right")]


def _next_onset(notes: Notes, counted: np.ndarray) -> np.ndarray:
    """Onset of the next note of the same pitch among the counted ones, infinity if none, (n,) seconds."""
    order = np.argsort(notes.pitch, kind="stable")  # by pitch, then by start
    pitch = notes.pitch[order]
    # For each place, the first counted place behind it: a minimum running from the back.
    places = np.where(counted[order], np.arange(len(order)), len(order))
    following = np.append(np.minimum.accumulate(places[::-1])[::-1][1:], len(order))
    candidates = np.minimum(following, len(order) - 1)
    same = (following < len(order)) & (pitch[candidates] == pitch)
    onsets = np.empty(len(order))
    onsets[order] = np.where(same, notes.start[order][candidates], np.inf)
    return onsets


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """All of a file that is to hold notes.

    Raises:
        MidiError: missing, a folder, unreadable, empty, larger than MAX_BYTES.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MidiError(path, "no such file") from None
    except IsADirectoryError:
        raise MidiError(path, "is a folder, not a file of notes") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise MidiError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not data:
        raise MidiError(path, "is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise MidiError(path, f"is larger than {MAX_BYTES // 2**20} MB")
    return data


def refuse_endless(path: str | os.PathLike[str], notes: Sequence[Notes]) -> None:
    """Notes that one file is said to hold must end within MAX_HOURS.

    Raises:
        MidiError: They do not.
    """
    hours = max((part.duration_seconds for part in notes), default=0.0) / 3600
    if hours > MAX_HOURS:
        raise MidiError(path, f"would last {hours:,.0f} hours, so it must be damaged (the limit is {MAX_HOURS})")


def _notes_in_seconds(track: RawTrack, clock: TickClock) -> Notes:
    start, end = track.notes[:, 0], track.notes[:, 1]
    start, end, pitch, velocity = track.notes[(end > start) & (start >= 0)].T  # no length, no note
    return Notes(clock.seconds(start), clock.seconds(end), pitch, velocity).in_order()


def _with_pedal(notes: list[Notes], tracks: list[RawTrack], clock: TickClock) -> list[Notes]:
    """Each track's notes under its own pedal; drums are struck, not held."""
    pedals = [(clock.seconds(track.pedal[:, 0]), track.pedal[:, 1] >= PEDAL_DOWN) for track in tracks]
    # A pedal never lifted holds to the last event of any track, though not to a drum's note.
    ends = [part.duration_seconds for part, track in zip(notes, tracks, strict=True) if not track.is_drum]
    final = max([0.0, *ends, *(float(seconds[-1]) for seconds, _ in pedals if len(seconds))])
    return [
        part if track.is_drum else fold_pedal(part, seconds, down, final)
        for part, track, (seconds, down) in zip(notes, tracks, pedals, strict=True)
    ]


def _ticks(quarters: float) -> int:
    return round(quarters * TICKS_PER_QUARTER)


def _microseconds(tempo: Tempo) -> int:
    return min(max(round(tempo.seconds * 1e6), 1), _MAX_MICROSECONDS)


def _conductor_messages(conductor: Conductor, last_tick: int) -> list[Any]:
    """Tempos, metres and keys up to a tick, in order of time, as mido messages with ticks since the one before."""
    import mido

    events: list[tuple[int, str, dict[str, Any]]] = [
        *((_ticks(one.quarters), "set_tempo", {"tempo": _microseconds(one)}) for one in conductor.tempos),
        *(
            (_ticks(one.quarters), "time_signature", {"numerator": one.beats, "denominator": one.unit})
            for one in conductor.metres
        ),
        *((_ticks(one.quarters), "key_signature", {"key": one.name}) for one in conductor.keys),
    ]
    messages, before = [], 0
    for tick, kind, value in sorted(events, key=lambda event: event[0]):
        if tick <= last_tick:
            messages.append(mido.MetaMessage(kind, **value, time=tick - before))
            before = tick
    return messages


def _note_messages(notes: Notes, clock: TickClock) -> list[Any]:
    """Note-offs and note-ons in order of time, as mido messages with ticks since the one before."""
    import mido

    start = clock.nearest_ticks(notes.start)
    end = np.maximum(clock.nearest_ticks(notes.end), start + 1)
    events = [(tick, 0, pitch, 0) for tick, pitch in zip(end.tolist(), notes.pitch.tolist(), strict=True)]
    rows = zip(start.tolist(), notes.pitch.tolist(), notes.velocity.tolist(), strict=True)
    events += [(tick, 1, pitch, velocity) for tick, pitch, velocity in rows]
    messages, before = [], 0
    for tick, is_on, pitch, velocity in sorted(events, key=lambda event: event[:3]):
        kind = "note_on" if is_on else "note_off"
        messages.append(mido.Message(kind, note=pitch, velocity=velocity, time=tick - before))
        before = tick
    return messages
