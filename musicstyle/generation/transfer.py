"""Style transfer: a performance and a tune go in, the tune played in the performance's style comes out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import musicstyle
from musicstyle.errors import CheckpointError, GenerationError, MidiError, UsageError
from musicstyle.generation.engine import generate_ids
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.rules import Grammar
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import load_checkpoint
from musicstyle.music.melody import Extractor, extract_melody, melody_frames
from musicstyle.music.midi import read_midi, write_midi
from musicstyle.music.notes import Notes
from musicstyle.music.performance import decode, elapsed_steps, encode
from musicstyle.music.scores import read_notes
from musicstyle.music.vocabulary import EOS, STEPS_PER_SECOND
from musicstyle.resources import default_checkpoint

STYLE_CROPS = 4  # of a long performance, spread evenly; their embeddings are averaged
TAIL_STEPS = 200  # the last notes may ring for 2 s after the tune
FREE_SECONDS = 30.0  # length without a tune
SHORTEST_MELODY_SECONDS = 1.0
TRIES = 8

Source = str | Path | Notes
Progress = Callable[[float, float, int], None]


@dataclass(frozen=True)
class Generation:
    """A generated piece and how it came about.

    Attributes:
        notes: What was played.
        melody: The tune it was asked to play, time 0 at its first note; None without one.
        seed: The seed that gave it.
        retries: How many seeds before it gave nothing worth keeping.
        tokens: Ids sampled for it.
        seconds_taken: Wall-clock time.
        settings: Everything needed to repeat it.
    """

    notes: Notes
    melody: Notes | None
    seed: int
    retries: int
    tokens: int
    seconds_taken: float
    settings: dict[str, Any]

    def save(self, path: str | Path) -> None:
        """Write a MIDI file whose text says how it came about."""
        write_midi(path, self.notes, text=[f"{name}: {value}" for name, value in self.settings.items()])


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
        if not isinstance(facts.get("training", {}).get("style_tokens"), int):
            raise CheckpointError(f"{folder}: its config.json doesn't say training.style_tokens; was it made by train?")
        return cls(model, facts, folder.name)

    def default_options(self, **changes: Any) -> GenerationOptions:
        """The settings that were chosen for these weights, with changes; None changes nothing."""
        given = {name: value for name, value in changes.items() if value is not None}
        return GenerationOptions(**{**self.facts.get("generation", {}), **given})

    def generate(
        self,
        style: Source | Tensor | None = None,
        melody: Source | None = None,
        options: GenerationOptions | None = None,
        *,
        melody_track: str | None = None,
        progress: Progress | None = None,
    ) -> Generation:
        """Play a tune in the style of a performance.

        Args:
            style: The performance, a MIDI file or Notes, or a style embedding, (width,); None: no style.
            melody: The tune, or a piece whose melody is taken; None: no tune.
            options: None takes the defaults of the checkpoint.
            melody_track: Number or name of the track of `melody` to take as it is, in place of extracting the melody.
            progress: Called with seconds of music done, seconds in all, and ids so far.

        Raises:
            MidiError: A file that cannot be used, with the reason.
            UsageError: A melody track that isn't there, or a condition that these weights do not hear.
            GenerationError: Every seed tried gave no notes.
        """
        began = time.monotonic()
        options = options or self.default_options()
        self._refuse_deaf(style, melody)
        tune = None if melody is None else read_melody(melody, melody_track)
        embedding = style if style is None or isinstance(style, Tensor) else self.embed_style(style)
        for retries in range(TRIES):
            seeded = dataclasses.replace(options, seed=options.seed + retries)
            ids = self._sample(tune, embedding, seeded, progress)
            notes, _ = decode(ids)
            if len(notes):
                settings = {**self._settings(style, melody, seeded), "retries": retries}
                return Generation(notes, tune, seeded.seed, retries, len(ids), time.monotonic() - began, settings)
        raise GenerationError(f"seeds {options.seed} to {options.seed + TRIES - 1} gave no notes; try other settings")

    def embed_style(self, style: Source) -> Tensor:
        """The style embedding of a performance, (width,): the mean over crops that are spread over it."""
        notes = _piano_notes(style)
        crops = style_crops(notes, self.facts["training"]["style_tokens"])
        length = max(map(len, crops))
        ids = np.zeros((len(crops), length), dtype=np.int64)
        clock = np.zeros_like(ids)
        for row, crop in enumerate(crops):
            ids[row, : len(crop)], clock[row, : len(crop)] = crop, elapsed_steps(crop)
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            embeddings = self.model.encode_style(torch.from_numpy(ids).to(device), torch.from_numpy(clock).to(device))
        return embeddings.mean(dim=0)

    def _refuse_deaf(self, style: Source | Tensor | None, melody: Source | None) -> None:
        for wanted, hears, name in (
            (style, self.model.config.hears_style, "style"),
            (melody, self.model.config.hears_melody, "melody"),
        ):
            if wanted is not None and not hears:
                raise UsageError(
                    f"checkpoint {self.name} hears no {name}; leave --{name} out or take another checkpoint"
                )

    def _sample(
        self, tune: Notes | None, style: Tensor | None, options: GenerationOptions, progress: Progress | None
    ) -> np.ndarray:
        seconds = FREE_SECONDS if tune is None else tune.duration_seconds
        if options.seconds is not None:
            seconds = options.seconds if tune is None else min(seconds, options.seconds)
        end = int(seconds * STEPS_PER_SECOND + 0.5)
        device = next(self.model.parameters()).device
        melody = None if tune is None else torch.from_numpy(np.append(melody_frames(tune), EOS)).to(device)

        def report(steps: int, tokens: int) -> None:
            if progress is not None:
                progress(min(steps / STEPS_PER_SECOND, seconds), seconds, tokens)

        return generate_ids(self.model, melody, style, Grammar(end, end + TAIL_STEPS), options, report)

    def _settings(
        self, style: Source | Tensor | None, melody: Source | None, options: GenerationOptions
    ) -> dict[str, Any]:
        names = {"style": _name(style), "melody": _name(melody)}
        return {"musicstyle": musicstyle.__version__, "checkpoint": self.name, **names, **dataclasses.asdict(options)}


def _name(source: Source | Tensor | None) -> str | None:
    if isinstance(source, (str, Path)):
        return Path(source).name
    return None if source is None else "embedding" if isinstance(source, Tensor) else "notes"


def read_melody(source: Source, track: str | None = None, extractor: Extractor = "line") -> Notes:
    """The tune of a file or of notes, time 0 at its first note.

    Args:
        source: A file of notes, MIDI or a score (polyphonic too: the melody is extracted), a tune in plain text, or
            Notes. See `read_notes`.
        track: Number (from 0) or name of the track of a MIDI file to take as the melody.
        extractor: How the melody is found among several voices. What the model hears in training is "published".

    Raises:
        MidiError: No usable file, or less than a second of melody.
        UsageError: No such track, or a track of a file that isn't MIDI.
    """
    name = source if isinstance(source, (str, Path)) else "melody"
    if isinstance(source, Notes):
        notes = source
    else:
        notes = read_notes(source, track=track)
    notes = notes[notes.in_piano_range()]
    melody = extract_melody(notes, extractor) if len(notes) else notes
    if len(melody):
        melody = melody.shift(-float(melody.start[0]))
    if melody.duration_seconds < SHORTEST_MELODY_SECONDS:
        raise MidiError(
            str(name),
            f"its melody lasts {melody.duration_seconds:.2f} s; at least {SHORTEST_MELODY_SECONDS:g} s are needed",
        )
    return melody


def _piano_notes(source: Source) -> Notes:
    notes = source if isinstance(source, Notes) else read_midi(source)
    kept = notes[notes.in_piano_range()]
    if not len(kept):
        raise MidiError(str(source) if not isinstance(source, Notes) else "style", "no notes within the piano's range")
    return kept


def style_crops(notes: Notes, tokens: int) -> list[np.ndarray]:
    """Ids of up to four crops of a performance, each up to `tokens` long, spread evenly over it."""
    ids = encode(notes.shift(-float(notes.start[0])))
    if len(ids) <= tokens:
        return [ids]
    per_note = len(ids) / len(notes)
    room = max(1, len(notes) - int(tokens / per_note))
    starts = np.unique(np.linspace(0, room, STYLE_CROPS).astype(int))
    parts = (notes[first : first + tokens] for first in starts)
    return [encode(part.shift(-float(part.start[0])))[:tokens] for part in parts]
