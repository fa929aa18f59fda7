"""What the numbers of a report say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Answer = Mapping[str, Any]


def findings(report: Answer) -> list[str]:
    """A sentence for each thing the report can tell, most important first."""
    said = []
    for part, tell in (
        ("melody", _melody),
        ("style", _style),
        ("likelihood", _likelihood),
        ("embedding", _embedding),
        ("interpolation", _interpolation),
        ("memorisation", _memorisation),
    ):
        if part in report:
            said += tell(report[part])
    return said


def default_row(melody: Answer) -> Answer:
    """The row of the melody strength that the checkpoint plays with."""
    row: Answer = next(row for row in melody["strengths"] if row["melody_strength"] == melody["default_strength"])
    return row


MEASURES = {"profile": "by profile", "features": "by the eight features"}  # of style
_HITS = ("hit rate", "95 %", "own", "others")
HIT_COLUMNS = (*_HITS, *(f"heard: {name}" for name in _HITS))


def hit_cells(judged: Answer) -> list[Any]:
    """What stands in HIT_COLUMNS for a mode and a measure: by the half that was not heard, then by the one that was."""
    return [
        cell
        for hits in (judged, judged["heard"])
        for cell in (
            hits["rate"],
            hits["interval"] and "{:.2f} to {:.2f}".format(*hits["interval"]),
            hits["own"],
            hits["others"],
        )
    ]


MELODY_COLUMNS = ("share_50", "share_100", "chance_50", "chance_100", "on_top", "extra_above", "deviation_seconds")
RUN_COLUMNS = ("pieces", "median", "90 %", "longest", "covered")


def run_cells(runs: Answer) -> list[str]:
    """What stands in RUN_COLUMNS for the runs of some pieces."""
    return [*(f"{runs[name]:g}" for name in ("pieces", "median", "percentile_90", "max")), f"{runs['covered']:.1%}"]


def _melody(melody: Answer) -> list[str]:
    row = default_row(melody)
    return [
        (
            f"Of the melody's notes {row['share_100']:.0%} sound within 100 ms (chance {row['chance_100']:.0%}), "
            f"{row['on_top']:.0%} of them on top."
        )
    ]


def _style(style: Answer) -> list[str]:
    modes, real = style["modes"], style["modes"]["real"]
    return [
        f"{how}, a piece is nearer to its own style than to another's, {measured}, in "
        f"{modes[mode][by]['rate']:.0%}{_in_brackets(modes[mode][by]['interval'])} of "
        f"{modes[mode][by]['candidates'] * (modes[mode][by]['candidates'] - 1)} comparisons; real playing reaches "
        f"{real[by]['rate']:.0%}, chance is 50%. Judged by the half that was heard it is "
        f"{modes[mode][by]['heard']['rate']:.0%}, real playing {real[by]['heard']['rate']:.0%}."
        for mode, how in (("both", "Playing a tune in a style"), ("style", "Playing freely in a style"))
        if mode in modes
        for by, measured in MEASURES.items()
    ]


def _in_brackets(interval: Sequence[float] | None) -> str:
    return " ({:.0%} to {:.0%})".format(*interval) if interval else ""


def _likelihood(likelihood: Answer) -> list[str]:
    modes = likelihood["modes"]
    if "both" not in modes:
        return []
    both, melody, none = (modes[mode]["nll"] for mode in ("both", "melody", "none"))
    split, tokens = likelihood["split"], likelihood["crop_tokens"]
    published = ""
    if known := likelihood["published"]:
        saved = known["melody"] - known["both"]
        published = f" Published (recalled): {known['both']:.3f}, {known['none']:.3f} and {saved:.3f}."
    return [
        (
            f"Predicting real playing ({split} split, crops of {tokens} tokens) costs {both:.3f} nats a token with "
            f"melody and style, {none:.3f} with neither; style on top of the melody saves {melody - both:.3f}."
            f"{published}"
        )
    ]


def _embedding(embedding: Answer) -> list[str]:
    return [
        f"The nearest crop by embedding is of the same {what} in {found['embedding']['recall_1']:.0%} of queries, "
        f"by profile in {found['profile']['recall_1']:.0%} (chance {found['embedding']['chance']:.1%})."
        for what, found in embedding["retrieval"].items()
        if found["embedding"]["chance"] < 1  # else there was no other to take it for
    ]


def _interpolation(line: Answer) -> list[str]:
    return [
        (
            f"From one style to another the relative distance falls by {line['fall']:.3f}, "
            f"Spearman {line['spearman_of_means']:.2f}."
        )
    ]


def _memorisation(memorisation: Answer) -> list[str]:
    modes = memorisation["modes"].values()
    pieces = [piece for judged in modes for piece in judged["pieces"]]
    compared, unusual = (sum(judged[count] for judged in modes) for count in ("compared", "unusual"))
    if not compared:
        return []
    longest = max(piece["longest"] for piece in pieces if piece["as_long"] is not None)
    others = len(pieces) - compared
    return [
        (
            f"The longest run that a piece shares with a training performance has {longest} notes; {unusual} of "
            f"{compared} pieces share a longer one than each of their stretches of unseen real playing (chance: one "
            f"in 21){f'; {others} have more notes than any unseen performance and are not compared' if others else ''}."
        )
    ]
