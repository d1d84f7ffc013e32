"""Puts the results of several runs together: of several engines, or of shards of one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from conformance.gate import judge
from conformance.results import Cell, Finding, Pairs, Results

Counts = TypeVar("Counts", bound=msgspec.Struct)


def merge(parts: Sequence[Results]) -> Results:
    """One judged result of all parts, which must not be empty. Versions and configuration are those of the first."""
    first = parts[0]
    if len(parts) == 1:
        return first
    together = msgspec.structs.replace(
        first,
        engines=tuple({engine.name: engine for part in parts for engine in part.engines}.values()),
        cells=_cells(cell for part in parts for cell in part.cells),
        pairs=_pairs(pairs for part in parts for pairs in part.pairs),
        findings=_findings(finding for part in parts for finding in part.findings),
        statistics=_sum([part.statistics for part in parts]),
        timings=_sum([part.timings for part in parts]),
    )
    return judge(together, interrupted=not all(part.complete for part in parts))


def _sum(values: Sequence[Counts]) -> Counts:
    """Field by field."""
    fields = values[0].__struct_fields__
    return type(values[0])(**{name: sum(getattr(value, name) for value in values) for name in fields})


def _cells(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    groups: dict[Any, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.engine, cell.operation, cell.feature].append(cell)
    return tuple(
        msgspec.structs.replace(
            group[0],
            programs=sum(cell.programs for cell in group),
            mismatches=sum(cell.mismatches for cell in group),
            unsupported=sum(cell.unsupported for cell in group),
        )
        for group in groups.values()
    )


def _pairs(pairs: Iterable[Pairs]) -> tuple[Pairs, ...]:
    groups: dict[Any, list[Pairs]] = defaultdict(list)
    for one in pairs:
        groups[one.engine, one.operations].append(one)
    merged = []
    for group in groups.values():
        rows = [0] * len(group[0].operations)
        for one in group:
            rows = [row | int(text, 16) for row, text in zip(rows, one.rows, strict=True)]
        covered = sum(row.bit_count() for row in rows)
        merged.append(msgspec.structs.replace(group[0], rows=tuple(f"{row:x}" for row in rows), covered=covered))
    return tuple(merged)


def _findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One of each cause, with the times it was met added up; the smallest program stands for it."""
    groups: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.id].append(finding)
    return tuple(
        msgspec.structs.replace(
            min(group, key=lambda finding: len(finding.program.steps)), met=sum(finding.met for finding in group)
        )
        for group in groups.values()
    )
