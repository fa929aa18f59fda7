"""The machine that trains: the processes of a run, and how what it lacks is said."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from musicstyle.devices import cores
from musicstyle.errors import MusicstyleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightning_fabric import Fabric

GPU_WORKERS = 12  # a core draws some 50,000 tokens a second


def usual_workers(device: str, devices: int) -> int | None:
    """As many processes as keep a GPU busy, as far as there are cores; elsewhere None, which leaves the default."""
    if not device.startswith("cuda"):
        return None
    return max(1, min(GPU_WORKERS, cores() // devices - 1))


def launched(device: str, precision: str, devices: int, nodes: int) -> Fabric:
    """Fabric, with every process of the run begun.

    Raises:
        UsageError: The machine is not like that.
    """
    from musicstyle.training.loop import make_fabric

    for name in ("lightning.fabric", "lightning_fabric", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        fabric = make_fabric(device, precision, devices, nodes)
        name_program()
        fabric.launch()
    except Exception as error:  # Fabric refuses impossible machines with many types
        raise UsageError(f"--device, --precision, --devices and --nodes don't fit this machine: {error}") from error
    return fabric


def name_program() -> None:
    """Tell what the other processes are to run: Windows' musicstyle.exe is an archive, and its module has no name."""
    program = sys.modules["__main__"]
    if getattr(program.__spec__, "name", None) == "__main__":
        program.__spec__ = find_spec("musicstyle.__main__")


@contextmanager
def memory_is_named(device: str) -> Iterator[None]:
    """Within it, what torch raises where memory is out, of one type on a GPU and of another on a CPU, is a line."""
    import torch

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise MusicstyleError(f"out of memory on {device}; lower --batch-size, --tokens or --width") from None


def who_ended(error: RuntimeError, processes: int) -> str | None:
    """What torch says of a process which draws batches, or one of several that train, that is no more; else None."""
    why = "killed (out of memory, or of /dev/shm?)"
    if "DataLoader worker" in str(error):
        return f"a process of the run was {why}"
    if processes > 1 and "by peer" in str(error):
        return f"another process of the run ended, {why} if it says nothing itself"
    return None
