"""Functions of `nn.functional`: activations, losses, normalisations, convolutions, pooling, attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from conformance.program import Arg, Ref
from conformance.vocabulary.operation import (
    FUNCTION,
    WIDE,
    Arguments,
    Draw,
    Interval,
    Operation,
    Range,
    anywhere,
    argument,
    hull,
    keywords,
    largest,
    one,
    within,
)

MODERATE: Interval = (-8.0, 8.0)
PROBABILITY: Interval = (0.125, 0.875)
REDUCTIONS = ("mean", "sum", "none")


def nn(
    name: str,
    draw: Callable[[Draw], Arguments],
    range: Range = anywhere,
    domain: Interval = MODERATE,
    kinks: tuple[float, ...] = (),
    **more: Any,
) -> Operation:
    """A function of `nn.functional`."""
    return Operation(f"nn.functional.{name}", "nn.functional", draw, domain, range, kinks, forms=FUNCTION, **more)


def _along(d: Draw) -> Arguments:
    x = d.x()
    return (x,), {"dim": d.dim(x)}


def _glu(d: Draw) -> Arguments:
    x = d.fit(d.pick(((4,), (2, 3), (2, 4))))
    return (x, 0 if d.shape(x) == (2, 3) else -1), {}


def _prelu(d: Draw) -> Arguments:
    x = d.x(least=2)
    return (x, d.shaped((d.shape(x)[1],) if d.upto(2) else (1,))), {}


def _growth(operands: Sequence[Interval], _size: int) -> Interval:
    low, high = hull(operands)
    return 2 * low - 2, 2 * high + 2


ACTIVATIONS = (
    nn("celu", one(alpha=(..., 0.5)), _growth, kinks=(0.0, -0.0)),
    nn("elu", one(alpha=(..., 0.5)), _growth, kinks=(0.0, -0.0)),
    nn("gelu", one(approximate=("none", "tanh")), _growth),
    nn("glu", _glu, _growth),
    nn("hardshrink", one(lambd=(..., 0.25)), _growth, kinks=(0.5, -0.5)),
    nn("hardsigmoid", one(), within(0, 1), kinks=(-3.0, 3.0), orders=1),
    nn("hardswish", one(), _growth, kinks=(-3.0, 3.0)),
    nn("hardtanh", one(min_val=(..., -0.5), max_val=(..., 2.0)), within(-1, 2), kinks=(-1.0, 1.0)),
    nn("leaky_relu", one(negative_slope=(..., 0.5)), _growth, kinks=(0.0, -0.0)),
    nn("logsigmoid", one(), within(-10, 0)),
    nn("mish", one(), _growth),
    nn("prelu", _prelu, largest(lambda v: v * v + v), kinks=(0.0,)),
    nn("relu", one(), _growth, kinks=(0.0, -0.0)),
    nn("softmax", _along, within(0, 1)),
    nn("log_softmax", _along),
    nn("threshold", one((0.5,), (0.0, 2.0)), _growth, kinks=(0.5,)),
    nn("relu6", one(), within(0, 6), kinks=(0.0, 6.0)),
    nn("selu", one(), _growth, kinks=(0.0, -0.0)),
    nn("silu", one(), _growth),
    nn("softmin", _along, within(0, 1)),
    nn("softshrink", one(lambd=(..., 0.25)), _growth, kinks=(0.5, -0.5)),
    nn("softsign", one(), within(-1, 1), kinks=(0.0,)),
    nn("tanhshrink", one(), _growth),
)


# -- losses ------------------------------------------------------------------------------------------------------------


def _loss(target: Interval | None = None, **options: tuple[Any, ...]) -> Callable[[Draw], Arguments]:
    """An input and a target of its shape."""

    def draw(d: Draw) -> Arguments:
        x = d.x(nonempty=True)
        return (x, d.shaped(d.shape(x), target)), {"reduction": d.pick(REDUCTIONS), **keywords(d, options)}

    return draw


def _entropy(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    more = {"weight": d.constant(d.shape(x), PROBABILITY)} if d.upto(3) == 2 else {}
    return (x, d.constant(d.shape(x), PROBABILITY) if d.upto(2) else d.shaped(d.shape(x), PROBABILITY)), {
        "reduction": d.pick(REDUCTIONS),
        **more,
    }


def _classes(logits: bool) -> Callable[[Draw], Arguments]:
    """Scores of classes (in dimension 1, or 0 of a vector) and the index of the right one."""

    def draw(d: Draw) -> Arguments:
        x = d.x(ndim=d.pick((2, 1, 3)), nonempty=True)
        shape = d.shape(x)
        classes = shape[0] if len(shape) == 1 else shape[1]
        more = keywords(d, {"label_smoothing": (..., 0.25)} if logits else {})
        if d.upto(3) == 2:
            more["weight"] = d.constant((classes,), PROBABILITY)
        if logits and d.upto(3) == 2:
            return (x, d.shaped(shape, PROBABILITY)), {"reduction": d.pick(REDUCTIONS), **more}
        if d.upto(4) == 3:
            more["ignore_index"] = 0
        reduction = "sum" if "ignore_index" in more else d.pick(REDUCTIONS)  # the mean of nothing is nan
        return (x, d.index((shape[0], *shape[2:]) if len(shape) > 1 else (), classes)), {"reduction": reduction, **more}

    return draw


def _margins(d: Draw) -> Arguments:
    x = d.x(ndim=2, nonempty=True)
    n, classes = d.shape(x)
    return (x, d.index((n,), classes)), {
        "reduction": d.pick(REDUCTIONS),
        **({"weight": d.constant((classes,), PROBABILITY)} if d.upto(3) == 2 else {}),
        **keywords(d, {"p": (..., 2), "margin": (..., 0.5)}),
    }


def _soft(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    return (x, d.signs(d.shape(x))), {"reduction": d.pick(REDUCTIONS)}


def _labels(d: Draw) -> Arguments:
    x = d.x(ndim=2, nonempty=True)
    return (x, d.constant(d.shape(x), PROBABILITY)), {"reduction": d.pick(REDUCTIONS)}


def _hinge(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    return (x, d.signs(d.shape(x))), {"reduction": d.pick(REDUCTIONS), **keywords(d, {"margin": (..., 0.5)})}


def _cosine(d: Draw) -> Arguments:
    x = d.x(ndim=2, nonempty=True)
    y = d.shaped(d.shape(x))
    return (x, y, d.signs(d.shape(x)[:1])), {"reduction": d.pick(REDUCTIONS), **keywords(d, {"margin": (..., 0.25)})}


def _ranking(d: Draw) -> Arguments:
    x = d.x(ndim=1, nonempty=True)
    y = d.shaped(d.shape(x))
    return (x, y, d.signs(d.shape(x))), {"reduction": d.pick(REDUCTIONS), **keywords(d, {"margin": (..., 0.5)})}


def _gaussian(d: Draw) -> Arguments:
    x = d.x(nonempty=True)
    y, var = d.shaped(d.shape(x)), d.shaped(d.shape(x), (0.5, 4.0))
    return (x, y, var), {"reduction": d.pick(REDUCTIONS), **keywords(d, {"full": (..., True), "eps": (..., 0.75)})}


def _triplet(d: Draw) -> Arguments:
    x = d.x(ndim=2, nonempty=True)
    y, z = d.shaped(d.shape(x)), d.shaped(d.shape(x))
    options = {"margin": (..., 2.0), "p": (..., 1.0, 3.0), "swap": (..., True), "eps": (..., 0.25)}
    return (x, y, z), {"reduction": d.pick(REDUCTIONS), **keywords(d, options)}


def _triplet_of_distances(d: Draw) -> Arguments:
    (x, y, z), _ = _triplet(d)
    return (x, y, z), {"reduction": d.pick(REDUCTIONS), **keywords(d, {"margin": (..., 2.0), "swap": (..., True)})}


LOSSES = (
    nn("binary_cross_entropy", _entropy, domain=PROBABILITY, odd_values=False),
    nn("binary_cross_entropy_with_logits", _entropy),
    nn("cosine_embedding_loss", _cosine, domain=(0.25, 8.0)),
    nn("cross_entropy", _classes(logits=True)),
    nn("gaussian_nll_loss", _gaussian, odd_values=False),
    nn("hinge_embedding_loss", _hinge, kinks=(1.0, 0.0)),
    nn("huber_loss", _loss(delta=(..., 0.5)), kinks=(1.0, 0.0)),
    nn("kl_div", _loss((0.25, 4.0), log_target=(..., True))),
    nn("l1_loss", _loss(), kinks=(1.0, 0.5)),
    nn("margin_ranking_loss", _ranking, kinks=(0.0, 1.0)),
    nn("multi_margin_loss", _margins, kinks=(1.0, 0.0), orders=1),
    nn("mse_loss", _loss(), kinks=(1.0,)),
    nn("nll_loss", _classes(logits=False)),
    nn(
        "poisson_nll_loss",
        _loss((0.5, 4.0), log_input=(True, False), full=(..., True), eps=(..., 0.25)),
        domain=(0.5, 4.0),
    ),
    nn("smooth_l1_loss", _loss(beta=(..., 0.5)), kinks=(1.0, 0.0)),
    nn("soft_margin_loss", _soft),
    nn("multilabel_soft_margin_loss", _labels),
    nn("triplet_margin_loss", _triplet),
    nn("triplet_margin_with_distance_loss", _triplet_of_distances),
)


# -- layers ------------------------------------------------------------------------------------------------------------


def _linear(d: Draw) -> Arguments:
    x = d.x(least=1)
    n = d.pick((2, 1, 3))
    w = d.shaped((n, d.shape(x)[-1]))
    return ((x, w, d.shaped((n,))) if d.upto(2) else (x, w)), {}


def _bilinear(d: Draw) -> Arguments:
    x = d.x(ndim=2)
    b, k = d.shape(x)
    return (x, d.shaped((b, 2)), d.shaped((3, k, 2)), *((d.shaped((3,)),) if d.upto(2) else ())), {}


def _embedding(d: Draw) -> Arguments:
    w = d.x(ndim=2, nonempty=True)
    index = d.index(d.pick(((3,), (2, 2), ())), d.shape(w)[0])
    return (index, w), ({"padding_idx": 0} if d.upto(3) == 2 else {})


def _layer_norm(d: Draw) -> Arguments:
    x = d.fit(d.pick(((2, 3), (2, 2, 3), (2, 4))))
    shape = d.shape(x)[-1 - d.upto(2) :] if len(d.shape(x)) > 2 else d.shape(x)[-1:]
    return (x, argument(shape)), {**_scaled(d, *shape), **keywords(d, {"eps": (..., 0.5)})}


def _rms_norm(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    shape = d.shape(x)[-1:]
    return (x, argument(shape)), {
        **({"weight": d.shaped(shape)} if d.upto(2) else {}),
        **keywords(d, {"eps": (..., 0.5)}),
    }


def _scaled(d: Draw, *shape: int) -> dict[str, Ref]:
    """Weight and bias, weight alone or neither: torch fails in some backwards when it is given a bias alone."""
    return {k: d.shaped(shape) for k in d.pick(((), ("weight", "bias"), ("weight",)))}


def _batch_norm(d: Draw) -> Arguments:
    x = d.fit(d.pick(((3, 2), (2, 2, 3), (2, 2, 2, 2))))
    if d.upto(2):
        return (x, None, None), {**_packed(d), "training": True, **keywords(d, {"eps": (..., 0.5)})}
    return (x, d.constant((2,)), d.constant((2,), (0.5, 4.0))), _packed(d)


def _packed(d: Draw) -> dict[str, Arg]:
    """Weight and bias without gaps in their memory: torch's backward of batch_norm reads them as if there were none."""
    return {name: d.packed(each) for name, each in _scaled(d, 2).items()}


def _instance_norm(d: Draw) -> Arguments:
    x = d.fit(d.pick(((2, 2, 3), (1, 2, 2, 2))))
    return (x,), {**_scaled(d, 2), **keywords(d, {"eps": (..., 0.5)})}


def _group_norm(d: Draw) -> Arguments:
    x = d.fit(d.pick(((2, 4), (1, 4, 3), (1, 4, 2, 2))))
    return (x, d.pick((2, 1))), {**_scaled(d, 4), **keywords(d, {"eps": (..., 0.5)})}


def _local_response(d: Draw) -> Arguments:
    options = {"alpha": (..., 0.5), "beta": (..., 0.5), "k": (..., 2.0)}
    return (d.fit((1, 3, 2)), d.pick((2, 3))), keywords(d, options)


def _normalize(d: Draw) -> Arguments:
    x = d.x(least=1, nonempty=True)
    return (x,), {"dim": d.dim(x), **keywords(d, {"p": (..., 1.0, 3.0)})}


def _attention(d: Draw) -> Arguments:
    q = d.fit(d.pick(((1, 2, 3), (2, 2, 2), (1, 1, 2, 3), (1, 2, 2, 3))))
    *batch, n, k = d.shape(q)
    m = d.pick((2, 3))
    grouped: dict[str, Arg] = {"enable_gqa": True} if len(batch) == 2 and batch[1] == 2 and d.upto(2) else {}
    if grouped:
        batch = [1, 1]
    causal: dict[str, Arg] = {"is_causal": True} if d.upto(3) == 2 else {}
    if not causal and d.upto(3) == 2:
        causal["attn_mask"] = d.shaped((n, m))
    return (q, d.shaped((*batch, m, k)), d.shaped((*batch, m, 2))), {
        **causal, **grouped, **keywords(d, {"scale": (..., 0.5)}),
    }  # fmt: skip


def _dropout(n: int) -> Callable[[Draw], Arguments]:
    """All or nothing is dropped: what lies between is left to chance."""

    def draw(d: Draw) -> Arguments:
        return (_planes(d, n) if n else d.x(), d.pick((1.0, 0.0))), keywords(d, {"training": (..., ..., False)})

    return draw


LAYERS = (
    nn("linear", _linear),
    nn("bilinear", _bilinear),
    nn("embedding", _embedding, lambda o, _: hull(o), WIDE),
    nn("layer_norm", _layer_norm),
    nn("rms_norm", _rms_norm, domain=(0.25, 8.0)),
    nn("batch_norm", _batch_norm),
    nn("instance_norm", _instance_norm),
    nn("group_norm", _group_norm),
    nn("local_response_norm", _local_response),
    nn("normalize", _normalize, within(-1.5, 1.5), (0.25, 8.0)),
    *(nn(f"dropout{f'{n}d' if n else ''}", _dropout(n), lambda o, _: hull(o), WIDE) for n in range(4)),
    nn("scaled_dot_product_attention", _attention, domain=(-2.0, 2.0)),
)


# -- windows: convolution, pooling, resampling, padding ----------------------------------------------------------------

_PLANES: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((1, 2, 4), (2, 2, 3), (2, 4)),
    2: ((1, 2, 3, 3), (1, 2, 2, 4), (2, 3, 3)),
    3: ((1, 1, 2, 2, 3), (1, 2, 2, 2, 2)),
}


def _planes(d: Draw, n: int, batch: bool = False) -> Ref:
    shapes = [s for s in _PLANES[n] if not batch or len(s) == n + 2]
    return d.fit(d.pick(shapes))


def _conv(n: int, transposed: bool) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = _planes(d, n)
        channels = d.shape(x)[-n - 1]
        groups = channels if d.upto(3) == 2 else 1
        size = tuple(d.pick((2, 1)) for _ in range(n))
        out = d.pick((1, 2))
        shape = (channels, out, *size) if transposed else (out * groups, channels // groups, *size)
        w = d.shaped(shape)
        bias = (d.shaped((out * groups,)),) if d.upto(2) else ()
        options: dict[str, tuple[Any, ...]] = {"stride": (..., 2), "padding": (..., 1), "dilation": (..., 2)}
        if transposed:
            options["output_padding"] = (..., ...)
        chosen = keywords(d, options)
        if not transposed and "stride" not in chosen and d.upto(4) == 3:
            chosen["padding"] = "same"
        if transposed and 1 in size:  # else nothing may be left, of which torch has no second derivative
            chosen.pop("padding", None)
        if transposed and "stride" in chosen and d.upto(2):
            chosen["output_padding"] = 1
        return (x, w, *bias), {**chosen, **({"groups": groups} if groups > 1 else {})}

    return draw


def _max_pool(n: int) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        options: dict[str, tuple[Any, ...]] = {
            "stride": (..., 1), "padding": (..., 1), "ceil_mode": (..., True), "return_indices": (..., True),
        }  # fmt: skip
        if n < 3:  # the last dimension has room for it
            options["dilation"] = (..., ..., argument((*(1,) * (n - 1), 2)))
        return (_planes(d, n), 2), keywords(d, options)

    return draw


def _unpool(n: int) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        x = d.fit((1, 1, *(2, 1, 1)[:n]))
        places = 2 ** (n + 1)
        return (x, d.places(d.shape(x), places), 2), {}

    return draw


def _avg_pool(n: int) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        options: dict[str, tuple[Any, ...]] = {
            "stride": (..., 1),
            "padding": (..., 1),
            "ceil_mode": (..., True),
            "count_include_pad": (..., False),
        }
        if n > 1:
            options["divisor_override"] = (..., ..., 3)
        return (_planes(d, n), 2), keywords(d, options)

    return draw


def _lp_pool(n: int) -> Callable[[Draw], Arguments]:
    options = {"stride": (..., 1), "ceil_mode": (..., True)}
    return lambda d: ((_planes(d, n), d.pick((2.0, 1.0, 3.0)), 2), keywords(d, options))


def _adaptive(n: int, most: bool) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        size = d.pick((1, 2, 3)) if d.upto(2) else argument(tuple(d.pick((1, 2)) for _ in range(n)))
        return (_planes(d, n), size), keywords(d, {"return_indices": (..., True)} if most else {})

    return draw


def _interpolate(d: Draw) -> Arguments:
    n = d.pick((2, 1, 3))
    x = _planes(d, n, batch=True)
    mode = d.pick(
        (
            "nearest",
            ("linear", "bilinear", "trilinear")[n - 1],
            "area",
            "nearest-exact",
            *(["bicubic"] if n == 2 else []),
        )
    )
    options: dict[str, tuple[Any, ...]] = {"align_corners": (..., True)} if mode.endswith(("linear", "cubic")) else {}
    if mode in ("bilinear", "bicubic"):
        options["antialias"] = (..., ..., True)
    size: Arg = argument(tuple(d.pick((3, 2, 4)) for _ in range(n)))
    if d.upto(2):
        return (x,), {"size": size, "mode": mode, **keywords(d, options)}
    options["recompute_scale_factor"] = (..., ..., True)
    return (x,), {"scale_factor": d.pick((2.0, 1.5)), "mode": mode, **keywords(d, options)}


def _pad(d: Draw) -> Arguments:
    x = _planes(d, d.pick((2, 1, 3)))
    mode = d.pick(("constant", "reflect", "replicate", "circular"))
    n = len(d.shape(x)) - 2
    if mode == "constant" or n < 1:
        return (x, argument(tuple(d.pick((1, 0, -1, 2)) for _ in range(2)))), {"value": d.number()}
    return (x, argument(tuple(d.pick((1, 0)) for _ in range(2 * n)))), {"mode": mode}


def _constant_pad(d: Draw) -> Arguments:
    x = d.x(least=1)
    return (x, argument(tuple(d.pick((1, 0, 2)) for _ in range(2))), *((d.number(),) if d.upto(2) else ())), {}


def _unfold(d: Draw) -> Arguments:
    x = _planes(d, 2)
    return (x, argument(d.pick(((2, 2), (1, 2))))), keywords(
        d, {"stride": (..., 2), "padding": (..., 1), "dilation": (..., ...)}
    )


WINDOWS = (
    *(nn(f"conv{n}d", _conv(n, transposed=False)) for n in (1, 2, 3)),
    *(nn(f"conv_transpose{n}d", _conv(n, transposed=True), orders=2) for n in (1, 2, 3)),
    *(nn(f"max_pool{n}d", _max_pool(n), lambda o, _: hull(o), WIDE, (1.0, 0.5)) for n in (1, 2, 3)),
    *(nn(f"max_unpool{n}d", _unpool(n), lambda o, _: hull(o), WIDE) for n in (1, 2, 3)),
    *(nn(f"avg_pool{n}d", _avg_pool(n), largest(lambda v: 3 * v), WIDE) for n in (1, 2, 3)),
    *(nn(f"lp_pool{n}d", _lp_pool(n), domain=(0.25, 4.0)) for n in (1, 2, 3)),
    *(nn(f"adaptive_avg_pool{n}d", _adaptive(n, False), lambda o, _: hull(o), WIDE) for n in (1, 2, 3)),
    *(nn(f"adaptive_max_pool{n}d", _adaptive(n, True), lambda o, _: hull(o), WIDE, (1.0, 0.5)) for n in (1, 2, 3)),
    nn("interpolate", _interpolate, largest(lambda v: 3 * v), WIDE),
    nn("pad", _pad, lambda o, _: hull([*o, (-3, 3)]), WIDE),
    Operation(
        "constant_pad_nd", "nn.functional", _constant_pad, WIDE, lambda o, _: hull([*o, (-3, 3)]), forms=FUNCTION
    ),
    nn("unfold", _unfold, lambda o, _: hull(o), WIDE),
    nn("fold", lambda d: ((d.fit((1, 4, 2)), argument((2, 3)), argument((2, 2))), {}), largest(lambda v: 4 * v), WIDE),
    nn("pixel_shuffle", lambda d: ((d.fit((1, 4, 1, 2)), 2), {}), lambda o, _: hull(o), WIDE),
    nn("pixel_unshuffle", lambda d: ((d.fit((1, 1, 2, 4)), 2), {}), lambda o, _: hull(o), WIDE),
    nn("channel_shuffle", lambda d: ((d.fit((1, 4, 2)), 2), {}), lambda o, _: hull(o), WIDE),
)

OPERATIONS = ACTIVATIONS + LOSSES + LAYERS + WINDOWS
