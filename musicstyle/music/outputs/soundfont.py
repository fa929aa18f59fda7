"""Read a piano out of a SoundFont 2 file: which recording a key plays, how it is tuned, how it fades and darkens.

Only what the piano of the font has: one recording a key, its loop, tuning, volume and filter envelopes, each said zone
by zone (a test holds that it has nothing else). Left out: modulators, vibrato, reverb, pan. The font is TimGM6mb
(GPL-2), read in place from pretty_midi's package, never copied.

Source: SoundFont Technical Specification 2.04, sections 7 (file format) and 8.1 (generators).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musicstyle.errors import MusicstyleError

FONT = "TimGM6mb.sf2"
_GENERATOR = np.dtype([("kind", "<u2"), ("amount", "<u2")])
_PRESET = np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "<u4", 3)])
_INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
_SAMPLE = np.dtype([
    ("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"), ("loop_end", "<u4"), ("rate", "<u4"),
    ("root", "u1"), ("cents", "i1"), ("link", "<u2"), ("type", "<u2"),
])  # fmt: skip

# Generators by number. Times are in timecents (1200 log2 of seconds), levels in 0.1 dB or 0.1 %, pitches in cents.
_FILTER_CENTS, _FILTER_ENVELOPE_CENTS = 8, 11
_FILTER_HOLD, _FILTER_DECAY, _FILTER_SUSTAIN = 27, 28, 29
_HOLD, _DECAY, _SUSTAIN, _RELEASE = 35, 36, 37, 38
_INSTRUMENT_LINK, _KEY_RANGE, _ATTENUATION, _FINE_TUNE, _SAMPLE_LINK, _ROOT_KEY = 41, 43, 48, 52, 53, 58
_EMU_ATTENUATION = 0.4  # makers of fonts wrote attenuations for cards that applied 0.4 of them; fluidsynth does too


@dataclass(frozen=True)
class Zone:
    """What the keys `low`..`high` play.

    Attributes:
        low: Lowest key, MIDI pitch.
        high: Highest key.
        wave: The recording up to the end of its loop, (n,) float32 in -1..1.
        loop_length: The last samples of `wave` that repeat for ever.
        rate: Samples a second of `wave`.
        root: The pitch that sounds when `wave` plays at its own rate, with its tuning, in semitones.
        gain: Linear.
        hold_seconds: Full volume so long after the onset,
        decay_db_per_second: then it fades so fast,
        sustain_db: down to so much below full volume.
        release_db_per_second: How fast it fades once the key is up.
        filter_hold_seconds: The low-pass filter stays open so long,
        filter_cents: at this cutoff, cents above 8.176 Hz,
        filter_fall_cents_per_second: then closes so fast,
        filter_floor_cents: down to this cutoff.
    """

    low: int
    high: int
    wave: np.ndarray
    loop_length: int
    rate: int
    root: float
    gain: float
    hold_seconds: float
    decay_db_per_second: float
    sustain_db: float
    release_db_per_second: float
    filter_hold_seconds: float
    filter_cents: float
    filter_fall_cents_per_second: float
    filter_floor_cents: float


def find_font() -> Path:
    """The font that pretty_midi's package carries.

    Raises:
        MusicstyleError: It is not there.
    """
    spec = importlib.util.find_spec("pretty_midi")  # found, not imported: that takes 0.3 s
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / FONT).is_file():
            return Path(folder) / FONT
    raise MusicstyleError(f"no {FONT} in the package pretty_midi, and sound needs it; install pretty_midi again")


def read_piano(path: Path) -> list[Zone]:
    """The zones of a font's grand piano (bank 0, program 0), by rising keys.

    Raises:
        MusicstyleError: Not a SoundFont 2 file, or one without a piano.
    """
    try:
        chunks = dict(_chunks(path.read_bytes()))
        return [_zone(generators, chunks) for generators in _piano_generators(chunks)]
    except (KeyError, ValueError, IndexError):
        raise MusicstyleError(f"{path}: no SoundFont 2 file with a piano") from None


def _chunks(data: bytes | memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Name and content of every chunk of a RIFF file, those inside lists too."""
    data, place = memoryview(data), 0
    while place + 8 <= len(data):
        name = bytes(data[place : place + 4])
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        content = data[place + 8 : place + 8 + size]
        if name in (b"RIFF", b"LIST"):
            yield from _chunks(content[4:])
        else:
            yield name, content
        place += 8 + size + size % 2


def _piano_generators(chunks: dict[bytes, memoryview]) -> Iterator[dict[int, int]]:
    """The generators of each zone of the piano."""
    presets = np.frombuffer(chunks[b"phdr"], _PRESET)
    piano = int(np.flatnonzero((presets["bank"][:-1] == 0) & (presets["program"][:-1] == 0))[0])
    instruments = np.frombuffer(chunks[b"inst"], _INSTRUMENT)
    for link in _bags(chunks[b"pbag"], chunks[b"pgen"], presets["bag"][piano : piano + 2]):
        first = link[_INSTRUMENT_LINK]
        yield from _bags(chunks[b"ibag"], chunks[b"igen"], instruments["bag"][first : first + 2])


def _bags(bags: memoryview, generators: memoryview, between: np.ndarray) -> Iterator[dict[int, int]]:
    firsts = np.frombuffer(bags, "<u2").reshape(-1, 2)[:, 0]
    table = np.frombuffer(generators, _GENERATOR)
    for bag in range(*between.tolist()):
        rows = table[firsts[bag] : firsts[bag + 1]]  # amounts are signed but for ranges
        yield dict(zip(rows["kind"].tolist(), rows["amount"].astype(np.int16).tolist(), strict=True))


def _zone(generators: dict[int, int], chunks: dict[bytes, memoryview]) -> Zone:
    def seconds(kind: int) -> float:
        return 2.0 ** (generators[kind] / 1200)

    sample = np.frombuffer(chunks[b"shdr"], _SAMPLE)[generators[_SAMPLE_LINK]]
    start, loop_start, loop_end = (int(sample[name]) for name in ("start", "loop_start", "loop_end"))
    wave = np.frombuffer(chunks[b"smpl"], "<i2")[start:loop_end]
    closed, opened_by = generators[_FILTER_CENTS], generators[_FILTER_ENVELOPE_CENTS]
    keys = generators[_KEY_RANGE]
    return Zone(
        low=keys & 0xFF,
        high=keys >> 8,
        wave=wave.astype(np.float32) / 32768,
        loop_length=loop_end - loop_start,
        rate=int(sample["rate"]),
        root=generators[_ROOT_KEY] - generators[_FINE_TUNE] / 100,
        gain=10.0 ** (-_EMU_ATTENUATION * generators[_ATTENUATION] / 200),
        hold_seconds=seconds(_HOLD),
        decay_db_per_second=100 / seconds(_DECAY),  # an envelope's time is that of a fall by 100 dB
        sustain_db=generators[_SUSTAIN] / 10,
        release_db_per_second=100 / seconds(_RELEASE),
        filter_hold_seconds=seconds(_FILTER_HOLD),
        filter_cents=closed + opened_by,
        filter_fall_cents_per_second=opened_by / seconds(_FILTER_DECAY),
        filter_floor_cents=closed + opened_by * (1 - generators[_FILTER_SUSTAIN] / 1000),
    )
