"""The arguments of a call in declared order, and torch's words for those that do not fit.

The words are looked for once something went wrong, and cost nothing before. The errors of functions count the tensor
among the arguments, those of methods do not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from minigrad._op import ALIASES, Op
from minigrad._text import type_name

Function = TypeVar("Function", bound=Callable[..., Any])

# Patterns, which `re` compiles when they are first needed.
_POSITION: Final = r"\(position (\d+)\)"
_MISSING: Final = r"(\w+)\(\) missing (\d+) required positional arguments?: (.*)"
_TAKES: Final = r"(\w+)\(\) takes (\d+) positional arguments? but (\d+) were given"


def settle(
    call: Callable[..., Any],
    error: Exception,
    full: str,
    kinds: Mapping[str, str],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    made: Callable[..., Any] | None = None,
    of_method: bool = False,
    name: str = "",
) -> Any:
    """What a call that failed comes to: the result of one that torch takes in another form as well, or an error.

    Such are old forms of functions, and tensors of one number for numbers. The error is torch's own for arguments that
    fit no signature, which it reads before all else; or the given one, in the words of a method if it is one. `full`:
    the full name of the function or method, `name`: another for its errors; `kinds`: the annotation of each parameter;
    `made`: a composition, whose own errors are put in torch's words.
    """
    from minigrad._parser import refusal, renewed, with_numbers  # read when they are needed

    key, given = (f".{full}", args[1:]) if of_method else (full, args)
    again = renewed(key, given, kwargs)
    if again is not None:
        return call(*args[:1] if of_method else (), **again)
    if any(hasattr(each, "_data") or isinstance(each, (tuple, list)) for each in (*args[1:], *kwargs.values())):
        plain = with_numbers(full, kinds, args, kwargs)
        if plain is not None:
            return call(*plain[0], **plain[1])
    refused = refusal(key, given, kwargs)
    if refused is not None:
        raise refused from None
    if made is not None and not kwargs and isinstance(error, (TypeError, AttributeError)):
        found = explained(made.__qualname__, made, args, error)
        if found is not error:
            error = found
            error.__suppress_context__ = True
    if of_method and type(error) is TypeError and error.args and isinstance(error.args[0], str):
        text = _of_method(error.args[0], name)
        if text != error.args[0]:
            raise TypeError(text, *error.args[1:]) from None
    raise error


def checked(full: str, args: Sequence[Any], kwargs: dict[str, Any], of_method: bool) -> None:
    """TypeError for arguments that torch's parser refuses, though numpy may take them: a bool for an int, say.

    The answer is of the types alone, so that it holds for all calls with the same: what lists hold is not looked at.
    """
    from minigrad._parser import refusal

    args, kwargs = [_opaque(each) for each in args], {key: _opaque(each) for key, each in kwargs.items()}
    refused = refusal(f".{full}" if of_method else full, args[1:] if of_method else args, kwargs)
    if refused is not None:
        raise refused


def _opaque(argument: Any) -> Any:
    """Nothing, for a list: it fits whatever a list may hold."""
    return () if isinstance(argument, (tuple, list)) else argument


def parsed(function: Function) -> Function:
    """The function, with torch's errors for arguments that fit no signature."""
    accepted: set[Any] = set()

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = (*map(type, args), *kwargs, *map(type, kwargs.values()))
            if given not in accepted:
                checked(function.__name__, args, kwargs, False)
                accepted.add(given)
            return function(*args, **kwargs)
        except Exception as error:
            return settle(call, error, function.__name__, function.__annotations__, args, kwargs)

    return like(call, function)  # type: ignore[return-value]


def like(made: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`made` with what describes `function`: `functools.wraps` takes longer, and there are a thousand to import."""
    made.__name__, made.__qualname__, made.__doc__ = function.__name__, function.__qualname__, function.__doc__
    made.__wrapped__ = function  # type: ignore[attr-defined]
    return made


def _of_method(text: str, name: str) -> str:
    text = re.sub(_POSITION, lambda found: f"(position {int(found[1]) - 1})", text)
    text = re.sub(_TAKES, functools.partial(_takes, name), text).replace("got (Tensor, ", "got (")
    return name + text[text.index("(") :] if name and text.startswith(name.removesuffix("_") + "(") else text


def _takes(name: str, found: re.Match[str]) -> str:
    wanted, given = int(found[2]) - 1, int(found[3]) - 1
    if not wanted:
        return f"TensorBase.{name or found[1]}() takes no arguments ({given} given)"
    return f"{found[1]}() takes {wanted} positional argument{'s' * (wanted > 1)} but {given} were given"


def explained(name: str, function: Callable[..., Any], args: Sequence[Any], error: Exception) -> Exception:
    """A composition's error in torch's words, if it comes from arguments left out or of another type than declared."""
    types = function.__annotations__
    missing = re.fullmatch(_MISSING, str(error))
    names = re.findall(r"'(\w+)'", missing[3]) if missing and missing[1] == function.__name__ else []
    if names:
        listed = ", ".join('"input"' if each == "self" else f'"{each}"' for each in names)
        plural = "s" if len(names) == 1 else ""  # so it is in torch
        return TypeError(f"{name}() missing {len(names)} required positional argument{plural}: {listed}")
    code = function.__code__
    params = code.co_varnames[: code.co_argcount]
    return _mismatch(name, params, [types.get(each, "") for each in params], args) or error


def combination_error(name: str, *args: Any, **kwargs: Any) -> TypeError:
    """Torch's error for arguments that fit none of several overloads."""
    got = [type(each).__name__ for each in args] + [f"{key}={type(each).__name__}" for key, each in kwargs.items()]
    return TypeError(
        f"{name}() received an invalid combination of arguments - got ({', '.join(got)}), but expected one of:"
    )


def mismatch(op: Op, args: Sequence[Any]) -> TypeError | None:
    """The error for the first argument that is not of its declared type, if there is one."""
    return _mismatch(op.shown.removeprefix("_"), op.params, op.annotations, args)


def _mismatch(name: str, params: Sequence[str], kinds: Sequence[str], args: Sequence[Any]) -> TypeError | None:
    for position, (param, kind, value) in enumerate(zip(params, kinds, args, strict=False), 1):
        if kind == "Tensor" and not hasattr(value, "_data"):
            param = "input" if param == "self" else param
            given = type_name(value)
            return TypeError(f"{name}(): argument '{param}' (position {position}) must be Tensor, not {given}")
        wanted = {"int": "int", "int | None": "int", "Size": "tuple of ints", "float": "Number"}.get(kind)
        if wanted is None or _whole(value) or value is None and kind != "int" or wanted == "Number" and _numeric(value):
            continue
        start = f"{name}(): argument '{param}'"
        if kind == "Size" and isinstance(value, (tuple, list)):
            place = next((i for i, each in enumerate(value) if not _whole(each)), None)
            if place is None:
                continue
            given = type_name(value[place])
            if place:
                reason = f'"type must be tuple of ints,but got {given}"'
                return TypeError(f"{start} failed to unpack the object at pos {place + 1} with error {reason}")
            wanted += f", but found element of type {given} at pos 0"
        else:
            wanted += f", not {type_name(value)}"
        return TypeError(f"{start} (position {position}) must be {wanted}")
    return None


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) or getattr(value, "shape", None) == () and hasattr(value, "__index__")


def _numeric(value: object) -> bool:
    return isinstance(value, (float, complex, np.generic)) or hasattr(value, "_data")


def argument_error(op: Op, i: int, given: Any, wanted: str = "Tensor") -> TypeError:
    """Torch's error for an argument of the wrong type."""
    param = "input" if op.params[i] == "self" else op.params[i]
    return TypeError(f"{op.shown}(): argument '{param}' (position {i + 1}) must be {wanted}, not {type_name(given)}")


def bind(op: Op, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """All arguments of a call in declared order; TypeError with torch's texts."""
    params = op.params
    positional = len(params) - op.keyword_only
    if op.required <= len(args) <= positional and (op.variadic is None or op.variadic >= len(args)):
        values = [*args, *op.tail[len(args) :]]
        named = 0
        for key, value in kwargs.items():
            place = op.places_by_name.get(key, -1)
            if place < len(args) or named >> place & 1:
                break  # the errors are below
            named |= 1 << place
            values[place] = value
        else:
            return values
    if op.variadic is not None and len(args) > op.variadic and _whole(args[op.variadic]):
        args = (*args[: op.variadic], tuple(args[op.variadic :]))
    if len(args) > positional:
        plural = "" if positional == 1 else "s"
        raise TypeError(f"{op.shown}() takes {positional} positional argument{plural} but {len(args)} were given")
    bound = dict(zip(params, args))
    for key, value in kwargs.items():
        name = key if key in params else ALIASES.get(key, key)
        if name not in params:
            _check_missing(op, {*bound, *(ALIASES.get(each, each) for each in kwargs), *kwargs})  # torch looks first
            raise TypeError(f"{op.shown}() got an unexpected keyword argument '{key}'")
        if name in bound:
            raise TypeError(f"{op.shown}() got multiple values for argument '{key}'")
        bound[name] = value
    _check_missing(op, bound)
    return [bound[name] if name in bound else op.defaults[name] for name in params]


def _check_missing(op: Op, given: Container[str]) -> None:
    """TypeError for parameters that have no default and are not given."""
    missing = [name for name in op.params if name not in given and name not in op.defaults]
    if missing:
        listed = ", ".join(f'"{"input" if name == "self" else name}"' for name in missing)
        plural = "s" if len(missing) == 1 else ""  # so it is in torch
        raise TypeError(f"{op.shown}() missing {len(missing)} required positional argument{plural}: {listed}")
