"""Sound, pictures and pages: the right pitch, volume and length; nothing lost, injected or half written."""

from __future__ import annotations

import base64
import html.parser
import json
import re
import shutil
import subprocess
import tracemalloc
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from scipy.signal import freqz, lfilter
from some_notes import random_notes

from musicstyle.errors import MusicstyleError, UsageError
from musicstyle.music.conductor import Conductor, Metre, Tempo
from musicstyle.music.midi import read_midi, read_tracks
from musicstyle.music.notes import Notes
from musicstyle.music.outputs import SUFFIXES, output_kind, write_output
from musicstyle.music.outputs import sampler as sampler_room
from musicstyle.music.outputs import soundfont as font_room
from musicstyle.music.outputs.audio import FORMATS, write_audio
from musicstyle.music.outputs.page import Piece, write_page
from musicstyle.music.outputs.picture import pitch_name, plays_melody, write_picture
from musicstyle.music.outputs.sampler import ROOM_DELAY_SECONDS, ROOM_SECONDS, Sampler
from musicstyle.music.outputs.soundfont import Zone, find_font, read_piano

RATE = 16_000
EVIL = "</script></title><img src=x onerror=alert(1)> & \"quotes\" 'too'"


def note(pitch: int, velocity: int = 80, start: float = 0.0, end: float = 1.0) -> Notes:
    return Notes.from_arrays([start], [end], [pitch], [velocity])


def sound(notes: Notes, rate: int = RATE) -> np.ndarray:
    return np.concatenate(list(Sampler(notes, rate).blocks()))


def loudness(samples: np.ndarray) -> float:
    return float(np.sqrt((samples**2).mean()))


def fundamental_hertz(samples: np.ndarray, around: float) -> float:
    """The strongest frequency within a semitone and a half of `around`, interpolated between bins."""
    mono = samples.mean(axis=1) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(mono, 8 * len(mono)))
    hertz = np.fft.rfftfreq(8 * len(mono), 1 / RATE)
    near = np.abs(np.log2(hertz.clip(1) / around)) < 1.5 / 12
    return float(hertz[near][spectrum[near].argmax()])


@pytest.mark.parametrize("pitch", [33, 45, 57, 69, 76, 84, 93])
def test_a_key_sounds_at_its_frequency(pitch: int) -> None:
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    assert fundamental_hertz(sound(note(pitch)), wanted) == pytest.approx(wanted, rel=0.01)


def test_the_strongest_partial_of_a4_is_440_hertz() -> None:
    mono = sound(note(69)).mean(axis=1)
    spectrum = np.abs(np.fft.rfft(mono))
    assert spectrum.argmax() * RATE / len(mono) == pytest.approx(440, rel=0.01)


def test_all_keys_of_the_piano_and_those_beyond_it_sound() -> None:
    for pitch in (0, 20, 21, 64, 108, 109, 127):
        samples = sound(note(pitch, end=0.2))
        assert np.isfinite(samples).all()
        assert loudness(samples) > 1e-5


def test_volume_goes_with_the_square_of_velocity() -> None:
    # SoundFont 2.04, 8.4.1: 40 log10(127 / velocity) dB below full volume.
    full = loudness(sound(note(60, 127)))
    for velocity in (1, 40, 64, 100):
        assert loudness(sound(note(60, velocity))) / full == pytest.approx((velocity / 127) ** 2, rel=1e-4)


def test_sound_begins_with_the_note_and_ends_after_it() -> None:
    samples = sound(note(60, start=0.5, end=1.5))
    onset = int(0.5 * RATE)
    assert np.abs(samples[: onset - 1]).max() < 1e-8  # the rounding of the room's Fourier transform
    assert loudness(samples[onset : onset + 800]) > 0.01
    struck, ringing = loudness(samples[onset : onset + 800]), loudness(samples[int(1.4 * RATE) : int(1.5 * RATE)])
    assert ringing < struck
    assert loudness(samples[-800:]) < struck / 1000
    assert 1.5 + ROOM_SECONDS < len(samples) / RATE < 1.5 + ROOM_SECONDS + 1.5


def test_a_key_let_go_falls_silent_sooner_than_one_held() -> None:
    short, long = sound(note(50, end=0.3)), sound(note(50, end=3.0))
    window = slice(int(1.5 * RATE), int(2.0 * RATE))
    assert loudness(short[window]) < loudness(long[window]) / 20


def test_a_loop_goes_on_without_a_seam() -> None:
    # Far past its recording (0.6 s) the tone is as smooth as before: no jump between samples larger than at the start.
    samples = sound(note(57, end=6.0), 44_100).mean(axis=1)
    jumps = np.abs(np.diff(samples))
    assert jumps[44_100 * 2 : 44_100 * 5].max() < jumps[:44_100].max()
    assert loudness(samples[44_100 * 5 : 44_100 * 6]) > loudness(samples[44_100 * 6 + 22_050 :]) * 100  # to its end


SINE = np.sin(2 * np.pi * np.arange(230) / 50).astype(np.float32)
ZONE = Zone(
    low=60, high=60, wave=SINE, loop_length=100, rate=RATE, root=60.0, gain=0.5, hold_seconds=0.25,
    decay_db_per_second=20.0, sustain_db=8.0, release_db_per_second=40.0, filter_hold_seconds=0.25,
    filter_cents=13500.0, filter_fall_cents_per_second=0.0, filter_floor_cents=13500.0,
)  # fmt: skip


def hertz_of(cents: float) -> float:
    return 8.176 * 2 ** (cents / 1200)


def gain_at(coefficients: tuple[np.ndarray, np.ndarray], hertz: float) -> float:
    return float(np.abs(freqz(*coefficients, [hertz], fs=RATE)[1][0]))


def test_a_looped_wave_goes_on_for_ever_between_its_samples_too() -> None:
    places = np.linspace(50, 5000, 12_345)
    assert np.abs(sampler_room._play(ZONE, places) - np.sin(2 * np.pi * places / 50)).max() < 5e-4


def test_a_tone_holds_fades_and_is_sustained_as_its_zone_says() -> None:
    steady = replace(ZONE, wave=np.ones(230, np.float32))
    tone = sampler_room._tone(steady, 60, RATE, RATE)
    for seconds, fallen_db in ((0.1, 0), (0.24, 0), (0.35, 2), (0.5, 5), (0.64, 7.8), (0.7, 8), (0.99, 8)):
        assert tone[int(seconds * RATE)] == pytest.approx(0.5 * 10 ** (-fallen_db / 20), rel=1e-3)


def test_a_tone_darkens_without_a_seam_down_to_the_floor_of_its_zone() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE)
    open_ = sampler_room._low_pass(hertz_of(ZONE.filter_cents), RATE)
    np.testing.assert_allclose(sampler_room._darken(noise, ZONE, RATE), lfilter(*open_, noise), atol=1e-9)
    closing = replace(ZONE, filter_fall_cents_per_second=20_000.0, filter_floor_cents=8000.0)
    treble = np.sin(2 * np.pi * 2000 * np.arange(RATE) / RATE)
    dark = sampler_room._darken(treble, closing, RATE)
    floor = sampler_room._low_pass(hertz_of(8000), RATE)
    assert loudness(dark[-RATE // 4 :]) / loudness(treble) == pytest.approx(gain_at(floor, 2000), rel=1e-3)
    assert gain_at(floor, 2000) < 0.2 < loudness(dark[: RATE // 5])


@pytest.mark.parametrize("hertz", [100.0, 3500.0, 20_000.0])
def test_a_low_pass_halves_the_power_at_its_cutoff_and_is_stable(hertz: float) -> None:
    coefficients = sampler_room._low_pass(hertz, RATE)
    assert gain_at(coefficients, 0) == pytest.approx(1)
    assert gain_at(coefficients, min(hertz, 0.45 * RATE)) == pytest.approx(np.sqrt(0.5))
    assert np.abs(np.roots(coefficients[1])).max() < 1


def test_a_key_let_go_fades_as_its_zone_says_and_ends_unheard() -> None:
    short, long = (Sampler(note(60, 127, end=end), RATE) for end in (0.5, 3.0))
    rate = next(zone for zone in read_piano(find_font()) if zone.low <= 60 <= zone.high).release_db_per_second
    frames, since = len(short.fades[60]), np.arange(len(short.fades[60])) / RATE
    first = int(short.let_go[0])
    expected = long._mix(first, first + frames) * 10 ** (-rate * since / 20)[:, None]
    np.testing.assert_allclose(short._mix(first, first + frames), expected, rtol=1e-4, atol=1e-7)
    assert np.abs(short._mix(first + frames - 100, first + frames)).max() < np.abs(short._mix(0, first)).max() / 1000


def test_every_key_plays_the_zone_it_is_in_and_those_beyond_the_nearest() -> None:
    zones = read_piano(find_font())
    for pitch in range(128):
        zone = sampler_room._zone_of(pitch, zones)
        assert zone.low <= min(pitch, 108) <= zone.high


def test_a_room_is_silent_at_first_and_fades_by_60_db() -> None:
    room = sampler_room._room(44_100)
    delay, tenth = int(ROOM_DELAY_SECONDS * 44_100), len(room) // 10
    assert not room[:delay].any()
    assert room[delay:].any(axis=1).all()
    early, late = loudness(room[tenth : 2 * tenth]), loudness(room[-tenth:])
    assert 20 * np.log10(early / late) == pytest.approx(60 * 0.8, abs=1)


def test_sound_adds_up_and_does_not_depend_on_blocks() -> None:
    # Two notes 3.9 s and 4.1 s in lie on both sides of a border between blocks; the second one crosses another.
    one, two = note(52, 90, 3.9, 4.3), note(71, 50, 4.1, 8.2)
    both = sound(Notes.concatenate([one, two]))
    for alone in (sound(one), sound(two)):
        both[: len(alone)] -= alone
    assert np.abs(both).max() < 1e-5
    early = sound(note(52, 90, 0.9, 1.3))
    late = sound(one)[int(3 * RATE) :][: len(early)]
    assert np.allclose(early, late, atol=1e-6)


def test_low_keys_are_left_and_high_keys_right() -> None:
    for pitch, louder in ((25, 0), (105, 1)):
        left_and_right = [loudness(channel) for channel in sound(note(pitch)).T]
        assert int(np.argmax(left_and_right)) == louder


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_is_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"new/a{suffix}"
    write_audio(path, random_notes(1, 40, 2.0), 22_050)
    samples, rate = soundfile.read(path)
    assert (rate, samples.shape[1]) == (22_050, 2)
    # Lossy formats may overshoot a little, never to full scale.
    assert 0.84 < np.abs(samples).max() < 0.95
    if suffix in (".wav", ".flac"):
        assert np.abs(samples).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("pitch", [60, 66])  # whose highest and whose lowest sample is the farther out
def test_quiet_music_is_brought_to_the_same_peak(tmp_path: Path, pitch: int) -> None:
    write_audio(tmp_path / "quiet.wav", note(pitch, 2), RATE)
    assert np.abs(soundfile.read(tmp_path / "quiet.wav")[0]).max() == pytest.approx(0.891, abs=1e-3)


def test_memory_does_not_grow_with_the_piece(tmp_path: Path) -> None:
    peaks = []
    write_audio(tmp_path / "a.flac", random_notes(2, 10, 1.0), 8000)  # what is imported and read once
    for repeats in (4, 40):
        part = Notes.from_arrays([0.0, 1.0], [0.9, 2.5], [50, 62], [70, 80])
        piece = Notes.concatenate([part.shift(3.0 * i) for i in range(repeats)])
        tracemalloc.start()
        write_audio(tmp_path / "a.flac", piece, 8000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_audio_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.aiff.*\.wav, \.flac"):
        write_audio(tmp_path / "a.aiff", note(60))
    with pytest.raises(UsageError, match="sample rate 7"):
        write_audio(tmp_path / "a.wav", note(60), 7)
    with pytest.raises(ValueError, match="no notes"):
        write_audio(tmp_path / "a.wav", Notes.empty())
    assert not list(tmp_path.iterdir())


def test_the_font_is_read_where_it_lies() -> None:
    font = find_font()
    assert "pretty_midi" in font.parts
    zones = read_piano(font)
    keys = [pitch for zone in zones for pitch in range(zone.low, zone.high + 1)]
    assert keys == list(range(109))  # every key once, none twice
    assert all(0 < zone.loop_length < len(zone.wave) for zone in zones)


def test_the_font_s_piano_has_what_is_read_of_it_in_every_zone_and_nothing_else() -> None:
    """Generators by number, as SoundFont 2.04, 8.1.2 has them; left out as the module says: 16, 17, 21 to 24."""
    chunks = dict(font_room._chunks(find_font().read_bytes()))
    samples = np.frombuffer(chunks[b"shdr"], font_room._SAMPLE)
    for zone in font_room._piano_generators(chunks):
        assert zone.pop(2, 0) == zone.pop(3, 0) == 0  # the loop is the recording's
        assert zone.pop(54) == 1  # for ever
        assert zone.keys() == {8, 11, 16, 17, *range(21, 25), *range(27, 31), *range(35, 39), 43, 48, 52, 53, 58}
        assert not samples["cents"][zone[53]]


def test_a_chunk_of_odd_length_is_padded() -> None:
    inside = b"sfbk" + b"oddd" + (3).to_bytes(4, "little") + b"abc\0" + b"even" + (2).to_bytes(4, "little") + b"de"
    found = font_room._chunks(b"RIFF" + len(inside).to_bytes(4, "little") + inside)
    assert [(name, bytes(content)) for name, content in found] == [(b"oddd", b"abc"), (b"even", b"de")]


def test_the_zone_of_middle_c_by_hand() -> None:
    """From the font's own numbers (35: 5, 36: 4953, 38: 75, 48: 135, 52: 41, 58: 80, ...), by SoundFont 2.04, 8.1.3."""
    zone = next(zone for zone in read_piano(find_font()) if zone.low <= 60 <= zone.high)
    assert (zone.low, zone.high, zone.rate, zone.loop_length, len(zone.wave)) == (60, 62, 22_050, 462, 11_074)
    assert zone.root == pytest.approx(80 - 0.41)
    assert zone.gain == pytest.approx(10 ** (-0.4 * 13.5 / 20))
    assert (zone.hold_seconds, zone.sustain_db) == (pytest.approx(2 ** (5 / 1200)), 100)
    assert zone.decay_db_per_second == pytest.approx(100 / 2 ** (4953 / 1200))
    assert zone.release_db_per_second == pytest.approx(100 / 2 ** (75 / 1200))
    assert (zone.filter_hold_seconds, zone.filter_cents) == (pytest.approx(2 ** (-4786 / 1200)), 6900 + 3009)
    assert zone.filter_fall_cents_per_second == pytest.approx(3009 / 2 ** (5156 / 1200))
    assert zone.filter_floor_cents == 6900


def test_a_font_that_is_none_gets_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.sf2"
    for content in (b"", b"RIFF\x04\x00\x00\x00sfbk", find_font().read_bytes()[:6_000_00]):
        bad.write_bytes(content)
        with pytest.raises(MusicstyleError, match=r"bad\.sf2: no SoundFont"):
            read_piano(bad)
    whole = find_font().read_bytes()
    presets = dict(font_room._chunks(whole))[b"phdr"]
    names = np.frombuffer(presets, font_room._PRESET).copy()
    names["bank"] += 1
    bad.write_bytes(whole.replace(bytes(presets), names.tobytes()))
    with pytest.raises(MusicstyleError, match=r"bad\.sf2: no SoundFont 2 file with a piano"):
        read_piano(bad)
    monkeypatch.setattr(font_room, "FONT", "elsewhere.sf2")
    with pytest.raises(MusicstyleError, match="pretty_midi again"):
        find_font()


def test_a_melody_is_played_by_its_pitch_at_its_time() -> None:
    melody = Notes.from_arrays([1.0, 2.0], [1.5, 2.5], [60, 64], [90, 90])
    notes = Notes.from_arrays([0.85, 0.91, 1.05, 1.0, 2.1, 2.0], [3.0] * 6, [60, 60, 60, 61, 64, 60], [80] * 6)
    played = {
        (float(n.start[0]), int(n.pitch[0]))
        for n in (notes[i : i + 1] for i in np.flatnonzero(plays_melody(notes, melody)))
    }
    assert played == {(0.91, 60), (1.05, 60), (2.1, 64)}
    assert not plays_melody(notes, Notes.empty()).any()


def test_pitch_names() -> None:
    assert [pitch_name(pitch) for pitch in (21, 60, 61, 69, 108)] == ["A0", "C4", "C♯4", "A4", "C8"]


@pytest.mark.parametrize("seconds", [0.0, 0.4, 30.0, 200.0, 4000.0])
def test_pictures_of_all_lengths(tmp_path: Path, seconds: float) -> None:
    from matplotlib.image import imread

    notes = Notes.concatenate([random_notes(3, 25, seconds), note(60, start=seconds, end=seconds)])
    write_picture(tmp_path / "a.png", notes, notes[::3], "Title")
    height, width, _ = imread(tmp_path / "a.png").shape
    assert width == 1690
    assert 500 < height < 4000


def test_a_louder_note_is_darker_and_the_melody_is_warm(tmp_path: Path) -> None:
    from matplotlib.image import imread

    def darkest_blue(velocity: int, melody: Notes | None = None) -> np.ndarray:
        write_picture(tmp_path / "a.png", note(60, velocity, end=8.0), melody)
        picture = imread(tmp_path / "a.png")[:, :, :3]
        return picture[picture.shape[0] // 2 - 60 : picture.shape[0] // 2 + 60, 700].min(axis=0)

    assert darkest_blue(110)[0] < darkest_blue(60)[0] - 0.1
    red, _, blue = darkest_blue(90, note(60, 90, end=8.0))
    assert red > blue


def test_a_melody_is_outlined_where_nothing_plays_it(tmp_path: Path) -> None:
    from matplotlib.image import imread

    def red(melody: Notes | None) -> int:
        write_picture(tmp_path / "a.png", note(60, end=8.0), melody)
        picture = imread(tmp_path / "a.png")[80:, :, :3]  # below the legend
        return int((picture[:, :, 0] - picture[:, :, 2] > 0.4).sum())

    assert red(None) == 0
    assert red(note(67, end=8.0)) > 1000


def test_a_note_that_is_held_over_a_row_s_end_goes_on_in_the_next(tmp_path: Path) -> None:
    from matplotlib.image import imread

    write_picture(tmp_path / "a.png", note(60, 110, end=200.0))
    picture = imread(tmp_path / "a.png")[:, 700, :3]
    rows = np.array_split(picture, 3)  # 200 s are three rows
    assert all((row[:, 2] - row[:, 0]).max() > 0.2 for row in rows)  # blue


@pytest.mark.parametrize(("end", "seconds"), [(12.0, 3), (72.0, 3), (300.0, 0.25)])
def test_lines_stand_where_bars_begin(tmp_path: Path, end: float, seconds: float) -> None:
    from matplotlib.image import imread

    conductor = Conductor.of([Tempo(0, seconds / 4)])
    start = np.arange(0, end, end / 20 if seconds < 1 else end / 4)
    notes = Notes.from_arrays(start, start + 1, np.full(len(start), 60), np.full(len(start), 70))
    write_picture(tmp_path / "a.png", Notes.concatenate([notes, note(60, start=end - 1, end=end)]), conductor=conductor)
    picture = imread(tmp_path / "a.png")[:, :, :3].max(axis=2)
    lines = np.flatnonzero((picture[90:100] < 0.93).all(axis=0))  # above the note, in the first row
    left, right = 1690 * 0.62 / 13, 1690 * (1 - 0.31 / 13)
    row = {12.0: 12, 72.0: 36, 300.0: 60}[end]
    at = (lines - left + 0.5) / (right - left) * row
    at = at[np.diff(at, prepend=-9) > 2 * row / 1690]  # a line is two columns wide at most
    distance = 1.0 if seconds < 1 else seconds  # of 240 bars in a row every fourth has a line
    np.testing.assert_allclose(at, np.arange(0, row - 0.01, distance), atol=row / 800)


def test_svg_is_repeatable_xml_with_the_title_as_text_not_markup(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        write_picture(tmp_path / name, random_notes(4, 30, 9.0), None, "<b>$x_2$</b> & more")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    root = ET.parse(tmp_path / "a.svg").getroot()
    assert root.tag.endswith("svg")
    links = [use.get("{http://www.w3.org/1999/xlink}href", "") for use in root.iter("{http://www.w3.org/2000/svg}use")]
    assert sum("Bold" in link for link in links) == len("<b>$x_2$</b> & more")  # the heading alone is bold


@pytest.mark.parametrize(
    "title", ["", "two\nlines", "a\x00b\x1b[31m", "\udcff", "very long " * 99, "</svg>$\\frac{", "@pieces@ @title@"]
)
def test_no_title_breaks_a_picture_or_a_page(tmp_path: Path, title: str) -> None:
    for suffix in ("svg", "png", "html"):
        write_output(tmp_path / f"a.{suffix}", note(60, end=0.1), title=title, facts={"title": title})
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("letter", ["W", "i"])
def test_a_long_title_ends_before_the_legend(tmp_path: Path, letter: str) -> None:
    from matplotlib.image import imread

    def top(title: str) -> np.ndarray:
        write_picture(tmp_path / "a.png", note(60), note(60), title)
        return imread(tmp_path / "a.png")[:70, :, :3]

    written = np.abs(top(letter * 60) - top("")).max(axis=(0, 2)) > 0.01
    assert 0 < np.flatnonzero(written).max() < 1195  # of 1690; the melody's frame begins there


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    write_picture(tmp_path / "a.png", note(60))
    assert plt.get_fignums() == before


class Parsed(html.parser.HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_holds_sound_notes_and_facts_and_nothing_is_injected(tmp_path: Path) -> None:
    one, two = random_notes(5, 12, 1.0), random_notes(6, 7, 0.5)
    pieces = [Piece(EVIL, one, one[::2], {EVIL: EVIL, "seed": 5, "top_k": None}), Piece("Second", two)]
    write_page(tmp_path / "page.html", pieces, EVIL)
    page = Parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
    tags = [tag for tag, _ in page.tags]
    assert (tags.count("audio"), tags.count("section"), tags.count("h1"), tags.count("h2")) == (2, 2, 1, 2)
    assert "img" not in tags
    assert tags.count("script") == 3
    assert page.texts.count(EVIL) == 5  # title, heading, piece, a fact's name and value
    first, second = (json.loads(text) for text in page.texts if text.startswith('{"notes"'))
    assert [len(first["notes"]), len(first["melody"]), len(second["notes"]), len(second["melody"])] == [12, 6, 7, 0]
    assert [row[2] for row in second["notes"]] == two.pitch.tolist()
    assert all(row[4] for row in first["notes"][::2])
    for audio in (attributes for tag, attributes in page.tags if tag == "audio"):
        kind, data = str(audio["src"]).split(",")
        (tmp_path / "sound.ogg").write_bytes(base64.b64decode(data))
        assert kind == "data:audio/ogg;base64"
        assert soundfile.info(tmp_path / "sound.ogg").format == "OGG"


def test_a_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [Piece("A", note(60, end=0.2))])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|fetch\(|XMLHttp|url\(", text)
    assert "default-src 'none'" in text


@pytest.mark.slow
def test_a_browser_runs_the_script_of_a_page(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    write_page(tmp_path / "page.html", [Piece("A", note(60, end=2.5)), Piece("B", random_notes(7, 200, 90.0))])
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    shown = subprocess.run(
        [browser, *flags.split(), f"--user-data-dir={tmp_path / 'user'}", "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert 'aria-valuemax="2.5"' in shown  # the roll writes what it shows into the document


STEER = """<script>
const piece = document.querySelector(".piece"), sound = piece.querySelector("audio");
const places = ["End", "PageDown", "ArrowUp", "ArrowDown", "ArrowDown", "PageUp", "ArrowLeft", "Home"].map(key => {
  piece.querySelector(".roll").dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
  return sound.currentTime;
});
dispatchEvent(new Event("beforeprint"));
const paper = [colours().card];
dispatchEvent(new Event("afterprint"));
document.title = JSON.stringify([places, paper.concat(colours().card)]);
</script>"""


@pytest.mark.slow
def test_a_page_is_steered_by_keys_as_sliders_are_and_printed_on_white(tmp_path: Path) -> None:
    # Keys: WAI-ARIA Authoring Practices 1.2, slider.
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    write_page(tmp_path / "page.html", [Piece("A", note(60, end=50.0))])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{STEER}</body>"), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    flags += " --blink-settings=preferredColorScheme=0"  # dark
    shown = subprocess.run(
        [browser, *flags.split(), f"--user-data-dir={tmp_path / 'user'}", "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    places, cards = json.loads(shown.split("<title>")[1].split("</title>")[0])
    assert places == [50, 40, 42, 40, 38, 48, 46, 0]
    assert cards == ["#ffffff", "#1a1e26"]


def test_a_page_knows_where_bars_begin(tmp_path: Path) -> None:
    conductor = Conductor.of([Tempo(0, 0.5)], [Metre(0, 1, 4), Metre(1, 3, 4)])
    free = Notes.from_arrays([0.06, 1.2], [1.0, 2.0], [60, 62], [70, 70])
    pieces = [Piece("A", note(60, end=3.0), conductor=conductor), Piece("B", free, conductor=conductor)]
    write_page(tmp_path / "a.html", pieces)
    data = [
        json.loads(text) for text in Parsed((tmp_path / "a.html").read_text(encoding="utf-8")).texts if text[:1] == "{"
    ]
    assert [(one["bars"], one["first_bar"]) for one in data] == [([0, 500, 2000], 0), ([], 0)]


def test_a_page_says_what_orange_is_only_beside_a_tune(tmp_path: Path) -> None:
    write_page(tmp_path / "a.html", [Piece("A", note(60, end=0.2), note(60, end=0.2)), Piece("B", note(60, end=0.2))])
    page = Parsed((tmp_path / "a.html").read_text(encoding="utf-8"))
    swatches = [attributes["class"] for tag, attributes in page.tags if tag == "i"]
    assert swatches == ["ramp", "ramp melody", "asked", "ramp"]
    assert [attributes["aria-label"] for tag, attributes in page.tags if tag == "audio"] == ["A", "B"]


def test_every_suffix_is_written_and_leaves_one_file(tmp_path: Path) -> None:
    notes = note(60, end=0.2)
    for suffix in SUFFIXES:
        write_output(tmp_path / f"a{suffix.upper()}", notes, notes, title="A", facts={"seed": 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"a{suffix.upper()}" for suffix in SUFFIXES)
    assert read_midi(tmp_path / "a.MID").equals(notes, 1e-9)
    assert read_tracks(tmp_path / "a.MID").text == ("seed: 3",)


def test_nothing_is_written_of_nothing_or_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.docx.*\.mid .*\.wav .*\.png .*\.html"):
        output_kind("a.docx")
    for suffix in SUFFIXES:
        with pytest.raises(ValueError, match="no notes"):
            write_output(tmp_path / f"a{suffix}", Notes.empty())
    for write in (write_picture, write_page):
        with pytest.raises(UsageError):
            write(tmp_path / "a.txt", note(60))  # type: ignore[operator]
    with pytest.raises(ValueError, match="no pieces"):
        write_page(tmp_path / "a.html", [])
    assert not list(tmp_path.iterdir())
