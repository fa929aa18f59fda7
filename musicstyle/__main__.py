"""`python -m musicstyle` is the same as `musicstyle`."""

from __future__ import annotations

from musicstyle.cli import main

if __name__ == "__main__":
    main()
