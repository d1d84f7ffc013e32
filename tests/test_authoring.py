"""The journeys of an engine author: a file to start from, a quick look, a run that can be compared and asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from sample_results import finding, results

from conformance import results as records
from conformance.authoring import examine, template
from conformance.changes import compare
from conformance.cli import main
from conformance.engines import EngineError
from conformance.gate import Exit
from conformance.report import FindingsError, Report, load, merge

MICRO = Path(__file__).parent / "engines" / "micro.py"
VALUE = '''
class Value:
    """As most first ones are: one number or array, and a closure that passes its gradient on."""

    def __init__(self, data, parents=()):
        self.data, self.grad, self.parents, self.back = data, None, parents, lambda: None

    def take(self, part):
        self.grad = part if self.grad is None else self.grad + part

    def __add__(self, other):
        out = Value(self.data + other.data, (self, other))
        out.back = lambda: (self.take(out.grad), other.take(out.grad))
        return out

    def __mul__(self, other):
        out = Value(self.data * other.data, (self, other))
        out.back = lambda: (self.take(out.grad * other.data), other.take(out.grad * self.data))
        return out

    def backward(self):
        order, seen = [], set()

        def visit(value):
            if value not in seen:
                seen.add(value)
                for parent in value.parents:
                    visit(parent)
                order.append(value)

        visit(self)
        self.grad = 1.0 + 0.0 * self.data
        for value in reversed(order):
            value.back()
'''


def test_the_template_is_short_and_works_with_a_first_class_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "first_engine.py"
    assert main(["init", str(file)]) == 0
    assert file.read_text().count("\n") < 20
    assert file.read_text() == template("first_engine.py")
    with pytest.raises(EngineError, match="my_autograd"):  # the one line to edit
        examine(str(file))
    (tmp_path / "my_autograd.py").write_text(VALUE)
    done = subprocess.run(  # as the command, from another folder, where torch cannot be imported
        [sys.executable, "-c", "import sys; sys.modules['torch'] = None\n"
         "from conformance.cli import main; sys.exit(main(sys.argv[1:]))", "check", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert "right in value and gradient: add, mul" in done.stdout
    assert "shape (2, 2): sum it over the broadcast dimensions" in " ".join(done.stdout.split())
    assert "forget it in all other values" in " ".join(done.stdout.split())
    assert "These methods may stay away" in done.stdout
    assert main(["init", str(file)]) == Exit.USAGE  # never over a file that is there
    assert "exists already" in capsys.readouterr().err


def test_check_names_the_mistake_that_nearly_everybody_makes() -> None:
    found = examine(str(MICRO))
    assert found.spec == f"{MICRO}:Micro"
    (wrong,) = (remark for remark in found.remarks if remark.status == "wrong")
    assert wrong.subject == "a value used twice"
    assert "added up (+=, not =)" in wrong.text
    assert not found.ok
    right = examine("minigrad")
    assert right.ok
    assert len(right.works) == 17


@pytest.mark.parametrize(
    ("old", "new", "subject", "said"),
    [
        ("return value.data", "return list(value.data)", "numpy", "a list, not a numpy array"),
        ("return None if value.grad is None else Value(value.grad)", "return None", "backward", "is None"),
        ("a * b", "a * a", "mul", "is [ 0.75"),
        ("self.take(out.grad * other.data)", "self.take(out.grad)", "mul", "Check its formula"),
        (
            "value.backward(gradient)",
            "value.backward(gradient)",
            "backward",
            "(value * gradient).backward() does the same",
        ),
        ("    def numpy(self", "    def numbers(self", "numpy", "is missing"),
        ("if kwargs:\n            raise", "if True:\n            raise", "apply", "Start with add"),
        (
            "self.grad, self.parents, self.back = data, None",
            "self.grad, self.parents, self.back = data, 0 * data",
            "grad",
            "None",
        ),
        ("return value.data", "return value.data", "two results", "forget it in all other values"),
        ("return Value(array)", "return Value(array[None])", "leaf", "shape"),
    ],
)
def test_check_says_what_is_wrong_as_a_person_would(
    old: str, new: str, subject: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = template().replace("from my_autograd import Value  # your own class", VALUE)
    if subject == "backward" and "does the same" in said:
        text = text.replace("(value if gradient is None else value * gradient).backward()", old)
    assert old in text
    (tmp_path / "my_engine.py").write_text(text.replace(old, new))
    found = examine(str(tmp_path / "my_engine.py"))
    wrong = {remark.subject: remark.text for remark in found.remarks if remark.status == "wrong"}
    assert said in wrong[subject]


def test_a_type_that_an_engine_lacks_is_missing_and_not_a_defect(tmp_path: Path) -> None:
    source = MICRO.read_text().replace(
        "    def leaf(self, array, requires_grad):\n",
        "    def leaf(self, array, requires_grad):\n"
        "        if array.dtype != float:\n"
        '            raise conformance.Unsupported("float64 alone")\n',
    )
    file = tmp_path / "engine.py"
    file.write_text(source)
    found = {remark.subject: remark for remark in examine(f"{file}:Micro").remarks}
    assert found["leaf"].status == "missing"
    assert "float32" in found["leaf"].text
    assert found["leaf and numpy"].status == "ok"


def test_a_file_says_which_engine_it_means(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("x = 1\n")
    (tmp_path / "two.py").write_text(
        template().replace("from my_autograd", "#") + "\nclass Other(Mine):\n    name = 'other'\n"
    )
    with pytest.raises(EngineError, match="conformance init"):
        examine(str(tmp_path / "none.py"))
    with pytest.raises(EngineError, match=r"two\.py:Mine.*two\.py:Other"):
        examine(str(tmp_path / "two.py"))


def test_compare_tells_new_fixed_changed_and_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = results(finding(), finding("f-two"))
    other = msgspec.structs.replace(finding("f-two"), verdict="convention differs")
    later = msgspec.structs.replace(results(other, finding("f-three")), cells=base.cells[:2])
    changes = compare(base, later)
    assert [f.id for f in changes.new] == ["f-three"]
    assert [pair.what for pair in changes.changed] == ["verdict engine wrong → convention differs"]
    assert changes.fixed == ()  # sum, which f-one applies, was not tried: its absence says nothing
    assert changes.lost == (("micro", "mul", "reuse"),)
    assert changes.exit_code == Exit.FINDING
    tried = msgspec.structs.replace(finding(), operations=("mul",))
    assert [f.id for f in compare(results(tried), results()).fixed] == ["f-one"]
    assert compare(base, base).exit_code == Exit.PASSED
    accepted = msgspec.structs.replace(finding("f-three"), known="three")
    assert compare(base, msgspec.structs.replace(base, findings=(*base.findings, accepted))).exit_code == Exit.PASSED
    assert compare(base, msgspec.structs.replace(base, cells=base.cells[:1])).exit_code == Exit.EVIDENCE
    for name, run in (("old", base), ("new", later)):
        records.save(run, tmp_path / name / "results.json")
    assert main(["compare", str(tmp_path / "old"), str(tmp_path / "new")]) == Exit.FINDING
    out = capsys.readouterr().out
    assert out.rstrip().endswith("✗ Worse: 1 new, 1 changed, 1 lost from coverage")


def test_a_report_loads_merges_and_raises(tmp_path: Path) -> None:
    report = Report(results(finding()))
    report.to_json(tmp_path / "results.json")
    report.to_junit(tmp_path / "junit.xml")
    report.to_html(tmp_path / "report.html", history=[results()])
    report.to_markdown(tmp_path / "report.md")
    again = load(tmp_path / "results.json")
    assert again.results == report.results
    assert again.finding("f-one").script().startswith("import torch")
    with pytest.raises(FindingsError, match=r"f-one \(engine wrong\): gradient of x0 differs") as raised:
        again.raise_for_findings()
    assert isinstance(raised.value, AssertionError)
    assert raised.value.report is again
    Report(results()).raise_for_findings()
    other = msgspec.structs.replace(results().engines[0], name="other")
    passed = msgspec.structs.replace(results(), engines=(other,), cells=(), pairs=())
    assert [e.name for e in merge([again, Report(passed)]).results.engines] == ["micro", "other"]
    with pytest.raises(ValueError, match="at least one"):
        merge([])


def test_the_library_offers_functions_whatever_modules_are_loaded() -> None:
    program = (
        "import conformance.compare, conformance.merge, conformance.report, conformance\n"
        "from conformance.compare import judge\n"
        "assert all(callable(getattr(conformance, name)) for name in conformance.__all__), 'a module'\n"
        "assert conformance.compare is conformance.report.compare and conformance.merge is conformance.report.merge"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
