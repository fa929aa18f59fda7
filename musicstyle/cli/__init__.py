"""The command line: one file a verb. Only here is anything printed, asked or given an exit code.

Exit codes: 0 done, 1 failed, 2 not understood, 130 stopped with Ctrl-C. Results go to stdout, all else to stderr.
"""

from __future__ import annotations

import click

from musicstyle import __version__
from musicstyle.cli._group import Program, Verb, help_if_alone

VERBS = {
    "generate": Verb("musicstyle.cli.generate:generate", "Play a tune in the style of a performance."),
    "render": Verb("musicstyle.cli.render:render", "Turn MIDI into sound, a picture or a page."),
    "melody": Verb("musicstyle.cli.melody:melody", "Show what the melody of a piece is taken to be."),
    "train": Verb("musicstyle.cli.train:train", "Train a model on a folder of MIDI."),
    "eval": Verb("musicstyle.cli.evaluate:evaluate", "Judge a checkpoint, or compare pieces."),
    "data": Verb("musicstyle.cli.data:data", "Prepare the notes that a model trains on."),
}


@click.group(name="musicstyle", cls=Program, verbs=VERBS, invoke_without_command=True)
@click.version_option(__version__, "-V", "--version", message="musicstyle %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Play any tune in the style of any pianist.

    MIDI in, MIDI out: `musicstyle VERB --help` tells more about a verb.
    """
    help_if_alone(context)


__all__ = ["main"]
