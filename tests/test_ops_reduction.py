"""Reductions, softmax, scans, sorting, norms and distances, numerical calculus: each against torch."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from against_torch import check

import minigrad

inf, nan = np.inf, np.nan
rng = np.random.default_rng(1)

A, B = rng.normal(size=(2, 3, 4))
POINTS = np.cumsum(rng.random(5))
LAYOUTS = {
    "plain": A,
    "float32": A.astype(np.float32),
    "float16": A.astype(np.float16),
    "three": rng.normal(size=(3, 3, 2)),
    "transposed": A.T,
    "reversed": A[::-1, ::-1],
    "zero-d": np.array(1.7),
    "one": np.array([[1.0]]),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
    "empty": np.zeros(0),
}
VALUES = {
    "ties": np.array([[1.0, 3, 3, 0], [2, 2, 2, 2], [0, -1, -1, 0]]),
    "zeros": np.array([[0.0, 2, 3, -1], [0, 4, 0, 5], [0, 0, 0, 0], [1, 2, 0, 3]]),
    "nan": np.array([[1.0, nan, 3, nan], [nan, nan, nan, nan], [0, 1, 2, 3]]),
    "inf": np.array([[1.0, inf, 3, inf], [-inf, 0, 1, -inf], [-inf, inf, 0, 1], [-inf, -inf, -inf, -inf]]),
}
INTEGERS = {
    "int64": np.array([[3, -1, 3], [0, 2, 2]]),
    "int32": np.array([[3, -1, 3], [0, 2, 2]], np.int32),
    "uint8": np.array([[200, 100, 3], [0, 2, 2]], np.uint8),
    "bool": np.array([[True, False, True], [True, True, False]]),
}


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """A call of torch's function `name` on the tensors, with further arguments."""

    def function(engine: Any, *tensors: Any) -> Any:
        found = engine
        for part in name.split("."):
            found = getattr(found, part)
        return found(*tensors, *args, **kwargs)

    function.__name__ = f"{name}{args}{kwargs}"
    return function


def named(calls: list[Any]) -> Any:
    return pytest.mark.parametrize("function", calls, ids=lambda function: function.__name__)


DIMS = [(), (0,), (-1, True), ((0, 1),), ((),)]
REDUCTIONS = [
    *[call(name, *dims) for dims in DIMS
      for name in ("sum", "mean", "amax", "amin", "nansum", "nanmean", "any", "all")],
    *[call(name, *dims) for dims in DIMS[:3]
      for name in ("prod", "max", "min", "argmax", "argmin", "median", "nanmedian")],
    *[call(name, **options) for name in ("var", "std", "var_mean", "std_mean")
      for options in ({}, {"dim": 0}, {"dim": (-1, 0), "keepdim": True}, {"unbiased": False},
                      {"correction": 0.5, "dim": 1})],
    *[call(name, False) for name in ("var", "std")],
    *[call("logsumexp", *dims) for dims in DIMS[1:4]],
    *[call(name, dim) for name in ("softmax", "log_softmax", "nn.functional.softmin") for dim in (0, -1)],
    *[call(name, dim) for name in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp") for dim in (0, -1)],
    *[call("aminmax", **options) for options in ({}, {"dim": 0}, {"dim": -1, "keepdim": True})],
    call("sum", dim=None, keepdim=True), call("count_nonzero"), call("count_nonzero", 0),
    call("sum", 0, dtype=None),
]  # fmt: skip
SORTING = [
    call("sort"), call("sort", 0, True), call("sort", stable=True, descending=True), call("msort"),
    call("argsort", dim=0, stable=True), call("argsort", -1, True),
    call("kthvalue", 2), call("kthvalue", 1, 0, True), call("mode"), call("mode", 0, True),
    *[call(name, 0.3, *dims, interpolation=how)
      for name in ("quantile", "nanquantile") for dims in ((), (0,), (1, True))
      for how in ("linear", "lower", "higher", "midpoint", "nearest")],
]  # fmt: skip
NORMS = [
    call(name, p, *dims) for name in ("norm", "linalg.vector_norm") for p in (0, 0.5, 1, 1.5, 2, 3, inf, -inf, -1)
    for dims in ((), (0,), (-1, True), ((0, 1),))
]  # fmt: skip
CALCULUS = [
    call("diff"), call("diff", 2, 0), call("diff", 0), call("gradient"), call("gradient", spacing=0.5, dim=0),
    call("gradient", edge_order=2), call("trapezoid"), call("trapezoid", dx=0.5, dim=0), call("trapz"),
    call("cumulative_trapezoid"), call("cumulative_trapezoid", dx=2, dim=0), call("cov"), call("cov", correction=0),
    call("corrcoef"),
]  # fmt: skip


# Where torch's answer for infinities or nans is an artefact of its algorithm: the mean that goes with a variance is
# found by Welford's updates (inf - inf), zeros next to infinities meet in products that we form in another order, and
# of nothing but nans nanmedian picks the one that its partitioning leaves first.
ARTEFACTS = ("var_mean", "std_mean", "prod", "cumprod", "nanmedian(-1")


@named(REDUCTIONS + SORTING + NORMS + CALCULUS)
def test_layouts(function: Any) -> None:
    for array in LAYOUTS.values():
        check(function, array)


@named(REDUCTIONS + SORTING + NORMS + CALCULUS)
def test_ties_zeros_nan_inf(function: Any) -> None:
    for name, array in VALUES.items():
        if not (name in ("inf", "nan") and function.__name__.startswith(ARTEFACTS)):
            check(function, array)


@named(REDUCTIONS + SORTING + NORMS[:2] + CALCULUS)
def test_integers(function: Any) -> None:
    for array in INTEGERS.values():
        check(function, array)


COMPLEX = [
    *[call(name) for name in ("sum", "mean", "prod", "var", "std", "var_mean", "norm", "any", "count_nonzero", "diff",
      "cov", "trapezoid", "gradient", "max", "amax", "argmax", "aminmax", "median", "mode", "sort", "msort", "nansum",
      "nanmean")],
    *[call(name, 0) for name in ("sum", "mean", "prod", "var", "cumsum", "cumprod", "all", "max", "cummax", "softmax")],
    *[call("norm", p, 0) for p in (1, 2, 3, inf)], call("kthvalue", 1), call("topk", 1), call("quantile", 0.5),
]  # fmt: skip


@named(COMPLEX)
def test_complex(function: Any) -> None:
    check(function, A + 1j * A[::-1])


BAD = [
    *[call(name, *bad) for name in ("sum", "mean", "prod", "max", "amax", "argmin", "var", "any", "median", "nansum",
      "mode", "cumsum", "softmax", "sort") for bad in ((5,), (-3,))],
    *[call(name, (0, 0)) for name in ("sum", "mean", "amax", "std", "logsumexp")],
    *[call("kthvalue", k) for k in (0, 9)], *[call("topk", k) for k in (-1, 9)],
    *[call("quantile", q) for q in (-0.5, 2.0)], call("quantile", 0.5, interpolation="best"), call("norm", "best"),
    call("linalg.vector_norm", "fro"), call("diff", -1), call("diff", dim=3), call("gradient", edge_order=3),
    call("gradient", dim=(0, 0)), call("gradient", dim=5), call("gradient", spacing=[1, 2, 3]),
    call("gradient", dim=[]), call("trapezoid", dim=4),
]  # fmt: skip
BAD_TYPES = [
    *[call(name, *bad[0], **bad[1]) for name in ("sum", "prod", "max", "amax", "any", "median", "cumsum", "logsumexp")
      for bad in ((("a",), {}), ((1.5,), {}), ((), {"bogus": 1}))],
    call("max", (0, 1)), call("median", (0, 1)), call("cumsum"), call("softmax"), call("topk"),
    call("trapezoid", dx=True),
]  # fmt: skip


@named(BAD)
def test_errors(function: Any) -> None:
    check(function, A)


@named(BAD_TYPES)
def test_error_types(function: Any) -> None:
    check(function, A, errors="type")


ALONG = ("cumsum", "cumprod", "softmax", "log_softmax")


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "nansum", "nanmean", *ALONG])
def test_dtype(name: str) -> None:
    dims = (0,) if name in ALONG else ()
    for kind, array in itertools.product(("float64", "float32", "float16", "int64", "int32"), (A, *INTEGERS.values())):
        check(lambda e, x, k=kind: getattr(e, name)(x, *dims, dtype=getattr(e, k)), array, grad_for=[])
    check(lambda e, x: getattr(e, name)(x, *dims, dtype=e.float64), A.astype(np.float32))


PAIRS: list[tuple[Any, ...]] = [
    (call("max"), A, B), (call("min"), A, B[0]), (call("max"), INTEGERS["int64"], np.array(1)),
    *[(call("dist", p), A, B) for p in (0.5, 1, 1.5, 2, 3, inf)], (call("dist"), A, B[0]), (call("dist"), A, A),
    (call("dist"), A, B.astype(np.float32)), (call("dist"), A, B[:2]), (call("dist"), *[INTEGERS["int64"]] * 2),
    *[(call("pairwise_distance", p), A, B) for p in (0, 1, 2, 3, inf)],
    (call("nn.functional.pairwise_distance", 2, 1e-3, True), A, B[0]),
    *[(call("cosine_similarity", dim), A, B) for dim in (0, 1, -1)], (call("cosine_similarity", 0, 3.0), A, B),
    (call("nn.functional.cosine_similarity"), VALUES["zeros"], VALUES["ties"][:1]),
    (call("cosine_similarity", 0), INTEGERS["int64"], INTEGERS["int64"]),
    (call("cosine_similarity", 0), A[0], np.arange(4)), (call("cosine_similarity"), A, B.astype(np.float32)),
    *[(call(name, dim=dim), A, at) for name in ("trapezoid", "cumulative_trapezoid")
      for dim, at in ((-1, POINTS[:4]), (0, POINTS[:3]), (-1, A + B), (-1, POINTS))],
    (lambda e, x, at: e.gradient(x, spacing=(at,), dim=1), A, POINTS[:4]),
    (lambda e, x, at: e.gradient(x, spacing=(at,), dim=1, edge_order=2), A, POINTS[:4]),
    (lambda e, x, at: e.gradient(x, spacing=(at,), dim=1), A, POINTS),
    *[(lambda e, x, more, dim=dim: e.diff(x, 1, dim, more, more), A, more)
      for dim, more in ((1, A[:, :2]), (0, B), (1, A[0]), (1, A[:2]))],
    *[(lambda e, x, w, c=c: e.cov(x, correction=c, aweights=w), A, w) for c in (0, 1)
      for w in (np.array([0.5, 1, 2, 1]), np.array([0.5, -1, 2, 1]), np.arange(4), np.ones(2))],
    *[(lambda e, x, w: e.cov(x, fweights=w), A, w)
      for w in (np.array([1, 2, 0, 1]), np.array([1, -2, 0, 1]), np.ones(4), np.ones((1, 4), int))],
    *[(call(name, *dims), A, q) for name in ("quantile", "nanquantile") for dims in ((), (0,), (1, True))
      for q in (np.array([0.1, 0.5, 0.9]), np.array(0.4))],
    *[(call("quantile"), A, q) for q in (np.array([1.5]), np.ones((1, 1)), np.ones(1, np.float32))],
    *[(call("quantile", 0), x, np.array([0.1, 0.5])) for x in (np.array(2.0), np.array([[1, nan], [nan, nan]]))],
]  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_two_tensors(case: tuple[Any, ...]) -> None:
    check(*case)


def test_gradient_at_a_tensors_spacing() -> None:
    check(lambda e, x, step: e.gradient(x, spacing=step, dim=1), A, np.array(2))
    for step in (np.array(2.0), POINTS[:4]):
        check(lambda e, x, step: e.gradient(x, spacing=step, dim=1), A, step, errors="type")


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, inf])
def test_cdist(p: float) -> None:
    for first, second in ((A, B), (A[None], rng.normal(size=(2, 5, 4))), (A, A), (A[:, :0], B[:, :0]), (A[:0], B)):
        check(call("cdist", p), first, second, orders=1)
    check(call("cdist", p), A, B)  # a second time torch refuses


def test_cdist_arguments() -> None:
    odd = np.array([[1, 1.0], [inf, 0], [nan, 1], [-inf, 2]])
    for p in (0.0, inf):
        check(call("cdist", p), odd, odd)
    for x, y in (((0, 5), (4, 5)), ((4, 0), (3, 0)), ((30, 5), (0, 5))):
        check(call("cdist", 2.0, "use_mm_for_euclid_dist"), np.ones(x), np.ones(y), orders=1)
    for mode in ("use_mm_for_euclid_dist", "use_mm_for_euclid_dist_if_necessary", "other"):
        check(call("cdist", compute_mode=mode), A, B)
    check("cdist", rng.normal(size=(30, 2)), A[:, :2])
    check(call("cdist", -1.0), A, B)
    for first, second in ((A[0], B), (A, B[:, :2]), (A, B.astype(np.float32)), (np.ones((2, 2), int),) * 2):
        check("cdist", first, second)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, inf])
def test_normalize(p: float) -> None:
    for array in (A, VALUES["zeros"], VALUES["zeros"] * 1e-14, A.astype(np.float32)):
        check(call("nn.functional.normalize", p), array)
        check(call("nn.functional.normalize", p, -1, 0.5), array)


def test_topk() -> None:
    for arguments in ((2,), (2, 0), (3, -1, False), (0,), (4, 1, True, True)):
        check(call("topk", *arguments), A)
    check(call("topk", 1), np.array(2.0))
    check(call("topk", 1), INTEGERS["bool"])


def test_ties_are_broken_as_in_torch() -> None:
    rows = np.array([[1.0, 1, 2, 2, 1, 0, 0, 3, 3, 3, 1, 2], [2.0] * 12, [0, 1] * 6])
    for k in range(1, 13):
        check(call("kthvalue", k), rows)
    many = rng.integers(0, 6, size=(20, 37)).astype(float)
    for k in (1, 10, 19, 37):
        check(call("kthvalue", k), many)
    for name in ("median", "nanmedian", "max", "min", "cummax", "cummin"):
        check(call(name, 1), many)
    check(call("sort", stable=True), many)
    long = np.stack([rng.integers(0, 4, 300), np.minimum(np.arange(300), np.arange(300)[::-1])]).astype(float)
    for values in (rows, many, long, np.where(many == 3, nan, many)):
        for options in ({}, {"descending": True}):
            check(call("sort", **options), values)
        for k in (1, 4, 12):  # of 300, the first two by a heap, the last by partitions
            for options in ({}, {"largest": False}, {"sorted": False}):
                check(call("topk", k, **options), values)
        check(call("mode"), values)
    check(call("topk", 7, 0), many)


def test_third_order() -> None:
    zeros = np.array([[1.0, 0, 2, 0], [0, 3, 1, 2], [2, 1, 4, 3]])
    for function in (call("prod"), call("prod", 1), call("cumprod", 1), call("logsumexp", 0), call("softmax", 1)):
        check(function, zeros, orders=3)
    check(call("std"), A, orders=3)


def test_complex_exponentials() -> None:
    z = np.array([[1 + 2j, -3 + 4j, 0.5 - 7j], [2, -1j, 3 + 9j]])
    for function in (call("logsumexp", 1), call("logcumsumexp", 0), call("logcumsumexp", -1)):
        check(function, z)
    odd = np.array([1 + 2j, complex(inf, 1), complex(-inf, 2), complex(nan, 0), complex(1, 5)])
    check(call("logaddexp"), z, z[::-1].copy(), atol=1e-14)
    check(call("logaddexp"), odd, odd[:, None], grad_for=[])


def test_unique() -> None:
    for options in ({}, {"return_inverse": True}, {"return_inverse": True, "return_counts": True}):
        for array in (np.array([3.0, 1, 3, nan, 2, nan]), INTEGERS["int64"]):
            check(call("unique", **options), array, grad_for=[])
    check(call("unique"), np.array([3.0, 1, 3]), orders=1)


def test_functional_softmax_chooses_a_dimension() -> None:
    for name, array in itertools.product(("softmax", "log_softmax", "softmin"), (A[0], A, LAYOUTS["three"])):
        check(call(f"nn.functional.{name}"), array)
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmin has been deprecated"):
        minigrad.nn.functional.softmin(minigrad.ones(2, 2))


@pytest.mark.parametrize("name", ["std_mean", "var_mean"])
@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_the_gradient_of_a_mean_alone_is_constant(name: str, used: tuple[int, ...]) -> None:
    def gradient(engine: Any, x: Any) -> Any:
        found = getattr(engine, name)(x, 0)
        total = sum(found[each].sum() for each in used)
        return engine.autograd.grad(total, x, create_graph=True)[0]

    check(gradient, A, orders=1, grad_fn=False)


def test_degrees_of_freedom_warn() -> None:
    for name in ("var", "std", "var_mean", "std_mean"):
        with pytest.warns(UserWarning, match=rf"^{name}\(\): degrees of freedom is <= 0\. Correction should"):
            getattr(minigrad, name)(minigrad.ones(1))


@pytest.mark.parametrize("name", ["max", "min", "sort", "median", "nanmedian", "mode", "cummax", "cummin"])
def test_named_tuples_print_as_in_torch(name: str) -> None:
    check(lambda e, x: repr(getattr(x, name)(1)), A, orders=0)
    pair = getattr(minigrad.tensor([[1.0, 2.0]]), name)(1)
    assert pair.values is pair[0]
    assert pair.indices is pair[1]
    with pytest.raises(TypeError, match="takes a 2-sequence"):
        type(pair)([1])


def test_aminmax_and_topk_print_as_in_torch() -> None:
    check(lambda e, x: repr(x.aminmax()), A, orders=0)
    check(lambda e, x: repr(x.topk(2)) + repr(x.kthvalue(2)), A, orders=0)


def test_in_place_and_out() -> None:
    check(lambda e, x: (x * 1).cumsum_(0), A)
    check(lambda e, x: (x * 1).cumprod_(1), VALUES["zeros"])
    for name in ("sum", "mean", "amax", "logsumexp", "std", "norm"):
        check(lambda e, x, n=name: getattr(e, n)(x, dim=1, out=e.empty(0, dtype=e.float64)), A, grad_for=[])
        check(lambda e, x, n=name: getattr(e, n)(x, dim=1, out=e.empty(3, dtype=e.float64)), A, errors="type")
    check(lambda e, x: e.max(x, 1, out=(e.empty(0, dtype=e.float64), e.empty(0, dtype=e.int64))), A, grad_for=[])


def test_what_is_saved() -> None:
    """Writing to what backward does not need is allowed; writing to what it needs is refused."""

    def write(name: str, to: int, *arguments: Any) -> Any:
        def function(engine: Any, x: Any) -> Any:
            y = x * 1
            outputs = getattr(y, name)(*arguments)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            (y, *outputs)[to].add_(1)
            return outputs[0]

        return function

    for name, to in itertools.product(("max", "sort", "median", "cummax"), (0, 1, 2)):
        check(write(name, to, 1), A)
    several = ("sum", "amax", "softmax", "logsumexp", "cumprod", "prod", "std", "norm")
    for name, to in itertools.product(several, (0, 1)):
        check(write(name, to, 1), A)


def test_other_names_of_arguments() -> None:
    for name in ("sum", "max", "std", "norm", "softmax", "amax", "median", "nn.functional.softmin"):
        check(call(name, dim=1), A)
    for name in ("sum", "max", "std", "amax"):
        check(call(name, axis=1, keepdims=True), A)
        check(lambda e, x, n=name: getattr(e, n)(input=x, dim=0), A)
