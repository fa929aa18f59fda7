"""How a piece is generated: an inert record, written into the MIDI file that comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from musicstyle.errors import ConfigError


@dataclass(frozen=True)
class GenerationOptions:
    """Settings of one generation.

    Attributes:
        seed: Of the sampling.
        temperature: Divides the logits; 0 always takes the likeliest id.
        top_k: Only the k likeliest ids are drawn from; 0 for all.
        top_p: Only the likeliest ids that together reach this probability are drawn from.
        seconds: Longest length; None: the tune's length, or 30 s without a tune.
        melody_strength: Guidance towards the melody: 1 is none, 0 ignores it, above 1 exaggerates it.
        style_strength: Guidance towards the style, likewise.
    """

    seed: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 0.95
    seconds: float | None = None
    melody_strength: float = 1.0
    style_strength: float = 1.0

    def __post_init__(self) -> None:
        checks = {
            "seed": (self.seed >= 0, "not negative"),
            "temperature": (0 <= self.temperature <= 10, "between 0 and 10"),
            "top_k": (self.top_k >= 0, "not negative"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "seconds": (self.seconds is None or 1 <= self.seconds <= 3600, "between 1 and 3600"),
            "melody_strength": (0 <= self.melody_strength <= 10, "between 0 and 10"),
            "style_strength": (0 <= self.style_strength <= 10, "between 0 and 10"),
        }
        for name, (holds, rule) in checks.items():
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {rule}")
