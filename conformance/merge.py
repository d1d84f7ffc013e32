"""Puts results together: those of several engines beside each other (`merge`), or all shards of one run (`join`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from conformance.duplicates import total
from conformance.gate import judge
from conformance.results import (
    Cell,
    Corpus,
    CorpusProgram,
    CorpusTopic,
    EngineRecord,
    Errors,
    Finding,
    Pairs,
    Results,
    ResultsError,
    Shard,
    Trouble,
)

#: How a program of the corpus may fare.
STATUSES = ("same", "differs", "known", "stale")

T = TypeVar("T")
Counts = TypeVar("Counts", bound=msgspec.Struct)

replace = msgspec.structs.replace


def merge(parts: Sequence[Results]) -> Results:
    """One judged result of all parts, which must not be empty. Versions and configuration are those of the first."""
    first = parts[0]
    if len(parts) == 1:
        return first
    engines = _engines(engine for part in parts for engine in part.engines)
    together = replace(
        first,
        engines=engines,
        cells=_cells((cell for part in parts for cell in part.cells), engines),
        pairs=_pairs(pairs for part in parts for pairs in part.pairs),
        errors=_errors(errors for part in parts for errors in part.errors),
        findings=_findings((finding for part in parts for finding in part.findings), engines),
        troubles=tuple(sorted((trouble for part in parts for trouble in part.troubles), key=Trouble.order)),
        expectations=tuple({(e.engine, e.id): e for part in parts for e in part.expectations}.values()),
        selftest=next((part.selftest for part in parts if part.selftest), None),
        corpus=_corpora(corpus for part in parts for corpus in part.corpus),
        statistics=_sum([part.statistics for part in parts]),
        timings=_sum([part.timings for part in parts]),
        started=min(part.started for part in parts),
        shard=first.shard and _shard([part.shard for part in parts if part.shard]),
    )
    return judge(together, interrupted=not all(part.complete for part in parts))


def join(shards: Sequence[tuple[str, Results]]) -> Results:
    """The run of which these are all the shards, each with its name: the same as without shards, but for the timings.

    Raises `ResultsError` with one line when they are not all the shards of one run.
    """
    parts: dict[int, tuple[str, Results]] = {}
    first, start = shards[0]
    for name, results in shards:
        if results.shard is None:
            raise ResultsError(f"{name}: is not a shard; `conformance run --shard i/n` makes shards")
        for what, one, other in _identity(start, results):
            if one != other:
                raise ResultsError(f"{name}: is of another run than {first}: its {what} is {other}, not {one}")
        if results.shard.number in parts:
            known, shard = parts[results.shard.number][0], results.shard
            raise ResultsError(f"{name}: is shard {shard.number}/{shard.of}, and so is {known}")
        parts[results.shard.number] = name, results
    shard = start.shard or Shard(number=1, of=1)
    if missing := [str(number) for number in range(1, shard.of + 1) if number not in parts]:
        raise ResultsError(f"of {shard.of} shards, {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    ordered = [parts[number][1] for number in sorted(parts)]
    together = merge(ordered)
    duplicates = sum(
        total(part.shard.sketches[engine.name] for part in ordered if part.shard and engine.name in part.shard.sketches)
        for engine in together.engines
    )
    together = replace(together, shard=None, statistics=replace(together.statistics, duplicates=duplicates))
    return judge(together, interrupted=not together.complete)


def _identity(one: Results, other: Results) -> Iterable[tuple[str, Any, Any]]:
    """What all shards of a run have in common, as (what, of one, of the other)."""
    for field in ("suite", "torch", "numpy", "hypothesis"):
        yield f"version of {field}", getattr(one.versions, field), getattr(other.versions, field)
    for field in one.configuration.__struct_fields__:
        yield field, getattr(one.configuration, field), getattr(other.configuration, field)
    yield "engine", _engine_names(one), _engine_names(other)
    yield "number of shards", one.shard and one.shard.of, other.shard and other.shard.of


def _engine_names(results: Results) -> str:
    return ", ".join(f"{engine.name} {engine.version}".strip() for engine in results.engines)


def _shard(shards: Sequence[Shard]) -> Shard:
    return replace(shards[0], sketches={name: sketch for shard in shards for name, sketch in shard.sketches.items()})


def _sum(values: Sequence[Counts]) -> Counts:
    """Field by field."""
    fields = values[0].__struct_fields__
    return type(values[0])(**{name: sum(getattr(value, name) for value in values) for name in fields})


def _grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> Iterable[list[T]]:
    """Items of the same key together, in the order in which the keys came."""
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups.values()


def _engines(engines: Iterable[EngineRecord]) -> tuple[EngineRecord, ...]:
    return tuple(
        replace(
            group[0],
            seconds=sum(engine.seconds for engine in group),
            reference_seconds=sum(engine.reference_seconds for engine in group),
        )
        for group in _grouped(engines, lambda engine: engine.name)
    )


def _cells(cells: Iterable[Cell], engines: Sequence[EngineRecord]) -> tuple[Cell, ...]:
    lacking = {(engine.name, operation) for engine in engines for operation in engine.unsupported}
    return tuple(
        replace(
            group[0],
            programs=sum(cell.programs for cell in group),
            mismatches=sum(cell.mismatches for cell in group),
            # What an engine lacks is marked in each part, whatever that part has tried.
            unsupported=(max if (group[0].engine, group[0].operation) in lacking else sum)(
                [cell.unsupported for cell in group]
            ),
        )
        for group in _grouped(cells, lambda cell: (cell.engine, cell.operation, cell.feature))
    )


def _pairs(pairs: Iterable[Pairs]) -> tuple[Pairs, ...]:
    merged = []
    for group in _grouped(pairs, lambda one: (one.engine, one.operations)):
        rows = [0] * len(group[0].operations)
        for one in group:
            rows = [row | int(text, 16) for row, text in zip(rows, one.rows, strict=True)]
        covered = sum(row.bit_count() for row in rows)
        merged.append(replace(group[0], rows=tuple(f"{row:x}" for row in rows), covered=covered))
    return tuple(merged)


def _errors(errors: Iterable[Errors]) -> tuple[Errors, ...]:
    return tuple(
        replace(
            group[0],
            counts=tuple(map(sum, zip(*(one.counts for one in group), strict=True))),
            worst=max(one.worst for one in group),
        )
        for group in _grouped(errors, lambda one: (one.engine, one.operation))
    )


def _corpora(corpora: Iterable[Corpus]) -> tuple[Corpus, ...]:
    def by_name(one: CorpusTopic) -> str:
        return one.name

    def by_id(one: CorpusProgram) -> str:
        return one.id

    return tuple(
        replace(
            group[0],
            topics=tuple(
                replace(
                    topics[0],
                    **{field: sum(getattr(topic, field) for topic in topics) for field in STATUSES},
                )
                for topics in _grouped(sorted((t for one in group for t in one.topics), key=by_name), by_name)
            ),
            programs=tuple(sorted((program for one in group for program in one.programs), key=by_id)),
        )
        for group in _grouped(corpora, lambda one: one.engine)
    )


def _findings(findings: Iterable[Finding], engines: Sequence[EngineRecord]) -> tuple[Finding, ...]:
    """One of each cause, with the times it was met added up; the first in the order of the search stands for it."""
    place = {engine.name: number for number, engine in enumerate(engines)}
    merged = [
        replace(
            min(group, key=lambda finding: finding.position),
            met=sum(finding.met for finding in group),
            features=tuple(sorted({feature for finding in group for feature in finding.features})),
        )
        for group in _grouped(findings, lambda finding: finding.id)
    ]
    return tuple(sorted(merged, key=lambda finding: (place[finding.engine], finding.position, finding.id)))
