"""The README's samples: how their styles are drawn, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from some_notes import random_notes

from musicstyle.errors import UsageError
from musicstyle.generation.result import Generation
from musicstyle.music.midi import read_tracks, write_midi

COMPOSERS = ("Ann", "Ann", "Ann", "Ann", "Ann", "Bob", "Cid")


@pytest.fixture
def samples(example_script: Callable[[str], ModuleType]) -> ModuleType:
    return example_script("samples")


@pytest.fixture
def maestro(tmp_path: Path) -> Path:
    folder = tmp_path / "maestro-v3.0.0"
    lines = ["canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"]
    for number, composer in enumerate(COMPOSERS):
        for split in ("train", "validation"):
            write_midi(folder / "2004" / f"{split}{number}.midi", random_notes(number, 5))
            lines.append(f"{composer},Piece {number},{split},2004,2004/{split}{number}.midi,x.wav,10")
    (folder / "maestro-v3.0.0.csv").write_text("\n".join(lines))
    return folder


def test_each_seed_draws_an_unseen_performance_of_another_composer(samples: ModuleType, maestro: Path) -> None:
    drawn = samples.drawn_styles(maestro)
    assert list(drawn) == [1, 2, 3]
    assert {one.composer for one in drawn.values()} == {"Ann", "Bob", "Cid"}
    assert {one.split for one in drawn.values()} == {"validation"}
    first = int(np.random.default_rng(1).permutation(len(COMPOSERS))[0])
    assert drawn[1].path == maestro / "2004" / f"validation{first}.midi"


def test_a_part_of_maestro_with_too_few_composers_is_refused(samples: ModuleType, maestro: Path) -> None:
    table = maestro / "maestro-v3.0.0.csv"
    table.write_text(table.read_text().replace("Cid", "Bob"))
    with pytest.raises(UsageError, match="fewer than 3 composers"):
        samples.drawn_styles(maestro)


def test_a_folder_that_is_no_maestro_is_one_line(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["samples.py", str(tmp_path / "typo"), "--out", str(tmp_path / "out")])
    monkeypatch.setattr(samples.StyleTransfer, "load", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        samples.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"samples.py: error: {tmp_path / 'typo'}: no maestro-v*.csv there\n"


def test_six_pieces_one_page_and_no_name_of_this_machine(
    samples: ModuleType, maestro: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Player:
        def generate(self, style: Path, melody: Path, seed: int) -> Generation:
            assert melody.is_file()
            settings: dict[str, Any] = {"style": style.name, "melody": melody.name, "seed": seed}
            return Generation(random_notes(seed, 9, 1.0), random_notes(seed, 2, 1.0), seed, 0, 1, 1.0, settings)

    out = maestro.parent / "out"
    monkeypatch.setattr(samples.StyleTransfer, "load", lambda _: Player())
    monkeypatch.setattr("sys.argv", ["samples.py", str(maestro), "--out", str(out)])
    samples.main()
    names = [f"{tune}-{seed}" for tune in ("twinkle", "clair_de_lune") for seed in (1, 2, 3)]
    assert {path.name for path in out.iterdir()} == {f"{n}{end}" for n in names for end in (".mid", ".png")} | {
        "index.html"
    }
    assert capsys.readouterr().out.splitlines() == [str(out / f"{name}.mid") for name in names] + [
        str(out / "index.html")
    ]
    page = (out / "index.html").read_text()
    assert page.count("<audio") == 6
    assert "--style data/maestro-v3.0.0/2004/validation" in page
    assert "--melody examples/clair_de_lune.mid --seed 3" in page
    assert "as played in 2004" in page
    assert str(maestro.parent) not in page
    assert "seed: 2" in read_tracks(out / "twinkle-2.mid").text
