"""Playing while writing: in time, in rhythm when the writing is late, and Ctrl-C leaves what was heard."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from musicstyle.errors import GenerationError, UsageError
from musicstyle.generation import live
from musicstyle.generation.sinks import Loudspeaker, Mixer, open_keys
from musicstyle.generation.streaming import KeyEvent


class Recorder:
    """Keys that write down what happens to them, and when."""

    def __init__(self, clock: Clock, *, interrupt_after: int = 10**9) -> None:
        self.clock, self.interrupt_after = clock, interrupt_after
        self.log: list[tuple[float, int, int]] = []
        self.closed = False

    def strike(self, pitch: int, velocity: int) -> None:
        self.log.append((self.clock.seconds, pitch, velocity))
        if len(self.log) > self.interrupt_after:
            raise KeyboardInterrupt

    def release(self, pitch: int) -> None:
        self.log.append((self.clock.seconds, pitch, 0))

    def close(self) -> None:
        self.closed = True


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        time.sleep(0.001)  # the writer's turn


class Script:
    """A stream of given events; a number among them is how long the writing takes there, on the players' clock."""

    begin_seconds = 0.0

    def __init__(self, *steps: KeyEvent | Exception | float, clock: Clock) -> None:
        self.steps, self.clock, self.stopped = steps, clock, False

    def __iter__(self) -> Iterator[KeyEvent]:
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                until = self.clock.seconds + step
                while self.clock.seconds < until and not self.stopped:
                    time.sleep(0.001)
            elif not self.stopped:
                yield step

    def stop(self) -> None:
        self.stopped = True


def scale(*seconds: float) -> list[KeyEvent]:
    return [KeyEvent(second, 60 + i, 70) for i, second in enumerate(seconds)]


def play(script: Script, keys: Recorder, clock: Clock) -> live.Heard:
    return live.play(script, keys, clock.now, clock.sleep)  # type: ignore[arg-type]


def test_events_sound_at_their_time_and_keys_are_closed() -> None:
    clock = Clock()
    keys = Recorder(clock)
    heard = play(Script(*scale(0.2, 0.5, 0.5, 4.0), KeyEvent(4.5, 60, 0), clock=clock), keys, clock)
    times = [when - keys.log[0][0] for when, _, _ in keys.log]
    assert times[:5] == pytest.approx([0, 0.3, 0.3, 3.8, 4.3])
    assert [pitch for _, pitch, _ in keys.log[4:]] == [60, 61, 62, 63]  # what was still down is let go
    assert keys.closed
    assert (heard.until_seconds, heard.stopped, heard.waited_seconds) == (4.5, False, 0.0)


def test_late_writing_moves_the_rest_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time, small numbers: the writer needs 0.2 s in the middle of a rhythm of 50 ms."""
    monkeypatch.setattr(live, "LEAD_SECONDS", 0.0)

    class Slow(Script):
        def __iter__(self) -> Iterator[KeyEvent]:
            for event in scale(0.0, 0.05, 0.1, 0.15):
                if event.pitch == 62:
                    time.sleep(0.2)
                yield event

    clock = Clock()
    clock.now = time.monotonic  # type: ignore[method-assign]
    keys = Recorder(clock)
    stamps: list[float] = []
    keys.strike = lambda *_: stamps.append(time.monotonic())  # type: ignore[method-assign]
    heard = live.play(Slow(clock=clock), keys, time.monotonic, time.sleep)  # type: ignore[arg-type]
    assert stamps[2] - stamps[1] > 0.1
    assert stamps[3] - stamps[2] > 0.03  # the rhythm after the wait is the written one
    assert heard.waited_seconds > 0.05


def test_ctrl_c_stops_the_writing_lets_go_and_tells_how_far() -> None:
    clock = Clock()
    keys = Recorder(clock, interrupt_after=2)
    script = Script(*scale(0.0, 1.0, 2.0, 3.0, 4.0), clock=clock)
    heard = play(script, keys, clock)
    assert heard.stopped
    assert heard.until_seconds == pytest.approx(2.0)
    assert script.stopped
    assert keys.closed
    struck = {pitch for _, pitch, velocity in keys.log if velocity}
    assert {pitch for _, pitch, velocity in keys.log if not velocity} == struck == {60, 61, 62}


def test_nothing_sounds_before_half_a_second_is_written() -> None:
    """The writer stops where 0.4 s are written, while the player's clock goes on for a second."""
    clock = Clock()
    keys = Recorder(clock)
    sounded: list[bool] = []

    class Hesitating(Script):
        def __iter__(self) -> Iterator[KeyEvent]:
            for event in scale(0.0, 0.2, 0.4, 0.6):
                if event.seconds == 0.6:
                    until = time.monotonic() + 5
                    while clock.seconds < 101 and not keys.log and time.monotonic() < until:
                        time.sleep(0.001)
                    sounded.append(bool(keys.log))
                yield event

    assert play(Hesitating(clock=clock), keys, clock).latency_seconds >= 1
    assert sounded == [False]


def test_the_music_begins_as_soon_as_half_a_second_behind_the_primer_is_written() -> None:
    clock = Clock()
    keys = Recorder(clock)
    sounded: list[bool] = []

    class Primed(Script):
        begin_seconds = 7.0

        def __iter__(self) -> Iterator[KeyEvent]:
            for event in scale(7.0, 7.4, 7.5, 8.0):
                if event.seconds in (7.5, 8.0):
                    begun, until = clock.seconds, time.monotonic() + 5
                    while clock.seconds < begun + (1 if event.seconds == 7.5 else 1000) and time.monotonic() < until:
                        time.sleep(0.001)
                        if keys.log:
                            break
                    sounded.append(bool(keys.log))
                yield event

    play(Primed(clock=clock), keys, clock)
    assert sounded == [False, True]


def test_waits_add_up_and_what_follows_keeps_its_rhythm() -> None:
    clock = Clock()
    keys = Recorder(clock)
    player = live._Player(keys, clock.now, clock.sleep)
    for event, wait in zip(scale(0.0, 1.0, 2.0, 3.0), (0, 7, 5, 0), strict=True):
        clock.seconds += wait
        player.play(event)
    assert player.waited_seconds == pytest.approx(6 + 4)
    assert [when - 100 for when, *_ in keys.log] == pytest.approx([0, 7, 12, 13])


def test_ctrl_c_before_anything_sounds_tells_the_primer_s_end() -> None:
    clock = Clock()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    script = Script(0.5, *scale(7.0), clock=clock)
    script.begin_seconds = 7.0
    heard = live.play(script, Recorder(clock), clock.now, interrupted)  # type: ignore[arg-type]
    assert (heard.stopped, heard.until_seconds) == (True, 7.0)


def test_ctrl_c_in_a_wait_tells_no_more_than_was_written() -> None:
    """The player's clock runs on while the writer is late; what was not written was not heard."""
    clock = Clock()
    keys = Recorder(clock)

    class Late(Script):
        def __iter__(self) -> Iterator[KeyEvent]:
            yield from scale(0.0, 1.0)
            until = time.monotonic() + 5
            while not (keys.log and keys.log[-1][1] == 61) and time.monotonic() < until:
                time.sleep(0.001)
            clock.seconds += 7  # in which the player waits for what is to come
            raise KeyboardInterrupt  # handed on to the player as if pressed there

    heard = play(Late(clock=clock), keys, clock)
    assert (heard.stopped, heard.until_seconds) == (True, 1.0)


def test_keys_are_closed_even_if_ctrl_c_is_pressed_again_while_they_are_let_go() -> None:
    class Impatient(Recorder):
        def release(self, pitch: int) -> None:
            super().release(pitch)
            raise KeyboardInterrupt

    clock = Clock()
    keys = Impatient(clock, interrupt_after=0)
    with pytest.raises(KeyboardInterrupt):
        play(Script(*scale(0.0, 1.0), clock=clock), keys, clock)
    assert keys.closed


def test_keys_are_let_go_before_the_writer_has_ended() -> None:
    clock = Clock()
    keys = Recorder(clock, interrupt_after=0)
    closed_while_writing = []

    class Slow(Script):
        def stop(self) -> None:
            """As in a prefill, nobody listens."""

        def __iter__(self) -> Iterator[KeyEvent]:
            yield from super().__iter__()
            until = time.monotonic() + 5
            while not keys.closed and time.monotonic() < until:
                time.sleep(0.001)
            closed_while_writing.append(keys.closed)

    assert play(Slow(*scale(0.0, 1.0, 2.0), clock=clock), keys, clock).stopped
    assert closed_while_writing == [True]


def test_an_error_of_the_writer_is_the_players() -> None:
    clock = Clock()
    keys = Recorder(clock)
    with pytest.raises(GenerationError, match="no notes"):
        play(Script(GenerationError("seeds 1 to 8 gave no notes"), clock=clock), keys, clock)
    assert keys.closed


def test_the_mixer_sounds_the_key_that_was_struck_and_falls_silent() -> None:
    mixer = Mixer(8000)
    assert not mixer.mix(100).any()
    mixer.strike(69, 100)
    sound = mixer.mix(4000)
    assert sound.shape == (4000, 2)
    assert sound.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(sound[:, 0]))
    assert spectrum.argmax() * 2 == 440
    again = Mixer(8000)
    again.strike(69, 100)
    parts = np.concatenate([again.mix(n) for n in (1, 999, 3000)])
    np.testing.assert_allclose(parts, sound, atol=1e-6)  # blocks of any size give one sound
    mixer.release(69)
    mixer.mix(int(8000 * Mixer.RELEASE_SECONDS) + 1)
    assert not mixer.mix(50).any()
    for pitch in range(21, 109):
        mixer.strike(pitch, 127)
    assert np.abs(mixer.mix(2000)).max() <= 1


def test_the_mixer_is_louder_the_harder_a_key_is_struck_and_has_no_partial_it_cannot_sound() -> None:
    def struck(pitch: int, velocity: int) -> np.ndarray:
        mixer = Mixer(8000)
        mixer.strike(pitch, velocity)
        return mixer.mix(4000)[:, 0]

    peaks = [np.abs(struck(60, velocity)).max() for velocity in (1, 20, 60, 127)]
    assert peaks == sorted(set(peaks))
    spectrum = np.abs(np.fft.rfft(struck(96, 40)))  # 2093 Hz; its octave would sound as 3814 of 8000
    assert spectrum[3814 // 2 - 5 : 3814 // 2 + 6].max() < spectrum.max() / 100


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UsageError, match="pip install sounddevice; or name a MIDI port"):
        open_keys("")
    import mido

    def no_backend() -> list[str]:
        raise ModuleNotFoundError("No module named 'rtmidi'")

    monkeypatch.setattr(mido, "get_output_names", no_backend)
    with pytest.raises(UsageError, match="pip install python-rtmidi"):
        open_keys("Piano")


def test_a_midi_port_is_found_by_a_part_of_its_name_and_gets_the_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    import mido

    sent: list[str] = []

    class Port:
        def send(self, message: Any) -> None:
            sent.append(f"{message.type} {message.note} {message.velocity}")

        def reset(self) -> None:
            sent.append("reset")

        def close(self) -> None:
            sent.append("close")

    monkeypatch.setattr(mido, "get_output_names", lambda: ["Through 14:0", "Grand Piano 20:0"])
    monkeypatch.setattr(mido, "open_output", lambda name: sent.append(name) or Port())
    keys = open_keys("grand")
    keys.strike(60, 70)
    keys.release(60)
    keys.close()
    assert sent == ["Grand Piano 20:0", "note_on 60 70", "note_off 60 0", "reset", "close"]
    with pytest.raises(UsageError, match="no such MIDI port; there are Through 14:0, Grand Piano 20:0"):
        open_keys("organ")
    monkeypatch.setattr(mido, "open_output", lambda _: (_ for _ in ()).throw(OSError("device or resource busy")))
    with pytest.raises(UsageError, match=r"Grand Piano 20:0 cannot be opened .*busy"):
        open_keys("grand")


def test_the_loudspeaker_is_filled_by_the_mixer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Stream:
        def __init__(self, callback: Any, **_: Any) -> None:
            self.callback = callback

        def start(self) -> None:
            calls.append("start")

        def stop(self) -> None:
            calls.append("stop")

        def close(self) -> None:
            calls.append("close")

    def sleep(milliseconds: float) -> None:
        calls.append("faded" if milliseconds >= 1000 * Mixer.RELEASE_SECONDS else "cut off")

    device = types.SimpleNamespace(OutputStream=Stream, PortAudioError=RuntimeError, sleep=sleep)
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    speaker = Loudspeaker()
    speaker.strike(72, 90)
    out = np.zeros((256, 2), dtype=np.float32)
    speaker._stream.callback(out, 256, None, None)
    assert out.any()
    speaker.close()
    assert calls == ["start", "faded", "stop", "close"]
