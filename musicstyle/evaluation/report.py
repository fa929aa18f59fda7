"""Everything that is asked of a checkpoint, part by part; each part's answer is kept as soon as it is there.

A part's answer is taken from an earlier run if it was given by the same model to the same question (settings, seed
and music), so an interrupted report goes on where it stopped and a changed setting repeats only its own part.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import musicstyle
from musicstyle.corpus.crops import BatchOptions
from musicstyle.errors import CorpusError, UsageError
from musicstyle.evaluation.experiments import embed_crops, interpolation_test, play_modes, style_test
from musicstyle.evaluation.knowledge import knowledge, names_for
from musicstyle.evaluation.likelihood import PROTOCOL_TOKENS, lengths, measure_likelihood, rows_at_once
from musicstyle.evaluation.material import listed, styles, tunes
from musicstyle.evaluation.memorisation import KnownRuns, judge_modes
from musicstyle.evaluation.playing import measure_melody, pair_up
from musicstyle.files import write_atomically

if TYPE_CHECKING:
    from musicstyle.corpus.store import Corpus
    from musicstyle.generation.transfer import StyleTransfer
    from musicstyle.music.notes import Notes

PartProgress = Callable[[str, int, int], None]
Answer = dict[str, Any]

# Choi et al. 2020 on MAESTRO, as recalled: good enough to aim at, not to cite. "both" is theirs that combines by sum.
PUBLISHED_NLL = {"both": 1.706, "melody": 1.786, "style": 1.799, "none": 1.840}
PUBLISHED_SIMILARITY = {"both": 0.67, "style": 0.66, "melody": 0.64, "none": 0.48}

# Of each part the number of the rule by which it is answered, raised whenever the rule changes, and the settings of the
# plan that it depends on. An answer that was kept is given again only while all of these are the same.
ASKED: dict[str, tuple[int, tuple[str, ...]]] = {
    "melody": (11, ("seed", "seconds", "tunes", "strengths", "samples")),
    "style": (13, ("seed", "seconds", "styles")),
    "interpolation": (11, ("seed", "seconds", "lines", "mixes", "repeats")),
    "likelihood": (3, ("seed", "nll_split", "nll_limit", "nll_tokens")),
    "embedding": (4, ("seed", "crops")),
    "memorisation": (12, ("seed", "seconds", "tunes")),
}
OF_THE_CORPUS = ("likelihood", "embedding", "memorisation")
PLAYED = ("melody", "style", "interpolation", "memorisation")
Material = tuple[list[Path], list[Path]]  # styles, tunes


@dataclass(frozen=True)
class Plan:
    """How much is asked.

    Attributes:
        seed: Of every choice and draw.
        seconds: Length of each piece that is played.
        styles: Styles of the hit rate.
        tunes: Tunes of the melody's share, for each strength; pieces in each mode of the memorisation.
        strengths: Melody strengths.
        lines, mixes, repeats: Of the interpolation.
        nll_split, nll_limit: Split and number of pieces of the likelihood; None: all.
        nll_tokens: Length of its crops; shorter where more than a quarter of the pieces are shorter.
        crops: Crops of each validation performance for retrieval and probe.
        samples: Pieces that can be listened to on the page.
    """

    seed: int = 1
    seconds: float = 30.0
    styles: int = 20
    tunes: int = 20
    strengths: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0)
    lines: int = 4
    mixes: int = 9
    repeats: int = 3
    nll_split: str = "test"
    nll_limit: int | None = None
    nll_tokens: int = PROTOCOL_TOKENS
    crops: int = 4
    samples: int = 6

    @classmethod
    def quick(cls, seed: int = 1) -> Plan:
        """Takes some five minutes of one core with the checkpoint in the box."""
        return cls(
            seed=seed,
            seconds=15.0,
            styles=6,
            tunes=8,
            strengths=(1.0, 3.0),
            lines=2,
            mixes=5,
            repeats=1,
            nll_limit=32,
            samples=4,
        )

    def count(self, part: str) -> int:
        """How many styles and as many tunes a part that plays is given."""
        return {"style": self.styles, "interpolation": 2 * self.lines}.get(part, self.tunes)

    def left_out(self) -> list[str]:
        """What this plan asks less of than the full one, a line each."""
        full = Plan(seed=self.seed)
        pairs = ((f.name, getattr(self, f.name), getattr(full, f.name)) for f in dataclasses.fields(Plan))
        return [
            f"{name}: {mine} (full: {'all' if theirs is None else theirs})"
            for name, mine, theirs in pairs
            if mine != theirs
        ]


class Report:
    """The parts of one report in a folder."""

    def __init__(self, player: StyleTransfer, identity: str, plan: Plan, corpus: Corpus | None, out: Path) -> None:
        """`identity` names the weights: an answer of others is not taken over."""
        self.player, self.identity, self.plan, self.corpus, self.out = player, identity, plan, corpus, out
        self.options = player.default_options(seed=plan.seed, seconds=plan.seconds)
        most = max(map(plan.count, PLAYED))  # a choice of fewer is the beginning of a choice of more
        chosen = styles(most, plan.seed, corpus=corpus), tunes(most, plan.seed)
        self.material: dict[str, Material] = {
            name: (chosen[0][: plan.count(name)], chosen[1][: plan.count(name)]) for name in PLAYED
        }

    @property
    def parts(self) -> list[str]:
        """What these weights and this data can be asked, in order."""
        config, has_data = self.player.model.config, self.corpus is not None
        possible = {
            "melody": config.hears_melody,
            "style": True,
            "interpolation": config.hears_style,
            "likelihood": has_data,
            "embedding": has_data and config.hears_style,
            "memorisation": has_data,
        }
        return [name for name, is_possible in possible.items() if is_possible]

    def run(self, progress: PartProgress | None = None) -> Answer:
        """Answer every part that hasn't been answered, in order; returns all that the page and the JSON say."""
        ask = {
            "melody": self._melody,
            "style": self._style,
            "interpolation": self._interpolation,
            "likelihood": self._likelihood,
            "embedding": self._embedding,
            "memorisation": self._memorisation,
        }
        answers, unanswered = {}, []
        for name in self.parts:
            try:
                answers[name] = self._answer(name, ask[name], progress)
            except (CorpusError, UsageError) as error:  # for example, no piece is long enough
                if name not in OF_THE_CORPUS:
                    raise
                unanswered.append(f"{name}: {error}")
        facts = self._facts()
        return {**facts, "left_out": facts["left_out"] + unanswered, **answers}

    def _facts(self) -> Answer:
        return {
            "musicstyle": musicstyle.__version__,
            "checkpoint": self.player.name,
            "weights": self.identity,
            "step": self.player.facts.get("step"),
            "plan": dataclasses.asdict(self.plan),
            "left_out": self.plan.left_out() + self._lacking(),
            "generation": dataclasses.asdict(self.options),
            "published": {"similarity": PUBLISHED_SIMILARITY},
        }

    def _lacking(self) -> list[str]:
        """What there is less of than the plan asks for, a line each."""
        lines = []
        for part in (part for part in PLAYED if part in self.parts):
            count, (performances, melodies) = self.plan.count(part), self.material[part]
            if min(len(performances), len(melodies)) < count:
                lines.append(f"{part}: {len(performances)} styles and {len(melodies)} tunes (asked: {count} of each)")
        return lines + ([] if self.corpus else [f"{', '.join(OF_THE_CORPUS)}: no data was given"])

    def _answer(
        self, name: str, ask: Callable[[Callable[[int, int], None]], Answer], progress: PartProgress | None
    ) -> Answer:
        path, key = self.out / "parts" / f"{name}.json", self._key(name)
        kept = _read(path)
        if kept.get("key") != key:

            def report(done: int, total: int) -> None:
                if progress is not None:
                    progress(name, done, total)

            # As JSON gives it back, so that a first answer and a kept one are the same.
            kept = json.loads(json.dumps({"key": key, "answer": ask(report)}))
            with write_atomically(path) as beside:
                beside.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        answer: Answer = kept["answer"]
        return answer

    def _key(self, name: str) -> str:
        rule, settings = ASKED[name]
        asked = {setting: getattr(self.plan, setting) for setting in settings}
        pieces = self.corpus.manifest["pieces"] if self.corpus is not None and name in OF_THE_CORPUS else []
        corpus = [(row["path"], row["sha256"], row["split"]) for row in pieces]
        model = [self.player.model.config.to_dict(), self.player.facts["training"]["tokens"]]
        options = dataclasses.asdict(self.options) if name in PLAYED else None
        keys = self.options.ensemble if name == "likelihood" else None
        music = [[(p.name, file_identity(p)) for p in paths] for paths in self.material[name]] if name in PLAYED else []
        names = names_for(self.corpus) if self.corpus is not None and name == "embedding" else None
        question = [
            name,
            rule,
            musicstyle.__version__,
            self.identity,
            model,
            asked,
            options,
            keys,
            corpus,
            music,
            names,
        ]
        return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]

    def _melody(self, report: Callable[[int, int], None]) -> Answer:
        pairs = pair_up(*self.material["melody"])
        strengths = sorted({*self.plan.strengths, self.options.melody_strength})
        rows: list[Answer] = []
        samples: list[Answer] = []
        for strength in strengths:
            options = dataclasses.replace(self.options, melody_strength=strength)
            row, played = measure_melody(
                self.player, pairs, options, lambda done, all_: report(len(rows) * all_ + done, len(strengths) * all_)
            )
            rows.append(row)
            if strength == self.options.melody_strength:
                samples = [
                    {"name": f"{p.melody.stem} in the style of {p.style.stem}", "notes": rows_of(p.notes)}
                    for p in played[: self.plan.samples]
                ]
        return {"strengths": rows, "default_strength": self.options.melody_strength, "samples": samples}

    def _style(self, report: Callable[[int, int], None]) -> Answer:
        judged = style_test(self.player, *self.material["style"], self.options, progress=report)
        return {"modes": judged.to_dict(), "styles": judged.names}

    def _interpolation(self, report: Callable[[int, int], None]) -> Answer:
        performances, melodies = self.material["interpolation"]
        pairs = list(zip(performances[::2], performances[1::2], strict=False))
        line = interpolation_test(
            self.player, pairs, melodies, self.options, self.plan.mixes, self.plan.repeats, progress=report
        )
        return {"pairs": [[a.stem, b.stem] for a, b in pairs], **line.to_dict()}

    def _likelihood(self, report: Callable[[int, int], None]) -> Answer:
        assert self.corpus is not None
        split = self.corpus.split_or_train(self.plan.nll_split)
        in_order = np.sort(lengths(self.corpus, self.corpus.indices(split)))
        tokens = min(self.plan.nll_tokens, int(in_order[len(in_order) // 4]))
        options = BatchOptions(
            batch_size=rows_at_once(self.player.model),
            tokens=tokens,
            style_tokens=tokens,
            style_input="same",
            seed=self.plan.seed,
        )
        measured = measure_likelihood(
            self.player.model,
            self.corpus,
            split,
            options,
            ensemble=self.options.ensemble,
            limit=self.plan.nll_limit,
            progress=report,
        )
        as_published = (split, tokens) == ("test", PROTOCOL_TOKENS) and listed(self.corpus)
        published = PUBLISHED_NLL if as_published else {}
        asked = {"split": split, "crop_tokens": tokens, "ensemble": self.options.ensemble}
        return {**asked, "published": published, **measured.to_dict()}

    def _embedding(self, report: Callable[[int, int], None]) -> Answer:
        assert self.corpus is not None
        split = self.corpus.split_or_train("validation")
        crops = embed_crops(self.player, self.corpus, split, self.plan.crops, progress=report)
        return {"split": split, **knowledge(crops, names_for(self.corpus), self.plan.seed)}

    def _memorisation(self, report: Callable[[int, int], None]) -> Answer:
        assert self.corpus is not None
        self.corpus.indices("validation")  # what there is nothing to compare with need not be played
        known = KnownRuns(self.corpus)
        played = play_modes(self.player, *self.material["memorisation"], self.options, progress=report)
        return {"modes": judge_modes(known, played, self.plan.seed)}


def rows_of(notes: Notes) -> list[list[float]]:
    """[start, length, pitch, velocity] of each note, in hundredths of a second, for the page's player."""
    start, end = notes.steps()
    return [
        list(row)
        for row in zip(
            start.tolist(), (end - start).tolist(), notes.pitch.tolist(), notes.velocity.tolist(), strict=True
        )
    ]


def file_identity(path: Path) -> str:
    """A short hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _read(path: Path) -> Answer:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
