"""The JUnit report: one test case for each operation of each engine, and one for each finding."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from conformance.gate import Exit
from conformance.reporting import summary
from conformance.results import Finding, Results


def to_junit(results: Results) -> str:
    """The whole report, as XML text.

    A failing operation points at its findings; a finding's own case holds the script. An operation that was not
    exercised, or that the engine lacks, is skipped with that as the reason: it never counts as passed.
    """
    report = JUnitXml("conformance")
    for matrix in summary.matrices(results):
        suite = TestSuite(f"operations of {matrix.engine}")
        for operation, squares in matrix.rows:
            case = TestCase(operation, f"conformance.{matrix.engine}.operations")
            square = squares[0]
            if square.status == "failed":
                case.result = [Failure(f"{operation}: {square.mismatches:,} programs with a mismatch", "mismatch")]
            elif square.status != "passed":
                case.result = [Skipped(square.status)]
            suite.add_testcase(case)
        report.add_testsuite(suite)
    findings = TestSuite("findings")
    for finding in results.findings:
        findings.add_testcase(_finding(finding))
    if results.exit_code not in {Exit.PASSED, Exit.FINDING}:
        gate = TestCase("gate", "conformance.gate")
        gate.result = [Error("; ".join(results.reasons) or f"exit code {results.exit_code}", "gate")]
        findings.add_testcase(gate)
    report.add_testsuite(findings)
    report.update_statistics()
    report.time = round(results.timings.total, 3)
    text = report.tostring()
    return (text.decode() if isinstance(text, bytes) else str(text)).rstrip() + "\n"


def _finding(finding: Finding) -> TestCase:
    case = TestCase(finding.id, f"conformance.{finding.engine}.findings")
    failure = Failure(summary.headline(finding), finding.kind)
    measures = "\n".join(f"{label}: {text}" for label, text in summary.measures(finding))
    failure.text = _legal(f"{measures}\n\n{summary.replay(finding)}\n\n{finding.script}")
    case.result = [failure]
    return case


def _legal(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
