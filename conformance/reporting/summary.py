"""What every report says, worked out once from the results: the verdict, the counts, the matrix, the facts."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal

from tabulate import tabulate

from conformance.gate import Exit, unexercised
from conformance.results import ERROR_BINS, Corpus, CorpusProgram, Finding, Pairs, PlantedFault, Results
from conformance.script import body

Status = Literal["passed", "failed", "known", "not exercised", "unsupported", "does not apply"]

GLYPHS: dict[Status, str] = {
    "passed": "✓",
    "failed": "✗",
    "known": "≠",
    "not exercised": "○",
    "unsupported": "–",
    "does not apply": "",
}


@dataclass(frozen=True)
class Verdict:
    """The run in one word; `tone` is `passed`, `failed` or `unsure`."""

    word: str
    glyph: str
    tone: str


@dataclass(frozen=True)
class Square:
    """One place of the matrix: how many programs exercised it, and how many of them showed a mismatch."""

    status: Status
    programs: int = 0
    mismatches: int = 0

    @property
    def counts(self) -> str:
        """Programs, and mismatches where there are any, as `40` or `40/7`; empty where nothing was run."""
        if not self.programs:
            return ""
        return f"{self.programs}/{self.mismatches}" if self.mismatches else str(self.programs)

    @property
    def text(self) -> str:
        """The glyph, with the number of mismatches where there are any: readable without colour."""
        return f"{GLYPHS[self.status]} {self.mismatches}" if self.mismatches else GLYPHS[self.status]


@dataclass(frozen=True)
class Matrix:
    """Operation × feature for one engine; `rows` holds an operation and its squares. The first column sums it up."""

    engine: str
    features: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Square, ...]], ...]


def verdict(results: Results) -> Verdict:
    """The run in one word, from its exit code."""
    match results.exit_code:
        case Exit.PASSED:
            return Verdict("Passed", "✓", "passed")
        case Exit.FINDING:
            return Verdict("Failed", "✗", "failed")
        case Exit.EVIDENCE:
            return Verdict("Not enough evidence", "?", "unsure")
        case Exit.INTERRUPTED:
            return Verdict("Interrupted", "◼", "unsure")
        case _:
            return Verdict("Suite error", "!", "failed")


def agreement(results: Results) -> str:
    """What a run without any reason to fail says: that nothing differed, or only what is known to."""
    known = sum(bool(finding.known) for finding in results.findings)
    if not known:
        return "No gradient, value, dtype, shape or error differed from torch in any program."
    causes = "cause" if known == 1 else "causes"
    return f"What differed from torch is known: {known} {causes}, each with its reason and a program that shows it."


def subject(results: Results) -> str:
    """What was compared with what."""
    return (
        f"{', '.join(engine.name for engine in results.engines) or 'no engine'} against torch {results.versions.torch}"
    )


def figures(results: Results) -> list[tuple[str, str]]:
    """The counts worth a headline, as (label, text)."""
    statistics = results.statistics
    exercised = {(cell.engine, cell.operation) for cell in results.cells if cell.programs}
    offered = len(exercised) + sum(map(len, unexercised(results).values()))
    shown = [
        ("programs", f"{statistics.programs:,}"),
        ("operations applied", f"{statistics.operations:,}"),
        ("operations exercised", f"{len(exercised)} of {offered}"),
    ]
    if results.pairs:
        covered, possible = sum(p.covered for p in results.pairs), sum(p.possible for p in results.pairs)
        shown.append(("pairs exercised", f"{covered:,} of {possible:,}"))
    if results.corpus:
        topics = [topic for corpus in results.corpus for topic in corpus.topics]
        same, programs = sum(topic.same for topic in topics), sum(topic.programs for topic in topics)
        shown.append(("behave as in torch", f"{same:,} of {programs:,}"))
    return [
        *shown,
        ("mismatches", f"{statistics.mismatches:,}"),
        ("findings", f"{len(results.findings):,}"),
        ("seed", str(results.configuration.seed)),
    ]


def tried(results: Results) -> str:
    """One sentence on how much was tried."""
    by_label = dict(figures(results))
    pairs = f", {by_label['pairs exercised']} pairs" if "pairs exercised" in by_label else ""
    allowed = ", as many as the time allowed" if results.configuration.examples is None else ""
    return (
        f"{by_label['programs']} programs, {by_label['operations applied']} operations applied "
        f"({by_label['operations exercised']} kinds){pairs}, in {seconds(results.timings.total)}{allowed}"
    )


def command(results: Results) -> str:
    """The command line that does this run again."""
    configuration = results.configuration
    words = ["conformance", "run", *(engine.spec for engine in results.engines), "--seed", str(configuration.seed)]
    if configuration.examples is not None:
        words += ["--examples", str(configuration.examples)]
    if configuration.time is not None:
        words += ["--time", f"{configuration.time:g}"]
    if configuration.level:
        words += ["--level", configuration.level]
    if configuration.min_coverage is not None:
        words += ["--min-coverage", f"{configuration.min_coverage:g}"]
    return shlex.join(words)


def program(finding: Finding) -> str:
    """The reduced program alone: its leaves and steps, one line each, over the name `torch`."""
    return body(finding.program)


def replay(finding: Finding) -> str:
    """The command line that runs a finding's program again."""
    return f"conformance replay {finding.id}"


def matrices(results: Results) -> Iterator[Matrix]:
    """One matrix for each engine. Every operation that the engine offers has a row, then those it lacks."""
    features = tuple(dict.fromkeys(cell.feature for cell in results.cells))
    for engine in results.engines:
        known = _known_operations(results, engine.name)
        squares: dict[tuple[str, str], Square] = {}
        total: Counter[str] = Counter()
        wrong: Counter[str] = Counter()
        for cell in results.cells:
            if cell.engine == engine.name:
                squares[cell.operation, cell.feature] = _square(
                    cell.programs, cell.mismatches, cell.unsupported, known(cell.operation)
                )
                total[cell.operation] += cell.programs
                wrong[cell.operation] += cell.mismatches
        names = {*engine.operations, *engine.unsupported, *(name for name, _ in squares)}
        operations = sorted(names, key=lambda name: (name in engine.unsupported, name))
        yield Matrix(
            engine.name,
            ("all", *features),
            tuple(
                (
                    name,
                    (
                        _square(total[name], wrong[name], name in engine.unsupported, known(name)),
                        *(squares.get((name, feature), Square("does not apply")) for feature in features),
                    ),
                )
                for name in operations
            ),
        )


def by_engine(results: Results) -> list[tuple[str, list[tuple[str, Square]]]]:
    """Operation × engine: each operation with every engine's square."""
    found = {matrix.engine: {name: squares[0] for name, squares in matrix.rows} for matrix in matrices(results)}
    names = sorted({name for squares in found.values() for name in squares})
    absent = Square("does not apply")
    return [(name, [(engine, squares.get(name, absent)) for engine, squares in found.items()]) for name in names]


def _known_operations(results: Results, engine: str) -> Callable[[str], bool]:
    """Whether what differs in programs of an operation is known.

    So it is where no cause is unknown; otherwise where known causes concern the operation, and no other one does.
    """
    concerned: dict[bool, set[str]] = {True: set(), False: set()}
    for finding in results.findings:
        if finding.engine == engine:
            concerned[bool(finding.known)].update((finding.blamed, *finding.operations))
    if not concerned[False]:
        return lambda _: bool(concerned[True])
    return (concerned[True] - concerned[False]).__contains__


def _square(programs: int, mismatches: int, unsupported: int, known: bool) -> Square:
    if mismatches:
        return Square("known" if known else "failed", programs, mismatches)
    if programs > unsupported or (programs and not unsupported):
        return Square("passed", programs)
    return Square("unsupported" if unsupported else "not exercised", programs)


def environment(results: Results) -> list[tuple[str, str]]:
    """What ran where, as (label, text)."""
    versions = results.versions
    facts = [
        ("suite", f"minigrad-conformance {versions.suite}"),
        ("reference", f"torch {versions.torch}"),
        *(
            ("engine", f"{e.name} {e.version}".strip() + (f" ({e.spec})" if e.spec != e.name else ""))
            for e in results.engines
        ),
        ("Python", versions.python),
        ("numpy", versions.numpy),
        ("Hypothesis", versions.hypothesis),
        ("platform", versions.platform),
        ("started", results.started),
        ("results format", results.format),
    ]
    return [(label, text) for label, text in facts if text]


def quality(results: Results) -> list[tuple[str, str, str]]:
    """How good the testing was, as (label, text, what it means)."""
    s = results.statistics
    return [
        ("programs run", f"{s.programs:,}", "each by the engine and by torch"),
        ("discarded", _share(s.discarded, s.programs + s.discarded), "drawn but not run"),
        ("duplicates", _share(s.duplicates, s.programs), "equal to a program that was run before"),
        ("ill-conditioned", _share(s.ill_conditioned, s.programs), "too sensitive to rounding to be judged"),
        (
            "unsupported",
            _share(s.unsupported, s.programs),
            "use something that the engine lacks; never counted as passed",
        ),
        (
            "reference errors",
            _share(s.reference_errors, s.programs),
            "torch refused a program that was meant to be valid",
        ),
    ]


@dataclass(frozen=True)
class Scale:
    """How far passing results were from torch's, of one operation or of all; `worst` in units of the last place."""

    operation: str
    counts: tuple[int, ...]
    worst: str

    @property
    def shares(self) -> tuple[float, ...]:
        """Part of the programs in each bin."""
        total = sum(self.counts) or 1
        return tuple(count / total for count in self.counts)

    @property
    def heat(self) -> tuple[int, ...]:
        """The shares from 1 to 9, for a shade of each."""
        return tuple(max(1, round(9 * share)) for share in self.shares)


@dataclass(frozen=True)
class Distribution:
    """The scales of one engine: of all operations together, then of each, the worst first."""

    engine: str
    together: Scale
    each: tuple[Scale, ...]

    @property
    def said(self) -> str:
        """How near to the tolerance programs came."""
        near, beyond = self.together.counts[-2:]
        names = [scale.operation for scale in self.each if scale.counts[-2]]
        of = f" ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})" if names else ""
        said = f"{_programs(near)} came within a factor of two of the tolerance{of}" if near else ""
        more = f"{_programs(beyond)} lay beyond it, within their own noise" if beyond else ""
        return f"Near misses: {'; '.join(filter(None, (said, more))) or 'none'}."


#: What the bins of `results.Errors.counts` mean.
BINS = ("equal", *(f"≤ {bound:g}" for bound in ERROR_BINS[1:-1]), f"> {ERROR_BINS[-2]:g}")


def distributions(results: Results) -> list[Distribution]:
    """Errors of what passed, for each engine that has any stated."""
    found = []
    for engine in dict.fromkeys(errors.engine for errors in results.errors):
        mine = sorted((e for e in results.errors if e.engine == engine), key=lambda e: (-e.worst, e.operation))
        counts = tuple(map(sum, zip(*(e.counts for e in mine), strict=True)))
        each = tuple(Scale(e.operation, e.counts, number(repr(e.worst))) for e in mine)
        found.append(Distribution(engine, Scale("all", counts, each[0].worst), each))
    return found


def _programs(count: int) -> str:
    return "1 program" if count == 1 else f"{count:,} programs"


@dataclass(frozen=True)
class Tested:
    """The self-test: one line, a row for each family of faults, and the faults that were missed or misnamed.

    Rows are (family, planted, found, named rightly, programs until found in the median).
    """

    line: str
    rows: tuple[tuple[str, int, int, int, str], ...]
    missed: tuple[tuple[str, str], ...]


SELFTEST_HEADERS = ("faults", "planted", "found", "named rightly", "programs until found (median)")


def selftest(results: Results) -> Tested | None:
    """The self-test of the suite, where the results hold one."""
    given = results.selftest
    if given is None or not given.faults:
        return None
    families: dict[str, list[PlantedFault]] = {"all": list(given.faults)}
    for fault in given.faults:
        families.setdefault(fault.family, []).append(fault)
    rows = tuple(
        (
            family,
            len(faults),
            sum(fault.found for fault in faults),
            sum(fault.named for fault in faults),
            f"{median(found):,.0f}" if (found := [fault.programs for fault in faults if fault.found]) else "–",
        )
        for family, faults in families.items()
    )
    _, planted, found_, named, programs = rows[0]
    line = (
        f"{found_:,} of {planted:,} planted faults were found, {named:,} of them named rightly, after {programs} "
        f"programs in the median; {given.engine} with one fault at a time, {given.examples:,} programs, "
        f"seed {given.seed}"
    )
    missed = tuple(
        (fault.name, f"named as {fault.said}" if fault.found else "not found")
        for fault in given.faults
        if not (fault.found and fault.named)
    )
    return Tested(line, rows, missed)


def least_paired(pairs: Pairs, most: int = 12) -> list[tuple[str, int, int]]:
    """Operations with the fewest pairs, as (operation, how many it fed, how many fed it); none when all are there."""
    rows = [int(row, 16) for row in pairs.rows]
    n = len(pairs.operations)
    fed = [row.bit_count() for row in rows]
    by = [sum(row >> column & 1 for row in rows) for column in range(n)]
    short = [(name, fed[i], by[i]) for i, name in enumerate(pairs.operations) if fed[i] < n or by[i] < n]
    return sorted(short, key=lambda row: row[1] + row[2])[:most]


def costs(results: Results) -> list[tuple[str, str, str, str]]:
    """What each engine cost, as (engine, its seconds, torch's for the same programs, the ratio)."""
    return [
        (e.name, seconds(e.seconds), seconds(e.reference_seconds), f"{e.seconds / e.reference_seconds:.2f} ×")
        for e in results.engines
        if e.reference_seconds
    ]


def known(results: Results) -> list[tuple[str, str, str, str]]:
    """The expectations and what has become of them, as (id, engine, outcome, why)."""
    return [(e.id, e.engine, e.outcome, "; ".join(filter(None, (e.text, e.reason)))) for e in results.expectations]


@dataclass(frozen=True)
class Recited:
    """The behaviour corpus under one engine; `note` says why there is nothing to show where it was not run.

    `rows` hold each topic's counts, led by those of all: (name, programs, same, known, differ, stale).
    """

    engine: str
    note: str = ""
    rows: tuple[tuple[str, int, int, int, int, int], ...] = ()
    programs: tuple[CorpusProgram, ...] = ()

    @property
    def failing(self) -> tuple[CorpusProgram, ...]:
        """The programs that the gate does not accept."""
        return tuple(program for program in self.programs if program.status != "known")

    @property
    def line(self) -> str:
        """All of it in one line."""
        if self.note:
            return self.note
        _, programs, same, known, differ, stale = self.rows[0]
        parts = [("known to differ", known), ("unlike torch", differ), ("listed as different, and the same", stale)]
        said = ", ".join(f"{what}: {count:,}" for what, count in parts if count)
        return f"{same:,} of {programs:,} programs show the same as under torch" + (f"; {said}" if said else "")


#: Characters of a column that shows one side of a program of the corpus.
WIDE = 56
CORPUS_HEADERS = ("topic", "programs", "same", "known", "differ", "stale")


def corpora(results: Results) -> list[Recited]:
    """The behaviour corpus under each engine."""
    found = {corpus.engine: corpus for corpus in results.corpus}
    return [
        _recited(found[engine.name]) if engine.name in found else Recited(engine.name, _without(results, engine.name))
        for engine in results.engines
    ]


def _recited(corpus: Corpus) -> Recited:
    rows = [(t.name, t.programs, t.same, t.known, t.differs, t.stale) for t in corpus.topics]
    total = ("all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True)))
    gravity = {"differs": 0, "stale": 1, "known": 2}
    programs = sorted(corpus.programs, key=lambda program: (gravity[program.status], program.id))
    return Recited(corpus.engine, rows=(total, *rows), programs=tuple(programs))  # type: ignore[arg-type]


def _without(results: Results, engine: str) -> str:
    if results.configuration.level != "corpus":
        return "not run: --level corpus runs it, for engines that mirror torch's module"
    if not results.complete:
        return "not run: the run was stopped before it"
    return f"not applicable: {engine} does not mirror torch's module"


def told(program: CorpusProgram, engine: str) -> str:
    """What a program of the corpus shows, as text: each statement that differs, with both sides beside each other."""
    if program.status == "stale":
        return f"listed as different, and is not: {program.reason}"
    blocks = [f"why: {program.reason}"] if program.reason else []
    for statement in program.statements:
        sides = [(statement.expected or "(nothing)", statement.actual or "(nothing)")]
        columns = tabulate(
            sides, headers=("torch", engine), tablefmt="simple", disable_numparse=True, maxcolwidths=[WIDE, WIDE]
        )
        blocks.append(f"{prompted(statement.source)}\n{columns}")
    return "\n\n".join(blocks)


def prompted(source: str) -> str:
    """Source as at Python's prompt."""
    return ">>> " + source.rstrip().replace("\n", "\n... ")


@dataclass(frozen=True)
class Run:
    """One run of a trend, in numbers."""

    started: str
    suite: str
    programs: int
    cells: float
    pairs: float
    mismatches: int
    findings: int
    exit_code: int


def runs(results: Results, history: Iterable[Results]) -> list[Run]:
    """The runs of a trend, oldest first; empty without earlier ones."""
    every = sorted([*history, results], key=lambda r: r.started)
    return [_run(r) for r in every] if len(every) > 1 else []


def _run(results: Results) -> Run:
    offered = [cell for cell in results.cells if not cell.unsupported or cell.programs]
    covered, possible = sum(p.covered for p in results.pairs), sum(p.possible for p in results.pairs)
    return Run(
        started=results.started,
        suite=results.versions.suite,
        programs=results.statistics.programs,
        cells=sum(bool(cell.programs) for cell in offered) / (len(offered) or 1),
        pairs=covered / (possible or 1),
        mismatches=results.statistics.mismatches,
        findings=len(results.findings),
        exit_code=results.exit_code,
    )


def timings(results: Results) -> list[tuple[str, str, str]]:
    """Where the time went, as (label, seconds, share of all); with several processes, the parts are their sums."""
    t = results.timings
    parts = [
        ("start-up", t.startup),
        ("generate", t.generate),
        ("engine", t.engine),
        ("torch", t.reference),
        ("compare", t.compare),
        ("reduce", t.reduce),
        *([("behaviour corpus", t.corpus)] if t.corpus else []),
    ]
    spent = sum(value for _, value in parts)
    rest = max(0.0, t.total - spent)
    whole = max(t.total, spent) or 1.0
    rows = [(label, seconds(value), f"{value / whole:.0%}") for label, value in [*parts, ("other", rest)]]
    by = f" by the clock, {t.jobs} processes" if t.jobs > 1 else ""
    return [*rows, (f"total{by}", seconds(t.total), "100%" if whole == t.total else "")]


def ranked(results: Results) -> list[Finding]:
    """The findings, unknown ones first, then by verdict, then by how often they were met."""
    gravity = {"engine wrong": 0, "torch wrong": 1, "undecided": 2, "convention differs": 3, "ill-conditioned": 4}
    return sorted(results.findings, key=lambda f: (bool(f.known), gravity[f.verdict], -f.met, f.id))


def seconds(value: float) -> str:
    """A duration, with as many digits as matter."""
    return f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"


def times(count: int) -> str:
    """`once`, or `N times`."""
    return "once" if count == 1 else f"{count:,} times"


def headline(finding: Finding) -> str:
    """A finding in one line."""
    return f"{finding.blamed}: {finding.message}" if finding.blamed not in finding.message else finding.message


def number(text: str | None) -> str:
    """A number that the results hold as text, shortened to three digits for reading; other text unchanged."""
    try:
        return f"{float(text):.3g}" if text is not None else "–"
    except ValueError:
        return str(text)


def measures(finding: Finding) -> list[tuple[str, str]]:
    """The worst element of a finding, as (label, text)."""
    d = finding.difference
    place = "" if d.where is None else f"[{', '.join(map(str, d.where))}]" if d.where else " (a scalar)"
    rows = [("where", f"{d.what}{place}"), ("torch gives", d.expected), (f"{finding.engine} gives", d.actual)]
    if finding.referee:
        rows.append(("the referee gives", finding.referee))
    if finding.reason:
        rows.append(("verdict", f"{finding.verdict}: {finding.reason}"))
    if d.absolute is not None:
        rows.append(("difference", number(d.absolute)))
    if d.relative is not None:
        rows.append(("relative", number(d.relative)))
    if d.ulps is not None:
        rows.append(("units in the last place", number(d.ulps)))
    return rows


def sides(finding: Finding) -> tuple[str, str]:
    """The whole of what differs, as torch and as the engine give it; just the worst element where no more is known."""
    name, _, part = finding.difference.what.partition(".")
    for node in finding.graph:
        if node.name == name and part == "grad" and node.gradient is not None:
            return node.gradient, node.actual_gradient or "not observed"
        if node.name == name and not part and node.value:
            return node.value, node.actual_value or "not observed"
    return finding.expected, finding.actual


def _share(count: int, of: int) -> str:
    return f"{count:,} ({count / of:.2%})" if of and count else f"{count:,}"
