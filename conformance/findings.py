"""Findings: a reduced program with everything a reader needs to believe it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from conformance.blame import Bench
from conformance.compare import Mismatch, same
from conformance.execute import Observation
from conformance.program import Apply, Backward, Detach, Grad, Inplace, Program, RetainGrad, operands, results, to_numpy
from conformance.results import Finding, GraphNode, Kind
from conformance.script import expression, names, script


def identify(engine: str, blamed: str, kind: Kind) -> str:
    """Id of a cause, the same in every run."""
    return hashlib.sha256(f"{engine}/{blamed}/{kind}".encode()).hexdigest()[:8]


def build(
    bench: Bench,
    program: Program,
    cause: tuple[str, Kind],
    mismatch: Mismatch,
    *,
    first_seen: str,
    referee: bool = True,
    **more: Any,
) -> Finding:
    """The finding for a reduced program; `more` gives the fields that count (`met`, `reduced_from`, …)."""
    from conformance.referee import Ruling, judge  # mpmath is loaded when there is a finding

    blamed, kind = cause
    engine = bench.engine
    name = names(program)
    difference = msgspec.structs.replace(mismatch.difference, what=named(mismatch.difference.what, name))
    where = "" if difference.where is None else f" at {list(difference.where)}"
    gap = f", off by {difference.absolute}" if difference.absolute else ""
    gap += f" ({difference.ulps} ulps)" if difference.ulps else ""
    ruling = judge(program, mismatch) if referee else Ruling("undecided", "", "the referee did not come to an end")
    message = f"{blamed}: {difference.what}{where} should be {difference.expected}, got {difference.actual}{gap}"
    return Finding(
        id=identify(engine.name, blamed, kind),
        engine=engine.name,
        blamed=blamed,
        kind=kind,
        message=message,
        program=program,
        source=script(program, engine.module, message.replace("\\", "\\\\").replace('"', "'")),
        operations=program.operations,
        graph=graph(bench, program),
        expected=difference.expected,
        actual=difference.actual,
        difference=difference,
        verdict=ruling.verdict,
        referee=ruling.exact,
        reason=ruling.reason,
        first_seen=first_seen,
        **more,
    )


def named(what: str, name: dict[int, str]) -> str:
    """What was observed (`v3.grad`), with the value's number replaced by its name in the script."""
    number, dot, rest = what.partition(".")
    if number[:1] == "v" and number[1:].isdigit():
        return name.get(int(number[1:]), number) + dot + rest
    return what


def graph(bench: Bench, program: Program) -> tuple[GraphNode, ...]:
    """The values of a program with what both sides say of each."""
    name = names(program)
    every = tuple(i for s in program.steps for i in results(s))
    expected = bench.expected(msgspec.structs.replace(program, observe=every))
    kept: list[Any] = []
    for step in program.steps:
        kept.append(step)
        if isinstance(step, (Apply, Inplace)):
            kept += [RetainGrad(i) for i in step.out if expected.flags.get(i, (False, True)) == (True, False)]
    traced = Program(program.leaves, tuple(kept), every)
    sides = [bench.expected(traced), bench.actual(traced)]
    if sides[1].unsupported is not None or sides[1].failure is not None:
        sides[1] = bench.actual(msgspec.structs.replace(program, observe=every))
    roots = {i for s in program.steps if isinstance(s, Backward) for i in s.roots}
    nodes = [
        GraphNode(
            id=leaf.id,
            name=name[leaf.id],
            label=name[leaf.id],
            kind="leaf" if leaf.requires_grad else "constant",
            shape=leaf.array.shape,
            dtype=leaf.array.dtype,
            value=_text(to_numpy(leaf.array)),
            actual_value=_text(to_numpy(leaf.array)),
            root=leaf.id in roots,
            **_gradients(sides, leaf.id),
        )
        for leaf in program.leaves
    ]
    for step in program.steps:
        for i in results(step):
            a, b = (side.values.get(i) for side in sides)
            found = _gradients(sides, i)
            found["differs"] = found["differs"] or (a is not None and b is not None and not _close(a, b))
            nodes.append(
                GraphNode(
                    id=i,
                    name=name[i],
                    label=_label(step, name),
                    kind="operation",
                    inputs=operands(step),
                    shape=() if a is None else a.shape,
                    dtype="" if a is None else str(a.dtype),
                    value=_text(a),
                    actual_value=_text(b),
                    root=i in roots,
                    **found,
                )
            )
    return tuple(nodes)


def _label(step: Any, name: dict[int, str]) -> str:
    match step:
        case Apply() | Inplace():
            return expression(step, name)
        case Detach():
            return f"{name[step.source]}.detach()"
        case Grad():
            return f"grad({', '.join(name[i] for i in step.outputs)})"
    return type(step).__name__.lower()


def _gradients(sides: list[Observation], i: int) -> dict[str, Any]:
    a, b = (side.grads.get(i) for side in sides)
    known = [i in side.grads for side in sides]
    return {
        "gradient": _text(a) if known[0] else None,
        "actual_gradient": _text(b) if known[1] else None,
        "differs": all(known) and not (a is not None and b is not None and _close(a, b)) and not same(a, b),
    }


def _close(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    return bool(np.allclose(a, b, rtol=64 * float(np.finfo(a.dtype).eps), atol=0, equal_nan=True))


def _text(value: npt.NDArray[Any] | None) -> str:
    """An array as text that is short and, for small arrays, exact."""
    if value is None:
        return "None"
    if value.ndim == 0:
        return repr(value.item())
    return np.array2string(value, separator=", ", threshold=64, floatmode="unique").replace("\n", "")
