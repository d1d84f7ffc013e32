"""The forms in which operations are declared, and where a declaration is published.

One declaration makes the function (`minigrad.sin`, `minigrad.linalg.inv`), the method (`Tensor.sin`), the in-place
method (`Tensor.sin_`), `out=`, and the two entries of the namespaces that formulas compute with.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, overload

from minigrad._apply import apply, apply_inplace, store_out
from minigrad._arguments import bind, checked, like, settle
from minigrad._op import ALIASES, OPS, RAW, RECORDED, Formula, Op
from minigrad._quick import quick_binary, quick_unary
from minigrad._tensor import Tensor
from minigrad._text import type_name

Function = TypeVar("Function", bound=Callable[..., Any])

PUBLIC: Final[dict[str, Callable[..., Any]]] = {}  # dotted torch name -> function
DECLARED: Final[dict[str, str]] = {}  # names under which a function is published too, and the one it is declared by


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
        _expose(full, _renaming(made, full, False), functools.partial(_renaming, made), method, True, aliases)
        if inplace is not None:
            _expose_inplace(full, lambda each: _renaming(inplace, each, True), aliases)
        return made

    return declare if function is None else declare(function)


def _renaming(made: Callable[..., Any], full: str, of_method: bool) -> Callable[..., Any]:
    """A function of tensors that also takes its arguments by their other names (`input`, `axis`), and `out`."""
    accepted: set[Any] = set()
    code = made.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    takes_any = bool(code.co_flags & inspect.CO_VARKEYWORDS)
    made.__qualname__ = full.removeprefix("nn.functional.").replace(".", "_")  # in Python's own errors

    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            given = (*map(type, args), *kwargs, *map(type, kwargs.values())) if kwargs else (*map(type, args),)
            if given not in accepted:
                checked(full, args, kwargs, of_method)
                accepted.add(given)
            if not kwargs:
                return made(*args)
            if takes_any:
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
        _expose(name or made.__name__, made, lambda full, of_method: made, True, False, ())
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
    made = _function(op, "", False)  # for formulas, which may give arguments that torch's own functions refuse
    _expose(op.name, made, functools.partial(_function, op), method, function, aliases)
    if inplace:
        _expose_inplace(op.name, functools.partial(_writing, op if inplace is True else inplace), aliases)
    return made


def _expose(
    name: str,
    made: Callable[..., Any],
    make: Callable[[str, bool], Callable[..., Any]],
    method: bool | None,
    function: bool,
    aliases: Sequence[str],
) -> None:
    """Put a function where formulas and users find it: plain names are methods too unless said otherwise.

    `make`: makes what users call of its full name, which errors have, and of whether it is a method.
    """
    setattr(RECORDED, name.replace(".", "_"), _named(made, name))
    for each in (name, *aliases):
        if each != name:
            DECLARED[each] = name
        if function:
            PUBLIC[each] = _named(make(each, False), each)
        if "." not in each and method is not False:
            setattr(Tensor, each, _named(make(each, True), each))


def _expose_inplace(name: str, make: Callable[[str], Callable[..., Any]], aliases: Sequence[str]) -> None:
    for each in (name, *aliases):
        if "." not in each:
            made = _named(make(f"{each}_"), f"{each}_")
            setattr(Tensor, f"{each}_", made)
            PUBLIC.setdefault(f"{each}_", made)


def _named(made: Callable[..., Any], name: str) -> Callable[..., Any]:
    made.__name__ = made.__qualname__ = name.rpartition(".")[2]
    return made


# ---- functions -------------------------------------------------------------------------------------------------------


def _function(op: Op, full: str, of_method: bool) -> Callable[..., Any]:
    """The public function of an operation, or its method: a fast path for what is usual, `bind` and `apply` for the
    rest."""
    general = _general(op, full, of_method)
    if op.quick is None:
        return general
    return (quick_unary if len(op.operands) == 1 else quick_binary)(op, op.quick, general)


def _general(op: Op, full: str, of_method: bool) -> Callable[..., Any]:
    ways: dict[Any, _Way | None] = {}  # by the types of the arguments, and the names of those that have one

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = (*map(type, args), *kwargs, *map(type, kwargs.values())) if kwargs else (*map(type, args),)
            way = ways.get(given)
            if way is not None:
                if way.packed is not None:
                    args = (*args[: way.packed], args[way.packed :])
                if not kwargs:
                    return apply(op, args + way.tail)
                bound: list[Any] = [*args, *way.tail]
                for place, value in zip(way.places, kwargs.values()):
                    bound[place] = value
                return apply(op, bound)
            if given not in ways:
                checked(full, args, kwargs, of_method)
                ways[given] = _way(op, args, kwargs)
            if (of_method or op.view) and "out" in kwargs:  # as numpy's functions call methods
                wrong = "axis" if "axis" in kwargs else "out"
                raise TypeError(f"{op.shown}() got an unexpected keyword argument '{wrong}'")
            out = kwargs.get("out")
            bound = bind(op, args, {key: value for key, value in kwargs.items() if key != "out"})
            return apply(op, bound) if out is None else _stored(op, out, apply(op, bound), bound)
        except Exception as error:
            kinds = dict(zip(op.params, op.annotations))
            return settle(call, error, full, kinds, args, kwargs, None, of_method, full if of_method else "")

    return call


class _Way(NamedTuple):
    """How the arguments of a call are put in declared order."""

    packed: int | None  # from where on they are one, as in x.permute(1, 0)
    tail: tuple[Any, ...]  # the defaults of what is not given by position
    places: tuple[int, ...]  # of those given by name


def _way(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Way | None:
    """How all calls with arguments of these types are bound; None if there is more to it. TypeError as `bind`."""
    if "out" in kwargs:
        return None
    bind(op, args, kwargs)
    packed = op.variadic
    if packed is not None:
        if packed >= len(args) or isinstance(args[packed], (tuple, list)):
            packed = None
        elif type(args[packed]) is int:
            args = (*args[:packed], args[packed:])
        else:
            return None
    return _Way(packed, op.tail[len(args) :], tuple(op.places_by_name[each] for each in kwargs))


def _writing(op: Op, full: str) -> Callable[..., Any]:
    """The in-place method of an operation."""
    accepted: set[Any] = set()
    kinds = dict(zip(op.params, op.annotations))

    def write(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        try:
            given = (*map(type, args), *kwargs, *map(type, kwargs.values()))
            if given not in accepted:
                checked(full, (self, *args), kwargs, True)
                accepted.add(given)
            return apply_inplace(op, bind(op, (self, *args), kwargs))
        except Exception as error:
            return settle(write, error, full, kinds, (self, *args), kwargs, None, True, full)

    return write


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
