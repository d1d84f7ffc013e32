"""What torch's own checks of derivatives say of the same faults, on ordinary inputs as a person would choose them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from conformance import execute
from conformance.engines import Engine
from conformance.program import Apply, Program, to_numpy
from conformance.selftest.corpus import Corpus
from conformance.selftest.faults import Fault
from conformance.selftest.record import Check

#: What a fault in a part of the engine is looked for with.
PLAIN = "mul"
CHECKS = ("gradcheck", "gradcheck, fast mode", "gradgradcheck")


def judge(fault: Fault, torch_engine: Engine, corpus: Corpus) -> dict[str, Check]:
    """What each check says of the operation of the fault (of a product, for a fault in a part of the engine)."""
    op = fault.operations[0] if fault.operations else PLAIN
    program = next((p for p in _plain(corpus, op)), None)
    if program is None:
        return dict.fromkeys(CHECKS, "does not apply")
    return {name: _checked(name, fault.plant(torch_engine), torch_engine, program) for name in CHECKS}


def _plain(corpus: Corpus, op: str) -> Iterator[Program]:
    """The program of the operation with nothing special about it."""
    for index in corpus.concerning((op,), ()):
        drawn = corpus.drawn[index]
        if (drawn.target.first, drawn.target.feature) == (op, "float64"):
            yield drawn.program


def _checked(name: str, faulty: Engine, honest: Engine, program: Program) -> Check:
    """`found` when the check fails for the engine with the fault, and not for the one without."""
    if not _passes(name, honest, program):
        return "does not apply"
    return "missed" if _passes(name, faulty, program) else "found"


def _passes(name: str, engine: Engine, program: Program) -> bool:
    import torch
    from torch.autograd import gradcheck, gradgradcheck

    inputs, function = _function(engine, program)
    if not inputs:
        return False
    with _through(engine), warnings.catch_warnings(), execute.quiet():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        try:
            if name == "gradgradcheck":
                return bool(gradgradcheck(function, inputs))
            return bool(gradcheck(function, inputs, fast_mode=name != "gradcheck"))
        except Exception:  # noqa: BLE001 - whatever is raised, the person sees that something is wrong
            return False


def _function(engine: Engine, program: Program) -> tuple[tuple[Any, ...], Callable[..., Any]]:
    """The steps that compute, as a function of the leaves that require a gradient, and these."""
    import torch

    constants = {leaf.id: leaf for leaf in program.leaves if not leaf.requires_grad}
    varied = [leaf for leaf in program.leaves if leaf.requires_grad]
    inputs = tuple(torch.from_numpy(np.ascontiguousarray(to_numpy(leaf.array))).requires_grad_() for leaf in varied)
    steps = [step for step in program.steps if isinstance(step, Apply)]

    def function(*given: Any) -> Any:
        run = execute._Run(engine, Program((), ()))
        run.values = dict(zip([leaf.id for leaf in varied], given, strict=True))
        run.values |= {i: engine.leaf(to_numpy(leaf.array), False) for i, leaf in constants.items()}
        for step in steps:
            run.apply(step)
        made = [run.values[i] for i in steps[-1].out]
        found = tuple(v for v in made if v.requires_grad)
        return found if len(found) != 1 else found[0]

    return inputs, function


@contextlib.contextmanager
def _through(engine: Engine) -> Iterator[None]:
    """torch.autograd.grad, which the checks call, as the engine has it."""
    import torch

    honest = torch.autograd.grad

    def grad(
        outputs: Any,
        inputs: Any,
        grad_outputs: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        **rest: Any,
    ) -> Any:
        def listed(given: Any) -> list[Any]:
            return list(given) if isinstance(given, (tuple, list)) else [given]

        torch.autograd.grad = honest
        try:
            made = listed(outputs)
            gradients = [None] * len(made) if grad_outputs is None else listed(grad_outputs)
            return tuple(
                engine.grad_of(
                    made, listed(inputs), gradients, retain_graph, create_graph, bool(rest.get("allow_unused"))
                )
            )
        finally:
            torch.autograd.grad = grad  # type: ignore[assignment]

    torch.autograd.grad = grad  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.autograd.grad = honest
