"""How well a model predicts real playing: nats per token (NLL) for every mode its weights serve.

Specification. From every piece of a split with at least `tokens` (2048) ids, `crops` crops of exactly that many are
drawn at random beginnings among those that leave room, without augmentation. A crop begins at a note, which becomes
time 0, and the model sees nothing before it. NLL is the sum of -ln p(id | ids before, melody, style) over all ids,
divided by their number: sum, then divide. What no performance's ids could hold at a place (musicstyle.music.grammar)
has probability 0, in training as here. All crops are full, so neither PAD nor EOS is among the ids: a crop that ends
with its piece has no room left for EOS. The same crops serve every mode: "both", "melody", "style", "none". Per kind of
token (note_on, note_off, time_shift, velocity), sum and number are those of the targets of that kind, so the kinds'
numbers weigh to the whole.

The interval is the bootstrap's over works (performances of one work, as musicstyle.music.works tells it, stay together,
and so do crops of one piece: what makes a work hard is common to them): works are drawn with replacement 2,000 times,
the ratio of sums is taken each time, the 2.5th and 97.5th percentiles are given. `gain` is how many nats a mode saves
against "none" on the same tokens, with the interval of the difference: much tighter than the two intervals, as what
makes a piece hard is common to both. Of a single work there is no interval.

Deviations from Choi et al. 2020 (arXiv:1912.05537) as released, with direction:
- One set of weights serves all modes (conditions were dropped in training); published modes are models of their own.
  This flatters or harms neither by rule; "none" of such weights is likely a little worse than a model made for it.
- The published softmax is over all ids, the impossible among them, on which weights that had learned without the
  grammar lost 0.009 nats (docs/experiments.md). Easier.
- With `style_input` "same" the style is heard in the crop itself, in its first `style_tokens` ids, by default in all of
  them, as published: what it saves is then partly knowledge of what is to come, the more so the more an embedding can
  hold (docs/experiments.md). "other" hears another crop of the performance: harder, as no note of the target can leak.
- The melody is taken from the whole piece, not inferred from the crop: differs near the crop's ends only.
- Ids are in canonical order and the split is MAESTRO v3's; published: note-index order, MAESTRO v1. Small, direction
  unknown.
- An ensemble of more than one key (see `ensemble_logits`) is what `musicstyle generate` draws from; published: the
  piece's own key alone. Easier, at as many times the cost.
- The model's own window: a decoder with a sliding window of w ids sees w ids, though the crop has more. Harder.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musicstyle.corpus.crops import Batch, BatchOptions, collate, example_at, transposed
from musicstyle.corpus.store import Corpus
from musicstyle.errors import CorpusError
from musicstyle.generation.options import ENSEMBLE
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.music.performance import encode
from musicstyle.music.vocabulary import PERFORMANCE
from musicstyle.music.works import works
from musicstyle.training.batches import as_tensors
from musicstyle.training.loss import logits_by_mode, served_modes, token_nll

PROTOCOL_TOKENS = 2048
RESAMPLES = 2000
CPU_ROWS, GPU_ROWS = 1, 8
KINDS = tuple(events.kind for events in PERFORMANCE.ranges)  # in the order of `PERFORMANCE.kinds`

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Sums of NLL over the crops of pieces.

    Attributes:
        modes: In the order of the rows of `nats`.
        nats: Summed NLL by kind of token, (modes, pieces, 4), in the order of KINDS.
        counts: Targets they are over, (pieces, 4).
        work: Number of the work that each piece is a performance of, (pieces,).
        dropped: Pieces of the split that are shorter than a crop.
        seed: Of the bootstrap.
    """

    modes: tuple[str, ...]
    nats: np.ndarray
    counts: np.ndarray
    work: np.ndarray
    dropped: int = 0
    seed: int = 0

    def nll(self, mode: str) -> float:
        """Nats per token of a mode."""
        return float(self.nats[self.modes.index(mode)].sum() / self.counts.sum())

    def by_kind(self, mode: str) -> dict[str, float]:
        """Nats per token of each kind; kinds without a target are left out."""
        sums, counts = self.nats[self.modes.index(mode)].sum(axis=0), self.counts.sum(axis=0)
        return {kind: float(sums[i] / counts[i]) for i, kind in enumerate(KINDS) if counts[i]}

    def interval(self, mode: str) -> tuple[float, float] | None:
        """The 95 % bootstrap interval of `nll`; None of a single work."""
        return self._interval(self.nats[self.modes.index(mode)])

    def gain(self, mode: str) -> tuple[float, ...]:
        """Nats per token that the mode saves against "none", and the interval of it."""
        saved = self.nats[self.modes.index("none")] - self.nats[self.modes.index(mode)]
        return float(saved.sum() / self.counts.sum()), *(self._interval(saved) or ())

    def _interval(self, nats: np.ndarray) -> tuple[float, float] | None:
        _, of = np.unique(self.work, return_inverse=True)
        sums, counts = (np.bincount(of, weights=part.sum(axis=1)) for part in (nats, self.counts))
        return bootstrap_ratio(sums, counts, self.seed) if len(sums) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Everything by mode, ready for JSON."""
        modes = {
            mode: {
                "nll": _rounded(self.nll(mode)),
                "interval": _rounded(self.interval(mode)),
                "gain": _rounded(self.gain(mode)) if mode != "none" else None,
                "by_kind": {kind: _rounded(value) for kind, value in self.by_kind(mode).items()},
            }
            for mode in self.modes
        }
        count = {"pieces": len(self.counts), "works": len(np.unique(self.work)), "dropped": self.dropped}
        return {"modes": modes, **count, "tokens": int(self.counts.sum())}


def bootstrap_ratio(sums: np.ndarray, counts: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of sum(sums) / sum(counts) when whole works are drawn with replacement.

    Args:
        sums: One a work, (works,).
        counts: Likewise, above 0.
        seed: Of the draws.

    Source: Efron & Tibshirani 1993, chapter 13.
    """
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def measure_likelihood(
    model: Autoencoder,
    corpus: Corpus,
    split: str,
    options: BatchOptions,
    *,
    ensemble: int = 1,
    crops: int = 1,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Likelihood:
    """Measure by the module's protocol.

    Args:
        model: In evaluation mode.
        corpus: Prepared notes.
        split: "train", "validation" or "test".
        options: batch_size, tokens, style_tokens, style_input and seed; crops are as played, whatever it says.
        ensemble: In how many keys each crop is heard; see `GenerationOptions`.
        crops: From each piece.
        limit: So many pieces, a seeded choice; None: all.
        progress: Called with crops done and crops in all.

    Raises:
        CorpusError: No piece of the split is as long as a crop.
    """
    options = options.as_played()
    pieces, dropped = eligible(corpus, split, options, limit)
    modes = served_modes(model.config)
    nats, counts = np.zeros((len(modes), len(pieces), len(KINDS))), np.zeros((len(pieces), len(KINDS)))
    done = 0
    for rows, batch in _batches(corpus, pieces, crops, options):
        kinds = PERFORMANCE.kinds[batch["ids"]]
        assert (kinds >= 0).all()  # crops are full: neither PAD nor EOS is in them
        np.add.at(counts, (rows[:, None], kinds), 1)
        for index, logits in enumerate(ensemble_logits(model, batch, modes, ENSEMBLE[:ensemble])):
            values = token_nll(logits, torch.from_numpy(batch["ids"]))
            np.add.at(nats[index], (rows[:, None], kinds), values.numpy())
        done += len(rows)
        if progress is not None:
            progress(done, len(pieces) * crops)
    work = works([corpus.notes(piece) for piece in pieces.tolist()])
    return Likelihood(modes, nats, counts, work, dropped, options.seed)


def rows_at_once(model: Autoencoder) -> int:
    """How many crops to measure at once where the model is; the result hardly depends on it."""
    return CPU_ROWS if next(model.parameters()).device.type == "cpu" else GPU_ROWS


def ensemble_logits(
    model: Autoencoder, batch: Batch, modes: tuple[str, ...], semitones: Sequence[int]
) -> Iterator[Tensor]:
    """Logits of every target of a batch in each mode, the mean of those in several keys, as generation takes it.

    Args:
        model: In evaluation mode.
        batch: As musicstyle.corpus.crops makes it.
        modes: Of those that the model serves.
        semitones: The keys, from the piece's own.

    Returns:
        What `logits_by_mode` yields.
    """
    keys = [as_tensors(transposed(batch, [key] * len(batch["ids"]))) if key else None for key in semitones]
    return logits_by_mode(model, as_tensors(batch), modes, keys)


def eligible(corpus: Corpus, split: str, options: BatchOptions, limit: int | None = None) -> tuple[np.ndarray, int]:
    """Pieces of a split that are at least a crop long, (pieces,), or a seeded choice of them; how many are too short.

    Raises:
        CorpusError: There is none.
    """
    indices = corpus.indices(split)
    pieces = indices[lengths(corpus, indices) >= options.tokens]
    if not len(pieces):
        raise CorpusError(
            f"{corpus.path}: no piece of the {split} split has {options.tokens} tokens; take shorter crops"
        )
    dropped = len(indices) - len(pieces)
    if limit is not None and limit < len(pieces):
        pieces = np.sort(np.random.default_rng(options.seed).permutation(pieces)[:limit])
    return pieces, dropped


def lengths(corpus: Corpus, pieces: np.ndarray) -> np.ndarray:
    """How many ids each piece has from its first note on, (pieces,). The corpus counts from the file's beginning."""
    return np.array([len(encode(corpus.notes(piece).from_zero())) for piece in pieces.tolist()])


def first_notes(corpus: Corpus, piece: int, crops: int, options: BatchOptions) -> list[int]:
    """Where a piece's crops begin: drawn evenly from the notes from which on there are `tokens` ids or more.

    All of them, but for a few near the end where a full crop begins behind one that is not.
    """
    rng = np.random.default_rng([options.seed, piece])
    notes = corpus.notes(piece)

    def ids_from(first: int) -> int:
        return len(encode(notes[first:].from_zero()))

    # The later the beginning, the fewer ids are left, or hardly more: it becomes time 0, so steps are rounded anew.
    places = bisect_right(range(len(notes)), -options.tokens, key=lambda first: -ids_from(first))
    drawn: list[int] = []
    while len(drawn) < crops:
        first = int(rng.integers(places))
        if ids_from(first) >= options.tokens:
            drawn.append(first)
    return drawn


def _batches(
    corpus: Corpus, pieces: np.ndarray, crops: int, options: BatchOptions
) -> Iterator[tuple[np.ndarray, Batch]]:
    """(rows of the pieces, batch) over all crops."""
    places = [
        (row, first) for row, piece in enumerate(pieces) for first in first_notes(corpus, int(piece), crops, options)
    ]
    for begin in range(0, len(places), options.batch_size):
        part = places[begin : begin + options.batch_size]
        examples = [
            example_at(corpus, int(pieces[row]), first, np.random.default_rng([options.seed, begin + i]), options)
            for i, (row, first) in enumerate(part)
        ]
        yield np.array([row for row, _ in part]), collate(examples, options)


def _rounded(value: Any) -> Any:
    if value is None:
        return None
    return [round(v, 4) for v in value] if isinstance(value, tuple) else round(value, 4)
