"""Erik Satie: first Gymnopédie, "Lent et douloureux" (1888), its first strain, bars 1 to 39, 3/4.

Columns: melody, chord, bass. The chords on the second beat are held to the bar line.
"""

from __future__ import annotations

from scores.notation import ScoreNote, read_bars, unfold

BEATS_PER_BAR = 3
VOICES = ("melody", "chord", "bass")

BARS = """
    1: -          | - B3+D4+F#4 =          | G2
    2: -          | - A3+C#4+F#4 =         | D2
    3: -          | - B3+D4+F#4 =          | G2
    4: -          | - A3+C#4+F#4 =         | D2
    5: - F#5 A5   | - B3+D4+F#4 =          | G2
    6: G5 F#5 C#5 | - A3+C#4+F#4 =         | D2
    7: B4 C#5 D5  | - B3+D4+F#4 =          | G2
    8: A4         | - A3+C#4+F#4 =         | D2
    9: F#4        | - B3+D4+F#4 =          | G2
   10: =          | - A3+C#4+F#4 =         | D2
   11: =          | - B3+D4+F#4 =          | G2
   12: =          | - A3+C#4+F#4 =         | D2
   13: - F#5 A5   | - B3+D4+F#4 =          | G2
   14: G5 F#5 C#5 | - A3+C#4+F#4 =         | D2
   15: B4 C#5 D5  | - B3+D4+F#4 =          | G2
   16: A4         | - A3+C#4+F#4 =         | D2
   17: C#5        | - A3+C#4+F#4 =         | F#2
   18: F#5        | - B3+D4+F#4 =          | B1
   19: E4         | - G3+B3 =              | E2
   20: =          | - B3+D4+G4 =           | E2
   21: =          | - F3+A3+D4 =           | D2
   22: A4 B4 C5   | - A3+C4+E4 =           | A1
   23: E5 D5 B4   | - G3+B3+E4 =           | D2
   24: D5 C5 B4   | - D3+G3+B3+E4 =        | D2
   25: D5         | - C3+E3+A3+D4 =        | D2
   26: = = D5     | - C3+F#3+A3+D4 =       | D2
   27: E5 F5 G5   | - A3+C4+F4 =           | D2
   28: A5 C5 D5   | - A3+C4+E4 =           | D2
   29: E5 D5 B4   | - D3+G3+B3+E4 =        | D2
   30: D5         | - C3+E3+A3+D4 =        | D2
   31: = = D5     | - C3+F#3+A3+D4 =       | D2
   32: G5         | - B3+E4+G4 =           | E2
   33: F#5        | - A3+C#4+F#4 =         | F#2
   34: B4 A4 B4   | - B3+D4+F#4 =          | B1
   35: C#5 D5 E5  | - C#4+E4+A4 =          | E2
   36: C#5 D5 E5  | - A3+C#4+F#4+A4 =      | E2
   37: F#4 = G4   | - B2+A3+D4 E3+B3+D4    | E2
   38: C5         | G3+C4+E4+A4            | A2
   39: D5         | A2+D3+D4+F#4+A4        | D2
"""


def notes() -> list[ScoreNote]:
    """Give the first strain."""
    return unfold(read_bars(BARS), [str(bar) for bar in range(1, 40)], BEATS_PER_BAR)
