"""What verbs say and how: results on stdout, messages and progress on stderr; a bar only where a person watches."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from musicstyle.files import as_text

if TYPE_CHECKING:
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_FRAMES = 0.1


def person_watches() -> bool:
    """Whether stderr is there and a terminal that can redraw a line."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def speaks() -> bool:
    """Whether this process talks: of those that one training run starts, only the first does."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))


def say(message: str) -> None:
    """A line for the person, on stderr; where that is closed or full, nobody is told."""
    if speaks():
        with suppress(OSError):
            click.echo(_one_line(message), err=True)


def complain(message: str) -> None:
    """The one line a failure gets, whichever process failed, if anybody can be told."""
    with suppress(OSError):
        click.echo(f"musicstyle: error: {_one_line(message)}", err=True)


def spell_what_can_be(stream: object) -> None:
    """Have "?" stand for letters that a stream's encoding lacks, as that of pipes on Windows lacks most of them."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")


def give(result: Path | dict[str, Any]) -> None:
    """A result, on stdout: a path, or one line of JSON."""
    if speaks():
        click.echo(json.dumps(result) if isinstance(result, dict) else click.format_filename(result))


def without_infinity(value: Any) -> Any:
    """The same for JSON, which knows neither infinity nor NaN."""
    if isinstance(value, dict):
        return {name: without_infinity(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def tell(line: str) -> None:
    """A line of a result for a person, on stdout."""
    click.echo(as_text(line))


def as_argument(path: PurePath) -> str:
    """A path as it is typed in a command: Windows' shell knows no single quotes."""
    return subprocess.list2cmdline([str(path)]) if os.name == "nt" else shlex.quote(str(path))


def duration(seconds: float) -> str:
    """A length of time for people: 7 s, 3:05, 2:00:09."""
    whole = int(seconds + 0.5)
    minutes, hours = whole // 60, whole // 3600
    if hours:
        return f"{hours}:{minutes % 60:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}" if minutes else f"{whole} s"


class Meter:
    """Progress on stderr: a bar with an estimate on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._bar: Progress | None = None
        self._began = self._shown = time.monotonic()
        self._first_share: float | None = None

    def __enter__(self) -> Self:
        if person_watches() and speaks():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(24),
                TextColumn("{task.fields[text]}", markup=False),  # names of files may look like it
            )
            # Not live on stdout: that one belongs to the result.
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
            self._bar.add_task(self.title, total=None, text="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, share: float, text: str) -> None:
        """Show where the work stands; calls may come as often as they like.

        Args:
            share: Done, from 0 to 1.
            text: What has been reached.
        """
        now = time.monotonic()
        if self._first_share is None or share < self._first_share:  # a new piece of work begins
            self._first_share, self._began = share, now
        if now - self._shown < (SECONDS_BETWEEN_LINES if self._bar is None else SECONDS_BETWEEN_FRAMES):
            return
        self._shown = now
        text += self._estimate(share, now)
        if self._bar is None:
            say(f"{self.title}: {text}")
        else:
            self._bar.update(self._bar.task_ids[0], completed=share, total=1.0, text=text)

    def say(self, message: str) -> None:
        """A line that stays, above the bar if there is one."""
        if self._bar is None:
            say(message)
        else:
            self._bar.console.print(_one_line(message), markup=False, highlight=False, soft_wrap=True)

    def _estimate(self, share: float, now: float) -> str:
        done = share - (self._first_share or 0.0)
        if done <= 0:
            return ""
        return f", {duration((now - self._began) * (1 - share) / done)} left"


def counter(meter: Meter, unit: str) -> Callable[[int, int], None]:
    """A progress callback that shows so many of so many."""

    def report(done: int, total: int) -> None:
        meter.update(done / total, f"{done} of {total} {unit}")

    return report


def _one_line(message: str) -> str:
    return as_text(" ".join(message.splitlines()))
