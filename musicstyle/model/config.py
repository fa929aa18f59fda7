"""What a model is made of: an inert record that travels with its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from musicstyle.errors import ConfigError

Combination = Literal["sum", "concat", "tile"]
Conditions = Literal["both", "melody", "style", "none"]
Activation = Literal["relu", "relu_squared"]

MAY_BE_0 = (
    "style_layers", "melody_layers", "melody_frames_ahead", "melody_frames_behind", "held_keys", "style_habits",
    "motifs",
)  # fmt: skip


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of one transformer autoencoder.

    Attributes:
        vocabulary_size: Performance ids, PAD = 0 included.
        melody_vocabulary_size: Melody ids, PAD = 0 included.
        width: Size of every hidden vector.
        heads: Attention heads.
        head_width: Size of one head's key, query and value (heads * head_width may differ from width).
        feedforward_width: Hidden size of the feed-forward layers.
        decoder_layers: Depth of the causal decoder.
        style_layers: Depth of the performance encoder.
        melody_layers: Depth of the melody encoder.
        window: How many last tokens a decoder position attends to, itself among them.
        max_distance: Rows of the decoder's relative tables; farther tokens have no relative term.
        encoder_max_distance: The same for the two-sided tables of the encoders.
        memory_window_steps: A decoder position attends to memory frames at most this far from its clock (None: all).
        combine: How melody and style become one memory.
        conditions: What the model can listen to; the baselines are "melody", "style" and "none".
        clock: Positions are elapsed time (rotary attention over time). False: sinusoids of the index, as published.
        melody_frames_ahead: Melody frames after now that are added to the decoder's input (0: none, as published).
        melody_frames_behind: Melody frames before now that are added with them.
        held_keys: The decoder's input also says which of so many keys are down and for how long (0: no, as published).
        style_counts: The style embedding also counts how often each id occurs in the performance (no, as published).
        style_habits: The style embedding also holds how much oftener than usual the performance goes on in each of so
            many ways, and the logits hear of it (0: no, as published; see musicstyle.model.habits).
        motifs: The logits hear what came after the same motifs before, in so many opinions (0: no, as published; see
            musicstyle.music.motifs).
        style_shortcut: The style embedding is also added to the decoder's input.
        activation: Of the feed-forward layers.
        dropout: On embeddings and residual branches (never inside the attention, whose written-out gradient has none).
        steps_per_frame: Decoder steps (10 ms) in one melody frame (100 ms).
    """

    vocabulary_size: int = 310
    melody_vocabulary_size: int = 92
    width: int = 192
    heads: int = 4
    head_width: int = 48
    feedforward_width: int = 768
    decoder_layers: int = 4
    style_layers: int = 2
    melody_layers: int = 1
    window: int = 512
    max_distance: int = 512
    encoder_max_distance: int = 128
    memory_window_steps: int | None = 800
    combine: Combination = "sum"
    conditions: Conditions = "both"
    clock: bool = True
    melody_frames_ahead: int = 10
    melody_frames_behind: int = 2
    held_keys: int = 88
    style_counts: bool = True
    style_habits: int = 785
    motifs: int = 1248
    style_shortcut: bool = True
    activation: Activation = "relu_squared"
    dropout: float = 0.0
    steps_per_frame: int = 10

    def __post_init__(self) -> None:
        """Refuse early what would fail late.

        Raises:
            ConfigError: An unknown choice or an impossible size, with the value in the message.
        """
        for name, choices in (("combine", Combination), ("conditions", Conditions), ("activation", Activation)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ConfigError(f"{name} {value!r} is unknown; choose one of {', '.join(get_args(choices))}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in MAY_BE_0 else 1
            if field.type == "int" and (not isinstance(value, int) or value < least):
                raise ConfigError(f"{field.name} is {value!r}; it must be a whole number of {least} or more")
            if field.type == "bool" and not isinstance(value, bool):
                raise ConfigError(f"{field.name} is {value!r}; it must be True or False")
        if self.head_width % 4:
            raise ConfigError(
                f"head_width is {self.head_width}; it must be a multiple of 4 (half of it rotates in pairs)"
            )
        if self.max_distance > self.window:
            raise ConfigError(f"max_distance is {self.max_distance}; it must lie between 1 and window = {self.window}")
        steps: Any = self.memory_window_steps  # JSON may hold anything
        dropout: Any = self.dropout
        if steps is not None and not (isinstance(steps, int) and steps >= self.steps_per_frame):
            raise ConfigError(
                f"memory_window_steps is {steps!r}; it must be None or at least "
                f"steps_per_frame = {self.steps_per_frame}"
            )
        if not (isinstance(dropout, int | float) and 0 <= dropout < 1):
            raise ConfigError(f"dropout is {dropout!r}; it must lie in [0, 1)")

    @property
    def hears_melody(self) -> bool:
        """Whether there is a melody encoder."""
        return self.conditions in ("both", "melody")

    @property
    def hears_style(self) -> bool:
        """Whether there is a performance encoder."""
        return self.conditions in ("both", "style")

    @property
    def aligned_frames(self) -> int:
        """Melody frames that are added to the decoder's input: behind, now and ahead."""
        return self.melody_frames_behind + 1 + self.melody_frames_ahead if self.melody_frames_ahead else 0

    @property
    def memory_width(self) -> int:
        """Width of the vectors that the decoder attends to."""
        return 2 * self.width if self.combine == "tile" and self.conditions == "both" else self.width

    def with_window(self, window: int) -> ModelConfig:
        """The same with another window; relative tables that reach as far as the window still do, others no farther.

        Raises:
            ConfigError: It is below 1.
        """
        rows = window if self.max_distance == self.window else min(self.max_distance, window)
        return dataclasses.replace(self, window=window, max_distance=rows)

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON; `from_dict` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Build a config from JSON values.

        Raises:
            ConfigError: An unknown or missing field, or a value that `__post_init__` refuses.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ConfigError(f"unknown field in the model's config: {', '.join(unknown)}")
        if missing := sorted(names - set(values)):
            raise ConfigError(f"missing field in the model's config: {', '.join(missing)}")
        return cls(**values)


# "paper" is the published setting (Choi et al. 2020): no clock, no aligned melody, style through the memory alone.
PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(),
    "base": ModelConfig(
        width=384, heads=6, head_width=64, feedforward_width=1536, decoder_layers=8, style_layers=4, melody_layers=2,
        window=2048, max_distance=1024, encoder_max_distance=512, dropout=0.1,
    ),
    "paper": ModelConfig(
        width=384, heads=8, head_width=64, feedforward_width=1024, decoder_layers=6, style_layers=6, melody_layers=6,
        window=2048, max_distance=1024, encoder_max_distance=1024, memory_window_steps=None, clock=False,
        melody_frames_ahead=0, melody_frames_behind=0, held_keys=0, style_counts=False, style_habits=0,
        motifs=0, style_shortcut=False, activation="relu", dropout=0.1,
    ),
}  # fmt: skip
