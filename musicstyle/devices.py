"""Where is computed, and whether that is there."""

from __future__ import annotations

import os

from musicstyle.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_device(name: str) -> str:
    """The device to compute on, in torch's words: "auto" becomes the fastest that is there, "cuda:1" stays.

    Raises:
        UsageError: It is none of DEVICES, or torch sees no such device here.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device in there if there[device])
    kind = str(name).partition(":")[0]
    if kind not in there:
        raise UsageError(f"device {name}: there is no such kind; take one of {', '.join(DEVICES)}")
    if not there[kind]:
        raise UsageError(f"device {name}: torch sees none here; take cpu")
    return name
