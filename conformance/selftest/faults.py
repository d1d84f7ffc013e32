"""The faults that are planted: a table of kinds of wrong rules × operations, and a table of wrong parts of an engine.

Each fault is data: what it is, which operations it concerns, what must be named for it, and the methods of an engine
that it replaces. `table()` is all of them, in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from conformance.engines import Engine
from conformance.results import Verdict
from conformance.selftest import parts
from conformance.selftest.planting import (
    Change,
    Methods,
    Use,
    When,
    always,
    bent,
    on_gradients,
    on_operands,
    on_results,
    overwrite,
    planted,
    set_version,
    tensors,
)
from conformance.vocabulary import OPERATIONS, Operation

#: What stands for the operations of a fault in a part of the engine.
ENGINE: Final = "engine"


@dataclass(frozen=True)
class Fault:
    """One fault.

    `operations` are those that it concerns (none: whatever a program does). `blamed` is what may rightly be named: the
    operation, or a part of the engine. `verdicts` are those that are right. `methods` gives what replaces the methods
    of an engine.
    """

    kind: str
    family: str
    operations: tuple[str, ...]
    blamed: tuple[str, ...]
    methods: Callable[[Any], Methods]
    verdicts: tuple[Verdict, ...] = ("engine wrong",)

    @property
    def name(self) -> str:
        """What the fault is called in the table, in commands and in tests: no two share it."""
        return f"{self.kind}: {', '.join(self.operations)}" if self.operations else self.kind

    def plant(self, engine: Engine) -> Engine:
        """A copy of the engine with the fault."""
        return planted(engine, self.methods)


# -- when a rule is wrong ----------------------------------------------------------------------------------------------


def broadcast(use: Use) -> bool:
    """The operand has another shape than one beside it."""
    return any(other.shape != use.value.shape for other in use.among)


def reused(use: Use) -> bool:
    """The operand stands in two places."""
    return sum(other is use.value for other in use.among) > 1


def of(dtype: str) -> When:
    """The operand is of this type."""
    return lambda use: bool(use.value.dtype == getattr(use.module, dtype))


def mixed(use: Use) -> bool:
    """An operand beside it is of another floating type."""
    return any(other.dtype != use.value.dtype for other in use.among)


def beside_integers(use: Use) -> bool:
    """An operand beside it holds integers or bools."""
    return len(tensors(use.args)) > len(use.among)


def beside_a_number(use: Use) -> bool:
    """A Python number stands beside it."""
    return any(type(a) in (int, float) for a in use.args)


# -- how a gradient is wrong -------------------------------------------------------------------------------------------


def scaled(factor: float) -> Change:
    """Off by a factor."""
    return lambda g, _: g * factor


def transposed(g: Any, _: Use) -> Any:
    """The last two dimensions have changed places, their sizes have not; a row is reversed."""
    return g.flip(0) if g.ndim == 1 else g.transpose(-1, -2).reshape(g.shape) if g.ndim > 1 else g


def rolled(g: Any, _: Use) -> Any:
    """Each element at the next one's place along the last dimension."""
    return g.roll(1, -1) if g.ndim else g


def other_axis(g: Any, _: Use) -> Any:
    """Reversed along the first dimension."""
    return g.flip(0) if g.ndim else g


def higher_alone(order: int) -> Change:
    """Right up to this order of derivative, which is wrong."""
    return lambda g, _: g + 0.25 * (g - g.detach()) ** (order - 1)


def where(choose: Callable[[Any, Use], Any], change: Change) -> Change:
    """Wrong where the operand's elements are such."""

    def changed(g: Any, use: Use) -> Any:
        chosen = choose(use.value.detach(), use)
        return use.module.where(chosen, change(g, use), g)

    return changed


def at_kinks(change: Change) -> Change:
    """Wrong where the operand is at a kink of the operation."""

    def chosen(x: Any, use: Use) -> Any:
        found = use.module.isnan(x)
        for kink in OPERATIONS[use.op].kinks:
            found = found | (x == kink) if not math.isnan(kink) else found
        return found

    return where(chosen, change)


def tied(x: Any, use: Use) -> Any:
    """Which elements have an equal: in the operand, or at their place in the other one."""
    if len(use.among) > 1:
        return x == next(other for other in use.among if other is not use.value).detach()
    flat = x.reshape(-1)
    return ((flat.reshape(-1, 1) == flat).sum(1) > 1).reshape(x.shape)


def recording_alone(g: Any, use: Use) -> Any:
    """Wrong under create_graph."""
    return g * 1.5 if use.module.is_grad_enabled() else g


# -- other ways of being wrong -----------------------------------------------------------------------------------------


def loses(use: Use) -> Any:
    """The gradient to the operand is None."""
    return use.value.detach()


def copies(use: Use) -> Any:
    """The operand is kept as a copy, so that it is not seen to have changed."""
    return bent(use.module, use.value, lambda g: g, copied=True) if use.value.requires_grad else use.value


def refuses(error: type[Exception] = RuntimeError) -> Callable[[Use], Any]:
    """An error where there is none."""

    def treat(use: Use) -> Any:
        raise error(f"{use.op}: not implemented for this operand")

    return treat


def _overwritten(_: Any, made: Any) -> Any:
    overwrite(made, 1.0 + 2.0**-12)
    return made


def _narrowed(torch: Any, made: Any) -> Any:
    return made.to(torch.float32) if made.dtype == torch.float64 else made


def _unsqueezed(_: Any, made: Any) -> Any:
    return made.unsqueeze(0)


def _cut(_: Any, made: Any) -> Any:
    return made.detach()


def _cloned(_: Any, made: Any) -> Any:
    return made.clone()


def _in_place_value(op: str) -> Callable[[Any], Methods]:
    """The in-place form writes something else."""

    def methods(engine: Any) -> Methods:
        honest = engine.inplace

        def inplace(name: str, target: Any, args: Any, kwargs: Any) -> Any:
            made = honest(name, target, args, kwargs)
            if name == f"{op}_":
                overwrite(made, 1.0 + 2.0**-12)
            return made

        return {"inplace": inplace}

    return methods


def _in_place_unseen(op: str) -> Callable[[Any], Methods]:
    """The in-place form doesn't count its change."""

    def methods(engine: Any) -> Methods:
        honest = engine.inplace

        def inplace(name: str, target: Any, args: Any, kwargs: Any) -> Any:
            before = target._version
            made = honest(name, target, args, kwargs)
            if name == f"{op}_":
                set_version(made, before)
            return made

        return {"inplace": inplace}

    return methods


# -- kinds of wrong rules ----------------------------------------------------------------------------------------------

Fits = Callable[[Operation], bool]

#: Operations whose gradient is zero wherever it exists: no factor is wrong for it.
FLAT: Final = frozenset(("floor", "ceil", "round", "trunc", "sign", "sgn", "angle", "special.round"))
#: Operations that give a part of their operand's memory.
VIEWS: Final = (
    "reshape", "view", "transpose", "permute", "movedim", "t", "squeeze", "unsqueeze", "expand", "split", "chunk",
    "unbind", "narrow", "select", "diagonal", "T", "mT", "swapaxes", "broadcast_to", "as_strided", "tensor_split",
    "unflatten", "unfold", "ravel",
)  # fmt: skip
#: Operations whose operands have one domain, so that a value can be both.
REUSABLE: Final = (
    "add", "sub", "mul", "maximum", "minimum", "hypot", "fmax", "fmin", "logaddexp", "logaddexp2", "addcmul", "matmul",
)  # fmt: skip
TIES: Final = ("amax", "amin", "maximum", "minimum", "fmax", "fmin")
#: Operations with kinks at which every number between the one-sided derivatives is a convention.
HINGES: Final = ("relu", "abs", "nn.functional.leaky_relu", "nn.functional.relu6", "nn.functional.elu", "clamp")


def _smooth(o: Operation) -> bool:
    return o.gradient and o.name not in FLAT


def _pairwise(o: Operation) -> bool:
    return _smooth(o) and o.family in ("binary", "ternary") and not o.name.startswith("__r") and o.name != "rsub"


def _among(*names: str) -> Fits:
    return lambda o: o.name in names


def _form(form: str) -> Fits:
    return lambda o: _smooth(o) and form in o.forms and (form != "method" or "function" in o.forms)


def _pointwise(o: Operation) -> bool:
    return _smooth(o) and o.family in ("unary", "binary", "special")


def _reducing(o: Operation) -> bool:
    """It reduces an operand of whatever shape."""
    return _smooth(o) and o.family == "reduction" and o.name in _REDUCTIONS


def _shaping(o: Operation) -> bool:
    return o.name in VIEWS or o.name in ("flip", "roll", "cat", "stack", "repeat", "tile")


def _making(o: Operation) -> bool:
    """Its results are memory of their own."""
    return _smooth(o) and o.family not in ("shape", "indexing") and o.name not in _PASSING


def _two_operands(o: Operation) -> bool:
    return _pairwise(o) or o.name in ("matmul", "mm", "bmm", "dot", "outer", "addmm", "nn.functional.linear", "cdist")


_REDUCTIONS: Final = ("sum", "mean", "prod", "amax", "amin", "logsumexp", "cumsum", "cumprod", "nansum", "norm")
_PASSING: Final = frozenset(
    [
        "clone",
        "real",
        "positive",
        "conj",
        "conj_physical",
        "resolve_conj",
        "resolve_neg",
        "contiguous",
        "double",
        "float",
        "to",
    ]
)


def _bends(change: Change, when: When = always, place: int | None = None) -> Callable[[str], Callable[[Any], Methods]]:
    return lambda op: lambda engine: on_gradients(engine, (op,), change, when, place)


def _treats(treat: Callable[[Use], Any], when: When = always) -> Callable[[str], Callable[[Any], Methods]]:
    return lambda op: lambda engine: on_operands(engine, (op,), treat, when)


def _makes(treat: Callable[[Any, Any], Any], when: Any = lambda *_: True) -> Callable[[str], Callable[[Any], Methods]]:
    return lambda op: lambda engine: on_results(engine, (op,), treat, when)


def _not_recording(engine: Any) -> Callable[..., bool]:
    return lambda *_: not engine.is_grad_enabled()


def _value_without_grad(op: str) -> Callable[[Any], Methods]:
    def methods(engine: Any) -> Methods:
        from conformance.selftest.planting import module

        torch = module(engine)
        return on_results(engine, (op,), _overwritten, lambda *_: not torch.is_grad_enabled())

    return methods


@dataclass(frozen=True)
class Kind:
    """A kind of wrong rule: the operations that can have it, and how many of them get it (evenly spread)."""

    name: str
    fits: Fits
    methods: Callable[[str], Callable[[Any], Methods]]
    number: int = 9
    verdicts: tuple[Verdict, ...] = ("engine wrong",)


EITHER: Final[tuple[Verdict, ...]] = ("engine wrong", "convention differs")

KINDS: Final = (
    Kind("scaled", _smooth, _bends(scaled(1.01)), 24),
    Kind("sign flipped", _smooth, _bends(scaled(-1.0)), 16),
    Kind("zeroed", _smooth, _bends(scaled(0.0)), 12),
    Kind("off by 1e-10 in float64", _smooth, _bends(scaled(1 + 1e-10), of("float64")), 24),
    Kind("off by 5e-6 in float32", _smooth, _bends(scaled(1 + 5e-6), of("float32")), 24),
    Kind("transposed", _smooth, _bends(transposed), 14),
    Kind("off by one place", _smooth, _bends(rolled), 12),
    Kind("other axis reversed", _smooth, _bends(other_axis)),
    Kind(
        "wrong at kinks",
        lambda o: _smooth(o) and any(map(math.isfinite, o.kinks)),
        _bends(at_kinks(lambda g, _: g * 0.0 + 3.0)),
        12,
        EITHER,
    ),
    Kind("another convention at kinks", _among(*HINGES), _bends(at_kinks(lambda g, _: g + 0.25)), 6, EITHER),
    Kind("wrong at ties", _among(*TIES), _bends(where(tied, scaled(2.0))), 6, EITHER),
    Kind("wrong for negative numbers", _pointwise, _bends(where(lambda x, _: x < 0, scaled(1.5))), 10),
    Kind(
        "wrong for large numbers",
        lambda o: _pointwise(o) and o.domain[1] == 32.0,
        _bends(where(lambda x, _: abs(x) > 1000, lambda g, _: g + 1.0)),
        8,
    ),
    Kind(
        "wrong for nan and inf",
        lambda o: _pointwise(o) and o.odd_values,
        _bends(where(lambda x, use: ~use.module.isfinite(x), lambda g, _: g * 0.0 + 7.0)),
        8,
        EITHER,
    ),
    Kind("wrong when broadcast", _pairwise, _bends(scaled(1.5), broadcast), 10),
    Kind(
        "wrong for 0-d",
        lambda o: _pointwise(o) or _reducing(o),
        _bends(scaled(1.5), lambda use: use.value.ndim == 0),
        10,
    ),
    Kind("wrong for float32", _smooth, _bends(scaled(1.5), of("float32")), 10),
    Kind(
        "wrong for float16",
        lambda o: _smooth(o) and o.family in ("unary", "binary"),
        _bends(scaled(1.5), of("float16")),
        8,
    ),
    Kind("wrong for mixed types", lambda o: _pairwise(o) and o.family == "binary", _bends(scaled(1.5), mixed), 6),
    Kind(
        "wrong beside integers",
        lambda o: _pairwise(o) and o.family == "binary",
        _bends(scaled(1.5), beside_integers),
        6,
    ),
    Kind(
        "wrong beside a number",
        _among("mul", "div", "pow", "remainder", "fmod", "copysign"),
        _bends(scaled(1.5), beside_a_number),
        6,
    ),
    Kind("wrong when reused", _among(*REUSABLE), _bends(scaled(0.75), reused), 10),
    Kind("wrong when not contiguous", _smooth, _bends(scaled(1.5), lambda use: not use.value.is_contiguous()), 12),
    Kind("wrong as a method", _form("method"), _bends(scaled(1.5), lambda use: use.form == "method"), 6),
    Kind("wrong as an operator", _form("operator"), _bends(scaled(1.5), lambda use: use.form == "operator"), 5),
    Kind("wrong for the second operand", _two_operands, _bends(scaled(1.5), always, 1), 10),
    Kind("wrong at second order", lambda o: _smooth(o) and o.orders > 1, _bends(higher_alone(2)), 16),
    Kind("wrong at third order", lambda o: _smooth(o) and o.orders > 2, _bends(higher_alone(3)), 8),
    Kind("wrong under create_graph", lambda o: _smooth(o) and o.orders > 1, _bends(recording_alone), 8),
    Kind("None for a gradient", _smooth, _treats(loses), 10),
    Kind(
        "error for 0-d",
        lambda o: _pointwise(o) or _reducing(o),
        _treats(refuses(IndexError), lambda use: use.value.ndim == 0),
        6,
    ),
    Kind(
        "error for empty operands",
        lambda o: _pointwise(o) or _shaping(o),
        _treats(refuses(), lambda use: 0 in use.value.shape),
        6,
    ),
    Kind("error when not contiguous", _smooth, _treats(refuses(), lambda use: not use.value.is_contiguous()), 6),
    Kind(
        "change of an operand not noticed",
        _among("sin", "cos", "log", "square", "mul", "div", "erf", "log1p"),
        _treats(copies),
        6,
    ),
    Kind("value off", _making, _makes(_overwritten), 16),
    Kind("value off without grad", _making, _value_without_grad, 6),
    Kind(
        "value off in out=",
        _among("sin", "exp", "add", "mul", "tanh", "atan"),
        _makes(_overwritten, lambda _f, _o, _a, kwargs: "out" in kwargs),
        6,
    ),
    Kind("wrong dtype", lambda o: _smooth(o) and o.name not in ("double", "float", "to"), _makes(_narrowed), 10),
    Kind("wrong shape", _smooth, _makes(_unsqueezed), 8),
    Kind("history lost", _smooth, _makes(_cut), 8),
    Kind("another node", _making, _makes(_cloned), 8),
    Kind("a copy for a view", _among(*VIEWS), _makes(_cloned), 10),
    Kind(
        "in-place form off", _among("add", "mul", "sin", "exp", "tanh", "sigmoid", "relu", "clamp"), _in_place_value, 6
    ),
    Kind("in-place form not counted", _among("add", "mul", "sin", "exp", "tanh", "sub"), _in_place_unseen, 5),
)


def _rules() -> list[Fault]:
    """Each kind for as many of the operations that it fits as it says, evenly spread over the families."""
    found: list[Fault] = []
    ordered = sorted(OPERATIONS.values(), key=lambda o: (o.family, o.name))
    used: dict[str, int] = {}
    for kind in KINDS:
        fitting = [o for o in ordered if kind.fits(o)]
        chosen: list[Operation] = []
        if kind is KINDS[0]:  # that every family has a fault
            chosen += {o.family: o for o in reversed(fitting)}.values()
        for k in range(min(kind.number, len(fitting))):
            part = (
                fitting[k * len(fitting) // kind.number : (k + 1) * len(fitting) // kind.number] or fitting[k : k + 1]
            )
            fresh = [o for o in part if o not in chosen]
            chosen.append(min(fresh, key=lambda o: used.get(o.name, 0)))  # the one with the fewest faults so far
            used[chosen[-1].name] = used.get(chosen[-1].name, 0) + 1
        for o in chosen:
            blamed = (f"{o.name}_",) if kind.name.startswith("in-place form") else (o.name,)
            found.append(Fault(kind.name, o.family, (o.name,), blamed, kind.methods(o.name), kind.verdicts))
    return found


def table() -> tuple[Fault, ...]:
    """Every fault that is planted."""
    engine = [Fault(part.name, ENGINE, (), part.blamed, part.methods, part.verdicts) for part in parts.PARTS]
    return (*_rules(), *engine)


def chosen(names: Sequence[str]) -> tuple[Fault, ...]:
    """The faults whose kind or name begins with one of these; all of them without."""
    return tuple(f for f in table() if not names or any(f.name.startswith(name) for name in names))
