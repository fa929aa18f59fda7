"""The inner loop of the step: some rows times a panel of weights, sums in registers; float32, or int8 times int16.

numba's own loops either add up along a row, which ends in a slow sum across the register, or pass every sum through
memory. So this one loop is written as LLVM vectors: they become whatever registers the machine has.
A panel holds 64 columns side by side: (depth, 64) float32. In int8 two neighbours in depth lie together,
(depth / 2, 64, 2), because x86 multiplies and adds 16-bit numbers in such pairs; sums are int32 and exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from musicstyle.compiling import compiled

_intrinsic: Any = intrinsic  # its types say less than it takes

LANES = 16  # numbers in one vector of the code below
PANEL = 64  # columns of a panel
_I8, _I16, _I32, _I64, _F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
# Of what numba compiles for, which NUMBA_CPU_NAME and the like make less than what this processor has.
_FEATURES = (get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES).split(",")
HAS_PAIRS = "+avx2" in _FEATURES
HAS_32_WIDE_REGISTERS = "+avx512f" in _FEATURES


def _vector(element: ir.Type, lanes: int) -> ir.VectorType:
    return ir.VectorType(element, lanes)


def _shuffle(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(_vector(_I32, len(order)), [ir.Constant(_I32, i) for i in order]))


def _pair_sums(builder: Any, a: Any, b: Any) -> Any:
    """a[2i] b[2i] + a[2i + 1] b[2i + 1] of two <32 x i16>, as <16 x i32>."""
    if not HAS_PAIRS:
        even, odd = ([_shuffle(builder, v, v, list(range(o, 2 * LANES, 2))) for v in (a, b)] for o in (0, 1))
        wide = [[builder.sext(v, _vector(_I32, LANES)) for v in pair] for pair in (even, odd)]
        return builder.add(builder.mul(*wide[0]), builder.mul(*wide[1]))
    name, half = "llvm.x86.avx2.pmadd.wd", _vector(_I16, LANES)
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(_vector(_I32, LANES // 2), [half, half]), name)
    halves = [
        builder.call(function, [_shuffle(builder, v, v, list(range(o, o + LANES))) for v in (a, b)]) for o in (0, LANES)
    ]
    return _shuffle(builder, halves[0], halves[1], list(range(LANES)))


def _at(builder: Any, address: Any, offset: int, kind: ir.Type) -> Any:
    return builder.inttoptr(builder.add(address, ir.Constant(_I64, offset)), kind.as_pointer())


def _weights(builder: Any, address: Any, number: int, whole: bool) -> Any:
    """The number-th vector at an address; int8 widened to int16."""
    kind = _vector(_I8, 2 * LANES) if whole else _vector(_F32, LANES)
    bytes_each = 2 * LANES if whole else 4 * LANES
    loaded = builder.load(_at(builder, address, number * bytes_each, kind), align=1 if whole else 4)
    return builder.sext(loaded, _vector(_I16, 2 * LANES)) if whole else loaded


def _everywhere(builder: Any, address: Any, whole: bool) -> Any:
    """The float32, or the pair of int16, at an address, in every lane."""
    kind = _I32 if whole else _F32
    number = builder.load(_at(builder, address, 0, kind), align=4)
    one = builder.insert_element(ir.Constant(_vector(kind, LANES), ir.Undefined), number, ir.Constant(_I32, 0))
    all_lanes = _shuffle(builder, one, one, [0] * LANES)
    return builder.bitcast(all_lanes, _vector(_I16, 2 * LANES)) if whole else all_lanes


def _emit(builder: Any, addresses: tuple[Any, ...], vectors: int, rows: int, whole: bool) -> None:
    w, depth, w_step, x, x_step, y, y_step = addresses
    kind = _vector(_I32 if whole else _F32, LANES)
    before, loop = builder.block, builder.append_basic_block("depth")
    done = builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    i = builder.phi(_I64)
    sums = [[builder.phi(kind) for _ in range(vectors)] for _ in range(rows)]
    here = builder.add(w, builder.mul(i, w_step))
    weights = [_weights(builder, here, v, whole) for v in range(vectors)]
    ends = []
    for r in range(rows):
        row = builder.add(x, builder.mul(x_step, ir.Constant(_I64, r)))
        number = _everywhere(builder, builder.add(row, builder.mul(i, ir.Constant(_I64, 4))), whole)
        for v in range(vectors):
            if whole:
                end = builder.add(sums[r][v], _pair_sums(builder, weights[v], number))
            else:
                end = builder.fadd(sums[r][v], builder.fmul(weights[v], number, flags=["contract"]), flags=["contract"])
            ends.append(end)
            sums[r][v].add_incoming(ir.Constant(kind, None), before)
            sums[r][v].add_incoming(end, loop)
    following = builder.add(i, ir.Constant(_I64, 1))
    i.add_incoming(ir.Constant(_I64, 0), before)
    i.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)
    builder.position_at_end(done)
    for number, end in enumerate(ends):
        row = builder.add(y, builder.mul(y_step, ir.Constant(_I64, number // vectors)))
        builder.store(end, _at(builder, row, number % vectors * 4 * LANES, kind), align=4)


@_intrinsic(prefer_literal=True)
def block(
    _context: Any, panel: Any, _w: Any, _depth: Any, _w_step: Any, _x: Any, _x_step: Any, _y: Any, _y_step: Any,
    vectors: Any, rows: Any,
) -> Any:  # fmt: skip
    """Rows of x @ panel into rows of y, for `rows` rows and 16 * `vectors` columns (both literal), over depth >= 1.

    w, x, y are addresses and the steps bytes; `panel` only tells float32 from int8.
    """
    if not isinstance(vectors, types.IntegerLiteral) or not isinstance(rows, types.IntegerLiteral):
        return None
    whole = panel.dtype == types.int8
    signature = types.void(panel, *[types.intp] * 7, vectors, rows)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        _emit(builder, arguments[1:8], vectors.literal_value, rows.literal_value, whole)
        return context.get_dummy_value()

    return signature, generate


def _multiply(panels: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Write x @ panels into y: panels (n, depth, 64) or (n, depth / 2, 128), x (R, depth), y (R, 64 * n)."""
    rows, depth = x.shape[0], panels.shape[1]
    step, x_step, y_step = panels.shape[2] * panels.itemsize, x.shape[1] * x.itemsize, y.shape[1] * 4
    half = step // 2
    for p in range(panels.shape[0]):
        w, to, r = panels.ctypes.data + p * depth * step, y.ctypes.data + p * PANEL * 4, 0
        while r < rows:
            row, out = x.ctypes.data + r * x_step, to + r * y_step
            if r + 4 <= rows:
                if HAS_32_WIDE_REGISTERS:
                    block(panels, w, depth, step, row, x_step, out, y_step, 4, 4)
                else:
                    for v in range(4):
                        block(panels, w + v * half // 2, depth, step, row, x_step, out + v * 64, y_step, 1, 4)
                r += 4
            elif r + 2 <= rows:
                if HAS_32_WIDE_REGISTERS:
                    block(panels, w, depth, step, row, x_step, out, y_step, 4, 2)
                else:
                    block(panels, w, depth, step, row, x_step, out, y_step, 2, 2)
                    block(panels, w + half, depth, step, row, x_step, out + 128, y_step, 2, 2)
                r += 2
            else:
                block(panels, w, depth, step, row, x_step, out, y_step, 4, 1)
                r += 1


def _multiply_one(panel: np.ndarray, first: int, depth: int, x: np.ndarray, y: np.ndarray) -> None:
    """Write x @ panel[first:first + depth] into y for one row: panel (n, 16 to 64 columns) or (n, 32 to 128)."""
    step = panel.shape[1] * panel.itemsize
    w, row, out = panel.ctypes.data + first * step, x.ctypes.data, y.ctypes.data
    vectors = panel.shape[1] * panel.itemsize // (64 if panel.itemsize == 4 else 32)
    if vectors == 4:
        block(panel, w, depth, step, row, 0, out, 0, 4, 1)
    elif vectors == 3:
        block(panel, w, depth, step, row, 0, out, 0, 3, 1)
    elif vectors == 2:
        block(panel, w, depth, step, row, 0, out, 0, 2, 1)
    else:
        block(panel, w, depth, step, row, 0, out, 0, 1, 1)


multiply, multiply_one = compiled(_multiply), compiled(_multiply_one)
