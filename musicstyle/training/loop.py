"""The training loop: yields a report after every step, and leaves checkpoints behind."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.lsf import LSFEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor
from torch.optim import Optimizer

from musicstyle.corpus.store import Corpus
from musicstyle.errors import CheckpointError, TrainingError
from musicstyle.files import remove_unfinished
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.checkpoint import WEIGHTS, load_weights
from musicstyle.model.config import ModelConfig
from musicstyle.model.encoders import PAD
from musicstyle.training.batches import (
    Batch,
    ending_workers,
    training_batches,
    training_features,
    training_habits,
    validation_batches,
)
from musicstyle.training.loss import (
    feature_scale,
    nll_sum,
    served_modes,
    style_error,
    taught_nll_sum,
    validation_nll,
)
from musicstyle.training.muon import multiplies_bf16
from musicstyle.training.optimizers import make_optimizers
from musicstyle.training.options import TrainingOptions
from musicstyle.training.schedule import trapezoid
from musicstyle.training.state import BEST, LAST, RESUMED, find_last, remove_run, restore, save
from musicstyle.training.teacher import Teacher

LOSS_EVERY = 10  # steps, on a GPU: reading the loss makes the CPU wait for it, and then it for the CPU


@dataclass(frozen=True)
class Report:
    """Where the run stands after a step.

    With several processes, `tokens` is estimated from the first one's share of the crops and `loss` is the first one's.

    Attributes:
        step: Steps done, of `steps`.
        steps: Length of the run.
        loss: Training NLL in nats per id: of this step, on a GPU of the last one that was read.
        tokens: Target ids trained on so far.
        tokens_per_second: Since this process began.
        eta_seconds: Until the last step.
        validation: NLL in nats per id by mode, when this step validated.
        best: Whether that validation was the lowest yet of the mode that the run is judged by.
    """

    step: int
    steps: int
    loss: float
    tokens: int
    tokens_per_second: float
    eta_seconds: float
    validation: dict[str, float] | None = None
    best: bool = False


def choose_precision(device: str) -> str:
    """bf16 mixed where the machine multiplies matrices of it faster than float32, float32 elsewhere."""
    return "bf16-mixed" if multiplies_bf16(device) else "32-true"


def make_fabric(device: str, precision: str = "auto", devices: int = 1, nodes: int = 1) -> Fabric:
    """Lightning Fabric for a device that is there, in torch's words; precision "auto" is its `choose_precision`."""
    if precision == "auto":
        precision = choose_precision(device)
    # Asked about machines only where there are several: an mpi4py that finds no MPI has Fabric fail when it looks.
    plugins = [LightningEnvironment()] if nodes == 1 and not _launched() else None
    return Fabric(accelerator=device, devices=devices, num_nodes=nodes, precision=precision, plugins=plugins)  # type: ignore[arg-type]


def _launched() -> bool:
    """Whether torchrun or a scheduler began this process, and so its fellows too."""
    return any(one.detect() for one in (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment))


class Trainer:
    """One run: model, optimizers and history between two steps.

    Attributes:
        stop: Set from outside, in any process: save after the step that is being taken, and end. Several GPUs agree to
            it only where the loss is read.
        read_every: Steps from one reading of the loss to the next.
        replaces: Set from outside: the run that `out` holds goes as soon as this one has something to save.
    """

    def __init__(self, config: ModelConfig, options: TrainingOptions, corpus: Path, out: Path, fabric: Fabric) -> None:
        options.refuse_uneven_shares(fabric.world_size)
        self.config, self.options, self.corpus, self.out, self.fabric = config, options, corpus, out, fabric
        torch.manual_seed(options.seed)
        self.plain = Autoencoder(config).to(fabric.device)  # before the optimizers, whose restored state goes with it
        self.optimizers: list[Optimizer] = make_optimizers(self.plain, options)
        self.teacher = Teacher(Path(options.teacher), config, fabric.device) if options.teacher else None
        self.history: list[dict[str, Any]] = []
        self.step = self.tokens = 0
        self.best = float("inf")
        self.stop = self.replaces = False
        self.read_every = LOSS_EVERY if fabric.device.type == "cuda" else 1

    @property
    def judged_by(self) -> str:
        """The mode whose validation NLL says which weights are the best: with all that the model can hear."""
        return served_modes(self.config)[0]

    @property
    def precision(self) -> str:
        """Of the arithmetic, in Fabric's words: "32-true", "bf16-mixed" ..."""
        return str(self.fabric.strategy.precision.precision)

    def start_from(self, checkpoint: Path) -> None:
        """Begin with the weights of a checkpoint of the same model config, or one with a smaller decoder (fine-tuning).

        Raises:
            CheckpointError: They are missing or do not fit.
        """
        load_weights(self.plain, checkpoint / WEIGHTS, grow=True)

    def resume(self) -> None:
        """Take up the last saved state of `out`.

        Raises:
            CheckpointError: There is none, it is of another model, or a file of it is damaged.
        """
        folder = find_last(self.out)
        if folder is None:
            raise CheckpointError(f"{self.out}: nothing to resume there (no saved state); start without --resume")
        facts, self.history = restore(folder, self.plain, self.optimizers)
        self.step, self.tokens, best = (facts[name] for name in RESUMED)
        self.best = math.inf if best is None else best

    def run(self) -> Iterator[Report]:
        """Train to the last step; yields after every step.

        Raises:
            TrainingError: The loss or a validation's NLL is no number, or a checkpoint cannot be written.
        """
        fabric, o = self.fabric, self.options
        if fabric.is_global_zero:
            remove_unfinished(self.out)
        model, *optimizers = fabric.setup(self.plain, *self.optimizers)
        validation = [self._to_device(b) for b in validation_batches(self.corpus, self.options)]
        scale = feature_scale(training_features(self.corpus, o))
        self.feature_mean, self.feature_deviation = (part.to(fabric.device) for part in scale)
        if self.config.hears_style and self.config.style_habits and not self.plain.habits.usual.any():
            self.plain.habits.learn_usual(training_habits(self.corpus, o))
        pinned = fabric.device.type == "cuda"
        batches = training_batches(self.corpus, o, self.step, fabric.global_rank, fabric.world_size, pinned=pinned)
        with ending_workers(batches):
            yield from self._steps(batches, validation, model, optimizers)

    def _steps(
        self, batches: Iterator[Batch], validation: list[Batch], model: Any, optimizers: list[Any]
    ) -> Iterator[Report]:
        fabric, o = self.fabric, self.options
        began, first_tokens, first_step = time.monotonic(), self.tokens, self.step
        loss = float("nan")
        for batch in batches:
            self.tokens += int((batch["ids"] != PAD).sum()) * fabric.world_size
            measured = self._train_step(model, optimizers, self._to_device(batch))
            if self.stop or self.step == first_step + 1 or self._due(self.read_every, o.validate_every, o.save_every):
                loss = self._read(measured)
            scores = self._validate(validation) if self._due(o.validate_every) else None
            best = scores is not None and self._note(scores, loss)
            if best:
                self._save(BEST, scores)
            if self._due(o.save_every):
                self._save(LAST, scores, optimizers)
            seconds = time.monotonic() - began
            eta = seconds / (self.step - first_step) * (o.steps - self.step)
            speed = (self.tokens - first_tokens) / seconds
            yield Report(self.step, o.steps, loss, self.tokens, speed, eta, scores, best)
            if self._agree_to_stop():
                self._save(LAST, scores, optimizers)
                return

    def _agree_to_stop(self) -> bool:
        """Whether any process was asked to stop; all learn it after the same step, so that none waits in vain."""
        if self.fabric.world_size > 1 and self._due(self.read_every):
            asked = torch.tensor(float(self.stop), device=self.fabric.device)
            agreed = bool(self._sum_of_processes(asked) > 0)
            self.stop = self.stop or agreed  # a Ctrl-C of this moment stays, for the next step
            return agreed
        return self.stop and self.fabric.world_size == 1

    def _save(self, name: str, scores: dict[str, float] | None, optimizers: list[Any] | None = None) -> None:
        if not self.fabric.is_global_zero:
            return
        if self.replaces:
            remove_run(self.out)
            self.replaces = False
        save(self.out / name, self.plain, self._facts(scores), self.history, optimizers)

    def _to_device(self, batch: Batch) -> Batch:
        return {name: values.to(self.fabric.device, non_blocking=True) for name, values in batch.items()}

    def _due(self, *intervals: int) -> bool:
        return self.step == self.options.steps or any(self.step % every == 0 for every in intervals)

    def _read(self, loss: Tensor) -> float:
        if not math.isfinite(value := float(loss)):
            raise TrainingError(f"step {self.step}: the loss is {value}; begin again with a lower --learning-rate")
        return value

    def _train_step(self, model: Any, optimizers: list[Any], batch: Batch) -> Tensor:
        """Take one step; the loss, NaN if the gradient is no number, stays where it was computed."""
        o = self.options
        # Dropout is seeded by the step, so that a resumed run draws what an unbroken one would; and by the process.
        torch.manual_seed(o.seed * 1_000_003 + self.step + self.fabric.global_rank * 1_000_000_007)
        factor = trapezoid(self.step, o.steps, o.warmup_steps, o.decay_share)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        model.train()
        logits, guess, styles = model(batch)
        total, count = nll_sum(logits, batch["ids"])
        learned = total
        if self.teacher is not None:
            with self.fabric.autocast():
                answers = self.teacher.answers(batch)
            learned = torch.lerp(total, taught_nll_sum(logits, answers, batch["ids"]), o.teacher_share)
        # Gradients are averaged over the processes: so each id weighs the same, whichever has it.
        objective = learned * self.fabric.world_size / self._sum_of_processes(count.float())
        if styles is not None:
            self.plain.truncation.learn(self._of_all_processes(styles.detach().float()))
            error = style_error(guess, batch["style_features"], self.feature_mean, self.feature_deviation)
            objective = objective + o.style_head_weight * error
        self.fabric.backward(objective)
        norm = torch.nn.utils.clip_grad_norm_(self.plain.parameters(), o.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        # What follows a gradient that is no number would be none either.
        return torch.where(norm.isfinite(), total.detach() / count, torch.nan)

    def _of_all_processes(self, rows: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return rows
        together = self.fabric.all_gather(rows)
        assert isinstance(together, Tensor)
        return together.flatten(0, 1)

    def _sum_of_processes(self, value: Tensor) -> Tensor:
        if self.fabric.world_size == 1:
            return value
        together = self.fabric.all_reduce(value, reduce_op="sum")
        assert isinstance(together, Tensor)
        return together

    def _validate(self, batches: list[Batch]) -> dict[str, float]:
        self.plain.eval()
        with self.fabric.autocast():
            scores = validation_nll(self.plain, batches, served_modes(self.config))
        if not all(map(math.isfinite, scores.values())):
            raise TrainingError(
                f"step {self.step}: a validation NLL is no number ({scores}); begin again with a lower --learning-rate"
            )
        return scores

    def _note(self, scores: dict[str, float], loss: float) -> bool:
        """Write a validation into the history; True if it is the best yet."""
        score = scores[self.judged_by]
        self.history.append(
            {"step": self.step, "tokens": self.tokens, "loss": round(loss, 4), "validation_nll": scores}
        )
        if score >= self.best:
            return False
        self.best = score
        return True

    def _facts(self, scores: dict[str, float] | None) -> dict[str, Any]:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "best_validation_nll": self.best if math.isfinite(self.best) else None,  # JSON has no infinity
            "validation_nll": scores,
            "corpus": Corpus.open(self.corpus).fingerprint,
            "training": {**asdict(self.options), "precision": self.precision},
        }
