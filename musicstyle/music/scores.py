"""Files of any kind that hold notes -> Notes: MIDI, MusicXML, ABC, Humdrum and plain text.

ABC is read by abc2midi (`abc_notation`), other scores by music21 from text that was checked here: a compressed score is
unpacked within limits, XML that defines entities is refused before anything expands them.

A score is played as written: repeats are played out, tied notes are one, tempo marks count (120 quarters a minute
where there is none), transposing instruments sound where they sound. Left out: grace notes (they take no time of their
own), chord symbols, unpitched percussion. Dynamics are not interpreted: velocity is 100 unless a note has a number.
"""

from __future__ import annotations

import codecs
import contextlib
import copy
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from musicstyle.archives import ZIP_ERRORS
from musicstyle.errors import MidiError, UsageError
from musicstyle.music.abc_notation import read_abc
from musicstyle.music.midi import MAX_BYTES, MIDI_SUFFIXES, read_bytes, read_midi, read_tracks, refuse_endless
from musicstyle.music.notes import Notes
from musicstyle.music.plaintext import looks_like_tune, parse_tune
from musicstyle.music.smf import as_text
from musicstyle.music.vocabulary import DEFAULT_VELOCITY

PathLike = str | os.PathLike[str]

TUNE_SUFFIXES = (".txt", ".melody")
# What music21 calls the format.
SCORE_FORMATS = {
    ".xml": "musicxml",
    ".musicxml": "musicxml",
    ".mxl": "musicxml",
    ".abc": "abc",
    ".krn": "humdrum",
}
SUFFIXES = (*MIDI_SUFFIXES, *SCORE_FORMATS, *TUNE_SUFFIXES)
_CONTAINER = "META-INF/container.xml"
_DEFAULT_QUARTERS_PER_MINUTE = 120.0
_SAME_PLACE = 1e-3  # quarters; triplets are rounded


def source_name(source: PathLike) -> str:
    """What to call a source of notes: the name of a file, or a tune in text itself."""
    return os.fspath(source) if _is_tune(source) else Path(source).name


def _is_tune(source: PathLike) -> bool:
    text = os.fspath(source)
    named_as_files_are = text.lower().endswith(SUFFIXES)
    return not named_as_files_are and looks_like_tune(text) and not os.path.exists(text)  # noqa: PTH110 - long names


class _UnusableError(ValueError):
    """What is wrong with a score, in our words; music21 raises ValueErrors of its own."""


def read_notes(path: PathLike, *, track: str | int | None = None) -> Notes:
    """The notes of a file, of the kind its suffix says; a file that begins as MIDI does is MIDI whatever its name.

    Args:
        path: .mid .midi (pedal folded in), .xml .musicxml .mxl, .abc (its first tune), .krn, .txt .melody (a tune in
            plain text, see `plaintext`); or such a tune itself, where no file has that name.
        track: Number (from 0, of those with notes) or name of the only track to read, of a MIDI file.

    Raises:
        MidiError: missing, unreadable, of an unknown kind, damaged, too large, too long, without notes.
        UsageError: no such track, or no MIDI file.
    """
    name = os.fspath(path)
    if _is_tune(path):
        if track is not None:
            raise _no_tracks(name)
        return _as_midi_errors("the tune", parse_tune, name)
    suffix = Path(name).suffix.lower()
    if any(map(str.isspace, name)) and suffix not in SUFFIXES and not os.path.lexists(path):
        raise MidiError(path, "no such file, and no tune, which begins with a note as C4, a rest as R or tempo=100")
    data = read_bytes(path)  # once: a pipe gives it no second time
    if suffix in MIDI_SUFFIXES or _begins_as_midi(data):
        return read_midi(path, data=data) if track is None else _track_notes(path, str(track), data)
    if track is not None:
        raise _no_tracks(name)
    if suffix in TUNE_SUFFIXES:
        return _as_midi_errors(path, parse_tune, _text(data))
    if suffix not in SCORE_FORMATS:
        raise MidiError(path, f"is of no kind that holds notes; known are {' '.join(SUFFIXES)} and any MIDI file")
    return _as_midi_errors(path, read_score, data, SCORE_FORMATS[suffix])


def _begins_as_midi(data: bytes) -> bool:
    return data.startswith(b"MThd") or (data[:4] == b"RIFF" and data[8:16] == b"RMIDdata")


def _no_tracks(name: str) -> UsageError:
    return UsageError(f"{name}: only MIDI files have tracks to choose from; leave the track out")


def _track_notes(path: PathLike, track: str, data: bytes) -> Notes:
    tracks = read_tracks(path, data=data).tracks
    found = [one for one in tracks if track == str(one.index)]  # a number first: some tracks are named "1"
    found = found or [one for one in tracks if track.casefold() == one.name.casefold()]
    if len(found) == 1:
        if found[0].is_drum:
            raise UsageError(f"{os.fspath(path)}: track {track!r} holds drums, no pitched notes; choose another")
        return found[0].notes
    known = ", ".join(f"{one.index} {one.name!r}" for one in found or tracks)
    if found:
        raise UsageError(f"{os.fspath(path)}: {len(found)} tracks are named {track!r}; give a number of {known}")
    raise UsageError(f"{os.fspath(path)}: no track {track!r}; its tracks with notes are {known}")


def read_score(data: bytes, kind: str) -> Notes:
    """The notes of a score.

    Args:
        data: The bytes of the file.
        kind: "musicxml" (compressed too), "abc" or "humdrum".

    Raises:
        ValueError: what is wrong with it, on one line.
    """
    text = _checked_xml(_unpacked(data)) if kind == "musicxml" else _text(data)
    if not text.strip():
        raise ValueError("is empty")
    if kind == "abc":
        return read_abc(text)
    with _quiet():
        try:
            return _played(_parsed(text, kind))
        except (_UnusableError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - music21 raises anything on scores it cannot read
            reason = " ".join(str(error).split()) or type(error).__name__
            raise _UnusableError(f"cannot be read as {kind} ({reason[:200]})") from None


def _parsed(text: str, kind: str) -> Any:
    """A music21 Score; of several the first."""
    from music21 import converter, stream

    score = converter.parseData(text, format=kind)
    if isinstance(score, stream.Opus):
        return next(iter(score.scores), stream.Score())
    return score


def _played(score: Any) -> Notes:
    """The notes of a music21 Score in seconds, repeats played out."""
    from music21 import repeat

    if next(iter(score.recurse().getElementsByClass("RepeatMark")), None) is not None:
        _number_endings(score)
        _share_repeats(score)
        _begin_repeats(score)
        with contextlib.suppress(repeat.ExpanderException):  # repeats that make no sense are not played
            score = score.expandRepeats()
    clock = _QuarterClock(score)
    rows = [row for part in score.parts or [score] for row in _written_notes(part)]
    if not rows:
        raise _UnusableError("holds no notes")
    start, end, pitch, velocity = zip(*rows, strict=True)
    return Notes.from_arrays(clock.seconds(start), clock.seconds(end), pitch, velocity)


def _number_endings(score: Any) -> None:
    """Number the endings that have none: the first is the one that leads back."""
    for ending in score.recurse().getElementsByClass("RepeatBracket"):
        measures = ending.getSpannedElements()
        if measures and not ending.number:
            ending.number = "1" if _is_repeat(measures[-1].rightBarline, "end") else "2"


def _share_repeats(score: Any) -> None:
    """Write every repeat sign, ending and jump into every part: many scores have them in one only; each is unrolled."""
    from music21 import spanner

    rows = [list(part.getElementsByClass("Measure")) for part in score.parts]
    if len({len(row) for row in rows}) != 1:
        return
    endings = [
        {
            tuple(map(row.index, one.getSpannedElements())): one
            for one in part.recurse().getElementsByClass("RepeatBracket")
        }
        for part, row in zip(score.parts, rows, strict=True)
    ]
    every = {places: one for mine in endings for places, one in mine.items()}
    for part, row, mine in zip(score.parts, rows, endings, strict=True):
        for places in every.keys() - mine.keys():
            part.insert(0, spanner.RepeatBracket([row[place] for place in places], number=every[places].number))
    for together in zip(*rows, strict=True):
        for side in ("leftBarline", "rightBarline"):
            signs = [getattr(measure, side) for measure in together if hasattr(getattr(measure, side), "direction")]
            for measure in together:
                if signs and not hasattr(getattr(measure, side), "direction"):
                    setattr(measure, side, copy.deepcopy(signs[0]))
        jumps = {type(one): one for measure in together for one in measure.getElementsByClass("RepeatExpression")}
        for measure in together:
            for kind in jumps.keys() - {type(one) for one in measure.getElementsByClass("RepeatExpression")}:
                measure.insert(jumps[kind].offset, copy.deepcopy(jumps[kind]))


def _begin_repeats(score: Any) -> None:
    """Write the repeat signs that scores leave out, and take out those that go on for ever.

    Where a repeat ends and none began, it began behind the last; one that begins and does not end is none.
    """
    from music21 import bar

    for part in score.parts or [score]:
        endings = [measure for bracket in part.recurse().getElementsByClass("RepeatBracket") for measure in bracket]
        begun, first = True, None  # the piece's first repeat may begin with it; the first measure behind the last one
        open_ = None  # where one begins whose end has not come
        for measure in part.getElementsByClass("Measure"):
            if _is_repeat(measure.leftBarline, "start"):
                if open_ is not None:
                    open_.leftBarline = None
                begun, open_ = True, measure
            elif first is None and not begun and measure not in endings:
                first = measure
            if _is_repeat(measure.rightBarline, "end"):
                if not begun and first is not None:
                    first.leftBarline = bar.Repeat(direction="start")
                begun, first, open_ = False, None, None
        if open_ is not None:
            open_.leftBarline = None


def _is_repeat(line: Any, direction: str) -> bool:
    return getattr(line, "direction", None) == direction


def _written_notes(part: Any) -> list[tuple[float, float, int, int]]:
    """Onset and offset in quarters, pitch and velocity of what sounds in a part; tied notes are one."""
    from music21 import harmony

    rows: list[tuple[float, float, int, int]] = []
    tied: dict[int, list[int]] = {}  # the rows that each pitch's ties begun continue
    part.toSoundingPitch(inPlace=True)
    for element in part.flatten().notes:
        if isinstance(element, harmony.Harmony) or element.duration.isGrace or not element.quarterLength > 0:
            continue
        begin = float(element.offset)
        end = begin + float(element.quarterLength)
        for note in element.notes if element.isChord else [element]:
            if note.isNote:  # not unpitched
                _add(rows, tied, (begin, end, int(note.pitch.midi), _velocity(note, element)), note.tie)
    return rows


def _add(
    rows: list[tuple[float, float, int, int]], tied: dict[int, list[int]], row: tuple[float, float, int, int], tie: Any
) -> None:
    """Append a note, or let it lengthen the one it is tied to."""
    begin, end, pitch, _ = row
    waiting = tied.setdefault(pitch, [])
    place = next((one for one in waiting if abs(rows[one][1] - begin) < _SAME_PLACE), None)
    if place is not None and tie and tie.type in ("continue", "stop"):
        waiting.remove(place)
        rows[place] = (rows[place][0], end, *rows[place][2:])
    else:
        place = len(rows)
        rows.append(row)
    if tie and tie.type in ("start", "continue"):
        waiting.append(place)


def _velocity(note: Any, chord: Any) -> int:
    return int(min(max(note.volume.velocity or chord.volume.velocity or DEFAULT_VELOCITY, 1), 127))


class _QuarterClock:
    """Quarters -> seconds by a score's tempo marks, in any part."""

    def __init__(self, score: Any) -> None:
        marks = {0.0: _DEFAULT_QUARTERS_PER_MINUTE}
        for mark in score.flatten().getElementsByClass("MetronomeMark"):
            tempo = mark.getQuarterBPM()
            if tempo and tempo > 0:
                marks[float(mark.offset)] = float(tempo)
        self.quarters = np.array(sorted(marks))
        self.seconds_per_quarter = 60 / np.array([marks[place] for place in sorted(marks)])
        self.elapsed = np.append(0.0, np.cumsum(np.diff(self.quarters) * self.seconds_per_quarter[:-1]))

    def seconds(self, quarters: Any) -> np.ndarray:
        """Times of places in the score, (n,) quarters -> (n,) seconds."""
        places = np.asarray(quarters, dtype=np.float64)
        index = np.searchsorted(self.quarters, places, side="right") - 1
        return self.elapsed[index] + (places - self.quarters[index]) * self.seconds_per_quarter[index]


def _unpacked(data: bytes) -> bytes:
    """The score inside a compressed MusicXML file; other bytes as they are.

    Raises:
        ValueError: a damaged archive, one without a score, one whose score is too large.
    """
    if not data.startswith(b"PK"):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _member(archive, _score_name(archive))
    except (*ZIP_ERRORS, OSError) as error:  # of memory: no disk can have failed
        raise ValueError(f"is a damaged compressed score ({error})") from None


def _score_name(archive: zipfile.ZipFile) -> str:
    """The member that is the score: what the container names first, else the first XML outside META-INF."""
    names = archive.namelist()
    found: list[str] = []

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if tag == "rootfile" and attributes.get("full-path"):
            found.append(attributes["full-path"])

    if _CONTAINER in names:
        _walk_xml(_member(archive, _CONTAINER), begin)
    found += [
        name for name in names if name.lower().endswith((".xml", ".musicxml")) and not name.startswith("META-INF")
    ]
    if not found:
        raise ValueError("is a compressed file without a score in it")
    return found[0]


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(MAX_BYTES + 1)  # whatever size it claims, no more is unpacked
    if len(data) > MAX_BYTES:
        raise ValueError(f"unpacks to more than {MAX_BYTES // 2**20} MB")
    return data


def _checked_xml(data: bytes) -> str:
    """XML as text, known to be well-formed and without entities of its own.

    Raises:
        ValueError: it is not.
    """
    roots: list[str] = []
    _walk_xml(data, lambda tag, _: roots.append(tag) if not roots else None)
    if roots[0] != "score-partwise":
        what = "save it as partwise" if roots[0] == "score-timewise" else "MusicXML has <score-partwise>"
        raise ValueError(f"is XML of another kind (<{roots[0][:40]}>); {what}")
    return _text(data)


def _walk_xml(data: bytes, begin: Callable[[str, dict[str, str]], None]) -> None:
    def refuse(name: str, *_: Any) -> None:
        raise ValueError(f"defines the XML entity {name[:40]!r}; scores need none, so it is not read")

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = begin
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise ValueError(f"is damaged XML ({error})") from None


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return as_text(data.removeprefix(codecs.BOM_UTF8))


def _as_midi_errors(path: PathLike, read: Callable[..., Notes], *arguments: Any) -> Notes:
    try:
        notes = read(*arguments)
    except ValueError as error:
        raise MidiError(path, " ".join(str(error).split())) from None
    refuse_endless(path, [notes])
    return notes


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep music21's words to programmers from the person's screen."""
    import warnings

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
