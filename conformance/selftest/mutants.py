"""Faults derived from minigrad's declarations: each formula of each operation, changed in each of a few ways.

So a formula that no program checks cannot exist: what none uses, or none notices, is listed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from conformance import execute
from conformance.compare import equal, judge
from conformance.engines import Engine
from conformance.noise import Noise
from conformance.selftest.corpus import Corpus
from conformance.selftest.faults import Fault
from conformance.selftest.record import Tried
from conformance.selftest.trial import Bureau

#: The engine whose declarations are changed.
ENGINE: Final = "minigrad"


def _times(factor: float, dtype: str = "") -> Callable[[Any], Any]:
    """What a formula gives, times a factor (in gradients of one type only, if that is said)."""

    def change(made: Any) -> Any:
        if isinstance(made, (list, tuple)):
            return [change(each) for each in made]
        if made is None or (dtype and not str(made.dtype).endswith(dtype)):
            return made
        return made * factor

    return change


CHANGES: Final[dict[str, Callable[[Any], Any]]] = {
    "sign flipped": _times(-1.0),
    "zeroed": _times(0.0),
    "off by 1e-10 in float64": _times(1 + 1e-10, "float64"),
    "off by 5e-6 in float32": _times(1 + 5e-6, "float32"),
}


def formulas() -> list[tuple[str, str]]:
    """Each operation that minigrad declares with each of its operands that has a formula."""
    from minigrad import _op

    return [(name, operand) for name, op in sorted(_op.OPS.items()) for operand in op.formulas]


@contextlib.contextmanager
def _instead(name: str, operand: str, made: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
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


class Trace:
    """Which programs use which formula, and on which of them minigrad agrees with the reference."""

    def __init__(self, engine: Engine, corpus: Corpus) -> None:
        self.used: dict[tuple[str, str], list[int]] = {}
        called: set[tuple[str, str]] = set()

        def noting(key: tuple[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
            def made(honest: Callable[..., Any]) -> Callable[..., Any]:
                def formula(*given: Any) -> Any:
                    called.add(key)
                    return honest(*given)

                return formula

            return made

        with contextlib.ExitStack() as stack, execute.quiet():
            for key in formulas():
                stack.enter_context(_instead(*key, noting(key)))
            for index, drawn in enumerate(corpus.drawn):
                called.clear()
                actual, expected = execute.run(engine, drawn.program), corpus.expected(index)
                if not equal(expected, actual):
                    noise = partial(Noise, corpus.reference, drawn.program, partial(execute.run, engine))
                    if judge(drawn.program, expected, actual, noise).mismatch is not None:
                        continue
                for key in called:
                    self.used.setdefault(key, []).append(index)


def attempts(bureau: Bureau, among: Iterable[tuple[str, str]] | None = None) -> Iterator[Tried]:
    """What the suite makes of each changed formula (or of those given); of one that no program uses, nothing comes."""
    trace = Trace(bureau.engine, bureau.corpus)
    for key in formulas() if among is None else among:
        for kind, change in CHANGES.items() if key in trace.used else ():
            yield _attempt(bureau, key, kind, change, trace.used[key])


def unchecked(tried: list[Tried]) -> tuple[str, ...]:
    """The formulas that no program uses."""
    known = {t.family for t in tried}
    return tuple(name for name in map(_shown, formulas()) if name not in known)


def _shown(key: tuple[str, str]) -> str:
    return f"{key[0]}.{key[1]}"


def _attempt(
    bureau: Bureau, key: tuple[str, str], kind: str, change: Callable[[Any], Any], indices: list[int]
) -> Tried:
    calls = 0

    def made(honest: Callable[..., Any]) -> Callable[..., Any]:
        def formula(*given: Any) -> Any:
            nonlocal calls
            calls += 1
            return change(honest(*given))

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
