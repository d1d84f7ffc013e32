"""torch against itself: the same operations through torch.func, dual numbers, vmap and torch.compile."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

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
    def version(self) -> str:  # noqa: D102
        return str(torch.__version__)

    def functions(self) -> Mapping[str, Callable[..., Any]]:  # noqa: D102
        return {}

    def supports(self, op: str) -> bool:  # noqa: D102
        return self._torch.supports(op)

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: D102
        return self.record(lambda *a, **k: self._torch.call(form, op, a, k), args, kwargs)

    def dtype(self, name: str) -> Any:  # noqa: D102
        return getattr(torch, name)

    def dtype_name(self, value: Any) -> str:  # noqa: D102
        return str(value.dtype).removeprefix("torch.")

    def constant(self, array: Any) -> Any:  # noqa: D102
        return torch.from_numpy(array)

    def array(self, value: Any) -> Any:  # noqa: D102
        return value.detach().numpy(force=True)


class Func(_Transformed):
    """torch.func.vjp, nested for higher orders."""

    name = "torch:func"

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:  # noqa: D102
        _, back = torch.func.vjp(lambda *values: tuple(function(*values)), *at)
        found: Sequence[Any] = back(tuple(weights))
        return found


class Forward(_Transformed):
    """Forward mode: one run with dual numbers for each element of each input."""

    name = "torch:forward"

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:  # noqa: D102
        return [self._gradient(function, at, weights, number) for number in range(len(at))]

    def _gradient(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any], number: int) -> Any:
        at = [x.contiguous() if 0 in x.stride() else x for x in at]  # dual numbers have memory of their own
        gradient = torch.zeros_like(at[number], memory_format=torch.contiguous_format)
        for where in np.ndindex(*gradient.shape):
            tangent = torch.zeros_like(gradient)
            tangent[where] = 1
            with forward_ad.dual_level():
                values = [forward_ad.make_dual(x, tangent) if i == number else x for i, x in enumerate(at)]
                for made, weight in zip(function(*values), weights, strict=True):
                    moved = forward_ad.unpack_dual(made).tangent
                    if moved is not None:
                        gradient[where] += (moved * weight).sum()
        return gradient


class Batched(_Transformed):
    """torch.func.vmap of vjp over a batch of two, of which the first is read."""

    name = "torch:vmap"

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:  # noqa: D102
        def one(values: Sequence[Any], by: Sequence[Any]) -> Sequence[Any]:
            _, back = torch.func.vjp(lambda *v: tuple(function(*v)), *values)
            found: Sequence[Any] = back(tuple(by))
            return found

        def twice(values: Sequence[Any]) -> list[Any]:
            return [torch.stack([v, v]) for v in values]

        try:
            both = torch.func.vmap(one)(twice(at), twice(weights))
        except RuntimeError as error:
            if "vmap" in str(error):  # shapes that depend on numbers
                raise Unsupported(str(error).partition("\n")[0]) from error
            raise
        return [gradient[0] for gradient in both]


class Compiled(_Transformed):
    """torch.compile of the function, through its default backend; each program is compiled, which takes seconds."""

    name = "torch:compile"

    def __init__(self) -> None:
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise EngineError("engine torch:compile: needs a C++ compiler, and neither g++ nor clang++ is on the path")
        super().__init__()

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:  # noqa: D102
        torch.compiler.reset()
        values = [x.detach().clone().requires_grad_() for x in at]
        made = torch.compile(lambda *v: tuple(function(*v)), dynamic=False)(*values)
        used = [(y, w) for y, w in zip(made, weights, strict=True) if y.requires_grad]
        found = torch.autograd.grad([y for y, _ in used], values, [w for _, w in used], allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, at, strict=True)]

    def grad_of(self, *args: Any) -> Sequence[Node]:
        """One order only: a compiled function cannot be differentiated twice."""
        raise Unsupported("second order of a compiled function")
