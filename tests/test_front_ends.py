"""The same programs from anyone's own Hypothesis test, and from pytest."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import conformance
from conformance import strategies
from conformance.blame import Bench
from conformance.engines import load
from conformance.program import Program, defects

FATAL = Path(__file__).parent / "engines" / "fatal.py"
# Where the distribution is installed, its entry point has loaded the plugin already.
PLUGIN = () if any(each.name == "conformance" for each in entry_points(group="pytest11")) else (
    "-p", "conformance.pytest_plugin")  # fmt: skip

WRONG = Path(__file__).parent / "engines" / "wrong.py"

pytest_plugins = ("pytester",)


@settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(strategies.programs(["mul", "sin", "sum"]))
def test_programs_are_valid_and_hold_what_was_asked_for(program: Program) -> None:
    assert not defects(program)
    assert {"mul", "sin", "sum"} & set(program.operations)
    assert conformance.replay(program, "torch") == "FIXED"


def test_what_fails_shrinks() -> None:
    bench = Bench(load(f"{WRONG}:Wrong"), load("torch"))
    seen: list[Program] = []

    @seed(1)
    @settings(
        max_examples=50,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.programs(["mul", "sin", "exp", "sum"], level="gradient"))
    def agrees(program: Program) -> None:
        if bench.mismatch(program) is not None:
            seen.append(program)
            raise AssertionError

    with pytest.raises(AssertionError):
        agrees()
    assert len(seen[-1].operations) <= 2 < max(len(program.operations) for program in seen)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: strategies.programs(["no_such"]), "no_such"),
        (lambda: strategies.programs([]), "at least one"),
        (lambda: strategies.cells("sin", "purple"), "purple"),
    ],
)
def test_what_is_unknown_is_said(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]


def test_pytest_has_an_item_for_each_operation(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_mine(): pass")
    plugin = (*PLUGIN, "-p", "no:cacheprovider")
    done = pytester.runpytest_subprocess(
        *plugin, f"--conformance-engine={WRONG}:Wrong", "-k", "tanhshrink or mine", "-v"
    )
    done.stdout.fnmatch_lines(
        ["*::*tanhshrink*FAILED*", "*tanhshrink × float64: *grad should be *, got *", "*tanhshrink(x0)*"]
    )
    done.assert_outcomes(passed=1, failed=1, deselected=done.parseoutcomes()["deselected"])
    done = pytester.runpytest_subprocess(*plugin, f"--conformance-engine={FATAL}:Few", "-k", "square or cosh", "-rs")
    outcomes = done.parseoutcomes()
    assert "failed" not in outcomes
    assert outcomes["passed"] >= 1
    done.stdout.fnmatch_lines(["*does not offer cosh*"])


def test_an_unknown_engine_is_one_line(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_subprocess(*PLUGIN, "--conformance-engine=no_such")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: engine no_such: unknown*"])


def test_the_plugin_is_inert_unless_asked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_mine(): pass")
    program = (
        "import sys, pytest\n"
        f"code = pytest.main(['-q', *{PLUGIN!r}, '-p', 'no:hypothesispytest'])\n"
        "heavy = {'torch', 'numpy', 'hypothesis', 'msgspec', 'jinja2', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\nassert code == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
