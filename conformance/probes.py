"""The parts of an engine that are no rule, each with small programs that fail when it does.

A part is named for a mismatch when a program of the kind that it serves is at hand and one of its probes fails. A probe
is a program, or several that must all fail, where one alone could fail by the rule of an operation that is in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from conformance.compare import Mismatch
from conformance.program import (
    AnyStep,
    Apply,
    Array,
    Backward,
    Detach,
    Grad,
    GradMode,
    Hook,
    Inplace,
    Leaf,
    Program,
    ReadGrad,
    Ref,
    RequiresGrad,
    RetainGrad,
    ZeroGrad,
    array,
)
from conformance.results import Kind

Probe: TypeAlias = tuple[Program, ...]


@dataclass(frozen=True)
class Part:
    """A part of an engine. `serves` says whether it had anything to do with a mismatch of a program."""

    name: str
    serves: Callable[[Program, Mismatch], bool]
    probes: tuple[Probe, ...]


# -- what a part serves ------------------------------------------------------------------------------------------------


def _always(_: Program, __: Mismatch) -> bool:
    return True


def _kinds(*kinds: Kind) -> Callable[[Program, Mismatch], bool]:
    return lambda _, mismatch: mismatch.kind in kinds


def _numbers(_: Program, mismatch: Mismatch) -> bool:
    return mismatch.kind in ("gradient", "second-order gradient", "value", "hook")


def _has(*types: type[AnyStep], at_least: int = 1) -> Callable[[Program, Mismatch], bool]:
    return lambda program, _: sum(isinstance(s, types) for s in program.steps) >= at_least


def _mode(mode: GradMode) -> Callable[[Program, Mismatch], bool]:
    return lambda program, _: any(getattr(s, "mode", "grad") == mode for s in program.steps)


def _with_inputs(program: Program, _: Mismatch) -> bool:
    return any(isinstance(s, Backward) and s.inputs is not None for s in program.steps)


def _recorded(program: Program, _: Mismatch) -> bool:
    return any(getattr(s, "create_graph", False) for s in program.steps)


def _both(*tests: Callable[[Program, Mismatch], bool]) -> Callable[[Program, Mismatch], bool]:
    return lambda program, mismatch: all(test(program, mismatch) for test in tests)


def _deep(program: Program, _: Mismatch) -> bool:
    return Counter(isinstance(s, Apply) for s in program.steps)[True] > 10


# -- probes ------------------------------------------------------------------------------------------------------------

#: Numbers that float32 does not hold, so that a loss of precision shows.
_X, _Y = Leaf(0, array([1.1, 2.3])), Leaf(1, array([0.7, -1.3]))
_C, _K = Leaf(2, array([3.1, 0.6]), False), Leaf(3, array([-1.2, 2.7]), False)
_ONE, _OTHER = array([1.1, -0.7]), array([1.3, 2.9])
_ALL: Final = (_X, _Y, _C, _K)


def _apply(op: str, *args: Any, out: int, **options: Any) -> Apply:
    return Apply(op, tuple(Ref(a) if type(a) is int else a for a in args), (out,), **options)


def _back(*roots: int, gradients: tuple[Array | None, ...] = (_ONE,), **options: Any) -> Backward:
    return Backward(roots, gradients, **options)


def _program(*steps: AnyStep, observe: tuple[int, ...] = (), leaves: tuple[Leaf, ...] = _ALL) -> Program:
    return Program(leaves, steps, observe)


def _each(*programs: Program) -> tuple[Probe, ...]:
    """Any of these programs is a probe by itself."""
    return tuple((program,) for program in programs)


def _for_ops(make: Callable[[str], Program], *ops: str) -> tuple[Probe, ...]:
    """One probe: the same program with each of the operations."""
    return (tuple(make(op) for op in ops),)


def _unary(op: str, **options: Any) -> Apply:
    return _apply(op, 0, out=4, **options)


def _broadcasting(small: Array, large: Array) -> Probe:
    gradient = array([[1.1, -0.7], [2.3, 0.9]])
    leaves = (Leaf(0, small), Leaf(1, large))
    return tuple(
        Program(leaves, (_apply(op, 0, 1, out=4), _back(4, gradients=(gradient,))), ()) for op in ("mul", "add")
    )


_LARGE: Final = array([[1.7, -0.3], [0.9, 2.1]])
_DOUBLE: Final = _apply("mul", 0, 2, out=4)  # x * c
_TRIPLE: Final = _apply("mul", 0, 3, out=5)  # x * k
_PRODUCT: Final = _apply("mul", 0, 1, out=4)  # x * y


def _repeated(step: AnyStep, *, retain: bool) -> Program:
    return _program(step, _back(4, retain_graph=retain or None), _back(4))


def _second_order(op: str) -> Program:
    grad = Grad((4,), (0,), (_ONE,), (5,), create_graph=True)
    return _program(_unary(op), grad, _back(5, gradients=(_OTHER,)), observe=(5,), leaves=(_X,))


def _cast(op: str) -> Program:
    leaves = (Leaf(0, array([1.1, 2.3], "float32")), _Y)
    return Program(leaves, (_apply(op, 0, 1, out=4), _back(4)), ())


def _chain() -> tuple[AnyStep, ...]:
    steps: list[AnyStep] = [
        _apply("sin" if k % 2 else "mul", *((3 + k,) if k % 2 else (3 + k, 2)), out=4 + k) for k in range(1, 25)
    ]
    return (_DOUBLE, *steps)


def _changed(*steps: AnyStep) -> Program:
    """An interior value, what is done with it, and a backward from 9."""
    return _program(_DOUBLE, *steps, _back(9), observe=(9,))


PARTS: Final[tuple[Part, ...]] = (
    # how values stand in the graph and in memory
    Part(
        "aliasing",
        _kinds("alias"),
        _each(_program(_apply("add", 0, 1, out=4), _back(4), observe=(4,), leaves=(_X, _Y))),
    ),
    Part(
        "names of nodes",
        _kinds("grad_fn"),
        _for_ops(lambda op: _program(_unary(op), observe=(4,)), "sin", "neg", "sum"),
    ),
    Part(
        "warnings",
        _kinds("warning"),
        (
            *_each(_program(_DOUBLE, _back(4, create_graph=True), observe=(4,))),
            *_each(_program(_DOUBLE, ReadGrad(4, (5,)), observe=(4,))),
            *_for_ops(lambda op: _program(_unary(op), observe=(4,)), "sin", "neg"),
        ),
    ),
    Part(
        "contiguity",
        _kinds("contiguity"),
        _for_ops(
            lambda op: Program((Leaf(0, array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])),), (_unary(op),), (4,)),
            "t",
            "adjoint",
        ),
    ),
    Part(
        "requires_grad of results",
        _kinds("requires_grad", "is_leaf"),
        (
            *_for_ops(lambda op: _program(_unary(op), observe=(4,)), "sin", "neg", "sum"),
            *_for_ops(lambda op: _program(_unary(op), observe=(4,)), "isnan", "logical_not", "isinf"),
            *_for_ops(lambda op: _program(_apply(op, 2, out=4), observe=(4,)), "sin", "neg", "sum"),
        ),
    ),
    Part("dtype of gradients", _kinds("dtype"), _for_ops(lambda op: _program(_unary(op), _back(4)), "sin", "neg")),
    Part(
        "shape of gradients",
        _kinds("shape"),
        _for_ops(
            lambda op: Program((Leaf(0, array(1.1)),), (_unary(op), _back(4, gradients=(array(0.7),))), ()),
            "sin",
            "neg",
        ),
    ),
    Part(
        "version counting",
        _kinds("version", "error"),
        (
            (
                _changed(Inplace("mul_", 4, (Ref(3),), (9,))),
                _changed(Inplace("sub_", 4, (Ref(3),), (9,))),
            ),
        ),
    ),
    # None
    Part("unreached leaves", _kinds("none", "error"), _each(_program(_DOUBLE, _back(4), leaves=(_X, _Y, _C)))),
    Part(
        "zero gradients",
        _kinds("none", "error"),
        _for_ops(lambda op: _program(_unary(op), _back(4, gradients=(array([0.0, 0.0]),))), "sin", "neg"),
    ),
    # modes
    Part(
        "no_grad",
        _mode("no_grad"),
        (
            *_for_ops(
                lambda op: _program(_unary(op, mode="no_grad"), _apply("mul", 4, 1, out=5), _back(5), observe=(4,)),
                "sin",
                "neg",
            ),
            *_for_ops(
                lambda op: _program(_unary("sin", mode="no_grad"), _apply(op, 1, out=5), _back(5), observe=(5,)),
                "sin",
                "neg",
            ),
        ),
    ),
    Part(
        "enable_grad",
        _mode("enable_grad"),
        _for_ops(lambda op: _program(_unary(op, mode="enable_grad"), _back(4), observe=(4,)), "sin", "neg"),
    ),
    Part(
        "detach",
        _has(Detach),
        (
            *_each(_program(_DOUBLE, Detach(4, (5,)), observe=(5,))),
            *_for_ops(
                lambda op: _program(_DOUBLE, Detach(4, (5,)), _apply(op, 5, 1, out=6), _back(6), observe=(5,)),
                "mul",
                "sub",
            ),
            *_for_ops(
                lambda op: _program(_DOUBLE, Detach(4, (5,)), Inplace(op, 4, (Ref(3),), (6,)), observe=(5,)),
                "mul_",
                "sub_",
            ),
        ),
    ),
    Part(
        "requires_grad_",
        _has(RequiresGrad),
        (
            *_for_ops(lambda op: _program(RequiresGrad(2), _apply(op, 2, out=4), _back(4), observe=(4,)), "sin", "neg"),
            *_each(_program(_DOUBLE, RequiresGrad(4, False))),
            *_each(_program(RequiresGrad(4), leaves=(Leaf(4, array([1, 2])),))),
        ),
    ),
    # errors
    Part(
        "version checks",
        _kinds("error"),
        (
            (
                _changed(_apply("sin", 4, out=9), Inplace("mul_", 4, (2.0,), (10,))),
                _changed(_apply("square", 4, out=9), Inplace("add_", 4, (2.0,), (10,))),
            ),
            (
                _changed(_apply("exp", 4, out=9), Inplace("mul_", 9, (2.0,), (10,))),
                _changed(_apply("tanh", 4, out=9), Inplace("add_", 9, (2.0,), (10,))),
            ),
        ),
    ),
    Part(
        "errors of in-place", _both(_kinds("error"), _has(Inplace)), _each(_program(Inplace("mul_", 0, (2.0,), (4,))))
    ),
    Part("errors of retain_grad", _both(_kinds("error"), _has(RetainGrad)), _each(_program(RetainGrad(2)))),
    Part(
        "errors of hooks",
        _both(_kinds("error"), _has(Hook)),
        _each(_program(Hook(2)), _program(_DOUBLE, Hook(4, "post_accumulate"))),
    ),
    Part(
        "unused inputs",
        _both(_kinds("error"), _has(Grad)),
        _each(_program(_DOUBLE, Grad((4,), (1,), (_ONE,), (5,), allow_unused=False))),
    ),
    Part(
        "errors of grad()",
        _both(_kinds("error"), _has(Grad)),
        _each(_program(_DOUBLE, Grad((4,), (2,), (_ONE,), (5,)))),
    ),
    Part("inputs", _both(_kinds("error"), _with_inputs), _each(_program(_PRODUCT, _back(4, inputs=())))),
    Part(
        "retain_graph",
        _kinds("error"),
        (
            (_repeated(_PRODUCT, retain=True), _repeated(_unary("sin"), retain=True)),
            (_repeated(_PRODUCT, retain=False), _repeated(_unary("sin"), retain=False)),
        ),
    ),
    Part(
        "errors of backward",
        _kinds("error"),
        _each(
            _program(_back(2)),
            _program(_DOUBLE, _back(4, gradients=(array([1.0, 2.0, 3.0]),))),
            _program(_DOUBLE, _back(4, gradients=(None,))),
        ),
    ),
    # a single backward
    Part("given gradients", _numbers, _for_ops(lambda op: _program(_unary(op), _back(4)), "sin", "neg")),
    Part(
        "unbroadcast",
        _numbers,
        (
            _broadcasting(array([1.1, -0.3]), _LARGE),
            _broadcasting(array([[1.1], [-0.3]]), _LARGE),
            _broadcasting(array(1.1), _LARGE),
            _broadcasting(array([[1.1, -0.3]]), _LARGE),
        ),
    ),
    Part("casts", _numbers, _for_ops(_cast, "mul", "add")),
    Part(
        "accumulation",
        lambda program, mismatch: _numbers(program, mismatch) or mismatch.kind in ("error", "none", "requires_grad"),
        (
            *_for_ops(lambda op: _program(_DOUBLE, _TRIPLE, _apply(op, 4, 5, out=6), _back(6)), "add", "mul"),
            *_for_ops(
                lambda op: _program(
                    _DOUBLE, _apply("mul", 4, 2, out=5), _apply("mul", 4, 3, out=6), _apply(op, 5, 6, out=7), _back(7)
                ),
                "add",
                "mul",
            ),
            *_for_ops(
                lambda op: _program(_DOUBLE, _TRIPLE, _apply(op, 0, 4, out=6), _apply(op, 6, 5, out=7), _back(7)),
                "add",
                "mul",
            ),
        ),
    ),
    Part(
        "accumulation of roots",
        lambda program, mismatch: _numbers(program, mismatch) or mismatch.kind in ("none", "error"),
        (
            *_for_ops(
                lambda op: _program(
                    _apply(op, 0, 2, out=4), _apply(op, 0, 3, out=5), _back(4, 5, gradients=(_ONE, _OTHER))
                ),
                "mul",
                "hypot",
            ),
            *_for_ops(
                lambda op: _program(
                    _apply(op, 0, 2, out=4), _apply(op, 1, 3, out=5), _back(4, 5, gradients=(_ONE, _OTHER))
                ),
                "mul",
                "sub",
            ),
        ),
    ),
    Part("depth", _both(_numbers, _deep), _each(Program(_ALL, (*_chain(), _back(28)), ()))),
    # several of them
    Part(
        "repeated backward",
        _has(Backward, at_least=2),
        ((_repeated(_PRODUCT, retain=True), _repeated(_unary("sin"), retain=True)),),
    ),
    Part(
        "zero_grad",
        _has(ZeroGrad),
        _each(
            _program(_DOUBLE, _back(4), ZeroGrad((0,))),
            _program(_DOUBLE, _back(4, retain_graph=True), ZeroGrad((0,), "zero"), _back(4)),
            _program(_DOUBLE, _back(4), ZeroGrad((0,), "zero")),
        ),
    ),
    Part(
        "inputs",
        _with_inputs,
        _each(*(_program(_PRODUCT, _back(4, inputs=inputs)) for inputs in ((0,), (0, 1)))),
    ),
    Part(
        "reading .grad",
        _has(ReadGrad),
        _each(_program(_DOUBLE, _back(4, retain_graph=True), ReadGrad(0, (5,)), _back(4), observe=(5,))),
    ),
    # what watches
    Part(
        "retain_grad", _has(RetainGrad), _each(_program(_DOUBLE, RetainGrad(4), _apply("mul", 4, 3, out=5), _back(5)))
    ),
    Part("hooks", _has(Hook), _each(_program(_DOUBLE, Hook(4), Hook(0), _apply("mul", 4, 3, out=5), _back(5)))),
    Part(
        "replacing hooks",
        _has(Hook),
        _each(
            _program(_DOUBLE, Hook(4, scale=0.5), Hook(4), _apply("mul", 4, 3, out=5), _back(5)),
            _program(Hook(0, scale=0.5), Hook(0), _DOUBLE, _back(4)),
        ),
    ),
    Part(
        "post-accumulate hooks",
        _has(Hook),
        _each(_program(Hook(0, "post_accumulate"), Hook(0), _DOUBLE, _back(4))),
    ),
    # higher orders
    Part(
        "grad()",
        _has(Grad),
        (
            *_for_ops(lambda op: _program(_unary(op), Grad((4,), (0,), (_ONE,), (5,)), observe=(5,)), "sin", "neg"),
            *_for_ops(
                lambda op: _program(_apply(op, 0, 1, out=4), Grad((4,), (0, 1), (_ONE,), (5, 6)), observe=(5, 6)),
                "mul",
                "sub",
            ),
        ),
    ),
    Part("create_graph", _recorded, _for_ops(_second_order, "sin", "exp", "square")),
    # in place
    Part(
        "in-place",
        _has(Inplace),
        (
            (
                _changed(Inplace("mul_", 4, (Ref(3),), (9,))),
                _changed(Inplace("div_", 4, (Ref(3),), (9,))),
            ),
        ),
    ),
)
