"""Muon: momentum whose matrices are made nearly orthogonal, in the precision that the machine multiplies fast.

torch's own always computes in bfloat16. A CPU without it, as in most laptops, emulates it at a fiftieth of its speed,
and more than half of a training step went into that.

Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; rates and state as torch.optim.Muon's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_SMALLEST_NORM = 1e-7


def multiplies_bf16(device: str) -> bool:
    """Whether the machine multiplies matrices of bfloat16 faster than of float32."""
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch before 2.11 doesn't tell
    in_bf16 = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return device == "cuda" or (device == "cpu" and in_bf16)


class Muon(Optimizer):
    """Of matrices only."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float) -> None:
        """Nesterov's momentum; where a matrix has more rows than columns, its rate is times the root of their ratio."""
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take one step."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for parameters in alike.values():
                self._step_alike(parameters, group["lr"], group["weight_decay"], group["momentum"])

    def _step_alike(self, parameters: list[nn.Parameter], lr: float, weight_decay: float, momentum: float) -> None:
        """All matrices of one shape together: one by one they would keep a GPU waiting for what it is to do."""
        nesterov = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            assert parameter.grad is not None
            mean = state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
            nesterov.append(parameter.grad.lerp(mean, momentum))
        dtype = torch.bfloat16 if multiplies_bf16(nesterov[0].device.type) else torch.float32
        rows, columns = nesterov[0].shape
        rate = lr * max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, nearly_orthogonal(torch.stack(nesterov), dtype), strict=True):
            parameter.mul_(1 - lr * weight_decay).add_(update, alpha=-rate)


def nearly_orthogonal(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """Move all singular values to between 0.7 and 1.2, except those next to 0, by Newton and Schulz's iteration.

    Args:
        matrices: (matrices, rows, columns).
        dtype: To compute in, and of the result.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = (matrices.mT if tall else matrices).to(dtype)
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST_NORM)
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide
