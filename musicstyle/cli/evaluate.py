"""`musicstyle eval`: the group of what is asked of a checkpoint or of music."""

from __future__ import annotations

import click

from musicstyle.cli._group import LazyGroup, Verb, help_if_alone

VERBS = {
    "similarity": Verb(
        "musicstyle.cli.eval_similarity:similarity", "How alike pieces are, or a checkpoint and its styles."
    ),
    "melody": Verb("musicstyle.cli.eval_melody:melody", "How much of the melody sounds in what a checkpoint plays."),
    "style": Verb("musicstyle.cli.eval_style:style", "Whether style is carried, and what the embedding knows."),
    "interpolation": Verb(
        "musicstyle.cli.eval_interpolation:interpolation", "Whether mixes of two styles lie between them."
    ),
    "nll": Verb("musicstyle.cli.eval_nll:nll", "Nats per token of real playing, in every mode."),
    "memorisation": Verb(
        "musicstyle.cli.eval_memorisation:memorisation", "Whether notes are copied from the training performances."
    ),
    "report": Verb("musicstyle.cli.eval_report:report", "All of it, as one page and one JSON."),
}


@click.group(name="eval", cls=LazyGroup, verbs=VERBS, invoke_without_command=True)
@click.pass_context
def evaluate(context: click.Context) -> None:
    """Judge a checkpoint, or compare pieces."""
    help_if_alone(context)
