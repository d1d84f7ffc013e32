"""Neural-network operations: convolution, pooling, resampling, normalization, losses, beside torch."""

from __future__ import annotations

import itertools
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from tests.against_torch import check

Call = Callable[..., Any]


def data(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    """Numbers with no ties, away from special values."""
    return np.asarray(np.random.default_rng(seed + len(shape)).normal(size=shape) * 1.5 + 0.1, dtype)


def ints(*values: Any) -> Any:
    return np.array(values)


def functional(name: str, **kwargs: Any) -> Call:
    """`nn.functional.NAME(*tensors, **kwargs)` of an engine; arrays among the keywords become tensors."""

    def call(engine: Any, *tensors: Any) -> Any:
        given = {k: engine.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(engine.nn.functional, name)(*tensors, **given)

    return call


def run(name: str, *arrays: Any, orders: int = 2, grad_for: Any = None, **kwargs: Any) -> None:
    for order in range(1, orders + 1):  # first order alone runs formulas on arrays, higher orders run them on tensors
        check(functional(name, **kwargs), *arrays, orders=order, grad_for=grad_for)


# ---- convolution -----------------------------------------------------------------------------------------------------

X1, W1, B = data(2, 4, 9), data(6, 4, 3), data(6)
X2, W2 = data(2, 4, 7, 6), data(6, 4, 3, 2)

CONVOLUTIONS: dict[str, tuple[str, Any, Any, Any, dict[str, Any]]] = {
    "plain": ("conv1d", X1, W1, None, {}),
    "bias": ("conv1d", X1, W1, B, {}),
    "everything": ("conv1d", X1, data(6, 2, 3), B, {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}),
    "same": ("conv1d", X1, data(6, 4, 4), B, {"padding": "same"}),
    "same dilated": ("conv1d", X1, W1, B, {"padding": "same", "dilation": 2}),
    "valid": ("conv1d", X1, W1, B, {"padding": "valid"}),
    "unbatched": ("conv1d", X1[0], W1, B, {}),
    "depthwise": ("conv1d", X1, data(4, 1, 3), None, {"groups": 4}),
    "pointwise": ("conv1d", X1, data(6, 4, 1), B, {}),
    "kernel as long as the input": ("conv1d", X1, data(6, 4, 9), B, {}),
    "stride leaves a rest": ("conv1d", X1, W1, B, {"stride": 5}),
    "no batch": ("conv1d", X1[:0], W1, B, {}),
    "2d": ("conv2d", X2, W2, B, {}),
    "2d everything": (
        "conv2d", X2, data(6, 2, 3, 2), B, {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
    ),
    "2d same": ("conv2d", X2, data(6, 4, 2, 3), B, {"padding": "same"}),
    "2d unbatched": ("conv2d", X2[0], W2, B, {"stride": 2}),
    "2d transposed memory": ("conv2d", X2.transpose(0, 1, 3, 2), W2.transpose(0, 1, 3, 2), B, {}),
    "2d negative strides": ("conv2d", X2[:, :, ::-1], W2[..., ::-1], B, {}),
    "2d float32": ("conv2d", X2.astype("f4"), W2.astype("f4"), B.astype("f4"), {"stride": 2, "padding": 1}),
    "3d": ("conv3d", data(1, 2, 4, 5, 3), data(3, 2, 2, 3, 2), data(3), {"stride": (1, 2, 1), "padding": 1}),
    "integers": ("conv1d", np.arange(24).reshape(2, 3, 4), np.arange(12).reshape(2, 3, 2), None, {}),
    "transposed": ("conv_transpose1d", X1, data(4, 3, 3), data(3), {}),
    "transposed everything": (
        "conv_transpose1d", X1, data(4, 3, 3), B,
        {"stride": 3, "padding": 1, "output_padding": 2, "dilation": 2, "groups": 2},
    ),
    "transposed, stride beyond the kernel": ("conv_transpose1d", X1, data(4, 3, 2), None, {"stride": 4}),
    "transposed, padded away": ("conv_transpose1d", X1, data(4, 3, 3), None, {"padding": 3}),
    "transposed unbatched": ("conv_transpose1d", X1[0], data(4, 3, 3), data(3), {}),
    "transposed 2d": (
        "conv_transpose2d", X2, data(4, 3, 3, 2), data(3),
        {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)},
    ),
    "transposed 2d float32": ("conv_transpose2d", X2.astype("f4"), data(4, 3, 3, 2).astype("f4"), None, {"stride": 2}),
    "transposed, output_padding beyond the stride": (
        "conv_transpose2d", X2, data(4, 2, 2, 3), data(4),
        {"stride": (3, 2), "padding": (1, 2), "output_padding": (2, 3), "groups": 2, "dilation": 4},
    ),
    "complex": ("conv1d", X1 + 1j * X1[..., ::-1], W1 * (1 - 2j), B + 1j, {"padding": 1}),
    "transposed, a float bias": ("conv_transpose1d", X1, data(4, 3, 3), data(3).astype("f4"), {}),
    "padding by name, a double bias": (
        "conv3d", data(1, 2, 2, 3, 2).astype("f4"), data(3, 2, 1, 2, 1).astype("f4"), data(3), {"padding": "valid"},
    ),
    "transposed by torch's own kernel, a double bias": (
        "conv_transpose1d", X1[:1].astype("f4"), data(4, 3, 3).astype("f4"), data(3), {},
    ),
    "transposed in groups, an integer bias": (
        "conv_transpose2d", X2, data(4, 2, 2, 3), np.array([1, 2, 3, 4]), {"groups": 2},
    ),
    "complex transposed": ("conv_transpose1d", X1 * 1j, data(4, 3, 3) + 1j, None, {"stride": 2}),
    "transposed 3d": ("conv_transpose3d", data(1, 2, 3, 2, 3), data(2, 2, 2, 2, 2), None, {"stride": 2}),
}  # fmt: skip


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case: str) -> None:
    name, x, weight, bias, kwargs = CONVOLUTIONS[case]
    run(name, x, weight, bias, orders=2 if x.size else 1, **kwargs)  # torch's second order stops at an empty batch


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", [f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)])
def test_a_convolution_lies_as_its_operands_do(name: str, dtype: str) -> None:
    """The result and both gradients: with channels last where torch's kernel takes the input or the weight so."""
    n = int(name[-2])
    orders = {"C": range(n + 2), "last": (0, *range(2, n + 2), 1), "neither": (1, 0, *range(2, n + 2))}

    def lies(engine: Any, batch: int, groups: int, x: str, w: str) -> list[bool]:
        leaves = []
        for array, order in ((data(batch, 4, *(4,) * n), x), (data(4, 4 // groups, *(2,) * n), w)):
            moved = np.ascontiguousarray(array.astype(dtype).transpose(orders[order]))
            leaves.append(engine.from_numpy(moved.transpose(np.argsort(orders[order]))).requires_grad_())
        y = getattr(engine.nn.functional, name)(*leaves, groups=groups)
        return [each.is_contiguous() for each in (y, *engine.autograd.grad((y * y).sum(), leaves))]

    for case in itertools.product((1, 2), (1, 2), orders, orders):
        assert lies(minigrad, *case) == lies(torch, *case), case


@pytest.mark.parametrize("alone", range(3))
def test_convolution_of_which_one_operand_requires_grad(alone: int) -> None:
    """The first gradient requires grad even then, as torch's kernel reads all operands."""
    for name, weight in (("conv2d", W2), ("conv_transpose2d", data(4, 6, 3, 2))):
        operation = f"nn.functional.{name}"
        check(lambda e, *given, f=operation: operator.attrgetter(f)(e)(*given), X2, weight, B, grad_for=[alone],
              orders=2)  # fmt: skip


BAD_CONVOLUTIONS: list[tuple[str, Any, Any, Any, dict[str, Any]]] = [
    ("conv1d", data(2, 2, 8), W1, None, {}),
    ("conv1d", data(8), W1, None, {}),
    ("conv2d", data(8), W2, None, {}),
    ("conv1d", X1, data(4, 3), None, {}),
    ("conv2d", X2, data(4, 4, 3), None, {}),
    ("conv1d", data(2, 4, 2), W1, None, {}),
    ("conv2d", data(2, 4, 2, 2), W2, None, {}),
    ("conv1d", X1, W1, None, {"stride": 0}),
    ("conv1d", X1.astype("f4"), W1.astype("f4"), None, {"dilation": 0}),
    ("conv1d", X1, W1, None, {"padding": -1}),
    ("conv1d", X1, W1, None, {"stride": (1, 2)}),
    ("conv1d", X1.astype("f4"), W1, None, {}),
    ("conv1d", X1, W1, B.astype("f4"), {}),
    ("conv1d", X1, W1, data(3), {}),
    ("conv1d", X1, W1, None, {"groups": 2}),
    ("conv1d", X1, data(5, 2, 3), None, {"groups": 2}),
    ("conv1d", X1, W1, None, {"groups": 0}),
    ("conv1d", X1, W1, None, {"padding": "same", "stride": 2}),
    ("conv1d", X1, W1, None, {"padding": "full"}),
    ("conv1d", X1, W1[:0], None, {}),
    ("conv_transpose1d", X1, data(5, 2, 3), None, {}),
    ("conv_transpose1d", X1, data(4, 2, 3), data(3), {}),
    ("conv_transpose1d", X1, data(4, 2, 3), None, {"output_padding": 1}),
    ("conv_transpose2d", X2, data(4, 2, 3, 3), None, {"output_padding": 1}),
    ("conv_transpose1d", X1, data(4, 2, 3), None, {"padding": -1}),
    ("conv_transpose1d", X1, data(4, 2, 3), None, {"padding": 9}),
    ("conv1d", X1, W1, None, {"dilation": -1}),
    ("conv1d", X1, data(6, 4, 0), None, {}),
    ("conv1d", X1, data(6, 4, 3, 3), None, {}),
    ("conv_transpose1d", X1.astype("f4"), data(4, 2, 3), None, {}),
    ("conv1d", X1, W1, B.astype(int), {}),
    ("conv_transpose3d", data(1, 2, 3, 2, 3), data(2, 2, 2, 2, 2), data(2).astype("f4"), {}),
    ("conv_transpose1d", X1[:1].astype("f4"), data(4, 2, 3).astype("f4"), B[:4], {"groups": 2}),
]


@pytest.mark.parametrize("case", BAD_CONVOLUTIONS, ids=str)
def test_convolution_refuses(case: Any) -> None:
    name, x, weight, bias, kwargs = case
    run(name, x, weight, bias, **kwargs)


# ---- pooling ---------------------------------------------------------------------------------------------------------

P1, P2, P3 = data(2, 3, 9), data(2, 3, 7, 8), data(1, 2, 5, 4, 6)
TIES = np.array([[[[1.0, 2, 2, 0], [2, 1, -np.inf, -np.inf], [0, np.nan, -np.inf, -np.inf], [np.nan, 3, np.inf, 1]]]])
POOLS: list[tuple[str, Any, dict[str, Any]]] = [
    *((f"max_pool{d}d", x, kwargs) for d, x in ((1, P1), (2, P2), (3, P3)) for kwargs in (
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1},
        {"kernel_size": 2, "stride": 2, "dilation": 2, "return_indices": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "return_indices": True},
    )),
    ("max_pool2d", P2, {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0), "dilation": (2, 1)}),
    ("max_pool2d", P2.astype("f4"), {"kernel_size": 2}),
    ("max_pool2d", P2[0], {"kernel_size": 2}),
    ("max_pool1d", P1[0], {"kernel_size": 2}),
    ("max_pool2d", P2[:0], {"kernel_size": 2}),
    ("max_pool2d", P2.transpose(0, 1, 3, 2), {"kernel_size": 2}),
    ("max_pool2d", P2[..., ::-1], {"kernel_size": 2}),
    ("max_pool2d", np.arange(32).reshape(1, 2, 4, 4) % 7, {"kernel_size": 2, "return_indices": True}),
    ("max_pool2d", TIES, {"kernel_size": 2, "return_indices": True}),
    ("max_pool2d", TIES, {"kernel_size": 3, "stride": 1, "padding": 1, "return_indices": True}),
    *((f"avg_pool{d}d", x, kwargs) for d, x in ((1, P1), (2, P2), (3, P3)) for kwargs in (
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1},
        {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    )),
    ("avg_pool2d", P2, {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)}),
    ("avg_pool2d", P2, {"kernel_size": 3, "padding": 1, "divisor_override": 5}),
    ("avg_pool2d", P2.astype("f4"), {"kernel_size": 2}),
    ("avg_pool2d", P2[0], {"kernel_size": 2}),
    ("avg_pool1d", P1[0], {"kernel_size": 2}),
    ("avg_pool2d", P2[:0], {"kernel_size": 2}),
    ("avg_pool2d", P2.transpose(0, 1, 3, 2), {"kernel_size": 2}),
    ("avg_pool2d", np.arange(-16, 16).reshape(1, 2, 4, 4), {"kernel_size": 3, "padding": 1}),
    ("avg_pool2d", TIES, {"kernel_size": 2}),
    ("avg_pool1d", np.arange(-9, 18).reshape(3, 9) * 3, {
        "kernel_size": 3, "stride": 1, "padding": 1, "ceil_mode": True, "count_include_pad": False,
    }),
    *((f"adaptive_{what}_pool{d}d", x, {"output_size": size})
      for what in ("avg", "max") for d, x in ((1, P1), (2, P2), (3, P3)) for size in (1, 2, 3, 7)),
    ("adaptive_avg_pool2d", P2, {"output_size": (None, 3)}),
    ("adaptive_max_pool2d", P2, {"output_size": (None, 3), "return_indices": True}),
    ("adaptive_max_pool2d", TIES, {"output_size": (3, 2), "return_indices": True}),
    ("adaptive_max_pool1d", P1[0], {"output_size": 4, "return_indices": True}),
    ("adaptive_avg_pool1d", P1[0], {"output_size": 4}),
    ("adaptive_avg_pool2d", P2[0].astype("f4"), {"output_size": 5}),
    ("adaptive_avg_pool2d", P2[:0], {"output_size": 2}),
]  # fmt: skip


def case_id(case: Any) -> str:
    name, x, kwargs = case[0], case[1], case[-1]
    return f"{name} {getattr(x, 'dtype', '')}{getattr(x, 'shape', x)} {kwargs}"


@pytest.mark.parametrize("case", POOLS, ids=case_id)
def test_pooling(case: Any) -> None:
    name, x, kwargs = case
    run(name, x, **kwargs)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "conv2d", "interpolate", "pad"])
def test_channels_that_are_last_in_memory_stay_last(name: str) -> None:
    import torch

    import minigrad

    arguments = {"conv2d": (), "interpolate": (3,), "pad": ((1, 1, 1, 1), "reflect")}.get(name, (2,))
    found = []
    for engine in (torch, minigrad):
        x = engine.from_numpy(np.moveaxis(data(2, 6, 6, 3), -1, 1))
        more = (engine.from_numpy(data(4, 3, 2, 2)),) if name == "conv2d" else arguments
        found.append(getattr(engine.nn.functional, name)(x, *more).stride())
    assert found[0] == found[1]


def test_indices_of_maxima_come_in_a_plain_tuple() -> None:
    import minigrad

    assert type(minigrad.nn.functional.max_pool2d(minigrad.ones(1, 2, 2), 2, return_indices=True)) is tuple


UNPOOLED: list[tuple[Any, ...]] = [
    ("max_unpool1d", data(1, 2, 3), ints([[[0, 3, 4], [1, 2, 5]]])[0], {"kernel_size": 2}),
    ("max_unpool2d", data(1, 1, 2, 2), ints([[[0, 3], [8, 11]]]), {"kernel_size": 2, "output_size": (5, 4)}),
    ("max_unpool3d", data(1, 1, 1, 1, 2), np.array([[[[[1, 6]]]]]), {"kernel_size": 2}),
    ("max_unpool1d", data(1, 1, 2), np.array([[[0, 9]]]), {"kernel_size": 2}),
    ("max_unpool1d", data(1, 1, 2), np.array([[[0, 3]]]), {"kernel_size": 2, "output_size": (9,)}),
    ("max_unpool1d", data(1, 1, 3), np.array([[[0, 3]]]), {"kernel_size": 2}),
    ("max_unpool1d", data(1, 1, 2), np.array([[[0, 3]]], "i4"), {"kernel_size": 2}),
    *((f"lp_pool{d}d", x, p, {"kernel_size": 2}) for d, x in ((1, P1), (2, P2), (3, P3)) for p in (2, 3, np.inf)),
    ("lp_pool2d", P2, 2.0, {"kernel_size": (2, 3), "stride": 1, "ceil_mode": True}),
]


@pytest.mark.parametrize("case", UNPOOLED, ids=case_id)
def test_unpooling_and_norms(case: Any) -> None:
    name, *arguments, kwargs = case
    run(name, *arguments, **kwargs)


BAD_POOLS: list[tuple[str, Any, dict[str, Any]]] = [
    *((f"{what}_pool{d}d", x, kwargs) for what in ("avg", "max") for d, x in ((1, P1), (2, P2)) for kwargs in (
        {"kernel_size": 0}, {"kernel_size": 2, "stride": 0}, {"kernel_size": 2, "padding": 2},
        {"kernel_size": 2, "padding": -1}, {"kernel_size": 12}, {"kernel_size": (2, 2, 2)},
    )),
    *((f"{what}_pool{d}d", x, {"kernel_size": 2}) for what in ("avg", "max")
      for d, x in ((1, data(8)), (1, data(1, 2, 3, 4, 5)), (2, data(1, 2, 3, 4, 5)), (1, P1[:, :0]), (2, P2[:, :0]),
                   (2, P2[:, :, :0]), (1, P1.astype("c16")), (2, P2.astype("c16")), (1, P1.astype("?")))),
    ("max_pool1d", P1.astype(int), {"kernel_size": 2}),
    ("avg_pool2d", P2.astype("i1"), {"kernel_size": 2}),
    ("avg_pool2d", P2, {"kernel_size": 2, "divisor_override": 0}),
    ("max_pool2d", P2, {"kernel_size": 2, "dilation": 0}),
    *(("max_pool1d", P1, {"return_indices": True, "kernel_size": 2, **kwargs}) for kwargs in (
        {"stride": 0}, {"padding": 2}, {"padding": -1}, {"dilation": 9}, {"kernel_size": -1})),
    *((f"max_pool{d}d", x, {"kernel_size": k}) for d, x in ((1, P1), (2, P2)) for k in (2.5, None, "2", ())),
    *((f"avg_pool{d}d", x, {"kernel_size": ()}) for d, x in ((1, P1), (2, P2))),
    ("avg_pool2d", data(3, 3), {"kernel_size": 2}),
    *((f"adaptive_{what}_pool{d}d", x, {"output_size": size}) for what in ("avg", "max") for d, x, size in (
        (2, P2, 2.5), (2, data(3, 3), (2, 2)), (2, P2[:, :, :0], (1, 1)))),
    *((f"adaptive_{what}_pool{d}d", x, {"output_size": size}) for what in ("avg", "max") for d, x, size in (
        (1, data(8), 2), (2, data(8), 2), (1, P1, -1), (2, P2, -1), (1, P1, (2, 2)), (2, P2, (2, 2, 2)),
        (2, P2, None), (1, P1.astype(int), 2), (2, P2.astype(int), 2), (1, P1[..., :0], 2), (2, P2[:, :, :0], 2),
    )),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD_POOLS, ids=case_id)
def test_pooling_refuses(case: Any) -> None:
    name, x, kwargs = case
    run(name, x, **kwargs)


# ---- padding and interpolation ---------------------------------------------------------------------------------------

PADS: list[tuple[str, Any, dict[str, Any]]] = [
    *(
        ("pad", x, {"pad": p, "mode": mode})
        for mode in ("reflect", "replicate", "circular", "constant")
        for x, p in (
            (P1, (2, 3)),
            (P1[0], (1, 0)),
            (P1, (-2, 1)),
            (P1, (-1, -2)),
            (P2, (1, 2, 3, 0)),
            (P2, (0, -1, 2, 2)),
            (P2[0], (1, 1, 1, 1)),
            (P3, (1, 0, 2, 1, 3, 1)),
            (P2.transpose(0, 1, 3, 2), (1, 2, 3, 0)),
            (P1.astype("f4"), (0, 0)),
            (P1[:0], (1, 1)),
            (np.arange(8).reshape(2, 4), (2, 1)),
            (P1.astype("c16"), (1, 1)),
        )
    ),
    ("pad", P1, {"pad": (1, 2), "value": 3.5}),
    ("pad", data(3), {"pad": ()}),
    ("pad", data(3), {"pad": (2, 1), "value": np.nan}),
    ("pad", data(0), {"pad": (1, 1), "value": 2}),
    ("pad", ints(1, 2), {"pad": (1, 1), "value": 2.5}),
    ("pad", ints(True, False), {"pad": (1, 1), "value": True}),
    ("pad", P1, {"pad": (1,)}),
    ("pad", data(3), {"pad": (1, 1, 1, 1)}),
    ("pad", P1, {"pad": (1, 1), "mode": "mirror"}),
    ("pad", P1, {"pad": (1, 1), "mode": "reflect", "value": 1.0}),
    ("pad", P1, {"pad": (9, 1), "mode": "reflect"}),
    ("pad", P2, {"pad": (1, 1, 7, 0), "mode": "reflect"}),
    ("pad", P1, {"pad": (10, 1), "mode": "circular"}),
    ("pad", data(3), {"pad": (1, 1), "mode": "reflect"}),
    ("pad", P2, {"pad": (1, 1), "mode": "reflect"}),
    ("pad", data(1, 0), {"pad": (1, 1), "mode": "replicate"}),
    ("pad", data(1, 3), {"pad": (-2, -2)}),
]


@pytest.mark.parametrize("case", PADS, ids=case_id)
def test_pad(case: Any) -> None:
    name, x, kwargs = case
    run(name, x, **kwargs)


SIZES = ({"size": 3}, {"size": 13}, {"scale_factor": 2}, {"scale_factor": 0.6}, {"scale_factor": 1.7})
INTERPOLATIONS: list[tuple[str, Any, dict[str, Any]]] = [
    *(("interpolate", x, {"mode": mode, **size}) for x, modes in (
        (P1, ("nearest", "nearest-exact", "linear", "area")),
        (P2, ("nearest", "nearest-exact", "bilinear", "bicubic", "area")),
        (P3, ("nearest", "nearest-exact", "trilinear", "area")),
    ) for mode in modes for size in SIZES),
    *(("interpolate", x, {"mode": mode, "align_corners": True, **size}) for x, mode in (
        (P1, "linear"), (P2, "bilinear"), (P2, "bicubic"), (P3, "trilinear")) for size in ({"size": 1}, {"size": 11})),
    *(("interpolate", P2, {"mode": mode, "antialias": True, **size}) for mode in ("bilinear", "bicubic")
      for size in ({"size": 3}, {"size": (13, 2)}, {"scale_factor": 0.4}, {"size": 4, "align_corners": True})),
    *(("interpolate", P2.astype("f4"), {"mode": mode, "size": (5, 19)}) for mode in ("nearest", "bilinear", "bicubic")),
    ("interpolate", P2, {"mode": "bilinear", "scale_factor": (1.5, 0.7), "recompute_scale_factor": True}),
    ("interpolate", P2, {"mode": "bilinear", "size": (7, 8)}),
    ("interpolate", P2, {"size": (5, 4)}),
    ("interpolate", P2[:0], {"size": 3}),
    ("interpolate", TIES, {"mode": "bilinear", "size": 3}),
    ("interpolate", np.arange(6, dtype="u1").reshape(1, 2, 3), {"size": 5}),
    ("interpolate", P1, {}),
    ("interpolate", P1, {"size": 3, "scale_factor": 2}),
    ("interpolate", P1, {"size": 3, "align_corners": True}),
    ("interpolate", P1, {"size": (3, 4)}),
    ("interpolate", P1, {"size": (2.5,)}),
    ("interpolate", P1, {"scale_factor": (1.0, 2.0)}),
    ("interpolate", P1, {"size": 3, "recompute_scale_factor": True}),
    ("interpolate", P1, {"size": 3, "mode": "bilinear"}),
    ("interpolate", P2, {"size": 3, "mode": "linear"}),
    ("interpolate", P2, {"size": 3, "mode": "cubic"}),
    ("interpolate", P1, {"size": 3, "mode": "linear", "antialias": True}),
    ("interpolate", data(3, 4), {"size": 3}),
    ("interpolate", P1, {"size": 0}),
    ("interpolate", P2, {"size": 0, "mode": "bicubic"}),
    ("interpolate", P1[:, :0], {"size": 2}),
    ("interpolate", P1.astype(int), {"size": 2}),
    ("interpolate", P1.astype(int), {"size": 2, "mode": "linear"}),
]  # fmt: skip


@pytest.mark.parametrize("case", INTERPOLATIONS, ids=case_id)
def test_interpolate(case: Any) -> None:
    name, x, kwargs = case
    run(name, x, **kwargs)


# ---- layers ----------------------------------------------------------------------------------------------------------

W, V = data(4, 3), data(3)
LAYERS: list[tuple[Any, ...]] = [
    ("linear", data(2, 3), W, data(4), {}),
    ("linear", data(2, 3), W, {}),
    ("linear", data(2, 5, 3), W, data(4), {}),
    ("linear", data(2, 5, 3), W, {}),
    ("linear", data(5, 2, 3).transpose(1, 0, 2), W, data(4), {}),
    ("linear", V, W, data(4), {}),
    ("linear", V, W, {}),
    ("linear", data(2, 3), V, {}),
    ("linear", V, V, {}),
    ("linear", data(0, 3), W, data(4), {}),
    ("linear", data(2, 3), W, data(1), {}),
    ("linear", data(2, 3).astype("f4"), W.astype("f4"), data(4).astype("f4"), {}),
    ("linear", data(2, 4), W, {}),
    ("linear", data(2, 2, 4), W, data(4), {}),
    ("linear", data(2, 3), W, data(3), {}),
    ("linear", data(2, 3), W.astype("f4"), {}),
    ("linear", data(), W, {}),
    ("linear", data(2, 3), V, data(1), {}),
    ("bilinear", data(2, 3), data(2, 4), data(5, 3, 4), data(5), {}),
    ("bilinear", data(2, 2, 3), data(2, 2, 4), data(5, 3, 4), {}),
    ("bilinear", V, data(4), data(5, 3, 4), {}),
    ("bilinear", data(2, 3), data(3, 4), data(5, 3, 4), {}),
    ("bilinear", data(2, 3), data(2, 4), data(5, 2, 4), {}),
    ("bilinear", data(2, 3), data(2, 4), data(5, 3, 3), {}),
    ("bilinear", data(2, 3), data(2, 4), data(5, 3, 4), data(4), {}),
    ("bilinear", data(2, 3), data(2, 2, 4), data(5, 3, 4), {}),
    ("embedding", ints([0, 2, 2], [3, 0, 0]), W, {}),
    ("embedding", ints([0, 2, 2], [3, 0, 0]), W, {"padding_idx": 2}),
    ("embedding", ints([0, 2, 2], [3, 0, 0]), W, {"padding_idx": -4}),
    ("embedding", np.array(1), W.astype("f4"), {}),
    ("embedding", ints(1, 3).astype("i4"), W[:, ::-1], {}),
    ("embedding", np.zeros((0, 2), int), W, {}),
    ("embedding", ints(4), W, {}),
    ("embedding", ints(-1), W, {}),
    ("embedding", ints(1.0), W, {}),
    ("embedding", ints(1).astype("i2"), W, {}),
    ("embedding", ints(1), V, {}),
    ("embedding", ints(1), W, {"padding_idx": 4}),
    ("one_hot", ints([0, 2], [1, 1]), {}),
    ("one_hot", np.array(2), {"num_classes": 5}),
    ("one_hot", np.zeros(0, int), {"num_classes": 5}),
    ("one_hot", np.zeros(0, int), {}),
    ("one_hot", ints(-1), {}),
    ("one_hot", ints(3), {"num_classes": 2}),
    ("one_hot", ints(1.0), {}),
    ("one_hot", ints(1).astype("i4"), {}),
    ("glu", data(3, 4), {}),
    ("glu", data(4, 3).astype("f4"), {"dim": 0}),
    ("glu", data(4, 2, 3).transpose(2, 1, 0) * 300, {"dim": -2}),
    ("glu", data(2, 0), {}),
    ("glu", data(3), {}),
    ("glu", data(), {}),
    ("glu", data(4), {"dim": 1}),
    ("glu", ints(1, 2), {}),
    ("unfold", P2, {"kernel_size": 2}),
    ("unfold", P2, {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}),
    ("unfold", P2[0].astype("f4"), {"kernel_size": 2}),
    ("unfold", P2[:0], {"kernel_size": 2}),
    ("unfold", P2, {"kernel_size": 9}),
    ("unfold", P2, {"kernel_size": 0}),
    ("unfold", P2, {"kernel_size": 1, "stride": 0}),
    ("unfold", P3, {"kernel_size": 1}),
    ("unfold", data(2, 2), {"kernel_size": 1}),
    ("fold", data(2, 12, 6), {"output_size": (3, 4), "kernel_size": 2}),
    ("fold", data(12, 6), {"output_size": (5, 6), "kernel_size": 2, "stride": 2, "padding": (0, 0)}),
    (
        "fold",
        data(2, 12, 4),
        {
            "output_size": (4, 5),
            "kernel_size": (3, 2),
            "dilation": (1, 2),
            "stride": (2, 2),
            "padding": 1,
        },
    ),
    ("fold", data(1, 3, 4), {"output_size": (3, 3), "kernel_size": 2}),
    ("fold", data(1, 4, 5), {"output_size": (3, 3), "kernel_size": 2}),
    ("fold", data(4), {"output_size": (3, 3), "kernel_size": 2}),
    ("pixel_shuffle", data(2, 8, 3, 2), 2, {}),
    ("pixel_shuffle", data(9, 2, 2), 3, {}),
    ("pixel_shuffle", data(2, 2, 4, 2, 2), 2, {}),
    ("pixel_shuffle", data(1, 3, 2, 2), 2, {}),
    ("pixel_shuffle", data(1, 4, 2, 2), 0, {}),
    ("pixel_shuffle", data(4, 2), 2, {}),
    ("pixel_unshuffle", data(2, 2, 4, 6), 2, {}),
    ("pixel_unshuffle", data(2, 3, 3), 3, {}),
    ("pixel_unshuffle", data(1, 1, 3, 4), 2, {}),
    ("pixel_unshuffle", data(3, 4), 2, {}),
    ("channel_shuffle", data(2, 6, 2, 2), 3, {}),
    ("channel_shuffle", data(1, 3, 2, 2), 2, {}),
    ("channel_shuffle", data(3, 2), 2, {}),
    ("channel_shuffle", data(1, 4, 2), 0, {}),
    ("dropout", data(3), {"p": 0.0}),
    ("dropout", data(3), {"training": False}),
    ("dropout", data(3), {"p": 1.0}),
    ("dropout1d", data(2, 3), {"p": 0.0}),
    ("dropout1d", data(2, 3), {"p": 1.0}),
    ("dropout1d", data(3), {"p": 1.0}),
    ("dropout2d", P2, {"training": False}),
    ("dropout3d", data(2, 1, 2, 3), {"p": 1.0}),
    ("dropout", data(3), {"p": 1.5}),
]


@pytest.mark.parametrize("case", LAYERS, ids=case_id)
def test_layers(case: Any) -> None:
    name, *arguments, kwargs = case
    run(name, *arguments, **kwargs)


def test_embedding_shortens_rows_in_place() -> None:
    import torch

    import minigrad

    found = []
    for engine in (torch, minigrad):
        weight = engine.from_numpy(data(4, 3))
        out = engine.nn.functional.embedding(engine.tensor([1, 1, 3]), weight, max_norm=1.0, norm_type=1.0)
        found.append((weight.numpy(), out.numpy(), weight._version))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_embedding_scales_gradients_by_use() -> None:
    run("embedding", ints([0, 2, 2], [3, 0, 0]), W, orders=1, scale_grad_by_freq=True)


def test_embedding_refuses_sparse_gradients() -> None:
    import minigrad

    with pytest.raises(NotImplementedError, match="sparse"):
        minigrad.nn.functional.embedding(minigrad.tensor([1]), minigrad.ones(3, 2), sparse=True)


def test_dropout_keeps_the_mean() -> None:
    import minigrad

    x = minigrad.ones(4, 8, 500, requires_grad=True)
    out = minigrad.nn.functional.dropout(x, 0.25)
    values = out.detach().numpy()
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(values.mean() - 1) < 0.05
    minigrad.manual_seed(7)
    first = minigrad.nn.functional.dropout(x, 0.25)
    minigrad.manual_seed(7)
    np.testing.assert_array_equal(minigrad.nn.functional.dropout(x, 0.25).detach().numpy(), first.detach().numpy())
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)
    channels = minigrad.nn.functional.dropout2d(minigrad.ones(40, 50, 3, 3), 0.5).numpy()
    assert (channels == channels[:, :, :1, :1]).all()
    assert 0.4 < (channels[:, :, 0, 0] > 0).mean() < 0.6


Q, K, U = data(2, 3, 5, 4), data(2, 3, 6, 4, seed=1), data(2, 3, 6, 4, seed=2)
MASK = np.tril(np.ones((5, 6), bool), 2)
ATTENTION: list[tuple[Any, Any, Any, Any, int, dict[str, Any]]] = [
    (Q, K, U, None, 1, {}),
    (Q, K, U, None, 1, {"scale": 0.3}),
    (Q, K, U, None, 1, {"is_causal": True}),
    (Q, K, U, MASK, 1, {}),
    (Q, K, U, MASK & (np.arange(5) != 2)[:, None], 1, {}),
    (Q.astype("f4"), K.astype("f4"), U.astype("f4"), None, 1, {}),
    (Q, K, U, None, 2, {}),  # torch has no second derivative of its kernel
    (*(each[0].astype("f2") for each in (Q, K, U)), None, 1, {}),
    (Q, K, U, data(5, 6), 2, {}),  # a mask that requires grad: torch composes
    (Q, K, data(2, 3, 6, 7), None, 2, {}),
    (Q[0], K[0], U[0], None, 2, {}),
    (Q[0], K[0], U[0], MASK, 2, {}),
    (Q[0], K[0], U[0], MASK & (np.arange(5) != 2)[:, None], 2, {}),
    (Q[0, 0], K[0, 0], U[0, 0], None, 2, {"is_causal": True}),
    (Q, K[:1], U[:1], None, 2, {}),
    (data(2, 6, 5, 4), K, U, None, 1, {"enable_gqa": True}),
    (Q, K.astype("f4"), U, None, 1, {}),
    (data(4), data(4), data(4), None, 1, {}),
    (Q.astype(int), K.astype(int), U.astype(int), None, 1, {}),
    (Q.astype("f4"), K.astype("f4"), U.astype("f4"), data(5, 6), 1, {}),
]


@pytest.mark.parametrize("case", ATTENTION, ids=lambda case: f"{case[0].shape} {case[-1]}")
def test_attention(case: Any) -> None:
    *tensors, orders, kwargs = case
    run("scaled_dot_product_attention", *tensors, orders=orders, **kwargs)


# ---- normalization ---------------------------------------------------------------------------------------------------

N2, N3, N4 = data(5, 3), data(4, 3, 5), data(2, 6, 3, 4)
G, H = data(3, seed=3), data(3, seed=4)
G6, H6 = data(6, seed=3), data(6, seed=4)
NORMALIZATIONS: list[tuple[Any, ...]] = [
    *(("batch_norm", x, None, None, weight, bias, {"training": True})
      for x in (N2, N3, data(2, 3, 4, 2), N3.astype("f4"), N3.transpose(2, 1, 0))
      for weight, bias in ((None, None), (G.astype(x.dtype), None), (G.astype(x.dtype), H.astype(x.dtype)))),
    *(("batch_norm", x, G.astype(x.dtype), (H**2).astype(x.dtype), weight, bias, {"grad_for": (0, 3, 4)})
      for x in (N2, N3, data(2, 3, 4, 2), N3.astype("f4"))
      for weight, bias in ((None, None), (G.astype(x.dtype), None), (G.astype(x.dtype), H.astype(x.dtype)))),
    ("batch_norm", N3, None, None, G, H, {"training": True, "eps": 0.3}),
    ("batch_norm", np.ones((4, 3)), None, None, G, H, {"training": True}),
    ("batch_norm", N2[:0], np.zeros(3), np.ones(3), G, H, {"grad_for": (0, 3, 4)}),
    ("batch_norm", N2, None, None, {}),
    ("batch_norm", N2, V, None, {"grad_for": (0,)}),
    ("batch_norm", N2[:1], None, None, {"training": True}),
    ("batch_norm", N2, data(4), data(4), {"grad_for": (0,)}),
    ("batch_norm", N2, V, V, data(4), {"grad_for": (0,)}),
    ("batch_norm", N2, None, None, None, data(4), {"training": True}),
    ("batch_norm", N2, V, V, {"grad_for": (0,), "eps": -1.0}),
    ("batch_norm", N2, None, None, {"training": True, "eps": 0.0}),
    ("batch_norm", N2.astype(int), None, None, {"training": True}),
    ("batch_norm", N2.astype("f4"), None, None, G, {"training": True}),
    ("batch_norm", N2, V.astype("f4"), V.astype("f4"), {"grad_for": (0,)}),
    ("batch_norm", N2, V, V, {}),
    ("batch_norm", N2, None, None, {"training": True, "momentum": None}),
    ("instance_norm", N3, {}),
    ("instance_norm", N4, None, None, G6, H6, {}),
    ("instance_norm", N4, data(6), data(6) ** 2, G6, H6, {"use_input_stats": False, "grad_for": (0, 3, 4)}),
    ("instance_norm", N3[..., :1], {}),
    ("instance_norm", N3, {"use_input_stats": False}),
    ("instance_norm", N3, None, None, data(4), {}),
    *(("group_norm", x, groups, weight, bias, {})
      for x, groups in ((N4, 1), (N4, 3), (N4, 6), (data(5, 6), 2), (N4.astype("f4"), 2))
      for weight, bias in ((None, None), (G6.astype(x.dtype), None), (G6.astype(x.dtype), H6.astype(x.dtype)))),
    ("group_norm", N4[:0], 2, {}),
    ("group_norm", data(2, 3, 4), 2, {}),
    ("group_norm", data(1, 4), 4, {}),
    ("group_norm", N4, 2, data(3), {}),
    ("group_norm", data(4), 2, {}),
    ("group_norm", N4.astype(int), 2, {}),
    ("group_norm", N4.astype("f4"), 2, G6, {}),
    ("group_norm", N4, 0, {}),
    *(("layer_norm", x, shape, weight, bias, {})
      for x, shape in (
          (N3, (5,)), (N3, (3, 5)), (N3, (4, 3, 5)), (N3.transpose(2, 0, 1), (3,)), (N3.astype("f4"), (5,)))
      for weight, bias in ((None, None), (data(*shape).astype(x.dtype), None),
                           (data(*shape).astype(x.dtype), data(*shape, seed=7).astype(x.dtype)))),
    ("layer_norm", N3, (5,), None, data(5), {"eps": 0.2, "orders": 1}),
    ("layer_norm", np.ones((3, 4)), (4,), data(4), {}),
    ("layer_norm", N3[:0], (5,), {}),
    ("layer_norm", data(4, 0), (0,), {}),
    ("layer_norm", N3, (3,), {}),
    ("layer_norm", data(4), (3, 4), {}),
    ("layer_norm", N3, (5,), data(3), {}),
    ("layer_norm", N3, (5,), None, data(3), {}),
    ("layer_norm", N3, (), {}),
    ("layer_norm", N3.astype(int), (5,), {}),
    ("layer_norm", N3.astype("f4"), (5,), data(5), {}),
    ("layer_norm", N3, 5, {}),
    ("rms_norm", N3, (5,), {}),
    ("rms_norm", N3, (3, 5), data(3, 5), {}),
    ("rms_norm", N3, (5,), data(5), 0.3, {}),
    ("rms_norm", N3.astype("f4"), (5,), data(5).astype("f4"), {}),
    ("rms_norm", N3.astype("f4"), (5,), data(5), {}),
    ("rms_norm", np.zeros((2, 3)), (3,), {}),
    ("rms_norm", N3, (3,), {}),
    ("rms_norm", N3, (5,), data(3), {}),
    ("rms_norm", N3, (), {}),
    ("rms_norm", N3.astype(int), (5,), {}),
    ("rms_norm", data(4, 3).T, (4,), {}),
    ("local_response_norm", N3, 2, {}),
    ("local_response_norm", N4, 3, {"alpha": 0.5, "beta": 0.6, "k": 2.0}),
    ("local_response_norm", P3, 2, {}),
    ("local_response_norm", N2, 2, {}),
]  # fmt: skip


@pytest.mark.parametrize("case", NORMALIZATIONS, ids=case_id)
def test_normalization(case: Any) -> None:
    name, *arguments, kwargs = case
    run(name, *arguments, **kwargs)


@pytest.mark.parametrize("count", [3, 7, 10, 49])
@pytest.mark.parametrize("value", [0.850319789818452, -0.9117941212902342, 0.1, 1e-9])
def test_nothing_is_left_of_equal_elements(value: float, count: int) -> None:
    for dtype in ("f4", "f8"):
        x = np.concatenate([np.full((2, 4, count), value), data(1, 4, count)]).astype(dtype)
        for name, arguments in (("layer_norm", ((count,),)), ("group_norm", (1,))):
            rows = functional(name)(minigrad, minigrad.from_numpy(x), *arguments)[:2]
            assert (rows == 0).all(), (name, dtype)
            check(functional(name), x, *arguments, orders=0)


@pytest.mark.parametrize("name, arguments", [("layer_norm", ((2, 4),)), ("batch_norm", (None, None)),
                                             ("instance_norm", (None, None)), ("group_norm", (3,))])  # fmt: skip
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2)])
def test_gradients_depend_on_what_the_kernel_reads(name: str, arguments: Any, wanted: Any) -> None:
    shape = (2, 4) if name == "layer_norm" else (3,)
    more = {"training": True} if name == "batch_norm" else {}

    def call(engine: Any, x: Any, weight: Any, bias: Any) -> Any:
        out = getattr(engine.nn.functional, name)(x, *arguments, weight=weight, bias=bias, **more)
        leaves = [each for each in (x, weight, bias) if each.requires_grad]
        found = engine.autograd.grad(out, leaves, engine.ones_like(out), create_graph=True)
        return [each.requires_grad for each in found]

    check(call, data(3, 3, 2, 4), data(*shape), data(*shape, seed=1), orders=0, grad_for=wanted)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics(name: str) -> None:
    import torch

    import minigrad

    found = []
    for engine in (torch, minigrad):
        mean, variance = engine.from_numpy(data(3)), engine.from_numpy(data(3) ** 2)
        flag = {"training": True} if name == "batch_norm" else {}
        for n in range(3):
            x = engine.from_numpy(data(4, 3, 5, seed=n))
            getattr(engine.nn.functional, name)(x, mean, variance, momentum=0.3, **flag)
        found.append((mean.numpy(), variance.numpy(), mean._version))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


# ---- losses ----------------------------------------------------------------------------------------------------------

X, T, R = data(3, 4), data(3, 4, seed=8), 1 / (1 + np.exp(-data(3, 4, seed=9)))
S = np.sign(data(3, 4, seed=5))
KINKS = np.array([-2.0, -1, -0.5, 0, 0.5, 1, 2, np.nan, np.inf])
C = ints(1, 0, 3)
DISTANCES = ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss")
REDUCTIONS = [{"reduction": each} for each in ("none", "mean", "sum")]
LOSSES: list[tuple[Any, ...]] = [
    *((name, X, T, {**r, **more}) for r in REDUCTIONS for name, more in (
        ("l1_loss", {}), ("mse_loss", {}), ("smooth_l1_loss", {}), ("smooth_l1_loss", {"beta": 0.5}),
        ("smooth_l1_loss", {"beta": 0}), ("huber_loss", {}), ("huber_loss", {"delta": 0.7}),
        ("kl_div", {"log_target": True}), ("binary_cross_entropy_with_logits", {}),
    )),
    *((name, X, T, {**r, "weight": R}) for r in REDUCTIONS for name in ("l1_loss", "mse_loss", "huber_loss")),
    *((name, X.astype("f4"), T.astype("f4"), {}) for name in ("mse_loss", "smooth_l1_loss", "huber_loss")),
    *((name, KINKS, np.zeros(9), {"reduction": "none"}) for name in DISTANCES),
    *((name, data(0), data(0), r) for r in REDUCTIONS for name in DISTANCES),
    *((name, X, data(3, 1), {}) for name in DISTANCES),
    *((name, X, data(3, 3), {}) for name in DISTANCES),
    *((name, ints(1, 2), ints(3, 4), {}) for name in DISTANCES),
    *((name, X.astype("f4"), t, {"grad_for": (0,)}) for name in ("l1_loss", "mse_loss", "smooth_l1_loss")
      for t in (ints(3, 4, 5, 6), T)),
    *((name, X.astype("c16"), T.astype("c16"), {}) for name in ("mse_loss", "smooth_l1_loss", "huber_loss")),
    *((name, X, T, {"reduction": "max"}) for name in ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "kl_div")),
    *((name, X, T, {"reduction": "max", "weight": R}) for name in ("l1_loss", "mse_loss", "huber_loss")),
    *((name, X, T, {"weight": V}) for name in ("l1_loss", "mse_loss", "huber_loss")),
    *(("mse_loss", X, T, {"size_average": a, "reduce": b}) for a in (None, True, False) for b in (True, False)),
    ("smooth_l1_loss", X, T, {"beta": -1.0}),
    ("huber_loss", X, T, {"delta": 0.0}),
    *(("soft_margin_loss", X, S, {**r, "grad_for": (0,)}) for r in REDUCTIONS),
    ("soft_margin_loss", X, ints(1, -1, 1, 1), {}),
    ("soft_margin_loss", X, S, {}),
    *(("binary_cross_entropy", R, T * 0.2 + 0.5, r) for r in REDUCTIONS),
    ("binary_cross_entropy", R, R[::-1], {"weight": data(4)}),
    ("binary_cross_entropy", R, R[::-1], {"weight": data(4).astype("f4")}),
    ("binary_cross_entropy_with_logits", X, R, {"weight": data(4).astype("f4")}),
    ("binary_cross_entropy", R.astype("f4"), R[::-1].astype("f4"), {}),
    ("binary_cross_entropy", ints(0.0, 1, 0, 1, 0.5), ints(0.0, 1, 1, 0, 0.5),
     {"reduction": "none", "grad_for": (0,), "orders": 1}),
    ("binary_cross_entropy", np.full(2, 0.501953125, "f4"), np.ones(2, "f4"), {"grad_for": (1,), "orders": 1}),
    ("binary_cross_entropy", X + 5, R, {}),
    ("binary_cross_entropy", R, R[:2], {}),
    ("binary_cross_entropy", R.astype("f4"), R, {}),
    ("binary_cross_entropy", R, R, data(4), {}),
    *(("binary_cross_entropy_with_logits", X * 300, T, r) for r in REDUCTIONS),
    *(("binary_cross_entropy_with_logits", X, R, {**r, "weight": data(4), "pos_weight": R}) for r in REDUCTIONS),
    ("binary_cross_entropy_with_logits", X.astype("f4"), R, {}),
    ("binary_cross_entropy_with_logits", X, R[:2], {}),
    ("binary_cross_entropy_with_logits", X, R, data(4), {}),
    ("binary_cross_entropy_with_logits", KINKS, np.full(9, 0.3), {"reduction": "none"}),
    *(("kl_div", X, R, r) for r in [*REDUCTIONS, {"reduction": "batchmean"}]),
    ("kl_div", X, np.zeros((3, 4)), {"grad_for": (0,)}),
    ("kl_div", X, ints(1, 2, 3, 4), {}),
    *(("nll_loss", x, t, {**r, **more}) for r in REDUCTIONS for x, t in (
        (X, C), (X.T, ints(1, 0, 2, 2)), (data(4), np.array(2)), (data(2, 4, 3), ints([0, 1, 3], [3, 3, 2])),
        (data(2, 4, 2, 3), np.arange(12).reshape(2, 2, 3) % 4),
        (data(2, 4, 2, 3, 1), np.arange(12).reshape(2, 2, 3, 1) % 4),
    ) for more in ({}, {"ignore_index": 3}, {"weight": data(x.shape[x.ndim > 1]) ** 2, "ignore_index": 0})),
    *(("cross_entropy", x, t, {**r, **more}) for r in REDUCTIONS for x, t in (
        (X, C), (data(4), np.array(2)), (data(2, 4, 3), ints([0, 1, 3], [3, 3, 2])),
        (data(2, 4, 2, 3), np.arange(12).reshape(2, 2, 3) % 4),
    ) for more in ({}, {"ignore_index": 3, "label_smoothing": 0.2},
                   {"weight": data(4) ** 2, "ignore_index": 0, "label_smoothing": 0.1}, {"weight": data(4) ** 2})),
    *(("cross_entropy", x, t, {**r, **more}) for r in REDUCTIONS
      for x, t in ((X, R), (data(4), R[0]), (data(2, 4, 3), data(2, 4, 3)))
      for more in ({}, {"label_smoothing": 0.2}, {"weight": data(4) ** 2, "label_smoothing": 0.2})),
    ("cross_entropy", X.astype("f4"), C, {}),
    ("cross_entropy", X * 1000, C, {}),
    ("cross_entropy", np.where(X > 1, np.inf, X), C, {"reduction": "none"}),
    *((name, X, ints(-100, -100, -100), r) for r in REDUCTIONS for name in ("nll_loss", "cross_entropy")),
    *((name, data(0, 4), np.zeros(0, int), r) for r in REDUCTIONS for name in ("nll_loss", "cross_entropy")),
    *((name, *case, {}) for name in ("nll_loss", "cross_entropy") for case in (
        (X, C[:2]), (X, ints(0, 1, 4)), (X, ints(0, 1, -1)), *((X, C.astype(kind)) for kind in ("f8", "i4", "u1")),
        (X, C, V), (X, C, data(4)), (data(2, 4, 5), np.zeros((2, 4), int)), (X, np.zeros((3, 1), int)),
        (data(1, 2, 3, 3), np.zeros((1, 3, 3), int) + 5), (data(1, 2, 3, 3), np.zeros((1, 3, 2), int)),
    )),
    ("nll_loss", X, C, {"weight": V}),
    ("nll_loss", X, C, {"weight": data(4).astype("f4")}),
    ("nll_loss", data(1, 2, 3, 3), np.zeros((1, 3, 3), int), {"weight": V}),
    ("nll_loss", data(), np.array(0), {}),
    ("cross_entropy", X, C, {"label_smoothing": 2.0}),
    ("cross_entropy", X, R, {"ignore_index": 1}),
    ("cross_entropy", X, R, {"weight": V}),
    ("cross_entropy", X, C, {"reduction": "max"}),
    ("cross_entropy", X.astype(int), C, {}),
    *(("multi_margin_loss", x, t, {**r, "p": p, "margin": 0.7, "weight": w, "orders": 1})
      for r in REDUCTIONS for p in (1, 2) for w in (None, data(4) ** 2) for x, t in ((X, C), (data(4), np.array(2)))),
    *(("multi_margin_loss", *case, {}) for case in (
        (X, ints(0, 1, 4)), (X, C, 3), (X, C[:2]), (X, C, 1, 1.0, data(4)), (data(2, 3, 4), C), (X.astype(int), C),
        (X, C.astype(float)),
    )),
    ("multi_margin_loss", X, C, {"weight": V}),
    *(("hinge_embedding_loss", X, S, {**r, "margin": 0.4, "grad_for": (0,)}) for r in REDUCTIONS),
    ("hinge_embedding_loss", X, ints(1, -1, 0, 1), {}),
    *(("margin_ranking_loss", X, T, S, {**r, "margin": 0.4, "grad_for": (0, 1)}) for r in REDUCTIONS),
    ("margin_ranking_loss", X, X, S, {}),
    ("margin_ranking_loss", V, V, X, {}),
    ("margin_ranking_loss", V, V, data(4), {}),
    *(("cosine_embedding_loss", X, T, ints(1, -1, 1), {**r, "margin": -0.4}) for r in REDUCTIONS),
    ("cosine_embedding_loss", V, data(3, seed=4), np.array(-1), {}),
    ("cosine_embedding_loss", X, T, X, {}),
    ("cosine_embedding_loss", X, T, ints(1, 1, 1, 1), {}),
    ("cosine_embedding_loss", P1, P1, ints(1, 1), {}),
    *(("triplet_margin_loss", X, T, R, {**r, **more}) for r in REDUCTIONS
      for more in ({}, {"swap": True, "margin": 3.0}, {"p": 1})),
    ("triplet_margin_loss", X, T, R, {"margin": 0.0}),
    ("triplet_margin_loss", X, T, V, {}),
    *(("triplet_margin_with_distance_loss", X, T, R, {**r, "swap": True}) for r in REDUCTIONS),
    *(("poisson_nll_loss", X, R * 3, {**r, **more}) for r in REDUCTIONS for more in ({}, {"full": True})),
    ("poisson_nll_loss", R, R * 3, {"log_input": False}),
    ("poisson_nll_loss", R, R, {"reduction": "max"}),
    *(("gaussian_nll_loss", X, T, R, {**r, **more}) for r in REDUCTIONS for more in ({}, {"full": True}, {"eps": 0.5})),
    ("gaussian_nll_loss", X, T, R[:, 0].copy(), {}),
    ("gaussian_nll_loss", X, T, R[:, :1].copy(), {}),
    ("gaussian_nll_loss", X, T, 0.5, {}),
    ("gaussian_nll_loss", X, T, -R, {}),
    ("gaussian_nll_loss", X, T, -0.5, {}),
    ("gaussian_nll_loss", X, T, data(3, 2) ** 2, {}),
    ("gaussian_nll_loss", X, T, R, {"reduction": "max"}),
    *(("multi_margin_loss", np.array([[x, 1.0, 0.0]]), ints(t), {}) for x in KINKS for t in (0, 1)),
    ("multi_margin_loss", data(4), ints(2), {"reduction": "none"}),
    *((name, np.array([0, 1, 1, 0]).astype(a), np.array([0, 1, 0, 1]).astype(b), {"reduction": "none"})
      for name in ("huber_loss", "soft_margin_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
                   "hinge_embedding_loss") for a, b in (("f4", "f8"), ("f8", "i8"), ("i8", "f8"), ("i8", "i8"))),
    *(("binary_cross_entropy", np.array([x]), np.array([t]), {})
      for x in (0.0, 1e-13, 0.5, 1.0, np.nan) for t in (0.0, 0.5, 1.0, 2.0)),
    ("cosine_embedding_loss", np.zeros((2, 3)), data(2, 3), ints(1.0, -1.0), {}),
    ("cross_entropy", data(0, 4), data(0, 4), {}),
    ("kl_div", X.astype("c16"), X.astype("c16"), {}),
    *(("multilabel_soft_margin_loss", X, R, {**r, **more}) for r in REDUCTIONS for more in ({}, {"weight": data(4)})),
]  # fmt: skip


@pytest.mark.parametrize("case", LOSSES, ids=case_id)
def test_losses(case: Any) -> None:
    name, *arguments, kwargs = case
    run(name, *arguments, **kwargs)


def test_warnings() -> None:
    import torch

    import minigrad

    for call in (
        lambda engine, x, y: engine.nn.functional.mse_loss(x, y),
        lambda engine, x, y: engine.nn.functional.l1_loss(x, y, size_average=False),
        lambda engine, x, y: engine.nn.functional.kl_div(x, y),
        lambda engine, x, y: engine.nn.functional.hinge_embedding_loss(x, y, reduction="elementwise_mean"),
    ):
        texts = []
        for engine in (torch, minigrad):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                call(engine, engine.ones(2, 3), engine.ones(2, 1))
            texts.append([(str(each.message), each.category) for each in caught])
        assert texts[1] == texts[0]
        assert all(each.filename == __file__ for each in caught)


# ---- third order -----------------------------------------------------------------------------------------------------

THIRD: list[tuple[Any, ...]] = [
    ("conv2d", data(1, 2, 4, 4), data(2, 2, 2, 2), data(2), {"padding": 1}),
    ("group_norm", data(2, 4, 3), 2, data(4), data(4, seed=2), {}),
    ("rms_norm", data(2, 4), (4,), data(4), {}),
    ("glu", data(2, 4), {}),
    ("cross_entropy", data(3, 4), C, {"label_smoothing": 0.1}),
    ("binary_cross_entropy_with_logits", data(3, 4), data(3, 4, seed=1), {}),
    ("bilinear", data(2, 3), data(2, 4), data(5, 3, 4), {}),
    ("scaled_dot_product_attention", data(3, 4), data(5, 4), data(5, 4, seed=1), {}),
]


@pytest.mark.parametrize("case", THIRD, ids=case_id)
def test_third_order(case: Any) -> None:
    name, *arguments, kwargs = case

    def call(engine: Any, *tensors: Any) -> Any:
        out = functional(name, **kwargs)(engine, *tensors)
        return (out * out).sum()  # so that no operation is linear

    check(call, *arguments, orders=3, grad_fn=False)


@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_third_order_of_normalization(name: str) -> None:
    """Beside differences of the second order, since torch's third order takes the saved statistics for constants."""
    import minigrad

    def second(x: Any, order: int) -> Any:
        leaf = minigrad.from_numpy(x).requires_grad_()
        arguments = ((3,),) if name == "layer_norm" else (None, None, None, None, True)
        total = (getattr(minigrad.nn.functional, name)(leaf, *arguments) ** 3).sum()
        for n in range(order):
            (found,) = minigrad.autograd.grad(total, leaf, create_graph=True)
            total = (found * minigrad.from_numpy(np.cos(np.arange(x.size) * 1.7 + n).reshape(x.shape))).sum()
        return found.detach().numpy() if order == 3 else total.item()

    x, step = data(4, 3), 1e-5
    for place in np.ndindex(*x.shape):
        shift = np.zeros(x.shape)
        shift[place] = step
        slope = (second(x + shift, 2) - second(x - shift, 2)) / (2 * step)
        np.testing.assert_allclose(second(x, 3)[place], slope, rtol=1e-5, atol=1e-5)


def test_gradients_that_are_not_a_product() -> None:
    """A row left out gets 0, whatever comes; a mean's coarser gradient is divided last; infinitely far is nan."""
    nan, weight, logits = np.full((2, 3), np.nan), data(4, 3), data(2, 3)
    rows = np.array([1, 2])
    check(lambda e, w, n: e.nn.functional.embedding(e.from_numpy(rows), w, padding_idx=1) * n, weight, nan,
          grad_for=[0], orders=1)  # fmt: skip
    found = []
    for engine in (torch, minigrad):
        x = engine.from_numpy(logits).requires_grad_()
        engine.nn.functional.binary_cross_entropy_with_logits(x, engine.ones(2, 3)).backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-14)
    check(lambda e, a, b: e.cdist(a, b, np.inf), np.array([[1.0, 2.0]]), np.array([[-np.inf, 0.0]]), orders=1)
