"""Grading: the same programs for all; what hangs, quits or lets torch do the work loses just what it deserves."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.gate import Exit
from conformance.grade import Grade, RubricError, grade, read_rubric

MICRO = (Path(__file__).parent / "engines" / "micro.py").read_text()
GOOD = MICRO.replace("arrived[parent] = part ", "arrived[parent] = arrived.get(parent, 0) + part ")
HANGS = GOOD.replace(
    "def apply(self, op, args, kwargs):",
    "def apply(self, op, args, kwargs):\n        while op == 'exp':\n            pass",
)
LIES = """
import conformance
print("100 of 100 points: all tests passed")

class Lies(conformance.Engine):
    name = "lies"

    def leaf(self, array, requires_grad):
        import torch
        return torch.autograd.Variable(torch.from_numpy(array), requires_grad=requires_grad)

    def apply(self, op, args, kwargs):
        import torch
        return getattr(torch, op)(*args, **kwargs)

    def backward(self, value, gradient):
        value.backward(gradient)

    def grad(self, value):
        return value.grad

    def numpy(self, value):
        return value.detach().numpy()
"""
QUITS = GOOD.replace(
    "def backward(self, value, gradient):",
    "def backward(self, value, gradient):\n        print('PASSED')\n        raise SystemExit(0)",
)
SNEAKS = LIES.replace(
    "import torch\n",
    "import importlib, sys; sys.modules.pop('torch', None); torch = importlib.import_module('torch')\n",
)
RUBRIC = """
title = "Homework 3"
patience = 1.0

[[criteria]]
name = "Arithmetic"
points = 20
operations = ["add", "exp"]
programs = 3

[[criteria]]
name = "A value used twice"
points = 10
operations = ["add"]
features = ["reuse"]
programs = 3

[[criteria]]
name = "Whole programs"
points = 5
operations = ["add", "sub"]
features = ["chains"]
programs = 5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"good": GOOD, "micro": MICRO, "hangs": HANGS, "lies": LIES, "sneaks": SNEAKS, "quits": QUITS}
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "rubric.toml").write_text(RUBRIC)
    return tmp_path


def test_everyone_gets_what_they_deserve(folder: Path) -> None:
    names = ["good", "micro", "hangs", "lies", "sneaks", "quits"]
    grades = grade([str(folder / f"{name}.py") for name in names], read_rubric(folder / "rubric.toml"))
    found: dict[str, Grade] = {each.name: each for each in grades.grades}
    points = {name: [mark.points for mark in each.marks] for name, each in found.items()}
    assert points["good"] == [20, 10, 5]
    assert points["micro"][:2] == [20, 0]  # it assigns where it has to add
    assert points["micro"][2] < 5
    assert "x0.grad" in found["micro"].marks[1].remarks[0]
    assert points["hangs"] == [10, 10, 5]  # only exp is lost
    assert found["hangs"].flags == ("hangs in exp: no answer within 1 s",)
    assert points["lies"] == points["sneaks"] == points["quits"] == [0, 0, 0]
    assert found["lies"].flags == ("tries to import torch",)
    assert any("torch" in flag or "may not use" in flag for flag in found["sneaks"].flags)
    assert any("exit code 0" in flag for flag in found["quits"].flags)


def test_the_class_as_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(folder / "good.py"), str(folder / "lies.py"), "--rubric", str(folder / "rubric.toml")]
    assert main(["grade", *arguments, "-o", str(folder / "out")]) == 0
    out = capsys.readouterr().out
    assert "35 of 35" in out
    rows = list(csv.DictReader((folder / "out" / "grades.csv").read_text().splitlines()))
    assert [(row["name"], row["points"], row["look at"]) for row in rows] == [
        ("good", "35", ""),
        ("lies", "0", "tries to import torch"),
    ]
    written = json.loads((folder / "out" / "gradescope" / "good" / "results.json").read_text())
    assert written["score"] == 35
    assert [(test["score"], test["max_score"]) for test in written["tests"]] == [(20, 20), (10, 10), (5, 5)]
    assert "Homework 3" in (folder / "out" / "grades.html").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("criteria = [", "not a rubric"),
        ("", "criteria"),
        ("criteria = []", "no criteria"),
        (RUBRIC.replace('"exp"', '"expp"'), "unknown operation 'expp'"),
        (RUBRIC.replace('"reuse"', '"twice"'), "unknown feature 'twice'"),
        (RUBRIC.replace("points = 10", "point = 10"), "point"),
        (RUBRIC.replace("programs = 5", "programs = 0"), "needs operations, programs"),
    ],
)
def test_a_bad_rubric_is_one_line(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rubric.toml").write_text(text)
    with pytest.raises(RubricError, match=said):
        read_rubric(tmp_path / "rubric.toml")
    assert main(["grade", "x.py", "--rubric", str(tmp_path / "rubric.toml"), "-o", str(tmp_path)]) == Exit.USAGE
    assert capsys.readouterr().err.count("\n") == 1
