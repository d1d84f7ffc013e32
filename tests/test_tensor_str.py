"""Tensors and sizes print under minigrad character for character what they print under torch."""

import copy
import operator
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigrad import _dtype, _tensor_str
from minigrad._tensor_str import Size, tensor_str

PLAIN = st.sampled_from([0.0, -0.0, 1.0, -3.0, 0.5, 1e-4, 1e-5, 999.0, 1001.0, 1e8, 1e10, np.inf, -np.inf, np.nan])
DTYPES = st.sampled_from([each.numpy for each in _dtype.ALL])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "profile": st.sampled_from(["default", "short", "full", "other"]),
        "precision": st.integers(0, 7),
        "threshold": st.integers(0, 200),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(10, 120),
        "sci_mode": st.sampled_from([None, True, False]),
    },
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays of every type: values any, values near what changes the form, and longer than the threshold."""
    dtype, shape = draw(DTYPES), draw(SHAPES)
    if dtype.kind == "f" and draw(st.booleans()):
        with np.errstate(over="ignore"):
            return draw(hnp.arrays(np.float64, shape, elements=PLAIN)).astype(dtype)
    return draw(hnp.arrays(dtype, shape))


@pytest.fixture(autouse=True)
def _default_options() -> Iterator[None]:
    yield
    for module in (torch, _tensor_str):
        module.set_printoptions(profile="default")  # type: ignore[attr-defined]


@settings(max_examples=300, deadline=None)
@given(arrays(), st.booleans(), OPTIONS)
@example(np.zeros(1001, np.float32), False, {})
@example(np.arange(6000.0).reshape(3, 2, 1000), False, {})
@example(np.arange(2000.0).reshape(2, 1000) / 7, False, {"edgeitems": 0})
@example(np.array([1e308, 1e-310]), False, {})
@example(np.array([65504, 6e-8], np.float16), False, {})
@example(np.array(1.5 - 0j), False, {})
def test_any_array_prints_as_in_torch(array: np.ndarray[Any, Any], needs_grad: bool, options: dict[str, Any]) -> None:
    theirs = torch.from_numpy(array.copy())
    needs_grad &= theirs.dtype.is_floating_point or theirs.dtype.is_complex
    for module in (torch, _tensor_str):
        module.set_printoptions(profile="default")  # type: ignore[attr-defined]
        module.set_printoptions(**options)  # type: ignore[attr-defined]
    theirs.requires_grad_(needs_grad)
    assert tensor_str(array, requires_grad=needs_grad) == repr(theirs)
    parameter = torch.nn.Parameter(theirs.detach(), requires_grad=needs_grad)
    assert tensor_str(array, requires_grad=needs_grad, class_name="Parameter") == repr(parameter)
    if needs_grad:
        assert tensor_str(array, requires_grad=True, grad_fn_name="CloneBackward0") == repr(theirs.clone())


def test_the_default_type_is_not_shown_and_others_are() -> None:
    for name in ("float64", "float32"):
        torch.set_default_dtype(getattr(torch, name))
        _dtype.set_default_dtype(getattr(_dtype, name))
        try:
            for each in _dtype.ALL:
                for shape in ((2,), (0,), (0, 2), ()):
                    array = np.ones(shape, each.numpy)
                    assert tensor_str(array) == repr(torch.from_numpy(array))
        finally:
            torch.set_default_dtype(torch.float32)
            _dtype.set_default_dtype(_dtype.float32)


def test_options_are_read_and_restored_as_in_torch() -> None:
    for module in (torch, _tensor_str):
        module.set_printoptions(precision=2, sci_mode=True)  # type: ignore[attr-defined]
    assert _tensor_str.get_printoptions() == torch._tensor_str.get_printoptions()
    with _tensor_str.printoptions(precision=7, edgeitems=1), torch._tensor_str.printoptions(precision=7, edgeitems=1):
        assert _tensor_str.get_printoptions() == torch._tensor_str.get_printoptions()
    assert _tensor_str.get_printoptions() == torch._tensor_str.get_printoptions()


def outcome(call: Callable[[], Any]) -> tuple[str, str]:
    try:
        return "value", repr(call())
    except (TypeError, IndexError, ValueError) as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda size: size(),
        lambda size: size([2, 3]),
        lambda size: str(size((2,))),
        lambda size: size([-1, True, np.int64(4), torch.tensor(5)]),
        lambda size: size([1, 2])[:1],
        lambda size: (size([1, 2])[-1], size([1, 2])[::-1]),
        lambda size: size([1, 2])[2],
        lambda size: operator.add(size([1, 2]), (3,)),
        lambda size: operator.add((3,), size([1, 2])),
        lambda size: operator.add(size([1]), [2]),
        lambda size: (2 * size([1, 2]), size([1, 2]) * 2),
        lambda size: size([2, 3]).numel(),
        lambda size: size([]).numel(),
        lambda size: size(["a"]),
        lambda size: size([1, 1.5]),
        lambda size: size(3),
        lambda size: (size([1, 2]) == (1, 2), hash(size([1, 2])) == hash((1, 2)), len(size([1, 2]))),
        lambda size: (pickle.loads(pickle.dumps(size([1, 2]))), copy.deepcopy(size([1, 2]))),
        lambda size: f"{size([2])} {size([2])!r:>20}",
    ],
)
def test_a_size_behaves_as_torchs(call: Callable[[Any], Any]) -> None:
    assert outcome(lambda: call(Size)) == outcome(lambda: call(torch.Size))
