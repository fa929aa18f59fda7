"""Training: tokens a second beside Hugging Face's GPT-2, share of the machine's matrix rate, and what a part costs.

    python benchmarks/training.py [--preset base] [--batch-size 2] [--tokens 1024] [--precision auto] [--threads 1]

Prints one JSON object: for the CPU and, where torch sees one, the GPU. A step is forward, backward, clipping and both
optimizers (Muon over the hidden matrices, AdamW over the rest) on a batch of random ids at music's pace; weights are
random. One step of every part in turn, again and again: medians, so that a neighbour's noise falls on all alike.
"tokens_per_second" is by the wall clock. On the CPU "per_cpu_second" is by the process's CPU time, which neighbours
disturb less; ratios and shares are taken from it there, and ratios are medians over the turns.

"step": what `musicstyle train` does: style encoder, melody encoder, decoder; tokens are the decoder's.
"decoder": the same model's decoder with a ready memory to attend to.
"decoder_alone": the model with conditions "none": no encoders, nothing to attend to. This is what a plain Transformer
does too, so it is the one that is compared with it; it has relative attention, the clock and the keys' input besides.
"no_relative": decoder_alone with torch's fused causal attention in place of the relative one (and no window).
"hugging_face": GPT2LMHeadModel of the same width, heads, depth, feed-forward, vocabulary, context and dropout, same
optimizers, precision and batch. Needs `pip install '.[bench]'`; left out without it, which is said.
"matrix_share" (MFU): FLOPs that the sizes ask for, forward once and backward twice, over the rate of one large matrix
product in the same precision, measured in the same turns. Keys and memory frames count as far as a window lets a
position see them, relative products too; embeddings, norms, softmax and the optimizers don't count.
"peak_megabytes": resident memory of a process of its own after two steps, torch included (a GPU: memory allocated).
"attention_ms": one self-attention of the decoder, forward and backward: relative, and torch's fused causal one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mistakes import run
from peers import say_missing
from torch import Tensor, nn
from torch.optim import Optimizer

from musicstyle.model.attention import RelativeAttention, Rotation
from musicstyle.model.autoencoder import Autoencoder
from musicstyle.model.config import PRESETS, ModelConfig
from musicstyle.music.motifs import VOICES
from musicstyle.training.loop import choose_precision
from musicstyle.training.loss import nll_sum
from musicstyle.training.optimizers import make_optimizers, optimizers_of
from musicstyle.training.options import TrainingOptions

STEPS_A_TOKEN = 2.4  # of MAESTRO's performances: 42 tokens a second
HUGGING_FACE = "hugging_face"
WALL_CLOCK, CPU_CLOCK = 0, 1  # columns of what was measured
Step = Callable[[], Any]


@dataclass(frozen=True)
class Setting:
    """One machine and the size of what it is given."""

    config: ModelConfig
    batch_size: int
    tokens: int
    device: str
    precision: str

    @property
    def frames(self) -> int:
        """Length of the melody."""
        return int(self.tokens * STEPS_A_TOKEN / self.config.steps_per_frame) + 1

    def autocast(self) -> AbstractContextManager[Any]:
        """What Fabric runs a forward pass in."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16-mixed")


class PlainAttention(nn.Module):
    """The decoder's self-attention without its relative term: torch's fused one, over all that came before."""

    def __init__(self, relative: RelativeAttention) -> None:
        super().__init__()
        self.relative = relative

    def forward(self, x: Tensor, rotation: Rotation | None = None, cache: None = None) -> Tensor:  # noqa: ARG002
        """Map (batch, length, width) to the same."""
        layer = self.relative
        q, k, v = layer.project_in(x).unflatten(-1, (3, layer.heads, layer.head_width)).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            q, k = rotation.turn(q), rotation.turn(k)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return layer.project_out(out.transpose(1, 2).flatten(2))


def random_batch(setting: Setting) -> dict[str, Tensor]:
    """A training batch of random ids at music's pace; every row hears its melody and its style."""
    torch.manual_seed(1)
    c, rows, tokens = setting.config, setting.batch_size, setting.tokens
    keys = (torch.rand(rows, tokens, c.held_keys) < 0.05) * torch.randint(1, 900, (rows, tokens, c.held_keys))
    batch = {
        "ids": torch.randint(2, c.vocabulary_size, (rows, tokens)),
        "clock": torch.arange(tokens).mul(STEPS_A_TOKEN).long().expand(rows, -1),
        "held": keys,
        "places": torch.randint(c.style_habits + 1, (rows, tokens, c.vocabulary_size), dtype=torch.int16),
        "everywhere": torch.randint(c.style_habits + 1, (rows, c.vocabulary_size), dtype=torch.int16),
        "recalled": torch.randint(c.motifs + 1, (rows, VOICES, tokens, c.vocabulary_size), dtype=torch.int16),
        "possible": torch.ones(rows, tokens, c.vocabulary_size, dtype=torch.bool),
        "melody": torch.randint(2, c.melody_vocabulary_size, (rows, setting.frames)),
        "style": torch.randint(2, c.vocabulary_size, (rows, tokens)),
        "style_clock": torch.arange(tokens).mul(STEPS_A_TOKEN).long().expand(rows, -1),
        "style_habits": torch.randint(9, (rows, 1, c.style_habits)) * torch.tensor([[[1.0], [4.0]]]),
        "use_melody": torch.ones(rows, dtype=torch.bool),
        "use_style": torch.ones(rows, dtype=torch.bool),
    }
    return {name: values.to(setting.device) for name, values in batch.items()}


def training_step(setting: Setting, model: nn.Module, optimizers: list[Optimizer], loss: Callable[[], Tensor]) -> Step:
    """Forward, backward, clipping and the optimizers, with the loss that `loss` gives."""

    def step() -> Tensor:
        with setting.autocast():
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return value.detach()

    return step


def mean_nll(logits: Tensor, ids: Tensor) -> Tensor:
    total, count = nll_sum(logits, ids)
    return total / count


def whole_step(setting: Setting, *, relative: bool = True) -> Step:
    """A step of the model that the config describes; without encoders if its conditions are "none"."""
    torch.manual_seed(0)
    model, batch = Autoencoder(setting.config), random_batch(setting)
    if not relative:
        for layer in model.decoder.layers:
            plain = PlainAttention(layer.attention)
            layer.attention = plain
            plain.relative.table = None
    model.to(setting.device).train()
    optimizers = make_optimizers(model, TrainingOptions())
    return training_step(setting, model, optimizers, lambda: mean_nll(model(batch)[0], batch["ids"]))


def decoder_step(setting: Setting) -> Step:
    """A step of the decoder and its inputs, with a memory that stands."""
    torch.manual_seed(0)
    model, batch = Autoencoder(setting.config).to(setting.device).train(), random_batch(setting)
    style = torch.randn(setting.batch_size, model.style_width, device=setting.device)
    with torch.no_grad():
        condition = model.condition(batch["melody"], style, batch["use_melody"], batch["use_style"])
    for encoder in (model.melody_encoder, model.style_encoder, model.style_head, model.habits):
        encoder.requires_grad_(False)
    for vector in (model.no_melody, model.no_style):
        vector.requires_grad_(False)

    def loss() -> Tensor:
        return mean_nll(model.decode_targets(batch, condition), batch["ids"])

    return training_step(setting, model, make_optimizers(model, TrainingOptions()), loss)


def hugging_face_step(setting: Setting) -> Step | None:
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        return None
    c = setting.config
    gpt2 = GPT2Config(
        vocab_size=c.vocabulary_size, n_positions=setting.tokens, n_embd=c.width, n_layer=c.decoder_layers,
        n_head=c.heads, n_inner=c.feedforward_width, resid_pdrop=c.dropout, embd_pdrop=c.dropout, attn_pdrop=0,
        use_cache=False, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = GPT2LMHeadModel(gpt2).to(setting.device).train()
    matrices = [p for p in model.transformer.h.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    optimizers = optimizers_of(matrices, others, TrainingOptions())
    ids = random_batch(setting)["ids"]
    shifted = F.pad(ids[:, :-1], (1, 0))
    return training_step(setting, model, optimizers, lambda: mean_nll(model(input_ids=shifted).logits, ids))


def matrix_product(setting: Setting) -> tuple[Step, float]:
    """One large product in the run's precision, and its FLOPs."""
    size = 8192 if setting.device == "cuda" else 2048
    dtype = torch.bfloat16 if setting.precision.startswith("bf16") else torch.float32
    a, b = (torch.randn(size, size, device=setting.device).to(dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * size**3


def attention_step(setting: Setting, *, relative: bool) -> Step:
    """Forward and backward of one self-attention of the decoder."""
    c = setting.config
    torch.manual_seed(0)
    layer: nn.Module = RelativeAttention(c.width, c.heads, c.head_width, c.max_distance, c.window)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, 0.0, 0.05)
    layer = (layer if relative else PlainAttention(layer)).to(setting.device)
    x = torch.randn(setting.batch_size, setting.tokens, c.width, device=setting.device, requires_grad=True)
    rotation = Rotation.of(random_batch(setting)["clock"], c.head_width // 2)

    def step() -> None:
        with setting.autocast():
            out = layer(x, rotation)
        out.float().square().mean().backward()

    return step


def linear_flops(module: nn.Module) -> int:
    """FLOPs of one position through all linear maps of a module, forward."""
    return sum(2 * m.in_features * m.out_features for m in module.modules() if isinstance(m, nn.Linear))


def seen_keys(tokens: int, window: int) -> float:
    """Mean number of keys that a position sees, itself among them."""
    return sum(min(i + 1, window) for i in range(tokens)) / tokens


def step_flops(setting: Setting, part: str) -> float:
    """FLOPs that the sizes ask of a training step: forward, and twice that backward."""
    c, tokens, frames = setting.config, setting.tokens, setting.frames
    conditions = "both" if part in ("step", "decoder") else "none"
    model = Autoencoder(replace(c, conditions=conditions))
    across = c.heads * c.head_width
    products = 2 if part in ("no_relative", "hugging_face") else 3  # with keys, with the relative table, with values
    keys = seen_keys(tokens, tokens if products == 2 else c.window)
    relative = 2 * across * seen_keys(tokens, min(tokens, c.max_distance)) if products == 3 else 0
    flops = tokens * (linear_flops(model.decoder) + c.decoder_layers * (4 * across * keys + relative))
    if part != "hugging_face" and c.held_keys:
        flops += tokens * linear_flops(model.held)
    if conditions == "both":
        heard = min(frames, 2 * (c.memory_window_steps or 10**9) // c.steps_per_frame + 1)
        flops += c.decoder_layers * 4 * across * heard * tokens
        flops += (frames - tokens) * sum(linear_flops(layer.cross.project_memory) for layer in model.decoder.layers)
    if part == "step":
        flops += encoder_flops(c, model.style_encoder, tokens)
        flops += encoder_flops(c, model.melody_encoder, frames)
    return 3.0 * setting.batch_size * flops


def encoder_flops(c: ModelConfig, encoder: nn.Module, length: int) -> float:
    """Forward, one row: linear maps, and three attention products of every position with every other."""
    layers = sum(isinstance(m, RelativeAttention) for m in encoder.modules())
    near = min(length, 2 * c.encoder_max_distance - 1)
    return length * (linear_flops(encoder) + layers * 2 * c.heads * c.head_width * (2 * length + near))


def parts_of(setting: Setting) -> dict[str, Callable[[], Step | None]]:
    alone = replace(setting, config=replace(setting.config, conditions="none"))
    return {
        "step": partial(whole_step, setting),
        "decoder": partial(decoder_step, setting),
        "decoder_alone": partial(whole_step, alone),
        "no_relative": partial(whole_step, alone, relative=False),
        "hugging_face": partial(hugging_face_step, setting),
    }


def steps_of(setting: Setting) -> dict[str, Step]:
    """The parts that can be made here; what cannot is said, by this process and not by those that measure memory."""
    made = {part: make() for part, make in parts_of(setting).items()}
    if made[HUGGING_FACE] is None:
        say_missing("transformers")
    return {part: step for part, step in made.items() if step is not None}


def timed(step: Step, device: str) -> tuple[float, float]:
    """Wall and CPU seconds of a step that has really ended."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def in_turns(steps: dict[str, Step], device: str, turns: int) -> dict[str, np.ndarray]:
    """Seconds of every step in every turn, (turns, 2): wall and CPU. Two turns before them don't count."""
    rows = [{name: timed(step, device) for name, step in steps.items()} for _ in range(turns + 2)][2:]
    return {name: np.array([row[name] for row in rows]) for name in steps}


def peak_megabytes(setting: Setting, part: str) -> float | None:
    """Largest memory of two steps of a part: allocated on the GPU, or resident in this process."""
    step = parts_of(setting)[part]()
    if step is None:
        return None
    if setting.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step()
    step()
    if setting.device == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    unit = 1e3 if platform.system() == "Linux" else 1e6  # kilobytes there, bytes on a Mac
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def memory_of(setting: Setting) -> dict[str, float | None]:
    """Peak memory of every part. On the CPU each has a process of its own, forked before torch has begun to work."""
    if setting.device == "cuda":
        return {part: peak_megabytes(setting, part) for part in parts_of(setting)}
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        return {part: pool.apply(peak_megabytes, (setting, part)) for part in parts_of(setting)}


def speeds(seconds: dict[str, np.ndarray], parts: Iterable[str], other: str, clock: int) -> dict[str, float]:
    """How many times as fast as `other` each part is: median over the turns."""
    return {
        part: round(float(np.median(seconds[other][:, clock] / seconds[part][:, clock])), 3)
        for part in parts
        if other in seconds and part != other
    }


def measure(setting: Setting, turns: int, threads: int) -> dict[str, Any]:
    """All numbers of one device."""
    memory = memory_of(setting)
    torch.set_num_threads(threads)
    steps = steps_of(setting)
    product, product_flops = matrix_product(setting)
    attention = {kind: attention_step(setting, relative=kind == "relative") for kind in ("relative", "fused")}
    seconds = in_turns({**steps, **attention, "product": product}, setting.device, turns)
    clock = CPU_CLOCK if setting.device == "cpu" else WALL_CLOCK
    rate = product_flops / float(np.median(seconds["product"][:, clock]))
    tokens = setting.batch_size * setting.tokens
    parts = {}
    for part in steps:
        median = np.median(seconds[part], axis=0)
        parts[part] = {
            "tokens_per_second": round(tokens / median[WALL_CLOCK], 1),
            **({"per_cpu_second": round(tokens / median[CPU_CLOCK], 1)} if clock == CPU_CLOCK else {}),
            "megaflops_per_token": round(step_flops(setting, part) / tokens / 1e6, 2),
            "matrix_share": round(step_flops(setting, part) / median[clock] / rate, 3),
            "peak_megabytes": memory[part],
        }
    return {
        "precision": setting.precision,
        "matrix_gigaflops_per_second": round(rate / 1e9, 1),
        "parts": parts,
        "attention_ms": {kind: round(1e3 * float(np.median(seconds[kind][:, clock])), 2) for kind in attention},
        "speed_over_hugging_face": speeds(
            seconds, [part for part in steps if part != "no_relative"], HUGGING_FACE, clock
        ),
        "speed_over_no_relative": speeds(seconds, ["decoder_alone"], "no_relative", clock),
    }


def setting_on(device: str, arguments: argparse.Namespace) -> Setting:
    config = PRESETS[arguments.preset]
    precision = choose_precision(device) if arguments.precision == "auto" else arguments.precision
    return Setting(config, arguments.batch_size, arguments.tokens, device, precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=["tiny", "base"], default="tiny")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--precision", choices=["auto", "32-true", "bf16-mixed"], default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=15, help="turns that count")
    arguments = parser.parse_args()
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    result = {
        "machine": {"processor": platform.processor() or platform.machine(), "torch": torch.__version__},
        **vars(arguments),
        **{device: measure(setting_on(device, arguments), arguments.steps, arguments.threads) for device in devices},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run(main)
