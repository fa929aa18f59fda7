"""The learning rate's course: a trapezoid."""

from __future__ import annotations


def trapezoid(step: int, steps: int, warmup_steps: int, decay_share: float) -> float:
    """Factor of the peak learning rate at a step.

    Args:
        step: From 0 to steps - 1.
        steps: Length of the run.
        warmup_steps: Rising linearly from 1 / warmup_steps to 1.
        decay_share: Last share of the run, falling linearly towards 0.

    Returns:
        In (0, 1].
    """
    rising = (step + 1) / max(1, warmup_steps)
    falling = (steps - step) / max(1.0, steps * decay_share)
    return min(1.0, rising, falling)
