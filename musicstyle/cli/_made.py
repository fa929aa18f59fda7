"""What `musicstyle generate` says of what it made, on stderr to a person and on stdout to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from musicstyle.cli._console import duration, give, say

if TYPE_CHECKING:
    from pathlib import Path

    from musicstyle.generation.result import Generation

MUCH_LESS = 0.9  # of the style strength that was asked for: worth a line


def tell_of(outs: list[Path], made: list[Generation], seed: int, *, compiled: bool) -> None:
    """What the person should know, on stderr."""
    first = made[0]
    if len(made) == 1:
        if first.retries:
            say(f"seed {seed} gave no notes worth keeping; seed {first.seed} was taken, retry {first.retries}")
    else:
        say(_ranking(first))
        for path, one in zip(outs, made, strict=True):
            say(f"{path}: seed {one.seed}{_measured(one)}")
    asked = first.settings["style_strength"]
    if (came := first.settings.get("style_strength_as_known", asked)) < MUCH_LESS * asked:
        why = first.settings["style_is"].replace("far", "unlike what the weights learned from")
        say(f"the style is {why}: --style-strength {asked:g} became {came:.1f}")
    if first.settings.get("on_grid"):
        say("the style was written by a program, on a grid, and so is what was played")
    if moved := first.settings.get("heard_transposed_by"):
        way = "lower" if moved < 0 else "higher"
        say(f"heard {abs(moved)} semitone{'s' * (abs(moved) > 1)} {way}, in the register of the style, and moved back")
    say(_summary(made, compiled=compiled))


def _ranking(first: Generation) -> str:
    measured = first.measures
    if measured is None or (measured.melody_kept is None and measured.style_near is None):
        return "with neither tune nor style there is nothing to rank by; in the order of seeds:"
    if measured.style_near is None:
        return "ranked by the share of the melody kept, the best first:"
    if measured.melody_kept is None:
        return "ranked by nearness to the style, the best first:"
    return "ranked by the mean of melody kept and nearness to the style, the best first:"


def _measured(result: Generation) -> str:
    kept, near = (result.measures.melody_kept, result.measures.style_near) if result.measures else (None, None)
    melody = "" if kept is None else f", {kept:.0%} of the melody kept"
    return melody + ("" if near is None else f", style {near:.2f} near")


def _summary(made: list[Generation], *, compiled: bool) -> str:
    taken = made[0].seconds_taken
    music, tokens = sum(one.new_seconds for one in made), sum(one.tokens for one in made)
    notes = sum(one.new_notes for one in made)
    again = f"again with --seed {made[0].seed}"
    speed = f"{tokens / taken:.0f} tokens/s, {music / taken:.1f} times real time"
    return (
        f"{notes} notes, {duration(music)} of music in {taken:.1f} s "
        f"({'compiling included' if compiled else speed}); {again if len(made) == 1 else 'the best ' + again}"
    )


def give_made(outs: list[Path], made: list[Generation], as_json: bool) -> None:
    """The results on stdout: paths, or one JSON object."""
    if not as_json:
        for path in outs:
            give(path)
    elif len(made) == 1:
        give(_as_json(outs[0], made[0]))
    else:
        give({"variations": [_as_json(path, one) for path, one in zip(outs, made, strict=True)]})


def _as_json(out: Path, result: Generation) -> dict[str, Any]:
    measures = {}
    if result.measures is not None:
        measures = {"melody_kept": result.measures.melody_kept, "style_near": result.measures.style_near}
    return {
        "out": str(out),
        "seed": result.seed,
        "retries": result.retries,
        "notes": len(result.notes),
        "seconds": round(result.notes.duration_seconds, 3),
        "new_notes": result.new_notes,
        "new_seconds": round(result.new_seconds, 3),
        "tokens": result.tokens,
        "seconds_taken": round(result.seconds_taken, 3),
        "tokens_per_second": round(result.tokens / result.seconds_taken, 1),
        "real_time_factor": round(result.real_time_factor, 3),
        **measures,
        "settings": result.settings,
    }
