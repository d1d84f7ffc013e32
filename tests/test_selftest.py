"""The suite, tested by faults: a sample of the table, and that what is found here is found by a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sample_results

import conformance
from conformance import engines
from conformance.cli import main
from conformance.results import ResultsError, with_selftest
from conformance.selftest import faults, mutants, record
from conformance.selftest.corpus import Corpus, draw
from conformance.selftest.gradchecks import judge
from conformance.selftest.trial import Bureau

#: Few operations, with which most kinds of faults can be planted.
NAMES = ("sin", "exp", "mul", "add", "amax", "sum", "transpose", "matmul", "cat")
TORCH = engines.load("torch")


@pytest.fixture(scope="module")
def bureau() -> Bureau:
    return Bureau(TORCH, TORCH, Corpus(list(draw(TORCH, 0, 450, NAMES)), TORCH))


def test_the_table_is_what_it_says() -> None:
    table = faults.table()
    assert len(table) >= 300
    assert len({fault.name for fault in table}) == len(table)
    families = {o.family for o in faults.OPERATIONS.values() if o.gradient and o.name not in faults.FLAT}
    assert families <= {fault.family for fault in table}


def test_a_sample_of_all_kinds_is_found_blamed_and_judged(bureau: Bureau) -> None:
    """One fault of each kind that these operations can have, and each fault in a part of an engine."""
    kinds = {k.name: k for k in faults.KINDS}
    sample = []
    for kind in kinds.values():
        fitting = [name for name in NAMES if kind.fits(faults.OPERATIONS[name])]
        for name in fitting[:1]:
            blamed = (f"{name}_",) if kind.name.startswith("in-place form") else (name,)
            sample.append(faults.Fault(kind.name, "", (name,), blamed, kind.methods(name), kind.verdicts))
    sample += [fault for fault in faults.table() if fault.family == faults.ENGINE][::3]
    tried = [bureau.attempt(fault, describe=k % 4 == 0) for k, fault in enumerate(sample)]
    missed = [t.name for t in tried if not t.found]
    astray = [(t.name, t.said) for t in tried if t.found and not t.named]
    misjudged = [(t.name, t.verdict) for t in tried if t.verdict is not None and not t.rightly_judged]
    large = [t.name for t in tried if t.operations > record.OPERATIONS]
    assert len(tried) > 50
    assert len(missed) <= 0.06 * len(tried), missed
    assert len(astray) <= 0.05 * len(tried), astray
    assert not misjudged
    assert not large


def test_a_run_finds_by_the_same_program(bureau: Bureau) -> None:
    fault = faults.chosen(["accumulation: lost"])[0]
    names = frozenset(NAMES)

    class Some(type(TORCH)):  # type: ignore[misc]
        def supports(self, op: str) -> bool:
            return op in names

    report = conformance.check(fault.plant(Some()), examples=450)
    drawn = {d.place: d.program for d in bureau.corpus.drawn}
    finding = report.findings[0]
    assert finding.first_seen in drawn


def test_gradcheck_sees_a_wrong_factor_and_no_small_error(bureau: Bureau) -> None:
    kinds = {k.name: k for k in faults.KINDS}

    def judged(name: str) -> str:
        kind = kinds[name]
        fault = faults.Fault(name, "", ("sin",), ("sin",), kind.methods("sin"))
        return judge(fault, TORCH, bureau.corpus)["gradcheck"]

    assert judged("sign flipped") == "found"
    assert judged("off by 1e-10 in float64") == "missed"


def test_changed_formulas_of_minigrad_are_found() -> None:
    reference = engines.load("torch")
    few = Corpus(list(draw(reference, 0, 220, ("sin", "mul", "hypot"))), reference)
    bureau = Bureau(engines.load("minigrad"), reference, few)
    keys = [("sin", "self"), ("mul", "self"), ("mul", "other"), ("hypot", "self"), ("hypot", "other")]
    assert set(keys) < set(mutants.formulas())
    halves = range(100), range(100, len(few.drawn))
    uses = mutants.merged(mutants.trace(bureau, half) for half in halves)
    assert "mul.self" not in mutants.unused(uses)
    assert "linalg._pinv.A" in mutants.unused(uses)
    assert "copy.self" in mutants.zeros(uses)
    assert "mul.self" not in mutants.zeros(uses)
    tried = [mutants.attempt(bureau, *change) for change in mutants.changed(uses) if change[0] in keys]
    assert len({t.name for t in tried}) == len(tried) == len(keys) * len(mutants.CHANGES)
    for found in tried:
        assert found.found, found.name
        assert found.named, (found.name, found.said)
    honest = conformance.check("minigrad", examples=50, seed=3, expectations=())
    assert not [f for f in honest.findings if f.blamed in ("sin", "mul", "hypot")]  # all changes are undone


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--list"]) == 0
    assert f"{len(faults.table())} faults" in capsys.readouterr().out
    assert main(["selftest", "no such fault", "-o", str(tmp_path)]) == 2
    assert main(["selftest", "scaled", "--engine", "micrograd", "-o", str(tmp_path)]) == 2
    assert "planted only into engines with torch's names" in capsys.readouterr().err


def test_the_record_is_typed(tmp_path: Path) -> None:
    from conformance.reporting.selftests import write_selftest

    tried = record.Tried(
        name="a", kind="a", family="f", expected=("sin",), found=True, named=True, said="sin", verdict="engine wrong",
        rightly_judged=True, operations=1, gradcheck={"gradcheck": "missed"},
    )  # fmt: skip
    missed = record.Tried(name="b", kind="b", family="f", expected=("sin",), found=False, reason="why")
    made = record.Selftest(suite="1", torch="2", engine="torch", seed=0, examples=1, total=2, faults=(tried, missed))
    paths = write_selftest(made, tmp_path)
    assert record.load(paths[0]) == made
    assert "- b: why" in paths[1].read_text()
    assert made.exit_code == 1
    shown = with_selftest(sample_results.results(), paths[0]).selftest  # what the reports of a run show of it
    assert shown is not None
    assert [(f.name, f.found, f.named) for f in shown.faults] == [("a", True, True), ("b", False, False)]
    assert json.loads(paths[0].read_text())["format"] == record.FORMAT
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ResultsError) as caught:
        record.load(tmp_path / "x.json")
    assert "\n" not in str(caught.value)
