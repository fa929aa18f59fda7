"""The outermost layer: help without weight, one line and an exit code for each mistake, progress for all."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from unittest.mock import Mock

import click
import pytest
from click.testing import CliRunner

from musicstyle import __version__
from musicstyle.cli import VERBS, _console, main
from musicstyle.cli._group import LazyGroup, Program, Verb
from musicstyle.cli.data import VERBS as DATA_VERBS
from musicstyle.errors import CheckpointError, MidiError, UsageError

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "numpy",
    "note_seq",
    "pretty_midi",
    "symusic",
    "numba",
    "mido",
    "rich",
    "lightning_fabric",
    "matplotlib",
)


def test_help_and_version_import_nothing_heavy() -> None:
    program = (
        "import sys\nfrom musicstyle.cli import main\n"
        "for arguments in (['--help'], ['--version'], ['data', '--help']):\n"
        "    try:\n        main(arguments)\n    except SystemExit as end:\n        assert end.code == 0, end.code\n"
        f"print('heavy:', *(name for name in {HEAVY} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy:"
    assert f"musicstyle {__version__}" in done.stdout.splitlines()


@pytest.mark.parametrize("verb", ["generate", "render", "melody", "train", "eval", "data"])
def test_the_help_of_a_verb_imports_no_torch(verb: str) -> None:
    program = (
        "import sys\nfrom musicstyle.cli import main\n"
        f"try:\n    main(['{verb}', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print('torch' in sys.modules, 'note_seq' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


def every_verb() -> list[tuple[LazyGroup, str, Verb]]:
    data = main.get_command(click.Context(main), "data")
    assert isinstance(main, LazyGroup)
    assert isinstance(data, LazyGroup)
    return [(main, name, verb) for name, verb in VERBS.items()] + [
        (data, name, verb) for name, verb in DATA_VERBS.items()
    ]


@pytest.mark.parametrize(
    ("group", "name", "verb"), every_verb(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_table_says_of_a_verb_what_the_verb_says_of_itself(group: LazyGroup, name: str, verb: Verb) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").splitlines()[0] == verb.help
    assert f"{name} " in group.get_help(click.Context(group))


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_a_group_alone_gives_its_help(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Verbs:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generat"], ["generat", "musicstyle --help"]),
        (["--loud"], ["--loud", "musicstyle --help"]),
        (["generate", "--stile", "x.mid"], ["--stile", "musicstyle generate --help"]),
        (["generate", "--top-k", "many"], ["--top-k", "many", "musicstyle generate --help"]),
        (["train"], ["--data", "musicstyle train --help"]),
        (["train", "--data", ".", "--combine", "mix"], ["mix", "tile", "musicstyle train --help"]),
        (["data", "prepare", "."], ["--out", "musicstyle data prepare --help"]),
        (["data", "cook"], ["cook", "musicstyle data --help"]),
    ],
)
def test_what_click_refuses_is_one_line_too(arguments: list[str], words: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("musicstyle: error: ")
    assert all(word in line for word in words), line


def outcome(error: BaseException) -> tuple[int, str]:
    @click.group(name="musicstyle", cls=Program, verbs={})
    def program() -> None:
        pass

    @program.command()
    def fail() -> None:
        raise error

    program.verbs = {"fail": Verb("unused:unused", "Fail.")}
    program.get_command = Mock(return_value=fail)  # type: ignore[method-assign]
    result = CliRunner().invoke(program, ["fail"])
    assert result.stdout == ""
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (MidiError("a.mid", "is empty"), 1, "error: a.mid: is empty"),
        (CheckpointError("one\ntwo"), 1, "error: one two"),
        (UsageError("leave --x out"), 2, "error: leave --x out"),
        (PermissionError(errno.EACCES, "Permission denied", "/locked"), 1, "error: /locked: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: No space left on device"),
        (MidiError("b\udcff.mid", "is empty"), 1, "error: b?.mid: is empty"),
        (MemoryError(), 1, "error: out of memory"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_an_error_ends_as_one_line_and_a_code(error: BaseException, code: int, line: str) -> None:
    assert outcome(error) == (code, f"musicstyle: {line}\n")


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        outcome(ZeroDivisionError())


def test_a_closed_pipe_is_no_news() -> None:
    command = [sys.executable, "-m", "musicstyle", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_name_that_stdout_cannot_spell_is_no_failure(tmp_path: Path) -> None:
    """Windows has such a stdout wherever it is no console."""
    command = [sys.executable, "-m", "musicstyle", "melody", "C4 D4", "--out", "Dvo\u0159\xe1k.mid"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, b"Dvo?\xe1k.mid\n"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Dvo\u0159\xe1k.mid"]


@pytest.mark.parametrize("ears", ["2>&-", "2>/dev/full"])
def test_what_nobody_can_be_told_is_no_failure(ears: str) -> None:
    command = f"{sys.executable} -m musicstyle melody 'tempo=60 C4 D4' {ears}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "tempo=60 C4:1 D4:1\n"
    mistake = f"{sys.executable} -m musicstyle nope {ears}"
    assert subprocess.run(mistake, shell=True, capture_output=True, check=False).returncode == 2


def test_the_module_has_the_name_of_the_program() -> None:
    command = [sys.executable, "-m", "musicstyle", "--help"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("Usage: musicstyle [")


def test_words_of_third_parties_to_programmers_stay_unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def warn() -> None:
        warnings.warn("ffmpeg is missing", RuntimeWarning, stacklevel=1)
        click.echo("done")

    monkeypatch.setattr(LazyGroup, "get_command", Mock(return_value=warn))
    result = CliRunner().invoke(main, ["generate"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(
    ("system", "path", "typed"),
    [
        ("posix", PurePosixPath("runs/mine/best"), "runs/mine/best"),
        ("posix", PurePosixPath("my runs/it's"), "'my runs/it'\"'\"'s'"),
        ("nt", PureWindowsPath("runs/mine/best"), r"runs\mine\best"),
        ("nt", PureWindowsPath("my runs/it's"), '"my runs\\it\'s"'),
    ],
)
def test_a_path_can_be_typed_again(monkeypatch: pytest.MonkeyPatch, system: str, path: PurePath, typed: str) -> None:
    with monkeypatch.context() as there:
        there.setattr("os.name", system)
        assert _console.as_argument(path) == typed


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (185, "3:05"), (7209, "2:00:09")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert _console.duration(seconds) == text


def test_a_log_gets_a_line_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = itertools.count(step=4)  # each call to the clock is 4 s later
    monkeypatch.setattr(_console.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(_console, "person_watches", lambda: False)
    with _console.Meter("counting") as meter:  # 0 s
        for done in range(5, 12):  # 4 s ... 28 s; resumed work: half was done before
            meter.update(done / 11, f"{done} of 11")
    captured = capsys.readouterr()
    # At 12 s, two of six remaining elevenths took 8 s, so four more take 16; at 24 s one is left.
    assert captured.err.splitlines() == ["counting: 7 of 11, 16 s left", "counting: 10 of 11, 4 s left"]
    assert captured.out == ""


def test_a_person_gets_a_bar_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_console, "person_watches", lambda: True)
    monkeypatch.setattr(_console, "SECONDS_BETWEEN_FRAMES", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes a terminal by
    with _console.Meter("counting") as meter:
        meter.update(0.0, "none")
        meter.update(0.5, "half [of it] in b[/x].wav")
        meter.say("a line that stays")
        sys.stdout.write("a result\n")
    captured = capsys.readouterr()
    assert "a line that stays" in captured.err
    assert captured.out == "a result\n"


@pytest.mark.parametrize(("terminal", "watches"), [("xterm", True), ("dumb", False)])
def test_a_terminal_that_cannot_redraw_gets_no_bar(
    monkeypatch: pytest.MonkeyPatch, terminal: str, watches: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", terminal)
    assert _console.person_watches() is watches


def test_only_the_first_process_of_several_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank, node, heard in (("0", "0", 1), ("1", "0", 0), ("0", "1", 0)):
        monkeypatch.setenv("LOCAL_RANK", rank)
        monkeypatch.setenv("NODE_RANK", node)
        _console.say("here")
        _console.give({"step": 1})
        captured = capsys.readouterr()
        assert len(captured.err.splitlines()) == len(captured.out.splitlines()) == heard
