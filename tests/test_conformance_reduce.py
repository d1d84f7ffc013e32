"""Reduced programs hold what shows the cause, and what torch needs to answer twice the same; nothing else."""

from __future__ import annotations

import numpy as np

from conformance.blame import Bench
from conformance.engines import load
from conformance.program import Apply, Backward, Inplace, Leaf, Program, Ref, array
from conformance.reduce import Reducer
from conformance.vocabulary import OPERATIONS

TORCH = load("torch")
BENCH = Bench(TORCH, TORCH)
ROW = array([1.5, -0.25, 2.125])


def applies(op: str, program: Program) -> tuple[Program, int]:
    """The program reduced as long as it applies the operation, and how many runs that took."""
    reducer = Reducer(lambda p: op in p.operations and BENCH.expected(p).failure is None, BENCH.expected)
    return reducer.reduce(program), reducer.runs


def test_what_nothing_reads_goes_first() -> None:
    leaves = tuple(Leaf(i, ROW) for i in range(4))
    steps = (
        Apply("sin", (Ref(0),), (4,)),
        *(Apply("mul", (Ref(1), Ref(2)), (5 + 3 * k,)) for k in range(8)),
        *(Inplace("true_divide_", 5 + 3 * k, (Ref(3),), (6 + 3 * k,)) for k in range(8)),
        *(Inplace("mul_", 6 + 3 * k, (2.0,), (7 + 3 * k,)) for k in range(8)),
        Backward((4,), (ROW,)),
    )
    reduced, runs = applies("sin", Program(leaves, steps))
    assert reduced.operations == ("sin",)
    assert [leaf.array for leaf in reduced.leaves] == [array(1.0)]
    assert runs <= 15


def test_a_change_through_a_view_is_not_dead() -> None:
    steps = (
        Apply("mul", (Ref(0), 2.0), (1,)),
        Apply("view", (Ref(1), -1), (2,), form="method"),
        Inplace("sin_", 2, (), (3,)),
        Backward((1,), (ROW,)),
    )
    reduced, _ = applies("sin_", Program((Leaf(0, ROW),), steps))
    assert "sin_" in reduced.operations


def test_what_torch_needs_to_answer_the_same_twice_stays() -> None:
    square = Leaf(0, array(np.diag([3.0, 6.0]) + 0.25))
    step = Apply("linalg.lstsq", (Ref(0), Ref(1)), (2, 3, 4, 5), (("driver", "gelsd"),))
    reduced, _ = applies("linalg.lstsq", Program((square, Leaf(1, array([[1.5], [2.5]]))), (step,), (2,)))
    (step,) = reduced.steps  # type: ignore[assignment]
    assert step.kwargs == (("driver", "gelsd"),)
    assert OPERATIONS["linalg.lstsq"].given == ("driver",)
