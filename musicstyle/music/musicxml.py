"""MusicXML prepared for music21: what it would hear otherwise than players do is said so that it hears it as they do.

music21 lets bars of several parts fall out of step: it makes a whole-bar rest as long as the metre says in a pickup
too, forgets a <forward> that ends a bar, and ends a bar where its own part ends. How long a bar is, the longest part
says.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d*)?")
_SLOWEST, _FASTEST = 1.0, 2000.0  # beats a minute; nothing else is a tempo
_ENDING_NUMBER = re.compile(r"\b\d{1,2}(?:-\d{1,2})?\b")  # of "1., 2.", "1-3", "3x"


def prepared(text: str) -> tuple[str, list[float]]:
    """A score, well-formed and without entities, as music21 should read it, and the quarters that each bar lasts."""
    from xml.etree import ElementTree as ET

    root = ET.fromstring(text)  # noqa: S314 - it has been checked
    bar_quarters = _bar_quarters(root)
    for bar in root.iter("measure"):
        _take_out_cues(bar)
        _let_sound_say_the_tempo(bar)
        for ending in bar.iter("ending"):
            ending.set("number", ",".join(map(_rising, _ENDING_NUMBER.findall(ending.get("number", "")))))
        for repeat in bar.iter("repeat"):
            if not repeat.get("times", "2").isdecimal():
                del repeat.attrib["times"]
        for words in bar.iter("words"):
            words.text = " ".join((words.text or "").split())  # "D.C. al" and "Fine" may stand on two lines
    return ET.tostring(root, encoding="unicode"), bar_quarters


def _take_out_cues(bar: Element) -> None:
    """Cue notes are there to be read by others: time passes, nothing sounds."""
    for note in bar.findall("note"):
        length = note.find("duration")
        if note.find("cue") is None or length is None:
            continue
        if note.find("chord") is not None:
            bar.remove(note)
        else:
            note.tag, note.attrib, note[:] = "forward", {}, [length]


def _rising(numbers: str) -> str:
    """A range of endings, or one, the lower number first."""
    return "-".join(sorted(numbers.split("-"), key=int))


def _let_sound_say_the_tempo(bar: Element) -> None:
    """Take out tempos that cannot be, and metronome marks beside a <sound tempo>: music21 would not hear that."""
    for sound in bar.iter("sound"):
        if "tempo" in sound.attrib and not _is_tempo(sound.attrib["tempo"]):
            del sound.attrib["tempo"]
    for direction in bar.iter("direction"):
        is_said = direction.find("sound[@tempo]") is not None
        for kind in direction.findall("direction-type"):
            if kind.find("metronome") is not None and (is_said or not _can_be(kind)):
                direction.remove(kind)


def _can_be(kind: Element) -> bool:
    """Whether a metronome mark has no number, or one that is a tempo; of "c. 60" it is made 60."""
    mark = kind.find("metronome/per-minute")
    number = None if mark is None else _NUMBER.search(mark.text or "")
    if mark is None or number is None:
        return True
    mark.text = number[0]
    return _is_tempo(number[0])


def _is_tempo(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text.strip())) and _SLOWEST <= float(text) <= _FASTEST


def _bar_quarters(root: Element) -> list[float]:
    lengths: list[float] = []
    metres: list[float] = []
    for part in root.findall("part"):
        ruler = _Ruler()
        for place, bar in enumerate(part.findall("measure")):
            length = ruler.quarters(bar)
            if place == len(lengths):
                lengths.append(0.0)
                metres.append(ruler.metre)
            lengths[place] = max(lengths[place], length)
    # An empty bar is a bar of rest.
    return [length or (metre if math.isfinite(metre) else 0.0) for length, metre in zip(lengths, metres, strict=True)]


class _Ruler:
    """Measures the bars of a part, one after the other."""

    def __init__(self) -> None:
        self.divisions = 1.0  # a quarter
        self.metre = 4.0  # quarters a bar

    def quarters(self, bar: Element) -> float:
        """Up to its last note; of rests no more than the metre."""
        now = sounded = reached = 0.0
        for one in bar:
            if one.tag == "attributes":
                self._take(one)
            elif one.tag in ("note", "forward", "backup") and one.find("chord") is None:
                step = float(one.findtext("duration") or 0) / self.divisions
                now += -step if one.tag == "backup" else step
                reached = max(reached, now)
                if one.tag == "note" and one.find("rest") is None:
                    sounded = max(sounded, now)
        return max(sounded, min(reached, self.metre))

    def _take(self, attributes: Element) -> None:
        self.divisions = float(attributes.findtext("divisions") or self.divisions)
        time = attributes.find("time")
        if time is None:
            return
        if time.find("senza-misura") is not None:
            self.metre = math.inf
            return
        tops, bottoms = ([one.text or "" for one in time.findall(tag)] for tag in ("beats", "beat-type"))
        try:  # 3+2 eighths, or 3/8 and 2/4
            metre = sum(
                sum(map(float, top.split("+"))) * 4 / float(low) for top, low in zip(tops, bottoms, strict=True)
            )
        except ValueError:  # a metre that only people can read
            return
        self.metre = metre or self.metre
