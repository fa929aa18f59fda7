"""Scott Joplin: The Entertainer, a ragtime two step, "Not fast" (1902), 2/4.

The introduction, the first strain with its repeat, the second strain once (its repeat left out), and the first strain
again with the ending of bar 54. Columns: right hand in sixteenths, left hand in eighths (the introduction doubles the
right hand, so there it is in sixteenths too).
"""

from __future__ import annotations

from scores.notation import ScoreNote, read_bars, unfold

BEATS_PER_BAR = 2
VOICES = ("melody", "left")

INTRODUCTION = """
    1: D6 E6 C6 A5 = B5 G5 = | D5 E5 C5 A4 = B4 G4 =
    2: D5 E5 C5 A4 = B4 G4 = | D4 E4 C4 A3 = B3 G3 =
    3: D4 E4 C4 A3 = B3 A3 Ab3 | D3 E3 C3 A2 = B2 A2 Ab2
    4: G3 = - - G4+B4+D5+G5 = D4 D#4 | G2 - G2+G1 B3+G3
"""

FIRST_STRAIN = """
    5: E4 C5 = E4 C5 = E4 C5 | C3 C4+G3+E3 G3+G2 C4+Bb3+G3
    6: = = = = = C6+E5+C5 D6+F5+D5 D#6+F#5+D#5 | F3+F2 C4+A3 E3+E2 C4+G3
    7: E6+G5+E5 C6+E5+C5 D6+F5+D5 E6+G5+E5 = B5+D5+B4 D6+F5+D5 = | G2 C4+G3+E3 G2 B3+G3+F3
    8: C6+E5+C5 = = = = = D4 D#4 | C3 C4+G3+E3 C4+G3+E3 B3+G3
    9: E4 C5 = E4 C5 = E4 C5 | C3 C4+G3+E3 G3+G2 C4+Bb3+G3
   10: = = = = = = A5+C5+A4 G5+C5+G4 | F3+F2 C4+A3 E3+E2 Eb3+Eb2
   11: F#5+C5+F#4 A5+A4 C6+C5 E6+E5 = D6+D5 C6+C5 A5+A4 | D3+D2 C4+A3+F#3+D3 D3 C4+A3+F#3
   12: D6+F5+D5 = = = = = D4 D#4 | B3+G3 G3+G2 A3+A2 B3+B2
   13: E4 C5 = E4 C5 = E4 C5 | C3 C4+G3+E3 G3+G2 C4+Bb3+G3
   14: = = = = = C6+E5+C5 D6+F5+D5 D#6+F#5+D#5 | F3+F2 C4+A3 E3+E2 C4+G3
   15: E6+G5+E5 C6+E5+C5 D6+F5+D5 E6+G5+E5 = B5+D5+B4 D6+F5+D5 = | G2 C4+G3+E3 G2 B3+G3+F3
   16: C6+E5+C5 = = = = = C6+C5 D6+D5 | C3 C4+G3+E3 E4+C4+G3 -
   17: E6+E5 C6+C5 D6+D5 E6+E5 = C6+C5 D6+D5 C6+C5 | C4+C3 E4+C4+G3 Bb3+Bb2 E4+C4+G3
   18: E6+E5 C6+C5 D6+D5 E6+E5 = C6+C5 D6+D5 C6+C5 | A3+A2 F4+C4+A3 Ab3+Ab2 F4+C4+Ab3
   19: E6+G5+E5 C6+E5+C5 D6+F5+D5 E6+G5+E5 = B5+D5+B4 D6+F5+D5 = | G3+G2 E4+C4+G3 G2 B3+G3
   20: C6+E5+C5 = = = = = D4 D#4 | C4+G3+C3 G3+G2 A3+A2 B3+B2
   21: C6+E5+C5 = = = = E5+C5+E4 F5+D5+F4 F#5+D#5+F#4 | C4+G3+C3 G3+G2 C3+C2 -
   54: C6+E5+C5 = = = C6+E5+C5 = - - | C4+G3+C3 G3+G2 C3+C2 -
"""

SECOND_STRAIN = """
   22: G5+E5+G4 = A5+E5+A4 G5+E5+G4 = E5+C5+E4 F5+D5+F4 F#5+D#5+F#4 | C3+C2 E4+C4+G3 G2 E4+C4+G3
   23: G5+E5+G4 = A5+E5+A4 G5+E5+G4 = E5 C5 G4 | C3 E4+C4+G3 G2 E4+C4+G3
   24: A4 B4 C5 D5 E5 D5 C5 D5 | F2 F4+C4+A3 F3 F4+C4+Ab3
   25: G4 E5 F5 G5 A5 G5 E5 F5 | E3 E4+C4+G3 G2 E4+C4+G3
   26: G5+E5+G4 = A5+E5+A4 G5+E5+G4 = E5+C5+E4 F5+D5+F4 F#5+D#5+F#4 | C3 E4+C4+G3 G2 E4+C4+G3
   27: G5+E5+G4 = A5+E5+A4 G5+E5+G4 = G5 A5 A#5 | C3 E4+C4+G3 E3 Eb3
   28: B5+G5+D5 B5+G5+D5 = B5+F#5+C5 = A5 F#5+C5 D5 | D3 D4+B3+G3 D3 D4+C4+A3
   29: G5+B4 = = = = E5+C5+E4 F5+D5+F4 F#5+D#5+F#4 | D4+B3+G3 F3+F2 E3+E2 D3+D2
   30: G5+E5+G4 = A5+E5+A4 G5+E5+G4 = E5+C5+E4 F5+D5+F4 F#5+D#5+F#4 | C3+C2 E4+C4+G3 G2 E4+C4+G3
   31: G5+E5+G4 = A5+E5+A4 G5+E5+G4 = E5 C5 G4 | C3 E4+C4+G3 G2 E4+C4+G3
   32: A4 B4 C5 D5 E5 D5 C5 D5 | F2 F4+C4+A3 F3 F4+C4+Ab3
   33: C5 = = = = G4 F#4 G4 | E3 E4+C4+G3 C3 E4+C4+Bb3
   34: C5 = A4 C5 = A4 C5 A4 | F4+C4+A3+F3 F4+C4+A3+F3 D#4+C4+A3+F#3 D#4+C4+A3+F#3
   35: G4 C5 E5 G5 = E5 C5 G4 | E4+C4+G3 E4+C4+G3 E4+C4+G3 E4+C4+G3
   36: A4+F#4 = C5+F#4 = E5+F4 D5+F4 = C5+E4 | C4+D3 A3+D3 B3+G3 B3+G3
   38: = = = = = = D4 D#4 | C4+C3 G3+G2 C3+C2 -
"""


def order() -> list[str]:
    """Give the bars as they are played."""
    strain = [str(bar) for bar in range(5, 20)]
    second = [str(bar) for bar in range(22, 37)]
    return ["1", "2", "3", "4", *strain, "20", *strain, "21", *second, "38", *strain, "54"]


def notes() -> list[ScoreNote]:
    """Give the rag with its repeats written out."""
    return unfold(read_bars(INTRODUCTION + FIRST_STRAIN + SECOND_STRAIN), order(), BEATS_PER_BAR)
