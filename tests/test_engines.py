"""Adapters of engines that others wrote: each runs programs and has no dead entries; the scoreboard sums up."""

import math

import numpy as np
import pytest

from conformance import engines, execute
from conformance.engines import adapters
from conformance.program import Apply, Backward, Grad, Leaf, Program, Ref, array
from conformance.vocabulary import OPERATIONS

HERE, ABSENT = engines.present()
OTHERS = sorted(adapters.ADAPTERS)


def loaded(name):
    if name in ABSENT:
        pytest.skip(f"{name}: {ABSENT[name]}")
    return engines.load(name)


# x·(2x + x²), summed, at 1 and 3: with micrograd's few operations, a value that is used twice, and broadcasting.
X = Leaf(0, array([1.0, 3.0]))
TWO = Leaf(1, array(2.0), False)
PROGRAM = Program(
    (X, TWO),
    (
        Apply("mul", (Ref(0), Ref(1)), (2,)),
        Apply("mul", (Ref(0), Ref(0)), (3,)),
        Apply("add", (Ref(2), Ref(3)), (4,)),
        Apply("mul", (Ref(4), Ref(0)), (5,)),
        Apply("sum", (Ref(5),), (6,)),
        Backward((6,), (None,)),
    ),
    (6,),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in OTHERS if name != "torch:compile"])
def test_runs_a_program(name):
    seen = execute.run(loaded(name), PROGRAM)
    assert (seen.failure, seen.unsupported) == (None, None)
    assert seen.values[6] == 48.0
    np.testing.assert_array_equal(seen.grads[0], [7.0, 39.0])  # 4x + 3x²


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in OTHERS if name != "torch:compile"])
def test_higher_orders(name):
    engine = loaded(name)
    if "higher" not in engines.levels(engine) or name == "torch:aot":
        pytest.skip(f"{name} has one order")
    steps = (
        Apply("sin", (Ref(0),), (2,)),
        Grad((2,), (0,), (array([1.0, 2.0]),), (3,), create_graph=True),
        Grad((3,), (0,), (array([1.0, 1.0]),), (4,), create_graph=True),
    )
    seen = execute.run(engine, Program((X,), steps, (3, 4)))
    assert seen.failure is None
    tolerance = 1e-6 if engine.precision or name == "mlx" else 1e-15
    np.testing.assert_allclose(seen.values[3], [math.cos(1), 2 * math.cos(3)], rtol=tolerance)
    np.testing.assert_allclose(seen.values[4], [-math.sin(1), -2 * math.sin(3)], rtol=tolerance)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OTHERS)
def test_tables_have_no_dead_entries(name):
    engine = loaded(name)
    table = getattr(engine, "table", {})
    assert set(table) <= set(OPERATIONS)
    assert all(callable(function) for function in table.values())
    least = {"autograd": 200, "jax": 250, "mlx": 180, "mygrad": 140, "tinygrad": 140, "micrograd": 30}
    least |= {"paddle": 280, "tensorflow": 220}
    assert sum(map(engine.supports, OPERATIONS)) >= least.get(name, 400)


def test_the_absent_are_named():
    assert {*HERE, *ABSENT} == set(engines.names())
    assert all(reason and "\n" not in reason for reason in ABSENT.values())
    assert {"torch", "minigrad"} <= set(HERE)


def test_precision_is_what_an_engine_is_judged_by():
    from conformance.blame import Bench

    program = Program((X,), (Apply("exp", (Ref(0),), (1,)), Backward((1,), (array([1.0, 1.0]),))), (1,))
    single = engines.load("torch:float32")
    assert Bench(single, engines.load("torch")).mismatch(program) is None
    single.precision = ""
    assert Bench(single, engines.load("torch")).mismatch(program) is not None


def test_scoreboard():
    from sample_results import finding, results

    from conformance.reporting import scoreboard

    found = finding()
    part = results(found)
    row = scoreboard.Row(part)
    assert sum(row.outcomes.values()) == 1
    assert scoreboard.outcome(found) in row.blamed[found.blamed]
    text = scoreboard.to_markdown([part], {"other": "not installed"})
    assert "- other: absent: not installed" in text
    assert f"| {found.blamed} " in text
    assert row.name in scoreboard.to_html([part])


@pytest.mark.parametrize(
    ("engine", "changes", "status", "outcome"),
    [
        ("other", {"actual": "ValueError at step 0: no"}, "", "unsupported"),
        (
            "other",
            {"actual": "ValueError at step 5: no"},
            "",
            "wrong",
        ),  # it took the operands, and raises on the way back
        ("torch:func", {"actual": "ValueError at step 0: no"}, "", "wrong"),
        ("other", {"expected": "RuntimeError at step 5: no", "actual": "no error"}, "", "convention differs"),
        ("other", {"actual": "ValueError at step 5: no"}, "convention differs", "convention differs"),
        ("other", {"kind": "crash"}, "", "crash"),
        ("other", {"kind": "dtype"}, "", "convention differs"),
        ("torch:func", {"kind": "dtype"}, "", "wrong"),
    ],
)
def test_what_a_finding_comes_to(engine, changes, status, outcome):
    from msgspec.structs import replace
    from sample_results import finding

    from conformance.reporting import scoreboard

    fields = {"engine": engine, "kind": "error", "expected": "no error", "program": PROGRAM, "referee": ""} | changes
    found = replace(finding(), verdict="engine wrong", **fields)
    assert scoreboard.outcome(found, status) == outcome
