"""Small kernels with which the tests try the interpreter itself."""
# ruff: noqa: ANN001, ANN201, C901, N803, PLR0917  (a kernel's parameters are typed by its launch)

import triton
import triton.language as tl


@triton.jit
def unary(x_ptr, out_ptr, BLOCK: tl.constexpr, OP: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at)
    if OP == "neg":
        y = -x
    elif OP == "abs":
        y = tl.abs(x)
    elif OP == "sqrt":
        y = tl.sqrt(x.to(tl.float32)).to(tl.bfloat16)
    elif OP == "floor":
        y = tl.floor(x.to(tl.float32)).to(tl.bfloat16)
    elif OP == "ceil":
        y = tl.ceil(x.to(tl.float32)).to(tl.bfloat16)
    elif OP == "half":
        y = x.to(tl.float16)
    elif OP == "float":
        y = x.to(tl.float32)
    elif OP == "double":
        y = x.to(tl.float64)
    elif OP == "int":
        y = x.to(tl.int32)
    elif OP == "lt":
        y = (x < 1.5).to(tl.int32)
    elif OP == "where":
        y = tl.where(x > 0, x, 0.1)
    else:
        y = x * x
    tl.store(out_ptr + at, y)


@triton.jit
def binary(x_ptr, y_ptr, out_ptr, BLOCK: tl.constexpr, OP: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at)
    y = tl.load(y_ptr + at)
    if OP == "+":
        z = x + y
    elif OP == "-":
        z = x - y
    elif OP == "*":
        z = x * y
    elif OP == "/":
        z = x / y
    elif OP == "max":
        z = tl.maximum(x, y)
    elif OP == "min":
        z = tl.minimum(x, y)
    else:
        z = tl.fma(x, y, x)
    tl.store(out_ptr + at, z)


@triton.jit
def to_bf16(x_ptr, out_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(x_ptr + at).to(tl.bfloat16))


@triton.jit
def dot(a_ptr, b_ptr, out_ptr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    m, n, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    a = tl.load(a_ptr + m[:, None] * K + k[None, :])
    b = tl.load(b_ptr + k[:, None] * N + n[None, :])
    tl.store(out_ptr + m[:, None] * N + n[None, :], tl.dot(a, b))


@triton.jit
def reduce(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N))
    tl.store(out_ptr, tl.sum(x, axis=0))
    tl.store(out_ptr + 1, tl.max(x, axis=0))
    tl.store(out_ptr + 2, tl.argmax(x, axis=0).to(tl.bfloat16))
    tl.store(out_ptr + 3 + tl.arange(0, N), tl.cumsum(x, axis=0))


@triton.jit
def copy_rows(source, out, step, columns, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    row = tl.program_id(0)
    if WIDE:
        row = row.to(tl.int64)
    lane = tl.arange(0, BLOCK)
    tl.store(
        out + tl.program_id(0) * columns + lane,
        tl.load(source + row * step + lane, mask=lane < columns),
        mask=lane < columns,
    )
