"""How a piece is generated: an inert record, written into the MIDI file that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Literal, TypedDict

import numpy as np

from musicstyle.errors import ConfigError

SLOWEST, FASTEST = 0.25, 4.0
ENSEMBLE = (0, -3, 3, -6, 6)  # semitones from the piece's own key, in the order in which they join


class Settings(TypedDict, total=False):
    """The fields of `GenerationOptions` as keywords; what is left out stays as it is."""

    seed: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seconds: float | None
    melody_strength: float
    style_strength: float
    motif_strength: float
    keep_melody: bool
    tempo: float
    transpose: int | Literal["auto"]
    ensemble: int
    exact: bool


@dataclass(frozen=True)
class GenerationOptions:
    """Settings of one generation. The defaults were chosen by benchmarks/settings.py (docs/experiments.md).

    Attributes:
        seed: Of the sampling.
        temperature: Divides the logits; 0 takes the likeliest.
        top_k: Only the k likeliest ids are drawn from; 0 for all.
        top_p: Only the likeliest ids that together reach this probability are drawn from.
        min_p: Only ids that without guidance are at least this share as likely as the likeliest are drawn from; 0 for
            all.
        seconds: Longest length, after the primer if there is one; then no note begins, and what sounds ends within 2 s.
            None: the tune's length, or 30 s without a tune.
        melody_strength: Guidance towards the melody: 1 is none, 0 ignores it, above 1 exaggerates it.
        style_strength: Guidance towards the style, likewise.
        motif_strength: How often motifs, and where the tune returns what went with it, come again: 1 about as often as
            in real playing, 0 hardly, above 1 oftener.
        keep_melody: The grammar lets no melody note be left out.
        tempo: How many times as fast as written the tune is played.
        transpose: Semitones by which the tune is played higher; "auto": the model plays it in the register of the style
            and the result is moved back to where the tune was.
        ensemble: In how many keys the model hears the piece at once: its own, and others up to a tritone away. What is
            drawn from is the mean of what it says in each.
        exact: Compute with 32-bit weights in place of 8-bit ones, which are faster and nearly the same.
    """

    seed: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.01
    seconds: float | None = None
    melody_strength: float = 1.4
    style_strength: float = 3.5
    motif_strength: float = 1.0
    keep_melody: bool = False
    tempo: float = 1.0
    transpose: int | Literal["auto"] = 0
    ensemble: int = 1
    exact: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):  # NumPy's numbers are taken as Python's, which JSON knows
            if isinstance(value := getattr(self, field.name), np.generic):
                object.__setattr__(self, field.name, value.item())
        for name, (holds, rule) in self._checks().items():
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be {rule}")

    def _checks(self) -> dict[str, tuple[bool, str]]:
        semitones = 0 if self.transpose == "auto" else self.transpose
        return {
            "seed": (_is_whole(self.seed) and self.seed >= 0, "a whole number, not negative"),
            "temperature": (_within(self.temperature, 0, 10), "between 0 and 10"),
            "top_k": (_is_whole(self.top_k) and self.top_k >= 0, "a whole number, not negative"),
            "top_p": (_within(self.top_p, 0, 1) and self.top_p > 0, "above 0 and at most 1"),
            "min_p": (_within(self.min_p, 0, 1), "between 0 and 1"),
            "seconds": (self.seconds is None or _within(self.seconds, 1, 3600), "between 1 and 3600"),
            "melody_strength": (_within(self.melody_strength, 0, 10), "between 0 and 10"),
            "style_strength": (_within(self.style_strength, 0, 10), "between 0 and 10"),
            "motif_strength": (_within(self.motif_strength, 0, 10), "between 0 and 10"),
            "ensemble": (
                _is_whole(self.ensemble) and _within(self.ensemble, 1, len(ENSEMBLE)),
                f"a whole number from 1 to {len(ENSEMBLE)}",
            ),
            "tempo": (
                _within(self.tempo, SLOWEST, FASTEST),
                f"between {SLOWEST:g} and {FASTEST:g} times the written one",
            ),
            "transpose": (_is_whole(semitones) and _within(semitones, -60, 60), "auto, or semitones from -60 to 60"),
            "keep_melody": (isinstance(self.keep_melody, bool), "true or false"),
            "exact": (isinstance(self.exact, bool), "true or false"),
        }


def _within(value: object, least: float, most: float) -> bool:
    return isinstance(value, Real) and least <= float(value) <= most


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)
