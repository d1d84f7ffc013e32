"""Element types: torch's `dtype` objects at the surface, `np.dtype` inside, and torch's promotion between them.

Everything in the engine computes with `np.dtype`; a `dtype` object is made from one (`from_numpy`) only where a user
looks. Promotion follows torch: the category (bool < integer < floating < complex) is what counts, and tensors with
dimensions weigh more than 0-d tensors, which weigh more than Python numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np

Number: TypeAlias = bool | int | float | complex
Operand: TypeAlias = tuple["np.dtype[Any]", int] | Number


class dtype:
    """An element type as torch shows it; there is one object per type, so `is` compares."""

    __module__ = "minigrad"  # where users find it
    __slots__ = (
        "_name",
        "abbr",
        "category",
        "cpp_name",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "legacy_name",
        "numpy",
        "tensor_type",
    )

    _name: str
    abbr: str  # torch's short name: "f32"
    category: int  # 0 bool, 1 integer, 2 floating, 3 complex
    cpp_name: str  # as some error messages spell it: "float", "long int", "c10::Half"
    is_complex: bool
    is_floating_point: bool
    is_signed: bool
    itemsize: int
    legacy_name: str  # as other error messages spell it: "Float", "Long", "Half"
    numpy: np.dtype[Any]
    tensor_type: str  # what `Tensor.type()` gives: "torch.FloatTensor"

    def __init__(self) -> None:
        raise TypeError("cannot create 'torch.dtype' instances")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"'torch.dtype' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return "torch." + self._name

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self._name,)

    def to_real(self) -> dtype:
        """The type of the real part."""
        return _BY_NUMPY[_REAL.get(self.numpy, self.numpy)]

    def to_complex(self) -> dtype:
        """The complex type whose parts have this type."""
        return _BY_NUMPY[_complex_of(self)]


def _make(name: str, abbr: str, cpp_name: str, legacy_name: str) -> dtype:
    new = dtype.__new__(dtype)
    numpy = np.dtype(name)
    for attribute, value in {
        "_name": name,
        "abbr": abbr,
        "category": {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}[numpy.kind],
        "cpp_name": cpp_name,
        "legacy_name": legacy_name,
        "is_complex": numpy.kind == "c",
        "is_floating_point": numpy.kind == "f",
        "is_signed": numpy.kind in "ifc",
        "itemsize": numpy.itemsize,
        "numpy": numpy,
        "tensor_type": f"torch.{legacy_name}Tensor",
    }.items():
        object.__setattr__(new, attribute, value)
    return new


float64 = double = _make("float64", "f64", "double", "Double")
float32 = _make("float32", "f32", "float", "Float")
float16 = half = _make("float16", "f16", "c10::Half", "Half")
int64 = long = _make("int64", "i64", "long int", "Long")
int32 = _make("int32", "i32", "int", "Int")
int16 = short = _make("int16", "i16", "short int", "Short")
int8 = _make("int8", "i8", "signed char", "Char")
uint8 = _make("uint8", "u8", "unsigned char", "Byte")
bool_ = _make("bool", "b8", "bool", "Bool")
complex64 = cfloat = _make("complex64", "c64", "c10::complex<float>", "ComplexFloat")
complex128 = cdouble = _make("complex128", "c128", "c10::complex<double>", "ComplexDouble")


class _Bfloat16(dtype):
    """A type that code may name and ask about, and that no tensor can have here."""

    __module__ = "minigrad"
    __slots__ = ()

    @property
    def numpy(self) -> np.dtype[Any]:  # type: ignore[override]
        raise NotImplementedError("numpy has no bfloat16: use float32, or float16 for as little memory")


bfloat16: dtype = _Bfloat16.__new__(_Bfloat16)
for _name, _value in {
    "_name": "bfloat16", "abbr": "bf16", "category": 2, "cpp_name": "c10::BFloat16", "legacy_name": "BFloat16",
    "is_complex": False, "is_floating_point": True, "is_signed": True, "itemsize": 2,
    "tensor_type": "torch.BFloat16Tensor",
}.items():  # fmt: skip
    object.__setattr__(bfloat16, _name, _value)

ALL: Final = (float64, float32, float16, int64, int32, int16, int8, uint8, bool_, complex64, complex128)

_BY_NUMPY: Final[dict[np.dtype[Any], dtype]] = {each.numpy: each for each in ALL}
_BY_PYTHON: Final[dict[type, dtype]] = {bool: bool_, int: int64, float: float64, complex: complex128}
_CATEGORY: Final[dict[np.dtype[Any], int]] = {each.numpy: each.category for each in ALL}
_COMPLEX: Final = {float32.numpy: complex64.numpy, float64.numpy: complex128.numpy}
_REAL: Final = {c: r for r, c in _COMPLEX.items()}


def _by_name(name: str) -> dtype:
    return _BY_NUMPY[np.dtype(name)]


def from_numpy(numpy: np.dtype[Any]) -> dtype:
    """The element type of an array; TypeError for an array type that tensors don't have."""
    found = _BY_NUMPY.get(numpy)
    if found is None:
        if not numpy.isnative:
            raise ValueError(
                "given numpy array has byte order different from the native byte order. "
                "Conversion between byte orders is currently not supported."
            )
        raise TypeError(
            f"can't convert np.ndarray of type {numpy.type.__module__}.{numpy.type.__name__}. The only supported types "
            "are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, "
            "uint8, and bool."
        )
    return found


def as_numpy(given: object, function: str, argument: str = "argument 'dtype'") -> np.dtype[Any]:
    """The `np.dtype` of a `dtype` or of one of Python's `bool`, `int`, `float`, `complex`; TypeError for others.

    `function` and `argument` say in the error, as torch does, which argument of which function was wrong.
    """
    if isinstance(given, dtype):
        return given.numpy
    if isinstance(given, type) and given in _BY_PYTHON:
        return _BY_PYTHON[given].numpy
    raise TypeError(f"{function}(): {argument} must be torch.dtype, not {type(given).__name__}")


def check_number(number: object) -> None:
    """OverflowError for an integer of more than 64 bits, which torch takes nowhere."""
    if isinstance(number, int) and not -(2**63) <= number < 2**64:
        raise OverflowError("int too big to convert" if number > 0 else "can't convert negative int to unsigned")


# ---- the default floating type -------------------------------------------------------------------------------------


class _Default:
    """What Python floats become. torch keeps it per process, and so it is here."""

    floating: np.dtype[Any] = float32.numpy
    complex: np.dtype[Any] = complex64.numpy


def get_default_dtype() -> dtype:
    """The type that Python floats become: float32 unless it was changed."""
    return _BY_NUMPY[_Default.floating]


def set_default_dtype(d: dtype) -> None:
    """Set the type that Python floats become; Python complex numbers follow it."""
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    if d is float16:
        raise NotImplementedError("float16 as the default type: numpy has no complex type of its width")
    _Default.floating = d.numpy
    _Default.complex = _COMPLEX[d.numpy]


def default_float() -> np.dtype[Any]:
    """The type that Python floats become, as a `np.dtype`."""
    return _Default.floating


def of_number(number: Number) -> np.dtype[Any]:
    """The type a Python number has as an operand: bool, int64, or the default floating or complex type."""
    kind = type(number)
    if kind is float:
        return _Default.floating
    if kind is int:
        return int64.numpy
    if isinstance(number, (bool, np.bool_)):
        return bool_.numpy
    if isinstance(number, (int, np.integer)):
        return int64.numpy
    return _Default.floating if isinstance(number, (float, np.floating)) else _Default.complex


# ---- promotion -----------------------------------------------------------------------------------------------------


def _complex_of(of: dtype) -> np.dtype[Any]:
    if of.is_complex:
        return of.numpy
    if not of.is_floating_point:
        raise RuntimeError(f"Unknown Complex ScalarType for {of.legacy_name}")
    if of is float16:
        raise NotImplementedError("complex32 (float16 with a complex number): numpy has no complex type of its width")
    return _COMPLEX[of.numpy]


def _promoted(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    low, high = sorted((a, b), key=_CATEGORY.__getitem__)
    if _CATEGORY[low] == 1 and _CATEGORY[high] > 1:
        return high  # an integer never widens a floating type, as it does in numpy
    return np.promote_types(low, high)


_PROMOTED: Final = {(a.numpy, b.numpy): _promoted(a.numpy, b.numpy) for a in ALL for b in ALL}


def _under(higher: np.dtype[Any] | None, lower: np.dtype[Any] | None) -> np.dtype[Any] | None:
    """What `higher` becomes beside operands of less weight: only their category can change it."""
    if higher is None or lower is None:
        return higher or lower
    high, low = _CATEGORY[higher], _CATEGORY[lower]
    if low <= high:
        return higher
    if high == 2:
        return _complex_of(_BY_NUMPY[higher])
    return _PROMOTED[higher, lower]


def result_type(operands: Iterable[Operand]) -> np.dtype[Any]:
    """The type that an operation computes in, for at least one operand.

    An operand is a tensor's `(np.dtype, ndim)` or a Python number. NotImplementedError where torch answers complex32.
    """
    with_dimensions = without = numbers = None
    for operand in operands:
        if not isinstance(operand, tuple):
            kind = of_number(operand)
            numbers = kind if numbers is None else _PROMOTED[numbers, kind]
        elif operand[1]:
            kind = operand[0]
            with_dimensions = kind if with_dimensions is None else _PROMOTED[with_dimensions, kind]
        else:
            kind = operand[0]
            without = kind if without is None else _PROMOTED[without, kind]
    result = _under(with_dimensions, _under(without, numbers))
    assert result is not None, "result_type needs an operand"
    return result


def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The smallest type of at least both categories and sizes."""
    return _PROMOTED[a, b]


def castable(from_: np.dtype[Any], to: np.dtype[Any]) -> bool:
    """Whether a result may be written into a type: not from a higher category to a lower one."""
    return _CATEGORY[from_] <= _CATEGORY[to]


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type of at least both categories and sizes, as `torch.promote_types`."""
    return _BY_NUMPY[
        _PROMOTED[
            as_numpy(type1, "promote_types", "argument 'type1' (position 1)"),
            as_numpy(type2, "promote_types", "argument 'type2' (position 2)"),
        ]
    ]


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether promotion allows the cast, as `torch.can_cast`."""
    return castable(
        as_numpy(from_, "can_cast", "argument 'from_' (position 1)"),
        as_numpy(to, "can_cast", "argument 'to' (position 2)"),
    )


# ---- limits --------------------------------------------------------------------------------------------------------


class _Info:
    __slots__ = ("bits", "dtype", "max", "min")
    bits: int
    dtype: str
    max: float
    min: float
    _shown: tuple[str, ...] = ("min", "max")

    def _text(self) -> str:
        return ", ".join(f"{name}={getattr(self, name):g}" for name in self._shown)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text()}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Info) and type(other) is type(self) and other.dtype == self.dtype

    __hash__ = None  # type: ignore[assignment]


class finfo(_Info):
    """The limits of a floating type (of the parts, for a complex one), as `torch.finfo`."""

    __slots__ = ("eps", "resolution", "smallest_normal", "tiny")
    _shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        numpy = _Default.floating if type is None else as_numpy(type, "finfo", "argument 'type' (position 1)")
        if _CATEGORY[numpy] < 2:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        limits = np.finfo(numpy)
        self.bits, self.dtype = int(limits.bits), str(limits.dtype)
        self.min, self.max, self.eps = float(limits.min), float(limits.max), float(limits.eps)
        self.smallest_normal = self.tiny = float(limits.smallest_normal)
        self.resolution = float(f"1e-{limits.precision}")


class iinfo(_Info):
    """The limits of an integer type, as `torch.iinfo`."""

    __slots__ = ()

    def __init__(self, type: dtype) -> None:
        numpy = as_numpy(type, "iinfo", "argument 'type' (position 1)")
        if _CATEGORY[numpy] > 1:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        if not _CATEGORY[numpy]:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        limits = np.iinfo(numpy)
        self.bits, self.dtype = int(limits.bits), str(limits.dtype)
        self.min, self.max = int(limits.min), int(limits.max)
