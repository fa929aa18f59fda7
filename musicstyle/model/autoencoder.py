"""The transformer autoencoder: performance encoder, melody encoder, combine, decoder.

Deviations from Choi et al. 2020: the style mean leaves padding out; encoder tables are two-sided; learned vectors stand
for an absent melody or style, so one set of weights serves with both, either or none; with a clock, positions are
elapsed time; the melody's frames around now and the keys that are down are added to the decoder's input; the style
embedding also counts the ids of the performance and knows its habits, of which the logits hear, as they do of what came
after the same motifs before; a small head predicts the style crop's similarity features from the style embedding
(training only).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicstyle.model.attention import Memory
from musicstyle.model.combine import combine
from musicstyle.model.config import ModelConfig
from musicstyle.model.decoder import Decoder, DecoderCache
from musicstyle.model.encoders import PAD, Encoder, MelodyEncoder, masked_mean
from musicstyle.model.habits import Habits, said
from musicstyle.model.layers import initialise
from musicstyle.model.motifs import Motifs
from musicstyle.model.truncation import Truncation

STYLE_FEATURES = 8
STYLE = ("style", "style_clock", "style_habits")  # of a batch, as `Autoencoder.encode_style` takes them


@dataclass(frozen=True)
class Condition:
    """What a generation or a training crop is conditioned on.

    Attributes:
        rows: How many, the batch.
        memory: What the decoder attends to; None for the unconditional baseline.
        melody: Melody ids, (batch, frames), PAD where unknown; None if the model hears no melody.
        style: Style embedding without the habits, (batch, width); None if the model hears no style.
        habits: What they are worth, (batch, style_habits + 1), 0 in rows without a style; None if no style was given or
            the model hears of none.
    """

    rows: int
    memory: Memory | None
    melody: Tensor | None
    style: Tensor | None
    habits: Tensor | None

    def take(self, rows: Tensor) -> Condition:
        """Some of the rows, by number, (n,)."""
        memory = None if self.memory is None else self.memory[rows]
        others = (None if part is None else part[rows] for part in (self.melody, self.style, self.habits))
        return Condition(len(rows), memory, *others)


class Autoencoder(nn.Module):
    """Encoders and decoder with one table of performance ids."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = c = config
        self.embedding = nn.Embedding(c.vocabulary_size, c.width)
        self.decoder = Decoder(c)
        if c.clock:
            self.phase = nn.Embedding(c.steps_per_frame, c.width)
        if c.hears_melody:
            self.melody_encoder = MelodyEncoder(c)
            self.no_melody = nn.Parameter(torch.empty(c.width))
        if c.hears_melody and c.aligned_frames:
            self.aligned = nn.EmbeddingBag(c.aligned_frames * c.melody_vocabulary_size, c.width, mode="sum")
        if c.hears_style:
            self._hear_style()
        if c.motifs:
            self.motifs = Motifs(c.motifs)
        if c.conditions == "both" and c.combine == "concat":
            self.stop = nn.Parameter(torch.empty(c.width))
        if c.held_keys:
            self.held = nn.Linear(2 * c.held_keys, c.width, bias=False)
        initialise(self)

    def _hear_style(self) -> None:
        c = self.config
        self.style_encoder = Encoder(c, c.style_layers)
        self.no_style = nn.Parameter(torch.empty(c.width))
        self.style_head = nn.Linear(c.width, STYLE_FEATURES)
        self.truncation = Truncation(c.width)
        if c.style_counts:
            self.style_counts = nn.Linear(c.vocabulary_size, c.width, bias=False)
        if c.style_habits:
            self.habits = Habits(c.style_habits)
        if c.style_shortcut:
            self.style_input = nn.Linear(c.width, c.width)

    @property
    def style_width(self) -> int:
        """Size of a style embedding."""
        return self.config.width + self.config.style_habits

    def style_of(self, batch: dict[str, Tensor]) -> Tensor | None:
        """The style embeddings of a batch's style crops, as `encode_style` gives them; None if no style is heard."""
        return self.encode_style(*(batch[name] for name in STYLE)) if self.config.hears_style else None

    def encode_style(self, style: Tensor, clock: Tensor, habits: Tensor) -> Tensor:
        """The style embedding of performances.

        Args:
            style: Performance ids, (batch, length), PAD after the end; at least one id in each row.
            clock: Elapsed 10 ms steps at each id, (batch, length).
            habits: Their counts and chances, (batch, 2, style_habits).

        Returns:
            (batch, style_width): what the decoder hears, and after it how much oftener than usual the habits are.
        """
        present = style != PAD
        embedding = masked_mean(self.style_encoder(self.embedding(style), clock, present), present)
        if self.config.style_counts:
            embedding = embedding + self.style_counts(shares(style, self.config.vocabulary_size).to(embedding.dtype))
        return torch.cat((embedding, self.habits(habits)), dim=1) if self.config.style_habits else embedding

    def condition(
        self, melody: Tensor | None, style: Tensor | None, use_melody: Tensor, use_style: Tensor
    ) -> Condition:
        """Make what the decoder is conditioned on.

        Args:
            melody: Melody ids, (batch, frames), PAD after the end; or of fewer rows, (n, frames), each encoded once:
                row r then hears melody r % n. None: no row has a melody.
            style: Style embedding, (batch, style_width); None: no row has a style.
            use_melody: Rows that hear their melody, (batch,) bool.
            use_style: Rows that hear their style, (batch,) bool.
        """
        c, habits = self.config, None
        if not c.hears_style:
            style = None
        elif style is None:
            style = self.no_style.expand(len(use_style), -1)
        else:
            if c.style_habits:
                habits = self.habits.worth(torch.where(use_style[:, None], style[:, c.width :], 0.0))
            style = torch.where(use_style[:, None], style[:, : c.width], self.no_style)
        if not c.hears_melody:
            melody = None
        elif melody is None:
            use_melody = torch.zeros_like(use_melody)
            melody = torch.full_like(use_melody[:, None], PAD, dtype=torch.long)  # one frame
        memory = self._remember(melody, style, use_melody)
        if melody is not None:
            melody = torch.where(use_melody[:, None], _in_turn(melody, len(use_melody)), PAD)
        return Condition(len(use_melody), memory, melody, style, habits)

    def _remember(self, melody: Tensor | None, style: Tensor | None, use_melody: Tensor) -> Memory | None:
        c = self.config
        if c.conditions == "none":
            return None
        if melody is None:
            assert style is not None
            return _untimed(style[:, None])
        vectors = _in_turn(self.melody_encoder(melody), len(use_melody))
        melody = _in_turn(melody, len(use_melody))
        # A row without a melody hears one timeless position that says so.
        first = torch.arange(melody.shape[1], device=melody.device) == 0
        vectors = torch.where(use_melody[:, None, None], vectors, self.no_melody)
        present = torch.where(use_melody[:, None], melody != PAD, first)
        steps = (torch.arange(melody.shape[1], device=melody.device) * c.steps_per_frame)[None].expand_as(melody)
        timed = use_melody[:, None].expand_as(present)
        if style is not None:
            vectors = combine(vectors, style, self.stop if c.combine == "concat" else None, c.combine)
            extra = vectors.shape[1] - melody.shape[1]
            present, timed = F.pad(present, (0, extra), value=True), F.pad(timed, (0, extra), value=False)
            steps = F.pad(steps, (0, extra))
        return Memory(vectors, present, torch.where(timed, steps, 0), timed)

    def decode(
        self, ids: Tensor, clock: Tensor, held: Tensor, condition: Condition, cache: DecoderCache | None = None
    ) -> Tensor:
        """Logits of the next id.

        Args:
            ids: The ids so far, beginning with PAD as the start; with a cache, only those it hasn't seen.
            clock: Elapsed 10 ms steps after each of them, (batch, length).
            held: Steps each key has been down then, plus 1; 0 for a key that is up, (batch, length, held_keys).
            condition: From `condition`.
            cache: Of the ids before.

        Returns:
            (batch, length, vocabulary_size).
        """
        x = self.embedding(ids)
        if self.config.clock:
            x = x + self.phase((clock + self.config.steps_per_frame // 2) % self.config.steps_per_frame)
        if self.config.held_keys:
            x = x + self.held(keys_down(held).to(x.dtype))
        if condition.melody is not None and self.config.aligned_frames:
            x = x + self.aligned(self._frames_around_now(condition.melody, clock).flatten(0, 1)).view_as(x)
        if condition.style is not None and self.config.style_shortcut:
            x = x + self.style_input(condition.style)[:, None]
        return self.decoder(x, clock, condition.memory, cache)

    def _frames_around_now(self, melody: Tensor, clock: Tensor) -> Tensor:
        """Rows of the aligned table for each position, (batch, length, aligned_frames)."""
        c = self.config
        offsets = torch.arange(c.aligned_frames, device=melody.device)
        now = (clock + c.steps_per_frame // 2) // c.steps_per_frame
        frame = now[..., None] + (offsets - c.melody_frames_behind)
        last = melody.shape[1] - 1
        inside = (frame >= 0) & (frame <= last)
        ids = melody.gather(1, frame.clamp(0, last).flatten(1)).view_as(frame)
        return torch.where(inside, ids, PAD) + offsets * c.melody_vocabulary_size

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Logits of every target id of a training batch, and of each style the style head's guess of its features.

        Args:
            batch: ids, clock, held, places, everywhere, recalled, possible, melody, style, style_clock, style_habits,
                use_melody, use_style, as musicstyle.corpus.crops makes them; without possible, all is.

        Returns:
            (batch, length, vocabulary_size), (batch, 8), and the style embeddings without the habits, (batch, width);
            the latter two None if the model hears no style.
        """
        style = self.style_of(batch)
        logits = self.predict(batch, style, batch["use_melody"], batch["use_style"])
        if style is None:
            return logits, None, None
        heard = style[:, : self.config.width]
        return logits, self.style_head(heard), heard

    def predict(
        self,
        batch: dict[str, Tensor],
        style: Tensor | None,
        use_melody: Tensor,
        use_style: Tensor,
        key: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Logits of every target id of a batch, each given those before it.

        Args:
            batch: As for `forward`.
            style: From `style_of`; None: no row has a style.
            use_melody: Rows that hear their melody, (batch,) bool.
            use_style: Rows that hear their style, (batch,) bool.
            key: The batch in the key that the decoder is to hear it in, as musicstyle.corpus.crops.transposed has it;
                None: as it is.

        Returns:
            (batch, length, vocabulary_size), of the batch's own ids; minus infinity for what is impossible.
        """
        condition = self.condition((key or batch)["melody"], style, use_melody, use_style)
        return self.decode_targets(batch, condition, key)

    def decode_targets(
        self, batch: dict[str, Tensor], condition: Condition, key: dict[str, Tensor] | None = None
    ) -> Tensor:
        """What `predict` gives under a condition that is there already, made with the melody of `key`, if given."""
        heard = key or batch
        logits = self.decode(F.pad(heard["ids"][:, :-1], (1, 0), value=PAD), batch["clock"], heard["held"], condition)
        if key:
            logits = logits.gather(2, key["table"][:, None].expand_as(logits))
        if condition.habits is not None:
            logits = logits + said(condition.habits, batch["places"], batch["everywhere"])
        if self.config.motifs:
            logits = logits + self.motifs(batch["recalled"])
        return logits.masked_fill(~batch["possible"], float("-inf")) if "possible" in batch else logits


def keys_down(held: Tensor) -> Tensor:
    """What the decoder is told of the keys: down or not, and the logarithm of how long.

    Args:
        held: Steps each key has been down, plus 1; 0 for a key that is up, (..., keys).

    Returns:
        (..., 2 * keys) float32; all 0 for a key that is up. A second is about 0.9, ten about 1.4.
    """
    return torch.cat(((held > 0).float(), torch.log1p(held.float()) / 5), dim=-1)


def shares(ids: Tensor, size: int) -> Tensor:
    """How often each id occurs in each row, as the root of its share.

    Args:
        ids: (batch, length), PAD left out.
        size: Of the vocabulary.

    Returns:
        (batch, size) float32; the squares of a row sum to 1, to 0 where nothing is present.
    """
    counts = torch.zeros(len(ids), size, device=ids.device).scatter_add_(1, ids, (ids != PAD).float())
    return (counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).sqrt()


def _in_turn(part: Tensor, batch: int) -> Tensor:
    """The rows again and again, `batch` in all, a whole number of times as many."""
    return part if len(part) == batch else part.repeat(batch // len(part), *[1] * (part.ndim - 1))


def _untimed(vectors: Tensor) -> Memory:
    present = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
    return Memory(vectors, present, torch.zeros_like(present, dtype=torch.long), ~present)
