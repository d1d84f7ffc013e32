"""What is measured: each case computes one number from its leaves, and is differentiated with respect to them.

`torchlike(torch, *leaves)` is written for torch and for minigrad, `numpylike(np, *leaves)` for modules that mirror
numpy (HIPS autograd, jax.numpy, mygrad). `goal` and `stretch` are minigrad's time divided by torch's, on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = Sequence[Any]


@dataclass(frozen=True)
class Case:
    name: str
    leaves: Callable[[], Arrays]
    torchlike: Callable[..., Any]
    numpylike: Callable[..., Any] | None = None
    constants: Callable[[], Arrays] = field(default=lambda: ())  # further arguments, not differentiated
    goal: float | None = None
    stretch: float | None = None
    order: int = 1
    long: bool = False  # thousands of operations, which some take minutes for: minigrad and torch alone


def normal(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    """Arrays of normal numbers, always the same."""
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


def tutorial(_: Any, x: Any) -> Any:
    y = x + 2
    z = y * y * 3
    return z.mean()


def tutorial_leaves() -> Arrays:
    return [np.ones((2, 2), np.float32)]


def chain(m: Any, x: Any, w: Any) -> Any:
    """Ten operations, one after the other."""
    y = x * w
    y = y + x
    y = m.tanh(y)
    y = y * 1.5
    y = y - w
    y = m.sin(y)
    y = y / w
    y = m.exp(y)
    y = y * x
    return y.sum()


def chain_leaves(size: int) -> Callable[[], Arrays]:
    def leaves() -> Arrays:
        x, w = normal((size,), (size,))
        return [x, np.abs(w) + 1]

    return leaves


def deep(depth: int) -> Callable[..., Any]:
    def scalar_chain(m: Any, x: Any) -> Any:
        y = x
        for _ in range(depth // 2):
            y = m.sin(y) * 1.0
        return y

    return scalar_chain


def wide(width: int) -> Callable[..., Any]:
    def fan_out(_: Any, x: Any) -> Any:
        y = x
        for _ in range(width):
            y = y + x * 1.01
        return y.sum()

    return fan_out


def scalar() -> Arrays:
    return [np.array(0.5, np.float32)]


def perceptron(torch: Any, x: Any, target: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    of = torch.nn.functional
    y = of.relu(of.linear(x, a, b))
    y = of.relu(of.linear(y, c, d))
    return of.cross_entropy(of.linear(y, e, f), target)


def perceptron_numpy(m: Any, x: Any, target: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    y = m.maximum(m.matmul(x, a.T) + b, 0)
    y = m.maximum(m.matmul(y, c.T) + d, 0)
    y = m.matmul(y, e.T) + f
    y = y - m.log(m.sum(m.exp(y), axis=1, keepdims=True))
    return -m.mean(y[np.arange(64), target])


def perceptron_leaves() -> Arrays:
    found = normal((256, 784), (256,), (256, 256), (256,), (10, 256), (10,))
    return [each * np.float32(0.05) for each in found]


def perceptron_batch() -> Arrays:
    return [*normal((64, 784)), np.arange(64) % 10]


def composed_norm(torch: Any, scale: Any, x: Any, w: Any, b: Any) -> Any:
    mean = x.mean(-1, keepdim=True)
    apart = x - mean
    variance = (apart * apart).mean(-1, keepdim=True)
    return ((apart / torch.sqrt(variance + 1e-5) * w + b) * scale).sum()


def composed_norm_numpy(m: Any, scale: Any, x: Any, w: Any, b: Any) -> Any:
    mean = m.mean(x, axis=-1, keepdims=True)
    apart = x - mean
    variance = m.mean(apart * apart, axis=-1, keepdims=True)
    return m.sum((apart / m.sqrt(variance + 1e-5) * w + b) * scale)


def layer_norm(torch: Any, scale: Any, x: Any, w: Any, b: Any) -> Any:
    return (torch.nn.functional.layer_norm(x, (x.shape[-1],), w, b) * scale).sum()


def norm_leaves(rows: int, columns: int) -> Callable[[], Arrays]:
    return lambda: normal((rows, columns), (columns,), (columns,))


def norm_scale(rows: int, columns: int) -> Callable[[], Arrays]:
    return lambda: normal((rows, columns))


def convolution(torch: Any, scale: Any, x: Any, w: Any, b: Any) -> Any:
    return (torch.nn.functional.conv2d(x, w, b, padding=1) * scale).sum()


def attention(torch: Any, scale: Any, q: Any, k: Any, v: Any) -> Any:
    return (torch.nn.functional.scaled_dot_product_attention(q, k, v) * scale).sum()


def attention_numpy(m: Any, scale: Any, q: Any, k: Any, v: Any) -> Any:
    scores = m.exp(m.matmul(q, m.swapaxes(k, -1, -2)) / 32**0.5)
    return m.sum(m.matmul(scores / m.sum(scores, axis=-1, keepdims=True), v) * scale)


def solve(torch: Any, scale: Any, a: Any, b: Any) -> Any:
    return (torch.linalg.solve(a, b) * scale).sum()


def solve_numpy(m: Any, scale: Any, a: Any, b: Any) -> Any:
    return m.sum(m.linalg.solve(a, b) * scale)


def solve_leaves() -> Arrays:
    a, b = normal((64, 16, 16), (64, 16, 16), dtype=np.float64)
    return [a + 8 * np.eye(16), b]


def _norms(rows: int, columns: int, goal: float, stretch: float) -> list[Case]:
    size, leaves, scale = f"{rows}×{columns}", norm_leaves(rows, columns), norm_scale(rows, columns)
    return [
        Case(f"layernorm {size}, composed", leaves, composed_norm, composed_norm_numpy, scale, goal, stretch),
        Case(f"layernorm {size}, F.layer_norm", leaves, layer_norm, None, scale),
    ]


IMAGES = ((16, 3, 32, 32), (16, 3, 3, 3), (16,))
HEADS = (4, 8, 64, 32)

CASES: tuple[Case, ...] = (
    Case("tutorial graph, 2×2", tutorial_leaves, tutorial, tutorial, goal=0.30, stretch=0.22),
    Case("chain of 10, 4 elements", chain_leaves(4), chain, chain, goal=0.35, stretch=0.28),
    Case("chain of 10, 10⁴ elements", chain_leaves(10**4), chain, chain, goal=0.45, stretch=0.37),
    Case("chain of 10, 10⁶ elements", chain_leaves(10**6), chain, chain, goal=0.9, stretch=0.7),
    Case("double backward of the chain", chain_leaves(4), chain, chain, goal=0.40, stretch=0.32, order=2),
    Case("MLP step, 64×784-256-256-10", perceptron_leaves, perceptron, perceptron_numpy, perceptron_batch, 0.75, 0.6),
    *_norms(4, 8, 0.5, 0.42),
    *_norms(256, 512, 1.2, 1.0),
    Case("scalar chain, 10⁵ deep", scalar, deep(10**5), deep(10**5), goal=0.15, stretch=0.09,
         long=True),
    Case("one x used 10⁴ times", lambda: normal((4,)), wide(10**4), wide(10**4), goal=0.3, stretch=0.25, long=True),
    Case("convolution 16×3×32×32, 16 of 3×3", lambda: normal(*IMAGES), convolution, None,
         lambda: normal((16, 16, 32, 32)), 2, 1.2),
    Case("attention 4×8×64×32", lambda: normal(HEADS, HEADS, HEADS), attention, attention_numpy,
         lambda: normal(HEADS), 2, 1.2),
    Case("solve, batch of 64, 16×16", solve_leaves, solve, solve_numpy,
         lambda: normal((64, 16, 16), dtype=np.float64), 2, 1.2),
)  # fmt: skip
