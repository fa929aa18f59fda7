"""A report as one HTML page that needs nothing else: tables, plots as SVG, samples that a few lines of script play."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from musicstyle.evaluation import figures
from musicstyle.evaluation.findings import (
    HIT_COLUMNS,
    MEASURES,
    MELODY_COLUMNS,
    RUN_COLUMNS,
    default_row,
    findings,
    hit_cells,
    run_cells,
)
from musicstyle.evaluation.memorisation import LONG_RUN, UNSEEN

Answer = Mapping[str, Any]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .2rem .7rem; text-align: right; }
td { white-space: nowrap; }
th { border-bottom: 1px solid #999; } th:first-child, td:first-child { text-align: left; }
svg { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
li, h1 { overflow-wrap: anywhere; } .note { color: #666; } button { font: inherit; margin-right: .5rem; }
"""

POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)

PLAYER = """
let context = null, playing = [];
function stop() { for (const o of playing) { try { o.stop(); } catch (e) {} } playing = []; }
function play(notes) {
  stop();
  context = context || new AudioContext();
  const now = context.currentTime + 0.1;
  for (const [start, length, pitch, velocity] of notes) {
    const o = context.createOscillator(), g = context.createGain(), t = now + start / 100, end = t + length / 100 +
    0.15; o.type = "triangle"; o.frequency.value = 440 * 2 ** ((pitch - 69) / 12); g.gain.setValueAtTime(0, t);
    g.gain.linearRampToValueAtTime((velocity / 127) ** 2 * 0.25, t + 0.005); g.gain.exponentialRampToValueAtTime(0.0005,
    end); o.connect(g).connect(context.destination); o.start(t); o.stop(end); playing.push(o);
  }
}
for (const b of document.querySelectorAll("button[data-sample]")) {
  b.onclick = () => play(samples[Number(b.dataset.sample)].notes);
}
const silence = document.getElementById("silence"); if (silence) silence.onclick = stop;
"""


def page(report: Answer) -> str:
    """The whole page of what `Report.run` returned."""
    sections = [_says(report)]
    for name, write in (
        ("likelihood", _likelihood),
        ("melody", _melody),
        ("style", _style),
        ("embedding", _embedding),
        ("interpolation", _interpolation),
        ("memorisation", _memorisation),
    ):
        if name in report:
            sections.append(write(report))
    sections.append(_plan(report))
    samples = report.get("melody", {}).get("samples", [])
    data = json.dumps(samples).replace("<", "\\u003c")
    title = f"musicstyle: {html.escape(str(report['checkpoint']))}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{POLICY}<title>{title}</title>'
        f"<style>{STYLE}</style></head>\n"
        f"<body><main><h1>{title}</h1>\n{''.join(sections)}</main>"
        f"<script>const samples = {data};{PLAYER}</script></body></html>\n"
    )


def _says(report: Answer) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in findings(report))
    return f"<h2>What the numbers say</h2><ul>{items}</ul>\n"


def _likelihood(report: Answer) -> str:
    measured = report["likelihood"]
    kinds = list(next(iter(measured["modes"].values()))["by_kind"])
    published = measured["published"]
    rows = [
        [
            mode,
            m["nll"],
            m["interval"] and "{:.3f} to {:.3f}".format(*m["interval"]),
            published.get(mode),
            *(m["by_kind"].get(k) for k in kinds),
        ]
        for mode, m in measured["modes"].items()
    ]
    note = (
        f"Split: {measured['split']}. Pieces: {measured['pieces']} (works: {measured['works']}; left out as shorter "
        f"than a crop: {measured['dropped']}). Tokens: {measured['tokens']} in crops of {measured['crop_tokens']}. "
        f"Heard in so many keys at once, whose mean counts: {measured['ensemble']}. "
        "Published models are one a mode and their values are recalled, not cited; see "
        "musicstyle.evaluation.likelihood for what deviates."
    )
    return _section(
        "Likelihood, nats per token",
        _table(["mode", "ours", "95 %", "published", *kinds], rows),
        figures.svg(figures.nll_figure(measured, published), "Nats per token of each mode, as in the table"),
        note,
    )


def _melody(report: Answer) -> str:
    strengths = report["melody"]["strengths"]
    rows = [[f"{row['melody_strength']:g}", *(row[name] for name in MELODY_COLUMNS)] for row in strengths]
    row = default_row(report["melody"])
    note = (
        f"{row['pairs']} tunes, {row['notes']} notes. Real playing of other music: {row['real_playing_50']:.3f} within "
        f"50 ms, {row['real_playing_100']:.3f} within 100 ms. Chance is the melody moved away."
    )
    samples = "".join(
        f'<p><button type="button" data-sample="{i}" aria-label="play {html.escape(sample["name"])}">play</button>'
        f"{html.escape(sample['name'])}</p>"
        for i, sample in enumerate(report["melody"]["samples"])
    )
    stop = '<p><button type="button" id="silence">stop</button></p>' if samples else ""
    return _section(
        "Melody",
        _table(["strength", *(name.replace("_", " ") for name in MELODY_COLUMNS)], rows),
        figures.svg(figures.melody_figure(strengths), "Share of the melody's notes by strength, as in the table"),
        note,
    ) + (samples + stop)


def _style(report: Answer) -> str:
    modes = report["style"]["modes"]
    published = ", ".join(f"{mode} {area}" for mode, area in report["published"]["similarity"].items())
    note = (
        f"{len(report['style']['styles'])} performances of which one half is heard and the other judges; heard: judged "
        "by the half that is heard; real: a stretch of that half. Own and others: what is in common by profile, the "
        "overlapping area by the eight features; the latter with the performance heard is the published similarity "
        f"(recalled, on MAESTRO: {published})."
    )
    tables = []
    for measure, measured in MEASURES.items():
        judged = {mode: m[measure] for mode, m in modes.items()}
        parts = [part.replace("_", " ") for part in judged["real"]["by_part"]]
        tables += [
            _table([f"{measured}, played with", *HIT_COLUMNS], [[mode, *hit_cells(m)] for mode, m in judged.items()]),
            _table([f"own, {measured}", *parts], [[mode, *m["by_part"].values()] for mode, m in judged.items()]),
        ]
    drawn = figures.svg(figures.hits_figure(modes), "Hit rate of each way of playing, as in the tables")
    return _section("Style: nearer to its own than to another's", "".join(tables), drawn, note)


def _embedding(report: Answer) -> str:
    names = ("recall_1", "recall_5", "mrr", "chance", "queries", "left_out")
    found = report["embedding"]["retrieval"]
    rows = [[f"{what}, {by}", *(r[name] for name in names)] for what, both in found.items() for by, r in both.items()]
    probe_names = ("accuracy", "balanced_accuracy", "commonest", "labels", "crops")
    probe = [[by, *(p[name] for name in probe_names)] for by, p in report["embedding"]["probe"].items()]
    probed = _table(["composer by", *(name.replace("_", " ") for name in probe_names)], probe) if probe else ""
    crops, dropped, split = (report["embedding"][name] for name in ("crops", "dropped", "split"))
    note = (
        f"Split: {split}. Crops: {crops} (pieces left out as too short for two: {dropped}). The profile was never "
        "learned. Other performances of the same work don't answer."
    )
    return _section(
        "What the embedding knows",
        _table(["nearest crop of same", *(n.replace("_", " ") for n in names)], rows),
        probed,
        note,
    )


def _interpolation(report: Answer) -> str:
    line = report["interpolation"]
    single = line["spearman_of_pieces"]
    note = f"{line['pieces']} pieces a point; falls by {line['fall']:.3f}; Spearman of single pieces {single:.2f}."
    points = ", ".join(f"{mix:g}: {far:.3f}" for mix, far in zip(line["mixes"], line["distance"], strict=True))
    drawn = figures.svg(figures.interpolation_figure(line), f"Relative distance from A by share of A: {points}")
    return _section("Between two styles", "", drawn, note)


def _memorisation(report: Answer) -> str:
    rows = []
    for mode, judged in report["memorisation"]["modes"].items():
        unusual = f"{judged['unusual']} of {judged['compared']}"
        rows.append([mode, *run_cells(judged["played"]), unusual])
        if judged["real"]:
            rows.append([f"{mode}: real, unseen", *run_cells(judged["real"]), None])
    note = (
        f"Notes in the longest run that a piece shares with one training performance, in any key; covered: share of "
        f"notes in shared runs of {LONG_RUN} or more. Real: stretches of the validation split of as many notes. "
        f"Unusual: a run longer than each of {UNSEEN} of them has. {_longest(report['memorisation'])}"
    )
    head = ["played with", *RUN_COLUMNS, "unusual"]
    return _section("Memorisation: runs of notes shared with the training performances", _table(head, rows), "", note)


def _longest(memorisation: Answer) -> str:
    pieces = [piece for judged in memorisation["modes"].values() for piece in judged["pieces"]]
    piece = max(pieces, key=lambda one: one["longest"])
    place = piece["place"]
    return f"The longest stands in {place['trained_on']}{_in_brackets(place['title'])}." if place else ""


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _plan(report: Answer) -> str:
    out = "".join(f"<li>{html.escape(line)}</li>" for line in report["left_out"])
    facts = {
        "weights": report["weights"],
        "step": report["step"],
        "musicstyle": report["musicstyle"],
        **report["generation"],
    }
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    asked = f"<p>Asked less than a full report:</p><ul>{out}</ul>" if out else "<p>A full report.</p>"
    return f'<h2>How it was measured</h2>{asked}<p class="note">{html.escape(told)}</p>\n'


def _section(title: str, table: str, rest: str, note: str) -> str:
    return f'<h2>{html.escape(title)}</h2>{table}{rest}<p class="note">{html.escape(note)}</p>\n'


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(_cell(cell))}</{tag}>" for cell in cells) + "</tr>"

    # Wider than a phone: the table is scrolled (by the arrow keys too), not the page.
    return (
        f'<div class="wide" role="group" aria-label="Table by {html.escape(head[0])}" tabindex="0"><table>'
        f"{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table></div>"
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "–" if value is None else str(value)
