"""Muon for the matrices, AdamW for everything else."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from musicstyle.training.muon import Muon
from musicstyle.training.options import TrainingOptions


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter maps hidden vectors to hidden vectors (not a table of ids, distances or outputs)."""
    tables = (
        "embedding.weight", "phase.weight", "aligned.weight", "held.weight", "style_counts.weight", "table",
        "head.weight",
    )  # fmt: skip
    return parameter.ndim == 2 and not name.endswith(tables)


def make_optimizers(model: nn.Module, options: TrainingOptions) -> list[Optimizer]:
    """Muon over the hidden matrices and AdamW over the rest, each with its peak learning rate as `initial_lr`."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if is_matrix(n, p)]
    return optimizers_of(matrices, [p for n, p in named if not is_matrix(n, p)], options)


def optimizers_of(
    matrices: list[nn.Parameter], others: list[nn.Parameter], options: TrainingOptions
) -> list[Optimizer]:
    """Muon over the one and AdamW over the other, as `make_optimizers` gives them."""
    muon = Muon(matrices, lr=options.matrix_learning_rate, weight_decay=options.weight_decay, momentum=0.95)
    adam = torch.optim.AdamW(others, lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return [muon, adam]
