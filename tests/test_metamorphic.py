"""Checks without a reference: a right engine breaks no relation, and each planted fault breaks its own; no torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import minigrad
from conformance.engines.torchlike import TorchLike
from conformance.metamorphic import RELATIONS, check


class Small(TorchLike):
    """minigrad with a few operations."""

    offered = ("sin", "exp", "mul", "add", "sum", "neg", "unsqueeze", "select", "clone", "reshape")

    def __init__(self) -> None:
        super().__init__(minigrad, "small")

    def supports(self, op: str) -> bool:
        return op in self.offered and super().supports(op)


class WrongInPlace(Small):
    def inplace(self, op: str, target: Any, args: Any, kwargs: Any) -> Any:
        if op == "exp_":
            target.add_(1.0)
        return super().inplace(op, target, args, kwargs)


class WrongOnViews(Small):
    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        made = super().call(form, op, args, kwargs)
        return made * 1.5 if op == "sin" and args[0].grad_fn is not None and args[0]._is_view() else made


class WrongWhenStrided(Small):
    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        made = super().call(form, op, args, kwargs)
        return made * 1.5 if op == "sin" and not args[0].is_contiguous() else made


class LosesAccumulation(Small):
    def backward(self, value: Any, gradient: Any) -> None:
        self._forget()
        super().backward(value, gradient)

    def backward_all(self, *args: Any) -> None:
        self._forget()
        super().backward_all(*args)

    def leaf(self, array: Any, requires_grad: bool) -> Any:
        made = super().leaf(array, requires_grad)
        self.leaves = [*getattr(self, "leaves", []), made][-8:]
        return made

    def _forget(self) -> None:
        for leaf in self.leaves:
            leaf.grad = None


class DependsOnOrder(Small):
    def backward_all(self, roots: Any, gradients: Any, *more: Any) -> None:
        super().backward_all(roots, [gradients[0], *(g * 0.5 for g in gradients[1:])], *more)


class WrongSecondOrder(Small):
    """A gradient that keeps half of its own graph."""

    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        made = super().call(form, op, args, kwargs)
        if op == "sin" and made.requires_grad:
            made.register_hook(lambda g: g * 0.5 + g.detach() * 0.5)
        return made


class WrongRule(Small):
    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        made = super().call(form, op, args, kwargs)
        return made * (1 + 1e-6) - made.detach() * 1e-6 if op == "sin" else made


FAULTS = [
    (WrongInPlace, "in place = out of place"),
    (WrongOnViews, "view = copy"),
    (WrongWhenStrided, "strided = contiguous"),
    (LosesAccumulation, "gradient of a sum = sum of gradients"),
    (DependsOnOrder, "any order of independent steps"),
    (WrongSecondOrder, "⟨Jv, w⟩ = ⟨v, Jᵀw⟩"),
    (WrongRule, "gradient = derivative"),
]


@pytest.mark.parametrize(("engine", "relation"), FAULTS, ids=[f.__name__ for f, _ in FAULTS])
def test_a_planted_fault_breaks_its_relation(engine: type[Small], relation: str) -> None:
    checked = check(engine, examples=60)
    assert not checked.ok
    broken = [b for b in checked.broken if b.relation == relation]
    assert broken
    assert min(len(b.operations) for b in broken) <= 3
    assert relation in str(broken[0])


def test_every_relation_has_a_fault() -> None:
    assert {relation for _, relation in FAULTS} == set(RELATIONS)


def test_a_right_engine_breaks_nothing() -> None:
    checked = check(Small, examples=120)
    assert [str(b) for b in checked.broken] == []
    assert checked.ok
    assert set(checked.tried) == set(RELATIONS)
    assert np.min(list(checked.tried.values())) > 10


def test_torch_is_not_needed() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from conformance.metamorphic import check\n"
        "found = check('minigrad', examples=50)\n"
        "assert found.programs == 50 and sum(found.tried.values()) > 50"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
