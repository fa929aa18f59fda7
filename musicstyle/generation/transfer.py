"""Style transfer: a performance and a tune go in, the tune played in the performance's style comes out."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Unpack, cast

import musicstyle
from musicstyle.devices import find_device
from musicstyle.errors import CheckpointError, ConfigError, MidiError, UsageError
from musicstyle.generation.hearing import Hearing, Known, hear
from musicstyle.generation.job import TRIES, Job, Progress, describe
from musicstyle.generation.options import GenerationOptions, Settings
from musicstyle.generation.performances import Performances
from musicstyle.generation.plan import make_plan
from musicstyle.generation.result import Generation
from musicstyle.generation.streaming import Stream
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import load_checkpoint
from musicstyle.music.conductor import UNSAID, Conducted
from musicstyle.music.melody import piano_melody
from musicstyle.music.midi import merged, read_midi, read_tracks
from musicstyle.music.notes import Notes
from musicstyle.music.scores import read_notes, source_name
from musicstyle.resources import default_checkpoint

SHORTEST_MELODY_SECONDS = 1.0
OF_A_PIECE = {"seed", "seconds", "tempo", "transpose"}  # settings that no checkpoint brings

Source = str | Path | Notes


class Further(Settings, total=False):
    """What may be said beside style, melody and options: by keyword, the same at every door of `StyleTransfer`.

    The fields of `GenerationOptions` are among them; they change `options`.

    Attributes:
        style_shares: How much of each of several styles, in proportion; None: as much of each.
        prime: A performance to go on from; the result begins with it, and the tune where it ends.
        melody_track: The part of `melody` to hear, in which the melody is found: of a MIDI file the number or name of a
            track, of an ABC book the number or title of a tune.
        hearing: Called with performances heard and how many there are.
        progress: Called with seconds of music done, seconds in all, and ids so far.
    """

    style_shares: Sequence[float] | None
    prime: Source | None
    melody_track: str | int | None
    hearing: Hearing | None
    progress: Progress | None


class StyleTransfer:
    """A checkpoint, ready to play. It remembers the styles that it has heard: the next piece in one begins sooner."""

    def __init__(self, model: Autoencoder, facts: dict[str, Any], name: str = "checkpoint") -> None:
        self.model, self.facts, self.name = model, facts, name
        self._known: Known = {}

    @classmethod
    def load(cls, checkpoint: str | Path | None = None, device: str = "cpu") -> StyleTransfer:
        """Load a checkpoint folder; None takes the one in the box.

        Args:
            checkpoint: The folder.
            device: Where it computes: cpu, cuda, mps, or auto for a GPU if there is one.

        Raises:
            CheckpointError: It is missing or does not fit.
            UsageError: There is no such device here.
        """
        folder = default_checkpoint() if checkpoint is None else Path(checkpoint)
        model, facts = load_checkpoint(folder, find_device(device))
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
        style: Source | Sequence[Source] | None = None,
        melody: Source | None = None,
        options: GenerationOptions | None = None,
        **further: Unpack[Further],
    ) -> Generation:
        """Play a tune in the style of a performance.

            player = StyleTransfer.load()
            player.generate(style="perf.mid", melody="twinkle.mid", seed=1).save("out.mid")

        Args:
            style: The performance, a MIDI file or Notes, or several, whose mean is taken; None: no style.
            melody: The tune, or a piece whose melody is taken; None: no tune.
            options: None takes the defaults of the checkpoint.
            **further: See `Further`.

        Raises:
            MidiError: A file that cannot be used, with the reason.
            ConfigError: A setting out of range.
            UsageError: A melody track that isn't there, a condition that these weights do not hear, shares that cannot
                be, or a setting that means nothing here.
            GenerationError: Every seed tried gave no notes.
        """
        job = self._job(style, melody, options, **further)
        return _sampled(job, 1, ranked=False)[0]

    def variations(
        self,
        count: int,
        style: Source | Sequence[Source] | None = None,
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
        style: Source | Sequence[Source] | None = None,
        melody: Source | None = None,
        options: GenerationOptions | None = None,
        **further: Unpack[Further],
    ) -> Stream:
        """Play it while it is being written: iterate what comes back for keys going down and up.

            stream = player.stream(melody="twinkle.mid")
            for event in stream:
                print(event.seconds, event.pitch, event.velocity)
            if (played := stream.result()) is not None:  # None: nothing has been written
                played.save("out.mid")

        Arguments and errors as `generate`; the same seed gives the same notes. A primer is heard and is part of the
        result, but has no events.
        """
        return Stream(self._job(style, melody, options, **further))

    def _job(
        self,
        style: Source | Sequence[Source] | None,
        melody: Source | None,
        options: GenerationOptions | None,
        *,
        style_shares: Sequence[float] | None = None,
        prime: Source | None = None,
        melody_track: str | int | None = None,
        hearing: Hearing | None = None,
        progress: Progress | None = None,
        **settings: Unpack[Settings],
    ) -> Job:
        options = dataclasses.replace(options or self.default_options(), **settings)
        styles = _as_several(style)
        for role, source in (("melody", melody), ("primer", prime)):
            if source is not None:
                _refuse_strange(role, source)
        self._refuse_deaf(styles, melody)
        self._refuse_forgetful(options.motif_strength)
        if styles is None and style_shares is not None:
            raise UsageError("style shares mean nothing without a style")
        _refuse_meaningless(melody, melody_track, asks_to_keep=options.keep_melody and not self._keeps_by_default())
        tune, conductor = (None, UNSAID) if melody is None else read_melody(melody, melody_track)
        performances = None if styles is None else Performances.of([_read_style(one) for one in styles], style_shares)
        primer, primers = (None, UNSAID) if prime is None else _read_primer(prime)
        plan = make_plan(tune, performances, primer, options, primers if tune is None else conductor)
        heard, as_known = None, options
        if performances is not None:  # last, as it takes seconds
            heard = hear(self.model, performances, int(self.facts["training"]["tokens"]), hearing, self._known)
            as_known = dataclasses.replace(options, style_strength=heard.strength(options.style_strength))
        named = {"style": _name(styles), "melody": _name(melody), "melody_track": melody_track, "prime": _name(prime)}
        shared = {} if style_shares is None else {"style_shares": [float(share) for share in style_shares]}
        origin = {"musicstyle": musicstyle.__version__, "checkpoint": self.name}
        facts = {**origin, **named, **shared, **describe(options, plan)}
        if heard is not None and as_known != options:
            facts |= {"style_strength_as_known": as_known.style_strength, "style_is": heard.lacks}
        return Job(self.model, plan, heard, as_known, facts, progress)

    def _keeps_by_default(self) -> bool:
        """Whether the checkpoint brings keep_melody: without a melody it then asks for nothing."""
        return bool(self.facts.get("generation", {}).get("keep_melody"))

    def _refuse_deaf(self, style: Source | Sequence[Source] | None, melody: Source | None) -> None:
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
    raise job.nothing_to_keep(seed - 1)


def _refuse_meaningless(melody: Source | None, track: str | int | None, *, asks_to_keep: bool) -> None:
    if track is not None and (melody is None or isinstance(melody, Notes)):
        raise UsageError(f"melody track {track} means nothing without a file that has tracks")
    if asks_to_keep and melody is None:
        raise UsageError("keep_melody means nothing without a melody")


def _as_several(style: Source | Sequence[Source] | None) -> list[Source] | None:
    """The performances of a style, one or more.

    Raises:
        UsageError: There is none in it, or what is none.
    """
    if style is None:
        return None
    whole = isinstance(style, (str, Path, Notes, bytes)) or hasattr(style, "read") or not isinstance(style, Iterable)
    several: list[Any] = [style] if whole else list(cast("Iterable[Any]", style))  # bytes and open files whole
    if not several:
        raise UsageError("a style of no performance; give one or more, or None")
    for one in several:
        _refuse_strange("style", one)
    return several


def _refuse_strange(role: str, source: object) -> None:
    """Refuse what is neither the name of a file nor notes, as bytes and open files."""
    if not isinstance(source, (str, Path, Notes)) or source == "":
        raise UsageError(f"a {role} of {reprlib.repr(source)}; give the path of a file or Notes")


def _name(source: Source | list[Source] | None) -> str | None:
    if isinstance(source, list):
        return ", ".join(str(_name(one)) for one in source)
    return "notes" if isinstance(source, Notes) else None if source is None else source_name(source)


def read_melody(source: Source, track: str | int | None = None) -> Conducted:
    """The tune of a file or of notes and the bars it is in, time 0 at its first note.

    Args:
        source: A file of notes, MIDI or a score (polyphonic too: the melody is extracted), a tune in plain text, or
            Notes. See `read_notes`.
        track: As `Further.melody_track`; None: all of a MIDI file, the first tune of a book.

    Raises:
        MidiError: No usable file, or less than a second of melody.
        UsageError: No such track or tune, or a file that has none to choose from.
    """
    name = source if isinstance(source, (str, Path)) else "melody"
    notes, conductor = Conducted(source, UNSAID) if isinstance(source, Notes) else read_notes(source, track=track)
    melody = piano_melody(notes)
    if len(melody):
        conductor = UNSAID if isinstance(source, Notes) else conductor.begun_at(float(melody.start[0]))
        melody = melody.from_zero()
    if melody.duration_seconds < SHORTEST_MELODY_SECONDS:
        raise MidiError(
            str(name),
            f"its melody lasts {melody.duration_seconds:.2f} s; at least {SHORTEST_MELODY_SECONDS:g} s are needed",
        )
    return Conducted(melody, conductor)


def _read_style(source: Source) -> Notes:
    return _on_keys(source, "style") if isinstance(source, Notes) else _on_keys(read_midi(source), str(source))


def _read_primer(source: Source) -> Conducted:
    """A primer and the bars it is in, which go on where there is no tune."""
    if isinstance(source, Notes):
        return Conducted(_on_keys(source, "primer"), UNSAID)
    played, conductor = merged(source, read_tracks(source))
    notes = _on_keys(played, str(source))
    return Conducted(notes, conductor.begun_at(float(notes.start[0])))


def _on_keys(notes: Notes, name: str) -> Notes:
    kept = notes[notes.in_piano_range()]
    if not len(kept):
        raise MidiError(name, "no notes within the piano's range")
    return kept
