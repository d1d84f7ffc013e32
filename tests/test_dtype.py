"""minigrad's element types and promotion against torch's, exhaustively."""

import copy
import itertools
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

import minigrad
from minigrad import _dtype

NAMES = [repr(each).removeprefix("torch.") for each in _dtype.ALL]
NUMBERS = [True, 3, 2.5, 1j]
Operand = tuple[str, int] | bool | int | float | complex


def outcome(call: Callable[[], Any]) -> tuple[str, str]:
    try:
        return "value", repr(call())
    except (TypeError, RuntimeError, AttributeError, ValueError) as error:
        return type(error).__name__, str(error)


def of(module: Any, name: str) -> Any:
    return module.bool_ if module is _dtype and name == "bool" else getattr(module, name)


def torch_operand(operand: Operand) -> Any:
    return torch.ones((2,) * operand[1], dtype=of(torch, operand[0])) if isinstance(operand, tuple) else operand


def minigrad_operand(operand: Operand) -> _dtype.Operand:
    return (of(_dtype, operand[0]).numpy, operand[1]) if isinstance(operand, tuple) else operand


OPERANDS: list[Operand] = [*((name, ndim) for name in NAMES for ndim in (0, 1, 2)), *NUMBERS]


@pytest.mark.parametrize("default", ["float32", "float64"])
def test_every_pair_of_operands_has_torchs_result_type(default: str) -> None:
    torch.set_default_dtype(getattr(torch, default))
    _dtype.set_default_dtype(getattr(_dtype, default))
    try:
        for pair in itertools.product(OPERANDS, OPERANDS):
            expected = torch.result_type(*map(torch_operand, pair))
            if expected == torch.complex32:
                with pytest.raises(NotImplementedError, match="complex32"):
                    _dtype.result_type(map(minigrad_operand, pair))
            else:
                assert repr(_dtype.from_numpy(_dtype.result_type(map(minigrad_operand, pair)))) == repr(expected), pair
    finally:
        torch.set_default_dtype(torch.float32)
        _dtype.set_default_dtype(_dtype.float32)


def test_three_operands_promote_by_weight_first() -> None:
    for names in itertools.product(["uint8", "int8", "float32", "float64", "complex64"], repeat=3):
        for ndims in itertools.product((0, 1), repeat=3):
            operands: list[Operand] = list(zip(names, ndims, strict=True))
            expected = torch.addcmul(*map(torch_operand, operands)).dtype  # type: ignore[arg-type]
            assert repr(_dtype.from_numpy(_dtype.result_type(map(minigrad_operand, operands)))) == repr(expected)


def test_every_pair_promotes_and_casts_as_in_torch() -> None:
    for a, b in itertools.product(NAMES, NAMES):
        for function in ("promote_types", "can_cast"):
            assert repr(getattr(_dtype, function)(of(_dtype, a), of(_dtype, b))) == repr(
                getattr(torch, function)(of(torch, a), of(torch, b))
            ), (function, a, b)


@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_shows_what_torchs_shows(name: str) -> None:
    mine, theirs = of(_dtype, name), of(torch, name)
    for attribute in ("is_floating_point", "is_complex", "is_signed", "itemsize", "abbr", "__repr__", "__str__"):
        a, b = getattr(mine, attribute), getattr(theirs, attribute)
        assert (a() if callable(a) else a) == (b() if callable(b) else b), attribute
    assert mine.tensor_type == torch.ones(1, dtype=theirs).type()
    assert _dtype.from_numpy(torch.ones(1, dtype=theirs).numpy().dtype) is mine
    assert pickle.loads(pickle.dumps(mine)) is mine
    assert copy.deepcopy(mine) is mine
    for limits in ("finfo", "iinfo"):
        assert outcome(partial(getattr(_dtype, limits), mine)) == outcome(partial(getattr(torch, limits), theirs))
    assert outcome(mine.to_real) == outcome(theirs.to_real)
    if name != "float16":
        assert outcome(mine.to_complex) == outcome(theirs.to_complex)


@pytest.mark.parametrize("name", ["float64", "float32", "float16", "complex64"])
def test_limits_are_torchs(name: str) -> None:
    mine, theirs = _dtype.finfo(of(_dtype, name)), torch.finfo(of(torch, name))
    for attribute in ("bits", "dtype", "min", "max", "eps", "tiny", "smallest_normal", "resolution"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)


@pytest.mark.parametrize("name", ["int64", "int32", "int16", "int8", "uint8"])
def test_integer_limits_are_torchs(name: str) -> None:
    mine, theirs = _dtype.iinfo(of(_dtype, name)), torch.iinfo(of(torch, name))
    for attribute in ("bits", "dtype", "min", "max"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)


def test_error_names_are_torchs() -> None:
    """The two spellings of a type in torch's messages: dtype 'c10::Half' for a tensor of grad_dtype 'Double'."""
    for name in NAMES:
        leaf = torch.ones(2, dtype=torch.float32 if name == "float64" else torch.float64, requires_grad=True)
        mine = of(_dtype, name)
        with pytest.raises(RuntimeError) as caught:
            leaf.grad = torch.ones(2, dtype=of(torch, name))
        assert f"dtype '{mine.cpp_name}' to" in str(caught.value)
        if name != "bool":
            with pytest.raises(RuntimeError, match=f"result type {mine.legacy_name} can't be cast"):
                torch.ones(2, dtype=torch.bool).add_(torch.ones(2, dtype=of(torch, name)))


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.dtype(),
        lambda m: m.set_default_dtype(m.int32),
        lambda m: m.set_default_dtype(3),
        lambda m: m.promote_types(m.int8, "x"),
        lambda m: m.promote_types(1, m.int8),
        lambda m: m.can_cast(1, m.int8),
        lambda m: m.finfo(3),
        lambda m: m.finfo(),
        lambda m: m.finfo(m.float32) == m.finfo(m.float32),
        lambda m: m.finfo(m.float32) == 1,
        lambda m: m.iinfo(m.int8) == m.iinfo(m.uint8),
        lambda m: hash(m.finfo()),
        lambda m: setattr(m.float32, "a", 1),
        lambda m: (m.double is m.float64, m.half is m.float16, m.long is m.int64, m.short is m.int16),
    ],
)
def test_misuse_ends_as_in_torch(call: Callable[[Any], Any]) -> None:
    mine, theirs = outcome(lambda: call(_dtype)), outcome(lambda: call(torch))
    assert mine == tuple(text.replace("torch.finfo'", "finfo'") if "unhash" in text else text for text in theirs)


def test_bfloat16_can_be_named_and_no_tensor_has_it() -> None:
    assert (repr(minigrad.bfloat16), minigrad.bfloat16.itemsize) == (repr(torch.bfloat16), torch.bfloat16.itemsize)
    x = minigrad.ones(2)
    for make in (x.bfloat16, lambda: x.to(minigrad.bfloat16), lambda: minigrad.zeros(2, dtype=minigrad.bfloat16)):
        with pytest.raises(NotImplementedError, match="numpy has no bfloat16"):
            make()
