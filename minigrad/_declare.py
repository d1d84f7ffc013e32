"""The forms in which operations are declared, and where a declaration is published.

One declaration makes the function (`minigrad.sin`, `minigrad.linalg.inv`), the method (`Tensor.sin`), the in-place
method (`Tensor.sin_`), `out=`, and the two entries of the namespaces that formulas compute with.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

from minigrad._apply import apply, apply_inplace, store_out
from minigrad._arguments import bind, like, settle
from minigrad._op import ALIASES, OPS, RAW, RECORDED, Formula, Op
from minigrad._quick import quick_binary, quick_unary
from minigrad._tensor import Tensor
from minigrad._text import type_name

Function = TypeVar("Function", bound=Callable[..., Any])

PUBLIC: Final[dict[str, Callable[..., Any]]] = {}  # dotted torch name -> function


def op(
    name: str | None = None,
    *,
    promote: str | Callable[..., str] | None = None,
    kinds: str = "biufc",
    refusal: str | Exception = "",
    view: bool = False,
    node: str | Callable[..., str] | None = None,
    returns: Any = None,
    holomorphic: bool = True,
    elementwise: bool = False,
    in_order: bool = False,
    method: bool | None = None,
    function: bool = True,
    inplace: bool | str = False,
    aliases: Sequence[str] = (),
    quick: Callable[..., Any] | None = None,
    **formulas: Formula,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the decorated numpy forward an operation; formulas by the name of the input they differentiate.

    `promote`: "keep" casts the operands to their common type, "float" also makes integers floating. `kinds`: what types
    it computes with, `refusal`: the error for others, or torch's kernel's name. `view`: the result shares the first
    operand's memory. `node`: torch's name of the node, or a function of parameters that gives it.
    `returns`: the named tuple of several outputs. `quick`: a faster forward for when only the operands are given.
    `inplace`: whether there is an in-place form; the name of its node, if that is another.
    """

    def declare(forward: Callable[..., Any]) -> Callable[..., Any]:
        made = functools.partial(
            Op,
            name or forward.__name__,
            forward,
            formulas,
            promote=promote,
            kinds=kinds,
            refusal=refusal,
            view=view,
            returns=returns,
            holomorphic=holomorphic,
            elementwise=elementwise,
            in_order=in_order,
        )
        written = made(node=inplace) if isinstance(inplace, str) else inplace
        return _publish(made(node=node), method, function, written, aliases, quick)

    return declare


def unary(
    name: str,
    forward: Callable[..., Any],
    formula: Formula | None = None,
    *,
    promote: str = "float",
    kinds: str = "biufc",
    refusal: str | Exception = "",
    inplace: bool | Formula = True,
    holomorphic: bool = True,
    node: str | None = None,
    method: bool | None = None,
    aliases: Sequence[str] = (),
) -> Callable[..., Any]:
    """Declare an operation on each element of one tensor; `inplace` may be the formula of the in-place form's own
    node."""
    formulas = {} if formula is None else {"self": formula}
    params = {"self": "Array"}
    found = Op(
        name, forward, formulas, promote=promote, kinds=kinds, refusal=refusal, node=node, holomorphic=holomorphic,
        params=params, elementwise=True,
    )  # fmt: skip
    written: bool | Op = bool(inplace)
    if callable(inplace):
        written = Op(
            name, forward, {"self": inplace}, promote=promote, kinds=kinds, refusal=refusal, params=params,
            node=f"{name.capitalize()}Backward1", elementwise=True,
        )  # fmt: skip
    return _publish(found, method, True, written, aliases, forward)


def binary(
    name: str,
    forward: Callable[..., Any],
    *,
    promote: str | Callable[..., str] = "keep",
    numbers: Sequence[str] = (),
    kinds: str = "biufc",
    refusal: str | Exception = "",
    inplace: bool = True,
    node: str | Callable[..., str] | None = None,
    method: bool | None = None,
    aliases: Sequence[str] = (),
    **formulas: Formula,
) -> Callable[..., Any]:
    """Declare an operation on the elements of two tensors, broadcast; `numbers` lists which may be Python numbers."""
    params = {each: "ArrayOrNumber" if each in numbers else "Array" for each in ("self", "other")}
    found = Op(
        name, forward, formulas, promote=promote, kinds=kinds, refusal=refusal, node=node, params=params,
        elementwise=True,
    )  # fmt: skip
    return _publish(found, method, True, inplace, aliases, forward)


@overload
def composite(function: Function) -> Function: ...
@overload
def composite(
    function: None = None,
    *,
    name: str | None = None,
    method: bool | None = None,
    inplace: Callable[..., Any] | None = None,
    aliases: Sequence[str] = (),
    raw: Callable[..., Any] | None = None,
) -> Callable[[Function], Function]: ...
def composite(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    method: bool | None = None,
    inplace: Callable[..., Any] | None = None,
    aliases: Sequence[str] = (),
    raw: Callable[..., Any] | None = None,
) -> Any:
    """Publish a function of tensors that is made of other operations (as it is in torch).

    `inplace`: its in-place form; `raw`: what it is on arrays, for formulas that use it.
    """

    def declare(made: Callable[..., Any]) -> Callable[..., Any]:
        full = name or made.__name__
        if raw is not None:
            setattr(RAW, full.replace(".", "_"), raw)
        public, bound = (_renaming(made, full, of_method) for of_method in (False, True))
        _expose(full, public, method, True, aliases, bound)
        if inplace is not None:
            _expose_inplace(full, inplace, aliases)
        return made

    return declare if function is None else declare(function)


def _renaming(made: Callable[..., Any], full: str, of_method: bool) -> Callable[..., Any]:
    """A function of tensors that also takes its arguments by their other names (`input`, `axis`), and `out`."""
    code = made.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    takes_any = bool(code.co_flags & inspect.CO_VARKEYWORDS)
    made.__qualname__ = full.removeprefix("nn.functional.").replace(".", "_")  # in Python's own errors

    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            if takes_any or not kwargs:
                return made(*args, **kwargs)
            renamed = {
                key if key in names or ALIASES.get(key) not in names else ALIASES[key]: value
                for key, value in kwargs.items()
            }
            if "out" not in renamed or "out" in names:
                return made(*args, **renamed)
            out = renamed.pop("out")
            result = made(*args, **renamed)
            return result if out is None else store_out(made.__name__, out, result, [*args, *renamed.values()])
        except Exception as error:
            return settle(function, error, full, made.__annotations__, args, kwargs, made, of_method)

    return like(function, made)


def method(name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Publish a composition as a method alone, such as `Tensor.to`."""

    def declare(made: Callable[..., Any]) -> Callable[..., Any]:
        _expose(name or made.__name__, made, True, False, ())
        return made

    return declare


def _publish(
    op: Op,
    method: bool | None,
    function: bool,
    inplace: bool | Op,
    aliases: Sequence[str],
    quick: Callable[..., Any] | None,
) -> Callable[..., Any]:
    OPS[op.name] = op
    if quick is not None and "f" in op.kinds and not 0 < len(op.formulas) < len(op.operands):
        op.quick = quick
    setattr(RAW, op.name.replace(".", "_"), op.forward)
    made, bound = _functions(op)
    _expose(op.name, made, method, function, aliases, bound)
    if inplace:
        written = op if inplace is True else inplace

        def write(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            try:
                return apply_inplace(written, bind(written, (self, *args), kwargs))
            except Exception as error:
                given = (self, *args)
                kinds = dict(zip(op.params, op.annotations))
                shown = f"{op.shown}_"
                return settle(write, error, f"{op.name}_", kinds, given, kwargs, None, True, shown)

        _expose_inplace(op.name, write, aliases)
    return made


def _expose(
    name: str,
    made: Callable[..., Any],
    method: bool | None,
    function: bool,
    aliases: Sequence[str],
    of_method: Callable[..., Any] | None = None,
) -> None:
    """Put a function where users and formulas find it: plain names are methods too unless said otherwise."""
    bound = of_method or made
    made.__name__ = made.__qualname__ = bound.__name__ = bound.__qualname__ = name.rpartition(".")[2]
    setattr(RECORDED, name.replace(".", "_"), made)
    for each in (name, *aliases):
        if function:
            PUBLIC[each] = made
        if "." not in each and method is not False:
            setattr(Tensor, each, bound)


def _expose_inplace(name: str, made: Callable[..., Any], aliases: Sequence[str]) -> None:
    made.__name__ = made.__qualname__ = name.rpartition(".")[2] + "_"
    for each in (name, *aliases):
        if "." not in each:
            setattr(Tensor, each + "_", made)
            PUBLIC.setdefault(each + "_", made)


# ---- functions -------------------------------------------------------------------------------------------------------


def _functions(op: Op) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The public function of an operation, and its method: a fast path for what is usual, `bind` and `apply` for the
    rest."""
    function, method = (_general(op, of_method) for of_method in (False, True))
    if op.quick is None:
        return function, method
    quick = quick_unary if len(op.operands) == 1 else quick_binary
    return quick(op, op.quick, function), quick(op, op.quick, method)


def _general(op: Op, of_method: bool) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if not kwargs:
                place = op.variadic
                if place is not None and len(args) > place and type(args[place]) is int:
                    args = (*args[:place], args[place:])
                tail = op.tails.get(len(args))
                if tail is not None:
                    return apply(op, args + tail)
            if (of_method or op.view) and "out" in kwargs:  # as numpy's functions call methods
                wrong = "axis" if "axis" in kwargs else "out"
                raise TypeError(f"{op.shown}() got an unexpected keyword argument '{wrong}'")
            out = kwargs.get("out")
            named = {key: value for key, value in kwargs.items() if key != "out"} if "out" in kwargs else kwargs
            bound: Sequence[Any] = args
            if named or len(args) != len(op.params) or op.keyword_only or op.variadic is not None:
                bound = bind(op, args, named)
            return apply(op, bound) if out is None else _stored(op, out, apply(op, bound), bound)
        except Exception as error:
            kinds = dict(zip(op.params, op.annotations))
            return settle(call, error, op.name, kinds, args, kwargs, None, of_method)

    return call


def _stored(op: Op, out: Any, result: Any, args: Sequence[Any]) -> Any:
    """A result, written to what was given as `out=`."""
    if isinstance(result, tuple):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise TypeError(f"{op.shown}(): argument 'out' must be tuple of Tensors, not {type_name(out)}")
        made = [store_out(op.name, each, new, args, True) for each, new in zip(out, result, strict=True)]
        return op.returns(*made) if op.returns is not None else tuple(made)
    exact = not op.holomorphic and not any(many for _, _, many in op.operands)  # what moves elements casts none
    return store_out(op.name, out, result, args, exact)


__all__ = ["PUBLIC", "binary", "composite", "method", "op", "unary"]
