"""`Report`: the results of one or several runs, and the ways to look at them. Needs neither torch nor an engine."""

from __future__ import annotations

import os
from collections.abc import Iterable

from conformance import results as records
from conformance.changes import Changes
from conformance.changes import compare as _compare
from conformance.results import Finding, Results
from conformance.script import body

Path = str | os.PathLike[str]


class FindingsError(AssertionError):
    """Raised by `Report.raise_for_findings`: the gate did not pass. `report` is the report that says why."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(_told(report.results))


class Report:
    """What `check`, `load` and `merge` return. Its `results` are frozen values; every report is made from them alone.

    Numbers of a finding are exact Python literals as text (they may be nan or infinite); `Finding.difference` gives the
    worst element: its index, the absolute and the relative gap, and the gap in units of the last place of torch's
    number. Durations are in seconds.
    """

    def __init__(self, results: Results) -> None:
        self.results = results

    @property
    def ok(self) -> bool:
        """Whether the gate passes: something ran, to its end, and nothing was found."""
        return self.results.exit_code == 0

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the gate does not pass, as `code: text`, the gravest first; empty when it passes."""
        return self.results.reasons

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The causes that were found. `finding.script()` is its program as Python that runs on its own."""
        return self.results.findings

    def finding(self, id: str) -> Finding:
        """The finding with this id. Raises `ResultsError` when there is none."""
        return self.results.finding(id)

    def raise_for_findings(self) -> None:
        """Raise `FindingsError`, an AssertionError with every reason and unknown finding, unless the gate passes."""
        if not self.ok:
            raise FindingsError(self)

    def to_json(self, path: Path) -> None:
        """Write `results.json`, from which all else can be made again. Raises `ResultsError`."""
        records.save(self.results, path)

    def to_html(self, path: Path, history: Iterable[Results] = ()) -> None:
        """Write the report as one HTML file that opens offline; `history` adds a trend. Raises `ResultsError`."""
        from conformance.reporting.html import to_html

        records.write(path, to_html(self.results, tuple(history)).encode())

    def to_markdown(self, path: Path, history: Iterable[Results] = ()) -> None:
        """Write the report as Markdown, below the 1 MiB that a GitHub step summary may have. Raises `ResultsError`."""
        from conformance.reporting.markdown import to_markdown

        records.write(path, to_markdown(self.results, history=tuple(history)).encode())

    def to_junit(self, path: Path) -> None:
        """Write the report as JUnit XML: a case for each cell and for each finding. Raises `ResultsError`."""
        from conformance.reporting.junit import to_junit

        records.write(path, to_junit(self.results).encode())

    def __repr__(self) -> str:
        s = self.results.statistics
        return f"<Report {'ok' if self.ok else 'not ok'}: {s.programs} programs, {len(self.findings)} findings>"


def load(path: Path) -> Report:
    """The report of a stored `results.json`. Raises `ResultsError` when it is missing, cut short or of another kind."""
    return Report(records.load(path))


def merge(reports: Iterable[Report]) -> Report:
    """One report of several: of shards, or of several engines. Raises ValueError when there are none."""
    from conformance.merge import merge as join

    parts = [report.results for report in reports]
    if not parts:
        raise ValueError("merge needs at least one report")
    return Report(join(parts))


def compare(old: Report, new: Report) -> Changes:
    """What has changed from one report to a later one: findings new, fixed and changed, and coverage lost."""
    return _compare(old.results, new.results)


def _told(results: Results) -> str:
    lines = [*results.reasons]
    for finding in results.findings:
        if finding.known:
            continue
        lines += ["", f"{finding.id} ({finding.verdict}): {finding.message}", body(finding.program)]
    return "\n".join(lines) or f"exit code {results.exit_code}"
