"""The command `conformance`. Each subcommand is one function here: its name, its docstring and its arguments are all.

Nothing heavy is imported before a command needs it, so that `conformance --help` answers at once. An error that a
person can cause ends as one line on standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from conformance.expectations import Known
    from conformance.results import Finding, Results

DEFAULT_OUTPUT = Path("conformance-results")
#: Programs that each engine gets with --all-engines, unless a budget is given.
SCOREBOARD = 2000

_EPILOG = """\
ENGINE is a registered name, package.module:Attribute or ./file.py:Attribute.
Exit codes: 0 passed, 1 finding, 2 usage, 3 internal error, 4 not enough evidence, 130 interrupted
(`conformance explain CODE` says more)."""


class UsageError(Exception):
    """Something a person can mend: one line that says what is wrong and what to do."""


Command = Callable[[argparse.Namespace], int]
Argument = Callable[[argparse.ArgumentParser], object]

_COMMANDS: list[tuple[Command, tuple[Argument, ...]]] = []


def _argument(*names: str, **options: Any) -> Argument:
    return lambda parser: parser.add_argument(*names, **options)


def _command(*arguments: Argument) -> Callable[[Command], Command]:
    """Make the function a subcommand of its own name; its docstring is the help."""

    def register(function: Command) -> Command:
        _COMMANDS.append((function, arguments))
        return function

    return register


def _read(text: str, read: Callable[[str], Any], holds: Callable[[Any], bool], what: str) -> Any:
    """An argument's value; what is wrong with it is one line that says what it has to be."""
    try:
        value = read(text)
    except ValueError:
        value = None
    if value is None or not holds(value):
        raise argparse.ArgumentTypeError(f"has to be {what}, got {text!r}")
    return value


def _positive(kind: type[int] | type[float]) -> Callable[[str], Any]:
    what = f"a {'whole number' if kind is int else 'number'} above 0"
    return lambda text: _read(text, kind, lambda value: 0 < value < float("inf"), what)


def _whole(text: str) -> Any:
    return _read(text, int, lambda value: value >= 0, "a whole number from 0")


def _percentage(text: str) -> Any:
    return _read(text, float, lambda value: 0 <= value <= 100, "a percentage from 0 to 100")


def _part(text: str) -> Any:
    def read(text: str) -> tuple[int, int]:
        number, _, of = text.partition("/")
        return int(number), int(of)

    return _read(text, read, lambda part: 1 <= part[0] <= part[1], "a part such as 1/4")


_REPLAYED = {"FIXED": 0, "FAILED": 1, "CHANGED": 1, "ERROR": 3}

_OUTPUT = _argument(
    "-o", "--output", type=Path, metavar="DIR", help="folder for results.json, report.html, report.md and junit.xml"
)


@_command(
    _argument("engines", nargs="*", metavar="ENGINE", help="a name, package.module:Attribute or ./file.py:Attribute"),
    _argument("--all-engines", action="store_true", help="every registered engine that is here, and a scoreboard"),
    _argument("--seed", type=_whole, default=0, metavar="N", help="seed of the search (default: 0)"),
    _argument(
        "--examples",
        type=_positive(int),
        metavar="N",
        help="budget in programs for each engine (default: each operation with each feature, and each pair, once; with "
        f"--all-engines {SCOREBOARD:,}, and fewer for slow ones)",
    ),
    _argument("--time", type=_positive(float), metavar="S", help="budget in seconds for each engine"),
    _argument(
        "--expectations",
        type=Path,
        action="append",
        metavar="FILE",
        help="known findings, whose witnesses are replayed beside the search (default: what comes with the suite); "
        "may be given several times",
    ),
    _argument(
        "--min-coverage",
        type=_percentage,
        metavar="PERCENT",
        help="exit with code 4 unless so many of the cells (operation × feature) were tried",
    ),
    _argument(
        "--level",
        choices=("value", "gradient", "higher", "behaviour", "look", "corpus"),
        help="how much of torch the engine claims, each with those before it (default: all that it offers but corpus). "
        "corpus also runs the behaviour corpus, for engines that mirror torch's module: ten seconds beside the budget",
    ),
    _argument("--jobs", type=_positive(int), metavar="N", help="processes to use (default: one for each CPU)"),
    _argument("--shard", type=_part, metavar="I/N", help="do the I-th of N parts, for `conformance merge`"),
    _argument("--scheduler", metavar="ADDRESS", help="use the workers of a Dask scheduler, such as tcp://host:8786"),
    _argument(
        "--timeout",
        type=_positive(float),
        default=10.0,
        metavar="S",
        help="seconds that one program may take in the engine before it is a finding (default: 10)",
    ),
    _OUTPUT,
)
def run(arguments: argparse.Namespace) -> int:
    """Search for programs on which an engine differs from torch."""
    output = arguments.output or DEFAULT_OUTPUT
    _require_writable(output)
    specs: list[str] = arguments.engines

    from conformance.engines import load, present
    from conformance.engines.adapters import ON_REQUEST

    absent: dict[str, str] = {}
    if arguments.all_engines:
        here, absent = present()
        absent |= {name: reason for name, reason in ON_REQUEST.items() if name in here and name not in specs}
        specs = [*specs, *(name for name in here if name not in ("torch", *absent, *specs))]
        for name, reason in absent.items():
            _say(f"{name}: absent: {reason}")
    if not specs:
        raise UsageError("no engine is given; name one, or give --all-engines")
    loaded: dict[str, str] = {}
    for spec in specs:  # all of them before any runs, and before torch is loaded: what cannot be used is said at once
        name = load(spec).name
        if name in loaded:
            raise UsageError(f"{loaded[name]} and {spec} are both named {name}; give each engine a name of its own")
        loaded[name] = spec
    known = _expectations(arguments.expectations, specs)

    parts, failed, stopped = _search(arguments, loaded, known, absent, output)
    if not parts:
        raise failed[0] if failed else KeyboardInterrupt

    from conformance.gate import judge
    from conformance.merge import merge as beside

    results = beside(parts)
    code = _write(judge(results, interrupted=True) if stopped else results, output)
    if failed:
        raise failed[0]
    return code


def _search(
    arguments: argparse.Namespace,
    loaded: dict[str, str],
    known: Sequence[Known],
    absent: dict[str, str],
    output: Path,
) -> tuple[list[Results], list[Exception], bool]:
    """Each engine's results, why others have none (which `absent` says, too), and whether Ctrl-C came between them."""
    from conformance.campaign import check
    from conformance.engines import EngineError
    from conformance.isolation import WorkerError, processors
    from conformance.reporting.progress import progress_on
    from conformance.reporting.scoreboard import write as write_scoreboard

    parts: list[Results] = []
    failed: list[Exception] = []
    for name, spec in loaded.items():
        try:
            with progress_on(sys.stderr, spec if len(loaded) > 1 else "") as progress:
                found = check(
                    spec,
                    seed=arguments.seed,
                    examples=_share(arguments, spec),
                    time=arguments.time,
                    jobs=arguments.jobs or processors(),
                    shard=arguments.shard,
                    scheduler=arguments.scheduler,
                    timeout=arguments.timeout,
                    min_coverage=arguments.min_coverage,
                    level=arguments.level,
                    progress=progress,
                    expectations=[one for one in known if one.expectation.engine == name],
                )
        except KeyboardInterrupt:
            return parts, failed, True
        except (EngineError, WorkerError) as error:  # the others' results are worth having all the same
            failed.append(error)
            absent[name] = "the run failed: " + (str(error).strip().splitlines() or [type(error).__name__])[-1]
            continue
        parts.append(found.results)
        if arguments.all_engines:  # after each engine: whatever comes, what there is can be read
            write_scoreboard(parts, absent, output)
        if not found.results.complete:  # stopped by Ctrl-C: what there is gets written
            break
    return parts, failed, False


def _share(arguments: argparse.Namespace, spec: str) -> int | None:
    """An engine's budget in programs; with --all-engines, those whose programs take long get fewer."""
    from conformance.engines import load

    examples: int | None = arguments.examples
    if not arguments.all_engines:
        return examples
    if examples is None and arguments.time is None:
        examples = SCOREBOARD
    return None if examples is None else max(examples // load(spec).cost, 1)


def _write(results: Results, output: Path) -> int:
    """Write and print the reports; the exit code that the results ask for."""
    from conformance.reporting import write_reports
    from conformance.reporting.console import console, print_report
    from conformance.reporting.github import publish

    out = console(sys.stdout)
    try:
        written = write_reports(results, output)
    finally:  # should the disk be full, what was found is at least said
        print_report(results, out)
    out.print(f"report: {next(path for path in written if path.suffix == '.html')}")
    publish(results, sys.stdout)
    return results.exit_code


@_command(
    _argument("shards", nargs="+", type=Path, metavar="SHARD", help="a shard's results.json, or the folder of one"),
    _OUTPUT,
)
def merge(arguments: argparse.Namespace) -> int:
    """Put all shards of a run together; needs neither torch nor the engine."""
    output = arguments.output or DEFAULT_OUTPUT
    shards = [(str(path), _load(path)) for path in arguments.shards]
    _require_writable(output)

    from conformance.merge import join

    return _write(join(shards), output)


def _expectations(given: Sequence[Path] | None, specs: Sequence[str]) -> Sequence[Known]:
    """The expectations of some files, or else those that come with the suite for these engines."""
    from conformance.expectations import listed, load

    paths = given if given is not None else [found for found in map(listed, specs) if found is not None]
    return tuple(known for each in paths for known in load(each))


@_command(
    _argument("action", choices=("update", "prune"), help="add what is not listed yet, or remove what is mended"),
    _argument("file", type=Path, metavar="FILE", help="the expectations, such as expectations.toml"),
    _argument(
        "--results",
        type=Path,
        default=DEFAULT_OUTPUT / "results.json",
        metavar="FILE",
        help="results of `conformance run … --expectations FILE`, of a whole run",
    ),
    _argument("--reason", default="", metavar="TEXT", help="why what is added is accepted"),
    _argument("--issue", default="", metavar="URL", help="where it is followed up"),
)
def expect(arguments: argparse.Namespace) -> int:
    """Bring a file of known findings up to date; what else it holds is kept."""
    from conformance.expectations import prune, update

    results = _load(arguments.results)
    if arguments.action == "update":
        written = update(arguments.file, results, arguments.reason, arguments.issue)
    else:
        written = prune(arguments.file, results)
    done = {"update": "wrote", "prune": "removed"}[arguments.action]
    _say("\n".join(f"{done} {name}" for name in written) or f"nothing to {arguments.action}")
    return 0


@_command(
    _argument(
        "finding", metavar="ID|FILE", help="a finding of the results, or a results file (replays all of its findings)"
    ),
    _argument(
        "--results",
        type=Path,
        default=DEFAULT_OUTPUT / "results.json",
        metavar="FILE",
        help="results that hold the finding",
    ),
)
def replay(arguments: argparse.Namespace) -> int:
    """Run a stored finding again, and say whether it still fails."""
    given = Path(arguments.finding)
    from_file = given.exists() or given.suffix == ".json" or len(given.parts) > 1
    results = _load(given if from_file else arguments.results)
    found = results.findings if from_file else (results.finding(arguments.finding),)
    if not found:
        raise UsageError(f"{given}: has no findings to replay")
    return max(_replay(results, finding) for finding in found)


def _replay(results: Results, finding: Finding) -> int:
    """Replay one finding; 1 when it still fails, 3 when its program cannot be judged any more."""
    from conformance.campaign import replay
    from conformance.reporting.console import console
    from conformance.reporting.summary import headline

    spec = next((engine.spec for engine in results.engines if engine.name == finding.engine), finding.engine)
    outcome = replay(finding, spec)
    out = console(sys.stdout)
    out.print(f"{outcome} {finding.id} {headline(finding)}")
    if outcome in {"FAILED", "CHANGED"}:
        out.print(finding.script().rstrip())
    return _REPLAYED[outcome]


@_command(
    _argument("results", type=Path, metavar="RESULTS", help="a results.json, or the folder that holds one"),
    _argument("--history", type=Path, nargs="+", default=[], metavar="OLD", help="earlier results: adds a trend"),
    _argument("--selftest", type=Path, metavar="FILE", help="figures of `conformance selftest`: adds them"),
    _OUTPUT,
)
def report(arguments: argparse.Namespace) -> int:
    """Make the reports again from a results file; needs neither torch nor the engine."""
    results = _load(arguments.results)
    folder = arguments.results if arguments.results.is_dir() else arguments.results.parent
    output = arguments.output or folder
    _require_writable(output)

    from conformance.reporting import render_reports
    from conformance.reporting.console import console, print_report
    from conformance.results import with_selftest

    if arguments.selftest:
        results = with_selftest(results, arguments.selftest)
    written = render_reports(results, output, [_load(path) for path in arguments.history])
    out = console(sys.stdout)
    print_report(results, out)
    for path in written:
        out.print(f"wrote {path}")
    return 0


@_command(
    _argument("file", nargs="?", type=Path, default=Path("my_engine.py"), metavar="FILE", help="default: my_engine.py"),
)
def init(arguments: argparse.Namespace) -> int:
    """Write a commented engine file to start from."""
    from conformance.authoring import template
    from conformance.results import write

    file: Path = arguments.file
    if file.suffix != ".py":
        raise UsageError(f"{file}: an engine file ends in .py")
    if file.exists():
        raise UsageError(f"{file}: exists already; give another name, as in `conformance init other_engine.py`")
    write(file, template(file.name).encode())
    _say(f"wrote {file}\nnext: import your own class there, then `conformance check {_spelled(file)}`")
    return 0


@_command(_argument("engine", metavar="ENGINE", help="an engine file, or whatever `run` takes"))
def check(arguments: argparse.Namespace) -> int:
    """Try an engine on a few sums and say what is missing; takes a second and needs no torch."""
    from conformance.authoring import examine
    from conformance.reporting.console import console, print_examination

    found = examine(arguments.engine)
    print_examination(found, console(sys.stdout))
    return 0 if found.ok else 1


@_command(
    _argument("old", type=Path, metavar="OLD", help="a results.json, or the folder that holds one"),
    _argument("new", type=Path, metavar="NEW", help="the later one"),
)
def compare(arguments: argparse.Namespace) -> int:
    """Say what has changed between two runs; 1 when a finding is new or changed, 4 when coverage was lost."""
    from conformance.changes import compare as changes_of
    from conformance.reporting.console import console, print_changes

    changes = changes_of(_load(arguments.old), _load(arguments.new))
    print_changes(changes, console(sys.stdout))
    return changes.exit_code


@_command(
    _argument("files", nargs="+", metavar="FILE", help="engine files, one of each student"),
    _argument("--rubric", type=Path, metavar="TOML", help="points and what they are for (default: a built-in one)"),
    _argument("--limit", type=_positive(float), default=60.0, metavar="S", help="seconds for each file (default: 60)"),
    _argument("--seed", type=_whole, default=0, metavar="N", help="seed of the programs (default: 0)"),
    _argument(
        "-o", "--output", type=Path, default=Path("conformance-grades"), metavar="DIR", help="folder to write to"
    ),
)
def grade(arguments: argparse.Namespace) -> int:
    """Grade many engine files by a rubric: one process each, the same programs for all."""
    _require_writable(arguments.output)

    from conformance.grade import builtin, grade, read_rubric
    from conformance.reporting.console import console
    from conformance.reporting.grades import print_grades, write_grades

    rubric = read_rubric(arguments.rubric) if arguments.rubric else builtin()
    for file in map(Path, arguments.files):
        if file.suffix == ".py" and not file.is_file():
            raise UsageError(f"{file}: there is no such file")
        if file.is_dir():
            raise UsageError(f"{file}: is a folder; give its files, as {file}/*.py")
    out = console(sys.stdout)
    grades = grade(
        [str(file) for file in arguments.files],
        rubric,
        seed=arguments.seed,
        limit=arguments.limit,
        progress=lambda name: sys.stderr.write(f"grading {name}\n"),
    )
    written = write_grades(grades, arguments.output)
    print_grades(grades, out)
    out.print(f"class matrix: {written[0]}")
    return 0


@_command()
def engines(_: argparse.Namespace) -> int:
    """List the registered engines: version, operations offered, levels; and why one is absent."""
    from tabulate import tabulate

    from conformance.engines import levels, load, present
    from conformance.vocabulary import OPERATIONS

    here, absent = present()
    rows: list[tuple[str, ...]] = []
    for name in here:
        engine = load(name)
        offered = sum(engine.supports(op) for op in OPERATIONS)
        rows.append((name, engine.version, f"{offered} of {len(OPERATIONS)}", ", ".join(levels(engine))))
    rows += [(name, "absent", "", reason) for name, reason in absent.items()]
    _say(tabulate(rows, headers=["engine", "version", "operations", "levels"], disable_numparse=True))
    return 0


@_command()
def ops(_: argparse.Namespace) -> int:
    """List the operations that programs are made of."""
    from tabulate import tabulate

    from conformance.vocabulary import OPERATIONS

    rows = [(o.family, o.name, ", ".join(o.forms), ", ".join(f"{k:g}" for k in o.kinks)) for o in OPERATIONS.values()]
    _say(tabulate(sorted(rows), headers=["family", "operation", "forms", "kinks at"], disable_numparse=True))
    _say(f"{len(rows)} operations")
    return 0


@_command(_argument("-o", "--output", type=Path, metavar="FILE", help="write the table to this Markdown file too"))
def conventions(arguments: argparse.Namespace) -> int:
    """Print what torch gives where there is no derivative, with the one-sided derivatives."""
    import torch
    from tabulate import tabulate

    from conformance.conventions import HEADERS, rows, to_markdown
    from conformance.results import write

    found = rows()
    if arguments.output:
        write(arguments.output, to_markdown(found, torch.__version__.partition("+")[0]).encode())
    _say(tabulate([row.cells() for row in found], headers=HEADERS, disable_numparse=True))
    return 0


@_command(
    _argument("engine", metavar="ENGINE", help="a name, package.module:Attribute or ./file.py:Attribute"),
    _argument("--examples", type=_positive(int), default=1000, metavar="N", help="programs (default: 1000)"),
    _argument("--seed", type=_whole, default=0, metavar="N", help="seed of the programs (default: 0)"),
)
def metamorphic(arguments: argparse.Namespace) -> int:
    """Check an engine against itself and against exact arithmetic; needs no torch."""
    from tabulate import tabulate

    from conformance.gate import Exit
    from conformance.metamorphic import RELATIONS, check

    checked = check(arguments.engine, examples=arguments.examples, seed=arguments.seed)
    for broken in checked.broken:
        _say(f"{broken}\n")
    count = {name: sum(broken.relation == name for broken in checked.broken) for name in RELATIONS}
    rows = [(name, checked.tried.get(name, 0), count[name]) for name in RELATIONS]
    _say(tabulate(rows, headers=["relation", "tried", "broken"]))
    _say(f"{checked.programs:,} programs")
    return int(Exit.FINDING if checked.broken else Exit.PASSED if checked.ok else Exit.EVIDENCE)


@_command(
    _argument("faults", nargs="*", metavar="FAULT", help="beginnings of the names of faults (default: all faults)"),
    _argument("--engine", default="torch", metavar="ENGINE", help="what faults are planted into (default: torch)"),
    _argument("--list", action="store_true", help="name the faults, with what must be blamed for each"),
    _argument("--seed", type=_whole, default=0, metavar="N", help="seed of the programs (default: 0)"),
    _argument(
        "--examples", type=_positive(int), metavar="N", help="programs of the search (default: its default budget)"
    ),
    _argument("--jobs", type=_positive(int), metavar="N", help="processes to use (default: one for each CPU)"),
    _argument(
        "--mutants", action="store_true", help="only change the formulas of minigrad's declarations, each by itself"
    ),
    _argument("--no-gradcheck", action="store_true", help="leave out what torch's gradcheck says of the same faults"),
    _argument(
        "-o",
        "--output",
        type=Path,
        default=Path("conformance-selftest"),
        metavar="DIR",
        help="folder for selftest.json and selftest.md",
    ),
)
def selftest(arguments: argparse.Namespace) -> int:
    """Plant faults into an engine, one at a time, and say which the suite finds, blames and judges rightly."""
    from tabulate import tabulate

    from conformance.selftest import faults

    if arguments.list:
        rows = [(f.name, f.family, ", ".join(f.blamed)) for f in faults.chosen(arguments.faults)]
        _say(tabulate(rows, headers=["fault", "family", "must be blamed"], disable_numparse=True))
        _say(f"{len(rows)} faults")
        return 0
    _require_writable(arguments.output)

    from conformance.isolation import processors
    from conformance.reporting.progress import counting_on
    from conformance.reporting.selftests import summary, write_selftest
    from conformance.selftest.run import selftest as test

    with counting_on(sys.stderr, "faults") as progress:
        found = test(
            "minigrad" if arguments.mutants else arguments.engine,
            planted=not arguments.mutants,
            mutation=arguments.mutants or not arguments.faults,
            seed=arguments.seed,
            examples=arguments.examples,
            names=arguments.faults,
            jobs=arguments.jobs or processors(),
            gradcheck=not arguments.no_gradcheck,
            progress=lambda done, total, last: progress(done, total, "" if last is None else last.name),
        )
    written = write_selftest(found, arguments.output)
    _say(summary(found))
    _say(f"report: {written[-1]}")
    return found.exit_code


@_command(_argument("code", nargs="?", metavar="CODE", help="an exit code, or the code before the colon of a reason"))
def explain(arguments: argparse.Namespace) -> int:
    """Say what an exit code or a reason of the gate means, and what to do."""
    from conformance.gate import EXPLANATIONS
    from conformance.gate import explain as look_up

    if arguments.code is None:
        for code, meaning in EXPLANATIONS.items():
            _say(f"{code}\n    {meaning}")
        return 0
    text = look_up(arguments.code)
    if text is None:
        raise UsageError(f"no explanation for {arguments.code!r}; the codes are {', '.join(EXPLANATIONS)}")
    _say(text)
    return 0


@_command()
def schema(_: argparse.Namespace) -> int:
    """Print the JSON Schema of results.json."""
    import json

    from conformance.results import schema as make

    _say(json.dumps(make(), indent=2))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. `argv` is what follows the program's name."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except SystemExit as stop:  # from an engine's code: its exit code must never pass for a verdict
        return _fail(f"internal error: an engine ended the process with exit code {stop.code}", 3)
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone: nothing is left to say, nor to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence of a command line
        if message := _usage_message(error):
            return _fail(message, 2)
        traceback.print_exc()
        return _fail("internal error: this is a defect of the suite, please report it with the lines above", 3)


def _usage_message(error: Exception) -> str | None:
    """The line to show when a person can mend it, otherwise None."""
    if isinstance(error, ModuleNotFoundError):
        root = (error.name or "").partition(".")[0]
        if root not in {"", "conformance", "minigrad"}:
            return (
                f"the package {root} is missing; install the suite's: pip install 'minigrad-conformance[conformance]'"
            )
        return None
    # Imported only now, since these live beside heavier things.
    from conformance.engines import EngineError
    from conformance.results import ResultsError

    return str(error) if isinstance(error, UsageError | EngineError | ResultsError) else None


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors on one line."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"{message}; see `{self.prog} --help`", 2))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="conformance",
        description="Random programs through an autograd engine and through torch: what differs, how little shows it, "
        "and what is to blame.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minigrad-conformance {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for function, arguments in _COMMANDS:
        summary = function.__doc__ or ""
        sub = commands.add_parser(function.__name__, help=summary, description=summary)
        for add in arguments:
            add(sub)
        sub.set_defaults(command=function)
    return parser


def _version() -> str:
    from conformance import __version__

    return __version__


def _load(path: Path) -> Results:
    from conformance.results import load

    file = path / "results.json" if path.is_dir() else path
    if not file.exists():
        raise UsageError(f"{file}: there is no such file; `conformance run ENGINE` writes one, to {DEFAULT_OUTPUT}")
    return load(file)


def _require_writable(folder: Path) -> None:
    """Make the folder and try it, before any work is done that could not be stored."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written to ({error.strerror}); choose another folder with -o") from None


def _spelled(file: Path) -> str:
    """A file as one writes it for an engine: led by ./ where it has no folder of its own."""
    return str(file) if file.is_absolute() or len(file.parts) > 1 else f"./{file}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"conformance: {' '.join(message.split())}\n")
    return code
