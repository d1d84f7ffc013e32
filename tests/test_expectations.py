"""Known findings: from known to stale, changed, expired and flaky, and every way in which the file can be wrong."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest
import tomlkit

import conformance
from conformance import expectations, isolation
from conformance.cli import main
from conformance.engines import load
from conformance.expectations import ExpectationsError
from conformance.gate import UNMET, explain
from conformance.program import Apply, Backward, Leaf, Program, Ref, array, to_json
from conformance.results import load as load_results
from conformance.results import save

WITNESS = Program((Leaf(0, array(1.0)),), (Apply("sin", (Ref(0),), (1,)), Backward((1,), (None,))))

#: An engine with one fault, which a file chooses (workers may outlive a change of the environment).
ENGINE = """
import os
from pathlib import Path

from conformance.engines.torchlike import Torch

FAULT = Path(__file__).with_name("fault")


class Mine(Torch):
    def __init__(self):
        super().__init__()
        self.name = "mine"
        self.calls = 0

    def supports(self, op):
        return op in ("sin", "cos", "mul") and not (op == "sin" and FAULT.read_text() == "unsupported")

    def call(self, form, op, args, kwargs):
        from conformance import Unsupported

        made = super().call(form, op, args, kwargs)
        fault, self.calls = FAULT.read_text(), self.calls + (op == "sin")
        if op != "sin":
            return made
        if fault == "crash":
            os._exit(3)
        if fault == "unsupported":
            raise Unsupported(op)
        if fault == "value":
            return made * 1.5
        wrong = fault == "gradient" or (fault == "flaky" and self.calls // 3 % 2) or fault == f"not in {os.getpid()}"
        return made * 2 - made.detach() if wrong else made
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(ENGINE)
    monkeypatch.chdir(tmp_path)
    Path("fault").write_text("gradient")
    monkeypatch.setenv("PYTHONPATH", str(Path(conformance.__file__).parent.parent))
    return tmp_path


def run(*more: str) -> int:
    return main(["run", "./mine.py:Mine", "--examples", "150", "--level", "gradient", "-o", "out", *more])


def reasons() -> list[str]:
    return [reason.partition(":")[0] for reason in load_results(Path("out/results.json")).reasons]


def test_from_unlisted_to_known_to_stale_to_pruned(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "expectations.toml"
    file.write_text("# what we know\n")
    assert run("--expectations", "expectations.toml") == 1
    assert reasons() == ["finding"]
    update = ["expect", "update", "expectations.toml", "--results", "out/results.json"]
    assert main(update) == 2  # a reason is missing
    assert "--reason" in capsys.readouterr().err
    assert main([*update, "--reason", "a fault on purpose", "--issue", "https://example.org/1"]) == 0
    assert run("--expectations", "expectations.toml") == 0
    (finding,) = load_results(Path("out/results.json")).findings
    assert finding.known == finding.id

    text = file.read_text().replace('status = "open"', 'status = "accepted"  # for now\nwhen = { python = ">=3.11" }')
    file.write_text(text)
    Path("fault").write_text("value")
    assert run("--expectations", "expectations.toml") == 1
    assert reasons() == ["finding", "changed-expectation"]
    assert main([*update, "--reason", "more faults"]) == 0
    assert file.read_text().startswith(text.replace("sin: gradient", "sin: value"))
    assert run("--expectations", "expectations.toml") == 0

    Path("fault").write_text("none")
    assert run("--expectations", "expectations.toml") == 1
    assert set(reasons()) == {"stale-expectation"}
    prune = ["expect", "prune", "expectations.toml", "--results", "out/results.json"]
    assert main(prune) == 0
    assert file.read_text().strip() == "# what we know"
    assert run("--expectations", "expectations.toml") == 0


def listed(**changes: object) -> str:
    """A file of one expectation, with some fields changed; None leaves a field out."""
    fields: dict[str, object] = {
        "id": "one",
        "engine": "mine",
        "signature": "sin: gradient",
        "witness": to_json(WITNESS).decode(),
        "status": "open",
        "reason": "on purpose",
        "since": datetime.date(2026, 1, 1),
    }
    fields.update(changes)
    document = tomlkit.document()
    document["expectation"] = [{k: v for k, v in fields.items() if v is not None}]
    return tomlkit.dumps(document)


@pytest.mark.parametrize(
    ("fault", "changes", "outcome"),
    [
        ("gradient", {}, "known"),
        ("none", {}, "stale"),
        ("value", {}, "changed"),
        ("gradient", {"expires": datetime.date(2026, 2, 1)}, "expired"),
        ("none", {"expires": datetime.date(2026, 2, 1)}, "stale"),
        ("unsupported", {}, "not run"),
        ("flaky", {}, "flaky"),
        ("gradient", {"when": {"torch": "<1"}}, "does not apply"),
        ("gradient", {"when": {"torch": ">=2", "python": ">=3.11"}}, "known"),
    ],
)
def test_what_becomes_of_an_expectation(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str, changes: dict[str, object], outcome: str
) -> None:
    Path("fault").write_text(fault)
    file = folder / "expectations.toml"
    file.write_text(listed(**changes))
    found = expectations.replay(
        expectations.load(file), load("./mine.py:Mine"), level="gradient", today=datetime.date(2026, 6, 1)
    )
    assert [e.outcome for e in found] == [outcome]
    judged = expectations.apply(load_results(_results(folder)), found)
    assert judged.exit_code == (1 if outcome in UNMET else 0)
    for reason in judged.reasons:
        assert reason.startswith(f"{outcome.replace(' ', '-')}-expectation: one of mine: ")
        assert explain(reason.partition(":")[0])


def test_a_fresh_process_may_answer_differently(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fault").write_text(f"not in {os.getpid()}")
    file = folder / "expectations.toml"
    file.write_text(listed())
    (found,) = expectations.replay(expectations.load(file), load("./mine.py:Mine"), "./mine.py:Mine", "gradient")
    assert found.outcome == "flaky"


@pytest.mark.parametrize(("fault", "outcome"), [("crash", "known"), ("gradient", "changed"), ("none", "stale")])
def test_what_ends_the_process_can_be_known(folder: Path, fault: str, outcome: str) -> None:
    Path("fault").write_text(fault)
    file = folder / "expectations.toml"
    file.write_text(listed(signature="sin: crash"))
    settings = isolation.Settings(engine="./mine.py:Mine", level="gradient")
    told: list[int] = []
    (found,) = expectations.replay(
        expectations.load(file),
        load("./mine.py:Mine"),
        apart=lambda witnesses: isolation.witnessed(settings, witnesses, lambda done, _: told.append(done)),
    )
    assert found.outcome == outcome
    assert sorted(told) == [1, 2, 3]


def test_a_partial_run_changes_no_file(folder: Path) -> None:
    file = folder / "expectations.toml"
    file.write_text(listed())
    whole = load_results(_results(folder))
    import msgspec

    save(msgspec.structs.replace(whole, complete=False), folder / "partial.json")
    for action in ("update", "prune"):
        assert main(["expect", action, str(file), "--results", str(folder / "partial.json"), "--reason", "x"]) == 2
    assert file.read_text() == listed()


def test_entries_of_other_engines_are_left_alone(folder: Path) -> None:
    file = folder / "expectations.toml"
    file.write_text(listed(engine="another"))
    assert expectations.replay(expectations.load(file), load("./mine.py:Mine")) == []


def _results(folder: Path) -> Path:
    """Results of a passed run."""
    from sample_results import results

    from conformance.gate import judge

    save(judge(results()), folder / "whole.json")
    return folder / "whole.json"


MALFORMED = [
    ("expectation = 1", "expectation"),
    ("[[expectation", "end of document"),
    ("[[unknown]]", "unknown"),
    (listed(id=None), "id"),
    (listed(id=""), "id"),
    (listed(id="a b"), "letters"),
    (listed(reason=" "), "reason is empty"),
    (listed(engine=""), "engine is empty"),
    (listed(extra=1), "extra"),
    (listed(status="whatever"), "whatever"),
    (listed(signature="sin"), "'operation: kind'"),
    (listed(signature="sin: nosuch"), "second-order gradient"),
    (listed(since="yesterday"), "since"),
    (listed(since=datetime.date(2026, 1, 1), expires=datetime.date(2025, 1, 1)), "before it begins"),
    (listed(issue="17"), "no link"),
    (listed(when={"torch": "about 2"}), "about 2"),
    (listed(when={"nosuchpackage": ">=2"}), "nosuchpackage"),
    (listed(when=">=2"), "when"),
    (listed(witness="nosuch.json"), "nosuch.json"),
    (listed(witness="{}"), "no program"),
    (listed(witness='{"leaves": [], "steps": [], "observe": [7]}'), "never made"),
    (listed() + listed(), "twice"),
]


@pytest.mark.parametrize(("text", "said"), MALFORMED, ids=[said for _, said in MALFORMED])
def test_a_malformed_file_is_one_clear_line(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "expectations.toml"
    file.write_text(text)
    with pytest.raises(ExpectationsError) as caught:
        expectations.load(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert main(["run", "minigrad", "--examples", "10", "--expectations", str(file), "-o", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ExpectationsError, match=r"nosuch\.toml: cannot be read"):
        expectations.load(tmp_path / "nosuch.toml")
