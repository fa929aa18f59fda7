"""The order of bars: written as a line, played as a line."""

from __future__ import annotations

import pytest

from musicstyle.music.repeats import Bar, playing_order

# "D.C." and the like stand in the bar that they follow, "$" is a segno, "@" a coda sign.
JUMPS = {
    "DC": "DaCapo",
    "DCfine": "DaCapoAlFine",
    "DCcoda": "DaCapoAlCoda",
    "DS": "DalSegno",
    "DSfine": "DalSegnoAlFine",
    "DScoda": "DalSegnoAlCoda",
}
SIGNS = {"$": "Segno", "@": "Coda", "fine": "Fine"}


def played(line: str, times: int = 2) -> str:
    """Bars are letters between signs: "|: C |1 D :|2 E |"."""
    bars: list[Bar] = []
    names = ""
    begins, passes = False, frozenset[int]()
    for word in line.replace(":|", " :| |").split():
        if word == ":|":
            bars[-1].ends, passes = times, frozenset()
        elif word.startswith("|"):
            begins |= word == "|:"
            passes = frozenset(map(int, word.strip("|:"))) or (frozenset() if word == "||" else passes)
        elif word in JUMPS:
            bars[-1].jump = JUMPS[word]
        elif word in SIGNS:
            bars[-1].signs.add(SIGNS[word])
        else:
            names += word
            bars.append(Bar(begins, passes=passes))
            begins = False
    return "".join(names[place] for place in playing_order(bars))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A B C", "ABC"),
        ("|: A B :| C", "ABABC"),
        ("A :| B :| C", "AABBC"),
        ("A |: B C", "ABC"),
        ("|: A |1 B :|2 C || D", "ABACD"),
        ("|: A |1 B C :|2 D E || F :|", "ABCADEFF"),  # the next repeat begins behind the endings
        ("|: A |12 B :|3 C", "ABABAC"),
        ("|: A |13 B :|2 C :|4 D", "ABACABAD"),
        ("|: A |1 B :| C", "ABAC"),
        ("A fine B DCfine", "ABA"),
        ("A fine B DC", "ABA"),
        ("A $ B fine C DSfine D", "ABCAB"),
        ("A B $ C fine D DSfine", "ABCDBC"),
        ("A B $ C DS D", "ABCBCD"),
        ("A $ B C $ D DS E", "ABCDCDE"),  # to the last segno before
        ("A DS B $ C", "ABC"),
        ("A B @ C DCcoda D @ E", "ABCABDE"),
        ("A B $ C @ D DScoda E @", "ABCDBCE"),
        ("A fine B @ C DCcoda D @ E fine F", "ABCABDE"),  # no end before the coda
        ("A B DS C", "ABC"),  # there is no sign to go to
        ("|: A :| B fine |: C :| DCfine", "AABCCAB"),
        ("|: A |1 B :|2 C fine || D E DCfine", "ABACDEAC"),
        ("|: A |1 B :|2 C @ || D DCcoda E @", "ABACDACE"),
    ],
)
def test_the_order_of_bars(line: str, expected: str) -> None:
    assert played(line) == expected


def test_a_repeat_may_be_played_more_than_twice() -> None:
    assert played("|: A :| B", times=4) == "AAAAB"
    with pytest.raises(ValueError, match="more than 20000 bars"):
        played("|: A :| B", times=10**9)
