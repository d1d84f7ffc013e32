"""Programs from bytes, and the order of the search, with Hypothesis as the source of the keys that bytes follow from.

The search is breadth first. A *cell* is an operation with a feature, a *pair* is two operations of which the first
feeds the second (one program holds the pairs of one first with several seconds), and free programs have several steps.
They come in *blocks*; the seed of a block follows from the run's seed, the suite's version and the block's name alone,
so that order, shards and budgets change no program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import msgspec

from conformance import __version__
from conformance.decoder import FANNED, NARROW, SHORT, SIZE, SLOTS, STEP, STEPS, Decoder
from conformance.engines.protocol import LEVELS, Level
from conformance.execute import Failure, Shapes
from conformance.features import FEATURES, PLAIN, Feature, aside, backward
from conformance.memory import remembered
from conformance.program import Backward, Grad, Inplace, Program, ReadGrad, operands
from conformance.vocabulary import OPERATIONS, Operation

#: Seconds that one program tries after a first.
FAN = SLOTS - 1
#: The bytes that show whether a cell makes sense.
PROBE = hashlib.shake_128(b"cell").digest(SHORT)
#: How often a cell is tried with bytes made of the given ones before it is given up.
ATTEMPTS = 4
#: Programs in one Hypothesis example, and the bytes that it draws for them: drawing all would take a tenth of the time.
BATCH = 32
KEY = 16
#: Kinds of values that pairs hold.
PAIRED = (*("float64",) * 7, "float32")
#: Steps of autograd that free programs end with, and kinds of values that they hold; most have neither.
ENDS = (
    *("", "", "order 2", "", "", "accumulate", "order 2", ""),
    *("create_graph", "zeroed", "", "inputs", "update", "read .grad", "order 3", ""),
)
VALUES = ("", "", "", "float32", "mixed", "strided", "", "reuse")
#: Steps of free programs, and the ways in which they apply an operation; most of them plainly.
LENGTHS = (6, 9, 9, 12, 6, 9, 16, STEPS)
MANNERS = ("in-place", "out", "no_grad", "enable_grad", "in-place")
PLAINLY = 32


class Target(msgspec.Struct, frozen=True):
    """What a program is asked to contain: an operation with a feature, or one that feeds others, or nothing.

    A free program stays within a level.
    """

    kind: Literal["cell", "pair", "free"]
    first: str = ""
    feature: str = ""
    seconds: tuple[str, ...] = ()
    level: Level = "look"


def may_refuse(target: Target, program: Program, failure: Failure) -> bool:
    """Whether torch itself may refuse the program so, and at this step; all else is meant to be valid."""
    if FEATURES.get(target.feature, PLAIN).may_fail or failure.torchs_own:
        return True
    step = program.steps[failure.step] if 0 <= failure.step < len(program.steps) else None
    before = program.steps[: failure.step + 1]
    goes_back = isinstance(step, (Backward, Grad))
    changed = any(isinstance(s, Inplace) and s.op != "__setitem__" for s in before)
    if target.kind != "free":
        return changed and step is None  # one of several views of what an update has changed cannot be read
    gradients = {i for s in before if isinstance(s, (Grad, ReadGrad)) for i in s.out}
    if gradients and failure.message.startswith("view size is not compatible"):
        return True  # the strides of a gradient, and of what follows from it, are known to torch alone
    if failure.error == "TypeError":
        # A gradient may be None where something is computed with it: not every result depends on every operand.
        return step is not None and not gradients.isdisjoint(operands(step))
    # What was saved may be changed: by a step in place, or by a backward that adds to a gradient that was read.
    return changed or (goes_back and any(isinstance(s, ReadGrad) for s in before))


def decode(
    data: bytes, target: Target, shapes: Shapes, operations: Sequence[Operation]
) -> tuple[Program, tuple[str, ...]]:
    """The program that `data` stands for, and what it contains of what the target asks for: the seconds of a pair, or
    the one thing that any other target asks for; () when it has none of it.

    A cell takes at least SHORT bytes, a pair FANNED, a free program SIZE.
    """
    meant: tuple[str, ...] = ()
    if target.kind == "cell":
        program, meant = _attempts(data, target, shapes)
        return (program, meant) if meant or data == PROBE else _attempts(PROBE, target, shapes)
    feature = PLAIN
    if target.kind == "pair":
        decoder = Decoder(data, shapes, PAIRED[data[0] % len(PAIRED)], stretch=NARROW)
        meant = _pairs(decoder, OPERATIONS[target.first], [OPERATIONS[name] for name in target.seconds])
    else:
        decoder = Decoder(data, shapes, VALUES[data[0] % len(VALUES)], stretch=STEP)
        _free(decoder, operations, LEVELS.index(target.level) >= LEVELS.index("behaviour"))
        end = FEATURES.get(ENDS[data[1] % len(ENDS)], PLAIN)
        feature = end if LEVELS.index(end.level) <= LEVELS.index(target.level) else PLAIN
    program = _finish(decoder, feature, target.level)
    if target.kind == "free" and program.steps:
        meant = (target.feature,)
    return program, meant


def _attempts(data: bytes, target: Target, shapes: Shapes) -> tuple[Program, tuple[str, ...]]:
    """The cell from these bytes, or from others that follow from them."""
    program, meant = _cell(data, target, shapes)
    for attempt in range(ATTEMPTS):
        if meant:
            break
        program, meant = _cell(hashlib.shake_128(data + bytes((attempt,))).digest(len(data)), target, shapes)
    return program, meant


def _cell(data: bytes, target: Target, shapes: Shapes) -> tuple[Program, tuple[str, ...]]:
    """The operation with the feature."""
    operation, feature = OPERATIONS[target.first], FEATURES[target.feature]
    d = Decoder(data, shapes, feature.name)
    d.slot(0)
    if feature.before is not None:
        feature.before(d)
    d.slot(1)
    out = d.apply(operation)
    d.inplace_target = -1
    if not out:
        d.realized = False
    elif feature.after is not None:
        feature.after(d, out)
    program = _finish(d, feature, target.level)
    return program, (feature.name,) if d.realized and program.steps else ()


def _pairs(d: Decoder, first: Operation, seconds: Sequence[Operation]) -> tuple[str, ...]:
    """An output of the first feeds each of the seconds; the names of those for which that was possible."""
    d.slot(0)
    made = [v for v in d.apply(first) if d.infos[v].floating]
    reached = []
    for number, second in enumerate(seconds if made else (), 1):
        d.slot(number)
        d.forced = d.pick(made)
        if d.apply(second) and d.fed:
            reached.append(second.name)
        d.forced = None
    return tuple(reached)


def _free(d: Decoder, operations: Sequence[Operation], behaves: bool) -> None:
    """Up to STEPS steps of any operations; between them, when the engine claims that, steps of other kinds."""
    for number in range(LENGTHS[d.data[2] % len(LENGTHS)]):
        d.slot(number)
        opcode = d.byte() * 256 + d.byte()
        if opcode % 8 == 0:
            continue
        if opcode % 8 == 1 and d.slots and behaves:
            aside(d)
            continue
        operation = operations[(opcode >> 3) % len(operations)]
        if d.went_back and not operation.repeats:
            continue
        manner = d.upto(PLAINLY) if behaves else PLAINLY
        d.manner = MANNERS[manner] if manner < len(MANNERS) else ""
        if d.manner == "in-place" and d.slots:
            d.forced = d.inplace_target = d.pick(d.slots)
        out = d.apply(operation)
        d.manner, d.forced, d.inplace_target = "", None, -1
        if operation.gradient:
            d.slots += [v for v in out[:3] if d.infos[v].floating]
    d.realized = True


def _finish(d: Decoder, feature: Feature, level: Level) -> Program:
    """The end of the feature, from all that nothing uses, with different weights; and what is observed."""
    used = set(d.used)
    sinks = [i for step in d.steps for i in getattr(step, "out", ()) if i not in used]
    roots = tuple(i for i in sinks if d.infos[i].leaves and i not in d.dead)
    d.observed += sinks
    if roots and level != "value":
        (feature.end or backward)(d, roots, tuple(d.weights(i, k) for k, i in enumerate(roots)))
    made = {i for step in d.steps for i in getattr(step, "out", ())}
    return Program(tuple(d.leaves), tuple(d.steps), tuple(i for i in d.observed if i in made))


# -- the order of the search -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Programs that are drawn together: one for each target, from one seed."""

    name: str
    targets: tuple[Target, ...]

    def seed(self, run_seed: int) -> int:
        """Seed of the block, from the run's seed, the suite's version and the block's name."""
        text = f"{run_seed}/{__version__}/{self.name}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def turn(operations: Sequence[Operation], cells: Sequence[tuple[str, str]], level: Level = "look") -> int:
    """How many programs try every cell and every pair once, and free programs beside them."""
    return sum(len(block.targets) for block in _turn(0, operations, cells, level))


def blocks(operations: Sequence[Operation], cells: Sequence[tuple[str, str]], level: Level = "look") -> Iterator[Block]:
    """Blocks without end: every cell, every pair, free programs, and round again with other numbers."""
    for number in count():
        yield from _turn(number, operations, cells, level)


def _turn(
    turn: int, operations: Sequence[Operation], cells: Sequence[tuple[str, str]], level: Level
) -> Iterator[Block]:
    names = paired(operations)
    n = len(names)
    for feature in FEATURES:
        found = tuple(Target("cell", op, feature, level=level) for op, f in cells if f == feature)
        if found:
            yield Block(f"cells/{feature}/{turn}", found)
    for shift in range(turn, n + turn, FAN):
        fan = range(shift, min(shift + FAN, n + turn))
        seconds = [tuple(names[(i + k) % n] for k in fan) for i in range(n)]
        yield Block(
            f"pairs/{shift}/{turn}",
            tuple(Target("pair", op, seconds=seconds[i], level=level) for i, op in enumerate(names)),
        )
    for part in range(-(-len(operations) // 50)):
        yield Block(f"free/{part}/{turn}", (Target("free", level=level),) * 16 * BATCH)


def paired(operations: Sequence[Operation]) -> list[str]:
    """Names of the operations that stand in pairs: those through which a gradient flows."""
    return [operation.name for operation in operations if operation.gradient]


def within(level: Level) -> list[str]:
    """Names of the features that an engine of this level is asked for."""
    return [name for name, feature in FEATURES.items() if LEVELS.index(feature.level) <= max(LEVELS.index(level), 1)]


def cells(
    operations: Sequence[Operation], shapes: Shapes | None = None, level: Level = "look"
) -> list[tuple[str, str]]:
    """The cells that make sense: those whose feature some of a few fixed byte strings bring about.

    Without `shapes`, torch is loaded to ask it where need be.

    `decode` falls back on the same strings, so that every cell is exercised by the first program that is drawn for it.
    To work them out takes seconds, and they change with the sources and with torch alone: see `remembered`.
    """
    wanted = within(level)
    missing = [operation for operation in operations if operation not in _REALIZED]
    if missing:
        found = remembered("cells", lambda: _realized(OPERATIONS.values(), shapes))
        own = {o.name: o for o in missing if OPERATIONS.get(o.name) is not o}
        if own:
            found |= _realized(own.values(), shapes)
        _REALIZED.update({operation: found[operation.name] for operation in missing})
    return [(o.name, feature) for o in operations for feature in _REALIZED[o] if feature in wanted]


#: The features that each operation can have.
_REALIZED: dict[Operation, list[str]] = {}


def _realized(operations: Iterable[Operation], shapes: Shapes | None) -> dict[str, list[str]]:
    if shapes is None:
        from conformance.engines import load

        shapes = Shapes(load("torch"))
    return {
        operation.name: [
            feature
            for feature in FEATURES
            if _possible(operation, feature) and _attempts(PROBE, Target("cell", operation.name, feature), shapes)[1]
        ]
        for operation in operations
    }


def _possible(operation: Operation, feature: str) -> bool:
    """What a declaration says at once."""
    if feature in ("method", "operator"):
        return feature in operation.forms
    return feature != "kink" or bool(operation.kinks)


def draw(block: Block, run_seed: int, consume: Callable[[Sequence[tuple[Target, bytes]]], bool]) -> None:
    """Draw the block's keys from Hypothesis and hand the bytes that follow from them to `consume`, a batch at a time,
    until it says False.

    The same seed gives the same bytes, whatever the environment says about continuous integration.
    """
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    targets = block.targets
    examples = -(-len(targets) // BATCH)
    size = max({"cell": SHORT, "pair": FANNED, "free": SIZE}[target.kind] for target in targets)
    position = 0
    wanted = True

    @seed(block.seed(run_seed))
    @settings(
        max_examples=examples + 1,
        database=None,
        derandomize=False,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=KEY, max_size=KEY))
    def examine(key: bytes) -> None:
        nonlocal position, wanted
        if not wanted or position >= len(targets) or not any(key):  # the first example is always the simplest one
            return
        data = hashlib.shake_128(key).digest(size * BATCH)
        part = targets[position : position + BATCH]
        position += len(part)
        wanted = consume([(target, data[size * k : size * (k + 1)]) for k, target in enumerate(part)])

    examine()
