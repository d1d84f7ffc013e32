"""The JUnit report: one test case for each cell (operation × feature) of each engine, and one for each finding.

Where the behaviour corpus was run, each topic has one for what is the same, and each other program one of its own.
"""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from conformance.gate import Exit
from conformance.reporting import summary
from conformance.results import CorpusProgram, Finding, Results


def to_junit(results: Results) -> str:
    """The whole report, as XML text.

    A failing cell says how many programs differed; a finding's own case holds the script. A cell that was not
    exercised, or an operation that the engine lacks, is skipped with that as the reason: it never counts as passed.
    """
    report = JUnitXml("conformance")
    for matrix in summary.matrices(results):
        suite = TestSuite(f"cells of {matrix.engine}")
        cases = []
        for operation, squares in matrix.rows:
            group = f"conformance.{matrix.engine}.{operation}"
            cells = [pair for pair in zip(matrix.features, squares, strict=True) if pair[1].status != "does not apply"]
            # The first column sums up the others: it stands for operations without cells, and for those not offered.
            tried = [pair for pair in cells[1:] if pair[1].status != "unsupported"]
            cases += [_cell(group, feature, square) for feature, square in tried or cells[:1]]
        suite.extend(cases)  # which are counted once, at the end
        report.add_testsuite(suite)
    for corpus in summary.corpora(results):
        if corpus.rows:
            suite = TestSuite(f"behaviour corpus under {corpus.engine}")
            group = f"conformance.{corpus.engine}.corpus"
            topics = [TestCase(topic, group) for topic, _, same, *_ in corpus.rows[1:] if same]
            suite.extend([*topics, *(_behaviour(corpus.engine, program) for program in corpus.programs)])
            report.add_testsuite(suite)
    findings = TestSuite("findings")
    cases = [_finding(finding) for finding in summary.ranked(results)]
    if results.exit_code not in {Exit.PASSED, Exit.FINDING}:
        gate = TestCase("gate", "conformance.gate")
        gate.result = [Error("; ".join(results.reasons) or f"exit code {results.exit_code}", "gate")]
        cases.append(gate)
    findings.extend(cases)
    report.add_testsuite(findings)
    report.update_statistics()
    report.time = round(results.timings.total, 3)
    text = report.tostring()
    return (text.decode() if isinstance(text, bytes) else str(text)).rstrip() + "\n"


def _cell(group: str, feature: str, square: summary.Square) -> TestCase:
    case = TestCase(feature, group)
    if square.status == "failed":
        case.result = [Failure(f"{square.mismatches:,} of {square.programs:,} programs differ from torch", "mismatch")]
    elif square.status == "known":
        case.result = [Skipped(f"known: {square.mismatches:,} of {square.programs:,} programs differ as is listed")]
    elif square.status != "passed":
        case.result = [Skipped(square.status)]
    return case


def _behaviour(engine: str, program: CorpusProgram) -> TestCase:
    """A program of the corpus that is not the same; those that are stand together in the case of their topic."""
    case = TestCase(program.id, f"conformance.{engine}.corpus")
    if program.status == "known":
        case.result = [Skipped(f"known: {program.reason}")]
    elif program.status == "stale":
        case.result = [Failure(f"listed as different, and is not: {program.reason}", "stale")]
    else:
        failure = Failure("shows another text than under torch", "differs")
        failure.text = _legal(summary.told(program, engine))
        case.result = [failure]
    return case


def _finding(finding: Finding) -> TestCase:
    case = TestCase(finding.id, f"conformance.{finding.engine}.findings")
    if finding.known:
        case.result = [Skipped(f"known: {finding.known}")]
        return case
    failure = Failure(summary.headline(finding), finding.kind)
    measures = "\n".join(f"{label}: {text}" for label, text in summary.measures(finding))
    failure.text = _legal(f"{measures}\n\n{summary.replay(finding)}\n\n{finding.script()}")
    case.result = [failure]
    return case


def _legal(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
