"""What somebody gets wrong is told in one line, as the command line tells it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from musicstyle.errors import MusicstyleError


def run(main: Callable[[], None]) -> None:
    """Run a benchmark; a mistake that musicstyle knows ends it with one line on stderr and its exit code."""
    try:
        main()
    except MusicstyleError as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
