"""What can go wrong, as one line a person can act on. The command line prints the line; nothing here prints."""

from __future__ import annotations

from os import PathLike, fspath


class MusicstyleError(Exception):
    """A failure whose message is one line for the user. The command line ends with `exit_code`."""

    exit_code = 1


class MidiError(MusicstyleError):
    """A MIDI file that cannot be used.

    Attributes:
        path: The file, as the caller named it.
        reason: Why, without the path.
    """

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        self.path = fspath(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")

    def __reduce__(self) -> tuple[type[MidiError], tuple[str, str]]:
        # Exceptions are rebuilt from args when a worker process raises them, and args is the one joined line.
        return type(self), (self.path, self.reason)


class ConfigError(MusicstyleError):
    """A configuration whose values do not fit together."""


class CorpusError(MusicstyleError):
    """A folder of prepared notes, or its source, that cannot be used."""


class TrainingError(MusicstyleError):
    """A run that cannot go on."""


class CheckpointError(MusicstyleError):
    """A checkpoint that is missing, damaged or of another shape than asked for."""


class UsageError(MusicstyleError):
    """A command line that cannot be understood."""

    exit_code = 2


class GenerationError(MusicstyleError):
    """Sampling that gave nothing worth keeping."""
