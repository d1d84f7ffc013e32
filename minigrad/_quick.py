"""Fast paths for what is usual: one or two float32 or float64 tensors, nothing else given, no rare mode.

They do what `apply` does, without its generality: on four elements the bookkeeping costs more than the arithmetic.
Whatever is not usual is handed to `general`, the operation's complete function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from minigrad._dtype import check_number
from minigrad._graph import Number
from minigrad._layout import laid_as, tied
from minigrad._modes import SPECIAL, state
from minigrad._op import Op
from minigrad._plan import Plan, plan_of
from minigrad._tensor import Tensor
from minigrad._views import edge_of

_F32: Final = np.dtype(np.float32)
_F64: Final = np.dtype(np.float64)
_MISSING: Final = object()
_ndarray: Final = np.ndarray
_NUMBER: Final = 5  # beside the bits of the tensors that require grad: the first does, the second is a number
_NONE: Final = (0, _NUMBER - 1)  # none does

# Python's operators reach the same functions sooner, and on numpy's scalars ten times as soon.
_SOONER: Final[dict[Any, Callable[..., Any]]] = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.true_divide: operator.truediv,
    np.negative: operator.neg,
}  # fmt: skip

# Python numbers as operands: numpy takes twice as long for an array and a number, or a scalar and an array, as for two
# of a kind. Few numbers occur often, so those that came by are kept: by whether they stand beside an array or a scalar,
# and whether that is float32 or float64. Integers are kept apart, as 2 and 2.0 are one key.
_Constants: TypeAlias = dict[float, Number]
_FLOATS: Final[tuple[tuple[_Constants, _Constants], ...]] = (({}, {}), ({}, {}))
_INTEGERS: Final[tuple[tuple[_Constants, _Constants], ...]] = (({}, {}), ({}, {}))
_MOST_CONSTANTS: Final = 256


def _constant(number: float, dtype: np.dtype[Any], array: bool, known: _Constants) -> Number:
    """A number as an operand beside an array or a scalar."""
    check_number(number)
    value: Any = dtype.type(number)
    if array:
        value = np.asarray(value)
        value.flags.writeable = False
    made = Number(value, number)
    if number and len(known) < _MOST_CONSTANTS:  # 0.0 and -0.0 are one key
        known[number] = made
    return made


def quick_unary(op: Op, forward: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    """The public function of an operation on one tensor, whose other arguments all have defaults."""
    forward = _SOONER.get(forward, forward)
    defaults = tuple(op.defaults.values())
    recorded, elementwise = bool(op.formulas), op.elementwise
    new = object.__new__
    plan: Plan | None = None

    def function(tensor: Any = _MISSING, /, *rest: Any, **kwargs: Any) -> Any:
        nonlocal plan
        if rest or kwargs or tensor is _MISSING:
            return general(**kwargs) if tensor is _MISSING else general(tensor, *rest, **kwargs)
        try:
            data = tensor._data
        except AttributeError:
            return general(tensor)
        mode, run = state.fast
        dtype = data.dtype
        if mode == SPECIAL or dtype is not _F32 and dtype is not _F64:
            return general(tensor)
        result = run(forward, data)
        if elementwise and result.ndim > 1 and tied(data):
            result = laid_as(result, data)
        output: Tensor = new(Tensor)
        output._data = result
        output._edge = output._view = output._writes = None
        if mode or not recorded:
            return output
        edge = tensor._edge if tensor._view is None else edge_of(tensor)
        if edge is None:
            return output
        if plan is None:
            if result.dtype is not dtype:  # a comparison's result requires no grad
                return output
            plan = plan_of(op, 1, (tensor, *defaults), dtype, trusted=op.elementwise)
        output._edge = plan.quickly((edge,), tensor, None, data, None, result, output)
        return output

    return function


def quick_binary(op: Op, forward: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    """The public function of an operation on two tensors, or a tensor and a number, with defaults for the rest."""
    quick = quick_operator(op, forward, general)

    def function(first: Any = _MISSING, second: Any = _MISSING, /, *rest: Any, **kwargs: Any) -> Any:
        if rest or kwargs or second is _MISSING:
            return general(*[each for each in (first, second) if each is not _MISSING], *rest, **kwargs)
        return quick(first, second)

    return function


def quick_operator(  # noqa: PLR0915  (the fast path is one function: calls are what it saves)
    op: Op, forward: Callable[..., Any], general: Callable[..., Any]
) -> Callable[[Any, Any], Any]:
    """The same as an operator's method, which has two arguments."""
    forward = _SOONER.get(forward, forward)
    defaults = tuple(op.defaults.values())
    recorded, numbers = bool(op.formulas), 1 in op.numbers
    overloaded = 1 in op.overloads  # a number second is another node
    elementwise = op.elementwise
    new = object.__new__
    plans: list[Plan | None] = [None] * (_NUMBER + 1)  # by which of the two require grad

    def operation(first: Any, second: Any) -> Any:
        kind = type(second)
        number = kind is float or kind is int
        result = None
        try:
            x = first._data
            dtype = x.dtype
            mode, run = state.fast
            if mode == SPECIAL or dtype is not _F32 and dtype is not _F64:
                pass
            elif not number:
                y = second._data
                if y.dtype is dtype:
                    result = run(forward, x, y)
                    if (
                        elementwise
                        and result.ndim > 1
                        and not (
                            x.flags.c_contiguous and y.flags.c_contiguous and (result.ndim == 2 or x.shape == y.shape)
                        )
                    ):
                        result = laid_as(result, x, y)
            elif numbers:
                array = type(x) is _ndarray
                known = (_FLOATS if kind is float else _INTEGERS)[array][dtype is _F32]
                constant = known.get(second) or run(_constant, second, dtype, array, known)
                y = constant._data
                result = run(forward, x, y)
                if elementwise and result.ndim > 1 and tied(x):
                    result = laid_as(result, x)
        except (AttributeError, ValueError, OverflowError):  # no tensors, or shapes that do not broadcast
            pass
        if result is None:
            return general(first, second)
        output: Tensor = new(Tensor)
        output._data = result
        output._edge = output._view = output._writes = None
        if mode or not recorded:
            return output
        edge = first._edge if first._view is None else edge_of(first)
        edges: tuple[Any, ...]
        if number:
            second, edges, need = constant, (edge,) if overloaded else (edge, None), _NUMBER
        else:
            edges = edge, second._edge if second._view is None else edge_of(second)
            need = 1 if edges[1] is None else 3
        if edge is None:
            need -= 1
        plan = plans[need]
        if plan is None:
            if need in _NONE or result.dtype is not dtype:  # a comparison's result requires no grad
                return output
            plan = plans[need] = plan_of(op, need & 3, (first, second, *defaults), dtype, op.elementwise and number)
        output._edge = plan.quickly(edges, first, second, x, y, result, output)
        return output

    return operation
