"""The suite finds what is planted: each fault is found, reduced, blamed and replayed from its stored file."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import conformance
from conformance import execute, generate, results
from conformance.blame import Bench
from conformance.compare import judge
from conformance.engines import EngineError, load
from conformance.engines.torchlike import Torch
from conformance.noise import Noise, move
from conformance.program import Apply, Backward, Grad, Inplace, Leaf, Program, Ref, RequiresGrad, array
from tests.faults import FAULTS, Planted, bent, first


@pytest.mark.parametrize(("name", "kind"), FAULTS, ids=[name for name, _ in FAULTS])
def test_a_planted_fault_is_found_reduced_blamed_and_replayed(name: str, kind: str, tmp_path: Path) -> None:
    fault = first(name)
    engine = fault.plant(Torch())
    some = {"sin", "mul", "add", "sum", "matmul", *fault.operations}
    engine.supports = lambda op: op in some  # type: ignore[method-assign]
    report = conformance.check(engine, examples=250)
    assert not report.ok
    assert report.results.exit_code == 1
    report.to_json(tmp_path / "results.json")
    (finding,) = results.load(tmp_path / "results.json").findings  # one fault, one finding
    assert finding.blamed in fault.blamed
    assert finding.kind == kind
    assert len(finding.operations) <= 3
    assert finding.reduction_runs <= 50
    assert conformance.replay(finding, engine) == "FAILED"
    assert conformance.replay(finding, "torch") == "FIXED"


def test_torch_agrees_with_itself() -> None:
    seen: list[conformance.Progress] = []
    report = conformance.check("torch", examples=3000, progress=seen.append)
    assert report.ok
    assert report.findings == ()
    statistics = report.results.statistics
    assert statistics.programs + statistics.discarded == 3000
    assert statistics.discarded < 60
    assert statistics.duplicates < 150
    assert statistics.ill_conditioned == 0
    assert statistics.reference_errors == 0
    assert [p.programs for p in seen] == sorted(p.programs for p in seen)


def test_a_failure_of_the_suite_ends_one_block_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = first("accumulation: lost")
    engine = fault.plant(Torch())
    engine.supports = lambda op: op in {"sin", "mul"}  # type: ignore[method-assign]
    decode = generate.decode

    def breaks(data: bytes, target: generate.Target, *more: Any) -> Any:
        if target.kind == "pair":
            raise IndexError("planted in the suite")
        return decode(data, target, *more)

    monkeypatch.setattr(generate, "decode", breaks)
    found = conformance.check(engine, examples=100).results
    assert found.exit_code == 3
    (trouble,) = found.troubles
    assert trouble.code == "internal-error"
    assert trouble.text.startswith("IndexError: planted in the suite (test_conformance_faults.py:")
    assert trouble.trace.startswith("Traceback")
    said = f"internal-error: 1 task had to be given up; the first at {trouble.where}: {trouble.text}"
    assert found.reasons[0] == said
    assert found.findings  # what else was done is kept
    assert results.loads(results.dumps(found)).troubles == found.troubles


class Two(Planted):
    """Two faults at once."""

    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        if op in ("sin", "exp"):
            args = (bent(args[0], lambda g: g * (1 + 1e-9) if op == "sin" else -g),)
        return self.honest(form, op, args, kwargs)


def test_the_search_goes_on_past_a_finding() -> None:
    report = conformance.check(Two, examples=2500)
    assert {f.blamed for f in report.findings} == {"sin", "exp"}
    assert all(f.met > 1 for f in report.findings)
    other = next(f for f in report.findings if f.blamed == "sin")

    class Changed(Planted):
        def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
            if op == "sin":
                raise ValueError("not today")
            return self.honest(form, op, args, kwargs)

    assert conformance.replay(other, Changed) == "CHANGED"


def test_the_same_seed_finds_the_same() -> None:
    first, second = (conformance.check(Two, examples=600, seed=5).findings for _ in range(2))
    assert first == second


def test_what_an_engine_lacks_is_never_a_pass() -> None:
    class NoExp(Planted):
        def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
            if op == "exp":
                raise conformance.Unsupported(op)
            return self.honest(form, op, args, kwargs)

        def inplace(self, op: str, target: Any, args: Any, kwargs: Any) -> Any:
            raise conformance.Unsupported(op)

    report = conformance.check(NoExp, examples=1500)
    cells = [c for c in report.results.cells if c.operation == "exp"]
    assert cells
    assert all(c.programs == 0 for c in cells)
    assert any(c.unsupported for c in cells)
    assert not report.ok


def test_interruption_keeps_what_was_found() -> None:
    class Interrupted(Two):
        calls = 0

        def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == 1000:
                raise KeyboardInterrupt
            return super().call(form, op, args, kwargs)

    report = conformance.check(Interrupted, examples=100_000)
    assert not report.results.complete
    assert report.results.exit_code == 130
    assert {f.blamed for f in report.findings} == {"sin", "exp"}
    assert 0 < report.results.statistics.programs < 1000


def test_cancellation_is_noise_and_not_a_finding() -> None:
    """exp(x) - exp(y) of near values loses most digits: an engine with another last digit in exp is right too."""

    class OtherRounding(Torch):
        def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
            made = super().call(form, op, args, kwargs)
            return made * (1 + 2**-52) if op == "exp" and args[0][0] > 1.1 else made

    x, y = Leaf(0, array([1.1, 0.3])), Leaf(1, array([1.1 + 1e-9, 0.3 + 1e-9]))
    steps = (
        Apply("exp", (Ref(0),), (2,)),
        Apply("exp", (Ref(1),), (3,)),
        Apply("sub", (Ref(2), Ref(3)), (4,)),
        Apply("sin", (Ref(4),), (5,)),
        Backward((5,), (array([1.0, 1.0]),)),
    )
    program = Program((x, y), steps, (5,))
    reference = load("torch")
    expected, actual = execute.run(reference, program), execute.run(OtherRounding(), program)
    found = judge(program, expected, actual, lambda: Noise(reference, program))
    assert found.mismatch is None
    assert found.ill_conditioned
    assert Bench(OtherRounding(), reference).mismatch(program) is None


@pytest.mark.parametrize("op", ["abs", "floor", "sign", "argmin"])
@pytest.mark.parametrize("fault", [False, True], ids=["rounding", "fault"])
def test_the_side_of_a_kink_that_rounding_chose_is_no_finding_unless_it_is_answered_wrongly(
    op: str, fault: bool
) -> None:
    """x, 0.3 and exp(x) - what torch has for exp(x): 0 for torch, one last place above it for another right engine."""

    class Other(Torch):
        def call(self, form: str, name: str, args: Any, kwargs: Any) -> Any:
            made = super().call(form, name, args, kwargs)
            if name == op and fault:
                return made + 1
            return made * (1 + 2**-52) if name == "exp" else made

    reference = load("torch")
    x = Leaf(0, array([0.3, 1.1]))
    first = execute.run(reference, Program((x,), (Apply("exp", (Ref(0),), (1,)),), (1,))).values[1]
    assert first is not None
    base = (Apply("exp", (Ref(0),), (2,)), Apply("sub", (Ref(2), Ref(1)), (3,)), Apply(op, (Ref(3),), (4,)))
    end = (Backward((4,), (array([1.0, 1.0]),)),) if op == "abs" else ()
    program = Program((x, Leaf(1, array(first), False)), base + end, (4,))
    assert (Bench(Other(), reference).mismatch(program) is not None) == fault


def test_cancellation_inside_a_formula_is_no_finding() -> None:
    """The derivative of the cosine of two numbers is 1/|x| - 1/|x|: in float32 it is 0 or a unit of the last place."""
    sides, target = Leaf(0, array([[1.0]], "float32"), False), Leaf(1, array([1.0], "float32"), False)
    program = Program(
        (sides, target, Leaf(2, array([[3.0]], "float32"))),
        (
            Apply("nn.functional.cosine_embedding_loss", (Ref(0), Ref(2), Ref(1)), (3,)),
            Backward((3,), (array(1.0, "float32"),)),
        ),
    )

    class Other(Torch):
        def numpy(self, value: Any) -> Any:
            return super().numpy(value) + value.is_leaf * np.float32(5.96e-08)

    assert Bench(Other(), load("torch")).mismatch(program) is None


def test_a_cancellation_that_is_exact_for_torch_alone_is_no_finding() -> None:
    """The gradient of the condition of one number is 1/x - x/x², which another right engine need not make 0."""
    program = Program((Leaf(0, array([[3.0]])),), (Apply("linalg.cond", (Ref(0),), (1,)), Backward((1,), (None,))))

    class Other(Torch):
        off = 2.0**-50

        def numpy(self, value: Any) -> Any:
            return super().numpy(value) + value.is_leaf * self.off

    class Wrong(Other):
        off = 1e-10

    assert Bench(Other(), load("torch")).mismatch(program) is None
    assert Bench(Wrong(), load("torch")).mismatch(program) is not None


@pytest.mark.parametrize(("off", "found"), [(44 * 2.0**-52, False), (1e-10, True)])
def test_the_rounding_inside_a_kernel_that_is_given_exact_numbers_is_no_finding(off: float, found: bool) -> None:
    """Torch and scipy add up hundreds of terms here. The sum is exact, and to move x in its last place does nothing."""

    class Other(Torch):
        def call(self, form: str, name: str, args: Any, kwargs: Any) -> Any:
            made = super().call(form, name, args, kwargs)
            if name == "special.gammaincc":
                made.detach().numpy()[...] *= 1 + off
            return made

    steps = (Apply("add", (Ref(0), 2.25), (2,)), Apply("special.gammaincc", (Ref(1), Ref(2)), (3,)))
    program = Program((Leaf(0, array(-0.375)), Leaf(1, array(1.5), False)), steps, (3,))
    assert (Bench(Other(), load("torch")).mismatch(program) is not None) == found


@pytest.mark.parametrize(
    ("op", "kwargs", "found"),
    [("nn.functional.kl_div", (("log_target", True),), False), ("mul", (), True), ("float_power", (), True)],
    ids=["torch rounds to float32", "torch does not", "nor here"],
)
def test_a_rounding_to_float32_is_noise_only_where_torch_has_one(op: str, kwargs: Any, found: bool) -> None:
    """exp(x) of kl_div is in float32 although the result is in float64: one last place of it is no finding."""

    class OffByOne(Torch):
        def call(self, form: str, name: str, args: Any, kwargs: Any) -> Any:
            made = super().call(form, name, args, kwargs)
            return made * (1 - 2**-24) if name == op else made

    leaves = (Leaf(0, array(1.5), False), Leaf(1, array(0.3, "float32"), False))
    program = Program(leaves, (Apply(op, (Ref(0), Ref(1)), (2,), kwargs),), (2,))
    assert (Bench(OffByOne(), load("torch")).mismatch(program) is not None) == found


def test_a_helper_that_an_engine_does_not_offer_is_no_finding() -> None:
    """A table of operations, as an author's first engine has it: a program that says another fails in it somehow."""

    class Table(Torch):
        def supports(self, op: str) -> bool:
            return op in ("sin", "mul")

        def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
            return {"sin": super().call, "mul": super().call}[op](form, op, args, kwargs)

    program = Program((Leaf(0, array(1.0)),), (Apply("sum", (Ref(0),), (1,)),), (1,))
    assert execute.run(Table(), program).unsupported == "sum"
    report = conformance.check(Table(), examples=400)
    assert report.findings == ()


def test_another_rounding_is_no_finding() -> None:
    """An engine whose every result is off by one unit of the last place is as right as torch."""

    class OtherRounding(Torch):
        def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
            made = super().call(form, op, args, kwargs)
            for part in made if isinstance(made, tuple) else (made,):
                if part.is_floating_point() and not part._is_view() and not part._is_zerotensor():
                    move(part.detach().numpy(), 11, exact=True)
            return made

    report = conformance.check(OtherRounding(), examples=4000)
    assert report.findings == ()
    assert report.results.statistics.ill_conditioned < 200


def test_engines_load_by_name_module_and_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from conformance.engines.torchlike import Torch\nclass Mine(Torch):\n    pass\n")
    assert isinstance(load(f"{file}:Mine"), Torch)
    assert load("tests.faults:Raises").name == "Raises"
    file.write_text("class Mine(:\n")
    for spec in ("nothing", f"{file}:Mine", "json:nothing", "nowhere:Mine", f"{tmp_path}/no.py:Mine", "json:loads"):
        with pytest.raises(EngineError) as caught:
            load(spec)
        assert "\n" not in str(caught.value)
        assert spec in str(caught.value)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b.replace(b"conformance/1", b"conformance/9")]
)
def test_a_damaged_results_file_is_one_clear_line(damage: Any, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    conformance.check("torch", examples=20).to_json(file)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(results.ResultsError) as caught:
        results.load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_importing_the_package_is_light() -> None:
    heavy = "{'torch', 'hypothesis', 'jinja2', 'numpy', 'minigrad'}"
    code = f"import conformance, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("warns", [True, False], ids=["where torch does not", "nowhere"])
def test_another_warning_is_a_finding_each_time_and_not_once_in_a_process(warns: bool) -> None:
    import torch

    class Other(Torch):
        def backward_all(self, roots: Any, gradients: Any, retain: Any, create: bool, inputs: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                super().backward_all(roots, gradients, retain, create, inputs)
            if warns:
                warnings.warn("a root", DeprecationWarning, stacklevel=2)

    steps = (Apply("sin", (Ref(0),), (1,)), Backward((1,), (array([1.0]),), create_graph=not warns, retain_graph=True))
    program = Program((Leaf(0, array([0.5])),), steps, (1,))
    bench = Bench(Other(), load("torch"))
    for _ in range(2):
        found = bench.mismatch(program)
        assert found is not None
        assert (found.kind, found.difference.what) == ("warning", "warnings (by step)")
        assert found.difference.actual == ("((1, 'DeprecationWarning'),)" if warns else "()")
    assert not torch.is_warn_always_enabled()


def test_an_engine_is_asked_for_what_it_claims() -> None:
    """Below the level of behaviour no hook, no in-place change and no refusal is asked for; values need no backward."""
    for level, absent in (("gradient", {"order 2", "hook", "illegal"}), ("value", {"order 3", "update"})):
        report = conformance.check("torch", examples=300, level=level)  # type: ignore[arg-type]
        features = {cell.feature for cell in report.results.cells}
        assert {"float64", "broadcast"} <= features
        assert absent.isdisjoint(features)
        assert report.results.configuration.level == level


def test_what_is_to_blame_where_a_leaf_was_switched_off_and_written_to() -> None:
    """The forward part of such a program runs without its gradients, too."""
    x, y = Leaf(0, array([1.0, 2.0]), True), Leaf(1, array([0.5, -0.5]), True)
    steps = (
        Grad((0,), (0,), (array([1.0, 1.0]),), (2,), create_graph=True), RequiresGrad(0, False),
        Apply("exp", (Ref(1),), (3,)), Inplace("neg_", 0, (), (4,)), Apply("sin", (Ref(3),), (5,)),
        Backward((5,), (array([1.0, -1.0]),)),
    )  # fmt: skip

    class Doubled(Planted):
        def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
            value = self.honest(form, op, args, kwargs)
            return bent(value, lambda g: 2 * g) if op == "sin" else value

    bench = Bench(Doubled(), Torch())
    program = Program((x, y), steps)
    mismatch = bench.mismatch(program)
    assert mismatch is not None
    assert bench.blame(program, mismatch).blamed == "sin"
