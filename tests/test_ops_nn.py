"""Neural-network operations: convolution, pooling, resampling, normalization, losses, beside torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.against_torch import check

Call = Callable[..., Any]


def data(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    """Numbers with no ties, away from special values."""
    return (np.random.default_rng(seed + len(shape)).normal(size=shape) * 1.5 + 0.1).astype(dtype)


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
    check(functional(name, **kwargs), *arrays, orders=orders, grad_for=grad_for)


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
    "transposed 3d": ("conv_transpose3d", data(1, 2, 3, 2, 3), data(2, 2, 2, 2, 2), None, {"stride": 2}),
}  # fmt: skip


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case: str) -> None:
    name, x, weight, bias, kwargs = CONVOLUTIONS[case]
    run(name, x, weight, bias, orders=2 if x.size else 1, **kwargs)  # torch's second order stops at an empty batch


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
    ("conv_transpose1d", X1.astype("f4"), data(4, 2, 3), None, {}),
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
    *(("pad", x, {"pad": pad, "mode": mode}) for mode in ("reflect", "replicate", "circular", "constant") for x, pad in (
        (P1, (2, 3)), (P1[0], (1, 0)), (P1, (-2, 1)), (P1, (-1, -2)), (P2, (1, 2, 3, 0)), (P2, (0, -1, 2, 2)),
        (P2[0], (1, 1, 1, 1)), (P3, (1, 0, 2, 1, 3, 1)), (P2.transpose(0, 1, 3, 2), (1, 2, 3, 0)),
        (P1.astype("f4"), (0, 0)), (P1[:0], (1, 1)), (np.arange(8).reshape(2, 4), (2, 1)), (P1.astype("c16"), (1, 1)),
    )),
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
