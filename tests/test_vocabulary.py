"""The two vocabularies, literally."""

from __future__ import annotations

import numpy as np
import pytest

from musicstyle.music import vocabulary as v
from musicstyle.music.vocabulary import MELODY, PERFORMANCE


def test_performance_ids_are_the_published_ones() -> None:
    # Choi et al. 2020, released code.
    assert PERFORMANCE.size == 310
    assert PERFORMANCE.ids(v.NOTE_ON) == range(2, 90)
    assert PERFORMANCE.ids(v.NOTE_OFF) == range(90, 178)
    assert PERFORMANCE.ids(v.TIME_SHIFT) == range(178, 278)
    assert PERFORMANCE.ids(v.VELOCITY) == range(278, 310)
    assert PERFORMANCE.encode(v.NOTE_ON, 60) == 41
    assert PERFORMANCE.encode(v.TIME_SHIFT, 100) == 277


def test_melody_ids_are_the_published_ones() -> None:
    assert MELODY.size == 92
    assert MELODY.encode(v.NO_EVENT, 0) == 2
    assert MELODY.encode(v.MELODY_OFF, 0) == 3
    assert MELODY.encode(v.PITCH, 21) == 4
    assert MELODY.encode(v.PITCH, 108) == 91


@pytest.mark.parametrize("codec", [PERFORMANCE, MELODY])
def test_decode_undoes_encode_for_every_id(codec: v.Codec) -> None:
    for event_id in range(v.SPECIALS, codec.size):
        kind, value = codec.decode(event_id)
        assert codec.encode(kind, value) == event_id
        assert codec.values[event_id] == value
        assert codec.kinds[event_id] == codec.kind_index(kind)
    assert list(codec.kinds[: v.SPECIALS]) == [-1, -1]
    assert len(codec.kinds) == len(codec.values) == codec.size


@pytest.mark.parametrize(("kind", "value"), [(v.NOTE_ON, 20), (v.NOTE_OFF, 109), (v.TIME_SHIFT, 0), (v.VELOCITY, 33)])
def test_values_outside_their_range_are_refused(kind: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{kind} {value} is outside"):
        PERFORMANCE.encode(kind, value)


@pytest.mark.parametrize("event_id", [-1, v.PAD, v.EOS, 310])
def test_ids_that_are_no_event_are_refused(event_id: int) -> None:
    with pytest.raises(ValueError, match="is no event"):
        PERFORMANCE.decode(event_id)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind 'pedal'"):
        PERFORMANCE.first("pedal")


def test_only_time_shifts_move_the_clock() -> None:
    assert v.SHIFT_STEPS.shape == (310,)
    assert v.SHIFT_STEPS.dtype == np.int64
    assert list(v.SHIFT_STEPS[178:278]) == list(range(1, 101))
    assert v.SHIFT_STEPS.sum() == 5050


def test_velocity_bins() -> None:
    velocities = np.arange(1, 128)
    bins = v.velocity_bin(velocities)
    assert (bins.min(), bins.max()) == (1, 32)
    assert np.array_equal(v.velocity_bin(v.bin_velocity(bins)), bins)
    assert v.velocity_bin(np.array([100])) == 25
