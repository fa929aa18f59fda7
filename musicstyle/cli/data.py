"""`musicstyle data`: the group of what is done with folders of MIDI."""

from __future__ import annotations

import click

from musicstyle.cli._group import LazyGroup, Verb, help_if_alone

VERBS = {
    "prepare": Verb("musicstyle.cli.data_prepare:prepare", "Turn a folder of MIDI into a corpus of notes."),
    "check": Verb("musicstyle.cli.data_check:check", "Look through a folder of MIDI before training on it."),
    "fetch": Verb("musicstyle.cli.data_fetch:fetch", "Download a known collection and unpack it."),
}


@click.group(cls=LazyGroup, verbs=VERBS, invoke_without_command=True)
@click.pass_context
def data(context: click.Context) -> None:
    """Prepare the notes that a model trains on."""
    help_if_alone(context)
