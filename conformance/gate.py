"""The gate: what a run's results mean for a build, as one exit code and every reason for it.

A reason is written `code: text`. `EXPLANATIONS` holds one paragraph for each code, which `conformance explain` prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum

import msgspec

from conformance.results import Results


class Exit(IntEnum):
    """Exit codes of the command line. Where several apply, the first of `PRECEDENCE` is given."""

    PASSED = 0
    FINDING = 1
    USAGE = 2
    INTERNAL = 3
    EVIDENCE = 4
    INTERRUPTED = 130


PRECEDENCE = (Exit.INTERRUPTED, Exit.INTERNAL, Exit.USAGE, Exit.FINDING, Exit.EVIDENCE, Exit.PASSED)

#: What may become of an expectation that fails the gate.
UNMET = ("stale", "changed", "expired", "not run", "flaky")

#: Cells that a reason names.
LISTED = 20

EXPLANATIONS: dict[str, str] = {
    "0": "Passed: every operation of every engine was exercised and no difference from torch was found.",
    "1": "Finding: at least one difference from torch was found. The report shows the reduced program of each.",
    "2": "Usage: an argument, an engine or a file could not be used. The line on standard error says which and why.",
    "3": "Internal: the suite or the reference failed, so that the result says nothing about the engine.",
    "4": "Not enough evidence: no difference was found, but too little was tried to call it a pass.",
    "130": "Interrupted: the run was stopped. What it had found until then is written and marked as partial.",
    "finding": "The engine and torch gave different observations for a program. Exit code 1. Each finding is one "
    "cause, shown by the smallest program that was found for it; `conformance replay ID` runs that program again.",
    "stale-expectation": "The witness of a known finding agrees with torch now. Exit code 1. If the engine was mended, "
    "remove the entry: `conformance expect prune FILE`.",
    "changed-expectation": "The witness of a known finding differs from torch by another cause than the one listed. "
    "Exit code 1. Look at it, then bring the entry up to date: `conformance expect update FILE`.",
    "expired-expectation": "The day until which a known finding was accepted has passed. Exit code 1. Mend the engine, "
    "or give the entry a new `expires` and say why in its `reason`.",
    "not-run-expectation": "The witness of a known finding could not be run: the engine lacks something that it needs, "
    "or ended the process. Exit code 1.",
    "flaky-expectation": "The witness of a known finding answers differently in repeated runs, in one process or in a "
    "fresh one. Exit code 1. An engine whose answers change cannot be tested: mend that first.",
    "corpus": "A program of the behaviour corpus (`--level corpus`) shows another text under the engine than under "
    "torch, and is not listed as different. Exit code 1. The report shows its statements; what is known to differ "
    "stands in `conformance/behaviour/exceptions.toml`, each with its reason.",
    "stale-exception": "A program of the behaviour corpus is listed as different and shows the same as under torch "
    "now. Exit code 1. If the engine was mended, remove its line from `conformance/behaviour/exceptions.toml`.",
    "reference-error": "torch itself raised an error on a program that was meant to be valid, and so proves "
    "little. Exit code 3. It is a defect of the generator: please report it with the seed and what `results.json` "
    "holds under `troubles`.",
    "internal-error": "The suite itself failed, and went on without a block of programs. Exit code 3. It is a defect "
    "of the suite: please report it with the traceback that `results.json` holds under `troubles`.",
    "interrupted": "The run was stopped before its budget was spent. Exit code 130. The results hold what was found "
    "until then and are marked as partial.",
    "nothing-ran": "No program was run. Exit code 4. Raise --time or --examples; see that the engine has operations.",
    "coverage": "Fewer cells (an operation with a feature) were tried than --min-coverage asks for. Exit code 4. Raise "
    "--time or --examples. What the engine does not offer is not asked for.",
    "not-exercised": "Some operation that the engine offers was never applied, so that its rule is untested. Exit "
    "code 4. Raise --time or --examples.",
}


def explain(code: str) -> str | None:
    """What an exit code or the code of a reason means and what to do, or None for an unknown one."""
    return EXPLANATIONS.get(code.strip().rstrip(":").lower())


def unexercised(results: Results) -> dict[str, list[str]]:
    """Operations that each engine offers and no program applied, by engine; engines without any are left out."""
    seen = {(cell.engine, cell.operation) for cell in results.cells if cell.programs}
    missing = {
        engine.name: [operation for operation in engine.operations if (engine.name, operation) not in seen]
        for engine in results.engines
    }
    return {name: operations for name, operations in missing.items() if operations}


def uncovered(results: Results, engine: str) -> tuple[list[str], int]:
    """Cells of an engine that no program tried, as `operation × feature`, and how many cells it offers."""
    offered = [c for c in results.cells if c.engine == engine and (c.programs or not c.unsupported)]
    return [f"{c.operation} × {c.feature}" for c in offered if not c.programs], len(offered)


def _short_of_coverage(results: Results) -> list[str]:
    wanted = results.configuration.min_coverage
    found = []
    for engine in results.engines if wanted is not None else ():
        missing, offered = uncovered(results, engine.name)
        share = 100 * (offered - len(missing)) / offered if offered else 0.0
        if share < (wanted or 0.0):
            found.append(
                f"coverage: {share:.2f} % of {_count(offered, 'cell')} of {engine.name} were tried, {wanted:g} % are "
                f"asked for; {len(missing):,} were not ({_first(missing, LISTED)})"
            )
    return found


def _such_as(results: Results, code: str) -> str:
    """The first of the failures of torch or of the suite."""
    return next((f"; the first at {each.where}: {each.text}" for each in results.troubles if each.code == code), "")


def judge(results: Results, *, interrupted: bool = False) -> Results:
    """The same results with `reasons`, `exit_code` and `complete` set; reasons stand in order of precedence."""
    reasons: list[tuple[Exit, str]] = []
    if interrupted:
        reasons.append(
            (Exit.INTERRUPTED, "interrupted: stopped before the budget was spent; these results are partial")
        )
    if errors := results.statistics.reference_errors:
        said = f"torch raised an error on {_count(errors, 'program')}{_such_as(results, 'reference-error')}"
        reasons.append((Exit.INTERNAL, f"reference-error: {said}"))
    if lost := results.statistics.lost:
        said = f"{_count(lost, 'task')} had to be given up{_such_as(results, 'internal-error')}"
        reasons.append((Exit.INTERNAL, f"internal-error: {said}"))
    unlisted = Counter(finding.engine for finding in results.findings if not finding.known)
    for engine, found in unlisted.items():
        reasons.append((Exit.FINDING, f"finding: {_count(found, 'cause')} of difference from torch in {engine}"))
    for expected in results.expectations:
        if expected.outcome in UNMET:
            code = f"{expected.outcome.replace(' ', '-')}-expectation"
            reasons.append((Exit.FINDING, f"{code}: {expected.id} of {expected.engine}: {expected.text}"))
    for corpus in results.corpus:
        if other := corpus.ids("differs"):
            programs = _count(len(other), "program")
            reasons.append((Exit.FINDING, f"corpus: {programs} of {corpus.engine} unlike torch ({_first(other)})"))
        if stale := corpus.ids("stale"):
            programs = _count(len(stale), "program")
            text = f"{programs} listed as different in {corpus.engine} and like torch now ({_first(stale)})"
            reasons.append((Exit.FINDING, f"stale-exception: {text}"))
    if results.shard is not None:
        pass  # how much was tried is a question to all shards together
    elif not results.statistics.programs:
        reasons.append((Exit.EVIDENCE, "nothing-ran: no program was run"))
    else:
        reasons += [(Exit.EVIDENCE, text) for text in _short_of_coverage(results)]
        for engine, operations in unexercised(results).items():
            count = _count(len(operations), "operation")
            reasons.append((Exit.EVIDENCE, f"not-exercised: {count} of {engine} ({_first(operations)})"))
    exit_code = min((code for code, _ in reasons), key=PRECEDENCE.index, default=Exit.PASSED)
    return msgspec.structs.replace(
        results,
        reasons=tuple(text for _, text in reasons),
        exit_code=int(exit_code),
        complete=results.complete and not interrupted,
    )


def _first(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
