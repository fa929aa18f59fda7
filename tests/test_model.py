"""The autoencoder as a whole: what its logits may and may not depend on."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from some_models import awake
from torch import Tensor

from musicstyle.errors import CheckpointError, ConfigError
from musicstyle.model.autoencoder import STYLE, Autoencoder, shares
from musicstyle.model.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from musicstyle.model.combine import combine
from musicstyle.model.config import PRESETS, Combination, Conditions, ModelConfig
from musicstyle.model.decoder import DecoderCache
from musicstyle.model.encoders import MelodyEncoder, masked_mean
from musicstyle.model.habits import said
from musicstyle.music.habits import HABITS
from musicstyle.music.motifs import MOTIFS, VOICES

SMALL = ModelConfig(
    width=20, heads=3, head_width=8, feedforward_width=28, decoder_layers=2, style_layers=1, melody_layers=1, window=11,
    max_distance=6, encoder_max_distance=5, memory_window_steps=60, melody_frames_ahead=4, melody_frames_behind=1,
)  # fmt: skip
PUBLISHED = dataclasses.replace(
    SMALL,
    clock=False,
    melody_frames_ahead=0,
    memory_window_steps=None,
    style_counts=False,
    style_habits=0,
    motifs=0,
    style_shortcut=False,
    activation="relu",
    held_keys=0,
)


def make_batch(batch: int = 3, tokens: int = 17, frames: int = 13, style: int = 19) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)

    def ids(size: int, length: int) -> Tensor:
        return torch.randint(2, size, (batch, length), generator=generator)

    def clock(length: int) -> Tensor:
        return F.pad(torch.randint(0, 9, (batch, length - 1), generator=generator).cumsum(1), (1, 0))

    return {
        "ids": ids(310, tokens), "clock": clock(tokens),
        "held": torch.randint(0, 9, (batch, tokens, 88), generator=generator),
        "places": torch.randint(0, HABITS + 1, (batch, tokens, 310), generator=generator).short(),
        "everywhere": torch.randint(0, HABITS + 1, (batch, 310), generator=generator).short(),
        "recalled": torch.randint(0, MOTIFS + 1, (batch, VOICES, tokens, 310), generator=generator).short(),
        "possible": torch.ones(batch, tokens, 310, dtype=torch.bool),
        "melody": ids(92, frames), "style": ids(310, style),
        "style_clock": clock(style),
        "style_habits": torch.randint(0, 40, (batch, 1, HABITS), generator=generator) * torch.tensor([[[1.0], [3.0]]]),
        "use_melody": torch.ones(batch, dtype=torch.bool),
        "use_style": torch.ones(batch, dtype=torch.bool),
    }  # fmt: skip


EVERY = [
    dataclasses.replace(base, combine=mode, conditions=conditions)
    for base in (SMALL, PUBLISHED)
    for conditions in get_args(Conditions)
    for mode in (get_args(Combination) if conditions == "both" else ("sum",))
]


@pytest.mark.parametrize(
    "config", EVERY, ids=lambda c: f"{c.conditions}-{c.combine}-{'clock' if c.clock else 'published'}"
)
def test_shapes_causality_padding_and_cache(config: ModelConfig) -> None:
    model, batch = awake(config), make_batch()
    logits, guess, styles = model(batch)
    assert logits.shape == (3, 17, 310)
    shapes = tuple(None if part is None else part.shape for part in (guess, styles))
    assert shapes == (((3, 8), (3, config.width)) if config.hears_style else (None, None))

    later = {**batch, "ids": batch["ids"].clone()}
    later["ids"][:, 10:] = 2
    torch.testing.assert_close(model(later)[0][:, :11], logits[:, :11], rtol=0, atol=1e-5)

    padded = {**batch, **{k: F.pad(batch[k], (0, 4)) for k in ("ids", "melody", "style")}}
    padded |= {k: F.pad(batch[k], (0, 4), value=int(batch[k].max())) for k in ("clock", "style_clock")}
    padded |= {k: F.pad(batch[k], (0, 0, 0, 4)) for k in ("held", "places", "recalled", "possible")}
    torch.testing.assert_close(model(padded)[0][:, :17], logits, rtol=0, atol=1e-4)

    style = model.encode_style(*(batch[name] for name in STYLE)) if config.hears_style else None
    condition = model.condition(batch["melody"], style, batch["use_melody"], batch["use_style"])
    cache = DecoderCache(config, 3, torch.device("cpu"))
    shifted = F.pad(batch["ids"][:, :-1], (1, 0))
    parts = [
        model.decode(ids, clock, held, condition, cache)
        for ids, clock, held in zip(
            *(x.split((5, 1, 1, 9, 1), 1) for x in (shifted, batch["clock"], batch["held"])), strict=True
        )
    ]
    decoded = torch.cat(parts, 1)
    if condition.habits is not None:
        decoded = decoded + said(condition.habits, batch["places"], batch["everywhere"])
    if config.motifs:
        decoded = decoded + model.motifs(batch["recalled"])
    torch.testing.assert_close(decoded, logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("base", [SMALL, PUBLISHED], ids=["clock", "published"])
@pytest.mark.parametrize("mode", get_args(Combination))
def test_style_and_melody_change_the_logits_and_only_of_their_row(base: ModelConfig, mode: Combination) -> None:
    model, batch = awake(dataclasses.replace(base, combine=mode)).double(), make_batch()
    logits, *_ = model(batch)
    for changed in (
        {**batch, "style": torch.cat((batch["style"][:1], batch["style"][1:].flip(1)))},
        {**batch, "melody": torch.cat((batch["melody"][:1], batch["melody"][1:].flip(1)))},
        {**batch, "use_style": torch.tensor([True, False, False])},
        {**batch, "use_melody": torch.tensor([True, False, False])},
    ):
        other, *_ = model(changed)
        torch.testing.assert_close(other[0], logits[0], rtol=0, atol=1e-9)
        assert (other[1:] - logits[1:]).abs().amax(dim=(1, 2)).min() > 1e-6


def test_what_is_impossible_has_no_share() -> None:
    model, batch = awake(SMALL), make_batch()
    every, *_ = model(batch)
    batch["possible"] = torch.rand(3, 17, 310, generator=torch.Generator().manual_seed(2)) < 0.5
    batch["possible"].scatter_(2, batch["ids"][..., None], value=True)
    some, *_ = model(batch)
    assert (some.softmax(-1) > 0).equal(batch["possible"])
    torch.testing.assert_close(some[batch["possible"]], every[batch["possible"]], rtol=0, atol=0)


@pytest.mark.parametrize("mode", get_args(Combination))
def test_fewer_melodies_are_heard_in_turn(mode: Combination) -> None:
    model, batch = awake(dataclasses.replace(SMALL, combine=mode)), make_batch()
    style = torch.randn(6, model.style_width, generator=torch.Generator().manual_seed(2))
    use_melody, use_style = (torch.tensor(rows).bool() for rows in ([1, 1, 0, 1, 0, 1], [1, 0, 1, 1, 0, 1]))
    few = model.condition(batch["melody"], style, use_melody, use_style)
    all_six = model.condition(batch["melody"].repeat(2, 1), style, use_melody, use_style)
    assert few.rows == all_six.rows == 6
    assert few.memory is not None
    assert all_six.memory is not None
    pairs = [(few.melody, all_six.melody), (few.style, all_six.style), (few.habits, all_six.habits)]
    pairs += [
        (getattr(few.memory, part), getattr(all_six.memory, part)) for part in ("vectors", "present", "steps", "timed")
    ]
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_a_withheld_condition_says_nothing() -> None:
    model, batch = awake(SMALL), make_batch()
    none = torch.zeros(3, dtype=torch.bool)
    silent, *_ = model({**batch, "use_melody": none, "use_style": none})
    shuffled = {**batch, "melody": batch["melody"].flip(1), "style": batch["style"].flip(1)}
    again, *_ = model({**shuffled, "use_melody": none, "use_style": none})
    torch.testing.assert_close(silent, again, rtol=0, atol=0)
    shifted = F.pad(batch["ids"][:, :-1], (1, 0))
    absent = model.decode(shifted, batch["clock"], batch["held"], model.condition(None, None, none, none))
    torch.testing.assert_close(absent + model.motifs(batch["recalled"]), silent, rtol=0, atol=1e-5)


def test_a_row_without_a_melody_hears_it_at_no_time() -> None:
    model, batch = awake(SMALL), make_batch()
    hears = torch.tensor([True, False, True])
    memory = model.condition(batch["melody"], torch.ones(3, model.style_width), hears, hears).memory
    assert memory is not None
    assert memory.timed.any(dim=1).tolist() == [True, False, True]


def test_the_clock_matters_and_its_origin_decides_which_frames_are_near() -> None:
    model, batch = awake(SMALL), make_batch()
    logits, *_ = model(batch)
    moved, *_ = model({**batch, "clock": batch["clock"] + 10})
    assert not torch.allclose(logits, moved)
    frames = model._frames_around_now(batch["melody"], torch.full((3, 1), 34))
    expected = torch.stack([batch["melody"][:, 2 + i] + 92 * i for i in range(6)], dim=1)
    assert frames[:, 0].tolist() == expected.tolist()  # 340 ms is frame 3; one behind, four ahead
    assert model._frames_around_now(batch["melody"], torch.zeros(3, 1, dtype=torch.long))[:, 0, 0].tolist() == [0, 0, 0]


def test_shares_count_ids_and_nothing_else() -> None:
    ids = torch.tensor([[4, 2, 4, 4, 0, 0], [3, 3, 3, 3, 3, 3], [0, 0, 0, 0, 0, 0]])
    counted = shares(ids, 5)
    torch.testing.assert_close(counted[0].square(), torch.tensor([0, 0, 0.25, 0, 0.75]))
    torch.testing.assert_close(counted.square().sum(dim=1), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(counted[0], shares(ids[:1].flip(1), 5)[0], rtol=0, atol=0)  # order says nothing


def test_combine_shapes_and_values() -> None:
    melody, style, stop = torch.randn(2, 5, 7), torch.randn(2, 7), torch.randn(7)
    assert torch.equal(combine(melody, style, stop, "sum")[1, 3], melody[1, 3] + style[1])
    joined = combine(melody, style, stop, "concat")
    assert joined.shape == (2, 7, 7)
    assert torch.equal(joined[0, 5], stop)
    assert torch.equal(joined[:, 6], style)
    tiled = combine(melody, style, stop, "tile")
    assert tiled.shape == (2, 5, 14)
    assert torch.equal(tiled[1, 4], torch.cat((melody[1, 4], style[1])))


def test_masked_mean_leaves_padding_out() -> None:
    x = torch.tensor([[[1.0], [3.0], [100.0]], [[2.0], [4.0], [9.0]], [[1.0], [1.0], [1.0]]])
    present = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    assert masked_mean(x, present).tolist() == [[2.0], [5.0], [0.0]]


def test_melody_frames_stand_in_time() -> None:
    """Frames twice as long are heard as frames with nothing between them, but for tables that count frames."""
    torch.manual_seed(0)
    slow, fast = (MelodyEncoder(dataclasses.replace(SMALL, steps_per_frame=steps)).eval() for steps in (20, 10))
    for layer in slow.encoder.layers:
        torch.nn.init.zeros_(layer.attention.table)
    fast.load_state_dict(slow.state_dict())
    melody = torch.tensor([[43, 2, 3, 2, 45, 47]])
    spread = torch.zeros(1, 11, dtype=torch.int64)
    spread[:, ::2] = melody
    torch.testing.assert_close(fast(spread)[:, ::2], slow(melody))


def test_where_one_thing_is_heard_there_is_nothing_to_widen() -> None:
    for conditions in ("melody", "style", "none"):
        alone = dataclasses.replace(SMALL, combine="tile", conditions=conditions)
        assert Autoencoder(alone)(make_batch())[0].shape == Autoencoder(SMALL)(make_batch())[0].shape


def test_a_config_survives_json_and_no_field_is_guessed() -> None:
    values = SMALL.to_dict()
    assert ModelConfig.from_dict(values) == SMALL
    with pytest.raises(ConfigError, match=r"missing field .*: window$"):
        ModelConfig.from_dict({name: value for name, value in values.items() if name != "window"})
    with pytest.raises(ConfigError, match=r"unknown field .*: windows$"):
        ModelConfig.from_dict({**values, "windows": 3})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("combine", "product"),
        ("conditions", "all"),
        ("activation", "gelu"),
        *((size, 0) for size in ("heads", "head_width", "width", "feedforward_width", "decoder_layers", "window")),
        *((size, 0) for size in ("steps_per_frame", "encoder_max_distance", "max_distance", "vocabulary_size")),
        ("melody_vocabulary_size", 0),
        ("memory_window_steps", 3),
        ("memory_window_steps", -5),
        ("width", -3),
        ("held_keys", -1),
        ("dropout", 1.0),
        ("clock", "no"),
        ("max_distance", 12),
        ("head_width", 6),
    ],
)
def test_an_impossible_config_is_refused_where_it_is_made(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{field}\b.*{value}"):
        dataclasses.replace(SMALL, **{field: value})


def test_presets_build_and_paper_is_the_published_size() -> None:
    assert set(PRESETS) == {"tiny", "base", "paper"}
    paper = Autoencoder(PRESETS["paper"])
    assert 30e6 < sum(p.numel() for p in paper.parameters()) < 60e6


def test_checkpoint_round_trip_and_refusals(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model, batch = awake(SMALL), make_batch()
    save_checkpoint(tmp_path, model, {"step": 7})
    loaded, facts = load_checkpoint(tmp_path)
    assert facts["step"] == 7
    assert torch.equal(loaded(batch)[0], model(batch)[0])
    save_checkpoint(tmp_path / "half", model, {}, torch.float16)
    half, _ = load_checkpoint(tmp_path / "half")
    whole = dict(model.named_parameters())
    for name, parameter in half.named_parameters():
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, whole[name], rtol=2**-11, atol=1e-7)
    sizes = [(folder / WEIGHTS).stat().st_size for folder in (tmp_path, tmp_path / "half")]
    assert sizes[1] < 0.55 * sizes[0]
    config = (tmp_path / "config.json").read_text()
    for old, new, reason in (
        ('"width": 20', '"width": 24', "does not fit"),
        ('"width": 20', '"height": 20', "height"),
        ('"format": 1', '"format": 99', "format 1"),
        ('"combine": "sum"', '"combine": "glue"', "glue"),
        ('"memory_window_steps": 60', '"memory_window_steps": "60"', r"config\.json: memory_window_steps is '60'"),
        ('"dropout": 0.0', '"dropout": null', r"config\.json: dropout is None"),
        ("{", "", "JSON"),
    ):
        (tmp_path / "config.json").write_text(config.replace(old, new, 1))
        with pytest.raises(CheckpointError, match=reason):
            load_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(config)
    weights = tmp_path / "model.safetensors"
    numbers = load_file(weights)
    numbers["decoder.norm.bias"][3] = torch.nan
    save_file(numbers, weights)
    with pytest.raises(CheckpointError, match=r"decoder\.norm\.bias holds what is no number"):
        load_checkpoint(tmp_path)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="safetensors"):
        load_checkpoint(tmp_path)
    weights.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(tmp_path / "elsewhere")
