"""torch's own samples of each operation (its OpInfo database), through torch and through minigrad."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import pytest
import torch
from against_torch import check
from torch.utils._pytree import tree_leaves

import minigrad
from minigrad import operations

SAMPLES = {torch.float64: 8, torch.int64: 3, torch.complex128: 3}  # of each operation, spread over all that torch has
LEFT_OUT = {
    "nn.functional.silu": {"complex": "both refuse complex numbers: torch for the gradient, minigrad for the value"},
}


@functools.cache
def database() -> list[Any]:
    """torch's entries; they take seconds to import, so that only who runs these tests waits for them."""
    pytest.importorskip("expecttest", reason="torch's testing module needs it")
    found: list[Any] = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db
    return found


def translated(value: Any) -> Any:
    """An argument (or a Python function that uses torch) as minigrad takes it."""
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
        return getattr(minigrad, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return str(value)
    if value is torch:
        return minigrad
    if isinstance(value, FunctionType) and value.__module__.startswith("torch.testing"):
        cells = tuple(CellType(translated(cell.cell_contents)) for cell in value.__closure__ or ())
        names = {**value.__globals__, "torch": minigrad}
        return FunctionType(value.__code__, names, value.__name__, value.__defaults__, cells)
    if isinstance(value, (list, tuple)):
        return type(value)(map(translated, value))
    return value


def called(info: Any, engine: Any) -> Callable[..., Any]:
    """What an entry calls, in an engine."""
    if info.name.startswith("__"):
        return lambda self, *args, **kwargs: getattr(self, info.name)(*args, **kwargs)
    if engine is torch or (isinstance(info.op, FunctionType) and info.op.__module__.startswith("torch.testing")):
        return info.op if engine is torch else translated(info.op)
    return functools.reduce(getattr, info.name.split("."), engine)


def as_array(tensor: torch.Tensor) -> Any:
    """The elements, with the strides that they have."""
    return tensor.detach().resolve_conj().resolve_neg().numpy()


def check_sample(info: Any, sample: Any) -> None:
    """The tensors of a sample become the arrays of a call; whether each requires grad is kept."""
    arrays: list[Any] = []
    wanted: list[int] = []

    def taken(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.requires_grad:
                wanted.append(len(arrays))
            number = len(arrays)
            arrays.append(as_array(value))
            return lambda engine, tensors: tensors[number]
        if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
            parts = [taken(each) for each in value]
            return lambda engine, tensors: type(value)([part(engine, tensors) for part in parts])
        return lambda engine, tensors: value if engine is torch else translated(value)

    args = [taken(each) for each in (sample.input, *sample.args)]
    kwargs = {key: taken(each) for key, each in sample.kwargs.items()}

    def call(engine: Any, *tensors: Any) -> Any:
        found = called(info, engine)(
            *[each(engine, tensors) for each in args], **{key: each(engine, tensors) for key, each in kwargs.items()}
        )
        finish = sample.output_process_fn_grad  # leaves out what has no gradient, or no sign
        return (finish if engine is torch else translated(finish))(found)

    check(call, *arrays, grad_for=wanted, atol=1e-11)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", operations.EXPECTED)
def test_samples(name: str) -> None:
    entries = [info for info in database() if name in (info.name, *[alias.name for alias in info.aliases])]
    assert entries
    for info in entries:
        for dtype, count in SAMPLES.items():
            if dtype not in info.supported_dtypes("cpu") or info.variant_test_name in LEFT_OUT.get(name, ()):
                continue
            torch.manual_seed(0)
            samples = list(info.sample_inputs("cpu", dtype, requires_grad=dtype != torch.int64))
            for sample in samples[:: max(1, -(-len(samples) // count))]:
                check_sample(info, sample)


#: What torch refuses for the memory that its tensors came from, which is not passed on here.
RESIZED = "Trying to resize storage that is not resizable"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", operations.EXPECTED)
def test_what_is_refused(name: str) -> None:
    """torch's own samples of wrong calls: the same class of error, with the same text."""
    for info in database():
        if name not in (info.name, *[alias.name for alias in info.aliases]) or info.error_inputs_func is None:
            continue
        for wrong in info.error_inputs("cpu"):
            sample = wrong.sample_input
            given = tree_leaves((sample.input, sample.args, sample.kwargs))
            tensors = [each for each in given if isinstance(each, torch.Tensor)]
            if any(t.ndim > 64 or t.is_meta for t in tensors) or isinstance(sample.input, int):
                continue  # numpy has neither; and a method of a number is refused by Python itself
            expected, actual = said(info, torch, sample), said(info, minigrad, sample)
            if RESIZED not in expected:
                assert actual == expected


def said(info: Any, engine: Any, sample: Any) -> str:
    """The error that a wrong call ends in, without where torch itself raised it, nor what it offers instead."""

    def taken(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            made = engine.from_numpy(as_array(value).copy())
            return made.requires_grad_() if value.requires_grad else made
        if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
            return type(value)(map(taken, value))
        return value if engine is torch else translated(value)

    args = [taken(each) for each in (sample.input, *sample.args)]
    kwargs = {key: taken(each) for key, each in sample.kwargs.items()}
    try:
        called(info, engine)(*args, **kwargs)
    except Exception as error:
        text = " ".join(str(error).split()).partition(" but expected one of:")[0].partition(" (Triggered")[0]
        return f"{type(error).__name__}: {text}"
    return "nothing"
