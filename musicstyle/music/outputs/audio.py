"""Notes -> a sound file: WAV, FLAC, OGG or MP3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musicstyle.errors import MusicstyleError, UsageError
from musicstyle.files import write_atomically
from musicstyle.music.outputs.sampler import CHANNELS, Sampler

if TYPE_CHECKING:
    import os

    from musicstyle.music.notes import Notes

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # those of MP3
PEAK_DBFS = -1.0


def write_audio(path: str | os.PathLike[str], notes: Notes, sample_rate: int = 44_100) -> None:
    """Play the notes on a sampled piano into a stereo file; the suffix says which kind.

    The loudest sample is brought to -1 dBFS by one gain for the whole piece, so nothing clips and its dynamics stay.
    For that the piece is played twice, once to find its peak, which keeps one block in memory and not the piece.

    Args:
        path: .wav and .flac (16 bits), .ogg (Vorbis) or .mp3; written beside and renamed.
        notes: At least one.
        sample_rate: Samples a second.

    Raises:
        UsageError: Another suffix or sample rate.
        ValueError: No notes.
        MusicstyleError: The sound file's library refuses, or the piano's recordings are not there.
    """
    import soundfile

    kind, subtype = _format(path, sample_rate)
    if not len(notes):
        raise ValueError("no notes to play")
    sampler = Sampler(notes, sample_rate)
    peak = max(float(np.abs(block).max()) for block in sampler.blocks())
    gain = np.float32(10 ** (PEAK_DBFS / 20) / peak)
    with write_atomically(path) as beside:
        try:
            with soundfile.SoundFile(beside, "w", sample_rate, CHANNELS, subtype, format=kind) as file:
                for block in sampler.blocks():
                    file.write(block * gain)
        except soundfile.LibsndfileError as error:
            raise MusicstyleError(f"{path}: cannot be written (is the disk full? {error.error_string})") from None


def _format(path: str | os.PathLike[str], sample_rate: int) -> tuple[str, str]:
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: sound is written as {', '.join(FORMATS)}")
    if sample_rate not in SAMPLE_RATES:
        raise UsageError(f"sample rate {sample_rate}: must be one of {', '.join(map(str, SAMPLE_RATES))}")
    return FORMATS[suffix]
