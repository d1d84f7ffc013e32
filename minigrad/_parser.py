"""What torch's argument parser says of a call: asked once something went wrong, so that calls that fit cost nothing.

Torch reads the arguments of a function by a list of signatures (`_signatures` holds it), and has its own words for
those that fit none. What is here follows its parser (`torch/csrc/utils/python_arg_parser.cpp`, `invalid_arguments.cpp`)
step by step, down to what looks like an oversight: the plural of "arguments", and optional arguments that count as
mismatched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from minigrad import _device, _dtype
from minigrad._signatures import SIGNATURES
from minigrad._text import type_name
from minigrad._warning import warn_once

_SHOWN: Final = {
    "Tensors": "tuple of Tensors", "ints": "tuple of ints", "floats": "tuple of floats", "Numbers": "tuple of Scalars",
    "Generator": "torch.Generator", "dtype": "torch.dtype", "layout": "torch.layout", "device": "torch.device",
    "memory_format": "torch.memory_format",
}  # fmt: skip
_NUMPY: Final = {"dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",)}
_NUMBERS_FOR_TENSORS: Final = {
    f"{each}{end}" for end in ("", "_")
    for each in ("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "floor_divide")
} | {"copy_"}  # fmt: skip
_SCALARS: Final = (bool, int, float, complex, np.number, np.bool_)


class _Param(NamedTuple):
    kind: str  # "Tensor", "ints", …
    name: str
    size: int  # of a list that may be given as one number; 0 where it may not
    default: str | None
    allow_none: bool
    keyword_only: bool

    @property
    def shown(self) -> str:
        """The type, in errors."""
        return _SHOWN.get(self.kind, self.kind)

    def __str__(self) -> str:
        return f"{self.shown} {self.name}" + ("" if self.default is None else f" = {self.default}")


class _Signature(NamedTuple):
    params: tuple[_Param, ...]
    hidden: bool

    @property
    def least(self) -> int:
        """How many arguments must be given."""
        return sum(each.default is None for each in self.params)

    @property
    def positional(self) -> int:
        """How many may be given by position."""
        return sum(not each.keyword_only for each in self.params)

    def __str__(self) -> str:
        parts: list[str] = []
        for each in self.params:
            if each.keyword_only and "*" not in parts:
                parts.append("*")
            parts.append(str(each))
        return f"({', '.join(parts)})"


def refusal(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> TypeError | None:
    """The error of torch's parser for a call, if it has one; `name` as in `_signatures`, a method's with its dot."""
    text = _refusal(_shown(name), _signatures(name), args, kwargs)
    return None if text is None else TypeError(text)


def parse(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, None for what is not given, as the first signature has them that they fit;
    TypeError if they fit none."""
    for each in _signatures(name):
        try:
            return {param.name: value for param, value in _parse(_shown(name), each, args, kwargs)}
        except _MismatchError:
            continue
    raise refusal(name, args, kwargs) or TypeError(f"{_shown(name)}(): invalid arguments")


def renewed(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments by name, with torch's warning, of a call in an old form, such as `x.add(2, y)`."""
    shown, signatures = _shown(name), _signatures(name)
    if not signatures or not signatures[-1].hidden:
        return None
    for each in signatures:
        try:
            found = _parse(shown, each, args, kwargs)
        except _MismatchError:
            continue
        if not each.hidden:
            return None
        better = "".join(f"\n\t{shown}{other}" for other in signatures if not other.hidden)
        warn_once(
            f"This overload of {shown} is deprecated:\n\t{shown}{each}\nConsider using one of the following signatures"
            f" instead:{better}"
        )
        return {param.name: value for param, value in found if value is not None}
    return None


def with_numbers(
    name: str, kinds: Mapping[str, str], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments with numbers for the tensors of one number that torch takes for such; None without any.

    `kinds` has the annotation of each parameter, for a function without signatures (of nn.functional, say).
    """
    signatures = _signatures(name)
    if not signatures:
        wanted = [key for key, kind in kinds.items() if "int" in kind or "float" in kind]
        given = {**dict(zip(kinds, args)), **kwargs}
        plain = {key: each for key in wanted if key in given and (each := _plain(given[key])) is not given[key]}
        listed = [plain.get(key, each) for key, each in zip(kinds, args)] + [*args[len(kinds) :]]
        return (listed, {key: plain.get(key, each) for key, each in kwargs.items()}) if plain else None
    for signature in signatures:
        try:
            found = _parse(name, signature, args, kwargs)
            _unpack(name, found)
        except _MismatchError:
            continue
        changed = [(place, param, plain) for place, (param, value) in enumerate(found)
                   if (plain := _number(param, value)) is not value]  # fmt: skip
        listed, named = list(args), dict(kwargs)
        for place, param, plain in changed:
            if found[place][1] is args:
                listed = plain
            elif place < len(args):
                listed[place] = plain
            else:
                named[next(each for each in (param.name, *_NUMPY.get(param.name, ())) if each in kwargs)] = plain
        return (listed, named) if changed else None
    return None


def _number(param: _Param, value: Any) -> Any:
    if param.kind not in ("int", "ints", "float", "floats", "Number", "Numbers"):
        return value
    plain = _plain(value)
    return int(plain) if plain is not value and param.kind in ("int", "ints") and isinstance(plain, bool) else plain


def _plain(value: Any) -> Any:
    """The number of a tensor, the numbers of a list of tensors."""
    if isinstance(value, (tuple, list)):
        return [each.item() if _is_tensor(each) else each for each in value] if any(map(_is_tensor, value)) else value
    return value.item() if _is_tensor(value) and value._data.size == 1 and not value.requires_grad else value


def _shown(name: str) -> str:
    """The name in errors."""
    return name.removeprefix("nn.functional.").removeprefix(".").replace(".", "_")


def _refusal(shown: str, signatures: Sequence[_Signature], args: Sequence[Any], kwargs: dict[str, Any]) -> str | None:
    if not signatures:
        return None
    try:
        if len(signatures) == 1:
            _unpack(shown, _parse(shown, signatures[0], args, kwargs))
            return None
        for each in signatures:
            try:
                found = _parse(shown, each, args, kwargs)
            except _ElementError:
                raise
            except _MismatchError:
                continue
            _unpack(shown, found)
            return None
        count = len(args) + len(kwargs)
        plausible = [each for each in signatures if each.least <= count <= len(each.params) and not each.hidden]
        if len(plausible) == 1:
            _parse(shown, plausible[0], args, kwargs)
    except _MismatchError as error:
        return error.text
    return _combination(shown, [str(each) for each in signatures if not each.hidden], args, kwargs)


class _MismatchError(Exception):
    def __init__(self, text: str) -> None:
        self.text = text


class _ElementError(_MismatchError):
    """Of an element of a list of tensors: torch looks at no other signature."""


@cache
def _signatures(name: str) -> tuple[_Signature, ...]:
    found = [_signature(text) for text in _table().get(name, ())]
    return tuple(sorted(found, key=lambda each: each.hidden))


@cache
def _table() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in SIGNATURES.strip().splitlines():
        name, _, rest = line.partition("(")
        found.setdefault(name, []).append(rest)
    return found


def _signature(text: str) -> _Signature:
    inside, _, mark = text.rpartition(")")
    params: list[_Param] = []
    keyword_only = False
    for part in re.split(r", (?![^\[]*\])", inside) if inside else ():
        if part == "*":
            keyword_only = True
            continue
        kind, name = part.split(" ", 1)
        name, _, default = name.partition("=")
        bare = re.fullmatch(r"(\w+)(?:\[(\d+)\])?(\??)", kind)
        assert bare is not None
        params.append(
            _Param(bare[1], name, int(bare[2] or 0), default or None, bool(bare[3]) or default == "None", keyword_only)
        )
    return _Signature(tuple(params), bool(mark))


def _parse(shown: str, signature: _Signature, args: Sequence[Any], kwargs: dict[str, Any]) -> list[tuple[_Param, Any]]:
    """Match the arguments with the parameters one by one, as torch does; _MismatchError for the first misfit."""
    found: list[tuple[_Param, Any]] = []
    params, given = signature.params, len(args)
    any_number = signature.positional == 1 and params[0].kind == "ints"
    if given > signature.positional and not any_number:
        raise _MismatchError(_too_many(shown, signature, given))
    place, left = 0, len(kwargs)
    for number, param in enumerate(params):
        by_name = place >= given
        if not by_name:
            if param.keyword_only:
                raise _MismatchError(_too_many(shown, signature, given))
            value, present = args[place], True
        else:
            key = next((each for each in (param.name, *_NUMPY.get(param.name, ())) if each in kwargs), None)
            value, present = (kwargs[key], True) if key is not None else (None, False)
        failed = None
        if not present and param.default is None and not (param.allow_none and param.default is not None):
            raise _MismatchError(_missing(shown, params[number:]))
        if present and not (value is None and param.allow_none):
            failed = _misfit(shown, param, number, value)
            several = failed is not None and any_number and place == 0 and not by_name
            if several and _misfit(shown, param, number, args) is None:
                found.append((param, args))
                place = given
                continue
            if several and given > signature.positional:
                raise _MismatchError(_too_many(shown, signature, given))
        if failed is not None:
            where = "" if by_name else f" (position {place + 1})"
            what = f"not {type_name(value)}"
            if failed == 0 and not by_name:
                what = f"but found element of type {type_name(value[0])} at pos 0"
            raise _MismatchError(f"{shown}(): argument '{param.name}'{where} must be {param.shown}, {what}")
        found.append((param, value))
        if not by_name:
            place += 1
        elif present:
            left -= 1
    if left > 0:
        raise _MismatchError(_unexpected(shown, params, kwargs, given))
    return found


def _unpack(shown: str, values: Sequence[tuple[_Param, Any]]) -> None:
    """Read the elements of lists, of which so far the first alone was looked at; _MismatchError for what is none."""
    for param, value in values:
        for place, each in enumerate(value if param.kind == "ints" and isinstance(value, (tuple, list)) else ()):
            if not (_is_index(each) or isinstance(each, bool) and place):
                start = f"{shown}(): argument '{param.name}' failed to unpack the object at pos {place + 1}"
                reason = f'"type must be {param.shown},but got {type_name(each)}"'
                raise _MismatchError(f"{start} with error {reason}")


def _too_many(shown: str, signature: _Signature, given: int) -> str:
    most = signature.positional
    if signature.least != most:
        return f"{shown}() takes from {signature.least} to {most} positional arguments but {given} were given"
    was = "was" if given == 1 else "were"
    return f"{shown}() takes {most} positional argument{'' if most == 1 else 's'} but {given} {was} given"


def _missing(shown: str, params: Sequence[_Param]) -> str:
    names = [f'"{each.name}"' for each in params if each.default is None]
    plural = "s" if len(names) == 1 else ""  # so it is in torch
    return f"{shown}() missing {len(names)} required positional argument{plural}: {', '.join(names)}"


def _unexpected(shown: str, params: Sequence[_Param], kwargs: dict[str, Any], given: int) -> str:
    for key in kwargs:
        place = next((i for i, each in enumerate(params) if key == each.name), None)  # numpy's names count as unknown
        if place is None:
            return f"{shown}() got an unexpected keyword argument '{key}'"
        if place < given:
            return f"{shown}() got multiple values for argument '{key}'"
    return "invalid keyword arguments"


def _misfit(shown: str, param: _Param, number: int, value: Any) -> int | None:
    """None if a value fits a parameter; else which element of it does not, -1 for the value itself."""
    if param.kind in ("ints", "floats", "Numbers"):
        if isinstance(value, (tuple, list)):
            return None if not value or _FITS[f"{param.kind} element"](value[0]) else 0
        return None if param.size and _FITS[param.kind](value) else -1
    if param.kind == "Tensors":
        if not isinstance(value, (tuple, list)):
            return -1
        for place, each in enumerate(value):
            if not _is_tensor(each):
                raise _ElementError(
                    f"expected Tensor as element {place} in argument {number}, but got {type_name(each)}"
                )
        return None
    if param.kind == "Tensor" and shown in _NUMBERS_FOR_TENSORS and isinstance(value, _SCALARS):
        return None
    return None if _FITS[param.kind](value) else -1


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "_data") and hasattr(value, "_edge")


def _is_plain(value: Any, kinds: str) -> bool:
    """Whether a value is a tensor of one number, which no gradient is asked for."""
    return _is_tensor(value) and not value.requires_grad and not value._data.ndim and value._data.dtype.kind in kinds


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) or _is_plain(value, "iu")


def _is_index(value: Any) -> bool:
    return _is_int(value) or not isinstance(value, (bool, np.bool_)) and (
        _is_tensor(value) and value._data.size == 1 and value._data.dtype.kind in "iu"
        if _is_tensor(value) else hasattr(value, "__index__")
    )  # fmt: skip


def _is_float(value: Any) -> bool:
    return isinstance(value, (float, int, np.floating, np.integer)) or _is_plain(value, "biufc")


_FITS: Final[dict[str, Any]] = {
    "Tensor": _is_tensor,
    "Number": lambda value: isinstance(value, _SCALARS) or _is_plain(value, "biufc"),
    "Numbers": lambda value: False,
    "Numbers element": lambda value: isinstance(value, _SCALARS),
    "int": _is_int,
    "ints": lambda value: (
        isinstance(value, (int, np.integer))
        and not isinstance(value, bool)
        or (_is_tensor(value) and value._data.size == 1 and value._data.dtype.kind in "biu")
    ),
    "ints element": _is_index,
    "float": _is_float,
    "floats": _is_float,
    "floats element": _is_float,
    "bool": lambda value: isinstance(value, (bool, np.bool_)),
    "str": lambda value: isinstance(value, str),
    "dtype": lambda value: isinstance(value, _dtype.dtype) or value in (float, int, bool, complex),
    "layout": lambda value: isinstance(value, _device.layout),
    "memory_format": lambda value: isinstance(value, _device.memory_format),
    "device": lambda value: isinstance(value, (int, str, _device.device)) and not isinstance(value, bool),
    "Generator": lambda value: type(value).__name__ == "Generator",
    "object": lambda value: True,
    "Stream": lambda value: True,
}


def _combination(shown: str, options: Sequence[str], args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """The error for arguments that fit none of several signatures, as torch writes it.

    Torch splits the text of a signature at its commas: so `*` counts as a parameter, and what has a default is named
    by that.
    """
    named = dict(reversed(kwargs.items()))
    got = ", ".join([*map(type_name, args), *(f"{key}={type_name(each)}" for key, each in named.items())])
    got += ", " if kwargs and not args else ""  # so it is in torch
    start = f"{shown}() received an invalid combination of arguments - got"
    if len(options) == 1:
        parts = _parts(options[0])
        unmatched = _unmatched(parts, named)
        if unmatched:
            return f"{start} unrecognized keyword arguments: {', '.join(unmatched)}"
        told = _marked(parts, args, named) if len(parts) == len(args) + len(kwargs) else f"({got})"
        return f"{start} {told}, but expected {options[0]}"
    lines = [f"{start} ({got}), but expected one of:"]
    for option in options:
        lines.append(f" * {option}")
        parts = _parts(option)
        if len(parts) == len(args) + len(kwargs):
            unmatched = _unmatched(parts, named)
            reason = (
                f"some of the keywords were incorrect: {', '.join(unmatched)}" if unmatched
                else f"some of the arguments have invalid types: {_marked(parts, args, named)}"
            )  # fmt: skip
            lines.append(f"      didn't match because {reason}")
    return "\n".join([*lines, ""])


def _parts(option: str) -> list[tuple[str, str]]:
    """The type and the name of each parameter, as torch reads them from the text of a signature."""
    inside = option[1:-1]
    return [(part.rpartition(" ")[0], part.rpartition(" ")[2]) for part in inside.split(", ")]


def _unmatched(parts: Sequence[tuple[str, str]], kwargs: dict[str, Any]) -> list[str]:
    names = [name for _, name in parts[max(len(parts) - len(kwargs), 0) :]]
    return [key for key in kwargs if key not in names]


def _marked(parts: Sequence[tuple[str, str]], args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """The types of the arguments, those that do not fit between exclamation marks."""
    found = []
    for number, (kind, name) in enumerate(parts):
        by_name = number >= len(args)
        value = kwargs[name] if by_name else args[number]
        fits = type_name(value) in {"float": ("float", "int"), "int": ("int",)}.get(kind, (kind,))
        text = (f"{name}=" if by_name else "") + type_name(value)
        found.append(text if fits else f"!{text}!")
    return f"({', '.join(found)})"
