"""Style transfer: a performance and a tune go in, the tune played in the performance's style comes out."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

import musicstyle
from musicstyle.errors import CheckpointError, ConfigError, MidiError, UsageError
from musicstyle.generation.job import TRIES, Job, Progress, describe
from musicstyle.generation.options import GenerationOptions, Settings
from musicstyle.generation.plan import make_plan
from musicstyle.generation.result import Generation
from musicstyle.generation.streaming import Stream, nothing_to_keep
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import load_checkpoint
from musicstyle.music.habits import habits
from musicstyle.music.melody import piano_melody
from musicstyle.music.midi import read_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import elapsed_steps, encode
from musicstyle.music.scores import read_notes, source_name
from musicstyle.resources import default_checkpoint

STYLE_CROPS = 8  # of a performance, spread evenly and heard one after the other
SHORTEST_MELODY_SECONDS = 1.0
OF_A_PIECE = {"seed", "seconds", "tempo", "transpose"}  # settings that no checkpoint brings

Source = str | Path | Notes


class Further(Settings, total=False):
    """What may be said beside style, melody and options: by keyword, the same at every door of `StyleTransfer`.

    The fields of `GenerationOptions` are among them; they change `options`.

    Attributes:
        prime: A performance to go on from; the result begins with it, and the tune where it ends.
        melody_track: Number or name of the only track of `melody` to hear; the melody is found in it.
        progress: Called with seconds of music done, seconds in all, and ids so far.
    """

    prime: Source | None
    melody_track: str | int | None
    progress: Progress | None


class StyleTransfer:
    """A checkpoint, ready to play."""

    def __init__(self, model: Autoencoder, facts: dict[str, Any], name: str = "checkpoint") -> None:
        self.model, self.facts, self.name = model, facts, name

    @classmethod
    def load(cls, checkpoint: str | Path | None = None, device: str = "cpu") -> StyleTransfer:
        """Load a checkpoint folder; None takes the one in the box.

        Raises:
            CheckpointError: It is missing or does not fit.
        """
        folder = default_checkpoint() if checkpoint is None else Path(checkpoint)
        model, facts = load_checkpoint(folder, device)
        training, chosen = facts.get("training"), facts.get("generation", {})
        tokens = training.get("tokens") if isinstance(training, dict) else None
        if not isinstance(tokens, int) or tokens < 1:
            raise CheckpointError(f"{folder}: its config.json doesn't say training.tokens; was it made by train?")
        if not isinstance(chosen, dict):
            raise CheckpointError(f"{folder}: its config.json, generation: {chosen!r} is no settings")
        return cls(model, facts, folder.name if checkpoint is None else "/".join(folder.resolve().parts[-2:]))

    def default_options(self, **changes: Any) -> GenerationOptions:
        """The settings that were chosen for these weights, with changes; None changes nothing.

        Raises:
            ConfigError: A value out of range.
            CheckpointError: The checkpoint names a setting that there is not or that is each piece's own, or a value
                that cannot be.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        chosen = self.facts.get("generation", {})
        known = {field.name for field in dataclasses.fields(GenerationOptions)} - OF_A_PIECE
        if unknown := sorted(set(chosen) - known):
            raise CheckpointError(
                f"{self.name}: its config.json names settings that no checkpoint brings: {', '.join(unknown)}"
            )
        try:
            base = GenerationOptions(**chosen)
        except (ConfigError, TypeError) as error:
            raise CheckpointError(f"{self.name}: its config.json, generation: {error}") from None
        return dataclasses.replace(base, **given)

    def generate(
        self,
        style: Source | Tensor | None = None,
        melody: Source | None = None,
        options: GenerationOptions | None = None,
        **further: Unpack[Further],
    ) -> Generation:
        """Play a tune in the style of a performance.

            player = StyleTransfer.load()
            player.generate(style="perf.mid", melody="twinkle.mid", seed=1).save("out.mid")

        Args:
            style: The performance, a MIDI file or Notes, or style embeddings, (crops, style_width), each heard for its
                share of the piece; None: no style.
            melody: The tune, or a piece whose melody is taken; None: no tune.
            options: None takes the defaults of the checkpoint.
            **further: See `Further`.

        Raises:
            MidiError: A file that cannot be used, with the reason.
            ConfigError: A setting out of range.
            UsageError: A melody track that isn't there, a condition that these weights do not hear, or a setting that
                means nothing here.
            GenerationError: Every seed tried gave no notes.
        """
        job = self._job(style, melody, options, **further)
        return _sampled(job, 1, ranked=False)[0]

    def variations(
        self,
        count: int,
        style: Source | Tensor | None = None,
        melody: Source | None = None,
        options: GenerationOptions | None = None,
        **further: Unpack[Further],
    ) -> list[Generation]:
        """Play it several times in one batch, with the seeds seed, seed + 1, ...

        A seed that gives no notes is replaced by the next that isn't taken. Errors as `generate`.

        Args:
            count: How many, at least 1.
            style: This and the others as for `generate`; `progress` gets the seconds that all variations have reached.
            melody: The tune.
            options: Settings.
            **further: See `Further`.

        Returns:
            The best first, by the mean of their `measures`; in the order of seeds where there is nothing to measure.
        """
        if count < 1:
            raise UsageError(f"{count} variations cannot be made; ask for at least 1")
        job = self._job(style, melody, options, **further)
        if count > 1 and job.options.temperature == 0:
            raise UsageError(f"{count} variations at temperature 0 would be the same; give a temperature above it")
        made = _sampled(job, count, ranked=True)
        return sorted(made, key=lambda one: -one.measures.mean if one.measures else 0.0)

    def stream(
        self,
        style: Source | Tensor | None = None,
        melody: Source | None = None,
        options: GenerationOptions | None = None,
        **further: Unpack[Further],
    ) -> Stream:
        """Play it while it is being written: iterate what comes back for keys going down and up.

            stream = player.stream(melody="twinkle.mid")
            for event in stream:
                print(event.seconds, event.pitch, event.velocity)
            stream.result().save("out.mid")

        Arguments and errors as `generate`; the same seed gives the same notes. A primer is heard and is part of the
        result, but has no events.
        """
        return Stream(self._job(style, melody, options, **further))

    def _job(
        self,
        style: Source | Tensor | None,
        melody: Source | None,
        options: GenerationOptions | None,
        *,
        prime: Source | None = None,
        melody_track: str | int | None = None,
        progress: Progress | None = None,
        **settings: Unpack[Settings],
    ) -> Job:
        options = dataclasses.replace(options or self.default_options(), **settings)
        self._refuse_deaf(style, melody)
        self._refuse_forgetful(options.motif_strength)
        _refuse_meaningless(melody, melody_track, asks_to_keep=options.keep_melody and not self._keeps_by_default())
        tune = None if melody is None else read_melody(melody, melody_track)
        style_notes = None if style is None or isinstance(style, Tensor) else _piano_notes(style)
        embedding = self._checked(style) if isinstance(style, Tensor) else None
        known = {"short": 1.0, "far": 1.0}  # what of a style is known, as it is so
        if style_notes is not None:
            crops = self._crops(style_notes)
            embedding = self._spread(crops)
            known["short"] = min(1.0, len(crops[0]) / self._crop_tokens)
        if embedding is not None:
            embedding, left = self.model.truncation(embedding)
            known["far"] = float(left.mean())
        strength = as_known_strength(options.style_strength, math.prod(known.values()))
        as_known = dataclasses.replace(options, style_strength=strength)
        primer = None if prime is None else _piano_notes(prime, "primer")
        plan = make_plan(tune, style_notes, primer, options)
        names = {"style": _name(style), "melody": _name(melody), "melody_track": melody_track, "prime": _name(prime)}
        facts = {"musicstyle": musicstyle.__version__, "checkpoint": self.name, **names, **describe(options, plan)}
        if as_known != options:
            facts["style_strength_as_known"] = strength
            facts["style_is"] = " and ".join(what for what, part in known.items() if part < 1)
        return Job(self.model, plan, embedding, style_notes, as_known, facts, progress)

    def embed_style(self, style: Source) -> Tensor:
        """The style embeddings of a performance, (STYLE_CROPS, style_width), of crops that are spread over it.

        Raises:
            MidiError: A file that cannot be used.
            UsageError: These weights hear no style.
        """
        self._refuse_deaf(style, None)
        return self._spread(self._crops(_piano_notes(style)))

    @property
    def _crop_tokens(self) -> int:
        """Length of the crops that the weights learned from."""
        return int(self.facts["training"]["tokens"])

    def _crops(self, notes: Notes) -> list[np.ndarray]:
        return style_crops(notes, self._crop_tokens)

    def _spread(self, crops: list[np.ndarray]) -> Tensor:
        """Style embeddings of crops in order, each as often as it takes: (STYLE_CROPS, style_width)."""
        return self.embed_crops(crops)[torch.arange(STYLE_CROPS) * len(crops) // STYLE_CROPS]

    def embed_crops(self, crops: list[np.ndarray]) -> Tensor:
        """Style embeddings of performance ids, (ids,) each and none empty: (crops, style_width)."""
        length = max(map(len, crops))
        ids = np.zeros((len(crops), length), dtype=np.int64)
        clock = np.zeros_like(ids)
        for row, crop in enumerate(crops):
            ids[row, : len(crop)], clock[row, : len(crop)] = crop, elapsed_steps(crop)
        known = np.stack([habits(row) for row in ids])
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            return self.model.encode_style(*(torch.from_numpy(part).to(device) for part in (ids, clock, known)))

    def _checked(self, embedding: Tensor) -> Tensor:
        """Embeddings that a caller made, as the model takes them."""
        width = self.model.style_width
        if embedding.ndim != 2 or not len(embedding) or embedding.shape[1] != width:
            shape = tuple(embedding.shape)
            raise UsageError(f"the style embedding is of shape {shape}; checkpoint {self.name} takes (crops, {width})")
        if not embedding.isfinite().all():
            raise UsageError("the style embedding holds what is no number")
        return embedding.detach().to(next(self.model.parameters()))

    def _keeps_by_default(self) -> bool:
        """Whether the checkpoint brings keep_melody: without a melody it then asks for nothing."""
        return bool(self.facts.get("generation", {}).get("keep_melody"))

    def _refuse_deaf(self, style: Source | Tensor | None, melody: Source | None) -> None:
        for wanted, hears, name in (
            (style, self.model.config.hears_style, "style"),
            (melody, self.model.config.hears_melody, "melody"),
        ):
            if wanted is not None and not hears:
                raise UsageError(
                    f"checkpoint {self.name} hears no {name}; leave --{name} out or take another checkpoint"
                )

    def _refuse_forgetful(self, motif_strength: float) -> None:
        if motif_strength != GenerationOptions.motif_strength and not self.model.config.motifs:
            raise UsageError(
                f"checkpoint {self.name} recalls no motifs; leave --motif-strength out or take another checkpoint"
            )


def _sampled(job: Job, count: int, *, ranked: bool) -> list[Generation]:
    """As many results as asked for, in the order of seeds.

    Raises:
        GenerationError: Too many seeds gave no notes.
    """
    made: list[Generation] = []
    seed = job.options.seed
    for retries in range(TRIES):
        seeds = range(seed, seed + count - len(made))
        seed = seeds.stop
        results = (
            job.result(ids, one, retries, ranked=ranked) for one, ids in zip(seeds, job.sample_all(seeds), strict=True)
        )
        made += [result for result in results if result is not None]
        if len(made) == count:
            return made
    raise nothing_to_keep(job, seed - 1)


def _refuse_meaningless(melody: Source | None, track: str | int | None, *, asks_to_keep: bool) -> None:
    if track is not None and (melody is None or isinstance(melody, Notes)):
        raise UsageError(f"melody track {track} means nothing without a file that has tracks")
    if asks_to_keep and melody is None:
        raise UsageError("keep_melody means nothing without a melody")


def _name(source: Source | Tensor | None) -> str | None:
    if isinstance(source, (str, Path)):
        return source_name(source)
    return None if source is None else "embedding" if isinstance(source, Tensor) else "notes"


def read_melody(source: Source, track: str | int | None = None) -> Notes:
    """The tune of a file or of notes, time 0 at its first note.

    Args:
        source: A file of notes, MIDI or a score (polyphonic too: the melody is extracted), a tune in plain text, or
            Notes. See `read_notes`.
        track: Number (from 0) or name of the only track of a MIDI file to hear.

    Raises:
        MidiError: No usable file, or less than a second of melody.
        UsageError: No such track, or a track of a file that isn't MIDI.
    """
    name = source if isinstance(source, (str, Path)) else "melody"
    notes = source if isinstance(source, Notes) else read_notes(source, track=track)
    melody = piano_melody(notes)
    if len(melody):
        melody = melody.from_zero()
    if melody.duration_seconds < SHORTEST_MELODY_SECONDS:
        raise MidiError(
            str(name),
            f"its melody lasts {melody.duration_seconds:.2f} s; at least {SHORTEST_MELODY_SECONDS:g} s are needed",
        )
    return melody


def _piano_notes(source: Source, role: str = "style") -> Notes:
    notes = source if isinstance(source, Notes) else read_midi(source)
    kept = notes[notes.in_piano_range()]
    if not len(kept):
        raise MidiError(str(source) if not isinstance(source, Notes) else role, "no notes within the piano's range")
    return kept


def as_known_strength(strength: float, known: float) -> float:
    """Guidance towards a style of which `known`, 0..1, is known: the less, the less it exaggerates.

    What is counted in a few notes is those notes more than a style, and what a style far from all that was learned from
    asks for is not known either; exaggerated, both cost the tune and gain no style.
    """
    return 1 + (strength - 1) * known if strength > 1 else strength


def style_crops(notes: Notes, tokens: int) -> list[np.ndarray]:
    """Ids of up to STYLE_CROPS crops of a performance, each up to `tokens` long, spread evenly over it."""
    ids = encode(notes.from_zero())
    if len(ids) <= tokens:
        return [ids]
    per_note = len(ids) / len(notes)
    room = min(max(1, len(notes) - int(tokens / per_note)), len(notes) - 1)
    starts = np.unique(np.linspace(0, room, STYLE_CROPS).astype(int))
    parts = (notes[first : first + tokens] for first in starts)
    return [encode(part.from_zero())[:tokens] for part in parts]
