"""Melodies from more than MIDI. The same tune, written here by hand in every form, gives the same notes."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path, PureWindowsPath

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicstyle.errors import MidiError, UsageError
from musicstyle.music.conductor import Conductor, Tempo
from musicstyle.music.midi import read_midi, read_tracks, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.plaintext import format_tune, looks_like_tune, parse_tune
from musicstyle.music.scores import MAX_BYTES, read_notes

# A tune: (MIDI pitch or None for a rest, length in sixteenths), tempo in quarters a minute.
Tune = list[tuple[int | None, int]]
TUNE: Tune = [(60, 4), (61, 2), (None, 4), (70, 6), (58, 1), (58, 3), (66, 8), (None, 12), (75, 2), (84, 16)]
TEMPO = 100
NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


def notes_of(tune: Tune, tempo: int = TEMPO) -> Notes:
    rows, clock = [], 0
    for pitch, length in tune:
        if pitch is not None:
            rows.append((clock, clock + length, pitch, 100))
        clock += length
    start, end, pitches, velocity = np.array(rows).T
    return Notes.from_arrays(start * 15 / tempo, end * 15 / tempo, pitches, velocity)


def as_text(tune: Tune, tempo: int = TEMPO) -> str:
    words = [f"tempo={tempo}"]
    for pitch, length in tune:
        name = "R" if pitch is None else f"{NAMES[pitch % 12]}{pitch // 12 - 1}"
        words.append(name if length == 4 else f"{name}:{length}/4")
    return " ".join(words)


def as_musicxml(tune: Tune, tempo: int = TEMPO) -> str:
    body = ""
    for pitch, length in tune:
        sounds = "<rest/>"
        if pitch is not None:
            name = NAMES[pitch % 12]
            alter = "<alter>1</alter>" if "#" in name else ""
            sounds = f"<pitch><step>{name[0]}</step>{alter}<octave>{pitch // 12 - 1}</octave></pitch>"
        body += f"<note>{sounds}<duration>{length}</duration></note>"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">
<score-partwise version="3.1"><part-list><score-part id="P1"><part-name>x</part-name></score-part></part-list>
<part id="P1"><measure number="1"><attributes><divisions>4</divisions><key><fifths>0</fifths></key>
<time><beats>4</beats><beat-type>4</beat-type></time></attributes>
<direction><direction-type><words>x</words></direction-type><sound tempo="{tempo}"/></direction>{body}</measure></part>
</score-partwise>"""


def as_mxl(text: str, container: bool = True) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        if container:
            name = '<container><rootfiles><rootfile full-path="a/score.xml"/></rootfiles></container>'
            archive.writestr("META-INF/container.xml", name)
            archive.writestr("other.xml", "<x/>")
        archive.writestr("a/score.xml", text)
    return out.getvalue()


def as_abc(tune: Tune, tempo: int = TEMPO) -> str:
    body = ""
    for pitch, length in tune:
        if pitch is None:
            body += f"z{length} "
            continue
        name, octave = NAMES[pitch % 12], pitch // 12 - 1
        letter = name[0] if octave <= 4 else name[0].lower()
        marks = "," * (4 - octave) if octave <= 4 else "'" * (octave - 5)
        body += f"{'^' if '#' in name else '='}{letter}{marks}{length} "
    return f"X:1\nT:x\nM:none\nL:1/16\nQ:1/4={tempo}\nK:C\n{body}\n"


def as_krn(tune: Tune, tempo: int = TEMPO) -> str:
    lines = ["**kern", f"*MM{tempo}", "*clefG2"]
    for pitch, length in tune:
        # A length is said as parts of a whole: 4 is a quarter, 3%2 two thirds of a whole.
        whole = Fraction(16, length)
        duration = str(whole.numerator) if whole.denominator == 1 else f"{whole.numerator}%{whole.denominator}"
        if pitch is None:
            lines.append(f"{duration}r")
            continue
        name, octave = NAMES[pitch % 12], pitch // 12 - 1
        letters = name[0].lower() * (octave - 3) if octave >= 4 else name[0] * (4 - octave)
        lines.append(f"{duration}{letters}{'#' * name.count('#')}")
    return "\n".join([*lines, "*-", ""])


FORMS: dict[str, Callable[..., str | bytes]] = {
    ".txt": as_text,
    ".melody": as_text,
    ".xml": as_musicxml,
    ".musicxml": as_musicxml,
    ".mxl": lambda tune, tempo=TEMPO: as_mxl(as_musicxml(tune, tempo)),
    ".abc": as_abc,
    ".krn": as_krn,
}
# MIDI, by which ABC is read, has whole microseconds a quarter.
TOLERANCE = dict.fromkeys(FORMS, 1e-9) | {".abc": 1e-3}


def written(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("suffix", FORMS)
def test_every_form_gives_the_notes_that_midi_gives(tmp_path: Path, suffix: str) -> None:
    write_midi(tmp_path / "tune.mid", notes_of(TUNE))
    found = read_notes(written(tmp_path, f"tune{suffix}", FORMS[suffix](TUNE))).notes
    assert found.equals(read_notes(tmp_path / "tune.mid").notes, tolerance_seconds=TOLERANCE[suffix])


@pytest.mark.parametrize("suffix", [".txt", ".xml", ".abc", ".krn"])
@settings(max_examples=12)
@given(
    tune=st.lists(st.tuples(st.none() | st.integers(36, 96), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16])), min_size=1),
    tempo=st.integers(40, 240),
)
def test_any_tune_in_any_form(tmp_path_factory: pytest.TempPathFactory, suffix: str, tune: Tune, tempo: int) -> None:
    tune = [*tune, (57, 4)]
    path = written(tmp_path_factory.mktemp("tune"), f"tune{suffix}", FORMS[suffix](tune, tempo))
    assert read_notes(path).notes.equals(notes_of(tune, tempo), tolerance_seconds=TOLERANCE[suffix])


@pytest.mark.parametrize("suffix", [".txt", ".musicxml", ".abc", ".krn"])
def test_generate_takes_any_form(tmp_path: Path, suffix: str) -> None:
    from musicstyle.generation.transfer import read_melody

    path = written(tmp_path, f"tune{suffix}", FORMS[suffix](TUNE))
    assert read_melody(path).notes.equals(notes_of(TUNE), tolerance_seconds=TOLERANCE[suffix])
    with pytest.raises(UsageError, match=r"only MIDI files have tracks|no tune '0'"):
        read_melody(path, "0")


def test_suffixes_in_capitals_and_midi_under_any_name(tmp_path: Path) -> None:
    assert len(read_notes(written(tmp_path, "TUNE.ABC", as_abc(TUNE))).notes) == 8
    write_midi(tmp_path / "tune.mid", notes_of(TUNE))
    for name in ("tune", "tune.xml", "tune.dat"):
        path = written(tmp_path, name, (tmp_path / "tune.mid").read_bytes())
        assert read_notes(path).notes.equals(read_midi(tmp_path / "tune.mid"))


def test_a_tune_itself_in_place_of_a_file(tmp_path: Path) -> None:
    assert read_notes(as_text(TUNE)).notes.equals(notes_of(TUNE), tolerance_seconds=1e-9)
    assert read_notes(Path("C4 " * 400)).notes.duration_seconds == 200  # longer than a file's name may be
    with pytest.raises(MidiError, match=r"the tune: line 1: 'H4' is no note"):
        read_notes("C4 H4")
    for name in ("C4.txt", "A1 Something.mid"):
        with pytest.raises(MidiError, match="no such file"):
            read_notes(name)


def test_a_tune_may_have_passed_for_a_path_on_windows() -> None:
    tune = "tempo=90 C4:3/4 D4:1/3 | R:1/2 E4"
    text = str(PureWindowsPath(tune))
    assert text != tune
    assert looks_like_tune(text)
    assert format_tune(parse_tune(text).notes) == format_tune(parse_tune(tune).notes)


def test_tracks_are_midi_s(tmp_path: Path) -> None:
    write_midi(tmp_path / "tune.mid", notes_of(TUNE))
    for track in ("0", 0):
        assert read_notes(tmp_path / "tune.mid", track=track).notes.equals(read_midi(tmp_path / "tune.mid"))
    with pytest.raises(UsageError, match="no track 'x'"):
        read_notes(tmp_path / "tune.mid", track="x")


def test_a_track_of_drums_is_no_melody(tmp_path: Path) -> None:
    file = mido.MidiFile()
    for channel in (9, 0):
        note = [mido.Message(kind, channel=channel, note=60, time=480) for kind in ("note_on", "note_off")]
        file.tracks.append(mido.MidiTrack(note))
    file.save(tmp_path / "drums.mid")
    drums = next(one.index for one in read_tracks(tmp_path / "drums.mid").tracks if one.is_drum)
    with pytest.raises(UsageError, match=f"track '{drums}' holds drums"):
        read_notes(tmp_path / "drums.mid", track=str(drums))
    assert len(read_notes(tmp_path / "drums.mid", track=str(1 - drums)).notes) == 1


@pytest.mark.parametrize("text", [b"", b"tempo=60 C4 D4"])
def test_a_pipe_is_read_once(tmp_path: Path, text: bytes) -> None:
    write_midi(tmp_path / "tune.mid", Notes.from_arrays([0, 1], [1, 2], [60, 62], [90, 90]))
    os.mkfifo(tmp_path / ("pipe.txt" if text else "pipe"))
    (pipe,) = tmp_path.glob("pipe*")
    writer = threading.Thread(target=pipe.write_bytes, args=(text or (tmp_path / "tune.mid").read_bytes(),))
    writer.start()
    assert read_notes(pipe).notes.pitch.tolist() == [60, 62]
    writer.join()


def test_what_is_meant_as_a_tune_and_is_no_file_is_said_to_be_none() -> None:
    assert read_notes("C4:4").notes.end.tolist() == [2.0]
    for text, match in (
        ("X9 C4:4", "no such file, and no tune"),
        ("C4", "no such file$"),
        ("C4 X9", "'X9' is no note"),
    ):
        with pytest.raises(MidiError, match=match):
            read_notes(text)


def test_a_number_is_no_name_and_a_name_must_be_one_track_s(tmp_path: Path) -> None:
    file = mido.MidiFile(type=1)
    for pitch, name in ((60, "1"), (61, "0"), (62, "Piano"), (63, "piano")):
        note = [mido.Message("note_on", note=pitch), mido.Message("note_off", note=pitch, time=480)]
        file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name=name), *note]))
    file.save(tmp_path / "four.mid")
    for track, pitch in (("0", 60), ("1", 61), ("3", 63)):
        assert read_notes(tmp_path / "four.mid", track=track).notes.pitch.tolist() == [pitch]
    with pytest.raises(UsageError, match="2 tracks are named 'PIANO'; give a number of 2 'Piano', 3 'piano'"):
        read_notes(tmp_path / "four.mid", track="PIANO")


def test_a_score_has_no_tracks(tmp_path: Path) -> None:
    for source in (written(tmp_path, "tune.krn", FORMS[".krn"](TUNE)), "C4 D4"):
        with pytest.raises(UsageError, match="only MIDI files have tracks"):
            read_notes(source, track="0")


ABC = "X:1\nM:4/4\nL:1/4\nQ:1/4=60\nK:{key}\n{body}\n"


def pitches(text: str) -> list[tuple[float, float, int]]:
    from musicstyle.music.scores import read_score

    notes = read_score(text.encode(), "abc").notes
    return list(zip(notes.start.tolist(), notes.end.tolist(), notes.pitch.tolist(), strict=True))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C4|D4|:E4|F4:|G4|]", [(0, 60), (4, 62), (8, 64), (12, 65), (16, 64), (20, 65), (24, 67)]),  # a repeat
        ("|: C4 |1 D4 :|2 E4 |]", [(0, 60), (4, 62), (8, 60), (12, 64)]),  # two endings
        ('"G7"C2 "Am"D2', [(0, 60), (2, 62)]),  # chord symbols do not sound
        ("{d}C2 {ef}D2", [(0, 60), (2, 62)]),  # nor do grace notes
        ("(3CDE F2", [(0, 60), (2 / 3, 62), (4 / 3, 64), (2, 65)]),  # a triplet
        ("[CEG]2 z2", [(0, 60), (0, 64), (0, 67)]),  # a chord
        ("[CE]2-[CE]2", [(0, 60), (0, 64)]),  # two, tied
        ("x4|z2C2|Z|D4|", [(6, 60), (12, 62)]),  # rests, seen and not, and of a bar
        ("C4:|\nD4:|", [(0, 60), (4, 60), (8, 62), (12, 62)]),  # a repeat begins behind the last one
        ("|:C4::D4:|", [(0, 60), (4, 60), (8, 62), (12, 62)]),  # however
        ("|:C4:|:D4:|", [(0, 60), (4, 60), (8, 62), (12, 62)]),  # it is written
        ("[V:1] C2|E2|\n[V:2] C,2|E,2|", [(0, 48), (0, 60), (2, 52), (2, 64)]),  # voices
        ("V:1\nC2|\nV:2\nC,2|\nV:1\nE2|\nV:2\nE,2|", [(0, 48), (0, 60), (2, 52), (2, 64)]),  # in turns
        ("C2|\nr:remark D\n[r:E]D2|\n\nCollected by a fiddler\n", [(0, 60), (2, 62)]),  # what is no music
        ("~C2 TD2 E2~F2 !trill!G4", [(0, 60), (2, 62), (4, 64), (6, 65), (8, 67)]),  # ornaments
        ("+trill+C2 D2", [(0, 60), (2, 62)]),  # as they were written before
        ("U:n=!trill!\nU: m = +mordent+\nnC2 mD2", [(0, 60), (2, 62)]),  # nor by names of one's own
        ("C2D2 H[|]\n|:E2F2:|", [(0, 60), (2, 62), (4, 64), (6, 65), (8, 64), (10, 65)]),  # a bar line that is not seen
        ("C2[Q:1/4=120]D2E2", [(0, 60), (2, 62), (3, 64)]),  # another tempo
        ("|:C4-|1 C4:|2 C4|]", [(0, 60), (8, 60)]),  # a tie into each ending
        ("|:D2E2-|1 E4:|2 E2 E2|]", [(0, 62), (2, 64), (8, 62), (10, 64), (14, 64)]),  # no longer than it is tied
        ("[C2E2]2 D", [(0, 60), (0, 64), (4, 62)]),  # the length of a chord multiplies those inside
        ("[C2E2]/ D [C/ E/]3/2 D", [(0, 60), (0, 64), (1, 62), (2, 60), (2, 64), (2.75, 62)]),
    ],
)
def test_what_a_player_would_do(body: str, expected: list[tuple[float, int]]) -> None:
    found = pitches(ABC.format(key="C", body=body))
    assert [pitch for _, _, pitch in found] == [pitch for _, pitch in expected]
    assert [start for start, _, _ in found] == pytest.approx([start for start, _ in expected], abs=2e-3)


@pytest.mark.parametrize(
    "voice", ["Tenor", "Melody", "Mezzo", "PA", "TA", "P", 'T name="Ta Ma"', "Melody octave=-1", "Tenor transpose=-12"]
)
def test_a_voice_s_name_may_read_as_an_ornament(voice: str) -> None:
    name, _, changed = voice.partition(" ")
    found = pitches(ABC.format(key="C", body=f'V:{voice}\nCDEF|\n[V:{name}] "Ta"GABc|'))
    lower = 12 if "-" in changed else 0
    assert [pitch for *_, pitch in found] == [pitch - lower for pitch in (60, 62, 64, 65, 67, 69, 71, 72)]
    assert [start for start, *_ in found] == pytest.approx(range(8), abs=2e-3)


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("C", "^F F f F|F4|", [66, 66, 78, 66, 65]),
        ("D", "=F F F2|F4|", [65, 65, 65, 66]),
    ],
)
def test_an_accidental_lasts_to_the_bar_line(key: str, body: str, expected: list[int]) -> None:
    assert [pitch for *_, pitch in pitches(ABC.format(key=key, body=body))] == expected


def test_abc_without_its_number_and_of_an_old_mac() -> None:
    text = ABC.format(key="C", body="CDE")
    assert pitches(text.removeprefix("X:1\n")) == pitches(text.replace("\n", "\r")) == pitches(text)


SCORE = """<?xml version="1.0"?><score-partwise><part-list>{}</part-list>{}</score-partwise>"""
BEATS = "<attributes><divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"


def written_part(number: int, bars: str, octave: int = 4) -> str:
    """A part of whole notes: "C" a bar, ":C" and "C:" repeat signs, "C1" an ending, "C_" one without
    a number, "C!" da capo, "C." the end then."""
    written_out = ""
    for place, bar in enumerate(bars.split(), 1):
        step, ending = bar.strip(":")[0], "".join(filter("123_".count, bar))
        begin, end = (
            f'<ending number="{",".join(ending.strip("_"))}" type="{kind}"/>' * bool(ending)
            for kind in ("start", "stop")
        )
        begin += '<repeat direction="forward"/>' * bar.startswith(":")
        end += '<repeat direction="backward"/>' * bar.endswith(":")
        words = {"!": "D.C. al Fine", ".": "Fine"}.get(bar[-1])
        jump = f"<direction><direction-type><words>{words}</words></direction-type></direction>" if words else ""
        written_out += (
            f'<measure number="{place}"><barline location="left">{begin}</barline>{BEATS}'
            f"<note><pitch><step>{step}</step><octave>{octave}</octave></pitch><duration>4</duration></note>{jump}"
            f'<barline location="right">{end}</barline></measure>'
        )
    return f'<part id="P{number}">{written_out}</part>'


def played_score(*parts: str) -> Notes:
    from musicstyle.music.scores import read_score

    names = "".join(f'<score-part id="P{n}"><part-name>x</part-name></score-part>' for n in range(len(parts)))
    return read_score(SCORE.format(names, "".join(parts)).encode(), "musicxml").notes


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ("C D: E F: G", "CDCDEFEFG"),  # a repeat begins behind the last one
        ("C D1: E2 F G: A", "CDCEFGFGA"),  # or behind its last ending
        ("C D_: E_ F", "CDCEF"),  # endings without numbers
        ("C D_: E2 F", "CDCEF"),
        (":C D: E :F G: A", "CDCDEFGFGA"),  # if it does not say itself where
        ("C D: E: F", "CDCDEEF"),
        ("C: :D: :E F", "CCDDEF"),  # one that does not end is none
        (":C :D: E", "CDDE"),
        ("C. D!", "CDC"),
        (":C D1: E2. F G!", "CDCEFGCE"),  # of endings the last, behind a jump
        ("C D1: E F", "CDCEF"),  # an ending that has no second
        (":C D1: E :F G1: A2", "CDCEFGFA"),
        (":C D12: E3 F", "CDCDCEF"),
        (":C: D. :E! F", "CCDECD"),  # behind a jump nothing is repeated
    ],
)
def test_repeats_of_musicxml(bars: str, expected: str) -> None:
    notes = played_score(written_part(0, bars))
    assert "".join(NAMES[pitch % 12] for pitch in notes.pitch.tolist()) == expected


@pytest.mark.parametrize(
    ("marked", "bare"),
    [("C D1: E2", "C D E"), ("C D1: E2", "C D: E"), (":C D: E", "C D E"), ("C. D!", "C D"), ("C: :D: E F", "C D E F")],
)
@pytest.mark.parametrize("first", [True, False])
def test_parts_without_the_signs_are_repeated_with_the_others(marked: str, bare: str, first: bool) -> None:
    parts = (marked, bare) if first else (bare, marked)
    notes = played_score(*(written_part(number, bars, 5 - number) for number, bars in enumerate(parts)))
    upper, lower = (notes[notes.pitch // 12 == octave + 1] for octave in (5, 4))
    assert len(lower) > len(bare.split())
    assert upper.equals(lower.transpose(12), 1e-9)


def test_a_rag_whose_first_ending_has_no_second() -> None:
    import music21

    path = Path(music21.__file__).parent / "corpus" / "joplin" / "maple_leaf_rag.mxl"
    assert len(read_notes(path).notes) == 2568  # every strain twice, but for the first when it comes again


def test_two_voices_may_tie_one_pitch() -> None:
    def note(beats: int, voice: int, tie: str) -> str:
        pitch = "<pitch><step>C</step><octave>4</octave></pitch>"
        return f'<note>{pitch}<duration>{beats}</duration><tie type="{tie}"/><voice>{voice}</voice></note>'

    first, second = (
        note(4, 1, tie) + "<backup><duration>4</duration></backup>" + note(beats, 2, tie)
        for tie, beats in (("start", 4), ("stop", 2))
    )
    bars = f'<measure number="1">{BEATS}{first}</measure><measure number="2">{second}</measure>'
    notes = played_score(f'<part id="P0">{bars}</part>')
    assert sorted(zip(notes.start.tolist(), notes.end.tolist(), strict=True)) == [(0, 3), (0, 4)]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
def test_what_is_written_in_other_encodings(encoding: str, tmp_path: Path) -> None:
    tune = ABC.format(key="C", body="CDEF|\nw:la la\u2026 Fade dead \u00e9 la\nGABc|")
    path = tmp_path / "tune.abc"
    path.write_bytes(tune.encode(encoding))
    assert read_notes(path).notes.pitch.tolist() == [60, 62, 64, 65, 67, 69, 71, 72]
    path = tmp_path / "tune.txt"
    path.write_bytes("C4 D4 # then\u2026 E4 F4\nG4".encode(encoding))
    assert read_notes(path).notes.pitch.tolist() == [60, 62, 67]


@pytest.mark.parametrize("tune", ["| C4 D4 |", "# a tune\nC4 D4"])
def test_a_tune_in_text_may_begin_with_a_bar_line_or_a_remark(tune: str) -> None:
    assert read_notes(tune).notes.pitch.tolist() == [60, 62]


def test_tied_notes_are_one_and_keys_have_accidentals() -> None:
    assert pitches(ABC.format(key="D", body="F2- F2 | F2 F2-|F4 |")) == [(0, 4, 66), (4, 6, 66), (6, 12, 66)]

    from musicstyle.music.scores import read_score

    notes = read_score(b"**kern\n*MM60\n=1\n2[c 2[e\n=2\n2c] 2e]\n2c\n=3\n*-\n", "humdrum").notes  # a chord
    assert list(zip(notes.end.tolist(), notes.pitch.tolist(), strict=True)) == [(4, 60), (4, 64), (6, 60)]


@pytest.mark.parametrize("change", ["[{}]", "\n{}\n"])
def test_a_field_in_mid_tune_counts_from_there(change: str) -> None:
    in_d = ABC.format(key="C", body="FC|" + change.format("K:D") + "FC|")
    assert [pitch for *_, pitch in pitches(in_d)] == [65, 60, 66, 61]
    shorter = ABC.format(key="C", body="CD|" + change.format("L:1/8") + "CD|")
    assert [end for _, end, _ in pitches(shorter)] == [1.0, 2.0, 2.5, 3.0]
    no_length = "X:1\nQ:1/4=60\nK:C\nC2 D2|" + change.format("M:3/4") + "E2|\n"
    assert [end for _, end, _ in pitches(no_length)] == [1.0, 2.0, 3.0]  # an eighth where the header is silent


def test_what_a_file_says_before_its_first_tune_counts() -> None:
    tune = "X:1\n{}K:C\nCD\n\nX:2\nK:C\nE\n"
    assert pitches("%abc-2.1\nL:1/4\nQ:1/4=60\n\n" + tune.format("T:x\n")) == [(0, 1, 60), (1, 2, 62)]
    assert pitches("L:1/16\nM:4/4\nQ:1/4=60\n\n" + tune.format("L:1/2\n")) == [(0, 2, 60), (2, 4, 62)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ABC.format(key="C", body="C/3D"), "3 b is not a power of 2"),
        (ABC.format(key="C", body="[CE]4/3D"), "3 b is not a power of 2"),
        ("X:1\n%%MIDI drumon\nK:C\nCD\n", "%%MIDI drumon must occur after the first K: header"),
    ],
)
def test_what_abc2midi_does_not_play_is_told_in_its_words(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^cannot be read as abc .abc2midi: {reason}.$"):
        pitches(text)
    assert len(pitches(ABC.format(key="C", body="CD") + "\n" + text.replace("X:1", "X:2"))) == 2  # another tune's fault


def test_a_book_of_tunes_gives_its_first() -> None:
    assert [pitch for *_, pitch in pitches(ABC.format(key="C", body="CDE") + "\nX:2\nK:C\nGGG\n")] == [60, 62, 64]


def test_tempo_may_change_and_defaults_to_120() -> None:
    assert pitches("X:1\nK:C\nC2 D2 |\n") == [(0, 0.5, 60), (0.5, 1, 62)]
    krn = "**kern\n*MM60\n=1\n4c\n4d\n=2\n*MM120\n4e\n4f\n=3\n*-\n"
    from musicstyle.music.scores import read_score

    assert read_score(krn.encode(), "humdrum").notes.end.tolist() == [1, 2, 2.5, 3]


def test_transposing_instruments_sound_where_they_sound() -> None:
    from musicstyle.music.scores import read_score

    flat = as_musicxml([(60, 4), (62, 4)]).replace(
        "</time>", "</time><transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    )
    assert read_score(flat.encode(), "musicxml").notes.pitch.tolist() == [58, 60]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = as_musicxml(TUNE).replace("<words>x<", "<words>für Élise<")
    path = written(tmp_path, "x.xml", text.replace("UTF-8", encoding.removesuffix("-sig")).encode(encoding))
    assert len(read_notes(path).notes) == 8


BOMB = '<?xml version="1.0"?><!DOCTYPE lol [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY a{i} "{"&a" * 0}{f"&a{i - 1 if i else str()};" * 10}">' for i in range(9)
)
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY f SYSTEM "file:///etc/hostname">]><score-partwise>&f;</score-partwise>'
)


PACKED = as_mxl(as_musicxml(TUNE))


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize("place", range(40, len(PACKED), 37))
def test_a_damaged_archive_is_never_more_than_a_line(tmp_path: Path, place: int) -> None:
    path = written(tmp_path, "x.mxl", flipped(PACKED, place))
    try:
        assert read_notes(path).notes.equals(notes_of(TUNE), tolerance_seconds=1e-9)  # where the byte meant nothing
    except MidiError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.xml", b"", "is empty"),
        ("x.xml", b"hello", "damaged XML"),
        ("x.xml", as_musicxml(TUNE)[:-40].encode(), "damaged XML"),
        ("x.xml", b'<?xml version="1.0" encoding="foo"?><score-partwise/>', "damaged XML .unknown encoding: foo"),
        ("x.xml", b"<svg/>", "XML of another kind"),
        ("x.xml", b"<score-timewise/>", "save it as partwise"),
        ("x.xml", b"<score-partwise/>", "cannot be read as musicxml|holds no notes"),
        ("x.xml", (BOMB + "]><score-partwise>&a8;</score-partwise>").encode(), "entity"),
        ("x.xml", EXTERNAL.encode(), "entity"),
        ("x.mxl", b"PK\x03\x04 nonsense", "damaged compressed score"),
        ("x.mxl", as_mxl("x" * 10)[:-30], "damaged compressed score"),
        ("x.mxl", as_mxl(" " * (MAX_BYTES + 1)), "unpacks to more than 32 MB"),
        ("x.mxl", as_mxl(EXTERNAL), "entity"),
        ("x.abc", b"hello", "cannot be read as abc|holds no notes"),
        ("x.abc", b"X:1\nK:C\nz4\n", "holds no notes"),
        ("x.krn", b"hello", "cannot be read as humdrum|holds no notes"),
        ("x.krn", b"\x00\xff\xfe", "cannot be read as humdrum|holds no notes"),
        ("x.krn", b"**kern\n4r\n*-\n", "holds no notes"),
        ("x.txt", b"# nothing but a remark\n| |", "holds no notes"),
        ("x.melody", b"C4\nD4 E4:x\n", "line 2: 'E4:x' needs its beats"),
        ("x.wav", b"RIFF....WAVE", "of no kind that holds notes"),
        ("x.mid", b"C4 D4", "is not a MIDI file"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    with pytest.raises(MidiError, match=reason) as caught:
        read_notes(written(tmp_path, name, data))
    assert str(caught.value).startswith(str(tmp_path / name))
    assert len(str(caught.value).splitlines()) == 1


def test_a_score_without_container_and_a_folder(tmp_path: Path) -> None:
    assert len(read_notes(written(tmp_path, "x.mxl", as_mxl(as_musicxml(TUNE), container=False))).notes) == 8
    (tmp_path / "x.abc").mkdir()
    with pytest.raises(MidiError, match="is a folder"):
        read_notes(tmp_path / "x.abc")


# --- plain text


@pytest.mark.parametrize(
    ("word", "pitch", "beats"),
    [
        ("C4", 60, 1), ("c4", 60, 1), ("A0", 21, 1), ("C8", 108, 1), ("C#4", 61, 1), ("Db4", 61, 1), ("B#3", 60, 1),
        ("Cb4", 59, 1), ("F##4", 67, 1), ("Bbb3", 57, 1), ("bb3", 58, 1), ("b3", 59, 1), ("B#7", 108, 1),
        ("E4:2", 64, 2), ("E4:1.5", 64, 1.5), ("E4:.5", 64, 0.5), ("E4:3/4", 64, 0.75), ("E4:1.5/2", 64, 0.75),
    ],
)  # fmt: skip
def test_words(word: str, pitch: int, beats: float) -> None:
    notes = parse_tune(f"tempo=60 {word}").notes
    assert (notes.pitch.tolist(), notes.end.tolist(), notes.velocity.tolist()) == ([pitch], [beats], [100])


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("H4", "no note"), ("C", "no note"), ("C#b4", "no note"), ("C###4", "no note"), ("4C", "no note"),
        ("CC4", "no note"), ("C#8", "no key"), ("Ab0", "no key"), ("C4:", "beats"), ("C4:0", "beats"),
        ("C4:-1", "beats"), ("C4:1/0", "beats"), ("C4:1e3", "beats"), ("C4:nan", "beats"), ("C4:100001", "beats"),
        ("R:x", "beats"), ("tempo=0", "1 to 1000"), ("tempo=fast", "1 to 1000"), ("tempo=", "1 to 1000"),
        ("tempo=1/0", "1 to 1000"), ("temp=100", "no note"),
    ],
)  # fmt: skip
def test_wrong_words_are_named_with_their_line(word: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_tune(f"C4 | D4 # a remark: X Y\n\n  {word} E4")
    assert str(caught.value).startswith(f"line 3: {word!r} ")


def test_a_tune_of_days_is_refused() -> None:
    with pytest.raises(MidiError, match="would last 167 hours"):
        read_notes("tempo=1 " + "C4:1000 " * 10)


def test_time_is_exact_and_tempo_may_change() -> None:
    notes = parse_tune("tempo=90 " + "C4:1/3 " * 900 + "TEMPO=60 R D4|E4:2||").notes
    assert notes.start[-2:].tolist() == [201, 202]
    assert notes.end[-1] == 204


def test_default_tempo_is_120() -> None:
    assert parse_tune("C4 R:2 D4").notes.start.tolist() == [0, 1.5]


@given(st.lists(st.tuples(st.integers(0, 2**21), st.integers(1, 2**21), st.integers(21, 108)), min_size=1, max_size=30))
def test_a_tune_comes_back_from_its_text(rows: list[tuple[int, int, int]]) -> None:
    clock, notes = 0, []
    for gap, length, pitch in rows:
        notes.append(((clock + gap) / 1000, (clock + gap + length) / 1000, pitch, 100))
        clock += gap + length
    tune = Notes.from_arrays(*zip(*notes, strict=True))
    assert parse_tune(format_tune(tune)).notes.equals(tune, tolerance_seconds=1e-9)


@pytest.mark.parametrize(
    ("tune", "printed"),
    [
        ("tempo=132 D4 G4:1/3 A4:1/3 B4:1/3 R:0.5 C5:1.5", "tempo=132 D4:1 G4:1/3 A4:1/3 B4:1/3 R:0.5 C5:1.5"),
        ("tempo=97.5 R C4:0.125 D4:4", "tempo=97.5 R:1 C4:0.125 D4:4"),
        ("tempo=120 C4:0.51 D4", "tempo=60 C4:0.255 D4:0.5"),
        ("tempo=120 C4 tempo=60 D4", "tempo=60 C4:0.5 D4:1"),
    ],
)
def test_a_tune_is_printed_in_its_own_quarters_if_it_keeps_to_them(tune: str, printed: str) -> None:
    read = parse_tune(tune)
    assert format_tune(read.notes, read.conductor) == printed
    assert parse_tune(printed).notes.equals(read.notes, tolerance_seconds=1e-3)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 400), st.integers(21, 108)), min_size=1, max_size=30),
       st.integers(1, 1000), st.sampled_from([24, 1000]))  # fmt: skip
def test_a_tune_comes_back_from_its_text_in_any_tempo(rows: list[tuple[int, int, int]], tempo: int, parts: int) -> None:
    clock, notes = 0, []
    for gap, length, pitch in rows:
        begin, clock = clock + gap, clock + gap + length
        notes.append((begin * 60 / tempo / parts, clock * 60 / tempo / parts, pitch, 100))
    tune = Notes.from_arrays(*zip(*notes, strict=True))
    if (np.diff(np.stack([tune.start, tune.end], axis=1).ravel())[::2] < 2e-3).any():
        return  # lengths that no millisecond tells
    again = parse_tune(format_tune(tune, Conductor.of([Tempo(0.0, round(6e7 / tempo) / 1e6)]))).notes
    assert again.equals(tune, tolerance_seconds=1.001e-3)


BOOK = "L:1/4\nX:1\nT:Air\nT:Song\nK:C\nC D|\n\nX: 7\nT:Été\nK:G\nF2 G|\n\nX:8\nT:air\nQ:1/4=60\nK:C\ne|\n"


@pytest.mark.parametrize(
    ("tune", "pitches", "end"),
    [(None, [60, 62], 1.0), ("1", [60, 62], 1.0), (7, [66, 67], 1.5), ("été", [66, 67], 1.5), ("8", [76], 1.0)],
)
def test_a_tune_of_a_book_is_chosen_by_its_number_or_title(
    tmp_path: Path, tune: str | int | None, pitches: list[int], end: float
) -> None:
    """What the book says before its tunes counts in each."""
    notes, conductor = read_notes(written(tmp_path, "book.abc", BOOK), track=tune)
    assert notes.pitch.tolist() == pitches
    assert notes.end.max() == pytest.approx(end, abs=0.005)
    assert conductor.tempos[0].seconds == (1 if tune == "8" else 0.5)


def test_a_tune_that_a_book_has_not_or_twice(tmp_path: Path) -> None:
    book = written(tmp_path, "book.abc", BOOK)
    with pytest.raises(UsageError, match="no tune 'Reel'; its tunes are 1 'Air', 7 'Été', 8 'air'"):
        read_notes(book, track="Reel")
    with pytest.raises(UsageError, match="2 tunes are named 'AIR'; give a number of 1 'Air', 8 'air'"):
        read_notes(book, track="AIR")
    many = "".join(f"X:{number}\nT:T{number}\nK:C\nC|\n\n" for number in range(40))
    with pytest.raises(UsageError, match=r"18 'T18', 19 'T19' and 20 more$"):
        read_notes(written(tmp_path, "many.abc", many), track="none")
    with pytest.raises(UsageError, match="no tune '2'; its tunes are 1 ''"):
        read_notes(written(tmp_path, "one.abc", "K:C\nCDE|\n"), track="2")


def test_a_tune_is_not_a_file_name() -> None:
    assert looks_like_tune("C4 D4")
    assert looks_like_tune("tempo=90 C4")
    for name in ("C4", "C4.mid", "my tune.mid", "", " ", "Bach BWV 1.mid"):
        assert not looks_like_tune(name)
