"""Torch's words for arguments that do not fit; they are looked for once something went wrong, and cost nothing before.

The errors of functions count the tensor among the arguments, those of methods do not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minigrad._text import type_name

if TYPE_CHECKING:
    from minigrad._op import Op

_POSITION: Final = re.compile(r"\(position (\d+)\)")
_TAKES: Final = re.compile(r"(\w+)\(\) takes (\d+) positional arguments? but (\d+) were given")


def as_method(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """The function as a method, whose TypeErrors count arguments without the tensor; `name`: another for its errors."""

    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.args and isinstance(error.args[0], str):
                error.args = (_of_method(error.args[0], name), *error.args[1:])
            raise

    return method


def _of_method(text: str, name: str) -> str:
    text = _POSITION.sub(lambda found: f"(position {int(found[1]) - 1})", text)
    text = _TAKES.sub(_takes, text)
    return name + text[text.index("(") :] if name and text.startswith(name.removesuffix("_") + "(") else text


def _takes(found: re.Match[str]) -> str:
    wanted, given = int(found[2]) - 1, int(found[3]) - 1
    if not wanted:
        return f"TensorBase.{found[1]}() takes no arguments ({given} given)"
    return f"{found[1]}() takes {wanted} positional argument{'s' * (wanted > 1)} but {given} were given"


def mismatch(op: Op, args: Sequence[Any]) -> TypeError | None:
    """The error for the first argument that is not of its declared type, if there is one."""
    for position, (param, kind, value) in enumerate(zip(op.params, op.annotations, args, strict=False), 1):
        wanted = {"int": "int", "Size": "tuple of ints", "bool": "bool"}.get(kind)
        if wanted is None or kind == "bool" and isinstance(value, (bool, int)) or _whole(value):
            continue
        start = f"{op.shown}(): argument '{param}'"
        if kind == "Size" and isinstance(value, (tuple, list)):
            place = next((i for i, each in enumerate(value) if not _whole(each)), None)
            if place is None:
                continue
            given = type_name(value[place])
            if place:
                reason = f'failed to unpack the object at pos {place + 1} with error "type must be tuple of ints,but got'
                return TypeError(f'{start} {reason} {given}"')
            wanted += f", but found element of type {given} at pos 0"
        else:
            wanted += f", not {type_name(value)}"
        return TypeError(f"{start} (position {position}) must be {wanted}")
    return None


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) or getattr(value, "shape", None) == () and hasattr(value, "__index__")
