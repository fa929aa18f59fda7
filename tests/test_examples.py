"""The examples: scores with the right harmony, played by a hand, the same each time."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import mido
import numpy as np
import pytest

from musicstyle.music.midi import read_midi

STYLES = ("bach_prelude", "satie_gymnopedie", "joplin_rag")


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest, examples_dir: Path) -> Path:
    return examples_dir / "styles" / f"{request.param}.mid"


def score(make_performances: ModuleType, name: str) -> Any:
    """The score module of that name; the fixture has made it importable."""
    return importlib.import_module(f"scores.{name}")


def names_in(pitches: set[int]) -> set[str]:
    return {("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")[pitch % 12] for pitch in pitches}


def bar_pitches(make_performances: ModuleType, name: str, bar: int) -> set[int]:
    """The MIDI pitches struck in a bar (1 is the first played)."""
    module = score(make_performances, name)
    return {note.pitch for note in module.notes() if note.onset_beats // module.BEATS_PER_BAR == bar - 1}


def test_the_script_writes_the_files_that_are_there(make_performances: ModuleType, style: Path, tmp_path: Path) -> None:
    made = make_performances.performances()[style.name]
    make_performances.to_midi(made).save(tmp_path / style.name)
    assert [str(message) for message in mido.MidiFile(tmp_path / style.name)] == [
        str(message) for message in mido.MidiFile(style)
    ]


def test_every_note_of_the_score_is_played_once(make_performances: ModuleType, style: Path) -> None:
    written = Counter(note.pitch for note in score(make_performances, style.stem).notes())
    assert Counter(read_midi(style, pedal=False).pitch.tolist()) == written


def test_the_playing_is_of_a_plausible_size(style: Path) -> None:
    notes = read_midi(style, pedal=False)
    assert 60 < notes.duration_seconds < 150
    assert 200 < len(notes) < 1500
    assert notes.velocity.max() - notes.velocity.min() > 45
    assert len(set(notes.velocity.tolist())) > 30


def test_onsets_are_not_on_a_grid(style: Path) -> None:
    """Onsets are spread over the phases of every grid of 60 to 200 ms; on a grid the mean of the phases is 1."""
    start = np.unique(read_midi(style, pedal=False).start)
    for width_seconds in np.arange(0.06, 0.2, 0.0005):
        phase = start / width_seconds
        concentration = abs(np.exp(2j * np.pi * phase).mean())
        assert concentration < 0.6, f"onsets lie on a grid of {width_seconds:.4f} s"


def test_melody_leads_and_is_louder(make_performances: ModuleType) -> None:
    """In the Gymnopédie the tune comes a little before the bass it is written with, and louder than all else."""
    satie = score(make_performances, "satie_gymnopedie")
    written = satie.notes()
    played = make_performances.performances()["satie_gymnopedie.mid"].notes
    by_pitch = {
        pitch: sorted((n for n in played if n.pitch == pitch), key=lambda n: n.start_seconds) for pitch in range(128)
    }
    nth: Counter[int] = Counter()
    tune, chords, leads = [], [], []
    basses: dict[float, float] = {}
    for note in written:
        hit = by_pitch[note.pitch][nth[note.pitch]]
        nth[note.pitch] += 1
        (tune if note.voice == 0 else chords).append(hit.velocity)
        if note.voice == 2:
            basses[note.onset_beats] = hit.start_seconds
        elif note.voice == 0 and note.onset_beats in basses:
            leads.append(basses[note.onset_beats] - hit.start_seconds)
    assert np.mean(tune) > np.mean(chords) + 15
    assert len(leads) > 15
    assert 0.005 < np.median(leads) < 0.03


def test_the_pedal_fits_the_piece(examples_dir: Path) -> None:
    downs = {
        name: sum(
            message.type == "control_change" and message.control == 64 and message.value >= 64
            for message in mido.MidiFile(examples_dir / "styles" / f"{name}.mid")
        )
        for name in STYLES
    }
    assert downs["bach_prelude"] >= 35
    assert downs["satie_gymnopedie"] >= 39
    assert downs["joplin_rag"] < 30


@pytest.mark.parametrize(
    ("name", "bar", "harmony"),
    [
        ("bach_prelude", 1, {"C", "E", "G"}),
        ("bach_prelude", 2, {"C", "D", "F", "A"}),  # D minor seventh over C
        ("bach_prelude", 3, {"B", "D", "F", "G"}),
        ("bach_prelude", 6, {"C", "D", "F#", "A"}),
        ("bach_prelude", 12, {"G", "Bb", "C#", "E"}),  # diminished seventh
        ("bach_prelude", 14, {"F", "Ab", "B", "D"}),
        ("bach_prelude", 22, {"F#", "A", "C", "Eb"}),
        ("bach_prelude", 28, {"G", "Eb", "F#", "A", "C"}),  # over the dominant pedal
        ("bach_prelude", 32, {"C", "E", "G", "Bb"}),
        ("bach_prelude", 35, {"C", "E", "G"}),
        ("satie_gymnopedie", 1, {"G", "B", "D", "F#"}),  # the two major sevenths that sway
        ("satie_gymnopedie", 2, {"D", "F#", "A", "C#"}),
        ("satie_gymnopedie", 22, {"A", "B", "C", "E"}),
        ("satie_gymnopedie", 38, {"A", "C", "E", "G"}),
        ("satie_gymnopedie", 39, {"D", "F#", "A"}),
        ("joplin_rag", 1, {"C", "D", "E", "G", "A", "B"}),
        ("joplin_rag", 5, {"C", "E", "G", "Bb"}),
        ("joplin_rag", 68, {"C", "E", "G"}),
    ],
)
def test_harmony(make_performances: ModuleType, name: str, bar: int, harmony: set[str]) -> None:
    assert names_in(bar_pitches(make_performances, name, bar)) == harmony


def test_lengths_of_the_scores(make_performances: ModuleType) -> None:
    """35 bars of Bach with 16 notes each in all but the last; 39 bars of Satie; the rag's 4 + 16 + 16 + 16 + 16."""
    bach = Counter(note.onset_beats // 4 for note in score(make_performances, "bach_prelude").notes())
    assert [bach[bar] for bar in range(35)] == [16] * 34 + [5]
    satie = score(make_performances, "satie_gymnopedie").notes()
    assert max(note.onset_beats + note.duration_beats for note in satie) == 39 * 3
    assert len(score(make_performances, "joplin_rag").order()) == 68


def test_notation_refuses_what_it_cannot_read(make_performances: ModuleType) -> None:
    notation = score(make_performances, "notation")
    with pytest.raises(ValueError, match="stands twice"):
        notation.read_bars("1: C4\n1: D4")
    with pytest.raises(ValueError, match="number of voices"):
        notation.unfold(notation.read_bars("1: C4\n2: D4 | E4"), ["1", "2"], 4)
    tied = notation.unfold(notation.read_bars("1: - C4+Bb3\n2: = F#4 ="), ["1", "2"], 3)
    assert [(note.pitch, note.onset_beats, note.duration_beats) for note in tied] == [
        (58, 1.5, 2.5),
        (60, 1.5, 2.5),
        (66, 4, 2),
    ]


def test_melodies_are_there(examples_dir: Path) -> None:
    twinkle = read_midi(examples_dir / "twinkle.mid")
    assert twinkle.pitch.tolist()[:7] == [60, 60, 67, 67, 69, 69, 67]
    assert read_midi(examples_dir / "clair_de_lune.mid").pitch.tolist()[:3] == [80, 77, 75]
