"""Known findings: `expectations.toml`, its witnesses, and what has become of them.

An expectation is a finding that is known, with a reason. Its witness is a stored program that shows it. Witnesses are
replayed beside every search, several times and in a fresh process too: an expectation is known only while its witness
shows the same signature every time.

    [[expectation]]
    id = "trigamma"
    engine = "minigrad"
    signature = "digamma: gradient"
    witness = "witnesses/trigamma.json"
    status = "torch wrong"
    reason = "torch's trigamma is exact to 1e-9 only"
    issue = "https://example.org/1"
    since = 2026-11-23
    expires = 2027-11-23
    when = { torch = ">=2.9,<2.14" }
"""

from __future__ import annotations

import datetime
import itertools
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from conformance.program import Program, defects, from_json, to_json
from conformance.results import Expected, ExpectedOutcome, Finding, Kind, Results, ResultsError, write

if TYPE_CHECKING:
    from conformance.blame import Bench
    from conformance.engines import Engine
    from conformance.engines.protocol import Level

#: What is thought of a finding: not looked into, accepted for a reason, the engine's mistake, something that it refuses
#: and torch does not, torch's mistake, or a matter of convention.
Status: TypeAlias = Literal["open", "accepted", "wrong", "unsupported", "torch wrong", "convention differs"]

#: Times that a witness is run in one process.
REPEATS = 3


class ExpectationsError(ResultsError):
    """An expectations file that cannot be used, or a request that would lose something: one line."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One known finding. `witness` is a program as JSON, or the path of its file beside the expectations."""

    id: str
    engine: str
    signature: str
    witness: str
    status: Status
    reason: str
    issue: str = ""
    since: datetime.date
    expires: datetime.date | None = None
    when: dict[str, str] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expectation: tuple[Expectation, ...] = ()


class Known(msgspec.Struct, frozen=True):
    """An expectation with its witness read."""

    expectation: Expectation
    program: Program


def signature(blamed: str, kind: str) -> str:
    """What two findings of one engine share when they have one cause."""
    return f"{blamed}: {kind}"


def cause(text: str) -> tuple[str, Kind]:
    """What was blamed and the kind, of a signature."""
    blamed, _, kind = text.rpartition(": ")
    return blamed, kind  # type: ignore[return-value] # `load` has seen to it


# -- reading -----------------------------------------------------------------------------------------------------------


def load(path: Path) -> tuple[Known, ...]:
    """The expectations of a file. Raises `ExpectationsError` with one line for whatever is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExpectationsError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        entries = msgspec.toml.decode(data, type=_File).expectation
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExpectationsError(f"{path}: {' '.join(str(error).split())}") from None
    seen: set[str] = set()
    found = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}: expectation {number} ({entry.id or 'without an id'})"
        if entry.id in seen:
            raise ExpectationsError(f"{where}: the id is used twice")
        seen.add(entry.id)
        for problem in _problems(entry):
            raise ExpectationsError(f"{where}: {problem}")
        found.append(Known(entry, _witness(entry, path.parent, where)))
    return tuple(found)


def listed(spec: str) -> Path | None:
    """The expectations that come with the suite for a registered engine, such as minigrad's; None for others."""
    path = Path(__file__).parent / "known" / f"{spec}.toml"
    return path if spec.isidentifier() and path.is_file() else None


def _problems(entry: Expectation) -> Iterable[str]:
    """What is wrong with an entry by itself."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    for field in ("id", "engine", "reason"):
        if not getattr(entry, field).strip():
            yield f"{field} is empty"
    if not all(c.isalnum() or c in "-_." for c in entry.id):
        yield "id may hold letters, digits, '-', '_' and '.' only"
    blamed, colon, kind = entry.signature.rpartition(": ")
    if not (colon and blamed) or kind not in get_args(Kind):
        yield f"signature {entry.signature!r} is not 'operation: kind', with a kind of {', '.join(get_args(Kind))}"
    if entry.issue and not entry.issue.startswith(("https://", "http://")):
        yield f"issue {entry.issue!r} is no link"
    if entry.expires is not None and entry.expires < entry.since:
        yield f"it expires ({entry.expires}) before it begins ({entry.since})"
    for package, condition in entry.when.items():
        try:
            SpecifierSet(condition)
        except InvalidSpecifier:
            yield f"when.{package}: {condition!r} is no version condition such as '>=2.9,<2.14'"
        if _version(package) is None:
            yield f"when.{package}: no such package is installed"


def _witness(entry: Expectation, folder: Path, where: str) -> Program:
    inline = entry.witness.lstrip().startswith("{")
    try:
        program = from_json(entry.witness if inline else (folder / entry.witness).read_bytes())
    except OSError as error:
        said = error.strerror or error
        raise ExpectationsError(f"{where}: witness {entry.witness!r} cannot be read: {said}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ExpectationsError(f"{where}: the witness is no program: {' '.join(str(error).split())}") from None
    for defect in defects(program):
        raise ExpectationsError(f"{where}: the witness is no program: {defect}")
    return program


def _version(package: str) -> str | None:
    if package == "python":
        return platform.python_version()
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def applies(entry: Expectation) -> bool:
    """Whether the versions here are those that the entry is about."""
    from packaging.specifiers import SpecifierSet

    return all(SpecifierSet(c).contains(_version(p) or "", prereleases=True) for p, c in entry.when.items())


# -- replaying ---------------------------------------------------------------------------------------------------------


def causes_listed(known: Iterable[Known], engine: Engine) -> frozenset[tuple[str, Kind]]:
    """The causes that are listed for this engine and the versions here."""
    listed = [k.expectation for k in known if k.expectation.engine == engine.name]
    return frozenset(cause(entry.signature) for entry in listed if applies(entry))


def shown(bench: Bench, program: Program) -> str | None:
    """The signature that a program shows: "" when the engine agrees with torch, None when it cannot be judged."""
    if bench.actual(program).unsupported is not None:
        return None
    cause = bench.cause(program)
    return "" if cause is None else signature(*cause)


def causes(engine: Engine, programs: Sequence[Program], level: Level | None = None) -> list[str | None]:
    """What each program shows (`shown`), all of them in this process."""
    from conformance import execute
    from conformance.blame import Bench
    from conformance.engines import at_level, levels
    from conformance.engines import load as load_engine

    bench = Bench(at_level(engine, level or levels(engine)[-1]), load_engine("torch"))
    with execute.quiet():
        return [shown(bench, program) for program in programs]


def replay(
    known: Sequence[Known],
    engine: Engine,
    spec: str = "",
    level: Level | None = None,
    today: datetime.date | None = None,
    *,
    apart: Callable[[Sequence[Program]], Sequence[Sequence[str | None]]] | None = None,
) -> list[Expected]:
    """What has become of the expectations for this engine: each witness is run in this process and in a fresh one.

    `spec` is how a fresh process loads the engine; without one, there is none. `level` is the run's: no deeper is
    looked. `apart` runs all of them elsewhere instead, several times (`isolation.witnessed`): for engines that may
    crash or hang.
    """
    mine = [k for k in known if k.expectation.engine == engine.name]
    asked = [k for k in mine if applies(k.expectation)]
    programs = [k.program for k in asked]
    runs: Sequence[Sequence[str | None]] = ()
    if programs and apart is not None:
        runs = apart(programs)
    elif programs:
        runs = [causes(engine, programs, level) for _ in range(REPEATS)]
        runs = [*runs, _fresh(spec, programs, level)] if spec else runs
    seen = {k.expectation.id: [run[i] for run in runs] for i, k in enumerate(asked)}
    return [_expected(k.expectation, seen.get(k.expectation.id), today or datetime.date.today()) for k in mine]


def _fresh(spec: str, programs: Sequence[Program], level: Level | None) -> list[str | None]:
    """`causes` in a fresh process; None for each when it does not survive them."""
    command = [sys.executable, "-m", "conformance.expectations", spec, *([level] if level else [])]
    given = json.dumps([to_json(program).decode() for program in programs])
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return [None] * len(programs)
    answers: list[str | None] = json.loads(lines[-1])
    return answers


def _expected(entry: Expectation, seen: Sequence[str | None] | None, today: datetime.date) -> Expected:
    def outcome(result: ExpectedOutcome, text: str = "") -> Expected:
        return Expected(
            id=entry.id,
            engine=entry.engine,
            signature=entry.signature,
            outcome=result,
            text=text,
            shown=(seen[0] or "") if seen else "",
            reason=entry.reason,
            status=entry.status,
        )

    if seen is None:
        return outcome("does not apply", "for other versions")
    if None in seen:
        return outcome("not run", "its witness could not be run")
    shown = sorted({answer or "no difference" for answer in seen})
    if len(shown) > 1:
        return outcome("flaky", f"its witness shows now {' and now '.join(shown)}")
    if not seen[0]:
        return outcome("stale", "its witness agrees with torch")
    if seen[0] != entry.signature:
        return outcome("changed", f"its witness shows {seen[0]}, not {entry.signature}")
    if entry.expires is not None and entry.expires < today:
        return outcome("expired", f"it expired on {entry.expires}")
    return outcome("known")


def apply(results: Results, expected: Sequence[Expected]) -> Results:
    """The same results with known findings marked, judged again."""
    from conformance.gate import judge

    listed = {(e.engine, e.signature): e.id for e in expected if e.outcome in ("known", "expired", "flaky")}
    findings = tuple(
        msgspec.structs.replace(f, known=listed.get((f.engine, signature(f.blamed, f.kind)), ""))
        for f in results.findings
    )
    marked = msgspec.structs.replace(results, findings=findings, expectations=tuple(expected))
    return judge(marked, interrupted=not results.complete)


# -- editing -----------------------------------------------------------------------------------------------------------


def update(path: Path, results: Results, reason: str, issue: str = "") -> tuple[str, ...]:
    """Add the findings that are not listed, and bring the changed entries up to date; the ids that were written.

    Every other field, entry and comment is kept. Raises `ExpectationsError` on a partial run.
    """
    _require_whole(results)
    document = _document(path)
    entries = document.setdefault("expectation", _tables())
    changed = {e.id: e.shown for e in results.expectations if e.outcome == "changed"}
    written = []
    for entry in entries:
        if entry["id"] in changed:
            entry["signature"] = changed[entry["id"]]
            written.append(str(entry["id"]))
    listed = {(entry["engine"], entry["signature"]) for entry in entries}
    for finding in results.findings:
        if finding.known or (finding.engine, signature(finding.blamed, finding.kind)) in listed:
            continue
        if not reason.strip():
            raise ExpectationsError(f"{finding.id} is not listed yet: say why it is accepted, with --reason")
        taken = {str(entry["id"]) for entry in entries}
        names = itertools.chain([finding.id], (f"{finding.id}-{k}" for k in itertools.count(2)))
        entry = _new(next(n for n in names if n not in taken), finding, results, reason, issue)
        write(path.parent / str(entry["witness"]), to_json(finding.program) + b"\n")
        entries.append(entry)
        written.append(str(entry["id"]))
    if written:
        _save(path, document)
    return tuple(written)


def prune(path: Path, results: Results) -> tuple[str, ...]:
    """Remove the entries whose witness agrees with torch now; their ids. Raises as `update` does."""
    _require_whole(results)
    if not path.exists():
        raise ExpectationsError(f"{path}: cannot be read: there is no such file")
    document = _document(path)
    stale = {e.id for e in results.expectations if e.outcome == "stale"}
    entries = document.get("expectation", [])
    removed = []
    for position in reversed(range(len(entries))):
        entry = entries[position]
        if entry["id"] in stale:
            removed.append(str(entry["id"]))
            del entries[position]
    if removed:
        if not entries:  # an empty list would be written as `expectation = []`
            del document["expectation"]
        _save(path, document)
    return tuple(reversed(removed))


def _require_whole(results: Results) -> None:
    if not results.complete or getattr(results, "shard", None) is not None:
        raise ExpectationsError("these results are of a part of a run: run the suite to its end, then try again")


def _document(path: Path) -> Any:
    import tomlkit

    if not path.exists():
        return tomlkit.document()
    load(path)
    return tomlkit.parse(path.read_text())


def _tables() -> Any:
    import tomlkit

    return tomlkit.aot()


def _new(id: str, finding: Finding, results: Results, reason: str, issue: str) -> Any:
    import tomlkit

    statuses: dict[str, Status] = {"torch wrong": "torch wrong", "convention differs": "convention differs"}
    entry = tomlkit.table()
    entry["id"] = id
    entry["engine"] = finding.engine
    entry["signature"] = signature(finding.blamed, finding.kind)
    entry["witness"] = f"witnesses/{id}.json"
    entry["status"] = statuses.get(finding.verdict, "open")
    entry["reason"] = reason
    if issue:
        entry["issue"] = issue
    entry["since"] = datetime.date.fromisoformat(results.started[:10])
    return entry


def _save(path: Path, document: Any) -> None:
    import tomlkit

    write(path, tomlkit.dumps(document).encode())
    load(path)


def _main() -> None:
    """A fresh process: programs come as JSON on standard input, their signatures go out."""
    from conformance.engines import load as load_engine

    level: Any = sys.argv[2] if len(sys.argv) > 2 else None
    programs = [from_json(text) for text in json.load(sys.stdin)]
    sys.stdout.write("\n" + json.dumps(causes(load_engine(sys.argv[1]), programs, level)) + "\n")


if __name__ == "__main__":
    _main()
