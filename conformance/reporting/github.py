"""What GitHub shows of a run: the step summary, and an annotation at the source line of each rule to blame.

Both are written by themselves where GITHUB_ACTIONS says that a workflow is running, within GitHub's limits.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO

from conformance.reporting import summary
from conformance.reporting.markdown import to_markdown
from conformance.results import Finding, Results

#: GitHub shows that many errors of a step; the last one tells of the others.
MOST = 10
#: Reasons of the gate that have an error for each of what they count.
SHOWN = ("finding:", "corpus:", "stale-exception:")
#: Bytes of a step summary, which steps of one job share.
LARGEST = 1 << 20


def publish(results: Results, out: IO[str], environment: Mapping[str, str] = os.environ) -> None:
    """Write annotations to `out` and append to the step summary, when a workflow of GitHub is running this.

    A shard says nothing: the merged results will.
    """
    if environment.get("GITHUB_ACTIONS") != "true" or results.shard is not None:
        return
    for line in commands(results, Path(environment.get("GITHUB_WORKSPACE", "."))):
        out.write(f"{line}\n")
    if file := environment.get("GITHUB_STEP_SUMMARY"):
        with open(file, "a", encoding="utf-8") as summary_file:
            room = LARGEST - summary_file.tell()
            text = to_markdown(results, min(room, LARGEST - 1024))
            if len(text.encode()) <= room:
                summary_file.write(text)


def commands(results: Results, root: Path) -> list[str]:
    """Workflow commands: an error for each unknown finding, at its rule's line where that lies below `root`, for each
    program of the behaviour corpus that fails, and for each other reason of the gate.
    """
    specs = {engine.name: engine.spec for engine in results.engines}
    findings = [finding for finding in summary.ranked(results) if not finding.known]
    programs = [(corpus.engine, program) for corpus in summary.corpora(results) for program in corpus.failing]
    reasons = [reason for reason in results.reasons if not reason.startswith(SHOWN)]
    errors: list[Callable[[], str]] = [
        *(partial(_annotation, finding, specs.get(finding.engine, finding.engine), root) for finding in findings),
        *(partial(_error, "", f"behaviour: {program.id}", summary.told(program, by)) for by, program in programs),
        *(partial(_error, "", "conformance", reason) for reason in reasons),
    ]
    if len(errors) > MOST:
        more = f"{len(errors) - MOST + 1} more"
        errors[MOST - 1 :] = [partial(_error, "", more, "the report shows them all")]
    return [error() for error in errors]


def declaration(spec: str, operation: str) -> tuple[Path, int] | None:
    """File and line where an engine declares an operation, from the engine's text alone; None when it is not found.

    A function of the operation's name is looked for first (with its decorators), then an assignment, then the quoted
    name, as in a table of rules.
    """
    name = re.escape(operation.rpartition(".")[2])
    forms = [rf"^\s*def {name}\(", rf"^\s*{name}(: [^=]*)? = ", rf"[\"']{name}[\"']\s*:", rf"[\"']{name}[\"']"]
    texts = [(path, path.read_text(encoding="utf-8", errors="replace").splitlines()) for path in _sources(spec)]
    for form in map(re.compile, forms):
        for path, lines in texts:
            for number, line in enumerate(lines):
                if form.search(line):
                    return path, _decorated(lines, number) + 1
    return None


def _sources(spec: str) -> Iterator[Path]:
    """The engine's file, or its package's files, those of rules first."""
    home = spec if spec.endswith(".py") else spec.rpartition(":")[0] or spec
    if home.endswith(".py"):
        if Path(home).is_file():
            yield Path(home)
        return
    try:
        found = importlib.util.find_spec(home)
    except (ImportError, ValueError):
        return
    if found is None or found.origin is None:
        return
    if not found.submodule_search_locations:
        yield Path(found.origin)
        return
    every = Path(found.origin).parent.rglob("*.py")
    yield from sorted(every, key=lambda path: (path.parent.name not in {"ops", "rules"}, str(path)))


def _decorated(lines: list[str], number: int) -> int:
    """The first line of the decorators above a function; the line itself where there are none."""
    first = number
    while first and lines[first - 1].strip() and not lines[first - 1].startswith(("def ", "class ", "#", '"', "from ")):
        first -= 1
        if lines[first].lstrip().startswith("@"):
            number = first
    return number


def _annotation(finding: Finding, spec: str, root: Path) -> str:
    place = ""
    if (found := declaration(spec, finding.blamed)) is not None:
        path, line = found
        resolved, top = path.resolve(), root.resolve()
        if resolved.is_relative_to(top):
            place = f"file={_property(str(resolved.relative_to(top)))},line={line},"
    text = f"{summary.headline(finding)}\n{finding.verdict}; {summary.replay(finding)}\n\n{summary.program(finding)}"
    return _error(place, f"{finding.blamed}: {finding.kind}", text)


def _error(place: str, title: str, text: str) -> str:
    return f"::error {place}title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
