"""The forms in which operations are declared, and where a declaration is published.

One declaration makes the function (`minigrad.sin`, `minigrad.linalg.inv`), the method (`Tensor.sin`), the in-place method
(`Tensor.sin_`), `out=`, and the two entries of the namespaces that formulas compute with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from minigrad._modes import state
from minigrad._op import (
    OPS,
    RAW,
    RECORDED,
    Formula,
    Op,
    apply,
    apply_inplace,
    bind,
    store_out,
)
from minigrad._graph import Saved
from minigrad._tensor import Tensor, make
from minigrad._views import edge_of

PUBLIC: Final[dict[str, Callable[..., Any]]] = {}  # dotted torch name -> function


def op(
    name: str | None = None,
    *,
    promote: str | None = None,
    view: bool = False,
    node: str | Callable[..., str] | None = None,
    returns: Any = None,
    holomorphic: bool = True,
    method: bool | None = None,
    function: bool = True,
    inplace: bool = False,
    aliases: Sequence[str] = (),
    quick: Callable[..., Any] | None = None,
    **formulas: Formula,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the decorated numpy forward an operation; formulas by the name of the input they differentiate.

    `promote`: "keep" casts the operands to their common type, "float" also makes integers floating. `view`: the result
    shares the first operand's memory. `node`: torch's name of the node, or a function of parameters that gives it.
    `returns`: the named tuple of several outputs. `quick`: a faster forward for when only the operands are given.
    """

    def declare(forward: Callable[..., Any]) -> Callable[..., Any]:
        found = Op(
            name or forward.__name__,
            forward,
            formulas,
            promote=promote,
            view=view,
            node=node,
            returns=returns,
            holomorphic=holomorphic,
        )
        return _publish(found, method, function, inplace, aliases, quick)

    return declare


def unary(
    name: str,
    forward: Callable[..., Any],
    formula: Formula | None = None,
    *,
    promote: str = "float",
    inplace: bool = True,
    holomorphic: bool = True,
    node: str | None = None,
    method: bool | None = None,
    aliases: Sequence[str] = (),
) -> Callable[..., Any]:
    """Declare an operation on each element of one tensor."""
    formulas = {} if formula is None else {"self": formula}
    found = Op(name, forward, formulas, promote=promote, node=node, holomorphic=holomorphic, params={"self": "Array"})
    return _publish(found, method, True, inplace, aliases, forward)


def binary(
    name: str,
    forward: Callable[..., Any],
    *,
    promote: str = "keep",
    inplace: bool = True,
    node: str | Callable[..., str] | None = None,
    method: bool | None = None,
    aliases: Sequence[str] = (),
    **formulas: Formula,
) -> Callable[..., Any]:
    """Declare an operation on the elements of two tensors, broadcast."""
    found = Op(name, forward, formulas, promote=promote, node=node, params={"self": "Array", "other": "Array"})
    return _publish(found, method, True, inplace, aliases, forward)


def composite(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    method: bool | None = None,
    inplace: bool = False,
    aliases: Sequence[str] = (),
) -> Any:
    """Publish a function of tensors that is made of other operations (as it is in torch)."""

    def declare(made: Callable[..., Any]) -> Callable[..., Any]:
        full = name or made.__name__
        _expose(full, made, method, True, aliases)
        if inplace:
            _expose_inplace(full, lambda self, *args, **kwargs: self.copy_(made(self, *args, **kwargs)), aliases)
        return made

    return declare if function is None else declare(function)


def _publish(
    op: Op,
    method: bool | None,
    function: bool,
    inplace: bool,
    aliases: Sequence[str],
    quick: Callable[..., Any] | None,
) -> Callable[..., Any]:
    OPS[op.name] = op
    setattr(RAW, op.name.replace(".", "_"), op.forward)
    made = _function(op, quick)
    _expose(op.name, made, method, function, aliases)
    if inplace:

        def write(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            return apply_inplace(op, bind(op, (self, *args), kwargs))

        _expose_inplace(op.name, write, aliases)
    return made


def _expose(name: str, made: Callable[..., Any], method: bool | None, function: bool, aliases: Sequence[str]) -> None:
    """Put a function where users and formulas find it: plain names are methods too unless said otherwise."""
    made.__name__ = name.rpartition(".")[2]
    made.__qualname__ = made.__name__
    setattr(RECORDED, name.replace(".", "_"), made)
    for each in (name, *aliases):
        if function:
            PUBLIC[each] = made
        if "." not in each and method is not False:
            setattr(Tensor, each, made)


def _expose_inplace(name: str, made: Callable[..., Any], aliases: Sequence[str]) -> None:
    made.__name__ = made.__qualname__ = name.rpartition(".")[2] + "_"
    for each in (name, *aliases):
        if "." not in each:
            setattr(Tensor, each + "_", made)
            PUBLIC.setdefault(each + "_", made)


# ---- functions -------------------------------------------------------------------------------------------------------


def _function(op: Op, quick: Callable[..., Any] | None) -> Callable[..., Any]:
    """The public function of an operation: a fast path for what is usual, `bind` and `apply` for the rest."""
    count = len(op.params)

    def general(*args: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if kwargs or len(args) != count or op.keyword_only or op.variadic is not None:
            args = bind(op, args, kwargs)  # type: ignore[assignment]
        if out is None:
            return apply(op, args)
        result = apply(op, args)
        if isinstance(result, tuple):
            made = [store_out(op.name, each, new, args) for each, new in zip(out, result, strict=True)]
            return op.returns(*made) if op.returns is not None else tuple(made)
        return store_out(op.name, out, result, args)

    if quick is None:
        return general
    return _quick_unary(op, quick, general) if len(op.operands) == 1 else _quick_binary(op, quick, general)


def _quick_unary(op: Op, forward: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    kinds = "fc" if op.promote == "float" else "fciub"
    defaults = tuple(op.defaults.values())

    def function(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 1 or not isinstance(args[0], Tensor):
            return general(*args, **kwargs)
        tensor = args[0]
        data = tensor._data
        if data.dtype.kind not in kinds or state.inference:
            return general(tensor)
        result = state.quiet.run(forward, data)
        edge = tensor._edge if tensor._view is None else edge_of(tensor)
        output = make(result, None)
        if edge is not None and state.grad_enabled and op.formulas:
            _attach(op, 1, (tensor, *defaults), (data,), (edge,), output)
        return output

    return function


def _quick_binary(op: Op, forward: Callable[..., Any], general: Callable[..., Any]) -> Callable[..., Any]:
    kinds = "fc" if op.promote == "float" else "fciub"
    defaults = tuple(op.defaults.values())

    def function(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 2:
            return general(*args, **kwargs)
        first, second = args
        if not (isinstance(first, Tensor) and not state.inference):
            return general(first, second)
        x = first._data
        dtype = x.dtype
        if dtype.kind not in kinds:
            return general(first, second)
        edge = first._edge if first._view is None else edge_of(first)
        if isinstance(second, Tensor):
            y = second._data
            if y.dtype is not dtype:
                return general(first, second)
            other = second._edge if second._view is None else edge_of(second)
        elif type(second) is float and dtype.kind == "f" or type(second) is int and dtype.kind in "fi":
            y, other = dtype.type(second), None
            second = Saved(y, _CONSTANT, None)
        else:
            return general(first, second)
        result = state.quiet.run(forward, x, y)
        output = make(result, None)
        need = (edge is not None) + 2 * (other is not None)
        if need and state.grad_enabled and op.formulas:
            _attach(op, need, (first, second, *defaults), (x, y), (edge, other), output)
        return output

    return function


_CONSTANT: Final = [0]


def _attach(op: Op, need: int, args: Any, raws: Any, edges: Any, output: Tensor) -> None:
    """Record an application with one output: `apply`'s last part without its generality."""
    plan = op.plan(need, args)
    if output._data.dtype.kind not in "fc":
        return
    saved = [args[i] for i in plan.saved]
    if plan.saves_result:
        saved.append(Saved(output._data, output._cell, 0))
    output._edge = (
        plan.node_class(
            plan,
            edges,
            ((output._data.shape, output._data.dtype),),
            saved,
            [each._cell[0] for each in saved],
            [extra(args, raws) for extra in plan.extras] if plan.extras else (),
        ),
        0,
    )


__all__ = ["PUBLIC", "binary", "composite", "op", "unary"]
