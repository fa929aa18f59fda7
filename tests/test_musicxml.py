"""MusicXML as players read it: bars in step, tempos, jumps, cues and ties, in scores of a few notes."""

from __future__ import annotations

import pytest

from musicstyle.music.scores import read_score

Heard = list[tuple[float, float, int]]
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
FORWARD = "<forward><duration>2</duration></forward>"
WHOLE_BAR = '<note><rest measure="yes"/><duration>1</duration></note>'
METRONOME = "<metronome><beat-unit>quarter</beat-unit>{}</metronome>"


def note(name: str, quarters: int, inside: str = "", before: str = "") -> str:
    pitch = f"<pitch><step>{name[0]}</step><octave>{name[1]}</octave></pitch>"
    return f"<note>{before}{pitch}<duration>{quarters}</duration>{inside}</note>"


def direction(words: str = "", sound: str = "", kinds: str = "") -> str:
    kinds += f"<direction-type><words>{words}</words></direction-type>" * bool(words)
    return f"<direction>{kinds}{f'<sound {sound}/>' * bool(sound)}</direction>"


def part(number: int, *bars: str, attributes: str = "", tempo: str = '<sound tempo="60"/>') -> str:
    metre = "<time><beats>4</beats><beat-type>4</beat-type></time>"
    first = f"<attributes><divisions>1</divisions>{metre}{attributes}</attributes>{tempo}"
    inside = "".join(
        f'<measure number="{place}">{first * (place == 1)}{bar}</measure>' for place, bar in enumerate(bars, 1)
    )
    return f'<part id="P{number}">{inside}</part>'


def score(*parts: str) -> bytes:
    names = "".join(f'<score-part id="P{number}"><part-name>x</part-name></score-part>' for number in range(len(parts)))
    return f"<score-partwise><part-list>{names}</part-list>{''.join(parts)}</score-partwise>".encode()


def heard(*parts: str) -> Heard:
    notes = read_score(score(*parts), "musicxml").notes
    return list(zip(notes.start.tolist(), notes.end.tolist(), notes.pitch.tolist(), strict=True))


def steps(*parts: str) -> str:
    names = {step: name for name, step in STEPS.items()}
    return "".join(names[pitch % 12] for *_, pitch in heard(*parts))


@pytest.mark.parametrize(
    ("first_bar", "other_first_bar", "length"),
    [
        (note("G4", 1), WHOLE_BAR, 1),  # a rest of the whole bar, which is a pickup
        (note("G4", 1), "", 1),
        (note("G4", 2) + FORWARD, note("G3", 4), 4),  # time that passes without a note
        (note("G4", 2), note("G3", 4), 4),  # a bar that one part leaves short
        (note("G4", 2) + FORWARD, note("G3", 2) + FORWARD, 4),
        ("", "", 4),
    ],
)
def test_bars_begin_together(first_bar: str, other_first_bar: str, length: int) -> None:
    second_bar = (note("C5", 4), note("C4", 4))
    for one, other in ((first_bar, other_first_bar), (other_first_bar, first_bar)):
        found = heard(part(0, one, second_bar[0]), part(1, other, second_bar[1]))
        assert found[-2:] == [(length, length + 4, 60), (length, length + 4, 72)]


def test_a_second_voice_begins_with_the_pickup() -> None:
    back = "<backup><duration>1</duration></backup>"
    assert heard(part(0, WHOLE_BAR + back + note("G4", 1), note("C5", 4))) == [(0, 1, 67), (1, 5, 72)]


def test_a_bar_is_as_long_as_its_notes_and_its_rests_no_longer_than_its_metre() -> None:
    assert heard(part(0, note("C4", 6), note("D4", 4))) == [(0, 6, 60), (6, 10, 62)]
    rest = "<note><rest/><duration>6</duration></note>"
    assert heard(part(0, note("C4", 1) + rest, note("D4", 4))) == [(0, 1, 60), (4, 8, 62)]
    free = part(0, rest, note("D4", 1)).replace("<beats>4</beats><beat-type>4</beat-type>", "<senza-misura/>")
    assert heard(free) == [(6, 7, 62)]
    eighths = part(0, rest, note("D4", 1)).replace("<beats>4</beats><beat-type>4<", "<beats>3+2</beats><beat-type>8<")
    assert heard(eighths) == [(2.5, 3.5, 62)]


@pytest.mark.parametrize(
    ("mark", "tempo"),
    [
        (direction(sound='tempo="60"', kinds=METRONOME.format("<per-minute>120</per-minute>")), 60),
        (direction(sound='tempo="60"', kinds=METRONOME.format("<per-minute>c. 60</per-minute>")), 60),
        (direction(sound='tempo="60"', kinds=METRONOME.format("<beat-unit>half</beat-unit>")), 60),
        (direction(kinds=METRONOME.format("<per-minute>c. 60</per-minute>")), 60),
        (direction(kinds=METRONOME.format("<per-minute>240</per-minute>")), 240),
        (direction(sound='dynamics="60"', kinds=METRONOME.format("<per-minute>240</per-minute>")), 240),
    ],
)
def test_the_tempo_is_what_is_to_be_heard(mark: str, tempo: int) -> None:
    mark = mark.replace("<metronome>", "<direction-type><metronome>")
    mark = mark.replace("</metronome>", "</metronome></direction-type>")
    found = heard(part(0, mark + note("C4", 2) + note("D4", 2), tempo=""))
    assert found == [(0, 120 / tempo, 60), (120 / tempo, 240 / tempo, 62)]


def test_a_bar_played_again_has_the_tempo_that_it_has_where_it_is_written() -> None:
    faster = direction("x", 'tempo="120"')
    again = '<barline location="right"><repeat direction="backward"/></barline>'
    begin = '<barline location="left"><repeat direction="forward"/></barline>'
    found = heard(part(0, note("C4", 4), begin + note("D4", 4), note("E4", 2) + faster + note("F4", 2) + again))
    assert found[1:] == [(4, 8, 62), (8, 10, 64), (10, 11, 65), (11, 15, 62), (15, 17, 64), (17, 18, 65)]


@pytest.mark.parametrize(
    "silent",
    [
        "<harmony><root><root-step>G</root-step></root><kind>dominant</kind></harmony>",
        note("D4", 1, before="<grace/>").replace("<duration>1</duration>", ""),
        (
            "<note><unpitched><display-step>E</display-step><display-octave>4</display-octave></unpitched>"
            "<duration>4</duration></note><backup><duration>4</duration></backup>"
        ),
    ],
    ids=["chord symbol", "grace note", "unpitched"],
)
def test_what_is_no_note_of_the_music_does_not_sound(silent: str) -> None:
    assert heard(part(0, silent + note("C4", 4))) == [(0, 4, 60)]


def test_a_note_is_as_loud_as_its_number_and_without_one_100() -> None:
    loud = note("D4", 1).replace("<note>", '<note dynamics="50">')  # per cent of 90
    notes = read_score(score(part(0, note("C4", 1) + loud + note("E4", 1))), "musicxml").notes
    assert notes.velocity.tolist() == [100, 45, 100]


@pytest.mark.parametrize("words", ["D.C. al Fine", "D.C. al \nFine", " D.C.\n al   Fine"])
def test_words_may_be_set_in_two_lines(words: str) -> None:
    bars = (note("C4", 4), note("D4", 4) + direction("Fine"), note("E4", 4) + direction(words))
    assert steps(part(0, *bars)) == "CDECD"


def test_a_coda_may_have_its_sign_and_its_name() -> None:
    coda = direction("Coda", 'coda="coda"', "<direction-type><coda/></direction-type>")
    bars = (note("C4", 4) + direction("To Coda"), note("D4", 4) + direction("D.C. al Coda"), coda + note("E4", 4))
    assert steps(part(0, *bars)) == "CDCE"


def test_a_tie_may_lead_from_one_staff_to_the_other() -> None:
    tied = [note("C4", 4, f'<tie type="{kind}"/><staff>{staff}</staff>') for kind, staff in (("start", 1), ("stop", 2))]
    assert heard(part(0, *tied, attributes="<staves>2</staves>")) == [(0, 8, 60)]
    others = heard(part(0, tied[0]), part(1, note("D4", 4), tied[1]))  # two instruments of one name
    assert [(start, end) for start, end, pitch in others if pitch == 60] == [(0, 4), (4, 8)]


def test_cues_do_not_sound() -> None:
    cues = note("E5", 2, before="<cue/>") + note("G5", 2, before="<cue/><chord/>")
    assert heard(part(0, cues + note("C4", 2))) == [(2, 4, 60)]


def test_a_transposition_counts_from_where_it_is_written_in_a_repeat_too() -> None:
    def written(semitones: int) -> str:
        return f"<transpose><chromatic>{semitones}</chromatic></transpose>"

    again = '<barline location="right"><repeat direction="backward"/></barline>'
    second = f"<attributes>{written(-3)}</attributes>{note('D5', 4)}{again}"
    found = heard(part(0, note("D5", 4), second, note("D5", 4), attributes=written(-2)))
    assert [pitch for *_, pitch in found] == [72, 71, 72, 71, 71]


def test_endings_are_numbered_in_many_ways() -> None:
    def ending(number: str, back: str) -> str:
        begin = f'<barline location="left"><ending number="{number}" type="start"/></barline>'
        return f'{begin}{{}}<barline location="right"><ending number="{number}" type="stop"/>{back}</barline>'

    back = '<repeat direction="backward"/>'
    bars = (note("C4", 4), ending("1.", back).format(note("D4", 4)), ending("2.", "").format(note("E4", 4)))
    assert steps(part(0, *bars)) == "CDCE"
    bars = (note("C4", 4), ending("1-999999999", back).format(note("D4", 4)), note("E4", 4))  # not to be counted out
    assert steps(part(0, *bars)) == "CDCE"


@pytest.mark.parametrize(
    "impossible",
    [
        direction(sound='tempo="0"'),
        direction(sound='tempo="nan"'),
        direction(sound='tempo="fast"'),
        direction(kinds=f"<direction-type>{METRONOME.format('<per-minute>-5</per-minute>')}</direction-type>"),
        direction(kinds=f"<direction-type>{METRONOME.format('<per-minute>0</per-minute>')}</direction-type>"),
        '<barline location="right"><ending number="3-1" type="start"/></barline>',
        '<barline location="left"><repeat direction="forward" times="often"/></barline>',
    ],
)
def test_a_mark_that_cannot_be_is_passed_over(impossible: str) -> None:
    assert heard(part(0, note("C4", 4), impossible + note("D4", 4))) == [(0, 4, 60), (4, 8, 62)]


def test_a_repeat_of_too_many_notes_is_refused_before_they_are_made() -> None:
    again = '<barline location="right"><repeat direction="backward" times="19999"/></barline>'
    with pytest.raises(ValueError, match="more than 300000 notes"):
        heard(part(0, note("C4", 1) * 20 + again))
