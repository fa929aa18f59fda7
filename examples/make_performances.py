"""Play the three scores of examples/scores as a pianist might, and write examples/styles/*.mid.

    python examples/make_performances.py [FOLDER]

A score says what is played, an Interpretation (pianist.py) how. The files come out the same each time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mido
from pianist import Hand, Interpretation, Performance, Phrase, perform
from scores import bach_prelude, joplin_rag, satie_gymnopedie

TICKS_PER_BEAT = 500  # at mido's 120 bpm a tick is 1 ms
SUSTAIN = 64

BACH = Interpretation(
    title="J. S. Bach: Prelude in C major, BWV 846",
    seed=846,
    bpm=72,
    beats_per_bar=4,
    hands=(
        Hand(velocity=56, legato=0.97, lead_seconds=0.008, contour=-0.25),
        Hand(velocity=46, legato=0.95, contour=0.1),
        Hand(velocity=49, legato=1.15, contour=0.9),
    ),
    phrases=(
        Phrase(1, 4, -6),
        Phrase(5, 11, 0),
        Phrase(12, 15, 3),
        Phrase(16, 19, -5),
        Phrase(20, 24, 6),
        Phrase(25, 31, 13),
        Phrase(32, 35, -4),
    ),
    arc_tempo=0.11,
    arc_velocity=15,
    breath_beats=0.28,
    drift=0.025,
    accents=(4, 0, 1, -1, 0, 2, -2, -1, 0, -2, 0, -2, -1, 1, -3, -2),
    delays_beats=(0, 0.01, 0.02, 0.01, 0, 0, -0.01, 0, 0.015, 0.01, 0.01, 0, -0.01, -0.01, 0, 0.01),
    chord_spread_seconds=0.035,
    ritardando_beats=11,
    ritardando_depth=0.5,
    hold_seconds=0.4,
    pedal_beats=(4,),
)

SATIE = Interpretation(
    title="E. Satie: Gymnopedie no. 1",
    seed=1888,
    bpm=71,
    beats_per_bar=3,
    hands=(
        Hand(velocity=64, legato=1.04, lead_seconds=0.018, contour=0.7),
        Hand(velocity=35, legato=0.93, contour=0.5),
        Hand(velocity=45, legato=1.0, contour=-0.2),
    ),
    phrases=(
        Phrase(1, 4, -7),
        Phrase(5, 8, -1),
        Phrase(9, 12, -5),
        Phrase(13, 21, 1),
        Phrase(22, 26, 3),
        Phrase(27, 31, 8),
        Phrase(32, 36, 6),
        Phrase(37, 39, -9),
    ),
    arc_tempo=0.15,
    arc_velocity=12,
    breath_beats=0.3,
    drift=0.035,
    accents=(0, 2, -2),
    delays_beats=(0, 0.04, 0.01),
    chord_spread_seconds=0.013,
    ritardando_beats=7,
    ritardando_depth=0.4,
    jitter_seconds=0.009,
    hold_seconds=2.5,
    pedal_beats=(3,),
)

JOPLIN = Interpretation(
    title="S. Joplin: The Entertainer",
    seed=1902,
    bpm=85,
    beats_per_bar=2,
    hands=(
        Hand(velocity=76, legato=0.8, lead_seconds=0.012, contour=0.35),
        Hand(velocity=64, legato=0.55, contour=-0.45),
    ),
    phrases=(
        Phrase(1, 4, 9),
        Phrase(5, 8, -3),
        Phrase(9, 12, 0),
        Phrase(13, 16, -1),
        Phrase(17, 20, 6),
        Phrase(21, 24, -12),
        Phrase(25, 28, -8),
        Phrase(29, 32, -6),
        Phrase(33, 36, 5),
        Phrase(37, 40, 10),
        Phrase(41, 44, 6),
        Phrase(45, 48, -10),
        Phrase(49, 52, -2),
        Phrase(53, 56, 0),
        Phrase(57, 60, 4),
        Phrase(61, 64, 3),
        Phrase(65, 68, 12),
    ),
    arc_tempo=0.035,
    arc_velocity=9,
    breath_beats=0.05,
    drift=0.015,
    accents=(5, -5, -1, 3, 2, -2, -1, -3),
    delays_beats=(0, 0.03, 0.01, 0.035, 0, 0.03, 0.01, 0.035),
    chord_spread_seconds=0.004,
    ritardando_beats=3,
    ritardando_depth=0.22,
    jitter_seconds=0.007,
    jitter_velocity=4,
    hold_seconds=0.25,
    pedal_beats=(0.9,),
    pedal_bars=frozenset({4, 8, 12, 20, 36, 44, 52, 60, 68}),
)


def performances() -> dict[str, Performance]:
    """Play all three, by the name of their file."""
    return {
        "bach_prelude.mid": perform(BACH, bach_prelude.notes()),
        "satie_gymnopedie.mid": perform(SATIE, satie_gymnopedie.notes()),
        "joplin_rag.mid": perform(JOPLIN, joplin_rag.notes()),
    }


def to_midi(performance: Performance) -> mido.MidiFile:
    """Write a performance as a MIDI file of one track, a tick a millisecond."""
    events = [(at, mido.Message("control_change", control=SUSTAIN, value=value)) for at, value in performance.pedal]
    for note in performance.notes:
        events.append((note.start_seconds, mido.Message("note_on", note=note.pitch, velocity=note.velocity)))
        events.append((note.end_seconds, mido.Message("note_off", note=note.pitch, velocity=64)))
    # Of what falls on one tick, keys come up first.
    ticks = [(round(1000 * at), message.type != "note_off", message) for at, message in events]
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=performance.title)])
    track.append(mido.MetaMessage("copyright", text="Written by examples/make_performances.py of musicstyle, CC0 1.0"))
    track.append(mido.MetaMessage("set_tempo", tempo=500_000))
    now = 0
    for tick, _, message in sorted(ticks, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    return mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT, tracks=[track])


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description="Write the style performances of examples/styles.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent / "styles")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, performance in performances().items():
        to_midi(performance).save(folder / name)
        print(f"{folder / name}: {len(performance.notes)} notes, {performance.seconds:.0f} s")


if __name__ == "__main__":
    main()
