"""Files of any kind that hold notes -> Notes: MIDI, MusicXML, ABC, Humdrum and plain text.

ABC is read by abc2midi (`abc_notation`), other scores by music21 (`notation`) from text that was checked here (a
compressed score is unpacked within limits, XML that defines entities is refused before anything expands them) and
prepared for it (`musicxml`, `humdrum`).
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.parsers import expat

from musicstyle.archives import ZIP_ERRORS
from musicstyle.errors import MidiError, UsageError
from musicstyle.music.abc_notation import read_abc, tunes_of
from musicstyle.music.conductor import Conducted
from musicstyle.music.humdrum import in_playing_order
from musicstyle.music.midi import (
    MAX_BYTES,
    MIDI_SUFFIXES,
    MidiTrack,
    merged,
    read_bytes,
    read_tracks,
    refuse_endless,
)
from musicstyle.music.musicxml import prepared
from musicstyle.music.notation import as_played
from musicstyle.music.notes import Notes
from musicstyle.music.plaintext import looks_like_tune, parse_tune
from musicstyle.music.smf import begins_as_midi, decoded

PathLike = str | os.PathLike[str]

TUNE_SUFFIXES = (".txt", ".melody")
SCORE_FORMATS = {
    ".xml": "musicxml",
    ".musicxml": "musicxml",
    ".mxl": "musicxml",
    ".abc": "abc",
    ".krn": "humdrum",
}
SUFFIXES = (*MIDI_SUFFIXES, *SCORE_FORMATS, *TUNE_SUFFIXES)
MOST_NAMED = 20  # tracks or tunes in a message
_CONTAINER = "META-INF/container.xml"


def source_name(source: PathLike) -> str:
    """What to call a source of notes: the name of a file, or a tune in text itself."""
    return os.fspath(source) if is_tune(source) else Path(source).name


def is_tune(source: PathLike) -> bool:
    """Whether this is a tune in text itself: no file has that name, and it does not end as the names of files do."""
    text = os.fspath(source)
    named_as_files_are = text.lower().endswith(SUFFIXES)
    return not named_as_files_are and looks_like_tune(text) and not os.path.exists(text)  # noqa: PTH110 - long names


def read_notes(path: PathLike, *, track: str | int | None = None) -> Conducted:
    """The notes and bars of a file, of the kind its suffix says; what begins as MIDI does is MIDI whatever its name.

    Args:
        path: .mid .midi (pedal folded in), .xml .musicxml .mxl, .abc (its first tune), .krn, .txt .melody (a tune in
            plain text, see `plaintext`); or such a tune itself, where no file has that name.
        track: Number (from 0, of those with notes) or name of the only track to read, of a MIDI file; number (behind
            X:) or title of the tune, of ABC.

    Raises:
        MidiError: missing, unreadable, of an unknown kind, damaged, too large, too long, without notes.
        UsageError: no such track or tune, or a file that has none.
    """
    name = os.fspath(path)
    if is_tune(path):
        if track is not None:
            raise _no_tracks(name)
        return _as_midi_errors("the tune", parse_tune, name)
    suffix = Path(name).suffix.lower()
    if any(map(str.isspace, name)) and suffix not in SUFFIXES and not os.path.lexists(path):
        raise MidiError(path, "no such file, and no tune, which begins with a note as C4, a rest as R or tempo=100")
    data = read_bytes(path)  # once: a pipe gives it no second time
    if suffix in MIDI_SUFFIXES or begins_as_midi(data):
        piece = read_tracks(path, data=data)
        if track is None:
            return merged(path, piece)
        return Conducted(_track_notes(path, str(track), piece.tracks), piece.conductor)
    if suffix == ".abc" and track is not None:
        tunes = tunes_of(_text(data))
        chosen = tunes[_chosen(path, str(track), [(one.number, one.title) for one in tunes], "tune")]
        return _as_midi_errors(path, read_abc, chosen.text)
    if track is not None:
        raise _no_tracks(name)
    if suffix in TUNE_SUFFIXES:
        return _as_midi_errors(path, parse_tune, _text(data))
    if suffix not in SCORE_FORMATS:
        raise MidiError(path, f"is of no kind that holds notes; known are {' '.join(SUFFIXES)} and any MIDI file")
    return _as_midi_errors(path, read_score, data, SCORE_FORMATS[suffix])


def _no_tracks(name: str) -> UsageError:
    return UsageError(f"{name}: only MIDI files have tracks, and ABC tunes, to choose from; leave the track out")


def _track_notes(path: PathLike, track: str, tracks: Sequence[MidiTrack]) -> Notes:
    chosen = tracks[_chosen(path, track, [(str(one.index), one.name) for one in tracks], "track")]
    if chosen.is_drum:
        raise UsageError(f"{os.fspath(path)}: track {track!r} holds drums, no pitched notes; choose another")
    return chosen.notes


def _chosen(path: PathLike, asked: str, there: Sequence[tuple[str, str]], kind: str) -> int:
    """Which of the tracks or tunes there, by number or name, is asked for; a number first: some are named "1"."""
    found = [place for place, (number, _) in enumerate(there) if asked == number]
    found = found or [place for place, (_, name) in enumerate(there) if asked.casefold() == name.casefold()]
    if len(found) == 1:
        return found[0]
    shown = [there[place] for place in found] or list(there)
    known = ", ".join(f"{number} {name!r}" for number, name in shown[:MOST_NAMED])
    known += f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    if found:
        raise UsageError(f"{os.fspath(path)}: {len(found)} {kind}s are named {asked!r}; give a number of {known}")
    raise UsageError(f"{os.fspath(path)}: no {kind} {asked!r}; its {kind}s are {known}")


def read_score(data: bytes, kind: str) -> Conducted:
    """The notes and bars of a score.

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
            read = _by_music21(text, kind)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - music21 raises anything on scores it cannot read
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"cannot be read as {kind} ({reason[:200]})") from None
    if not len(read.notes):
        raise ValueError("holds no notes")
    return read


def _by_music21(text: str, kind: str) -> Conducted:
    if kind == "humdrum":
        return as_played(_parsed(in_playing_order(text), kind))
    text, bar_quarters = prepared(text)
    return as_played(_parsed(text, kind), bar_quarters)


def _parsed(text: str, kind: str) -> Any:
    """A music21 Score; of several the first."""
    from music21 import converter, stream

    score = converter.parseData(text, format=kind)
    if isinstance(score, stream.Opus):
        return next(iter(score.scores), stream.Score())
    return score


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
    return decoded(data.removeprefix(codecs.BOM_UTF8))


def _as_midi_errors(path: PathLike, read: Callable[..., Conducted], *arguments: Any) -> Conducted:
    try:
        piece = read(*arguments)
    except ValueError as error:
        raise MidiError(path, " ".join(str(error).split())) from None
    refuse_endless(path, [piece.notes])
    return piece


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep music21's words to programmers from the person's screen."""
    import warnings

    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
