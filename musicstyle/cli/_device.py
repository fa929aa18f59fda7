"""Where a verb computes: --device, and whether it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from musicstyle.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def device_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --device of a verb."""
    return click.option(
        "--device",
        type=click.Choice(DEVICES),
        default=default,
        show_default=True,
        help="auto: a GPU if there is one.",
    )


def find_device(name: str) -> str:
    """The device to compute on, in torch's words: "auto" becomes the fastest that is there.

    Raises:
        UsageError: torch sees no such device here.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device in there if there[device])
    if not there[name]:
        raise UsageError(f"--device {name}: torch sees none here; use --device cpu")
    return name
