"""Faults in the parts of an engine that no rule is in: how gradients are added up, freed, hooked, shared, refused."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from conformance.results import Verdict
from conformance.selftest.planting import Methods, bent, is_floating, module, replaced, set_version, tensors
from conformance.vocabulary import OPERATIONS

EITHER: Final[tuple[Verdict, ...]] = ("engine wrong", "convention differs")


@dataclass(frozen=True)
class Part:
    """A fault in a part of an engine; see `faults.Fault`."""

    name: str
    blamed: tuple[str, ...]
    methods: Callable[[Any], Methods]
    verdicts: tuple[Verdict, ...] = ("engine wrong",)


_FOUND: list[Part] = []
#: Operations that are blamed for what the engine does with them.
_OPERATIONS: Final = ("__setitem__",)


def _part(name: str, *blamed: str) -> Callable[[Callable[[Any], Methods]], Callable[[Any], Methods]]:
    """Add a fault; `blamed` are parts of the engine (`probes.PARTS`), or operations."""

    def register(methods: Callable[[Any], Methods]) -> Callable[[Any], Methods]:
        _FOUND.append(Part(name, tuple(each if each in _OPERATIONS else f"engine: {each}" for each in blamed), methods))
        return methods

    return register


def _each(name: str, blamed: str | Sequence[str], **variants: Any) -> Callable[..., Any]:
    """One fault for each variant: the function is called with the engine and the variant's value."""

    def register(methods: Callable[[Any, Any], Methods]) -> Callable[[Any, Any], Methods]:
        for variant, value in variants.items():
            names = (blamed,) if isinstance(blamed, str) else blamed
            _part(f"{name}: {variant.replace('_', ' ')}", *names)(lambda e, v=value: methods(e, v))  # type: ignore[misc]
        return methods

    return register


def _calls(engine: Any, treat: Callable[[Any], Any]) -> Methods:
    """`call` with `treat` of each floating operand that requires a gradient, as often as it is used."""
    honest = engine.call

    def call(form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        def treated(value: Any) -> Any:
            return treat(value) if is_floating(value) and value.requires_grad else value

        return honest(form, op, replaced(args, treated), kwargs)

    return {"call": call}


class _Times:
    """How often a value was seen."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def __call__(self, value: Any) -> int:
        key = id(value)
        if key not in self.seen:
            weakref.finalize(value, self.seen.pop, key, None)
        self.seen[key] = self.seen.get(key, 0) + 1
        return self.seen[key]


# -- adding up within one pass -----------------------------------------------------------------------------------------

Uses = Callable[[Any, int, Any], Any]


def _lost(torch: Any, value: Any) -> Any:
    """A use that sends nothing back; for all else, it is one."""
    return bent(torch, value, lambda g: g * 0.0)


@_each(
    "accumulation",
    "accumulation",
    lost=lambda value, use, torch: _lost(torch, value) if use > 1 else value,
    doubled=lambda value, use, torch: bent(torch, value, lambda g: g * 2.0) if use > 1 else value,
    subtracted=lambda value, use, torch: bent(torch, value, lambda g: -g) if use > 1 else value,
    lost_at_leaves=lambda value, use, torch: _lost(torch, value) if use > 1 and value.is_leaf else value,
    lost_inside=lambda value, use, torch: _lost(torch, value) if use > 1 and not value.is_leaf else value,
    third_lost=lambda value, use, torch: _lost(torch, value) if use > 2 else value,
    in_float32=lambda value, use, torch: bent(torch, value, lambda g: g.float().to(g.dtype)) if use > 1 else value,
)
def _accumulation(engine: Any, treat: Uses) -> Methods:
    uses, torch = _Times(), module(engine)
    return _calls(engine, lambda value: treat(value, uses(value), torch))


@_part("gradients lost far from the roots", "depth")
def _depth(engine: Any) -> Methods:
    """What lies more than ten operations below a value gets half of the gradient."""
    depth: dict[int, int] = {}
    honest, torch = engine.call, module(engine)

    def call(form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        deepest = max([depth.get(id(a), 0) for a in tensors(args)], default=0)
        if deepest == 10:
            args = replaced(args, lambda v: bent(torch, v, lambda g: g * 0.5) if v.requires_grad else v)
        made = honest(form, op, args, kwargs)
        for part in tensors([made]):
            depth[id(part)] = deepest + 1
            weakref.finalize(part, depth.pop, id(part), None)
        return made

    return {"call": call}


#: Operations whose operands broadcast.
_BROADCASTING: Final = tuple(o.name for o in OPERATIONS.values() if o.gradient and o.family in ("binary", "ternary"))


#: Operations of which none gives its operand's own memory.
_COMPUTING: Final = frozenset(
    ("sin", "cos", "exp", "log", "mul", "div", "tanh", "square", "pow", "matmul", "prod", "erf")
)


def _sum_of(torch: Any, g: Any, shape: Any, mean: bool = False) -> Any:
    while g.ndim > len(shape):
        g = g.mean(0) if mean else g.sum(0)
    for dim, n in enumerate(shape):
        if n == 1 and g.shape[dim] != 1:
            g = g.mean(dim, True) if mean else g.sum(dim, True)
    return g


def _first_of(torch: Any, g: Any, shape: Any) -> Any:
    while g.ndim > len(shape):
        g = g[0] if g.shape[0] else g.sum(0)
    for dim, n in enumerate(shape):
        if n == 1 and g.shape[dim] > 1:
            g = g.narrow(dim, 0, 1)
    return _sum_of(torch, g, shape)


def _leading_lost(torch: Any, g: Any, shape: Any) -> Any:
    while g.ndim > len(shape):
        g = g[0] if g.shape[0] else g.sum(0)
    return _sum_of(torch, g, shape)


def _ones_lost(torch: Any, g: Any, shape: Any) -> Any:
    while g.ndim > len(shape):
        g = g.sum(0)
    return _first_of(torch, g, shape)


def _shifted(torch: Any, g: Any, shape: Any) -> Any:
    g = _sum_of(torch, g, shape)
    return g.roll(1, -1) if g.ndim else g * 0.5


@_each(
    "unbroadcast",
    "unbroadcast",
    first_row=_first_of,
    mean=lambda torch, g, shape: _sum_of(torch, g, shape, mean=True),
    leading_dimensions_lost=_leading_lost,
    dimensions_of_one_lost=_ones_lost,
    off_by_one=_shifted,
)
def _unbroadcast(engine: Any, undo: Callable[[Any, Any, Any], Any]) -> Methods:
    honest, torch = engine.call, module(engine)

    def call(form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if op in _BROADCASTING:
            shape = torch.broadcast_shapes(*(a.shape for a in tensors(args)))
            mixed = len({a.dtype for a in tensors(args)}) > 1  # there a scalar that is spread has another say

            def spread(value: Any) -> Any:
                if mixed or not (is_floating(value) and value.requires_grad and value.shape != shape):
                    return value
                return bent(torch, value, lambda g: undo(torch, g, value.shape), shape)

            args = replaced(args, spread)
        return honest(form, op, args, kwargs)

    return {"call": call}


@_part("gradient to a cast operand", "casts")
def _casts(engine: Any) -> Methods:
    """Where operands have different floating types, the gradient to the narrower one is doubled."""
    honest, torch = engine.call, module(engine)

    def call(form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        floats = [a for a in tensors(args) if is_floating(a)]
        if len({a.dtype for a in floats}) > 1:
            args = replaced(
                args,
                lambda v: bent(torch, v, lambda g: g * 2.0) if v.requires_grad and v.dtype == torch.float32 else v,
            )
        return honest(form, op, args, kwargs)

    return {"call": call}


# -- the pass itself ---------------------------------------------------------------------------------------------------


def _passes(engine: Any, change: Callable[..., None]) -> Methods:
    """`backward` and `backward_all` as one: `change(honest, roots, gradients, retain, create, inputs)`."""
    honest = engine.backward_all

    def backward(value: Any, gradient: Any) -> None:
        change(honest, [value], [gradient], None, False, None)

    def backward_all(roots: Any, gradients: Any, retain: Any, create: bool, inputs: Any) -> None:
        change(honest, roots, gradients, retain, create, inputs)

    return {"backward": backward, "backward_all": backward_all}


class _Leaves:
    """The leaves that the engine was asked for and that are still there."""

    def __init__(self, engine: Any) -> None:
        self.made: list[Any] = []
        self._honest = engine.leaf

    def leaf(self, array: Any, requires_grad: bool) -> Any:
        value = self._honest(array, requires_grad)
        self.made = [ref for ref in self.made if ref() is not None]
        self.made.append(weakref.ref(value))
        return value

    def all(self) -> list[Any]:
        return [value for ref in self.made if (value := ref()) is not None and value.requires_grad]


def _gradients(engine: Any, change: Callable[[Any, Any], Any]) -> Methods:
    """After each backward, `change(before, after)` in the place of each leaf's gradient."""
    leaves = _Leaves(engine)

    def passed(honest: Any, *given: Any) -> None:
        held = [(leaf, None if leaf.grad is None else leaf.grad.detach().clone()) for leaf in leaves.all()]
        honest(*given)
        for leaf, before in held:
            if leaf.grad is not None:
                leaf.grad = change(before, leaf.grad)

    return {"leaf": leaves.leaf, **_passes(engine, passed)}


@_each(
    "repeated backward",
    "repeated backward",
    overwritten=lambda before, after: after if before is None else after - before,
    doubled=lambda before, after: after if before is None else after + before,
    lost=lambda before, after: after if before is None else before,
)
def _repeated(engine: Any, change: Callable[[Any, Any], Any]) -> Methods:
    return _gradients(engine, change)


@_each(
    "several roots",
    "accumulation of roots",
    only_the_first=lambda roots, gradients: (roots[:1], gradients[:1]),
    gradients_in_reverse=lambda roots, gradients: (
        roots,
        gradients[::-1] if len({r.shape for r in roots}) == len({r.dtype for r in roots}) == 1 else gradients,
    ),
)
def _roots(engine: Any, change: Callable[[Any, Any], Any]) -> Methods:
    def passed(honest: Any, roots: Any, gradients: Any, *rest: Any) -> None:
        honest(*change(roots, gradients), *rest)

    return _passes(engine, passed)


@_each(
    "the gradient that is given",
    "given gradients",
    ignored=lambda g: g.detach() * 0.0 + 1.0,
    in_float32=lambda g: g.float().to(g.dtype) * 1.00001,
)
def _given(engine: Any, change: Callable[[Any], Any]) -> Methods:
    def passed(honest: Any, roots: Any, gradients: Any, *rest: Any) -> None:
        honest(roots, [None if g is None else change(g) for g in gradients], *rest)

    return _passes(engine, passed)


@_part("retain_graph ignored", "retain_graph")
def _freed(engine: Any) -> Methods:
    def passed(honest: Any, roots: Any, gradients: Any, retain: Any, create: bool, inputs: Any) -> None:
        honest(roots, gradients, None, create, inputs)

    return _passes(engine, passed)


@_part("the graph is never freed", "retain_graph")
def _kept(engine: Any) -> Methods:
    def passed(honest: Any, roots: Any, gradients: Any, retain: Any, create: bool, inputs: Any) -> None:
        honest(roots, gradients, True, create, inputs)

    return _passes(engine, passed)


@_part("inputs= ignored", "inputs")
def _all_inputs(engine: Any) -> Methods:
    def passed(honest: Any, roots: Any, gradients: Any, retain: Any, create: bool, inputs: Any) -> None:
        honest(roots, gradients, retain, create, inputs or None)

    return _passes(engine, passed)


@_part("inputs=: only the first", "inputs")
def _first_input(engine: Any) -> Methods:
    def passed(honest: Any, roots: Any, gradients: Any, retain: Any, create: bool, inputs: Any) -> None:
        honest(roots, gradients, retain, create, inputs and inputs[:1])

    return _passes(engine, passed)


def _grads(engine: Any, change: Callable[..., Any]) -> Methods:
    honest = engine.grad_of

    def grad_of(*given: Any) -> Any:
        return change(honest, *given)

    return {"grad_of": grad_of}


@_part("create_graph ignored", "create_graph")
def _cut_graph(engine: Any) -> Methods:
    return _grads(engine, lambda honest, *given: [None if g is None else g.detach() for g in honest(*given)])


@_part("create_graph doubles", "create_graph")
def _doubled_graph(engine: Any) -> Methods:
    return _grads(
        engine,
        lambda honest, *given: [None if g is None else g + (g - g.detach()) * given[4] for g in honest(*given)],
    )


@_part("grad() fills .grad", "grad()")
def _filling(engine: Any) -> Methods:
    def change(honest: Any, outputs: Any, inputs: Any, *rest: Any) -> Any:
        found = honest(outputs, inputs, *rest)
        for x, g in zip(inputs, found, strict=True):
            if g is not None:
                x.grad = g.detach().clone() if x.grad is None else x.grad + g.detach()
        return found

    return _grads(engine, change)


@_part("grad() in another order", "grad()")
def _reversed_grads(engine: Any) -> Methods:
    def change(honest: Any, outputs: Any, inputs: Any, *rest: Any) -> Any:
        found = list(honest(outputs, inputs, *rest))
        alike = len({(x.shape, x.dtype) for x in inputs}) == 1
        return found[::-1] if alike else found

    return _grads(engine, change)


@_part("unused inputs accepted", "unused inputs", "grad()")
def _unused(engine: Any) -> Methods:
    return _grads(engine, lambda honest, *given: honest(*given[:-1], True))


# -- leaves and their gradients ----------------------------------------------------------------------------------------


@_part("zeros for None", "unreached leaves")
def _zeros(engine: Any) -> Methods:
    torch, honest = module(engine), engine.grad

    def grad(value: Any) -> Any:
        found = honest(value)
        return torch.zeros_like(value.detach()) if found is None else found

    return {"grad": grad}


@_part("None for zeros", "zero gradients")
def _nones(engine: Any) -> Methods:
    honest = engine.grad

    def grad(value: Any) -> Any:
        found = honest(value)
        return None if found is not None and found.numel() and not bool((found != 0).any()) else found

    return {"grad": grad}


@_part(".grad in float32", "dtype of gradients")
def _narrow(engine: Any) -> Methods:
    honest = engine.grad

    def grad(value: Any) -> Any:
        found = honest(value)
        return found if found is None else found.float()

    return {"grad": grad}


@_part(".grad of a 0-d value has a dimension", "shape of gradients")
def _one_dimension(engine: Any) -> Methods:
    honest = engine.grad

    def grad(value: Any) -> Any:
        found = honest(value)
        return found.reshape(1) if found is not None and found.ndim == 0 else found

    return {"grad": grad}


@_part("two leaves share .grad", "aliasing")
def _aliased(engine: Any) -> Methods:
    leaves = _Leaves(engine)

    def passed(honest: Any, *given: Any) -> None:
        honest(*given)
        known: list[Any] = []
        for leaf in leaves.all():
            same = [
                g
                for g in known
                if leaf.grad is not None and g.shape == leaf.grad.shape and g.dtype == leaf.grad.dtype
                if bool((g == leaf.grad).all()) and g.numel()
            ]
            if same:
                leaf.grad = same[0]
            elif leaf.grad is not None:
                known.append(leaf.grad)

    return {"leaf": leaves.leaf, **_passes(engine, passed)}


@_part(".grad is replaced instead of added to", "aliasing", "reading .grad")
def _replaced(engine: Any) -> Methods:
    """What was read of it before stays as it was."""
    leaves = _Leaves(engine)

    def passed(honest: Any, *given: Any) -> None:
        for leaf in leaves.all():
            if leaf.grad is not None:
                leaf.grad = leaf.grad.detach().clone()
        honest(*given)

    return {"leaf": leaves.leaf, **_passes(engine, passed)}


@_part("requires_grad_() ignored", "requires_grad_")
def _not_required(engine: Any) -> Methods:
    return {"set_requires_grad": lambda value, requires_grad: None}


@_each("zero_grad", "zero_grad", ignored=None, always_to_none="none", always_to_zeros="zero")
def _zero_grad(engine: Any, to: str | None) -> Methods:
    honest = engine.zero_grad
    return {"zero_grad": lambda value, asked: None if to is None else honest(value, to)}


@_each("retain_grad", "retain_grad", ignored=None, of_the_first_use_only=0.5)
def _retain_grad(engine: Any, factor: float | None) -> Methods:
    if factor is None:
        return {"retain_grad": lambda value: None}
    honest, retained, read = engine.retain_grad, _Times(), engine.grad

    def retain_grad(value: Any) -> None:
        honest(value)
        retained(value)

    def grad(value: Any) -> Any:
        found = read(value)
        return found * factor if found is not None and id(value) in retained.seen else found

    return {"retain_grad": retain_grad, "grad": grad}


# -- modes -------------------------------------------------------------------------------------------------------------


@_part("no_grad ignored", "no_grad")
def _always_grad(engine: Any) -> Methods:
    honest = engine.grad_mode
    return {"grad_mode": lambda mode: contextlib.nullcontext() if mode == "no_grad" else honest(mode)}


@_part("enable_grad is no_grad", "enable_grad")
def _never_grad(engine: Any) -> Methods:
    honest = engine.grad_mode
    return {"grad_mode": lambda mode: honest("no_grad")}


@_part("no_grad does not end", "no_grad")
def _stuck(engine: Any) -> Methods:
    """After a block of no_grad, nothing is recorded in the rest of the program."""
    torch, honest, leaf, call = module(engine), engine.grad_mode, engine.leaf, engine.call
    over = False

    @contextlib.contextmanager
    def grad_mode(mode: str) -> Any:
        nonlocal over
        with honest(mode):
            yield
        over |= mode == "no_grad"

    def made(array: Any, requires_grad: bool) -> Any:
        nonlocal over
        over &= not requires_grad  # the next program begins
        return leaf(array, requires_grad)

    def called(*given: Any) -> Any:
        with torch.no_grad() if over else contextlib.nullcontext():
            return call(*given)

    return {"grad_mode": grad_mode, "leaf": made, "call": called}


@_part("detach leaks", "detach")
def _leaking(engine: Any) -> Methods:
    return {"detach": lambda value: value.view_as(value)}


@_part("detach copies", "detach", "version counting")
def _detached_copy(engine: Any) -> Methods:
    """The detached value has memory and a version of its own."""
    return {"detach": lambda value: value.detach().clone()}


@_part("detach requires grad", "detach")
def _detached_leaf(engine: Any) -> Methods:
    return {"detach": lambda value: value.detach().requires_grad_(True)}


# -- in place ----------------------------------------------------------------------------------------------------------


def _inplace(engine: Any, change: Callable[..., Any]) -> Methods:
    honest = engine.inplace
    return {"inplace": lambda *given: change(honest, *given)}


@_part("in-place changes are not recorded", "in-place")
def _unrecorded(engine: Any) -> Methods:
    torch = module(engine)

    def change(honest: Any, op: str, target: Any, args: Any, kwargs: Any) -> Any:
        if op == "__setitem__":
            return honest(op, target, args, kwargs)
        with torch.no_grad():
            return honest(op, target, args, kwargs)

    return _inplace(engine, change)


@_each("versions", "version counting", not_counted=0, counted_twice=2)
def _versions(engine: Any, step: int) -> Methods:
    def change(honest: Any, op: str, target: Any, args: Any, kwargs: Any) -> Any:
        before = target._version
        made = honest(op, target, args, kwargs)
        set_version(made, before + step)
        return made

    return _inplace(engine, change)


@_part("item assignment gives no gradient to the value", "__setitem__")
def _assignment(engine: Any) -> Methods:
    def change(honest: Any, op: str, target: Any, args: Any, kwargs: Any) -> Any:
        if op == "__setitem__":
            args = [a.detach() if is_floating(a) else a for a in args]
        return honest(op, target, args, kwargs)

    return _inplace(engine, change)


@_part("item assignment keeps the gradient of what it replaces", "__setitem__")
def _kept_gradient(engine: Any) -> Methods:
    """The old elements still get the gradient that the new ones get."""

    def change(honest: Any, op: str, target: Any, args: Any, kwargs: Any) -> Any:
        if op == "__setitem__" and is_floating(args[-1]) and target.requires_grad:
            old = target[args[0]]
            args = [*args[:-1], args[-1] + (old - old.detach())]
        return honest(op, target, args, kwargs)

    return _inplace(engine, change)


# -- hooks -------------------------------------------------------------------------------------------------------------


def _hooks(engine: Any, change: Callable[[Any, Any, str, Any], None]) -> Methods:
    honest = engine.hook
    return {"hook": lambda value, kind, function: change(honest, value, kind, function)}


@_part("hooks are not called", "hooks")
def _silent(engine: Any) -> Methods:
    return _hooks(
        engine, lambda honest, value, kind, function: None if kind == "tensor" else honest(value, kind, function)
    )


@_part("hooks are called twice", "hooks")
def _twice(engine: Any) -> Methods:
    def change(honest: Any, value: Any, kind: str, function: Any) -> None:
        honest(value, kind, function)
        if kind == "tensor":
            honest(value, kind, lambda g: (function(g), None)[1])

    return _hooks(engine, change)


@_part("what a hook returns is ignored", "replacing hooks", "hooks")
def _unheard(engine: Any) -> Methods:
    def change(honest: Any, value: Any, kind: str, function: Any) -> None:
        honest(value, kind, lambda g: (function(g), None)[1])

    return _hooks(engine, change)


@_part("hooks see half of the gradient", "hooks")
def _halved(engine: Any) -> Methods:
    def change(honest: Any, value: Any, kind: str, function: Any) -> None:
        honest(value, kind, (lambda g: function(g * 0.5)) if kind == "tensor" else function)

    return _hooks(engine, change)


@_part("hooks in reverse order", "hooks", "replacing hooks")
def _reverse(engine: Any) -> Methods:
    """Hooks of one value run the last first."""
    chains: dict[int, list[Any]] = {}

    def change(honest: Any, value: Any, kind: str, function: Any) -> None:
        if kind != "tensor":
            honest(value, kind, function)
            return
        chain = chains.setdefault(id(value), [])
        chain.append(function)
        if len(chain) > 1:
            return
        weakref.finalize(value, chains.pop, id(value), None)

        def run(g: Any) -> Any:
            for each in reversed(chain):
                found = each(g)
                g = g if found is None else found
            return g

        honest(value, kind, run)

    return _hooks(engine, change)


@_part("hooks of leaves run after the gradient is stored", "hooks", "replacing hooks")
def _late(engine: Any) -> Methods:
    def change(honest: Any, value: Any, kind: str, function: Any) -> None:
        if kind == "tensor" and value.is_leaf and value.requires_grad:
            honest(value, "post_accumulate", lambda leaf: (function(leaf.grad), None)[1])
        else:
            honest(value, kind, function)

    return _hooks(engine, change)


@_part("post-accumulate hooks are not called", "post-accumulate hooks")
def _no_post(engine: Any) -> Methods:
    return _hooks(
        engine, lambda honest, value, kind, function: honest(value, kind, function) if kind == "tensor" else None
    )


@_part("post-accumulate hooks run before the gradient is stored", "post-accumulate hooks")
def _early(engine: Any) -> Methods:
    def change(honest: Any, value: Any, kind: str, function: Any) -> None:
        if kind == "tensor" or not value.is_leaf:
            honest(value, kind, function)
        else:
            honest(value, "tensor", lambda _: (function(value), None)[1])

    return _hooks(engine, change)


# -- what torch shows of a value ---------------------------------------------------------------------------------------


def _flags(engine: Any, change: Callable[[Any, bool, bool], tuple[bool, bool]]) -> Methods:
    honest = engine.flags
    return {"flags": lambda value: change(value, *honest(value))}


@_part("constants are no leaves", "requires_grad of results")
def _no_leaf(engine: Any) -> Methods:
    return _flags(engine, lambda value, requires_grad, is_leaf: (requires_grad, is_leaf and requires_grad))


@_part("integers require grad", "requires_grad of results")
def _required(engine: Any) -> Methods:
    return _flags(engine, lambda value, r, leaf: (r or not value.is_floating_point(), leaf))


@_part("views are said to be contiguous", "contiguity")
def _contiguous(engine: Any) -> Methods:
    honest = engine.look

    def look(value: Any) -> Any:
        name, version, contiguous = honest(value)
        return name, version, None if contiguous is None else True

    return {"look": look}


@_part("nodes are numbered otherwise", "names of nodes")
def _numbered(engine: Any) -> Methods:
    honest = engine.look

    def look(value: Any) -> Any:
        name, version, contiguous = honest(value)
        return name.replace("Backward0", "Backward"), version, contiguous

    return {"look": look}


@_part("nothing is warned of", "warnings")
def _hushed(engine: Any) -> Methods:
    def hushed(honest: Callable[..., Any]) -> Callable[..., Any]:
        def method(*given: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return honest(*given)

        return method

    return {name: hushed(getattr(engine, name)) for name in ("call", "backward_all", "grad")}


@_part("whatever is called is deprecated", "warnings")
def _deprecated(engine: Any) -> Methods:
    honest = engine.call

    def call(form: str, op: str, *given: Any) -> Any:
        warnings.warn(f"{op} is deprecated", stacklevel=2)
        return honest(form, op, *given)

    return {"call": call}


# -- errors ------------------------------------------------------------------------------------------------------------


def _forgiving(engine: Any, *names: str, instead: Callable[..., Any] = lambda *_: None) -> Methods:
    """These methods don't raise."""

    def forgiving(name: str) -> Callable[..., Any]:
        honest = getattr(engine, name)

        def method(*given: Any) -> Any:
            try:
                return honest(*given)
            except RuntimeError:
                return instead(*given)

        return method

    return {name: forgiving(name) for name in names}


@_part("errors of backward are swallowed", "retain_graph", "version checks", "errors of backward")
def _no_backward_errors(engine: Any) -> Methods:
    return _forgiving(engine, "backward", "backward_all")


@_part("backward from what needs no gradient is accepted", "errors of backward")
def _constant_root(engine: Any) -> Methods:
    def passed(honest: Any, roots: Any, *rest: Any) -> None:
        if all(root.requires_grad for root in roots):
            honest(roots, *rest)

    return _passes(engine, passed)


@_part("a gradient of another shape is accepted", "errors of backward")
def _any_shape(engine: Any) -> Methods:
    def passed(honest: Any, roots: Any, gradients: Any, *rest: Any) -> None:
        fitting = [
            g if g is None or g.shape == r.shape else g.reshape(-1)[: r.numel()].reshape(r.shape)
            for r, g in zip(roots, gradients, strict=True)
        ]
        honest(roots, fitting, *rest)

    return _passes(engine, passed)


@_part("no gradient is needed for what is no scalar", "errors of backward")
def _implicit(engine: Any) -> Methods:
    torch = module(engine)

    def passed(honest: Any, roots: Any, gradients: Any, *rest: Any) -> None:
        given = [torch.ones_like(r) if g is None else g for r, g in zip(roots, gradients, strict=True)]
        honest(roots, given, *rest)

    return _passes(engine, passed)


@_part("leaves can be changed in place", "errors of in-place")
def _changed_leaf(engine: Any) -> Methods:
    torch = module(engine)

    def change(honest: Any, op: str, target: Any, args: Any, kwargs: Any) -> Any:
        with torch.no_grad() if target.is_leaf else contextlib.nullcontext():
            return honest(op, target, args, kwargs)

    return _inplace(engine, change)


@_part("errors of retain_grad are swallowed", "errors of retain_grad")
def _retained(engine: Any) -> Methods:
    return _forgiving(engine, "retain_grad")


@_part("errors of requires_grad_ are swallowed", "requires_grad_")
def _switched(engine: Any) -> Methods:
    return _forgiving(engine, "set_requires_grad")


@_part("hooks on constants are accepted", "errors of hooks")
def _hooked(engine: Any) -> Methods:
    return _forgiving(engine, "hook")


@_part("post-accumulate hooks on what is no leaf are accepted", "errors of hooks")
def _post_hooked(engine: Any) -> Methods:
    def change(honest: Any, value: Any, kind: str, function: Any) -> None:
        if kind == "tensor" or value.is_leaf:
            honest(value, kind, function)

    return _hooks(engine, change)


@_part("errors of in-place changes are of another class", "errors of in-place")
def _other_class(engine: Any) -> Methods:
    def change(honest: Any, *given: Any) -> Any:
        try:
            return honest(*given)
        except RuntimeError as error:
            raise ValueError(str(error)) from None

    return _inplace(engine, change)


@_part("changes of what was saved are not noticed", "version checks")
def _changed_saved(engine: Any) -> Methods:
    """Whatever was saved is saved as a copy: no later change is noticed."""
    torch = module(engine)
    copying = _calls(engine, lambda value: bent(torch, value, lambda g: g, copied=True))["call"]
    honest = engine.call

    def call(form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return (copying if op in _COMPUTING else honest)(form, op, args, kwargs)

    return {"call": call}


PARTS: Final = tuple(_FOUND)
