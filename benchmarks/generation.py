"""Generation: tokens a second beside Hugging Face's GPT-2 and the naive way, and how near the machine's limit.

    python benchmarks/generation.py [--preset tiny | --checkpoint DIR] [--tokens 256 1024 2048] [--batches 1 4 8]
        [--threads 1 2] [--quick]

Prints one JSON object. Every entry generates from an empty cache up to so many tokens a row, with ids and clock fixed
beforehand, so that only the decoder's step is timed. "engine" is all that `generate` does for a token, sampling and
grammar included, with the step that it chooses on this machine, without guidance, which is one row a variation;
"engine_guided" the same at the default strengths, three rows, and "engine_ensemble" that in three keys, nine. Weights
are random, of the sizes of a preset or a checkpoint: they do not change the work.
"tokens_per_second" counts the tokens of all rows by the wall clock, "per_cpu_second" by the process's CPU time, which
neighbours on a busy machine disturb less; ratios of one thread are taken from the latter. "ms_at" is the median wall
time of a step around that token.

"hugging_face": GPT2LMHeadModel of the same width, heads, depth and feed-forward, with its key-value cache. It has no
memory to attend to and no relative keys, so it does less than our decoder. Needs `pip install '.[bench]'`; left out
without it, which is said. "naive": `model.decode` of the whole sequence for each token, its cost measured at nine
lengths. "reference": `model.decode` with its cache.
"limit": a token needs every weight of the decoder once. Bytes of the weights (relative tables included, caches not)
over the rate at which one core reads a buffer of that size again and again. Such a buffer may lie in a CPU cache; that
of main memory is beside it. "with_caches" adds what attention reads besides at the last length.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mistakes import run
from peers import say_missing
from scipy.integrate import trapezoid

from musicstyle.generation.compiled_stepper import CompiledStepper
from musicstyle.generation.engine import sample_ids
from musicstyle.generation.options import GenerationOptions
from musicstyle.generation.packing import pack_weights
from musicstyle.generation.rules import Grammar
from musicstyle.generation.stepper import ReferenceStepper, Stepper, make_stepper
from musicstyle.model.autoencoder import Autoencoder, Condition
from musicstyle.model.checkpoint import read_config
from musicstyle.model.config import PRESETS, ModelConfig

MUSIC_TOKENS_A_SECOND = 42.0  # of MAESTRO's performances
NEAR = 40  # steps around a token of which the median is given

STEPS, ENGINES = ("float32", "int8"), ("engine", "engine_guided", "engine_ensemble")
UNGUIDED = GenerationOptions(melody_strength=1, style_strength=1)


def random_model(config: ModelConfig) -> Autoencoder:
    torch.manual_seed(0)
    model = Autoencoder(config).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, 0.0, 0.02)
    return model


@torch.inference_mode()
def condition_of(model: Autoencoder, rows: int, frames: int = 800) -> Condition:
    both = torch.ones(rows, dtype=torch.bool)
    melody = torch.randint(2, model.config.melody_vocabulary_size, (1, frames)).expand(rows, -1)
    return model.condition(melody, torch.randn(1, model.style_width).expand(rows, -1), both, both)


def timed_run(step: Callable[[int], Any], tokens: int, rows: int, marks: Iterable[int]) -> dict[str, Any]:
    """Run a step for every position; rates up to each mark, and the median step around token 100 and each mark."""
    wall, cpu = np.empty(tokens), np.empty(tokens)
    for position in range(tokens):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        step(position)
        wall[position], cpu[position] = time.perf_counter() - begin, time.process_time() - begin_cpu
    marks = [mark for mark in marks if mark <= tokens]
    around = {mark: slice(max(0, mark - NEAR), mark) for mark in sorted({100, *marks}) if mark <= tokens}
    return {
        "tokens_per_second": {mark: round(rows * mark / wall[:mark].sum(), 1) for mark in marks},
        "per_cpu_second": {mark: round(rows * mark / cpu[:mark].sum(), 1) for mark in marks},
        "ms_at": {mark: round(1e3 * float(np.median(wall[near])), 4) for mark, near in around.items()},
        "cpu_ms_at": {mark: round(1e3 * float(np.mean(cpu[near])), 4) for mark, near in around.items()},
    }


def of_stepper(
    stepper: CompiledStepper, config: ModelConfig, tokens: int, rows: int, marks: Iterable[int]
) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    ids = rng.integers(2, config.vocabulary_size, (tokens, rows))
    clock = rng.integers(0, 7, (tokens, rows)).cumsum(axis=0)
    held = np.maximum(rng.integers(-900, 99, (rows, config.held_keys)), 0)
    stepper.step(ids[0], clock[0], held)  # compiled and touched
    stepper.position = 0
    return timed_run(lambda i: stepper.step(ids[i], clock[i], held), tokens, rows, marks)


def of_hugging_face(config: ModelConfig, tokens: int, rows: int, marks: Iterable[int]) -> dict[str, Any] | None:
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        say_missing("transformers")
        return None
    gpt2 = GPT2Config(
        vocab_size=config.vocabulary_size, n_positions=tokens, n_embd=config.width, n_layer=config.decoder_layers,
        n_head=config.heads, n_inner=config.feedforward_width, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(gpt2).eval()
    ids = torch.randint(2, config.vocabulary_size, (tokens, rows, 1))
    past: list[Any] = [None]

    @torch.inference_mode()
    def step(position: int) -> None:
        out = model(input_ids=ids[position], past_key_values=past[0], use_cache=True)
        past[0] = out.past_key_values

    return timed_run(step, tokens, rows, marks)


@torch.inference_mode()
def naive(model: Autoencoder, marks: list[int]) -> dict[str, Any]:
    """Seconds up to a mark: the integral of a recomputation's cost over the length, by trapezoids."""
    condition, seconds = condition_of(model, 1), {}
    lengths = np.unique(np.linspace(1, max(marks), 9).astype(int))
    for length in lengths.tolist():
        ids, clock = torch.full((1, length), 9), torch.arange(length)[None] * 3
        held = torch.zeros(1, length, model.config.held_keys, dtype=torch.long)
        taken = []
        for _ in range(2):
            begin = time.process_time()
            model.decode(ids, clock, held, condition)
            taken.append(time.process_time() - begin)
        seconds[length] = min(taken)
    rates = {}
    for mark in marks:
        inside = np.append(lengths[lengths < mark], mark)
        rates[mark] = round(mark / float(trapezoid(np.interp(inside, lengths, list(seconds.values())), inside)), 2)
    return {"per_cpu_second": rates}


def read_rate(size: int, threads: int = 1) -> float:
    """Bytes a second at which `threads` cores together read a buffer of so many bytes again and again."""
    import numba

    @numba.njit(nogil=True, fastmath=True)
    def total(numbers: np.ndarray) -> float:
        result = np.float32(0)
        for i in range(numbers.shape[0]):
            result += numbers[i]
        return result

    parts = np.array_split(np.ones(size // 4, np.float32), threads)
    times = max(1, int(4e8 / size))  # in a row, so that handing over does not count
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(12):
            begin = time.perf_counter()
            list(pool.map(lambda part: [total(part) for _ in range(times)], parts))
            best = min(best, time.perf_counter() - begin)
    return size * times / best


def bytes_in(packed: Any) -> int:
    return packed.nbytes if isinstance(packed, np.ndarray) else sum(bytes_in(part) for part in packed)


def limit(model: Autoencoder, tokens: int) -> dict[str, Any]:
    c, result = model.config, {}
    for kind, int8 in (("float32", False), ("int8", True)):
        weights = bytes_in(pack_weights(model, int8))
        seen = min(tokens, c.window) + min(800, 2 * (c.memory_window_steps or 8000) // c.steps_per_frame + 1)
        caches = 2 * c.decoder_layers * seen * c.heads * c.head_width * (1 if int8 else 4)
        rate, memory_rate = read_rate(weights), read_rate(400_000_000)
        result[kind] = {
            "weight_bytes": weights,
            "read_gigabytes_per_second": round(rate / 1e9, 1),
            "main_memory_gigabytes_per_second": round(memory_rate / 1e9, 1),
            "tokens_per_second": round(rate / weights),
            "with_caches": round(rate / (weights + caches)),
            "tokens_per_second_of_main_memory": round(memory_rate / weights),
        }
    return result


def of_engine(
    model: Autoencoder, variations: int, tokens: int, marks: Iterable[int], options: GenerationOptions
) -> dict[str, Any]:
    """Sampling and grammar included, with the stepper that `make_stepper` chooses."""
    grammars = [Grammar(10**7, 10**7 + 1) for _ in range(variations)]
    melody, style = torch.randint(2, 92, (800,)).numpy(), torch.randn(1, model.style_width)
    ids = sample_ids(model, melody, style, grammars, list(range(variations)), options)
    for _ in range(3):
        next(ids)
    return timed_run(lambda _: next(ids), tokens, variations, marks)


def sizes(arguments: argparse.Namespace) -> ModelConfig:
    if arguments.checkpoint is None:
        return PRESETS[arguments.preset]
    return ModelConfig.from_dict(read_config(arguments.checkpoint)["model"])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    config = sizes(arguments)
    model, marks, tokens = random_model(config), arguments.tokens, max(arguments.tokens)
    table: dict[str, Any] = {kind: {} for kind in (*STEPS, *ENGINES, "reference", "hugging_face")}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for rows in arguments.batches:
            place, condition = f"batch {rows}, threads {threads}", condition_of(model, rows)
            for kind in STEPS:
                stepper = CompiledStepper(model, condition, np.arange(rows), int8=kind == "int8", threads=threads)
                table[kind][place] = of_stepper(stepper, config, tokens, rows, marks)
            slow = ReferenceStepper(model, condition, np.arange(rows))
            fixed = np.full(rows, 9)
            up = np.zeros((rows, config.held_keys), np.int64)
            some = min(tokens, arguments.reference_tokens)
            table["reference"][place] = timed_run(
                lambda i, slow=slow, fixed=fixed, up=up: slow.step(fixed, fixed * i, up), some, rows, [some]
            )
            table["hugging_face"][place] = of_hugging_face(config, tokens, rows, marks)
            table["engine"][place] = of_engine(model, rows, tokens, marks, UNGUIDED)
            table["engine_guided"][place] = of_engine(model, rows, tokens, marks, GenerationOptions())
            table["engine_ensemble"][place] = of_engine(model, rows, tokens, marks, GenerationOptions(ensemble=3))
    torch.set_num_threads(1)
    result = {
        "machine": {"processor": platform.processor() or platform.machine(), "torch": torch.__version__},
        "model": config.to_dict(),
        "limit": limit(model, tokens),
        "naive": naive(model, marks),
        **table,
        "chosen": describe(make_stepper(model, condition_of(model, 4), np.arange(4))),
    }
    result["goals"] = goals(result, tokens)
    return result


def describe(stepper: Stepper) -> str:
    kind = type(stepper).__name__
    return f"{kind} int8={stepper.int8} threads={stepper.threads}" if isinstance(stepper, CompiledStepper) else kind


def goals(result: dict[str, Any], tokens: int) -> dict[str, Any]:
    """The project's goals, from CPU time of one thread."""
    place = "batch 1, threads 1"
    if place not in result["float32"]:
        return {}
    exact, int8, theirs = (result[kind][place] for kind in ("float32", "int8", "hugging_face"))
    rate = exact["per_cpu_second"][tokens]
    four = {k: result[k].get("batch 4, threads 1") for k in ("float32", "int8", "engine", "engine_guided")}
    return {
        "float32_over_hugging_face (3)": theirs and round(rate / theirs["per_cpu_second"][tokens], 2),
        "float32_share_of_limit (0.6)": round(rate / result["limit"]["float32"]["tokens_per_second"], 3),
        "float32_share_of_limit_with_caches": round(rate / result["limit"]["float32"]["with_caches"], 3),
        "int8_over_float32 (1.8)": round(int8["per_cpu_second"][tokens] / rate, 2),
        "four_rows_over_one (1.6)": {
            kind: round(run["cpu_ms_at"][tokens] / result[kind][place]["cpu_ms_at"][tokens], 2)
            for kind, run in four.items()
            if run
        },
        "last_token_over_token_100 (1)": {
            kind: round(run["cpu_ms_at"][tokens] / run["cpu_ms_at"][100], 2)
            for kind, run in (("float32", exact), ("int8", int8), ("engine", result["engine"][place]))
            if tokens >= 100
        },
        "times_music_pace (3)": round(
            result["engine_guided"][place]["per_cpu_second"][tokens] / MUSIC_TOKENS_A_SECOND, 1
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    whose.add_argument("--checkpoint", type=Path, help="take the sizes of this one")
    parser.add_argument("--tokens", type=int, nargs="+", default=[256, 1024, 2048])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--reference-tokens", type=int, default=256, help="how far the reference is run")
    parser.add_argument("--quick", action="store_true", help="256 tokens, batches 1 and 4, one thread: seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.tokens, arguments.batches, arguments.threads, arguments.reference_tokens = [256], [1, 4], [1], 64
    print(json.dumps(measure(arguments), indent=2))


if __name__ == "__main__":
    run(main)
