"""Groups that import a verb when it is called, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from musicstyle.cli._console import complain, say, spell_what_can_be
from musicstyle.errors import MusicstyleError

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


class StoppedError(MusicstyleError):
    """Ctrl-C, with what the person should know about what was done so far."""

    exit_code = INTERRUPTED


@dataclass(frozen=True)
class Verb:
    """Where a verb is ("module:attribute") and what the group's help says of it."""

    target: str
    help: str


class LazyGroup(click.Group):
    """A group whose verbs are named in a table, so that its help imports none of them."""

    def __init__(self, *, verbs: Mapping[str, Verb], **extra: Any) -> None:
        super().__init__(subcommand_metavar="VERB [ARGS]...", **extra)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of the table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a verb."""
        if cmd_name not in self.verbs:
            return None
        module, attribute = self.verbs[cmd_name].target.split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table into the help."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in self.verbs.items()])


class Program(LazyGroup):
    """The outermost group: a person's mistake ends as one line on stderr, never as a traceback."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run the command line and exit; with standalone_mode=False, return or raise what the verb does."""
        prog_name = prog_name or "musicstyle"  # also when called as `python -m musicstyle`
        if not extra.pop("standalone_mode", True):
            return super().main(args, prog_name, standalone_mode=False, **extra)
        spell_what_can_be(sys.stdout)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third parties' words to programmers
            sys.exit(self._exit_code(args, prog_name, **extra))

    def invoke(self, ctx: click.Context) -> Any:
        """Import and run the verb; Ctrl-C leaves as `StoppedError`, before click prints an empty line for it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StoppedError("stopped") from None

    def _exit_code(self, args: Sequence[str] | None, prog_name: str, **extra: Any) -> int:
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
            return code if isinstance(code, int) else 0
        except StoppedError as error:
            say(f"musicstyle: {error}")
            return error.exit_code
        except MusicstyleError as error:
            complain(str(error))
            return error.exit_code
        except click.ClickException as error:
            complain(_with_help(error))
            return error.exit_code
        except (KeyboardInterrupt, click.Abort):
            say("musicstyle: stopped")
            return INTERRUPTED
        except OSError as error:
            complain(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
            return 1
        except MemoryError:
            complain("out of memory")
            return 1


def _with_help(error: click.ClickException) -> str:
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    return message if context is None else f"{message.rstrip('.')}; see {context.command_path} --help"


def help_if_alone(context: click.Context) -> None:
    """Print the help of a group that was called without a verb."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
