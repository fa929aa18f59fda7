"""What can sound while a piece is being written: a MIDI port, or this computer's loudspeaker through a small piano."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

import numpy as np

from musicstyle.errors import UsageError
from musicstyle.generation.live import Keys

SAMPLE_RATE = 44_100
CHANNELS = 2


def open_keys(port: str) -> Keys:
    """A MIDI port by its name or a part of it; the loudspeaker for "".

    Raises:
        UsageError: No such port, or a package that isn't installed; the message names what would help.
    """
    return MidiPort(port) if port else Loudspeaker()


class MidiPort:
    """A MIDI output: a keyboard, a synthesizer, another program."""

    def __init__(self, name: str) -> None:
        """Open the first port whose name contains `name`, whatever its case."""
        import mido

        try:
            names = list(dict.fromkeys(mido.get_output_names()))
        except ImportError:
            raise UsageError(
                "--play needs the package python-rtmidi for MIDI ports: pip install python-rtmidi"
            ) from None
        except Exception as error:  # noqa: BLE001 - rtmidi's own errors; without a sound system it has no base of its own
            raise UsageError(f"--play {name}: this computer has no MIDI ports ({error})") from None
        found = next((known for known in names if name.casefold() in known.casefold()), None)
        if found is None:
            raise UsageError(f"--play {name}: no such MIDI port; there are {', '.join(names) or 'none'}")
        try:
            self._port = mido.open_output(found)
        except Exception as error:  # noqa: BLE001 - rtmidi's own: the port is in use
            raise UsageError(f"--play {name}: the MIDI port {found} cannot be opened ({error})") from None

    def strike(self, pitch: int, velocity: int) -> None:
        """See `Keys`."""
        self._send("note_on", pitch, velocity)

    def release(self, pitch: int) -> None:
        """See `Keys`."""
        self._send("note_off", pitch, 0)

    def close(self) -> None:
        """See `Keys`."""
        self._port.reset()
        self._port.close()

    def _send(self, kind: str, pitch: int, velocity: int) -> None:
        import mido

        self._port.send(mido.Message(kind, note=pitch, velocity=velocity))


class Mixer:
    """A piano of a few decaying partials a key, mixed block by block; keys may be struck from another thread."""

    PARTIALS = 8
    RELEASE_SECONDS = 0.12
    SILENT = 1e-4

    def __init__(self, sample_rate: int = SAMPLE_RATE) -> None:
        self.sample_rate = sample_rate
        self._lock = threading.Lock()
        self._voices: dict[int, list[float]] = {}  # by pitch: phase in frames, level, fade a frame
        self._fade = self.SILENT ** (1 / (self.RELEASE_SECONDS * sample_rate))

    def strike(self, pitch: int, velocity: int) -> None:
        """See `Keys`."""
        with self._lock:
            self._voices[pitch] = [0.0, 0.25 * (velocity / 127) ** 1.5, 1.0]

    def release(self, pitch: int) -> None:
        """See `Keys`."""
        with self._lock:
            if pitch in self._voices:
                self._voices[pitch][2] = self._fade

    def close(self) -> None:
        """See `Keys`."""
        with self._lock:
            for voice in self._voices.values():
                voice[2] = self._fade

    def mix(self, frames: int) -> np.ndarray:
        """The next frames, (frames, 2) float32, within -1..1."""
        out = np.zeros(frames)
        with self._lock:
            for pitch, voice in list(self._voices.items()):
                out += self._sound(pitch, voice, frames)
                if voice[1] < self.SILENT:
                    del self._voices[pitch]
        return np.repeat(np.tanh(out)[:, None], CHANNELS, axis=1).astype(np.float32)

    def _sound(self, pitch: int, voice: list[float], frames: int) -> np.ndarray:
        """One key's next frames; its phase and level move on."""
        first, level, fade = voice
        seconds = (first + np.arange(frames)) / self.sample_rate
        hertz = 440.0 * 2.0 ** ((pitch - 69) / 12)
        number = np.arange(1, self.PARTIALS + 1)
        number = number[number * hertz < self.sample_rate / 2]
        decay = 0.8 + 0.6 * number + pitch / 40  # high keys and high partials die away first
        waves = np.sin(2 * np.pi * hertz * number[:, None] * seconds) * np.exp(-decay[:, None] * seconds)
        attack = np.minimum(seconds / 0.003, 1.0)
        gains = level * fade ** np.arange(1, frames + 1)
        voice[0], voice[1] = first + frames, float(gains[-1])
        return (waves / number[:, None] ** 1.2).sum(axis=0) * attack * gains


class Loudspeaker:
    """The built-in piano on this computer's loudspeaker."""

    def __init__(self) -> None:
        try:
            sounddevice: Any = import_module("sounddevice")
        except ImportError:
            raise UsageError(
                "--play needs the package sounddevice for the built-in piano: pip install sounddevice; "
                "or name a MIDI port, --play PORT"
            ) from None
        except OSError as error:  # its library, PortAudio, isn't there
            raise UsageError(f"--play: no sound on this computer ({error})") from None
        self._mixer = Mixer()
        self.strike, self.release = self._mixer.strike, self._mixer.release
        try:
            self._stream = sounddevice.OutputStream(
                samplerate=SAMPLE_RATE, channels=CHANNELS, dtype="float32", callback=self._fill
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise UsageError(f"--play: no loudspeaker that can be used ({error})") from None
        self._sleep: Any = sounddevice.sleep

    def close(self) -> None:
        """See `Keys`."""
        self._mixer.close()
        self._sleep(int(1000 * Mixer.RELEASE_SECONDS) + 100)
        self._stream.stop()
        self._stream.close()

    def _fill(self, out: np.ndarray, frames: int, _time: object, _status: object) -> None:
        out[:] = self._mixer.mix(frames)
