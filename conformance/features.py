"""What a cell adds to the plain application of an operation: kinds of values, uses of the result, and of autograd.

A feature of values (`float32`, `empty`, `kink`, …) is brought about by the decoder where it draws operands. Every other
feature adds steps: `before` the operation, `after` it, or at the `end` in the place of a single backward.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from conformance.decoder import LARGEST, NDIMS, SHAPES, Decoder, Info
from conformance.engines.protocol import Level
from conformance.program import (
    AnyStep,
    Apply,
    Array,
    Backward,
    Detach,
    Grad,
    Hook,
    Inplace,
    ReadGrad,
    Ref,
    RequiresGrad,
    RetainGrad,
    ZeroGrad,
    array,
    operands,
    rename_step,
    results,
)
from conformance.vocabulary.operation import WIDE

replace = msgspec.structs.replace

#: Functions that an operand may come from; free programs leave out the last two: one changes it, one knows one order.
CUSTOM = ("product", "parted", "tripled", "cube")

Values: TypeAlias = tuple[int, ...]
Weights: TypeAlias = tuple[Array, ...]


@dataclass(frozen=True)
class Feature:
    """One feature; `may_fail` says that torch itself may refuse the program, and the engine must then do so too."""

    name: str
    level: Level = "gradient"
    before: Callable[[Decoder], None] | None = None
    after: Callable[[Decoder, Values], None] | None = None
    end: Callable[[Decoder, Values, Weights], None] | None = None
    may_fail: bool = False


# -- before ------------------------------------------------------------------------------------------------------------


def interior(d: Decoder) -> tuple[int, int]:
    """A leaf and twice the leaf, which becomes the operation's operand."""
    source = d.fresh(d.pick(SHAPES[d.pick(NDIMS)]), WIDE)
    d.forced = d.times(source, 2.0)
    d.realized = True
    return source, d.forced


def _reuse(d: Decoder) -> None:
    _, d.extra = interior(d)


def _on_interior(d: Decoder) -> None:
    interior(d)


def _detach(d: Decoder) -> None:
    _, value = interior(d)
    info = d.infos[value]
    d.forced, d.extra = d.new(replace(info, leaves=frozenset())), value
    d.steps.append(Detach(value, (d.forced,)))
    d.used.append(value)


def _detached_used(d: Decoder, out: Values) -> None:
    """What went into the operation detached is used with its history, sometimes after it was changed through it."""
    source = next((s for s in d.steps if isinstance(s, Detach)), None)
    if source is not None and d.upto(4) == 3:
        changed = d.new(d.infos[source.out[0]])
        d.steps.append(Inplace("mul_", source.out[0], (3.0,), (changed,)))
        d.used.append(changed)
    _used_again(d, out)


def _retain_grad(d: Decoder) -> None:
    _, value = interior(d)
    d.steps.append(RetainGrad(value))


def _hook(d: Decoder) -> None:
    source, value = interior(d)
    d.steps += [Hook(value), Hook(source)]


def _replacing_hook(d: Decoder) -> None:
    source, value = interior(d)
    d.steps += [Hook(value, scale=0.5), Hook(value), Hook(source, scale=2.0)]


def _post_hook(d: Decoder) -> None:
    source, value = interior(d)
    d.steps += [Hook(source, "post_accumulate"), Hook(value), Hook(source)]


def _in_place(d: Decoder) -> None:
    _, d.inplace_target = interior(d)
    d.realized = False


def _switched_on(d: Decoder) -> None:
    """A leaf that comes to require a gradient after it was made."""
    shape = d.pick(SHAPES[d.pick(NDIMS)])
    source = d.fresh(shape, WIDE, requires_grad=False)
    info = d.infos[source]
    d.infos[source] = replace(info, leaves=frozenset((source,)))
    d.steps.append(RequiresGrad(source, True))
    d.forced, d.realized = source, True


def _custom(d: Decoder) -> None:
    """The operand comes from a function of the user's own."""
    _, value = interior(d)
    d.forced = d.custom(d.pick(CUSTOM), value)[0]


def _switched_off(d: Decoder) -> None:
    """What goes into the operation is a leaf that comes to require no gradient after it was used."""
    d.forced = d.extra = d.fresh(d.pick(SHAPES[d.pick(NDIMS)]), WIDE)
    d.realized = True


# -- after -------------------------------------------------------------------------------------------------------------


def _floating(d: Decoder, out: Values) -> Values:
    """The results that a gradient can come from."""
    return tuple(i for i in out if d.infos[i].floating and d.latest.gradient)


def _used_again(d: Decoder, _: Values) -> None:
    """What went into the operation is used once more."""
    if d.extra is not None:
        d.times(d.extra, 0.5)


def _multiplied(d: Decoder, out: Values) -> None:
    """What was computed without grad is used with it."""
    for i in _floating(d, out)[:1]:
        d.emit("mul", (Ref(i), Ref(d.fresh(d.infos[i].shape, WIDE))), {})


def _set_item(d: Decoder, out: Values) -> None:
    """The result is written into a part of another value."""
    for i in _floating(d, out)[:1]:
        _assigned(d, i)


def _assigned(d: Decoder, i: int) -> None:
    info = d.infos[i]
    if len(info.shape) < 4 and math.prod(info.shape) <= LARGEST:
        target = d.times(d.fresh((2, *info.shape), WIDE, dtype=info.dtype), 2.0)
        changed = d.new(Info((2, *info.shape), info.dtype, info.interval, d.dependence((i, target))))
        d.steps.append(Inplace("__setitem__", target, (d.upto(2), Ref(i)), (changed,)))
        d.used += [i, target]
        d.realized = True


def _write_through(d: Decoder, out: Values) -> None:
    """The result, which may be a view, is changed in place."""
    for i in [i for i in _floating(d, out)[:1] if d.infos[i].written]:
        changed = d.new(replace(d.infos[i], interval=(-64.0, 64.0)))
        d.steps.append(Inplace("mul_", i, (3.0,), (changed,)))
        d.used.append(i)
        if d.source is not None and d.infos[d.source].leaves:
            d.times(d.source, 0.5)
        d.realized = True


def _through(d: Decoder) -> None:
    _, d.source = interior(d)
    d.realized = False


def _custom_of(d: Decoder, out: Values) -> None:
    """The result goes into a function of the user's own."""
    for i in _floating(d, out)[:1]:
        d.custom("product", i)


def _used_without(d: Decoder, _: Values) -> None:
    if d.extra is not None:
        d.steps.append(RequiresGrad(d.extra, False))
        d.infos[d.extra] = replace(d.infos[d.extra], leaves=frozenset())
        d.times(d.extra, 0.5)


def _diamond(d: Decoder, out: Values) -> None:
    """Two ways from one value meet again."""
    d.realized = False
    for i in _floating(d, out)[:1]:
        if d.extra is not None and d.infos[d.extra].shape:
            other = d.plain("sum", (Ref(d.plain("sin", (Ref(d.extra),))),), ())
            d.emit("add", (Ref(i), Ref(other)), {})
            d.realized = True


def _dead(d: Decoder, _: Values) -> None:
    """The operation once more, on leaves of its own, whose result no gradient comes from."""
    d.dead += d.apply(d.latest)
    d.realized = bool(d.dead)


def _deep(d: Decoder, out: Values) -> None:
    for i in _floating(d, out)[:1]:
        value = i
        for k in range(12):
            value = d.plain("sin", (Ref(value),)) if k % 2 else d.times(value, (0.5, -1.5, 2.0)[k // 2 % 3])
        d.realized = True


def _curved(d: Decoder, out: Values) -> None:
    """A square of each result, so that what arrives at the operation depends on its operands: else the gradient of a
    linear operation has no gradient."""
    for i in _floating(d, out):
        d.plain("square", (Ref(i),))


def _wide_sum(d: Decoder, out: Values) -> None:
    for i in _floating(d, out)[:1]:
        total = d.times(i, 0.5)
        for k in range(7):
            total = d.plain("add", (Ref(total), Ref(d.times(i, (2.0, -1.0, 0.25)[k % 3]))))
        d.realized = True


# -- the end -----------------------------------------------------------------------------------------------------------


def backward(d: Decoder, roots: Values, weights: Weights) -> None:
    """One backward from all roots."""
    d.steps.append(Backward(roots, weights))


def _accumulate(d: Decoder, roots: Values, weights: Weights) -> None:
    if not d.repeats:
        return backward(d, roots, weights)
    d.steps += [Backward(roots, weights, retain_graph=True), Backward(roots, weights)]
    d.realized = True
    return None


def _zeroed(d: Decoder, roots: Values, weights: Weights) -> None:
    leaves = tuple(sorted(d.dependence(roots)))
    zero = ZeroGrad(leaves, "zero" if d.upto(2) else "none")
    d.steps += [Backward(roots, weights, retain_graph=True), zero]
    if d.upto(3):
        d.steps.append(Backward(roots, weights))
    d.realized = True


def _chosen_inputs(d: Decoder, roots: Values, weights: Weights) -> None:
    if not d.repeats:
        return backward(d, roots, weights)
    leaves = tuple(sorted(d.dependence(roots)))
    chosen = leaves[:: 1 + d.upto(2)]
    d.steps += [Backward(roots, weights, retain_graph=True, inputs=chosen), Backward(roots, weights)]
    d.realized = True
    return None


def _created(d: Decoder, roots: Values, weights: Weights) -> None:
    """A graph of the gradient is made and not used; the gradients that follow are added to it out of place."""
    if d.orders < 2 or not d.repeats:
        return backward(d, roots, weights)
    d.steps += [Backward(roots, weights, create_graph=True), Backward(roots, weights)]
    d.realized = True
    return None


def _read_back(d: Decoder, roots: Values, weights: Weights) -> None:
    """`.grad` becomes an operand; a later backward adds to it in place."""
    if not d.repeats:
        return backward(d, roots, weights)
    d.steps.append(Backward(roots, weights, retain_graph=True))
    for leaf in sorted(d.dependence(roots)):
        info = d.infos[leaf]
        gradient = d.new(Info(info.shape, info.dtype, WIDE, frozenset()))
        d.steps.append(ReadGrad(leaf, (gradient,)))
        d.plain("mul", (Ref(gradient), 2.0))
        d.observed.append(gradient)  # to which the next backward adds
    d.steps.append(Backward(roots, weights))
    d.realized = True
    return None


def _custom_end(d: Decoder, roots: Values, weights: Weights) -> None:
    """Backward, or backward of the gradient where the functions are written for that."""
    once = any(isinstance(step, Apply) and step.op == "cube" for step in d.steps)
    (backward if once or d.upto(2) else higher(2))(d, roots, weights)
    d.realized = True


def _update(d: Decoder, roots: Values, weights: Weights) -> None:
    """What an optimiser does: gradients, a step downhill, gradients again."""
    if not d.repeats or not all(isinstance(step, Apply) for step in d.steps):
        return backward(d, roots, weights)
    forward = [step for step in d.steps if isinstance(step, Apply)]
    leaves = tuple(sorted(d.dependence(roots)))
    d.steps.append(Backward(roots, weights))
    for leaf in leaves:
        info = d.infos[leaf]
        gradient = d.new(Info(info.shape, info.dtype, WIDE, frozenset()))
        d.steps.append(ReadGrad(leaf, (gradient,)))
        step = d.emit("mul", (Ref(gradient), 0.0625), {}, mode="no_grad")
        changed = d.new(info)
        d.steps.append(Inplace("sub_", leaf, (Ref(step[0]),), (changed,), mode="no_grad"))
        d.used += [step[0], changed]
    d.steps.append(ZeroGrad(leaves, "zero" if d.upto(2) else "none"))
    new: dict[int, int] = {}
    for each in forward:
        for i in results(each):
            new[i] = d.new(d.infos[i])
        d.steps.append(rename_step(each, lambda i: new.get(i, i), lambda i: new[i]))
    d.used += [new[i] for i in new if i not in roots]
    d.steps.append(Backward(tuple(new[i] for i in roots), weights))
    d.realized = True
    return None


def higher(order: int) -> Callable[[Decoder, Values, Weights], None]:
    """Gradients of gradients: <gradient, leaf> is differentiated again, up to the order."""

    def end(d: Decoder, roots: Values, weights: Weights) -> None:
        if d.orders < order:
            return backward(d, roots, weights)
        for k in range(order - 1):
            reached = tuple(sorted(d.dependence(roots)))
            made = tuple(d.new(Info(i.shape, i.dtype, WIDE, i.leaves)) for i in (d.infos[r] for r in reached))
            d.steps.append(Grad(roots, reached, weights, made, create_graph=True))
            d.observed += made
            roots = tuple(d.plain("mul", (Ref(g), Ref(i))) for g, i in zip(made, reached, strict=True))
            weights = tuple(d.weights(i, 3 * k + n + 3) for n, i in enumerate(roots))
        d.realized = True
        return backward(d, roots, weights)

    return end


# -- what torch refuses ------------------------------------------------------------------------------------------------


def _operand_changed(d: Decoder, roots: Values, weights: Weights) -> None:
    """An operand is changed before the backward, which torch refuses when the operation has saved it."""
    applied = [s for s in d.steps if isinstance(s, Apply) and s.op == d.latest.name]
    leaves = {leaf.id for leaf in d.leaves}
    changed = next((i for s in applied for i in operands(s) if d.infos[i].floating and i not in leaves), None)
    if changed is None:
        d.realized = False
        return
    d.observed.clear()
    d.steps += [Inplace("mul_", changed, (2.0,), (d.new(d.infos[changed]),)), Backward(roots, weights)]


def _result_changed(d: Decoder, roots: Values, weights: Weights) -> None:
    """A result is changed before the backward, which torch refuses when the operation has saved it."""
    changed = next((i for i in roots if d.infos[i].written), None)
    d.observed.clear()
    if changed is not None:
        d.steps += [Inplace("mul_", changed, (2.0,), (d.new(d.infos[changed]),)), Backward(roots, weights)]
    d.realized = changed is not None


def _illegal(d: Decoder, roots: Values, weights: Weights) -> None:
    """One of the things that torch refuses, at least after some operations: the engine must refuse the same."""
    leaves = tuple(sorted(d.dependence(roots)))
    root, leaf = roots[0], leaves[0]
    constant = d.constant((2,)).id
    shape = (*d.infos[root].shape, 2)
    changed, one = d.new(d.infos[root]), d.weights(root, 0)
    unused = d.fresh((2,), WIDE)
    gradient = d.new(Info((2,), "float64", WIDE, frozenset()))
    again = Backward(roots, weights)
    kinds: tuple[list[AnyStep], ...] = (
        [again, again],
        [Inplace("mul_", leaf, (2.0,), (changed,))],
        [Backward((root,), (d.array(shape),))],
        [Grad((root,), (unused,), (one,), (gradient,), allow_unused=False)],
        [RequiresGrad(root, False)],
        [RetainGrad(constant)],
        [Hook(constant)],
        [Hook(root, "post_accumulate")],
        [Backward((constant,), (d.weights(constant, 0),))],
        [Backward((root,), (None,)), again],
        [Backward(roots, weights, inputs=())],
        [Grad((root,), (constant,), (one,), (gradient,))],
        [RequiresGrad(d.mask((2,)).id, True)],
        [Inplace("add_", root, (d.constant((5, 1, 5)),), (changed,))],
    )
    d.observed.clear()
    chosen = d.byte() % (len(kinds) + 1)
    if chosen < len(kinds):
        d.steps += kinds[chosen]
    else:  # a leaf whose memory runs backwards
        d.leaf(array([1.5, -2.0], layout="reversed"), WIDE)
    d.realized = True


def aside(d: Decoder) -> None:
    """In a free program: a step that is no application, on one of the values at hand."""
    value = d.pick(d.slots)
    info = d.infos[value]
    kind = d.upto(13)
    if kind == 0:
        number = d.new(replace(info, leaves=frozenset()))
        d.steps.append(Detach(value, (number,)))
        d.used.append(value)
        d.slots.append(number)
    elif kind == 1:
        _assigned(d, value)
    elif kind == 2:
        source = d.fresh(d.pick(SHAPES[d.pick(NDIMS)]), WIDE, requires_grad=False)
        d.infos[source] = replace(d.infos[source], leaves=frozenset((source,)))
        d.steps.append(RequiresGrad(source, True))
        d.slots.append(source)
    elif not info.leaves:
        pass  # all else needs a gradient
    elif kind == 3:
        d.steps.append(RetainGrad(value))
    elif kind == 4:
        scale = d.pick((None, 0.5))
        # Torch makes float64 of a 0-d gradient in float32 that is known to be 0 and is multiplied by a Python number.
        d.steps.append(Hook(value, scale=scale if info.shape or info.dtype == "float64" else None))
    elif kind == 5:
        d.steps.append(Hook(min(info.leaves), d.pick(("post_accumulate", "tensor"))))
    elif kind < 8:
        d.slots.append(d.custom(d.pick(CUSTOM[:2]), value)[0])
    elif kind == 12:
        _switch_off(d, d.pick(tuple(sorted(info.leaves))))
    elif d.repeats:
        _goes_back(d, value, kind)


def _switch_off(d: Decoder, leaf: int) -> None:
    """From here on the leaf gets no gradient, not even through what was made of it, and is used as a constant."""
    d.steps.append(RequiresGrad(leaf, False))
    d.slots.append(leaf)
    for number, info in d.infos.items():
        if leaf in info.leaves:
            d.infos[number] = replace(info, leaves=info.leaves - {leaf})


def _goes_back(d: Decoder, value: int, kind: int) -> None:
    """A backward on the way, with or without what torch offers around one."""
    leaves = tuple(sorted(d.infos[value].leaves))
    leaf = d.pick(leaves)
    weights = (d.weights(value, 1),)
    d.used.append(value)
    if kind == 11:
        if d.orders > 1:
            info = d.infos[leaf]
            gradient = d.new(replace(info, interval=(-math.inf, math.inf)))
            d.steps.append(Grad((value,), (leaf,), weights, (gradient,), create_graph=True))
            d.slots.append(d.plain("mul", (Ref(gradient), Ref(leaf))))
            d.orders -= 1
        return
    d.went_back = True
    inputs = (leaf,) if d.upto(3) == 2 else None
    d.steps.append(Backward((value,), weights, True, d.orders > 1 and d.upto(4) == 3, inputs))
    if kind == 9:
        d.steps.append(ZeroGrad((leaf,), d.pick(("none", "zero"))))
    elif kind == 10:
        info = d.infos[leaf]
        gradient = d.new(Info(info.shape, info.dtype, (-math.inf, math.inf), frozenset()))
        d.steps.append(ReadGrad(leaf, (gradient,)))
        d.slots.append(gradient)


#: Every feature, in the order in which cells are searched.
FEATURES: Final[dict[str, Feature]] = {
    feature.name: feature
    for feature in (
        Feature("float64"),
        Feature("order 2", "higher", after=_curved, end=higher(2)),
        *(Feature(name) for name in ("broadcast", "mixed", "0-d", "kink")),
        Feature("reuse", before=_reuse, after=_used_again),
        *(Feature(name) for name in ("float32", "empty", "strided")),
        Feature("method", "behaviour"),
        Feature("operator", "behaviour"),
        *(Feature(name) for name in ("integer", "bool", "float16", "wide", "nan or inf")),
        Feature("order 3", "higher", after=_curved, end=higher(3)),
        Feature("order 2 in float32", "higher", after=_curved, end=higher(2)),
        Feature("diamond", before=_reuse, after=_diamond),
        Feature("dead branch", after=_dead),
        Feature("deep chain", after=_deep),
        Feature("wide sum", after=_wide_sum),
        Feature("no_grad", "behaviour", after=_multiplied),
        Feature("enable_grad", "behaviour"),
        Feature("requires_grad_", "behaviour", before=_switched_on),
        Feature("detach", "behaviour", before=_detach, after=_detached_used, may_fail=True),
        Feature("retain_grad", "behaviour", before=_retain_grad),
        Feature("hook", "behaviour", before=_hook),
        Feature("replacing hook", "behaviour", before=_replacing_hook),
        Feature("post-accumulate hook", "behaviour", before=_post_hook),
        Feature("accumulate", end=_accumulate),
        Feature("zeroed", "behaviour", end=_zeroed),
        Feature("inputs", "behaviour", end=_chosen_inputs),
        Feature("create_graph", "higher", end=_created),
        Feature("read .grad", "behaviour", end=_read_back),
        Feature("update", "behaviour", end=_update),
        Feature("custom function", "behaviour", before=_custom, after=_custom_of, end=_custom_end),
        Feature("switched off", "behaviour", before=_switched_off, after=_used_without, may_fail=True),
        Feature("out", "behaviour"),
        Feature("item assignment", "behaviour", after=_set_item),
        Feature("in-place", "behaviour", before=_in_place, may_fail=True),
        Feature("write through", "behaviour", before=_through, after=_write_through, may_fail=True),
        Feature("operand changed", "behaviour", before=_on_interior, end=_operand_changed, may_fail=True),
        Feature("result changed", "behaviour", end=_result_changed, may_fail=True),
        Feature("illegal", "behaviour", before=_through, end=_illegal, may_fail=True),
    )
}
PLAIN: Final = Feature("")
