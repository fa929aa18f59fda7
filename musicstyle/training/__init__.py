"""From a corpus to a checkpoint: schedule, optimizers, state on disk, loop."""
