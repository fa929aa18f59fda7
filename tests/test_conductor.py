"""Tempo, metre and key: what is written lies in the bars of what was read. The oracle is pretty_midi."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from some_models import SMALL, awake

from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.performances import Performances
from musicstyle.generation.plan import make_plan
from musicstyle.generation.transfer import StyleTransfer, read_melody
from musicstyle.music.conductor import COMMON_TIME, UNSAID, Conductor, Key, Metre, Tempo
from musicstyle.music.midi import read_midi, read_tracks, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.parse import parse, parse_patiently
from musicstyle.music.scores import read_notes

WALTZ = Conductor.of([Tempo(0, 0.625)], [Metre(0, 3, 4)], [Key(0, -1, True)])
A_TICK = 0.001

tempos = st.lists(st.tuples(st.integers(0, 40), st.integers(24, 240)), max_size=4)
metres = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9), st.sampled_from([4, 8])), max_size=3)


def scale(count: int, seconds: float, begin: float = 0.0) -> Notes:
    start = begin + np.arange(count) * seconds
    return Notes.from_arrays(start, start + seconds * 0.9, 60 + np.arange(count) % 12, np.full(count, 80))


def saved(path: Path, *events: mido.MetaMessage, beats: int = 40, wait: int = 0) -> Path:
    """A file of quarters with events at ticks counted from the beginning, 96 a quarter."""
    first, before = mido.MidiTrack(), 0
    for event in sorted(events, key=lambda event: event.time):
        first.append(event.copy(time=event.time - before))
        before = event.time
    notes = mido.MidiTrack([mido.Message("program_change", time=wait)])
    for number in range(beats):
        notes.append(mido.Message("note_on", note=60 + number % 12, velocity=80))
        notes.append(mido.Message("note_off", note=60 + number % 12, time=96))
    mido.MidiFile(type=1, ticks_per_beat=96, tracks=[first, notes]).save(path)
    return path


def downbeats(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pretty_midi.PrettyMIDI(str(path)).get_downbeats()


def inside(times: np.ndarray, seconds: float) -> np.ndarray:
    return times[(times > A_TICK) & (times < seconds - A_TICK)]


@settings(max_examples=60, deadline=None)
@given(changes=tempos, signs=metres, wait=st.integers(0, 400))
def test_a_tune_s_bars_are_where_they_were(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, int]],
    signs: list[tuple[int, int, int]],
    wait: int,
) -> None:
    """Metres change on bar lines; notes begin anywhere, on the grid of thirty-seconds or off it."""
    folder = tmp_path_factory.mktemp("bars")
    events, tick = [], 0
    for bars, beats, unit in [(0, 4, 4), *signs]:
        tick += bars * 384 if not events else bars * events[-1].numerator * 384 // events[-1].denominator
        events.append(mido.MetaMessage("time_signature", numerator=beats, denominator=unit, time=tick))
    within = [event for event in events if event.time < 36 * 96]  # pretty_midi's beats go wrong behind the last note
    events = list({event.time: event for event in within}.values())
    events += [
        mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm), time=beat * 96) for beat, bpm in dict(changes).items()
    ]
    source = saved(folder / "a.mid", *events, wait=wait)
    begin = float(read_midi(source).start[0])
    tune, conductor = read_melody(source)
    write_midi(folder / "b.mid", tune, conductor=conductor)
    assert read_midi(folder / "b.mid").equals(tune, tolerance_seconds=A_TICK)
    expected = inside(downbeats(source) - begin, tune.duration_seconds)
    assert inside(downbeats(folder / "b.mid"), tune.duration_seconds) == pytest.approx(expected, abs=2 * A_TICK)
    assert inside(conductor.bar_lines(tune.duration_seconds), tune.duration_seconds) == pytest.approx(
        expected, abs=2 * A_TICK
    )


def test_a_pickup_on_the_grid_is_written_as_one() -> None:
    assert WALTZ.begun_at(2 * 0.625).metres == (Metre(0, 1, 4), Metre(1, 3, 4))
    assert WALTZ.begun_at(2.5 * 0.625).metres == (Metre(0, 1, 8), Metre(0.5, 3, 4))
    assert WALTZ.begun_at(3 * 0.625) == WALTZ
    assert WALTZ.begun_at(2 * 0.625).keys == WALTZ.keys
    changing = Conductor.of([Tempo(0, 0.5), Tempo(2, 0.25)], [Metre(0, 2, 4), Metre(2, 3, 4)])
    assert changing.begun_at(0.5) == Conductor.of([Tempo(0, 0.5), Tempo(1, 0.25)], [Metre(0, 1, 4), Metre(1, 3, 4)])


@pytest.mark.parametrize(("early", "pickup"), [(0.3, Metre(0, 1, 16)), (0.02, Metre(0, 3, 4)), (2.98, Metre(0, 3, 4))])
def test_what_was_played_off_the_grid_has_a_pickup_that_ends_in_time(early: float, pickup: Metre) -> None:
    begun = Conductor.of([Tempo(0, 1)], [Metre(0, 3, 4)]).begun_at(3 - early)
    assert begun.metres[0][1:] == pickup[1:]
    lines = begun.bar_lines(12.0)
    assert (
        np.abs(lines[:, None] - np.array([early if early > 0.0625 else early + 3, early + 6])).min(axis=0).max() < 1e-9
    )


def test_places_and_times_are_inverse() -> None:
    conductor = Conductor.of([Tempo(4, 0.25), Tempo(2, 1.0)])
    quarters = np.array([0.0, 1.5, 2.0, 3.0, 4.0, 10.0])
    assert conductor.seconds(quarters).tolist() == [0, 0.75, 1, 2, 3, 4.5]
    assert conductor.quarters(conductor.seconds(quarters)).tolist() == quarters.tolist()


def test_bars_before_the_first_metre_are_of_four_quarters_and_none_begins_behind_the_end() -> None:
    later = Conductor.of([], [Metre(8, 3, 4), Metre(100, 2, 4)])
    assert later.bar_lines(5.0).tolist() == [0, 2, 4]
    assert later.bar_lines(6.0).tolist() == [0, 2, 4, 5.5]


def test_a_metre_a_tick_behind_a_bar_line_begins_no_bar_of_a_tick() -> None:
    assert Conductor.of([], [Metre(0, 3, 4), Metre(3.0005, 2, 4)]).bar_lines(2.4) == pytest.approx([0, 1.5], abs=1e-3)


def test_what_begins_a_tick_beside_a_bar_line_begins_on_it() -> None:
    for apart in (-0.0005, 0.0005):
        assert WALTZ.begun_at((3 + apart) * 0.625).metres == WALTZ.metres


def test_a_bar_that_another_metre_cuts_short_ends_there() -> None:
    cut_short = Conductor.of([], [Metre(0, 4, 4), Metre(2, 3, 4)])
    assert cut_short.begun_at(0.5).metres == (Metre(0, 1, 4), Metre(1, 3, 4))


@pytest.mark.parametrize("unit", [1, 2, 4, 8, 16, 32])
def test_beats_of_a_bar_fit_the_byte_that_a_midi_file_has_for_them(unit: int) -> None:
    assert not Metre(0, 256, unit).can_be


def test_of_sorts_and_sifts() -> None:
    conductor = Conductor.of(
        [Tempo(8, 0.5), Tempo(4, 0.3), Tempo(4, 0.4), Tempo(6, 0.4), Tempo(7, 0.0)],
        [Metre(0, 4, 4), Metre(8, 4, 4), Metre(10, 4, 4), Metre(12, 0, 4), Metre(13, 3, 128), Metre(14, 200, 4)],
        [Key(0, 2, False), Key(4, 2, False), Key(8, 9, False)],
    )
    assert conductor.tempos == (Tempo(0, 0.5), Tempo(4, 0.4), Tempo(8, 0.5))
    assert conductor.metres == (Metre(0, 4, 4), Metre(10, 4, 4))  # the second begins no new bar, the third does
    assert conductor.keys == (Key(0, 2, False),)


@pytest.mark.parametrize("sharps", range(-7, 8))
@pytest.mark.parametrize("minor", [False, True])
def test_keys_are_named_as_mido_names_them(sharps: int, minor: bool) -> None:
    key = Key(0.0, sharps, minor)
    assert Key.named(0.0, key.name) == key
    wire = mido.MetaMessage("key_signature", key=key.name).bytes()
    assert wire[3:] == [sharps % 256, minor]


@given(sharps=st.integers(-7, 7), semitones=st.integers(-30, 30))
def test_a_key_moves_with_the_music(sharps: int, semitones: int) -> None:
    moved = Conductor.of([], [], [Key(0, sharps, False)]).transposed(semitones).keys[0].sharps
    assert (moved - sharps - 7 * semitones) % 12 == 0
    assert abs(moved) <= 6 if semitones % 12 else moved == sharps  # an octave higher is the same key


def test_both_readers_say_the_same(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.mid",
        mido.MetaMessage("set_tempo", tempo=400_000, time=0),
        mido.MetaMessage("time_signature", numerator=6, denominator=8, time=0),
        mido.MetaMessage("key_signature", key="Bbm", time=0),
        mido.MetaMessage("set_tempo", tempo=700_000, time=288),
        mido.MetaMessage("key_signature", key="F#", time=288),
    )
    data = path.read_bytes()
    patient = parse_patiently(data)
    assert patient is not None
    for one, other in zip((patient.tempos, patient.metres, patient.keys), _tables(data), strict=True):
        assert one.tolist() == other.tolist()
    told = read_tracks(path).conductor
    assert told == Conductor.of([Tempo(0, 0.4), Tempo(3, 0.7)], [Metre(0, 6, 8)], [Key(0, -5, True), Key(3, 6, False)])
    write_midi(tmp_path / "b.mid", read_midi(path), conductor=told)
    assert read_tracks(tmp_path / "b.mid").conductor == told


def _tables(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    piece = parse(data)
    return piece.tempos, piece.metres, piece.keys


def test_a_file_of_smpte_time_says_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mid", mido.MetaMessage("set_tempo", tempo=400_000))
    data = bytearray(path.read_bytes())
    data[12:14] = b"\xe7\x28"  # 25 frames a second, 40 ticks a frame
    path.write_bytes(data)
    assert read_tracks(path).conductor == UNSAID


def test_what_is_behind_the_last_note_is_not_written(tmp_path: Path) -> None:
    conductor = Conductor.of([Tempo(0, 0.5), Tempo(100, 0.2)], [Metre(0, 4, 4), Metre(100, 3, 4)])
    write_midi(tmp_path / "a.mid", scale(4, 0.5), conductor=conductor)
    assert read_tracks(tmp_path / "a.mid").conductor == Conductor.of([], [Metre(0, 4, 4)])


def test_a_plan_s_conductor_is_on_the_axis_of_the_result() -> None:
    tune = scale(24, 0.625)
    plan = make_plan(tune, None, None, GenerationOptions(tempo=2.0, transpose=2), WALTZ)
    assert plan.conductor == Conductor.of([Tempo(0, 0.3125)], [Metre(0, 3, 4)], [Key(0, 1, True)])
    low = Performances.of([scale(24, 0.625).transpose(-5)])
    auto = make_plan(tune, low, None, GenerationOptions(transpose="auto"), WALTZ)
    assert auto.shift == -5
    assert auto.conductor == WALTZ  # it is moved back, and so is its key
    primed = make_plan(tune, None, scale(5, 0.77), GenerationOptions(), WALTZ)
    assert primed.asked is not None
    begin = primed.begin_steps / 100
    lines = primed.conductor.bar_lines(begin + 10)
    assert np.abs(lines[:, None] - begin - np.array([0.0, 3 * 0.625, 6 * 0.625])).min(axis=0).max() < 1e-9
    assert primed.conductor.metres == (Metre(0, 3, 4),)
    assert abs(primed.conductor.tempos[0].seconds / 0.625 - 1) < 0.34
    assert make_plan(None, None, scale(5, 0.77), GenerationOptions()).conductor == UNSAID


def test_a_primer_s_bars_go_on_where_there_is_no_tune(tmp_path: Path) -> None:
    player = StyleTransfer(awake(SMALL), {"training": {"tokens": 64}})
    write_midi(tmp_path / "a.mid", scale(9, 0.625, begin=2 * 0.625), conductor=WALTZ)
    alone = player.generate(prime=tmp_path / "a.mid", seconds=1.0)
    assert alone.conductor == WALTZ.begun_at(2 * 0.625)
    tune = "tempo=100 C4 D4 E4 F4"
    assert player.generate(melody=tune, prime=tmp_path / "a.mid").conductor.metres[0] == COMMON_TIME
    assert player.generate(prime=scale(9, 0.625), seconds=1.0).conductor == UNSAID


def test_a_primer_before_a_pickup_is_in_whole_bars() -> None:
    begun = WALTZ.begun_at(2 * 0.625).after(4.0)
    assert begun.metres == (Metre(0, 3, 4), Metre(6, 1, 4), Metre(7, 3, 4))
    assert float(begun.seconds(6)) == pytest.approx(4.0)


@given(seconds=st.floats(0.01, 60))
@example(seconds=2.9)
def test_a_primer_is_whole_bars_of_the_beginning_s_metre_near_its_tempo_and_moves_all_else(seconds: float) -> None:
    tune = Conductor.of([Tempo(0, 0.5)], [Metre(0, 3, 4), Metre(9, 4, 4)], [Key(0, -1, False), Key(9, 2, False)])
    later = tune.after(seconds)
    begin = round(float(later.quarters(seconds)), 6)
    assert begin % 3 == 0
    assert later.metres == (Metre(0, 3, 4), Metre(begin + 9, 4, 4))
    assert later.keys == (Key(0, -1, False), Key(begin + 9, 2, False))
    assert seconds < 1.5 or 0.75 <= later.tempos[0].seconds / 0.5 <= 1.5  # no other number of bars is nearer
    assert replace(tune, keys=(Key(8, 2, False),)).after(seconds).keys == (Key(begin + 8, 2, False),)  # none before


SCORE = """<score-partwise><part-list><score-part id="P"><part-name>P</part-name></score-part></part-list><part id="P">
<measure number="0"><attributes><divisions>2</divisions><key><fifths>-3</fifths><mode>minor</mode></key>
<time><beats>3</beats><beat-type>4</beat-type></time></attributes><direction><direction-type><metronome>
<beat-unit>quarter</beat-unit><per-minute>90</per-minute></metronome></direction-type></direction>{0}</measure>
<measure number="1">{1}{1}{1}</measure>
<measure number="2"><attributes><time><beats>2</beats><beat-type>4</beat-type></time></attributes>{1}{1}
<barline location="right"><repeat direction="backward"/></barline></measure></part></score-partwise>"""
QUARTER = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>2</duration></note>"


def test_a_score_s_bars_are_those_that_are_played(tmp_path: Path) -> None:
    (tmp_path / "a.musicxml").write_text(SCORE.format(QUARTER, QUARTER))
    notes, conductor = read_notes(tmp_path / "a.musicxml")
    assert len(notes) == 12
    first = (Metre(0, 1, 4), Metre(1, 3, 4), Metre(4, 2, 4))
    again = tuple(metre._replace(quarters=metre.quarters + 6) for metre in first)
    assert conductor == Conductor((Tempo(0, 60 / 90),), (*first, *again), (Key(0, -3, True),))


@pytest.mark.parametrize(
    ("music", "pickup"),
    [
        ("D2|G4B2|A6|", 1), ("|:D>E|G4B2|A4:|", 1), ('"G"(3DEF|G4B2|A6|', 1), ("{c}d[K:D]|G4B2|A6|", 0.5),
        ("G4B2|A6|", 3), ("z2D2|G4B2|", 2), ("[DG]2|G4B2|", 1), ("D2-|D4B2|A6|", 1), ("[C-E-]2|[CE]4B2|A6|", 1),
        ("|: % a|b\nD2|G4B2|A6:|", 1), ("D2 % a|b\n|G4B2|A6|", 1), ("[V:1]\nD2|G4B2|A6|", 1), ("D2|G6|\nw:a b", 1),
        ("%%begintext\na|b\n%%endtext\nD2|G4B2|A6|", 1), ("%%MIDI beat 90 80 65 1\nD2|G4B2|A6|", 1),
    ],
)  # fmt: skip
def test_a_pickup_in_abc(tmp_path: Path, music: str, pickup: float) -> None:
    """abc2midi lets bars be counted from the first note."""
    (tmp_path / "a.abc").write_text(f"X:1\nM:3/4\nL:1/8\nQ:1/4=96\nK:G\n{music}\n")
    conductor = read_notes(tmp_path / "a.abc").conductor
    assert conductor.tempos == (Tempo(0, 0.625),)
    assert conductor.bar_lines(4.0)[:2].tolist() == [0, pickup * 0.625]
    assert conductor.metres[-1][1:] == (3, 4)


@pytest.mark.parametrize(
    ("music", "lines"),
    [
        ("D2|G4B2|A6:|:D2|G4B2|A6|", [0, 1, 4, 7, 8, 11, 14, 15, 18]),
        ("D2|G4B2|A4:|G4B2|A6|", [0, 1, 4, 7, 10, 12, 15]),
        ("G4B2|A6|c6|\nw:a b c d", [0, 3, 6]),
        ("A4z2|[M:4/4]A8|A8|", [0, 3, 7]),
        ("z2G2G2|z2A4-|A4B2|G6|", [0, 3, 6, 9]),
    ],
)  # fmt: skip
def test_bars_in_abc_are_those_that_are_played(tmp_path: Path, music: str, lines: list[float]) -> None:
    """Short bars at repeats; words, before which abc2midi begins late; a metre behind a rest, told before it."""
    (tmp_path / "a.abc").write_text(f"X:1\nM:3/4\nL:1/8\nQ:1/4=60\nK:G\n{music}\n")
    notes, conductor = read_notes(tmp_path / "a.abc")
    assert conductor.bar_lines(notes.duration_seconds).tolist() == lines
    assert conductor.tempos == (Tempo(0, 1),)
    assert conductor.keys == (Key(0, 1, False),)


@pytest.mark.parametrize("off", [0.02, -0.02])
@pytest.mark.parametrize("metre", [Metre(0, 6, 8), Metre(0, 2, 2)])
def test_a_first_bar_that_is_whole_has_the_metre_of_the_others(metre: Metre, off: float) -> None:
    begun = Conductor.of([], [metre]).begun_at(metre.bar_quarters * 0.5 + off)
    assert begun.metres == (metre,)


def test_a_sixty_fourth_before_a_bar_belongs_to_it() -> None:
    assert read_melody("R:3.9375 C4 D4 E4 F4").conductor.metres == (COMMON_TIME,)


def test_keys_change_where_bars_begin() -> None:
    conductor = Conductor.of([], [COMMON_TIME], [Key(0, 0, False), Key(8, 1, False)])
    assert conductor.begun_at(0.515).keys == (Key(0, 0, False), Key(7, 1, False))  # the pickup is three quarters
    assert conductor.after(2.0).keys == (Key(0, 0, False), Key(12, 1, False))
    assert conductor.after(16.0).keys == (Key(0, 0, False), Key(40, 1, False))


def test_a_file_is_written_that_can_be_read_at_any_tempo(tmp_path: Path) -> None:
    notes = scale(3, 3000.0)
    write_midi(tmp_path / "a.mid", notes, conductor=Conductor.of([Tempo(0, 0.02)]))
    assert read_midi(tmp_path / "a.mid").equals(notes, tolerance_seconds=A_TICK)
    waits = [message.time for track in mido.MidiFile(tmp_path / "a.mid").tracks for message in track]
    assert max(waits) < 2**28  # four bytes


def test_a_unit_that_no_number_holds_is_no_metre(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mid", mido.MetaMessage("time_signature", numerator=6, denominator=8))
    data = bytearray(path.read_bytes())
    data[data.index(b"\xff\x58\x04") + 4] = 255
    data[data.index(b"\x90\x3c\x50") + 2] = 0x85  # which symusic refuses
    path.write_bytes(data)
    assert read_tracks(path).conductor == UNSAID


def test_a_tune_in_text_has_its_tempos() -> None:
    conductor = read_notes("tempo=90 C4 D4:1/2 tempo=60 E4").conductor
    assert conductor == Conductor((Tempo(0, 2 / 3), Tempo(1.5, 1)))


def test_bars_of_four_where_nothing_is_said() -> None:
    assert UNSAID.bar_lines(6.1).tolist() == [0, 2, 4, 6]
    assert UNSAID.begun_at(1.5).metres == (Metre(0, 1, 4), COMMON_TIME._replace(quarters=1.0))


@given(st.integers(0, 99), st.sampled_from([1, 2, 4]))
def test_a_piece_has_bars_if_it_keeps_to_them(seed: int, parts: int) -> None:
    """A tune in quarters, eighths or sixteenths, and two free notes beside each of its; and free ones alone."""
    rng = np.random.default_rng(seed)
    start = 0.625 / parts * np.sort(rng.choice(24 * parts, 24, replace=False))
    tune = Notes.from_arrays(start, start + 0.1, np.full(24, 60), np.full(24, 70))
    begin = rng.uniform(0, 75, 240)
    free = Notes.from_arrays(begin, begin + 0.1, rng.integers(30, 50, 240), np.full(240, 60))
    for piece in (tune, Notes.concatenate([tune, free[:48]])):
        bars = WALTZ.bars_of(piece)
        assert bars.seconds.tolist() == WALTZ.bar_lines(piece.duration_seconds).tolist()
        assert bars.first == 1
    assert not len(WALTZ.bars_of(free).seconds)
    assert not len(WALTZ.bars_of(Notes.empty()).seconds)


@pytest.mark.parametrize("pickup", [0.125, 1 / 6, 0.375, 2 / 3, 1.0])
def test_a_piece_keeps_to_its_bars_behind_any_pickup(pickup: float) -> None:
    conductor = Conductor.of([Tempo(0, 0.5)]).begun_at((4 - pickup) * 0.5)
    start = np.append(0.0, pickup / 2 + 0.25 * np.arange(40))
    assert len(conductor.bars_of(Notes.from_arrays(start, start + 0.2, np.full(41, 60), np.full(41, 70))).seconds) >= 5


def test_the_first_note_alone_keeps_no_bars() -> None:
    """It begins where the bars do."""
    kept = 0
    for seed in range(100):
        start = np.append(0.0, np.random.default_rng(seed).uniform(0, 8, 9))
        kept += len(UNSAID.bars_of(Notes.from_arrays(start, start + 0.2, np.full(10, 60), np.full(10, 70))).seconds) > 0
    assert kept < 15


@pytest.mark.parametrize(("begin", "first"), [(0.0, 1), (0.625, 1), (0.9375, 0), (1.25, 0)])
def test_a_pickup_of_half_a_bar_or_less_is_not_counted(begin: float, first: int) -> None:
    conductor = WALTZ.begun_at(begin)
    tune = Notes.from_arrays([0.0, 0.625], [0.5, 9.0], [60, 62], [70, 70])
    assert conductor.bars_of(tune).first == first
    assert conductor.bars_of(tune).seconds[1] == pytest.approx(1.875 - begin)
