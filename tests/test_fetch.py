"""Downloading from a server on this machine that misbehaves in every way servers do."""

from __future__ import annotations

import errno
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from musicstyle.corpus import fetch as fetching
from musicstyle.corpus.fetch import COLLECTIONS, Collection, fetch, part_path
from musicstyle.errors import CorpusError

FILES = {
    f"songs-v1/{year}/piece{number}.mid": bytes([year % 256, number]) * 9000 for year, number in ((2004, 1), (2017, 2))
}


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


ARCHIVE = zipped(FILES)


@dataclass
class Server:
    """What is served, how badly, and what was asked."""

    body: bytes = ARCHIVE
    tag: str | None = '"one"'
    changed: str | None = None  # Last-Modified
    moved: int = 0  # a Content-Range begins so far from where it was asked for
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes sent in the first answers, then the line goes dead
    claim: int = 0  # added to the truth in Content-Length
    no_length: bool = False
    status: int = 0
    busy: list[int] = field(default_factory=list)  # the first answers' status
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if status := self.busy.pop(0) if self.busy else self.status:
            handler.send_error(status)
            return
        # A server need not be strict about a weak tag; who asks has to be.
        fresh = handler.headers.get("If-Range") in {self.tag, self.changed} - {None}
        begin = int(wanted[6:-1]) if wanted and self.ranges and fresh else 0
        if begin and begin >= len(self.body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.body)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin + self.moved}-{len(self.body) - 1}/{len(self.body)}")
        for name, value in (("ETag", self.tag), ("Last-Modified", self.changed)):
            if value:
                handler.send_header(name, value)
        if not self.no_length:
            handler.send_header("Content-Length", str(len(self.body) - begin + self.claim))
        handler.end_headers()
        rest = self.body[begin:]
        handler.wfile.write(rest[: self.cut_after.pop(0)] if self.cut_after else rest)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetching, "FIRST_PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    state.url = f"http://127.0.0.1:{web.server_address[1]}/songs-v1.zip"
    yield state
    web.shutdown()
    web.server_close()


def collection(server: Server, **changes: object) -> Collection:
    one = Collection("songs", server.url, hashlib.sha256(server.body).hexdigest(), "songs-v1", "free")
    return replace(one, **changes)  # type: ignore[arg-type]


def held(folder: Path) -> dict[str, bytes]:
    return {f"songs-v1/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in folder.rglob("*.mid")}


def test_a_download_is_unpacked_and_leaves_nothing_else(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = fetch(collection(server), tmp_path / "new", progress=lambda done, total: seen.append((done, total)))
    assert held(folder) == FILES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["songs-v1"]
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert seen == sorted(seen)


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    assert fetch(collection(server), tmp_path) == fetch(collection(server), tmp_path)
    assert len(server.asked) == 1


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1000, 700]
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert server.asked == [None, "bytes=1000-", "bytes=1700-"]


def test_a_network_that_goes_away_is_no_disk_that_fails(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, answers = fetching._open, []

    def unreachable(*_: object) -> bytes:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    def once_unreachable(url: str, headers: dict[str, str]) -> Any:
        answers.append(opened(url, headers))
        if len(answers) == 1:
            answers[0].read = unreachable
        return answers[-1]

    monkeypatch.setattr(fetching, "_open", once_unreachable)
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert len(answers) == 2


def test_another_run_goes_on_too(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1234] + [0] * fetching.TRIES
    with pytest.raises(CorpusError, match=r"1,234 bytes are kept, call again"):
        fetch(collection(server), tmp_path)
    assert part_path(collection(server), tmp_path).read_bytes() == ARCHIVE[:1234]
    server.cut_after, server.asked = [], []
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert server.asked == ["bytes=1234-"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cut_after = False, [5000]
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert server.asked == [None, "bytes=5000-"]


def test_a_file_that_changed_meanwhile_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1500] + [0] * fetching.TRIES
    with pytest.raises(CorpusError):
        fetch(collection(server), tmp_path)
    server.cut_after, server.tag, server.body = [], '"two"', zipped({"songs-v1/x.mid": b"another"})
    assert held(fetch(collection(server), tmp_path)) == {"songs-v1/x.mid": b"another"}


def test_without_a_validator_nothing_is_pieced_together(server: Server, tmp_path: Path) -> None:
    server.tag, server.cut_after = None, [5000]
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert server.asked == [None, None]


def test_a_weak_tag_is_no_validator(server: Server, tmp_path: Path) -> None:
    server.tag, server.cut_after = 'W/"one"', [5000]
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert server.asked == [None, None]


@pytest.mark.parametrize("tag", [None, 'W/"one"'])
def test_without_a_strong_tag_the_last_change_is_the_validator(server: Server, tmp_path: Path, tag: str | None) -> None:
    server.tag, server.changed, server.cut_after = tag, "Tue, 01 Jan 2019 00:00:00 GMT", [5000]
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert server.asked == [None, "bytes=5000-"]


@pytest.mark.parametrize("moved", [-1, 1])
def test_another_range_than_was_asked_for_is_refused(server: Server, tmp_path: Path, moved: int) -> None:
    server.cut_after, server.moved = [5000], moved
    with pytest.raises(CorpusError, match=r"another range than was asked for \(from byte 5000\)"):
        fetch(collection(server), tmp_path)
    assert part_path(collection(server), tmp_path).read_bytes() == ARCHIVE[:5000]


def test_a_length_too_long_does_not_hang(server: Server, tmp_path: Path) -> None:
    server.claim = 99  # after the first answer, the range behind the end is refused: all had come
    assert held(fetch(collection(server), tmp_path)) == FILES


def test_a_length_too_long_without_ranges_fails_in_the_end(server: Server, tmp_path: Path) -> None:
    server.claim, server.ranges = 99, False
    with pytest.raises(CorpusError, match="broke off"):
        fetch(collection(server), tmp_path)
    assert len(server.asked) == fetching.TRIES + 1


def test_a_length_too_short_is_caught_by_the_checksum(server: Server, tmp_path: Path) -> None:
    server.claim = -50
    with pytest.raises(CorpusError, match="another file than the published one"):
        fetch(collection(server), tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_length_is_no_fault(server: Server, tmp_path: Path) -> None:
    server.no_length = True
    assert held(fetch(collection(server), tmp_path)) == FILES


def test_a_wrong_file_is_not_opened(server: Server, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="another file than the published one"):
        fetch(collection(server, sha256="0" * 64), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("status", "times", "text"), [(404, 1, "404"), (503, fetching.TRIES, "Service Unavailable")])
def test_refusals_are_told(server: Server, tmp_path: Path, status: int, times: int, text: str) -> None:
    server.status = status
    with pytest.raises(CorpusError, match=text):
        fetch(collection(server), tmp_path)
    assert len(server.asked) == times


@pytest.mark.parametrize("status", [408, 429])
def test_who_is_put_off_asks_again(server: Server, tmp_path: Path, status: int) -> None:
    server.busy = [status]
    assert held(fetch(collection(server), tmp_path)) == FILES
    assert server.asked == [None, None]


def test_nobody_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="refused"):
        fetch(collection(server, url="http://127.0.0.1:9/songs-v1.zip"), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/songs-v1.zip"])
def test_only_the_web_is_fetched_from(server: Server, tmp_path: Path, url: str) -> None:
    with pytest.raises(CorpusError, match="only http"):
        fetch(collection(server, url=url), tmp_path)


@pytest.mark.parametrize("no_length", [False, True])
def test_a_download_without_end_is_stopped(server: Server, tmp_path: Path, no_length: bool) -> None:
    server.no_length = no_length
    with pytest.raises(CorpusError, match="fewer"):
        fetch(collection(server, max_bytes=30_000), tmp_path)


def _link() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("songs-v1/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
    return out.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        zipped({"../outside.mid": b"x"}),
        zipped({"songs-v1/../../outside.mid": b"x"}),
        zipped({"/outside.mid": b"x"}),
        zipped({"songs-v1\\..\\..\\outside.mid": b"x"}),
        zipped({"C:outside.mid": b"x"}),
        _link(),
    ],
)
def test_no_path_leaves_the_folder(server: Server, tmp_path: Path, body: bytes) -> None:
    server.body = body
    with pytest.raises(CorpusError, match="unsafe"):
        fetch(collection(server), tmp_path / "to")
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".mid" or path.is_symlink()]


@pytest.mark.parametrize(
    ("changes", "text"),
    [({}, "unpacks to too much"), ({"max_ratio": 10**6, "max_unpacked_bytes": 2 * 10**6}, "unpacks to too much")],
)
def test_an_archive_bomb_is_defused(server: Server, tmp_path: Path, changes: dict[str, int], text: str) -> None:
    server.body = zipped({"songs-v1/zeros.mid": bytes(3_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(CorpusError, match=text):
        fetch(collection(server, **changes), tmp_path)
    assert not list(tmp_path.glob("songs-v1"))
    assert not list(tmp_path.glob(".songs-v1-*"))


PACKED = zipped(FILES, zipfile.ZIP_DEFLATED)
BROKEN = PACKED[:60] + bytes([PACKED[60] ^ 0xFF]) + PACKED[61:]  # inside the first member's data


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"not a zip", "damaged"),
        (BROKEN, "damaged"),
        (zipped({"elsewhere/x.mid": b"x"}), "no folder songs-v1"),
        (ARCHIVE[:-30], "damaged"),
    ],
)
def test_an_archive_of_another_kind(server: Server, tmp_path: Path, body: bytes, text: str) -> None:
    server.body = body
    with pytest.raises(CorpusError, match=text):
        fetch(collection(server), tmp_path)
    assert not list(tmp_path.glob("songs-v1"))


def test_a_file_is_no_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(CorpusError, match="a: is a file; give a folder"):
        fetch(collection(server), tmp_path / "a")


def test_too_many_files(server: Server, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds 2 files, more than 1"):
        fetch(collection(server, max_files=1), tmp_path)


def test_the_verb(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from musicstyle.cli import main

    monkeypatch.setitem(COLLECTIONS, "maestro", collection(server))
    done = CliRunner().invoke(main, ["data", "fetch", "maestro", "--to", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'songs-v1'}\n"
    assert CliRunner().invoke(main, ["data", "fetch", "nothing", "--to", str(tmp_path)]).exit_code == 2


def test_the_published_archive() -> None:
    # Both as the dataset's page gives them.
    maestro = COLLECTIONS["maestro"]
    assert maestro.url.endswith("/maestro/v3.0.0/maestro-v3.0.0-midi.zip")
    assert maestro.sha256 == "70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c"
