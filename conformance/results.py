"""Results of a run: the public, versioned file that every report is made from.

`Results` is typed; `schema()` gives its JSON Schema. `load` and `save` are the only ways in and out of a file.
Nothing here needs torch or Hypothesis.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from conformance.duplicates import Sketch
from conformance.program import Program

FORMAT: Literal["minigrad-conformance/1"] = "minigrad-conformance/1"
SELFTEST_FORMAT: Literal["minigrad-conformance-selftest/1"] = "minigrad-conformance-selftest/1"

Verdict: TypeAlias = Literal["engine wrong", "torch wrong", "convention differs", "ill-conditioned", "undecided"]
Kind: TypeAlias = Literal[
    "gradient",
    "second-order gradient",
    "value",
    "dtype",
    "shape",
    "none",
    "error",
    "requires_grad",
    "is_leaf",
    "grad_fn",
    "version",
    "contiguity",
    "alias",
    "warning",
    "hook",
    "crash",
    "hang",
]


ExpectedOutcome: TypeAlias = Literal["known", "stale", "changed", "expired", "not run", "flaky", "does not apply"]


class ResultsError(Exception):
    """A results file that cannot be read or written: one line that says why and what to do."""


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of everything that shapes a run."""

    suite: str
    python: str
    numpy: str
    torch: str
    hypothesis: str
    platform: str = ""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What the run was asked to do: a budget in programs (`examples`) or in seconds (`time`), and a seed.

    With a budget in programs the same programs are run everywhere. With one in seconds their number depends on the
    speed of the machine (the ids of findings do not). `min_coverage` is the percentage of the cells that must be tried.
    `level` is how deep engines were looked at; "" stands for all that random programs can ask of each of them, which
    leaves out the corpus of behaviour.
    """

    seed: int
    examples: int | None = None
    time: float | None = None
    min_coverage: float | None = None
    level: str = ""


class EngineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An engine under test, and the operations it lacks (never counted as passed).

    `seconds` is what it took for its programs, `reference_seconds` what torch took for the same ones.
    """

    name: str
    spec: str
    version: str = ""
    operations: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    seconds: float = 0.0
    reference_seconds: float = 0.0


#: Upper ends of the bins of `Errors.counts`, in units of the last place; the last one but one is the tolerance.
ERROR_BINS: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, float("inf"))


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """How far an engine's results were from torch's where they passed, for the programs of one operation alone.

    `counts[i]` programs had their largest error within `ERROR_BINS[i]` units of the last place of the largest element
    of their array (and above the bin before); the first holds those equal to the last bit, the last those beyond the
    fixed tolerance that were within the measured noise of their program. `worst` is the largest error of all.
    """

    engine: str
    operation: str
    counts: tuple[int, ...]
    worst: float


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Coverage of an operation × a feature."""

    engine: str
    operation: str
    feature: str
    programs: int = 0
    mismatches: int = 0
    unsupported: int = 0


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """Ordered pairs of operations (an output of the first feeds the second) that were run.

    Row i of `rows` belongs to `operations[i]`: a hexadecimal number whose bit j is set when the pair with
    `operations[j]` was run. `possible` leaves out what the engine does not support.
    """

    engine: str
    operations: tuple[str, ...]
    rows: tuple[str, ...]
    covered: int
    possible: int

    def missing(self) -> list[tuple[str, str]]:
        """Pairs that were not run, in order."""
        return [
            (first, second)
            for first, row in zip(self.operations, (int(row, 16) for row in self.rows), strict=True)
            for bit, second in enumerate(self.operations)
            if not row >> bit & 1
        ]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The largest difference of a finding.

    `what` says which observation (`x0.grad`, `v3`), `where` the index of the element; numbers are written as text
    (`repr`), since they may be nan or infinite. `relative` and `ulps` are None where they have no meaning.
    """

    what: str
    where: tuple[int, ...] | None
    expected: str
    actual: str
    absolute: str | None = None
    relative: str | None = None
    ulps: str | None = None


class GraphNode(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the reduced program: its name in the script, what made it, and both sides' numbers as text."""

    id: int
    name: str
    label: str
    kind: Literal["leaf", "constant", "operation"]
    inputs: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""
    value: str = ""
    actual_value: str = ""
    gradient: str | None = None
    actual_gradient: str | None = None
    differs: bool = False
    root: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A cause: one reduced program that shows it, what is to blame, and how often it was met.

    `known` is the id of the expectation that lists it; "" when none does. `verdict` says who is wrong and `reason`
    why; `referee` is the exact number in the place of `expected`, as text.
    `position` is the number of the first program that showed it, in the order of the search.
    """

    id: str
    engine: str
    blamed: str
    kind: Kind
    message: str
    program: Program
    source: str = msgspec.field(name="script")
    operations: tuple[str, ...]
    graph: tuple[GraphNode, ...]
    expected: str
    actual: str
    difference: Difference
    met: int
    verdict: Verdict = "undecided"
    known: str = ""
    referee: str = ""
    reason: str = ""
    features: tuple[str, ...] = ()
    first_seen: str = ""
    position: int = 0
    reduced_from: int = 0
    reduction_runs: int = 0

    def script(self) -> str:
        """The program as Python that runs on its own: it needs numpy, torch and the engine, not this suite."""
        return self.source


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of an expectation: `text` says how so, `reason` why it is listed.

    `shown` is the signature that its witness shows now, as far as it shows one; `status` is what is thought of it.
    """

    id: str
    engine: str
    signature: str
    outcome: ExpectedOutcome
    text: str = ""
    shown: str = ""
    reason: str = ""
    status: str = ""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement of the corpus, and what it showed under torch and under the engine, where that is not the same."""

    source: str
    expected: str
    actual: str


class CorpusProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A program of the corpus that differs, or that is listed as different (with its `reason`) and is not: `stale`.

    `id` is its topic and its name; `statements` are those that showed something else.
    """

    id: str
    status: Literal["differs", "known", "stale"]
    source: str
    statements: tuple[Statement, ...] = ()
    reason: str = ""


class CorpusTopic(msgspec.Struct, frozen=True, kw_only=True):
    """How many programs of a topic there are, and how they fared."""

    name: str
    same: int = 0
    differs: int = 0
    known: int = 0
    stale: int = 0

    @property
    def programs(self) -> int:
        """How many were run."""
        return self.same + self.differs + self.known + self.stale


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """The corpus of behaviour under one engine: its topics, and each program that did not show the same as under torch.

    Both are in the order of their names. Engines that do not mirror torch's module have none.
    """

    engine: str
    topics: tuple[CorpusTopic, ...]
    programs: tuple[CorpusProgram, ...] = ()

    def ids(self, status: str) -> tuple[str, ...]:
        """The programs that fared so."""
        return tuple(program.id for program in self.programs if program.status == status)


class PlantedFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was planted into an engine: whether the suite found it, and named the right part.

    `programs` is how many were run until it was met, `seconds` how long that took; 0 where it was not found. `said` is
    what the suite gave as the cause.
    """

    name: str
    family: str
    found: bool
    named: bool = False
    programs: int = 0
    seconds: float = 0.0
    said: str = ""


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """The suite, tested: faults were planted one at a time, each searched for with a budget of `examples` programs."""

    suite: str
    torch: str
    engine: str
    seed: int
    examples: int
    faults: tuple[PlantedFault, ...]
    seconds: float = 0.0


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds spent: `total` by the clock, the parts added up over all workers (`jobs`; 0: the process itself).

    `engine` and `reference` run programs, `corpus` those of the corpus under both; the rest is the harness.
    """

    total: float = 0.0
    jobs: int = 0
    startup: float = 0.0
    generate: float = 0.0
    engine: float = 0.0
    reference: float = 0.0
    compare: float = 0.0
    reduce: float = 0.0
    corpus: float = 0.0

    @property
    def search(self) -> float:
        """Seconds of the search itself."""
        return self.generate + self.engine + self.reference + self.compare

    @property
    def harness_ratio(self) -> float:
        """Generation + comparison, as a share of what both engines took to run the programs."""
        running = self.engine + self.reference
        return (self.generate + self.compare) / running if running else 0.0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the search did. `discarded` programs were drawn but not run; `operations` counts applications.

    `lost` counts what was given up since the suite failed, blocks of programs above all: `Results.troubles` says why.
    """

    programs: int = 0
    operations: int = 0
    mismatches: int = 0
    unsupported: int = 0
    discarded: int = 0
    duplicates: int = 0
    ill_conditioned: int = 0
    reference_errors: int = 0
    lost: int = 0


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A failure of torch (a "reference-error") or of the suite (an "internal-error"), which says nothing of the engine.

    `position` is that of the program in the run, or of the first of its block; `where` says it as `block#number`.
    """

    engine: str
    code: Literal["reference-error", "internal-error"]
    position: int
    where: str
    text: str
    trace: str = ""

    def order(self) -> tuple[int, str, str]:
        """What it stands before and after in results: the same, whoever did which part of a run."""
        return self.position, self.where, self.text


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a run this is: `number` (from 1) `of` so many.

    `sketches` holds, for each engine, what is needed to count duplicates across shards.
    """

    number: int
    of: int
    sketches: dict[str, Sketch] = {}


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run, or a shard of one."""

    format: Literal["minigrad-conformance/1"] = FORMAT
    versions: Versions
    configuration: Configuration
    engines: tuple[EngineRecord, ...]
    cells: tuple[Cell, ...] = ()
    pairs: tuple[Pairs, ...] = ()
    errors: tuple[Errors, ...] = ()
    findings: tuple[Finding, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    expectations: tuple[Expected, ...] = ()
    corpus: tuple[Corpus, ...] = ()
    selftest: SelfTest | None = None
    statistics: Statistics = msgspec.field(default_factory=Statistics)
    timings: Timings = msgspec.field(default_factory=Timings)
    started: str = ""
    shard: Shard | None = None
    complete: bool = True
    reasons: tuple[str, ...] = ()
    exit_code: int = 0

    def finding(self, id: str) -> Finding:
        """The finding with this id. Raises `ResultsError` when there is none."""
        for found in self.findings:
            if found.id == id:
                return found
        known = ", ".join(f.id for f in self.findings) or "none"
        raise ResultsError(f"no finding {id!r} in these results (findings: {known})")


class _Header(msgspec.Struct):
    format: str = ""


def loads(data: bytes, source: str = "results") -> Results:
    """Results from their JSON. Raises `ResultsError` with one line naming `source` otherwise."""
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"{source}: not a complete results file ({error}); run the suite again") from None
    if header.format != FORMAT:
        said = header.format or "no format"
        raise ResultsError(f"{source}: states {said}, this version reads {FORMAT}; run the suite again to rewrite it")
    try:
        return msgspec.json.decode(data, type=Results)
    except msgspec.DecodeError as error:
        raise ResultsError(f"{source}: not valid {FORMAT} ({error}); run the suite again") from None


def load(path: str | os.PathLike[str]) -> Results:
    """Results from a file. Raises `ResultsError` when it is missing, cut short, or of another format."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ResultsError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from None
    return loads(data, os.fspath(path))


def with_selftest(results: Results, path: str | os.PathLike[str]) -> Results:
    """The same results with the figures of a selftest's file. Raises `ResultsError` when it is none."""
    try:
        data = Path(path).read_bytes()
        stated = msgspec.json.decode(data, type=_Header).format
        found = msgspec.json.decode(data, type=SelfTest)
    except OSError as error:
        raise ResultsError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"{os.fspath(path)}: no selftest ({error}); `conformance selftest` writes one") from None
    if stated != SELFTEST_FORMAT:
        said = stated or "no format"
        raise ResultsError(f"{os.fspath(path)}: states {said}, this version reads {SELFTEST_FORMAT}; run it again")
    return msgspec.structs.replace(results, selftest=found)


def dumps(results: Results) -> bytes:
    """Results as indented JSON, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n"


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file as a whole, so that a reader (or a failure half way) never sees a part. Raises `ResultsError`."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            try:
                file.write(data)
                file.close()
                os.chmod(file.name, 0o644)
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise ResultsError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from None


def save(results: Results, path: str | os.PathLike[str]) -> None:
    """Write results to a file, replacing it as a whole. Raises `ResultsError` when that is not possible."""
    write(path, dumps(results))


def schema() -> dict[str, Any]:
    """The JSON Schema of a results file."""
    return msgspec.json.schema(Results)
