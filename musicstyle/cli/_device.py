"""Where a verb computes: --device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from musicstyle.devices import DEVICES


def device_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --device of a verb."""
    return click.option(
        "--device",
        type=click.Choice(DEVICES),
        default=default,
        show_default=True,
        help="auto: a GPU if there is one.",
    )
