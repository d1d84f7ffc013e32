"""How a tensor and a size print: character for character what torch prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import index
from typing import Any, SupportsIndex, overload

import numpy as np

from minigrad import _dtype

# ---- options -------------------------------------------------------------------------------------------------------


class _Options:
    """What `set_printoptions` sets, for the whole process, as in torch."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_NAMES = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")
_PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what is None stays as it is, but `sci_mode`, which None makes automatic again."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen = _PROFILES.get(profile or "", {}) | {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        setattr(_Options, name, value)
    _Options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options as a dictionary that `set_printoptions(**options)` takes."""
    return {name: getattr(_Options, name) for name in _NAMES}


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set the options of `set_printoptions` for a `with` block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


# ---- numbers -------------------------------------------------------------------------------------------------------


class _Formatter:
    """One way to write each of the shown values, chosen from all of them, and the width that they need."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.floating = array.dtype.kind == "f"
        self.int_mode, self.sci_mode, self.width = True, False, 1
        values = array.reshape(-1)
        if self.floating:
            values = values[np.isfinite(values) & (values != 0)]
            if not values.size:
                return
            # Python floats are doubles: float16 would overflow in the comparison below.
            sizes = [abs(value) for value in values.tolist()]
            low, high = min(sizes), max(sizes)
            self.int_mode = all(value.is_integer() for value in sizes)
            automatic = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
            self.sci_mode = automatic if _Options.sci_mode is None else _Options.sci_mode
        self.width = max(1, *map(len, map(self._bare, values.tolist()))) if values.size else 1

    def _bare(self, value: Any) -> str:
        if not self.floating:
            return f"{value}"
        if self.sci_mode:
            return f"{value:.{_Options.precision}e}"
        if self.int_mode:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_Options.precision}f}"

    def __call__(self, value: Any) -> str:
        return self._bare(value).rjust(self.width)


class _ComplexFormatter:
    """The real and the imaginary parts are formatted each in its own way."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.real, self.imag = _Formatter(array.real), _Formatter(array.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        imag = self.imag(value.imag).lstrip() + "j"
        return self.real(value.real) + (imag if imag[0] in "+-" else "+" + imag)


# ---- the whole -----------------------------------------------------------------------------------------------------


def _edges(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values that a summary shows (the formatter looks at no others)."""
    items = _Options.edgeitems
    if array.ndim == 0:
        return array
    if array.ndim > 1 and not items:
        return array[:0]
    if len(array) > 2 * items:
        array = np.concatenate([array[:items], array[-items:]])
    return array if array.ndim == 1 else np.stack([_edges(row) for row in array])


def _vector(values: list[str], indent: int, width: int) -> str:
    per_line = max(1, math.floor((_Options.linewidth - indent) / (width + 2)))
    lines = [", ".join(values[i : i + per_line]) for i in range(0, len(values), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _contents(
    array: np.ndarray[Any, Any], indent: int, summarize: bool, formatter: _Formatter | _ComplexFormatter
) -> str:
    if array.ndim == 0:
        return formatter(array.item())
    items = _Options.edgeitems
    ends = summarize and len(array) > 2 * items
    parts = [array[:items], array[len(array) - items :]] if ends else [array]
    if array.ndim == 1:
        written = [[formatter(value) for value in part.tolist()] for part in parts]
        dots = " ..." if items else "..."
    else:
        written = [[_contents(row, indent + 1, summarize, formatter) for row in part] for part in parts]
        dots = "..."
    values = [*written[0], dots, *written[1]] if ends else written[0]
    if array.ndim == 1:
        return _vector(values, indent, formatter.width)
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(values) + "]"


def tensor_str(
    array: np.ndarray[Any, Any],
    *,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    class_name: str = "tensor",
    tangent: object = None,
) -> str:
    """What `repr` gives for a tensor.

    Args:
        array: the values, of any shape and of a type that tensors have.
        requires_grad: whether to say so (a `grad_fn` says it already).
        grad_fn_name: the name of the node that made the tensor, such as "AddBackward0".
        class_name: "tensor", the name of a subclass, or "Parameter" for torch's two-line form.
        tangent: of a dual tensor.
    """
    if class_name == "Parameter":
        return "Parameter containing:\n" + tensor_str(array, requires_grad=requires_grad, grad_fn_name=grad_fn_name)
    prefix = class_name + "("
    indent = len(prefix)
    element = _dtype.from_numpy(array.dtype)
    default = _dtype.get_default_dtype()
    suffixes = []
    if array.size == 0:
        contents = "[]"
        if array.ndim != 1:
            suffixes.append(f"size={array.shape}")
        if element is not default:  # an empty tensor shows no value to tell int64 from
            suffixes.append(f"dtype={element}")
    else:
        summarize = array.size > _Options.threshold
        shown = _edges(array) if summarize else array
        formatter = _ComplexFormatter(shown) if element.is_complex else _Formatter(shown)
        contents = _contents(array, indent, summarize, formatter)
        if not _Options.edgeitems:
            suffixes.append(f"size={array.shape}")
        if element not in (default, default.to_complex(), _dtype.int64, _dtype.bool_):
            suffixes.append(f"dtype={element}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    return _with_suffixes(prefix + contents, suffixes, indent)


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > _Options.linewidth:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"


# ---- sizes ---------------------------------------------------------------------------------------------------------


class Size(tuple[int, ...]):
    """A shape: a tuple of ints that prints as torch.Size and keeps its type when sliced, added or repeated."""

    __module__ = "minigrad"  # where users find it
    __slots__ = ()

    def __new__(cls, sizes: Iterable[SupportsIndex] = ()) -> Size:
        values = tuple(sizes)
        try:
            return super().__new__(cls, map(index, values))
        except TypeError:
            position, wrong = next((i, each) for i, each in enumerate(values) if not hasattr(each, "__index__"))
            raise TypeError(
                f"torch.Size() takes an iterable of 'int' (item {position} is '{type(wrong).__name__}')"
            ) from None

    def numel(self) -> int:
        """How many elements a tensor of this size has."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice[Any, Any, Any]) -> Size: ...
    def __getitem__(self, key: SupportsIndex | slice[Any, Any, Any]) -> int | Size:
        found = super().__getitem__(key)
        return found if isinstance(found, int) else Size(found)

    def __add__(self, other: object) -> Size:
        if not isinstance(other, tuple):
            raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to torch.Size")
        return Size(super().__add__(other))

    def __radd__(self, other: tuple[int, ...]) -> Size:
        return Size(other + tuple(self))

    def __mul__(self, times: SupportsIndex) -> Size:
        return Size(super().__mul__(times))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)
