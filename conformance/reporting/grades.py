"""The grades of a class: a matrix in HTML and CSV, Gradescope's results.json for each submission, and a table."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import msgspec
from markupsafe import Markup
from rich.console import Console
from tabulate import tabulate

from conformance.grade import Grade, Grades, Mark
from conformance.reporting.html import page
from conformance.results import write


def write_grades(grades: Grades, directory: Path) -> tuple[Path, ...]:
    """Write `grades.html`, `grades.csv` and `gradescope/NAME/results.json`; return their paths.

    Raises `ResultsError` when that is not possible.
    """
    texts = {"grades.html": to_html(grades), "grades.csv": to_csv(grades)}
    texts |= {f"gradescope/{grade.name}/results.json": to_gradescope(grade) for grade in grades.grades}
    for name, text in texts.items():
        write(directory / name, text.encode())
    return tuple(directory / name for name in texts)


def to_csv(grades: Grades) -> str:
    """One row for each submission: name, file, points, points of each criterion, what to look at."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["name", "file", "points", "of", *(c.name for c in grades.rubric.criteria), "look at", "seconds"])
    for grade in grades.grades:
        points = [_plain(mark.points) for mark in grade.marks]
        row = [grade.name, grade.file, _plain(grade.points), _plain(grades.rubric.points), *points]
        rows.writerow([*map(_safe, row), _safe("; ".join(grade.flags)), f"{grade.seconds:g}"])
    return out.getvalue()


def to_gradescope(grade: Grade) -> str:
    """What Gradescope reads from an autograder: the score, and one test for each criterion."""
    tests = [
        {
            "name": mark.criterion,
            "score": mark.points,
            "max_score": mark.of,
            "status": "passed" if mark.points == mark.of else "failed",
            "output": "\n\n".join([outcomes(mark), *mark.remarks]),
        }
        for mark in grade.marks
    ]
    said = "\n".join(grade.flags)
    document = {"score": grade.points, "execution_time": grade.seconds, "output": said, "tests": tests}
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


@dataclass(frozen=True)
class _Row:
    """A submission as the page shows it."""

    grade: Grade
    marks: tuple[tuple[Mark, str, str], ...]  # the mark, a class of the style sheet, the outcomes in words


def to_html(grades: Grades) -> str:
    """The class as one page that opens offline: a matrix, then what each submission got wrong."""
    shown = [_Row(grade, tuple((mark, _tone(mark), outcomes(mark)) for mark in grade.marks)) for grade in grades.grades]
    found = [grade.points for grade in grades.grades]
    mean = sum(found) / len(found) if found else 0.0
    return page(
        "grades.html", rows=shown, rubric=grades.rubric, seed=grades.seed, mean=mean, plain=_plain, Markup=Markup
    )


def print_grades(grades: Grades, out: Console) -> None:
    """Print the class as a table."""
    rows = [
        (grade.name, f"{_plain(grade.points)} of {_plain(grades.rubric.points)}", "; ".join(grade.flags))
        for grade in grades.grades
    ]
    out.print(tabulate(rows, headers=["submission", "points", "look at"], disable_numparse=True))


def outcomes(mark: Mark) -> str:
    """How the programs of a criterion went, in words."""
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(mark.outcomes.items())) or "nothing was run"


def _tone(mark: Mark) -> str:
    if mark.points == mark.of:
        return "p"
    return "f" if mark.points == 0 else "h"


def _plain(points: float) -> str:
    return f"{points:.2f}".rstrip("0").rstrip(".")


def _safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} and not text[1:2].isdigit() else text
