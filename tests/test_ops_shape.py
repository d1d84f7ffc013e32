"""Shapes, parts, joining, indexing, copies and casts, against torch: values, types, nodes, gradients, errors."""

from __future__ import annotations

import itertools
import operator
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import minigrad
from tests.against_torch import check

CUBE = np.arange(24.0).reshape(2, 3, 4) * 0.37 - 3.1
WAVE = np.cos(np.arange(24.0)).reshape(2, 3, 4)
LAYOUTS = {
    "C": lambda a: a,
    "transposed": lambda a: np.ascontiguousarray(a.transpose(2, 1, 0)).transpose(2, 1, 0),
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "negative": lambda a: a[:, ::-1],
}


def run(source: str) -> Any:
    """A call of an expression in `x`, `w` (2, 3, 4) and `T` (the engine)."""
    code = compile(source, source, "eval")

    def call(engine: Any, x: Any, w: Any = None) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return eval(code, {"T": engine, "x": x, "w": w, "I": engine.tensor, "S": slice})

    return call


def table(text: str) -> Any:
    return pytest.mark.parametrize("source", [line.strip() for line in text.strip().splitlines() if line.strip()])


@pytest.mark.parametrize("layout", LAYOUTS)
@table("""
    x.reshape(6, 4)
    x.reshape(-1)
    x.flatten(1)
    x.ravel()
    x.transpose(0, 2).reshape(6, 4)
    x.transpose(0, 1).reshape(3, 2, 2, 2)
    x.permute(2, 0, 1)
    x.movedim((0, 1), (2, 0))
    x.unsqueeze(1).expand(2, 5, 3, 4)
    x.mT.contiguous()
    x.clone()
    x[1, ..., 1:3]
    x[:, [2, 0, 0]]
    x[x > 0]
    x.flip(0, 2)
    x.roll((1, 2), (0, 2))
    x.rot90(3, (1, 2))
    x.triu(1)
    x.diagonal(1, 0, 2)
    x.unfold(2, 3, 1)
    x.repeat(2, 1, 1, 2)
    x.repeat_interleave(2, 1)
    x.split(2, 2)
    x.split(4)
    x.unbind(1)
    T.cat([x, w], 1)
    T.stack([x, w], -1)
    x.gather(2, I([[[0, 3], [1, 1]], [[2, 2], [0, 1]]]))
    x.masked_fill(x > 0, 7)
    x.masked_scatter(x > 0, w)
    x.index_select(1, I([2, 0, 2]))
""")
def test_layouts(source: str, layout: str) -> None:
    check(run(source), LAYOUTS[layout](CUBE), WAVE)


@table("""
    x.view(4, -1)
    x.view([4, 6])
    x.view_as(w)
    x.reshape_as(w.mT)
    x.unflatten(2, (2, -1))
    x.flatten(0, 0)
    x.squeeze()
    x[:1].squeeze(0)
    x[:1].squeeze((0, 1))
    x.swapaxes(0, 1)
    x.T
    x.mT
    x.mH
    x[0].H
    x[0].t()
    x.adjoint()
    x.expand(2, -1, -1, -1)
    x[:, :1].expand(-1, 0, -1)
    x.broadcast_to((2, 2, 3, 4))
    T.broadcast_tensors(x, w[0])
    x.narrow(1, 1, 2)
    x.select(1, -1)
    T.chunk(x, 3, dim=2)
    x.split([1, 3], 2)
    x.tensor_split(3, 2)
    x.tensor_split((1, 3), 2)
    x.hsplit(3)
    x.vsplit((1,))
    x.dsplit(2)
    x.unsafe_split(2, 2)
    T.atleast_3d(x.sum(), x[0, 0], x[0])
    T.hstack([x.sum(), x[0, 0]])
    T.vstack([x[0], w[0, 0]])
    T.dstack([x[0], w[0]])
    T.column_stack([x[0], w[0, :, 0]])
    T.block_diag(x[0], x[0, 0], x.sum())
    T.meshgrid(x[0, 0], w[0, :, 0], indexing="xy")
    T.cartesian_prod(x[0, 0], w[0, :, 0])
    T.combinations(x[0, 0], 2, True)
    T.cat((x.float(), w), -1)
    T.cat([x, T.zeros(0)])
    T.diag(x[0], 1)
    T.diag(x[0, 0], -1)
    T.diagflat(x[0], 1)
    x.diag_embed(1, 0, 2)
    x.as_strided((2, 3), (1, 2), 3)
    x[1].as_strided((2, 2), (1, 1), 2)
    x.tile(2, 1)
    x.repeat(0, 1, 1)
    x.repeat_interleave(I([1, 2]), 0)
    x.roll(1)
    x.fliplr()
    x.take(I([[0], [-1]]))
    x.take_along_dim(I([[[0]]]), 2)
    x.masked_select(I([True, False, True, False]))
    x.index_add(1, I([0, 0]), w[:, :2], alpha=2)
    x.index_copy(1, I([0, 2]), w[:, :2])
    x.index_fill(1, I([0, -1]), 1)
    x.index_fill(1, I([0, 2]), w.sum())
    x.masked_fill(x > 0, w.sum())
    x.index_put((I([0, 1]), I([1, 1])), w[0, :2])
    x.index_put((I([0, 0]),), w, accumulate=True)
    x.scatter(2, I([[[0, 3]]]), 5.)
    T.select_scatter(x, w[0], 0, 1)
    T.slice_scatter(x, w[:, :1], 1, 0, 1)
    T.diagonal_scatter(x[0], w[0, 0, :3])
    x.to(T.float32)
    x.half()
    x.to(T.complex128)
    x.long()
    x.float().double() is x
    x.double() is x
    x.nonzero()
    x[0].nonzero(as_tuple=True)
""")
def test_operations(source: str) -> None:
    check(run(source), CUBE, WAVE)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(reduce: str, include_self: bool) -> None:
    """With ties between what is there and what is scattered, and with zeros among factors."""
    index = np.array([[0, 0, 1], [1, 1, 1]])
    self, src = np.array([[1.0, 2, 3], [0, 2, 4]]), np.array([[1.0, 5, 0], [2, 2, 0]])
    check(
        lambda engine, x, w: x.scatter_reduce(1, engine.from_numpy(index), w, reduce, include_self=include_self),
        self, src, orders=1 if reduce == "prod" else 2,
    )  # fmt: skip
    check(lambda engine, x, w: x.long().scatter_reduce(1, engine.from_numpy(index), w.long(), reduce), self, src)


@pytest.mark.parametrize("name", ["scatter", "scatter_", "scatter_add", "scatter_add_"])
@pytest.mark.parametrize("src", [WAVE[0, :2, :2], WAVE[0]], ids=["fits", "larger: its gradient is refused"])
def test_scatters_gather_their_gradients(name: str, src: Any) -> None:
    index = np.array([[0, 0], [1, 2]])
    check(lambda engine, x, w: getattr(x * 1, name)(1, engine.from_numpy(index), w), CUBE[0], src)


KEYS = """
    0
    -1
    (0, 1)
    (0, 1, 2)
    slice(1, None)
    slice(None)
    ...
    ()
    None
    (None, 0, None)
    (..., 0)
    (slice(None), 1)
    (slice(0, 2), slice(None, None, 2))
    (slice(0, 2), slice(0, 3))
    [0, 1]
    [[0, 1], [1, 0]]
    ([0, 1], [1, 2])
    (0, slice(None), [0, 1])
    ([0, 1], slice(None), [0, 1])
    (slice(None), None, [0, 1])
    (..., I([0, 1]))
    I(1)
    I([1, 0, 1])
    (I([[0, 1], [1, 0]]), I([0, 1]))
    (I([0, 1]), 0)
    I([1], dtype=T.int32)
    np.array([1, 0])
    np.int64(1)
    range(2)
    True
    False
    I(True)
    (0, True)
    (True, False)
    x > 0
    (slice(None), x[0] > 0)
    I([True, False])
    (I([[True, False, True], [False, True, False]]), I([0, 1, 2]))
    []
    slice(5, 1)
    2
    (0, 0, 0, 0)
    slice(None, None, -1)
    slice(None, None, 0)
    1.5
    {}
    I(1.5)
    I([1.5])
    I([2])
    I([True, False, True])
    (I([0, 1, 1]), I([0, 1]))
    slice(0, 1.5)
"""


@table(KEYS)
def test_getitem(source: str) -> None:
    check(lambda engine, x: run_key(engine, x, source), CUBE)


@table(KEYS)
def test_setitem(source: str) -> None:
    def write(engine: Any, x: Any, w: Any) -> Any:
        return written(x * 1, key_of(engine, x, source), run_key(engine, w, source))

    if source != "(0, True)":  # torch refuses its own value's shape
        check(write, CUBE, WAVE)
    check(lambda engine, x: written(x * 1, key_of(engine, x, source), 2), CUBE)


def key_of(engine: Any, x: Any, source: str) -> Any:
    return eval(source, {"T": engine, "I": engine.tensor, "x": x, "np": np})


def run_key(engine: Any, x: Any, source: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x[key_of(engine, x, source)]


def written(tensor: Any, key: Any, value: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor[key] = value
    return tensor


@table("""
    written(x * 1, 0, w[0, 0])
    written(x * 1, 0, w[:1])
    written(x * 1, (0, 0, 0), w[0, 0, :1])
    written(x * 1, [0, 1], w.sum())
    written(x * 1, (0, [0, 0]), w[1, :2])
    written(x * 1, x > 0, w.sum())
    written(x * 1, [0, 1], w[:, :2])
    written(x * 1, [0, 1], w.float())
    written(x * 1, 0, w.float()[0])
    written(x * 1, 0, "a")
    written(x * 1, 0, [1.0])
    written(x * 1, 0, 1j)
    written(x * 1, 0, w)
    written(x.long(), 0, w[0])
    (x * 1).copy_(w[0].half())
    (x * 1).copy_(2)
    (x[0] * 1).copy_(w)
    (x * 1).fill_(w.sum())
    (x * 1).fill_(w)
    (x * 1).zero_()
    x.clone().masked_fill_(x > 0, 3)
    x.clone().index_add_(1, I([0, 2]), w[:, :2])
    x.clone().masked_scatter_(x > 0, w)
    x.clone().tril_()
    x.clone().unsqueeze_(0)
    x.clone().transpose_(0, 1)
    x.clone().squeeze_()
    x[0].clone().t_()
    x.clone().resize_(3)
    x.detach().clone().resize_(2, 2)
""")
def test_writes(source: str) -> None:
    code = compile(source, source, "eval")
    names = {"written": written}
    check(lambda engine, x, w: eval(code, names | {"T": engine, "x": x, "w": w, "I": engine.tensor}), CUBE, WAVE)


@table("""
    x.reshape(5, 5)
    x.view(5, -1)
    x.view(2, 3, -1, -1)
    x.view(-2, 3)
    x.transpose(0, 1).view(24)
    x.transpose(0, 5)
    x.permute(0, 1)
    x.permute(0, 0, 1)
    x.t()
    x.expand(3, 3, 4)
    x.expand(3, 4)
    x.expand(-1, 2, 3, 4)
    x.squeeze(5)
    x.unsqueeze(5)
    x.flatten(2, 1)
    x.unflatten(2, (3, -1))
    x.movedim((0, 0), (0, 1))
    x.movedim((0, 1), 0)
    x.select(0, 5)
    x.narrow(0, 0, 5)
    x.narrow(0, 5, 1)
    x.split(0)
    x.split([1, 2])
    x.chunk(0)
    x.sum().unbind()
    x.sum()[0]
    x[0, 0].mT
    x.H
    x.diagonal(0, 1, 1)
    x.unfold(2, 5, 1)
    x.as_strided((20, 20), (1, 1), 10)
    T.cat([])
    T.cat([x, x[0]])
    T.cat([x, x[:, :2]])
    T.cat(x)
    T.cat([x, 1])
    T.stack([])
    T.stack([x, x[0]])
    x.hsplit(2)
    x.hsplit(0)
    x.hsplit("a")
    T.split(x, 1.5)
    x.tensor_split(I([[1]]))
    x.narrow(0, I([0, 1]), 1)
    x.narrow(0, 0.5, 1)
    T.max(x, "a")
    T.gather(x, 0, I([[[0]]]), out=T.zeros(1, 1, 1))
    T.unsqueeze(x, 0, out=x)
    x.scatter_reduce(0, I([[[0]]]), w * 1j, "amax")
    T.block_diag(x)
    T.broadcast_tensors(x, x[:, :2])
    T.broadcast_shapes((2,), (3,))
    x.repeat(2, 1)
    x.repeat(-1, 1, 1)
    x.repeat_interleave(I([1, 2, 3]), 0)
    x.roll((1, 2))
    x.rot90(1, (0, 0))
    x[0, 0].tril()
    x[0, 0].fliplr()
    x.flip(0, 0)
    x.index_select(1, I([5]))
    x.index_select(1, I([[1]]))
    x.index_add(1, I([0, 2]), w)
    x.index_add(1, I([0, 2]), w[:, :2].float())
    x.index_copy(1, I([0, 5]), w[:, :2])
    x.index_fill(1, I([7]), 2.5)
    x.gather(0, I([[[2]]]))
    x.gather(0, I([0]))
    x.gather(0, I([[[0, 0, 0, 0, 0]]]))
    x.scatter(2, I([[[4]]]), w)
    x.scatter(2, I([[[0]]]), w.float())
    x.scatter_reduce(2, I([[[0]]]), w, "other")
    x.take(I([24]))
    x.masked_select(x.long())
    x.masked_select(I([True, False]))
    x.masked_fill(I([True, False]), 1)
    x.masked_fill(x > 0, w)
    x.masked_fill(x > 0, 1j)
    x.masked_scatter(x > 0, w[0, 0])
    x.index_put((I([0, 1]),), w[:, :2])
    T.select_scatter(x, w, 0, 1)
""")
def test_refusals(source: str) -> None:
    check(run(source), CUBE, WAVE)


@pytest.mark.parametrize("kind", ["float32", "int64", "uint8", "bool", "complex128"])
@table("""
    x.reshape(-1, 2)
    T.cat([x, x.to(T.float32)])
    x.flip(0)
    x.triu()
    x.diag_embed()
    x[:, [0, 0]]
    x.masked_fill(x == x, 0)
    x.index_select(0, I([0, 0]))
    x.scatter_add(0, I([[0, 0], [0, 0]]), x)
    x.repeat(2, 2)
    x.to(T.float64)
    x.mH
""")
def test_types(source: str, kind: str) -> None:
    array = np.arange(4).reshape(2, 2)
    check(run(source), (array * (1 + 0.5j) if kind[0] == "c" else array).astype(kind))


@pytest.mark.parametrize("array", [np.array(2.5), np.zeros((0, 3))], ids=["0-d", "empty"])
@table("""
    x.reshape(-1)
    x.flatten()
    x.clone()
    x[None]
    x[...]
    x[True]
    x.expand(2, *x.shape)
    x.unsqueeze(-1)
    x.squeeze()
    x.transpose(0, -1)
    x.flip(0)
    x.roll(1)
    x.repeat(2, 2)
    T.stack([x, x])
    x.masked_fill(x > 1, 3)
    x.masked_select(x > 1)
    x.sum().gather(0, I([0, 0]))
    x.gather(0, I([]))
    x.scatter_add(0, I([]), x)
    x.unsafe_chunk(3) if x.dim() else x
    x[(slice(0, 9),)] if x.dim() else x
    x.index_select(0, I([0, 0])) if x.numel() else x
    T.diagflat(x)
    T.atleast_2d(x)
    x.split(1) if x.dim() else x
    x.movedim(0, 0)
    x.to(T.float32)
""")
def test_degenerate_shapes(source: str, array: Any) -> None:
    check(run(source), array)


@table("""
    (x.T,)
    (x.sum().T, x.sum().mT)
    (x[[[0, 1], [0, 1]]],)
    (T.meshgrid(x[0, 0]),)
    (x[I([1, 0], dtype=T.uint8)],)
""")
def test_warnings(source: str) -> None:
    said = []
    for engine in (torch, minigrad):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            engine.set_warn_always(True)
            try:
                eval(source, {"T": engine, "I": engine.tensor, "x": engine.from_numpy(CUBE)})
            finally:
                engine.set_warn_always(False)
        said.append([str(each.message).partition(" (Triggered")[0] for each in caught])
    assert said[0] == said[1]
    assert said[0]


def test_strides_are_torchs() -> None:
    sources = [
        "x.mT", "x.unsqueeze(0)", "x.mT.unsqueeze(3)", "x[0].expand(1, 3, 4)", "x.expand(2, 2, 3, 4)", "x.mT.clone()",
        "x.expand(2, 2, 3, 4).clone()", "x[:, ::2, ::2].clone()", "x.mT.double()", "x[..., [0, 1]]", "x[None, 0, None]",
        "x.unfold(2, 2, 1)", "x.diagonal()", "x.as_strided((2, 2), (3, 1), 2)", "x.transpose(0, 1).reshape(3, 2, 2, 2)",
    ]  # fmt: skip
    for source in sources:
        a, b = (eval(source, {"x": engine.from_numpy(CUBE)}) for engine in (torch, minigrad))
        assert a.stride() == b.stride(), source
        assert (a.is_contiguous(), a.storage_offset()) == (b.is_contiguous(), b.storage_offset()), source


LAID: dict[str, Any] = {
    "in order": lambda a: a, "reversed order": np.asfortranarray,
    "rotated": lambda a: np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1),
    "expanded": lambda a: as_strided(a, a.shape, (0, 32, 8)),
    "expanded, reversed order": lambda a: as_strided(np.asfortranarray(a), a.shape, (8, 0, 48)),
    "with gaps": lambda a: np.repeat(a, 2, axis=2)[..., ::2],
}  # fmt: skip


REDUCED = (
    *("sum", "mean", "prod", "var", "std", "amax", "amin", "logsumexp", "nansum", "nanmean", "all", "any"),
    *("std_mean", "var_mean", "aminmax", "linalg.vector_norm", "norm"),
)
LOSSES = ("mse_loss", "huber_loss", "smooth_l1_loss", "soft_margin_loss", "binary_cross_entropy_with_logits")


@pytest.mark.parametrize("laid", LAID)
def test_results_lie_in_memory_as_torchs(laid: str) -> None:
    sources = [
        "x.sort(0)", "x.sort(1)", "T.msort(x)", "x.argsort(1)", "x.topk(2, 1)", "x.kthvalue(1, 0)", "x.median(0)",
        "x.mode(1)", "x.cummax(1)", "x.cumsum(0)", "x.logcumsumexp(0)", "x.softmax(1)", "x.log_softmax(-1)", "x.tril()",
        "x.scatter(1, i, x)", "x.scatter(1, i, 2.0)", "x.scatter_add(1, i, x)", "x.scatter_reduce(1, i, x, 'mean')",
        "x.index_add(1, j, x)", "x.index_copy(1, j, x)", "x.index_fill(1, j, 2.0)", "x.index_put((j[:2],), x[0])",
        "x.put(j, x[0, 0, :3])", "x.masked_fill(x > 0, 1)", "x.masked_scatter(x > 0, x)",
        "x.select_scatter(x[0], 0, 1)", "x.roll(1, 0)", "x.roll(0, 0)", "x.roll(2)", "x.clone()",
        "T.cdist(x, x, float('inf'))", "T.cdist(x, x, 0.0)", "T.cdist(x, x, 3.0)", "x.float()",
        "x.flip(0)", "x.nan_to_num()", "T.cat([x, x], 1)", "T.stack([x, x], 2)", "T.hstack([x[0].T, x[0].T])",
        "T.dstack([x[:, :, 0]] * 2)", "T.cat([x[None].movedim(-1, 1)] * 2, 2)", "T.stack([x[None].movedim(-1, 1)] * 2)",
        "T.nn.functional.logsigmoid(x)", "x.isreal()", "T.gather(x, 1, i)", "T.take(x, i)", "x.repeat(1, 1, 1)",
        "T.narrow_copy(x, 1, 0, 2)", "x.rot90(0)", "x.rot90(1)", "x.rot90(2)", "T.nn.functional.one_hot(i)",
        "T.nn.functional.channel_shuffle(x, 3)", "T.nn.functional.batch_norm(x, x[0, :, 0], x[0, :, 0])",
        *(f"T.{name}(x, dim={dim})" for name in REDUCED for dim in (0, 1, -1)),
        "T.count_nonzero(x, 0)", "T.nanquantile(x.double(), 0.3, 1)", "T.nn.functional.pairwise_distance(x, x + 1)",
        *(f"T.nn.functional.{name}(x, x.mT.contiguous().mT, reduction='none')" for name in LOSSES),
        "T.nn.functional.adaptive_max_pool1d(x, 3, return_indices=True)",
        "T.nn.functional.adaptive_max_pool1d(x[:1], 3, return_indices=True)",
    ]  # fmt: skip
    array = LAID[laid](CUBE.copy())
    for source in sources:
        found = []
        for engine in (torch, minigrad):
            names = {"x": array, "i": np.argsort(CUBE, 1), "j": np.array([1, 0, 2])}
            made = eval(source, {"T": engine, **{name: engine.from_numpy(each) for name, each in names.items()}})
            made = made if isinstance(made, tuple) else (made,)
            found.append(made)
        for a, b in zip(*found, strict=True):
            assert a.stride() == b.stride(), source
            np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-6, err_msg=source)


@st.composite
def laid_out(draw: st.DrawFn) -> Any:
    """Arrays that broadcast to one shape: with any order of the dimensions in memory, gaps, expanded dimensions."""
    shape, arrays = draw(st.lists(st.integers(2, 3), max_size=4)), []
    rank = len(shape)
    for _ in range(3):
        sizes = [1 if draw(st.integers(0, 4)) == 0 else each for each in shape]
        order, gaps = draw(st.permutations(range(rank))), [draw(st.integers(1, 2)) for _ in shape]
        strides = dict(zip(order, itertools.accumulate([8, *(sizes[i] * gaps[i] for i in order)], operator.mul)))
        laid = [0 if size > 1 and draw(st.integers(0, 5)) == 0 else strides[i] for i, size in enumerate(sizes)]
        array = as_strided(np.linspace(0.1, 0.9, 6**rank), sizes, laid)
        arrays.append(array[0, ...] if rank and sizes[0] == 1 and draw(st.booleans()) else array)
    return arrays


@settings(max_examples=150, deadline=None)
@given(laid_out())
def test_elementwise_results_lie_in_memory_as_torchs(arrays: Any) -> None:
    """Where operands lie in different orders, as torch's TensorIterator decides."""
    sources = [
        "x.sin()", "x + 1", "x > 0.5", "x.float()", "T.ones_like(x)", "T.nn.functional.hardtanh(x)", "x.round()",
        "x + y", "x * y", "x / y", "T.maximum(x, y)", "x.clamp_max(y)", "x.float() - y", "x < y", "T.polar(x, y)",
        "T.where(x > 0.5, y, z)", "x.addcmul(y, z)", "x.clamp(y, z)", "x.lerp(y, z)",
    ]  # fmt: skip
    shape = np.broadcast_shapes(*(each.shape for each in arrays))
    # Of what is broadcast, torch heeds the strides of the other dimensions of size 1 too, which numpy does not keep.
    arrays = [as_strided(a, shape, np.broadcast_to(a, shape).strides) if 1 in a.shape else a for a in arrays]
    for source in sources:
        found = []
        for engine in (torch, minigrad):
            x, y, z = (engine.from_numpy(each) for each in arrays)
            found.append(eval(source, {"T": engine, "x": x, "y": y, "z": z}))
        a, b = ([stride for stride, size in zip(each.stride(), each.shape) if size > 1] for each in found)
        assert a == b, source


def test_memory_formats() -> None:
    sources = [
        "x.contiguous(memory_format=T.channels_last)", "x.clone(memory_format=T.channels_last)",
        "x.to(memory_format=T.channels_last)", "x.float(memory_format=T.channels_last)",
        "x[None].contiguous(memory_format=T.channels_last_3d)", "x[0].clone(memory_format=T.channels_last)",
        "x.contiguous(memory_format=T.channels_last).clone(memory_format=T.contiguous_format)",
        "x.clone(memory_format=T.preserve_format)", "x.contiguous(memory_format=T.preserve_format)",
    ]  # fmt: skip
    for source in sources:

        def call(engine: Any, x: Any, source: str = source) -> Any:
            made = eval(source, {"T": engine, "x": x})
            return made, made.stride(), made.is_contiguous(memory_format=engine.channels_last)

        check(call, np.stack([CUBE, -CUBE]))


def test_numpy_shares_memory_and_negative_strides_are_refused() -> None:
    array = np.arange(6.0).reshape(2, 3)
    minigrad.from_numpy(array)[0, 1] = 9
    assert array[0, 1] == 9
    said = []
    for engine in (torch, minigrad):
        with pytest.raises(ValueError, match="negative") as error:
            engine.from_numpy(array[::-1])
        said.append(str(error.value))
    assert said[0] == said[1]


def test_new_tensors_and_devices() -> None:
    x = SimpleNamespace(torch=torch.ones(2, dtype=torch.float64), minigrad=minigrad.ones(2, dtype=minigrad.float64))
    for source in ("x.new_zeros(2, 3)", "x.new_ones((2,))", "x.new_full((2,), 3)", "x.new_tensor([1, 2])", "x.type()"):
        assert repr(eval(source, {"x": x.minigrad})) == repr(eval(source, {"x": x.torch}))
    assert x.minigrad.to("cpu") is x.minigrad
    assert x.minigrad.cpu() is x.minigrad
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        x.minigrad.to("cuda")
    assert x.minigrad.view(minigrad.int64).tolist() == x.torch.view(torch.int64).tolist()
