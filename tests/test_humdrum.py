"""Expansion lists: which sections of a Humdrum score are played, and in what order."""

from __future__ import annotations

import pytest

from musicstyle.music.humdrum import in_playing_order
from musicstyle.music.scores import read_score

Heard = list[tuple[float, float, int]]
# A at 60 quarters a minute, B at 120; the bar line before B bids to play A again.
TWO = "**kern\n{}\n*>norep[A,B]\n*MM60\n*>A\n=1\n4c\n=:|!\n*>B\n*MM120\n4d\n=2\n*-\n"


def heard(text: str) -> Heard:
    notes = read_score(text.encode(), "humdrum").notes
    return list(zip(notes.start.tolist(), notes.end.tolist(), notes.pitch.tolist(), strict=True))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("A,A,B", [(0, 1, 60), (1, 2, 60), (2, 2.5, 62)]),
        ("A,B", [(0, 1, 60), (1, 1.5, 62)]),
        ("A,B,A", [(0, 1, 60), (1, 1.5, 62), (1.5, 2.5, 60)]),  # A at its own tempo
        ("B, A", [(0, 0.5, 62), (0.5, 1.5, 60)]),
        ("A,C", [(0, 1, 60), (1, 2, 60), (2, 2.5, 62)]),  # no such section: the bar line counts
    ],
)
def test_sections_are_played_as_the_list_says(names: str, expected: Heard) -> None:
    assert heard(TWO.format(f"*>[{names}]")) == expected


def test_a_section_without_a_tempo_of_its_own_has_the_usual_one() -> None:
    text = "**kern\n*>[A,B,A]\n*>A\n=1\n4c\n*>B\n=2\n*MM60\n4d\n*-\n"
    assert heard(text) == [(0, 0.5, 60), (0.5, 1.5, 62), (1.5, 2, 60)]


def test_endings_of_spines_that_are_split_between() -> None:
    rows = [
        "**kern **kern", "*>[A,A1,A,A2] *>[A,A1,A,A2]", "*>A *>A", "*MM60 *MM60", "=1 =1", "4c 4e", "*>A1 *>A1",
        "=2 =2", "*^ *", "4d 4D 4f", "*v *v *", "*>A2 *>A2", "=:|! =:|!", "4e 4g", "== ==", "*- *-",
    ]  # fmt: skip
    expected = [(0, 60), (0, 64), (1, 50), (1, 62), (1, 65), (2, 60), (2, 64), (3, 64), (3, 67)]
    assert [(start, pitch) for start, _, pitch in heard("\n".join(rows).replace(" ", "\t"))] == expected


def test_sections_whose_spines_do_not_fit_together_are_left_as_they_are() -> None:
    split = "**kern\n*>[A,B,A]\n*>A\n4c\n*^\n*>B\t*>B\n4d\t4e\n*-\t*-\n"
    assert in_playing_order(split) == split
    assert in_playing_order(TWO.format("*")) == TWO.format("*")


def test_a_list_that_plays_for_ever_is_refused() -> None:
    text = "**kern\n*>[" + ",".join("A" * 2_000) + "]\n*>A\n" + "4c\n" * 60 + "*-\n"
    with pytest.raises(ValueError, match="more than 200 sections or 30000 lines"):
        heard(text)
