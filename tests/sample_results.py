"""A small, complete results value with awkward texts in it, for the tests of reports and of the command line."""

from __future__ import annotations

from conformance.gate import judge
from conformance.program import Apply, Leaf, Program, Ref, array
from conformance.results import (
    Cell,
    Configuration,
    Difference,
    EngineRecord,
    Finding,
    GraphNode,
    Pairs,
    Results,
    Statistics,
    Timings,
    Versions,
)

NASTY = "a | b <script>alert(1)</script> `tick` & *star* ]]>"

_PROGRAM = Program((Leaf(0, array([[1.0, 2.0], [3.0, -0.5]])),), (Apply("mul", (Ref(0), Ref(0)), (1,)),))


def finding(id: str = "f-one", message: str = "gradient of x0 differs") -> Finding:
    """x0 * x0, with a gradient that was assigned where it should have been added."""
    return Finding(
        id=id,
        engine="micro",
        blamed="mul",
        kind="gradient",
        message=message,
        program=_PROGRAM,
        source="import torch\nprint('| not a table |')\n",
        operations=("mul", "sum"),
        graph=(
            GraphNode(
                id=0,
                name="x0",
                label="x0",
                kind="leaf",
                shape=(2, 2),
                dtype="float64",
                value="[[1., 2.], [3., -0.5]]",
                gradient="[[2., 4.], [6., -1.]]",
                actual_gradient="[[1., 2.], [3., -0.5]]",
                differs=True,
            ),
            GraphNode(id=1, name="v1", label="mul", kind="operation", inputs=(0, 0), shape=(2, 2), dtype="float64"),
            GraphNode(id=2, name="v2", label="sum", kind="operation", inputs=(1,), value=NASTY, root=True),
        ),
        expected="[[2., 4.], [6., -1.]]",
        actual="[[1., 2.], [3., -0.5]]",
        difference=Difference(
            what="x0.grad", where=(1, 0), expected="6.0", actual="3.0", absolute="3.0", relative="0.5"
        ),
        met=14,
        verdict="engine wrong",
        features=("reuse",),
        reduced_from=9,
        reduction_runs=31,
    )


def results(*findings: Finding) -> Results:
    """A judged run: `add` passes, `mul` fails where there are findings, `log` is missing from the engine."""
    wrong = 7 if findings else 0
    return judge(
        Results(
            versions=Versions(
                suite="0.1.0", python="3.11", numpy="2.4", torch="2.13.0", hypothesis="6.1", platform=NASTY
            ),
            configuration=Configuration(seed=17, time=30.0),
            engines=(
                EngineRecord(
                    name="micro", spec="./micro engine.py:Micro", operations=("add", "mul"), unsupported=("log",)
                ),
            ),
            cells=(
                Cell(engine="micro", operation="add", feature="float64", programs=40),
                Cell(engine="micro", operation="mul", feature="float64", programs=40),
                Cell(engine="micro", operation="mul", feature="reuse", programs=40, mismatches=wrong),
            ),
            pairs=(Pairs(engine="micro", operations=("add", "mul"), rows=("3", "1"), covered=3, possible=4),),
            findings=findings,
            statistics=Statistics(programs=1234, operations=5678, mismatches=wrong, discarded=3),
            timings=Timings(total=12.5, engine=2.0, reference=7.0),
            started="2026-01-02T03:04:05Z",
        )
    )
