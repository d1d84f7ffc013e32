"""torch against itself: the same operations through torch.func, dual numbers, vmap and torch.compile."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from conformance.engines.adapters.recording import Node, Recording
from conformance.engines.protocol import EngineError, Unsupported
from conformance.engines.torchlike import Torch


class _Transformed(Recording):
    """torch's operations, differentiated by something other than `backward`."""

    mixes_dtypes = True

    def __init__(self) -> None:
        self._torch = Torch()
        super().__init__()

    @property
    def version(self) -> str:
        return str(torch.__version__)

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        return {}

    def supports(self, op: str) -> bool:
        return self._torch.supports(op)

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self.record(lambda *a, **k: self._torch.call(form, op, a, k), args, kwargs)

    def dtype(self, name: str) -> Any:
        return getattr(torch, name)

    def dtype_name(self, value: Any) -> str:
        return str(value.dtype).removeprefix("torch.")

    def constant(self, array: Any) -> Any:
        return torch.from_numpy(array)

    def array(self, value: Any) -> Any:
        return value.detach().numpy(force=True)


class Func(_Transformed):
    """torch.func.vjp, nested for higher orders."""

    name = "torch:func"

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        back = torch.func.vjp(lambda *values: tuple(function(*values)), *at)[1]
        found: Sequence[Any] = back(tuple(weights))
        return found


class Forward(_Transformed):
    """Forward mode: one run with dual numbers (torch.func.jvp, nested for higher orders) for each input element."""

    name = "torch:forward"
    cost = 2
    #: Runs of a program at most: each order multiplies them by the number of input elements.
    most = 200

    def __init__(self) -> None:
        super().__init__()
        self._runs = 1

    def supports(self, op: str) -> bool:
        # No formula for dual numbers, not even through another operation's.
        lacking = "special.gammainc special.gammaincc special.zeta cdist cholesky nn.functional.multi_margin_loss"
        return op not in lacking.split() and super().supports(op)

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        at = [x.contiguous() if 0 in x.stride() else x for x in at]  # dual numbers have memory of their own
        outer, self._runs = self._runs, self._runs * max(sum(x.numel() for x in at), 1)
        try:
            if self._runs > self.most:
                raise Unsupported(f"{self._runs:,} runs with dual numbers")
            return [self._gradient(function, at, weights, number) for number in range(len(at))]
        finally:
            self._runs = outer

    def _gradient(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any], number: int) -> Any:
        def one(value: Any) -> tuple[Any, ...]:
            return tuple(function(*at[:number], value, *at[number + 1 :]))

        x = at[number]
        parts = []
        for where in range(x.numel()):
            tangent = torch.zeros(x.numel(), dtype=x.dtype)
            tangent[where] = 1
            moved = torch.func.jvp(one, (x,), (tangent.reshape(x.shape),))[1]
            parts.append(sum((m * w).sum() for m, w in zip(moved, weights, strict=True)).to(x.dtype))
        return torch.stack(parts).reshape(x.shape) if parts else torch.zeros_like(x)


class Batched(_Transformed):
    """torch.func.vmap of vjp over a batch of two, of which the first is read."""

    name = "torch:vmap"

    def supports(self, op: str) -> bool:
        # One asks numbers for their sign, the other has no batching rule.
        lacking = ("nn.functional.gaussian_nll_loss", "unsafe_split_with_sizes")
        return op not in lacking and super().supports(op)

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        def one(values: Sequence[Any], by: Sequence[Any]) -> Sequence[Any]:
            back = torch.func.vjp(lambda *v: tuple(function(*v)), *values)[1]
            found: Sequence[Any] = back(tuple(by))
            return found

        def twice(values: Sequence[Any]) -> list[Any]:
            return [torch.stack([v, v]) for v in values]

        try:
            both = torch.func.vmap(one)(twice(at), twice(weights))
        except RuntimeError as error:
            if "vmap" in str(error) or "Batching rule not implemented" in str(error):  # shapes that depend on numbers
                raise Unsupported(str(error).partition("\n")[0]) from error
            raise
        return [gradient[0] for gradient in both]


class Traced(_Transformed):
    """torch.compile up to the point at which code is generated: the function is traced, its forward and backward are
    decomposed into simpler operations and partitioned, and these run one by one."""

    name = "torch:aot"
    cost = 4
    backend = "aot_eager_decomp_partition"

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        torch.compiler.reset()
        values = [x.detach().clone().requires_grad_() for x in at]
        made = torch.compile(lambda *v: tuple(function(*v)), dynamic=False, backend=self.backend)(*values)
        used = [(y, w) for y, w in zip(made, weights, strict=True) if y.requires_grad]
        found = torch.autograd.grad([y for y, _ in used], values, [w for _, w in used], allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, at, strict=True)]

    def grad_of(self, *args: Any) -> Sequence[Node]:
        """One order only: a compiled function cannot be differentiated twice."""
        raise Unsupported("second order of a compiled function")


class Compiled(Traced):
    """torch.compile through its default backend: each program is compiled by a C++ compiler."""

    name = "torch:compile"
    backend = "inductor"

    def __init__(self) -> None:
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise EngineError("engine torch:compile: needs a C++ compiler, and neither g++ nor clang++ is on the path")
        super().__init__()
