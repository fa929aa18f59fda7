"""Known collections: download, go on after a break, check, unpack. Nothing of the internet is trusted.

The archive grows in a hidden file in the target's folder, which stays when the connection breaks and is continued by
the next call (HTTP Range with If-Range). Only an archive whose SHA-256 is the published one is opened; it is unpacked
within limits into a folder beside, which takes its name when it is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import shutil
import stat
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from ssl import SSLError
from typing import Any

from musicstyle import __version__
from musicstyle.archives import ZIP_ERRORS
from musicstyle.errors import CorpusError

Progress = Callable[[int, int | None], None]  # bytes there, bytes in all (None: the server does not say)

TIMEOUT_SECONDS = 30.0
BLOCK_BYTES = 2**16
TRIES = 5  # in a row without one new byte
FIRST_PAUSE_SECONDS = 0.5  # doubles with each of them
_MEMBER_FREE_BYTES = 2**20  # up to here a member may be packed as tightly as it likes


@dataclass(frozen=True)
class Collection:
    """An archive somebody publishes.

    Attributes:
        name: For people.
        url: Of the zip file, http or https.
        sha256: Of its bytes, as published.
        folder: The one folder it holds.
        licence: Its terms, on one line.
        max_bytes: The download stops here.
        max_unpacked_bytes: Unpacking stops here.
        max_files: No more than this many members.
        max_ratio: Most bytes out of one packed byte, for members that unpack to more than 1 MB.
    """

    name: str
    url: str
    sha256: str
    folder: str
    licence: str
    max_bytes: int = 2**28
    max_unpacked_bytes: int = 2**30
    max_files: int = 20_000
    max_ratio: int = 100


COLLECTIONS = {
    "maestro": Collection(
        name="MAESTRO v3.0.0, MIDI only",
        url="https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0-midi.zip",
        sha256="70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
        folder="maestro-v3.0.0",
        licence="CC BY-NC-SA 4.0; cite Hawthorne et al. 2019, arXiv:1810.12247",
    )
}


def fetch(collection: Collection, to: Path | str, *, progress: Progress | None = None) -> Path:
    """Download a collection into the folder `to` and unpack it there.

    Args:
        collection: Which one.
        to: Folder that receives it; made if absent.
        progress: Called as bytes arrive.

    Returns:
        The folder with its files, `to`/`collection.folder`. If it is there already, nothing is downloaded.

    Raises:
        CorpusError: the server cannot be reached or breaks off (what came is kept, call again), the file is not the
            published one, the archive is damaged or unsafe, `to` is a file or cannot be written.
    """
    to = Path(to)
    target = to / collection.folder
    if target.is_dir():
        return target
    if to.exists() and not to.is_dir():
        raise CorpusError(f"{to}: is a file; give a folder")
    try:
        to.mkdir(parents=True, exist_ok=True)
        archive = part_path(collection, to)
        _download(collection, archive, progress or (lambda *_: None))
        _check_sum(collection, archive)
        _unpack(collection, archive, to)
    except OSError as error:
        raise CorpusError(f"{to}: cannot be written ({error.strerror or error})") from error
    _discard(archive)
    return target


def part_path(collection: Collection, to: Path | str) -> Path:
    """Where the archive grows; what lies there is what has come so far."""
    return Path(to) / f".{PurePosixPath(collection.url).name}.part"


def _download(collection: Collection, part: Path, progress: Progress) -> None:
    """Fill the part file, going on after breaks for as long as every few tries bring something new."""
    failures, most = 0, _size(part)
    while True:
        try:
            if _receive(collection, part, progress):
                return
            reason = "the connection broke off"
        except _RefusedError as error:
            raise CorpusError(f"{collection.url}: {error}") from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, SSLError) as error:
            cause = getattr(error, "reason", error)
            reason = str(getattr(cause, "strerror", None) or cause or type(error).__name__)
        failures = 0 if _size(part) > most else failures + 1
        most = max(most, _size(part))
        if failures >= TRIES:
            kept = f"{_size(part):,} bytes are kept, call again to go on" if _size(part) else "is there a network?"
            raise CorpusError(f"{collection.url}: {reason}; {kept}")
        time.sleep(FIRST_PAUSE_SECONDS * 2 ** max(failures - 1, 0) if failures else 0)


class _RefusedError(Exception):
    """An answer that trying again will not mend."""


def _receive(collection: Collection, part: Path, progress: Progress) -> bool:
    """Ask for the rest of the archive and append what comes. Whether it is complete."""
    have, validator = _size(part), _validator(part)
    if have and validator is None:  # nothing says that the rest would be of the same file
        part.unlink()
        have = 0
    headers = {"User-Agent": f"musicstyle/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(validator)}
    try:
        answer = _open(collection.url, headers)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return _is_whole(part, error.headers.get("Content-Range"))
        if error.code < http.client.INTERNAL_SERVER_ERROR and error.code not in (408, 429):
            raise _RefusedError(f"the server answers {error.code} {error.reason}") from error
        raise
    with answer:
        begin, total = _extent(answer, have)
        if total is not None and total > collection.max_bytes:
            raise _RefusedError(f"would be {total:,} bytes; this collection has fewer than {collection.max_bytes:,}")
        _note_validator(part, answer)
        with part.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            file.truncate()
            return _append(answer, file, begin, total, collection.max_bytes, progress)


def _append(answer: Any, file: Any, have: int, total: int | None, limit: int, progress: Progress) -> bool:
    progress(have, total)
    while block := _read(answer):
        have += len(block)
        if have > limit:
            raise _RefusedError(f"sends more than {limit:,} bytes; this collection has fewer")
        file.write(block)
        progress(have, total)
    return total is None or have >= total  # a server that gives no length ends by closing


def _read(answer: Any) -> bytes:
    try:
        return answer.read(BLOCK_BYTES)
    except OSError as error:  # the network's, whatever its number: the disk is not asked here
        raise ConnectionError(str(error)) from error


def _open(url: str, headers: dict[str, str]) -> Any:
    if not url.startswith(("https://", "http://")):
        raise _RefusedError("only http and https addresses are fetched")
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)  # noqa: S310


def _extent(answer: Any, have: int) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and the size of the whole file (None: unknown)."""
    if answer.status == http.client.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise _RefusedError(f"the server answers another range than was asked for (from byte {have})")
        return have, None if found[2] == "*" else int(found[2])
    length = answer.headers.get("Content-Length")  # the whole file: the range was ignored, or the file has changed
    return 0, int(length) if length and length.isdigit() else None


def _is_whole(part: Path, content_range: str | None) -> bool:
    """After "no such range": whether nothing was missing. If the part is of another file, it is thrown away."""
    whole = content_range == f"bytes */{_size(part)}"
    if not whole:
        _discard(part)
    return whole


def _check_sum(collection: Collection, archive: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != collection.sha256:
        size = _size(archive)
        _discard(archive)
        raise CorpusError(
            f"{collection.url}: gave another file than the published one ({size:,} bytes, SHA-256 {found[:16]}..., "
            f"expected {collection.sha256[:16]}...); it was removed, call again"
        )


def _unpack(collection: Collection, archive: Path, to: Path) -> None:
    """Unpack into a folder beside, within the limits, and move the collection's folder to its place."""
    folder = Path(tempfile.mkdtemp(prefix=f".{collection.folder}-", dir=to))
    try:
        with zipfile.ZipFile(archive) as opened:
            _unpack_members(collection, opened, folder)
        if not (folder / collection.folder).is_dir():
            raise CorpusError(f"{collection.url}: the archive holds no folder {collection.folder}")
        (folder / collection.folder).rename(to / collection.folder)
    except ZIP_ERRORS as error:
        _discard(archive)
        raise CorpusError(f"{collection.url}: the archive is damaged ({error})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack_members(collection: Collection, archive: zipfile.ZipFile, folder: Path) -> None:
    members = archive.infolist()
    if len(members) > collection.max_files:
        raise CorpusError(
            f"{collection.url}: the archive holds {len(members):,} files, more than {collection.max_files:,}"
        )
    left = collection.max_unpacked_bytes
    for member in members:
        path = folder / _safe_name(collection, member)
        if member.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        left -= _unpack_member(collection, archive, member, path, left)


def _unpack_member(
    collection: Collection, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, left: int
) -> int:
    """Write one file; its length. Bytes are counted as they come, whatever the archive claims."""
    limit = min(left, max(_MEMBER_FREE_BYTES, member.compress_size * collection.max_ratio))
    written = 0
    with archive.open(member) as source, path.open("xb") as file:
        while block := source.read(BLOCK_BYTES):
            written += len(block)
            if written > limit:
                raise CorpusError(
                    f"{collection.url}: {member.filename} unpacks to too much ({written:,} bytes and more)"
                )
            file.write(block)
    return written


def _safe_name(collection: Collection, member: zipfile.ZipInfo) -> PurePosixPath:
    """The member's path, known to stay inside and to be a plain file or a folder."""
    name = PurePosixPath(member.filename)
    kind = stat.S_IFMT(member.external_attr >> 16)
    outside = name.is_absolute() or ".." in name.parts or re.search(r"[\\:\x00]", member.filename)
    if outside or not name.parts or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise CorpusError(
            f"{collection.url}: the archive is unsafe: {member.filename!r} would leave the folder or is a link"
        )
    return name


def _validator_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note_validator(part: Path, answer: Any) -> None:
    """Keep what tells this version of the file from others: a strong ETag, else the time of its last change."""
    tag = answer.headers.get("ETag", "")
    validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
    _validator_path(part).write_text(json.dumps({"validator": validator}), encoding="utf-8")


def _validator(part: Path) -> str | None:
    try:
        validator = json.loads(_validator_path(part).read_text(encoding="utf-8"))["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return validator if isinstance(validator, str) and validator else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _discard(part: Path) -> None:
    for path in (part, _validator_path(part)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
