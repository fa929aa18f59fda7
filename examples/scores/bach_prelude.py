"""Johann Sebastian Bach: Prelude in C major, BWV 846 (The Well-Tempered Clavier, book 1, 1722), all 35 bars, 4/4.

Bars 1 to 32 break one five-note chord twice, always in the same way: the two low notes are held, the three upper ones
return in sixteenths.
"""

from __future__ import annotations

from scores.notation import Bar, ScoreNote, read_bars, unfold

BEATS_PER_BAR = 4
VOICES = ("bass", "tenor", "figure")

# The harmony of each bar, from the bass upwards.
CHORDS = """
    1: C4 E4 G4 C5 E5
    2: C4 D4 A4 D5 F5
    3: B3 D4 G4 D5 F5
    4: C4 E4 G4 C5 E5
    5: C4 E4 A4 E5 A5
    6: C4 D4 F#4 A4 D5
    7: B3 D4 G4 D5 G5
    8: B3 C4 E4 G4 C5
    9: A3 C4 E4 G4 C5
   10: D3 A3 D4 F#4 C5
   11: G3 B3 D4 G4 B4
   12: G3 Bb3 E4 G4 C#5
   13: F3 A3 D4 A4 D5
   14: F3 Ab3 D4 F4 B4
   15: E3 G3 C4 G4 C5
   16: E3 F3 A3 C4 F4
   17: D3 F3 A3 C4 F4
   18: G2 D3 G3 B3 F4
   19: C3 E3 G3 C4 E4
   20: C3 G3 Bb3 C4 E4
   21: F2 F3 A3 C4 E4
   22: F#2 C3 A3 C4 Eb4
   23: Ab2 F3 B3 C4 D4
   24: G2 F3 G3 B3 D4
   25: G2 E3 G3 C4 E4
   26: G2 D3 G3 C4 F4
   27: G2 D3 G3 B3 F4
   28: G2 Eb3 A3 C4 F#4
   29: G2 E3 G3 C4 G4
   30: G2 D3 G3 C4 F4
   31: G2 D3 G3 B3 F4
   32: C2 C3 G3 Bb3 E4
"""

# The last three bars leave the pattern.
ENDING = """
   33: C2 | - C3 = = = = = = = = = = = = = = | - - F3 A3 C4 F4 C4 A3 C4 A3 F3 A3 F3 D3 F3 D3
   34: C2 | - B2 = = = = = = = = = = = = = = | - - G3 B3 D4 F4 D4 B3 D4 B3 G3 B3 D3 F3 E3 D3
   35: C2 | C3 | E4+G4+C5
"""


def _broken(chord: tuple[str, ...]) -> Bar:
    """Break a five-note chord as bars 1 to 32 do."""
    bass, tenor, *upper = chord
    half_bass = (bass, *"=======")
    half_tenor = ("-", tenor, *"======")
    half_figure = ("-", "-", *upper, *upper)
    return (half_bass * 2, half_tenor * 2, half_figure * 2)


def bars() -> dict[str, Bar]:
    """Give all 35 bars by number."""
    chords = read_bars(CHORDS)
    return {label: _broken(bar[0]) for label, bar in chords.items()} | read_bars(ENDING)


def notes() -> list[ScoreNote]:
    """Give the whole prelude, once, without repeats."""
    return unfold(bars(), [str(bar) for bar in range(1, 36)], BEATS_PER_BAR)
