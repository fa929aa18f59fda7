"""The performances whose style is asked for, and what is taken of it beside what the model hears.

Several are mixed: a number of their style, be it a limit, a register or how near a piece is, is the mean of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from musicstyle.errors import UsageError
from musicstyle.generation.grid import unit_of
from musicstyle.generation.rules import Limits
from musicstyle.music.melody import extract_melody
from musicstyle.music.notes import Notes
from musicstyle.music.similarity import similarity


@dataclass(frozen=True)
class Performances:
    """One or more, each with its share of the style.

    Attributes:
        notes: Of each, on the piano's keys.
        shares: As many, above 0; their sum is 1.
    """

    notes: tuple[Notes, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, notes: Sequence[Notes], shares: Iterable[float] | None = None) -> Performances:
        """Take them in proportion to `shares`, those of 0 not at all; None: as much of each.

        Raises:
            UsageError: Not one share for each, one that cannot be, or nothing of any.
        """
        asked: list[Any] = [1.0] * len(notes) if shares is None else list(shares)
        if len(asked) != len(notes):
            raise UsageError(f"{len(asked)} style shares for {len(notes)} of style; give one for each")
        whole = sum(asked) if all(isinstance(share, Real) and float(share) >= 0 for share in asked) else math.nan
        if not 0 < whole < math.inf:
            told = ", ".join(map(str, asked))
            raise UsageError(f"style shares {told} cannot be; give numbers from 0 up, not all of them 0")
        taken = [(part, float(share / whole)) for part, share in zip(notes, asked, strict=True) if share > 0]
        return cls(tuple(part for part, _ in taken), tuple(share for _, share in taken))

    @property
    def limits(self) -> Limits:
        """What a piece in this style keeps to."""
        return Limits.mean([Limits.of(notes) for notes in self.notes], self.shares)

    @property
    def register(self) -> float:
        """The median pitch of the melody."""
        return self.mean(float(np.median(extract_melody(notes).pitch)) for notes in self.notes)

    @property
    def unit_seconds(self) -> float | None:
        """How finely the programs that wrote them divided time; None unless all of them are programs'."""
        units = [unit_of(notes) for notes in self.notes]
        return None if None in units else float(self.mean(units))

    def near(self, piece: Notes) -> float:
        """The mean overlapping area of a piece with them, 0..1."""
        return self.mean(similarity(piece, notes).mean for notes in self.notes)

    def mean(self, each: Iterable[Any]) -> Any:
        """The mean by shares of what each comes to, numbers or tensors."""
        return sum(share * value for share, value in zip(self.shares, each, strict=True))
