"""MIDI files: what is read, what is written, and that nothing but MidiError comes of a bad one."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import mido
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from some_notes import any_notes, random_notes, real_files

from musicstyle.errors import MidiError
from musicstyle.music.interop import from_note_sequence
from musicstyle.music.midi import fold_pedal, read_midi, read_tracks, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.parse import parse, parse_patiently
from musicstyle.music.scores import read_notes

if TYPE_CHECKING:
    from pathlib import Path

# Hypothesis runs many examples on one tmp_path, each of which writes its own file anew.
same_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _save(path: Path, *tracks: list[object], ticks: int = 480, kind: int = 1) -> Path:
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks, tracks=[mido.MidiTrack(track) for track in tracks])
    file.save(path)
    return path


def _note(pitch: int, ticks: int, *, wait: int = 0, channel: int = 0) -> list[object]:
    return [
        mido.Message("note_on", note=pitch, velocity=80, time=wait, channel=channel),
        mido.Message("note_off", note=pitch, time=ticks, channel=channel),
    ]


@same_folder
@given(any_notes(lowest=0, highest=127).filter(len))
def test_quantized_notes_come_back_exactly(tmp_path: Path, notes: Notes) -> None:
    write_midi(tmp_path / "a.mid", notes.quantized())
    assert read_midi(tmp_path / "a.mid").equals(notes.quantized())


def test_long_pieces_do_not_drift(tmp_path: Path) -> None:
    notes = random_notes(0, 500, seconds=36_000).quantized()
    write_midi(tmp_path / "a.mid", notes)
    assert read_midi(tmp_path / "a.mid").equals(notes)


def test_other_readers_agree_on_what_is_written(tmp_path: Path) -> None:
    from note_seq import midi_io

    notes = random_notes(1, 90, lowest=20, highest=110).quantized()
    # pretty_midi lets one note-off end every open note of its pitch, so keep one of each pitch sounding.
    notes = notes[np.sort(np.unique(notes.pitch, return_index=True)[1])]
    write_midi(tmp_path / "a.mid", notes)
    theirs = from_note_sequence(midi_io.midi_file_to_note_sequence(str(tmp_path / "a.mid")))
    assert theirs.equals(notes, tolerance_seconds=1e-9)


def test_text_comes_back(tmp_path: Path) -> None:
    text = ("musicstyle seed 7", "temperature 0.95, style naïve ♪")
    write_midi(tmp_path / "a.mid", random_notes(2, 3), text=text, program=5)
    piece = read_tracks(tmp_path / "a.mid")
    assert piece.text == text
    assert [track.program for track in piece.tracks] == [5]
    assert mido.MidiFile(tmp_path / "a.mid").type == 1


def test_text_stands_behind_any_event_and_before_rubbish(tmp_path: Path) -> None:
    before = [mido.Message("program_change", program=5), mido.Message("sysex", data=range(8))]
    path = _save(tmp_path / "a.mid", [*before, mido.MetaMessage("text", text="seed 7"), *_note(60, 480)])
    path.write_bytes(path.read_bytes() + bytes(range(0xF0, 0x100)) + b"odd.")
    assert read_tracks(path).text == ("seed 7",)


def test_text_that_is_no_text_is_written_with_question_marks(tmp_path: Path) -> None:
    write_midi(tmp_path / "a.mid", random_notes(2, 3), text=["style: caf\udce9.mid"])
    assert read_tracks(tmp_path / "a.mid").text == ("style: caf?.mid",)


def test_a_pedal_lifted_after_weeks_is_damage(tmp_path: Path) -> None:
    """2,800,000 quarters of half a second: 389 hours under the pedal."""
    pedal = [mido.Message("control_change", control=64, value=value, time=time) for value, time in ((127, 0), (0, 0))]
    track = [pedal[0], *_note(60, 480), pedal[1].copy(time=2_800_000 * 48)]
    path = _save(tmp_path / "a.mid", track, ticks=48)
    with pytest.raises(MidiError, match="would last 389 hours"):
        read_midi(path)
    assert read_midi(path, pedal=False).duration_seconds == 5.0


def test_a_file_of_no_notes_can_be_written_but_says_so_when_read(tmp_path: Path) -> None:
    write_midi(tmp_path / "a.mid", Notes.empty())
    with pytest.raises(MidiError, match=r"a\.mid: holds no notes$"):
        read_midi(tmp_path / "a.mid")


def test_what_midi_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0\.\.127"):
        write_midi(tmp_path / "a.mid", random_notes(3, 4).transpose(60))
    assert list(tmp_path.iterdir()) == []


def test_tempo_changes_in_any_track(tmp_path: Path) -> None:
    tempo = [
        mido.MetaMessage("set_tempo", tempo=1_000_000, time=480),
        mido.MetaMessage("set_tempo", tempo=250_000, time=480),
    ]
    path = _save(tmp_path / "a.mid", tempo, _note(60, 1440))
    # A quarter at 120 a minute, one at 60, one at 240.
    assert read_midi(path).end.tolist() == [0.5 + 1.0 + 0.25]


def test_of_two_tempos_at_once_the_last_counts(tmp_path: Path) -> None:
    tempo = [mido.MetaMessage("set_tempo", tempo=1_000_000), mido.MetaMessage("set_tempo", tempo=250_000)]
    assert read_midi(_save(tmp_path / "a.mid", tempo, _note(60, 480))).end.tolist() == [0.25]


@pytest.mark.parametrize(("rate", "seconds"), [(24, 1 / 24), (25, 1 / 25), (29, 1001 / 30_000), (30, 1 / 30)])
def test_smpte_time(tmp_path: Path, rate: int, seconds: float) -> None:
    data = bytearray(_save(tmp_path / "a.mid", _note(60, 400)).read_bytes())
    data[12:14] = struct.pack(">bB", -rate, 40)
    (tmp_path / "a.mid").write_bytes(data)
    assert read_midi(tmp_path / "a.mid").end[0] == pytest.approx(10 * seconds, abs=1e-12)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_name_s_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    file = mido.MidiFile(charset=encoding)
    for name, pitch in (("Flöte", 72), ("Baß", 48)):
        file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name=name), *_note(pitch, 480)]))
    file.save(tmp_path / "a.mid")
    assert [track.name for track in read_tracks(tmp_path / "a.mid").tracks] == ["Flöte", "Baß"]
    patient = parse_patiently((tmp_path / "a.mid").read_bytes())
    assert patient is not None
    assert [track.name for track in patient.tracks] == ["Flöte", "Baß"]
    assert read_notes(tmp_path / "a.mid", track="flöte").notes.pitch.tolist() == [72]


def test_tracks_by_name_program_and_drums(tmp_path: Path) -> None:
    violin = [
        mido.MetaMessage("track_name", name="violin"),
        mido.Message("program_change", program=40),
        *_note(76, 480),
    ]
    piano = [mido.MetaMessage("track_name", name="piano"), *_note(48, 480, wait=240)]
    drums = [mido.MetaMessage("track_name", name="drums"), *_note(36, 960, channel=9)]
    path = _save(tmp_path / "a.mid", violin, piano, drums)
    piece = read_tracks(path)
    found = [(track.index, track.name, track.program, track.is_drum, len(track.notes)) for track in piece.tracks]
    assert found == [(0, "violin", 40, False, 1), (1, "piano", 0, False, 1), (2, "drums", 0, True, 1)]
    assert read_midi(path).pitch.tolist() == [76, 48]


def test_type_0_and_riff(tmp_path: Path) -> None:
    data = _save(tmp_path / "a.mid", _note(60, 480), kind=0).read_bytes()
    (tmp_path / "a.rmi").write_bytes(
        b"RIFF" + struct.pack("<I", len(data) + 12) + b"RMIDdata" + struct.pack("<I", len(data)) + data
    )
    assert read_midi(tmp_path / "a.rmi").equals(read_midi(tmp_path / "a.mid"))


def test_running_status_and_note_on_of_velocity_0(tmp_path: Path) -> None:
    track = bytes([0, 0x90, 60, 64, 96, 60, 0, 0, 64, 70, 96, 64, 0, 0, 0xFF, 0x2F, 0])
    data = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + track
    (tmp_path / "a.mid").write_bytes(data)
    assert read_midi(tmp_path / "a.mid").equals(Notes.from_arrays([0, 0.5], [0.5, 1.0], [60, 64], [64, 70]))


def test_the_pedal_holds_a_note_to_pedal_up(tmp_path: Path) -> None:
    pedal: list[Any] = [
        mido.Message("control_change", control=64, value=64, time=0),
        mido.Message("control_change", control=64, value=63, time=1920),
    ]
    path = _save(tmp_path / "a.mid", _note(60, 480) + _note(62, 480), pedal)
    # The pedal of another track holds nothing, though it is the same channel.
    assert read_midi(path).end.tolist() == [0.5, 1.0]
    both = [pedal[0], *_note(60, 480), *_note(62, 480), pedal[1].copy(time=960)]
    path = _save(tmp_path / "a.mid", both)
    assert read_midi(path).end.tolist() == [2.0, 2.0]
    assert read_midi(path, pedal=False).end.tolist() == [0.5, 1.0]
    assert read_tracks(path).has_pedal


def _note_seq_pedal(notes: Notes, seconds: list[float], values: list[int]) -> Notes:
    from note_seq import sequences_lib

    from musicstyle.music.interop import to_note_sequence

    sequence = to_note_sequence(notes)
    for time, value in zip(seconds, values, strict=True):
        sequence.control_changes.add(time=time, control_number=64, control_value=value)
    return from_note_sequence(sequences_lib.apply_sustain_control_changes(sequence))


@settings(deadline=None)
@given(
    any_notes(lowest=60, highest=64),
    st.lists(st.tuples(st.integers(0, 130), st.sampled_from([0, 63, 64, 127])), max_size=12),
)
def test_the_pedal_is_note_seqs(notes: Notes, moves: list[tuple[int, int]]) -> None:
    # No two notes alike in onset and pitch, and none of no length: there note_seq keeps whichever comes first.
    notes = notes[notes.end > notes.start]
    notes = notes[np.sort(np.unique(np.stack((notes.start, notes.pitch)), axis=1, return_index=True)[1])]
    moves = sorted(moves, key=lambda move: move[0])
    seconds, values = [time * 0.25 for time, _ in moves], [value for _, value in moves]
    mine = fold_pedal(notes, np.array(seconds), np.array(values) >= 64, max([notes.duration_seconds, *seconds]))
    assert mine.equals(_note_seq_pedal(notes, seconds, values))


@pytest.mark.parametrize("pedal", [True, False])
@pytest.mark.parametrize("folder", ["maestro-v3.0.0", "pop909", "asap", "melodies"])
def test_real_files_are_read_as_note_seq_reads_them(folder: str, pedal: bool) -> None:
    from note_seq import midi_io, sequences_lib

    for path in real_files(folder, 2):
        sequence = midi_io.midi_file_to_note_sequence(str(path))
        if pedal:
            sequence = sequences_lib.apply_sustain_control_changes(sequence)
        assert read_midi(path, pedal=pedal).equals(from_note_sequence(sequence), tolerance_seconds=1e-9)


@pytest.mark.parametrize("folder", ["maestro-v3.0.0", "pop909", "asap", "melodies"])
def test_both_readers_agree_on_real_files(folder: str) -> None:
    for path in real_files(folder, 2):
        fast, patient = parse(path.read_bytes()), parse_patiently(path.read_bytes())
        assert patient is not None
        fast_tracks = [track for track in fast.tracks if len(track.notes)]
        patient_tracks = [track for track in patient.tracks if len(track.notes)]
        for one, other in zip(fast_tracks, patient_tracks, strict=True):
            assert (one.name, one.program, one.is_drum) == (other.name, other.program, other.is_drum)
            assert sorted(one.notes.tolist()) == sorted(other.notes.tolist())
            assert one.pedal.tolist() == other.pedal.tolist()


@given(
    events=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["program", "pedal", "key", "key"]), st.integers(0, 2)),
        max_size=40,
    )
)
def test_both_readers_agree_on_programs_pedals_and_keys_in_any_order(events: list[tuple[int, str, int]]) -> None:
    track, down = mido.MidiTrack(), set()
    for time, (channel, kind, value) in enumerate(events, 1):
        if kind == "program":
            track.append(mido.Message("program_change", channel=channel, program=value, time=time))
        elif kind == "pedal":
            track.append(mido.Message("control_change", channel=channel, control=64, value=50 * value, time=time))
        else:
            on = "note_off" if (channel, value) in down else "note_on"
            track.append(mido.Message(on, channel=channel, note=60 + value, velocity=80, time=time))
            down ^= {(channel, value)}
    track += [mido.Message("note_off", channel=channel, note=60 + value, time=1) for channel, value in sorted(down)]
    buffer = io.BytesIO()
    mido.MidiFile(tracks=[track]).save(file=buffer)
    patient = parse_patiently(buffer.getvalue())
    assert patient is not None
    told = [
        sorted((one.program, sorted(one.notes.tolist()), one.pedal.tolist()) for one in piece.tracks if len(one.notes))
        for piece in (parse(buffer.getvalue()), patient)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("fault", "track"),
    [
        ("a data byte above 127", [0, 0x90, 60, 200, 96, 0x80, 60, 0, 0, 0xFF, 0x2F, 0]),
        ("running status behind a meta event", [0, 0x90, 60, 127, 96, 0xFF, 1, 1, 65, 0, 60, 0, 0, 0xFF, 0x2F, 0]),
    ],
)
def test_what_players_forgive_is_forgiven(tmp_path: Path, fault: str, track: list[int]) -> None:
    data = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)
    (tmp_path / "a.mid").write_bytes(data)
    assert read_midi(tmp_path / "a.mid").equals(Notes.from_arrays([0], [0.5], [60], [127]))


def test_a_piece_of_weeks_is_refused(tmp_path: Path) -> None:
    _save(tmp_path / "a.mid", _note(60, 480, wait=2**27), ticks=24)
    with pytest.raises(MidiError, match=r"would last 777 hours"):
        read_midi(tmp_path / "a.mid")


def _good(tmp_path: Path) -> bytes:
    write_midi(tmp_path / "good.mid", random_notes(5, 20), text=("seed 5",))
    return (tmp_path / "good.mid").read_bytes()


def _rich(tmp_path: Path) -> bytes:
    """One with everything in it that a reader may choke on; the last two bytes of data are none, so symusic refuses."""
    events: list[mido.Message | mido.MetaMessage] = [
        mido.MetaMessage("track_name", name="x"),
        mido.MetaMessage("key_signature", key="Eb"),
        mido.MetaMessage("time_signature", numerator=3, denominator=8),
        mido.MetaMessage("smpte_offset"),
        mido.MetaMessage("sequence_number", number=1),
        mido.Message("sysex", data=(1, 2)),
    ]
    for channel in (0, 3, 9):
        events.append(mido.Message("program_change", channel=channel, program=5))
        events.append(mido.Message("pitchwheel", channel=channel, pitch=100))
        events += _note(60, 48, channel=channel)
    _save(tmp_path / "rich.mid", events)
    return (tmp_path / "rich.mid").read_bytes().replace(b"\x3c\x40", b"\x3c\xc8")


def test_a_key_that_there_is_not(tmp_path: Path) -> None:
    damaged = _rich(tmp_path).replace(b"\xff\x59\x02\xfd", b"\xff\x59\x02\x0a")
    (tmp_path / "key.mid").write_bytes(damaged)
    with pytest.raises(MidiError, match="damaged MIDI data"):
        read_midi(tmp_path / "key.mid")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = _good(tmp_path)
    for length in range(len(data)):
        (tmp_path / "cut.mid").write_bytes(data[:length])
        with pytest.raises(MidiError, match=r"cut\.mid: is (empty|not a MIDI file|cut short)"):
            read_midi(tmp_path / "cut.mid")


def _reads_or_refuses(path: Path) -> None:
    notes = message = None
    try:
        notes = read_midi(path)
        read_tracks(path)
    except MidiError as error:
        message = str(error)
    if notes is None:
        assert message is not None
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
    else:
        assert len(notes)
        assert Notes.from_arrays(*notes.columns()).equals(notes)


@same_folder
@given(st.binary(max_size=200), st.booleans())
@example(b"", False)
@example(b"\0\0\0\6\0\1\0\0\0\1", True)
@example(b"\0\0\0\6\0\1\0\1\0\0MTrk\0\0\0\0", True)
@example(b"\0\0\0\6\0\1\0\1\x80\x28MTrk\0\0\0\0", True)
def test_random_bytes(tmp_path: Path, data: bytes, with_magic: bool) -> None:
    path = tmp_path / "random.mid"
    path.write_bytes(b"MThd" * with_magic + data)
    _reads_or_refuses(path)


@same_folder
@given(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=20))
def test_damaged_files(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(_rich(tmp_path))
    for place, byte in changes:
        data[place % len(data)] = byte
    path = tmp_path / "damaged.mid"
    path.write_bytes(data)
    _reads_or_refuses(path)


def test_each_fault_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.mid").write_text("no music here")
    (tmp_path / "empty.mid").touch()
    _save(tmp_path / "drums.mid", _note(36, 480, channel=9))
    reasons = {
        "absent.mid": "no such file",
        ".": "is a folder, not a file of notes",
        "text.mid": "is not a MIDI file (does not begin with MThd)",
        "empty.mid": "is empty (0 bytes)",
        "drums.mid": "holds only drums, no pitched notes",
        "nul\0.mid": "cannot be read (embedded null byte)",
    }
    for name, reason in reasons.items():
        with pytest.raises(MidiError) as caught:
            read_midi(tmp_path / name)
        assert caught.value.reason == reason
        assert caught.value.path == str(tmp_path / name)


def test_importing_music_is_instant() -> None:
    import subprocess
    import sys

    heavy = {"torch", "note_seq", "pretty_midi", "numba", "symusic", "mido", "scipy"}
    modules = "notes, midi, melody, performance, interop, vocabulary"
    code = f"import sys; from musicstyle.music import {modules}; print({heavy} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"
