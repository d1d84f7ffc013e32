"""Grading: many engines, each alone in a process of its own, the same programs for all, points by a rubric.

A submission only ever answers "what did this program give?". Judging its answers, against torch, is done here, in the
teacher's process, so that nothing that a submission prints, raises or exits with can pass for a right answer. See
`conformance.grade_worker` for what its process may not do.
"""

from __future__ import annotations

import contextlib
import math
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from time import monotonic
from typing import IO, Literal, TypeAlias

import msgspec
import numpy as np

from conformance import execute, generate
from conformance.compare import judge
from conformance.engines import Engine, load
from conformance.execute import Observation
from conformance.features import FEATURES
from conformance.findings import named
from conformance.generate import Block, Target
from conformance.grade_worker import Answer, Ask, SentObservation, receive
from conformance.noise import Noise
from conformance.program import Apply, Backward, Leaf, Program, Ref, array
from conformance.results import ResultsError
from conformance.script import body, names
from conformance.vocabulary import OPERATIONS

Outcome: TypeAlias = Literal["right", "wrong", "not offered", "hangs", "crashes", "not run"]

#: The feature of a criterion that asks for programs of several steps over all of its operations.
CHAINS = "chains"
#: A submission that hangs or crashes more often than this is given up.
RESTARTS = 5
#: What a submission may not import: engines that would do the work for it.
FORBIDDEN = ("torch", "jax", "jaxlib", "tensorflow", "mygrad", "tinygrad", "minigrad")


class RubricError(ResultsError):
    """A rubric that cannot be used: one line that says why."""


class Criterion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What some points are for: operations, each tried with each feature by so many programs.

    An operation is right when every program of it is, and each earns an equal part of the points. `features` are those
    of the search (`float64`, `reuse`, `broadcast`, …), or `chains`: programs of several steps over all the operations,
    which earn the points in proportion. `plain` programs hold no Python numbers and no keyword arguments, and, but for
    the feature `broadcast`, operands that need no broadcasting.
    """

    name: str
    points: float
    operations: tuple[str, ...]
    features: tuple[str, ...] = ("float64",)
    programs: int = 5
    plain: bool = True


class Rubric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Criteria; what may not be imported; seconds that one program may take."""

    title: str = "Autograd"
    criteria: tuple[Criterion, ...]
    forbidden: tuple[str, ...] = FORBIDDEN
    patience: float = 5.0

    @property
    def points(self) -> float:
        """The most that can be earned."""
        return sum(criterion.points for criterion in self.criteria)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What one submission earned for one criterion, how its programs went, and for the first that failed: why."""

    criterion: str
    points: float
    of: float
    outcomes: dict[str, int]
    remarks: tuple[str, ...] = ()


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """One submission: `flags` are what a person should look at, `seconds` is wall-clock time."""

    name: str
    file: str
    marks: tuple[Mark, ...]
    flags: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def points(self) -> float:
        """All that was earned."""
        return round(sum(mark.points for mark in self.marks), 2)


class Grades(msgspec.Struct, frozen=True, kw_only=True):
    """A class."""

    rubric: Rubric
    seed: int
    grades: tuple[Grade, ...]


def builtin() -> Rubric:
    """A rubric of 100 points for a first autograd."""
    arithmetic, functions = ("add", "sub", "mul", "div", "neg"), ("exp", "log", "sin", "cos", "tanh", "relu")
    criteria = (
        Criterion(name="Arithmetic", points=25, operations=arithmetic),
        Criterion(name="Functions", points=20, operations=functions),
        Criterion(name="Sums and matrices", points=15, operations=("sum", "mean", "matmul")),
        Criterion(name="A value used twice", points=15, operations=("add", "mul"), features=("reuse",)),
        Criterion(name="Broadcasting", points=10, operations=("add", "mul"), features=("broadcast",)),
        Criterion(name="Whole programs", points=15, operations=("add", "mul", "sub"), features=(CHAINS,), programs=20),
    )
    return Rubric(criteria=criteria)


def read_rubric(path: Path) -> Rubric:
    """A rubric from a TOML file. Raises `RubricError` with one line."""
    try:
        rubric = msgspec.toml.decode(path.read_bytes(), type=Rubric, strict=False)
    except OSError as error:
        raise RubricError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RubricError(f"{path}: not a rubric: {error}") from None
    for criterion in rubric.criteria:
        for kind, given, known in (
            ("operation", criterion.operations, OPERATIONS),
            ("feature", criterion.features, (*FEATURES, CHAINS)),
        ):
            if unknown := [name for name in given if name not in known]:
                raise RubricError(f"{path}: criterion {criterion.name!r}: unknown {kind} {unknown[0]!r}")
        if not criterion.operations or criterion.programs < 1 or criterion.points < 0:
            raise RubricError(
                f"{path}: criterion {criterion.name!r}: needs operations, programs, and points of 0 or more"
            )
    if not rubric.criteria:
        raise RubricError(f"{path}: has no criteria")
    return rubric


class _Task(msgspec.Struct, frozen=True):
    """One program of the class: for which criterion, what it counts towards, and what torch gives."""

    criterion: int
    counts: str
    program: Program
    expected: Observation


def grade(
    specs: Sequence[str],
    rubric: Rubric | None = None,
    *,
    seed: int = 0,
    limit: float = 60.0,
    progress: Callable[[str], object] | None = None,
) -> Grades:
    """Grade each engine file (or anything `engines.load` takes) by the rubric; `limit` is seconds for each.

    Raises `RubricError` when the rubric asks for what no program can have.
    """
    rubric = rubric or builtin()
    reference = load("torch")
    tasks = _tasks(rubric, reference, seed)
    grades = []
    for name, spec in zip(_names(specs), specs, strict=True):
        if progress:
            progress(name)
        grades.append(_grade(name, spec, rubric, tasks, reference, limit))
    return Grades(rubric=rubric, seed=seed, grades=tuple(grades))


def _tasks(rubric: Rubric, reference: Engine, seed: int) -> list[_Task]:
    """The programs of all criteria, with what torch gives for them."""
    shapes = execute.Shapes(reference)
    tasks: list[_Task] = []
    for number, criterion in enumerate(rubric.criteria):
        for feature in criterion.features:
            for op in ("",) if feature == CHAINS else criterion.operations:
                name = f"grade/{number}/{feature}/{op}"
                if op:
                    found = _programs(Target("cell", op, feature), criterion, shapes, name, seed)
                else:
                    found = _chains(criterion, shapes, name, seed)
                if not found:
                    raise RubricError(f"criterion {criterion.name!r}: no program has {op} with {feature}")
                seen = execute.run_all(reference, found)
                tasks += [
                    _Task(number, op or f"{CHAINS} {i}", program, expected)
                    for i, (program, expected) in enumerate(zip(found, seen, strict=True))
                    if expected.failure is None
                ]
    return tasks


def _programs(target: Target, criterion: Criterion, shapes: execute.Shapes, name: str, seed: int) -> list[Program]:
    """So many different programs of a target, or as many as there are."""
    found: dict[Program, None] = {}
    operations = [OPERATIONS[target.first]]

    def consume(batch: Sequence[tuple[Target, bytes]]) -> bool:
        for asked, data in batch:
            program, meant = generate.decode(data, asked, shapes, operations)
            if meant and (not criterion.plain or _plain(program, target)):
                found.setdefault(program)
        return len(found) < criterion.programs

    generate.draw(Block(name, (target,) * 64 * (1 + criterion.programs)), seed, consume)
    return list(found)[: criterion.programs]


def _plain(program: Program, target: Target) -> bool:
    applied = [step for step in program.steps if isinstance(step, Apply)]
    if any(step.kwargs or not all(isinstance(a, Ref) for a in step.args) for step in applied):
        return False
    sizes = {leaf.array.shape for leaf in program.leaves if leaf.requires_grad}
    if target.feature == "broadcast" or len(sizes) == 1:
        return True
    try:
        np.broadcast_shapes(*sizes)
    except ValueError:
        return len({len(size) for size in sizes}) == 1  # as in the product of two matrices
    return False


def _chains(criterion: Criterion, shapes: execute.Shapes, name: str, seed: int) -> list[Program]:
    """Programs of three to six steps over arrays of one shape, in which values are used again."""
    operands: dict[str, int] = {}
    for op in criterion.operations:
        for program in _programs(Target("cell", op, "float64"), criterion, shapes, f"{name}/{op}", seed)[:1]:
            operands[op] = next(len(step.args) for step in program.steps if isinstance(step, Apply))
    random = Random(f"{name}/{seed}")
    found = []
    for _ in range(criterion.programs if operands else 0):
        shape = random.choice(((3,), (2, 2), (1, 3)))
        made = [tuple(random.choice((-2.0, -1.0, -0.5, 0.5, 1.5, 3.0)) for _ in range(math.prod(shape))) for _ in "ab"]
        leaves = tuple(Leaf(i, array(np.reshape(values, shape))) for i, values in enumerate(made))
        steps: list[Apply] = []
        for out in range(len(leaves), len(leaves) + random.randint(3, 6)):
            op = random.choice(list(operands))
            steps.append(Apply(op, tuple(Ref(random.randrange(out)) for _ in range(operands[op])), (out,)))
        last = steps[-1].out[0]
        found.append(Program(leaves, (*steps, Backward((last,), (array(np.ones(shape)),))), (last,)))
    return found


def _names(specs: Sequence[str]) -> list[str]:
    """A name for each submission: its file's, with the folder where files share a name."""
    paths = [Path(spec if spec.endswith(".py") else spec.rpartition(":")[0] or spec) for spec in specs]
    stems = Counter(path.stem for path in paths)
    named = [path.stem if stems[path.stem] == 1 else f"{path.parent.name}-{path.stem}" for path in paths]
    repeated = Counter(named)
    return [name if repeated[name] == 1 else f"{name}-{i}" for i, name in enumerate(named, 1)]


def _grade(name: str, spec: str, rubric: Rubric, tasks: Sequence[_Task], reference: Engine, limit: float) -> Grade:
    start = monotonic()
    flags: dict[str, None] = {}
    outcomes: list[tuple[Outcome, str]] = [("not run", "")] * len(tasks)
    left = dict(enumerate(tasks))  # what has no outcome yet
    restarts = 0
    while left and restarts <= RESTARTS:
        with _Running(spec, {i: task.program for i, task in left.items()}, rubric.forbidden) as running:
            stopped: tuple[Outcome, str] | None = None
            while left and stopped is None:
                patience = rubric.patience if running.ready else max(rubric.patience, 20.0)
                answer = running.next(min(start + limit - monotonic(), patience))
                if answer is None:
                    stopped = ("hangs", f"no answer within {rubric.patience:g} s")
                elif answer.flag:
                    flags.setdefault(answer.flag)
                elif answer.error:
                    return _failed(name, spec, rubric, [answer.error, *flags], monotonic() - start)
                elif answer.ended:
                    stopped = ("crashes", answer.ended)
                elif answer.observation is not None and answer.number == next(iter(left)):
                    outcomes[answer.number] = _judged(left.pop(answer.number), answer.observation, reference)
        if stopped is None:
            break
        if monotonic() - start >= limit:
            flags.setdefault(f"stopped after {limit:g} s; the rest was not run")
            break
        number, task = next(iter(left.items()))
        fatal = frozenset(task.program.operations)
        outcomes[number] = stopped
        flags.setdefault(f"{stopped[0]} in {_operations(task.program)}: {stopped[1]}")
        for i, other in list(left.items()):
            if fatal <= frozenset(other.program.operations):  # it would do so again
                outcomes[i] = (stopped[0], outcomes[i][1])
                del left[i]
        restarts += 1
    if left and restarts > RESTARTS:
        flags.setdefault(f"given up after {restarts} stops; the rest was not run")
    return Grade(
        name=name,
        file=spec,
        marks=tuple(_mark(i, c, tasks, outcomes) for i, c in enumerate(rubric.criteria)),
        flags=tuple(flags),
        seconds=round(monotonic() - start, 2),
    )


def _operations(program: Program) -> str:
    return ", ".join(dict.fromkeys(program.operations))


def _judged(task: _Task, sent: SentObservation, reference: Engine) -> tuple[Outcome, str]:
    if sent.unsupported is not None:
        return "not offered", sent.unsupported
    try:
        actual = sent.read()
        found = judge(task.program, task.expected, actual, lambda: Noise(reference, task.program)).mismatch
    except (ValueError, TypeError, KeyError) as error:
        return "wrong", f"what it gave is no set of arrays ({error})\n{body(task.program)}"
    if found is None:
        return "right", ""
    d = found.difference
    where = f"[{', '.join(map(str, d.where))}]" if d.where else ""
    what = named(d.what, names(task.program)) + where
    return "wrong", f"{what} should be {d.expected}, got {d.actual}\n{body(task.program)}"


def _mark(number: int, criterion: Criterion, tasks: Sequence[_Task], outcomes: Sequence[tuple[Outcome, str]]) -> Mark:
    counted: dict[str, bool] = {}
    remarks: list[str] = []
    kinds: Counter[str] = Counter()
    for task, (outcome, text) in zip(tasks, outcomes, strict=True):
        if task.criterion == number:
            counted[task.counts] = counted.get(task.counts, True) and outcome == "right"
            kinds[outcome] += 1
            label = task.counts if task.counts in OPERATIONS else _operations(task.program)
            if outcome != "right" and not any(r.startswith(f"{label} {outcome}") for r in remarks):
                remarks.append(f"{label} {outcome}" + (f": {text}" if text else ""))
    earned = criterion.points * sum(counted.values()) / len(counted) if counted else 0.0
    return Mark(
        criterion=criterion.name,
        points=round(earned, 2),
        of=criterion.points,
        outcomes=dict(kinds),
        remarks=tuple(remarks),
    )


def _failed(name: str, spec: str, rubric: Rubric, flags: Sequence[str], seconds: float) -> Grade:
    marks = tuple(Mark(criterion=c.name, points=0.0, of=c.points, outcomes={}) for c in rubric.criteria)
    return Grade(name=name, file=spec, marks=marks, flags=tuple(flags), seconds=round(seconds, 2))


class _Running:
    """A submission's process, and its answers as they come."""

    def __init__(self, spec: str, programs: Mapping[int, Program], forbidden: Sequence[str]) -> None:
        self._ask = Ask(spec=spec, programs=tuple(programs.items()), forbidden=tuple(forbidden))
        self._answers: queue.Queue[Answer | None] = queue.Queue()
        self.ready = False

    def __enter__(self) -> _Running:
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-grade-")
        ask = Path(self._folder.name) / "ask"
        ask.write_bytes(msgspec.msgpack.encode(self._ask))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "conformance.grade_worker", str(ask)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _read(self, stream: IO[bytes]) -> None:
        for answer in _answers(stream):
            self._answers.put(answer)
        code = self._process.wait()
        said = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._answers.put(Answer(ended=f"the process ended ({said}) before it had answered"))

    def next(self, timeout: float) -> Answer | None:
        """The next answer, or None when none comes in time."""
        try:
            answer = self._answers.get(timeout=max(timeout, 0.01))
        except queue.Empty:
            return None
        self.ready = True
        return answer


def _answers(stream: IO[bytes]) -> Iterator[Answer]:
    """Answers until the stream ends or says what no worker of ours does."""
    with contextlib.suppress(msgspec.DecodeError, EOFError, ValueError):
        while True:
            yield receive(stream)
