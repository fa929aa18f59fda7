"""What a style embedding knows of who played what: retrieval and probe, beside what its profile tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from musicstyle.evaluation.experiments import Crops
from musicstyle.evaluation.material import data_folder, listed
from musicstyle.evaluation.style import NothingToAskError, distances, linear_probe, retrieval
from musicstyle.music.profile import in_common

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from musicstyle.corpus.store import Corpus

PERFORMERS = "maestro-performers.csv"
Names = dict[str, dict[str, str]]


def names_for(corpus: Corpus, performers: Path | None = None) -> Names:
    """Composer and performer of each file of a corpus made of MAESTRO; empty where no table says.

    Args:
        corpus: Its manifest says which folder it was made of.
        performers: Table with midi_filename and performer; None: maestro-performers.csv beside the data, if it is
            there.

    Raises:
        CorpusError: A table cannot be read or lacks its columns.
    """
    if performers is None and (data := data_folder()) is not None and (data / PERFORMERS).is_file():
        performers = data / PERFORMERS
    known = listed(corpus, performers)
    return {
        "composer": {path: one.composer for path, one in known.items() if one.composer},
        "performer": {path: one.performer for path, one in known.items() if one.performer},
    }


def knowledge(crops: Crops, names: Mapping[str, Mapping[str, str]], seed: int = 0) -> dict[str, Any]:
    """Retrieval of performance, composer and performer, and the probe for composer, by embedding and by profile.

    Returns:
        {"retrieval": {what: {"embedding": ..., "profile": ...}}, "probe": {by: ...}, "crops": n, "dropped": pieces too
        short for two crops}; questions that the names or the number of crops leave unanswerable are left out.
    """
    vectors = {"embedding": crops.embedding, "profile": crops.profile}
    far = {
        "embedding": distances(crops.embedding),
        "profile": 1 - np.stack([in_common(one, crops.profile).mean(axis=1) for one in crops.profile]),
    }
    one_work = crops.work[:, None] == crops.work[None, :]
    others = one_work & (crops.piece[:, None] != crops.piece[None, :])
    found = {"performance": {by: retrieval(d, crops.piece.astype(str), others).to_dict() for by, d in far.items()}}
    probe: dict[str, Any] = {}
    for what, of in names.items():
        labels = np.array([of.get(path, "") for path in crops.paths])  # empty where unknown
        try:
            found[what] = {by: retrieval(d, labels, one_work).to_dict() for by, d in far.items()}
            if what == "composer":
                probe = {by: linear_probe(v, labels, crops.work, seed).to_dict() for by, v in vectors.items()}
        except NothingToAskError:
            continue  # no names, or too few works a name
    return {"retrieval": found, "probe": probe, "crops": len(crops.piece), "dropped": crops.dropped}
