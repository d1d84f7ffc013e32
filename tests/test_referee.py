"""The referee: exact forward values, numerical derivatives, and who is right about a difference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conformance import execute, referee
from conformance.compare import Mismatch
from conformance.conventions import classify, rows, to_markdown
from conformance.engines import load
from conformance.exact import function
from conformance.exact.arithmetic import UnspecifiedError
from conformance.generate import SIZE, Target, decode
from conformance.program import Apply, Backward, Grad, Leaf, Program, Ref, Seq, array
from conformance.referee import Evaluation, UndecidedError, derivative
from conformance.results import Difference
from conformance.vocabulary import OPERATIONS

REFERENCE = load("torch")
SHAPES = execute.Shapes(REFERENCE)
PAGE = Path(__file__).parent.parent / "reports" / "conventions.md"

#: Results that are no function of numbers alone: memory, rounding, tolerances.
NOT_NUMBERS = {"as_strided", "isclose", "linalg.matrix_rank", "nextafter"}
#: Where torch's own kernels are less exact than their dtype: the formulas of trigamma, and float32 constants.
TORCH_IS_OFF = {"digamma", "lgamma", "mvlgamma", "polygamma", "nn.functional.hardsigmoid"}


def programs(operation: str, feature: str, count: int = 2) -> Iterator[Program]:
    """Programs of a cell that torch accepts, always the same."""
    for k in range(count):
        data = hashlib.shake_128(f"{operation}/{feature}/{k}".encode()).digest(SIZE)
        program, meant = decode(
            data, Target("cell", first=operation, feature=feature), SHAPES, list(OPERATIONS.values())
        )[:2]
        if meant:
            yield program


def exactly(program: Program) -> Evaluation | None:
    try:
        return Evaluation(program)
    except UnspecifiedError:
        return None


@pytest.mark.parametrize("family", sorted({o.family for o in OPERATIONS.values()}))
def test_exact_values_are_torchs(family: str) -> None:
    names = [o.name for o in OPERATIONS.values() if o.family == family and o.name not in NOT_NUMBERS]
    assert [name for name in names if function(name) is None] == []
    for name in names:
        for program in programs(name, "float64"):
            steps = tuple(s for s in program.steps if isinstance(s, Apply))
            forward = Program(program.leaves, steps, tuple(i for s in steps for i in s.out))
            exact, seen = exactly(forward), execute.run(REFERENCE, forward)
            for i, value in seen.values.items() if exact else ():
                assert exact is not None
                if value is not None and value.dtype.kind == "f":
                    numbers = exact.base[i].astype(np.float64)
                    size = abs if OPERATIONS[name].up_to_sign else np.asarray
                    np.testing.assert_allclose(
                        size(value), size(numbers), 1e-8 if name in TORCH_IS_OFF else 1e-12, 1e-13, err_msg=name
                    )


@pytest.mark.parametrize("family", sorted({o.family for o in OPERATIONS.values()}))
def test_numerical_derivatives_are_torchs_gradients(family: str) -> None:
    judged = 0
    for name in [o.name for o in OPERATIONS.values() if o.family == family and o.name not in NOT_NUMBERS]:
        for program in programs(name, "float64", 1):
            seen = execute.run(REFERENCE, program)
            for leaf, gradient in seen.grads.items():
                if gradient is None or not gradient.size:
                    continue
                try:
                    sides = derivative(program, leaf, (0,) * gradient.ndim)
                except (UndecidedError, UnspecifiedError):
                    continue
                if "cholesky" not in name and "eigvalsh" not in name and sides.both is not None:
                    off = 1e-7 if name in TORCH_IS_OFF else 1e-11
                    assert float(sides.both) == pytest.approx(gradient.flat[0], rel=off, abs=off), name
                    judged += 1
    assert judged or family in {"comparison", "integer"}


def single(op: str, at: float, *more: Any) -> Program:
    step = Apply(op, (Ref(0), *more), (1,))
    return Program((Leaf(0, array(at)),), (step, Backward((1,), (None,))))


def ruled(
    program: Program, expected: Any, actual: Any, kind: Any = "gradient", value: int = 0, where: tuple[int, ...] = ()
) -> referee.Ruling:
    place = None if isinstance(expected, str) else where
    difference = Difference(what="x", where=place, expected=str(expected), actual=str(actual))
    return referee.judge(program, Mismatch(kind, value, difference))


@pytest.mark.parametrize(
    ("program", "torchs", "engines", "verdict", "exact"),
    [
        (single("sin", 1.0), 0.5403023058681398, 0.5403023058681498, "engine wrong", "0.540302305868139717"),
        (single("nn.functional.hardsigmoid", 0.0), 0.1666666716337204, 1 / 6, "torch wrong", "0.166666666666666666"),
        (single("relu", 0.0), 0.0, 1.0, "convention differs", "0.0 from the left and 1.0 from the right"),
        (single("relu", 0.0), 0.0, 1.5, "engine wrong", "0.0 from the left and 1.0 from the right"),
        (single("sqrt", 0.0), float("inf"), 0.0, "engine wrong", "+inf from the right"),
        (single("floor", 2.0), 0.0, 1.0, "convention differs", "+inf from the left"),
        (single("sin", 1.0), 0.7, 0.2, "undecided", "0.5403"),
        (single("nosuch", 1.0), 0.7, -0.2, "undecided", ""),
        (single("log", -1.0), -1.0, float("nan"), "convention differs", ""),
    ],
)
def test_verdicts_on_gradients(program: Program, torchs: float, engines: float, verdict: str, exact: str) -> None:
    ruling = ruled(program, torchs, engines)
    assert ruling.verdict == verdict
    assert ruling.exact.startswith(exact)
    assert ruling.reason


def test_verdicts_on_values_errors_and_ill_conditioned_programs() -> None:
    assert ruled(single("exp", 1.0), 2.718281828459045, 2.7182818284, "value", 1).verdict == "engine wrong"
    assert ruled(single("exp", 1.0), 2.7182818284, 2.718281828459045, "value", 1).verdict == "torch wrong"
    assert ruled(single("exp", 1.0), "no error", "ValueError at step 0", "error").verdict == "engine wrong"
    tangent = single(
        "tan", 1.5707963267
    )  # its derivative is 1.2e20, and moves by 1e-5 of that with the leaf's rounding
    exact = float(derivative(tangent, 0, ()).both)
    assert ruled(tangent, exact * (1 + 2e-6), exact * (1 - 1e-6)).verdict == "ill-conditioned"


def test_what_torch_leaves_to_chance_or_hides_from_autograd_is_not_ruled_on() -> None:
    matrix, ones = array(np.array([[1.0, 1, 1], [0, 0, 1], [1, 1, 1]])), array(np.ones((3, 1)))
    least = Apply("linalg.lstsq", (Ref(0), Ref(1)), (2, 3, 4, 5))
    singular = Program((Leaf(0, matrix), Leaf(1, ones)), (least,))
    assert ruled(singular, 0.0, 1 / 3, "value", 2).verdict == "convention differs"

    loss = Apply("nn.functional.gaussian_nll_loss", (Ref(0), Ref(1), Ref(2)), (3,), (("eps", 0.75),))
    for variance, verdict in ((0.5, "undecided"), (2.0, "engine wrong")):
        leaves = [Leaf(i, array(v)) for i, v in enumerate((1.0, 3.0, variance))]
        program = Program(tuple(leaves), (loss, Backward((3,), (None,))))
        ruling = ruled(program, -0.25, 0.0, value=2)  # torch at 2: (1 / 2 - 4 / 4) / 2
        assert ruling.verdict == verdict

    constant = Apply("linalg.lstsq", (Ref(0), Ref(1)), (2, 3, 4, 5), (("driver", "gelsd"),))
    product = Apply("mul", (Ref(0), Ref(5)), (6,))
    program = Program(
        (Leaf(0, array(np.eye(1) * 3.0)), Leaf(1, array(np.ones((1, 1))))), (constant, product, Backward((6,), (None,)))
    )
    assert derivative(program, 0, (0, 0)).both == pytest.approx(3.0)  # torch takes the singular value for a constant


def test_the_whole_may_be_smooth_where_a_part_is_not() -> None:
    """relu(x) - relu(-x) is x, but the chain rule gives 0 at 0."""
    steps = (
        Apply("relu", (Ref(0),), (1,)),
        Apply("neg", (Ref(0),), (2,)),
        Apply("relu", (Ref(2),), (3,)),
        Apply("sub", (Ref(1), Ref(3)), (4,)),
        Backward((4,), (None,)),
    )
    ruling = ruled(Program((Leaf(0, array(0.0)),), steps), 0.0, 1.0)
    assert ruling.verdict == "convention differs"
    assert ruling.exact == "1.0"
    assert "relu" in ruling.reason


def test_second_order() -> None:
    one = array(1.0)
    steps = (
        Apply("sin", (Ref(0),), (1,)),
        Grad((1,), (0,), (one,), (2,), create_graph=True),
        Apply("mul", (Ref(2), Ref(0)), (3,)),
        Backward((3,), (one,)),
    )
    exact = derivative(Program((Leaf(0, array(0.5)),), steps), 0, ()).both  # (x cos x)' = cos x - x sin x
    assert float(exact) == pytest.approx(np.cos(0.5) - 0.5 * np.sin(0.5), rel=1e-15)
    seen = execute.run(REFERENCE, Program((Leaf(0, array(0.5)),), steps))
    assert float(exact) == pytest.approx(float(seen.grads[0]), rel=1e-15)  # type: ignore[arg-type]


def test_what_out_has_is_a_value() -> None:
    step = Apply("add", (Ref(0), Ref(0)), (2,), (("out", Ref(1)),), mode="no_grad")
    program = Program((Leaf(0, array(1.0)), Leaf(1, array(7.0), False)), (step,), (2,))
    assert ruled(program, 2.0, 2.5, "value", 2).verdict == "engine wrong"
    again = Apply("mul", (Ref(1), Ref(0)), (3,))
    assert ruled(Program(program.leaves, (step, again), (2, 3)), 2.0, 2.5, "value", 3).verdict == "undecided"


def test_the_last_digits_of_zero_are_no_kink() -> None:
    """A normalised row sums to 0 whatever it holds, so that all derivatives of its sum are 0."""
    one, by = array([[1.0, 1.0, 1.0]]), array([[1.1, -0.7, 1.9]])
    steps = (
        Apply("nn.functional.layer_norm", (Ref(0), Seq((3,))), (1,)),
        Grad((1,), (0,), (one,), (2,), create_graph=True),
        Backward((2,), (by,)),
    )
    ruling = ruled(Program((Leaf(0, array([[1.0, 1.0, 2.0]])),), steps), 0.0, -3.6, where=(0, 2))
    assert ruling.verdict == "engine wrong"


def test_the_page_of_conventions_is_true() -> None:
    found = rows()
    kinds = {(row.operation, row.kind) for row in found}
    assert {("abs", "minimum-norm subgradient"), ("sqrt", "continuity"), ("fmax", "one side")} <= kinds
    version = torch.__version__.partition("+")[0]
    page = PAGE.read_text()
    if f"Asked: torch {version}." not in page:
        pytest.skip("the page was made with another torch")
    assert page == to_markdown(found, version), "run `conformance conventions -o reports/conventions.md`"


@pytest.mark.parametrize(
    "step",
    [
        Apply("flip", (Ref(0), Seq((-1,))), (1,)),
        Apply("swapaxes", (Ref(0), -1, 0), (1,)),
        Apply("movedim", (Ref(0), 0, -1), (1,)),
        Apply("mT", (Ref(0),), (1,), form="attribute"),
        Apply("linalg.vander", (Ref(0),), (1,), (("N", 3),)),
        Apply("pairwise_distance", (Ref(0), Ref(0)), (1,)),
        Apply("cosine_similarity", (Ref(0), Ref(0)), (1,), (("dim", -1),)),
        Apply("nn.functional.triplet_margin_with_distance_loss", (Ref(0), Ref(0), Ref(0)), (1,)),
    ],
    ids=lambda step: step.op,
)
def test_a_value_without_dimensions_has_an_exact_result(step: Apply) -> None:
    program = Program((Leaf(0, array(1.5), False),), (step,), (1,))
    value = execute.run(REFERENCE, program).values[1]
    assert value is not None
    number = Evaluation(program).base[1]
    assert np.shape(number) == value.shape
    np.testing.assert_allclose(np.asarray(number, dtype=np.float64), value, 1e-14)


def test_an_arbitrary_convention_is_called_so() -> None:
    sides = derivative(single("abs", 0.0), 0, ())
    assert [classify(g, sides) for g in (0.0, 1.0, 0.5, 7.0, float("nan"))] == [
        "minimum-norm subgradient",
        "one side",
        "within",
        "arbitrary",
        "nan",
    ]
