"""Faults derived from minigrad's declarations: each formula of each operation, changed in each of a few ways.

So a formula that no program checks cannot exist: what none uses, or none notices, is listed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from conformance import execute
from conformance.compare import equal, judge
from conformance.engines import Engine
from conformance.noise import Noise
from conformance.selftest.faults import Fault
from conformance.selftest.record import Tried
from conformance.selftest.trial import Bureau

#: The engine whose declarations are changed.
ENGINE: Final = "minigrad"
#: In the place of a type: nothing but zeros.
ZERO: Final = "zero"


Key: TypeAlias = tuple[str, str]
#: Programs in which a formula gives something other than zero, by the type of what it gives.
Uses: TypeAlias = dict[Key, dict[str, list[int]]]
Replacing: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


class Change(NamedTuple):
    """What a formula gives, times a factor (in gradients of one type only, if that is said)."""

    factor: float
    dtype: str = ""

    def __call__(self, made: Any) -> Any:
        """What a formula gave (an array, a tensor, None, or several of them), changed."""
        if isinstance(made, (list, tuple)):
            return [self(each) for each in made]
        if made is None or (self.dtype and _dtype(made) != self.dtype):
            return made
        return made * self.factor


CHANGES: Final = {
    "sign flipped": Change(-1.0),
    "zeroed": Change(0.0),
    "off by 1e-10 in float64": Change(1 + 1e-10, "float64"),
    "off by 5e-6 in float32": Change(1 + 5e-6, "float32"),
}


def _dtype(made: Any) -> str:
    return str(made.dtype).rpartition(".")[2]


def formulas() -> list[Key]:
    """Each operation that minigrad declares with each of its operands that has a formula."""
    from minigrad import _op

    return [(name, operand) for name, op in sorted(_op.OPS.items()) for operand in op.formulas]


@contextlib.contextmanager
def _instead(name: str, operand: str, made: Replacing) -> Iterator[None]:
    """The formula replaced while the block runs, also where it was compiled into a plan."""
    from minigrad import _op

    op = _op.OPS[name]
    honest = op.formulas[operand]
    names = ", ".join(_op.parameters(honest))
    formula = eval(f"lambda {names}: call({names})", {"call": made(honest)})  # a formula's parameters say what it needs

    def put(wanted: Callable[..., Any]) -> None:
        op.formulas[operand] = wanted
        for case, plan in op.plans.items():
            plan.__init__(op, *case, plan.edged)  # written again: source and saved values follow from the formulas

    put(formula)
    try:
        yield
    finally:
        put(honest)


def trace(bureau: Bureau, indices: Iterable[int]) -> Uses:
    """Which of the programs use which formula; without those on which minigrad differs from the reference anyway."""
    uses: Uses = {}
    called: set[tuple[Key, str]] = set()

    def noting(key: Key) -> Replacing:
        def note(made: Any) -> None:
            if isinstance(made, (list, tuple)):
                for each in made:
                    note(each)
            elif made is not None:
                array = made.detach().numpy() if hasattr(made, "detach") else np.asarray(made)
                called.add((key, _dtype(made) if np.any(array) else ZERO))

        def made(honest: Callable[..., Any]) -> Callable[..., Any]:
            def formula(*given: Any) -> Any:
                result = honest(*given)
                note(result)
                return result

            return formula

        return made

    with contextlib.ExitStack() as stack, execute.quiet():
        for key in formulas():
            stack.enter_context(_instead(*key, noting(key)))
        for index in indices:
            called.clear()
            drawn = bureau.corpus.drawn[index]
            actual, expected = execute.run(bureau.engine, drawn.program), bureau.corpus.expected(index)
            used = frozenset(called)
            if not equal(expected, actual):
                noise = partial(Noise, bureau.reference, drawn.program, partial(execute.run, bureau.engine))
                if judge(drawn.program, expected, actual, noise).mismatch is not None:
                    continue
            for key, dtype in used:
                uses.setdefault(key, {}).setdefault(dtype, []).append(index)
    return uses


def merged(parts: Iterable[Uses]) -> Uses:
    """Traces of several parts of the programs, as one."""
    whole: Uses = {}
    for part in parts:
        for key, by_type in part.items():
            for dtype, indices in by_type.items():
                whole.setdefault(key, {}).setdefault(dtype, []).extend(indices)
    return whole


def unused(uses: Uses) -> tuple[str, ...]:
    """The formulas that no program uses."""
    return tuple(_shown(key) for key in formulas() if key not in uses)


def zeros(uses: Uses) -> tuple[str, ...]:
    """The formulas that give nothing but zeros, of which no change can show."""
    return tuple(_shown(key) for key, by_type in sorted(uses.items()) if not by_type.keys() - {ZERO})


def changed(uses: Uses) -> list[tuple[Key, str, list[int]]]:
    """Each formula with each of its changes, and the programs in which that changes what it gives."""
    return [
        (key, kind, sorted({i for dtype in wanted for i in by_type.get(dtype, ())}))
        for key, by_type in sorted(uses.items())
        if by_type.keys() - {ZERO}
        for kind, change in CHANGES.items()
        for wanted in [(change.dtype,) if change.dtype else by_type.keys() - {ZERO}]
    ]


def _shown(key: Key) -> str:
    return f"{key[0]}.{key[1]}"


def attempt(bureau: Bureau, key: Key, kind: str, indices: list[int]) -> Tried:
    """What the suite makes of a changed formula."""
    calls = 0

    def made(honest: Callable[..., Any]) -> Callable[..., Any]:
        def formula(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            return CHANGES[kind](honest(*given))

        return formula

    def right(blamed: str, engine: Engine, program: Any) -> bool:
        """Whether the program that shows the cause, alone, uses the formula."""
        nonlocal calls
        calls = 0
        execute.run(engine, program)
        return calls > 0 and not blamed.startswith("engine")

    fault = Fault(f"{kind}: {_shown(key)}", _shown(key), (), (f"an operation that uses {_shown(key)}",), lambda _: {})
    with _instead(*key, made):
        return bureau.attempt(fault, describe=False, indices=indices, right=right)
