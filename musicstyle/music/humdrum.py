"""Humdrum prepared for music21, which reads a score's expansion list (`*>[A,A,B]`) but does not play by it.

Source: the Humdrum user guide, chapter 20, https://www.humdrum.org/guide/ch20/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MAX_SECTIONS, _MAX_LINES = 200, 30_000  # as played; music21 takes seconds for thousands of bars
_LIST = re.compile(r"\*>\[([^\]]*)\]")  # *>norep[...] is for those who leave repeats out
_LABEL = re.compile(r"\*>([^\[\]\t]+)(?:\t|$)")
_CONTEXT = re.compile(r"\*(MM|M(?=\d))")  # tempo and metre; key and clef change no sound
_REPEAT_SIGN = re.compile(r"[:|!]+")


@dataclass
class _Section:
    """A labelled stretch of a score: its lines behind the label, and what counts where it begins."""

    spines: int
    context: dict[str, str]
    lines: list[str] = field(default_factory=list)


def in_playing_order(text: str) -> str:
    """A score whose sections follow one another as its expansion list says.

    As it is where it has no list, or where sections begin with more spines than others: those would not fit together.

    Raises:
        ValueError: the list makes it too long.
    """
    lines = text.splitlines()
    names = next((found[1].split(",") for line in lines if (found := _LIST.match(line))), [])
    names = [name.strip() for name in names]
    head, sections, tail = _cut(lines)
    fit = {section.spines for section in sections.values()} | {len(line.split("\t")) for line in tail[:1]}
    if not names or not sections.keys() >= set(names) or len(fit) != 1:
        return text
    if len(names) > _MAX_SECTIONS or sum(len(sections[name].lines) for name in names) > _MAX_LINES:
        raise ValueError(f"its expansion list makes more than {_MAX_SECTIONS} sections or {_MAX_LINES} lines")
    written_before = dict(zip(sections, ["", *sections], strict=False))
    played = head
    for before, name in zip(["", *names], names, strict=False):
        section = sections[name]
        if before != written_before[name]:
            played += ["\t".join([mark] * section.spines) for mark in section.context.values()]
        played += section.lines
    # The list has played the repeats.
    return "\n".join([_REPEAT_SIGN.sub("", line) if line.startswith("=") else line for line in played] + tail)


def _cut(lines: list[str]) -> tuple[list[str], dict[str, _Section], list[str]]:
    """What comes before the first label, the sections by label, and what comes from the end of the spines on."""
    head: list[str] = []
    sections: dict[str, _Section] = {}
    into, context = head, {"MM": "*MM120", "M": "*"}
    for place, line in enumerate(lines):
        tokens = line.split("\t")
        if set(tokens) == {"*-"}:
            return head, sections, lines[place:]
        if label := _LABEL.match(line):
            into = sections.setdefault(label[1].strip(), _Section(len(tokens), dict(context))).lines
        else:
            into.append(line)
        context |= {found[1]: token for token in tokens if (found := _CONTEXT.match(token))}
    return head, sections, []
