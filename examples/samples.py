"""Play the README's samples: two tunes in three styles each, as MIDI files, pictures and one page to see and hear them.

    python examples/samples.py MAESTRO [--out docs/samples] [--checkpoint DIR]

MAESTRO is the folder of maestro-v3.0.0 (`musicstyle data fetch maestro --to data/`). Nothing is chosen by ear: for
n = 1, 2, 3 the validation split, sorted by file name, is shuffled with seed n, and the first performance of a composer
who hasn't been drawn before is style n. What the checkpoint plays in it with seed n, at its default settings, is the
sample. Files that are there already are written over.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from musicstyle.errors import MusicstyleError, UsageError
from musicstyle.evaluation.material import Performance, chosen, maestro_performances
from musicstyle.generation.result import Generation
from musicstyle.generation.transfer import StyleTransfer
from musicstyle.music.outputs import write_output
from musicstyle.music.outputs.page import Piece, write_page
from musicstyle.resources import examples

SEEDS = (1, 2, 3)
TUNES = {"twinkle": "Twinkle, twinkle, little star", "clair_de_lune": "Clair de lune, the opening"}
OUT = Path(__file__).resolve().parent.parent / "docs" / "samples"


@dataclass(frozen=True)
class Sample:
    """A tune (the name of its file in examples/) in the style of a performance of MAESTRO, and what came of it."""

    tune: str
    style: Performance
    folder: Path
    seed: int
    made: Generation

    @property
    def name(self) -> str:
        """Of its files, without the ending."""
        return f"{self.tune}-{self.seed}"

    @property
    def title(self) -> str:
        """The tune and whose music is the style."""
        return f"{TUNES[self.tune]}, in style {self.seed}: {self.style.composer}"

    @property
    def facts(self) -> dict[str, object]:
        """What the page tells of it."""
        path = Path("data", self.folder.name) / self.style.path.relative_to(self.folder)
        return {
            "style": f"{self.style.composer}: {self.style.title}, as played in {self.style.year}",
            "seed": self.seed,
            "command": f"musicstyle generate --style {path} --melody examples/{self.tune}.mid --seed {self.seed}",
        }

    def write(self, out: Path) -> None:
        """The MIDI file as `musicstyle generate` writes it, and a picture."""
        made = self.made
        write_output(out / f"{self.name}.mid", made.notes, conductor=made.conductor, facts=made.settings)
        write_output(out / f"{self.name}.png", made.notes, made.melody, conductor=made.conductor, title=self.title)


def drawn_styles(maestro: Path) -> dict[int, Performance]:
    """The performance of each seed, drawn as the module says.

    Raises:
        UsageError: There are fewer composers than seeds.
    """
    unseen = {one.path: one for one in maestro_performances(maestro) if one.split == "validation"}
    drawn: dict[int, Performance] = {}
    for seed in SEEDS:
        composers = {one.composer for one in drawn.values()}
        shuffled = (unseen[path] for path in chosen(sorted(unseen), len(unseen), seed))
        found = next((one for one in shuffled if one.composer not in composers), None)
        if found is None:
            raise UsageError(f"{maestro}: its validation split has fewer than {len(SEEDS)} composers")
        drawn[seed] = found
    return drawn


def samples(player: StyleTransfer, maestro: Path) -> Iterator[Sample]:
    """Play all of them, tune by tune."""
    styles = drawn_styles(maestro)
    for tune in TUNES:
        for seed, style in styles.items():
            made = player.generate(style.path, examples() / f"{tune}.mid", seed=seed)
            yield Sample(tune, style, maestro, seed, made)


def main() -> None:
    """Write all files and print their names."""
    parser = argparse.ArgumentParser(description="Play the README's samples.")
    parser.add_argument("maestro", type=Path, help="folder of maestro-v3.0.0")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write into")
    parser.add_argument("--checkpoint", type=Path, help="folder of the model; default: the one in the box")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    pieces = []
    try:
        for sample in samples(StyleTransfer.load(arguments.checkpoint), arguments.maestro):
            sample.write(arguments.out)
            made = sample.made
            pieces.append(Piece(sample.title, made.notes, made.melody, sample.facts, made.conductor))
            print(arguments.out / f"{sample.name}.mid")
    except MusicstyleError as error:
        parser.exit(error.exit_code, f"{parser.prog}: error: {error}\n")
    write_page(arguments.out / "index.html", pieces, "musicstyle: two tunes in three styles")
    print(arguments.out / "index.html")


if __name__ == "__main__":
    main()
