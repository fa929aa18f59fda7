"""What stood on the command line, and settings by the names that they have there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from musicstyle.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def settings_are_flags() -> Iterator[None]:
    """Within it, a setting that cannot be is a mistake of usage, and named as its flag.

    Raises:
        UsageError: In place of a ConfigError.
    """
    try:
        yield
    except ConfigError as error:
        name, _, reason = str(error).partition(" ")
        raise UsageError(f"--{name.replace('_', '-')} {reason}") from None


def was_given(name: str) -> bool:
    """Whether a parameter of the verb that is being called stood on the command line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def refuse_given(names: Sequence[str], why: str) -> None:
    """Say that an option was given which nothing would come of.

    Args:
        names: Parameters of the verb that is being called.
        why: End of the message, after "--seconds means nothing".

    Raises:
        UsageError: One of them stood on the command line.
    """
    for parameter in click.get_current_context().command.params:
        if parameter.name in names and was_given(parameter.name):
            raise UsageError(f"{parameter.opts[0]} means nothing {why}")
