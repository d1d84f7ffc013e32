"""Fast paths for what is usual: one or two float32 or float64 tensors, nothing else given, no rare mode.

They do what `apply` does, without its generality: on four elements the bookkeeping costs more than the arithmetic.
Whatever is not usual is handed to `general`, the operation's complete function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad._graph import Saved, _sequence
from minigrad._modes import SPECIAL, state
from minigrad._op import CONSTANT, Op, Plan
from minigrad._tensor import Tensor
from minigrad._views import edge_of

_F32: Final = np.dtype(np.float32)
_F64: Final = np.dtype(np.float64)
_MISSING: Final = object()


def quick_unary(op: Op, forward: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    """The public function of an operation on one tensor, whose other arguments all have defaults."""
    defaults = tuple(op.defaults.values())
    recordable = bool(op.formulas)
    new, number = object.__new__, _sequence.__next__
    plan: Plan | None = None

    def function(tensor: Any = _MISSING, /, *rest: Any, **kwargs: Any) -> Any:
        nonlocal plan
        try:
            data = tensor._data
        except AttributeError:
            return general(**kwargs) if tensor is _MISSING else general(tensor, *rest, **kwargs)
        mode, run = state.fast
        dtype = data.dtype
        if rest or kwargs or mode == SPECIAL or dtype is not _F32 and dtype is not _F64:
            return general(tensor, *rest, **kwargs)
        result = run(forward, data)
        output: Tensor = new(Tensor)
        output._data = result
        output._cell = cell = [0]
        output._edge = None
        if mode or not recordable or result.dtype is not dtype:  # a comparison's result requires no grad
            return output
        edge = tensor._edge if tensor._view is None else edge_of(tensor)
        if edge is None:
            return output
        if plan is None:
            plan = op.plan(1, (tensor, *defaults))
        if plan.simple:
            node: Any = new(plan.node_class)
            node.sequence = number()
            node.next = (edge,)
            node.meta = ((result.shape, dtype),)
            node.extras = ()
            if plan.saves_self:
                node.saved = (tensor,)
                node.versions = (tensor._cell[0],)
            elif plan.saves_result:
                node.saved = (Saved(result, cell, 0),)
                node.versions = (0,)
            else:
                node.saved = node.versions = ()
        else:
            node = plan.record((edge,), (tensor, *defaults), (data,), result, cell)
        output._edge = (node, 0)
        return output

    return function


def quick_binary(  # noqa: PLR0915  (the fast path is one function: calls are what it saves)
    op: Op, forward: Callable[..., Any], general: Callable[..., Any]
) -> Callable[..., Any]:
    """The public function of an operation on two tensors, or a tensor and a number, with defaults for the rest."""
    defaults = tuple(op.defaults.values())
    recordable, numbers = bool(op.formulas), 1 in op.numbers
    overloaded = 1 in op.overloads  # a number second is another node
    new, number = object.__new__, _sequence.__next__
    plans: list[Plan | None] = [None] * 8

    def function(  # noqa: PLR0915
        first: Any = _MISSING, second: Any = _MISSING, /, *rest: Any, **kwargs: Any
    ) -> Any:
        try:
            x = first._data
            dtype = x.dtype
            mode, run = state.fast
            if rest or kwargs or mode == SPECIAL or dtype is not _F32 and dtype is not _F64:
                return general(*[each for each in (first, second) if each is not _MISSING], *rest, **kwargs)
            kind = type(second)
            if kind is float or kind is int:
                if not numbers:
                    return general(first, second)
                y, other, scalar = dtype.type(second), None, True
            else:
                y, scalar = second._data, False
                if y.dtype is not dtype:
                    return general(first, second)
                other = second._edge if second._view is None else edge_of(second)
            result = run(forward, x, y)
        except (AttributeError, ValueError, OverflowError):  # no tensors, or shapes that do not broadcast
            return general(*[each for each in (first, second) if each is not _MISSING], *rest, **kwargs)
        output: Tensor = new(Tensor)
        output._data = result
        output._cell = cell = [0]
        output._edge = None
        if mode or not recordable or result.dtype is not dtype:
            return output
        edge = first._edge if first._view is None else edge_of(first)
        need = (edge is not None) + 2 * (other is not None)
        if not need:
            return output
        if scalar:
            second = Saved(y, CONSTANT, None)
        place = need + 4 * (scalar and overloaded)
        plan = plans[place]
        if plan is None:
            plan = plans[place] = op.plan(need, (first, second, *defaults))
        edges = (edge,) if scalar and overloaded else (edge, other)
        if plan.simple and not plan.saves_result:
            node: Any = new(plan.node_class)
            node.sequence = number()
            node.next = edges
            node.meta = ((result.shape, dtype),)
            node.extras = ()
            if plan.saves_self:
                if plan.saves_other:
                    node.saved = (first, second) if plan.self_first else (second, first)
                    node.versions = (node.saved[0]._cell[0], node.saved[1]._cell[0])
                else:
                    node.saved = (first,)
                    node.versions = (first._cell[0],)
            elif plan.saves_other:
                node.saved = (second,)
                node.versions = (second._cell[0],)
            else:
                node.saved = node.versions = ()
        else:
            node = plan.record(edges, (first, second, *defaults), (x, y), result, cell)
        output._edge = (node, 0)
        return output

    return function
