"""8-bit routes: one token's matrix products by ONNX Runtime, torchao, torch's own quantisation, and the compiled step.

    pip install '.[bench]'
    python benchmarks/quantisation.py [--preset tiny] [--tokens 400]

Only the products are compared, one row, one thread: each layer's inward projection (query, key, value, the memory's
query and the widening in one), the two outward ones, the narrowing, and the head. Attention, norms and caches, which
the routes do not quantise, are left out for all. Every route gets the same weights and is called from Python once a
token; rounds take turns. Prints JSON: CPU microseconds a token (the median of the rounds), how many times those of the
compiled step in 8 bits they are (the median over the rounds; below 1 is faster than ours), and how far the outputs are
from float32's, as a share of their size. A route whose package is missing is left out, which is said.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mistakes import run
from peers import say_missing
from torch import Tensor, nn

from musicstyle.compiling import compiled
from musicstyle.generation.kernel import add, project
from musicstyle.generation.packing import panels
from musicstyle.model.config import PRESETS, ModelConfig

Route = Callable[[np.ndarray], np.ndarray]
OURS = "compiled step, int8"


class Products(nn.Module):
    """The decoder's matrices, and enough between them that each must wait for the last."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.attention = attention = c.heads * c.head_width
        sizes = {
            "inward": (c.width, 4 * attention + c.feedforward_width),
            "own": (attention, c.width),
            "cross": (attention, c.width),
            "down": (c.feedforward_width, c.width),
        }
        self.layers = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(*size) for name, size in sizes.items()}) for _ in range(c.decoder_layers)
        )
        self.head = nn.Linear(c.width, c.vocabulary_size)

    def forward(self, x: Tensor) -> Tensor:
        """(1, width) to (1, vocabulary)."""
        a = self.attention
        for layer in self.layers:
            wide = layer["inward"](x)
            x = x + layer["own"](wide[:, :a]) + layer["cross"](wide[:, 3 * a : 4 * a]) + layer["down"](wide[:, 4 * a :])
        return self.head(x)


def by_torch(model: nn.Module) -> Route:
    def route(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return route


def torch_routes(make: Callable[[], Products]) -> dict[str, Route]:
    routes = {"torch float32": by_torch(make())}
    quantised = torch.ao.quantization.quantize_dynamic(make(), {nn.Linear}, torch.qint8)
    routes["torch quantize_dynamic, int8"] = by_torch(quantised)
    return routes


def torchao_routes(make: Callable[[], Products]) -> dict[str, Route]:
    try:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_
    except ImportError:
        say_missing("torchao")
        return {}
    routes = {}
    for name, config in (("weights only", Int8WeightOnlyConfig()), ("both", Int8DynamicActivationInt8WeightConfig())):
        quantize_(model := make(), config)
        routes[f"torchao int8, {name}"] = by_torch(model)
    return routes


def onnx_routes(model: Products, c: ModelConfig) -> dict[str, Route]:
    try:
        import onnxruntime
        from onnxruntime.quantization import quantize_dynamic
    except ImportError:
        say_missing("onnxruntime with onnx")
        return {}
    plain, quantised = as_onnx(model, c), io.BytesIO()
    quantize_dynamic(plain, quantised, per_channel=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1

    def route(network: bytes) -> Route:
        session = onnxruntime.InferenceSession(network, options)
        return lambda x: session.run(None, {"x": x})[0]

    return {
        "onnxruntime float32": route(plain.SerializeToString()),
        "onnxruntime dynamic int8": route(quantised.getvalue()),
    }


def as_onnx(model: Products, c: ModelConfig) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, a = [], [], model.attention

    def node(kind: str, inputs: list[str], out: str) -> str:
        nodes.append(helper.make_node(kind, inputs, [out]))
        return out

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def linear(x: str, layer: nn.Linear, name: str) -> str:
        weight = constant(f"{name}.w", np.ascontiguousarray(layer.weight.detach().numpy().T))
        bias = constant(f"{name}.b", layer.bias.detach().numpy())
        return node("Add", [node("MatMul", [x, weight], f"{name}.product"), bias], name)

    def part(x: str, first: int, last: int, name: str) -> str:
        ends = [constant(f"{name}.{i}", np.array([value])) for i, value in enumerate((first, last, 1))]
        return node("Slice", [x, *ends], name)

    x, every = "x", c.feedforward_width + 4 * a
    for i, layer in enumerate(model.layers):
        wide = linear(x, layer["inward"], f"{i}.inward")
        for name, first, last in (("own", 0, a), ("cross", 3 * a, 4 * a), ("down", 4 * a, every)):
            piece = part(wide, first, last, f"{i}.{name}.in")
            x = node("Add", [x, linear(piece, layer[name], f"{i}.{name}")], f"{i}.{name}.sum")
    out = linear(x, model.head, "y")
    floats = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("x", c.width), (out, c.vocabulary_size))
    ]
    graph = helper.make_graph(nodes, "products", floats[:1], floats[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def own_route(model: Products, c: ModelConfig, int8: bool) -> Route:
    def packed(linear: nn.Linear) -> tuple[np.ndarray, ...]:
        return *panels(linear.weight.detach().numpy(), int8), linear.bias.detach().numpy()

    names = ("inward", "own", "cross", "down")
    stack = tuple(tuple(packed(layer[name]) for name in names) for layer in model.layers)
    head, a = packed(model.head), model.attention
    wide = np.zeros((1, 4 * a + c.feedforward_width), np.float32)
    longest = -(-max(wide.shape[1], c.vocabulary_size) // 64) * 64
    operands = np.zeros((1, longest), np.int16 if int8 else np.float32)
    work = (operands, np.zeros((1, longest), np.int32 if int8 else np.float32), np.zeros(1, np.float32))
    total, out = np.zeros((1, c.width), np.float32), np.zeros((1, c.vocabulary_size), np.float32)

    def route(x: np.ndarray) -> np.ndarray:
        products(x, stack, head, a, wide, work, total, out)
        return out.copy()

    return route


@compiled
def products(
    x: np.ndarray, stack: Any, head: Any, a: int, wide: np.ndarray, work: Any, total: np.ndarray, out: np.ndarray
) -> None:
    total[:] = 0
    add(total[0], x[0])
    for inward, own, cross, down in stack:
        project(inward, total, work, wide, False)
        project(own, wide[:, :a], work, total, True)
        project(cross, wide[:, 3 * a : 4 * a], work, total, True)
        project(down, wide[:, 4 * a :], work, total, True)
    project(head, total, work, out, False)


def measure(c: ModelConfig, tokens: int, rounds: int = 9) -> dict[str, Any]:
    def make() -> Products:
        torch.manual_seed(0)
        return Products(c).eval()

    model = make()
    routes = {**torch_routes(make), **torchao_routes(make), **onnx_routes(model, c)}
    routes |= {f"compiled step, {kind}": own_route(model, c, kind == "int8") for kind in ("float32", "int8")}
    inputs = np.random.default_rng(1).normal(0, 1, (tokens, 1, c.width)).astype(np.float32)
    expected = np.stack([routes["torch float32"](x) for x in inputs])
    errors = {}
    for name, route in routes.items():
        apart = np.stack([route(x) for x in inputs]) - expected
        errors[name] = round(float(np.sqrt((apart**2).mean() / (expected**2).mean())), 5)
    times = summary(in_turns(routes, inputs, rounds))
    return {name: {**times[name], "error": errors[name]} for name in routes}


def in_turns(routes: dict[str, Route], inputs: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """CPU microseconds a token of every route in every round."""
    taken: dict[str, list[float]] = {name: [] for name in routes}
    for _ in range(rounds):
        for name, route in routes.items():
            begin = time.process_time()
            for x in inputs:
                route(x)
            taken[name].append(1e6 * (time.process_time() - begin) / len(inputs))
    return taken


def summary(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Microseconds of every route, and as a multiple of ours in the same round: medians."""
    ours = np.array(taken[OURS])
    return {
        name: {
            "cpu_microseconds_a_token": round(float(np.median(times)), 1),
            "times_compiled_int8": round(float(np.median(np.array(times) / ours)), 2),
        }
        for name, times in taken.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--tokens", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch's own quantisation is going, and says so
    result = measure(PRESETS[arguments.preset], arguments.tokens)
    print(json.dumps({"preset": arguments.preset, "torch": torch.__version__, **result}, indent=2))


if __name__ == "__main__":
    run(main)
