"""In what order the bars of a score are played, by its repeat signs, its endings and its D.C. and D.S."""

from __future__ import annotations

from dataclasses import dataclass, field

_MAX_BARS = 20_000


@dataclass
class Bar:
    """What a bar, in whichever part, says of the order.

    Attributes:
        begins: A repeat begins with it.
        ends: How often what it ends is played; 0: it ends no repeat.
        passes: Of a bar in an ending, the times in which it is played.
        signs: Of Segno, Coda and Fine.
        jump: What it says where it ends, as music21 names it: DaCapoAlFine.
    """

    begins: bool = False
    ends: int = 0
    passes: frozenset[int] = frozenset()
    signs: set[str] = field(default_factory=set)
    jump: str = ""


def playing_order(bars: list[Bar]) -> list[int]:
    """Places of the bars as they are played.

    A repeat that ends and did not begin began behind the last; one that does not end is none. Behind a jump nothing is
    repeated, and of endings the last is taken.

    Raises:
        ValueError: they would be played for ever.
    """
    times = _times_through_endings(bars)
    codas = [place for place, bar in enumerate(bars) if "Coda" in bar.signs]
    segnos = [place for place, bar in enumerate(bars) if "Segno" in bar.signs]
    order: list[int] = []
    place, begin, time, jumped = 0, 0, 1, ""
    while place < len(bars):
        bar = bars[place]
        behind_endings = place > 0 and times[place - 1] > 0 and not times[place]
        if place != begin and (bar.begins or behind_endings):
            begin, time = place, 1
        if times[place] and (times[place] if jumped else time) not in bar.passes:
            place += 1
            continue
        order.append(place)
        if len(order) > _MAX_BARS:
            raise ValueError(f"its repeats make more than {_MAX_BARS} bars")
        to_coda = jumped.endswith("AlCoda")
        if jumped and not to_coda and "Fine" in bar.signs:
            break
        if to_coda and len(codas) > 1 and place == codas[0]:
            place, jumped = codas[-1], "Coda"
        elif bar.ends and not jumped and time < (times[place] or bar.ends):
            place, time = begin, time + 1
        elif not jumped and (target := _target(bar, segnos, place)) is not None:
            place, jumped = target, bar.jump
        else:
            place += 1
            if bar.ends and not times[place - 1]:
                begin, time = place, 1
    return order


def _target(bar: Bar, segnos: list[int], place: int) -> int | None:
    """Where a bar at a place jumps to: a D.S. to the last segno before."""
    if bar.jump.startswith("DaCapo"):
        return 0
    return max((segno for segno in segnos if segno <= place), default=None) if bar.jump else None


def _times_through_endings(bars: list[Bar]) -> list[int]:
    """Of bars in endings, how often what they end is played; 0 elsewhere, and where none leads back."""
    times, place = [0] * len(bars), 0
    while place < len(bars):
        last = place
        while last < len(bars) and bars[last].passes:
            last += 1
        endings = {bar.passes for bar in bars[place:last]}
        if any(bar.ends for bar in bars[place:last]):
            most = max(map(max, endings)) + (len(endings) == 1)  # one alone: the last time goes on behind it
            times[place:last] = [most] * (last - place)
        place = max(last, place + 1)
    return times
