"""For engine authors: a file to start from, and a quick look that explains what is missing. torch is not needed."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from conformance.engines import Engine, EngineError, Unsupported, find, load, names

Status: TypeAlias = Literal["ok", "wrong", "missing"]
Arr: TypeAlias = npt.NDArray[Any]

TEMPLATE = '''\
"""My engine. Try it with `conformance check ./{file}`, then `conformance run ./{file}:Mine`."""
import conformance
from my_autograd import Value  # your own class

class Mine(conformance.Engine):
    name = "mine"
    table = {{"add": lambda a, b: a + b, "mul": lambda a, b: a * b}}  # torch's names: `conformance ops` lists them
    def supports(self, op): return op in self.table  # all else is shown as not offered, never counted as passed
    def leaf(self, array, requires_grad):  # a value of yours that holds this numpy array
        return Value(array)
    def apply(self, op, args, kwargs):  # args are values of yours and plain Python numbers
        if kwargs:
            raise conformance.Unsupported(op)  # for whatever you lack: a keyword, a dtype, broadcasting
        return self.table[op](*args)
    def backward(self, value, gradient):  # gradient: a leaf of the value's shape, or None for a scalar
        (value if gradient is None else value * gradient).backward()
    def grad(self, value):  # what backward left in a leaf, as a value; None where it left nothing
        return None if value.grad is None else Value(value.grad)
    def numpy(self, value): return value.data  # the numbers of a value, as a numpy array
'''

#: What each method has to do, as a sentence that goes on "write it: ".
DUTIES = {
    "leaf": "leaf(array, requires_grad) gives a value of yours that holds the numpy array",
    "apply": "apply(op, args, kwargs) applies the operation that torch calls `op`, or raises conformance.Unsupported",
    "backward": "backward(value, gradient) sends the gradient back to the leaves; gradient is a leaf of the value's "
    "shape, or None for a scalar. If yours takes none, (value * gradient).backward() does the same",
    "grad": "grad(value) gives what backward left in a leaf, as a value, or None where it left nothing",
    "numpy": "numpy(value) gives the numbers of a value as a numpy array",
}
#: Methods that open more programs, and which.
OPTIONAL = {
    "grad_of": "autograd.grad, and with it gradients of gradients",
    "inplace": "operations in place",
    "detach": "detach",
    "grad_mode": "no_grad and enable_grad",
    "hook": "hooks",
    "retain_grad": "gradients of values that are no leaves",
    "zero_grad": "a second backward after zeroing .grad",
    "flags": "requires_grad and is_leaf",
}


class Remark(msgspec.Struct, frozen=True):
    """One thing that was tried: how it went, and what to do where it did not go well."""

    status: Status
    subject: str
    text: str = ""


class Examination(msgspec.Struct, frozen=True):
    """What a quick look at an engine showed. `spec` is what `conformance run` takes."""

    spec: str
    remarks: tuple[Remark, ...]
    works: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong; what the engine says it lacks is not wrong."""
        return all(remark.status != "wrong" for remark in self.remarks)


class _Stopped(Exception):  # noqa: N818 - no error: nothing further can be tried
    """Nothing further can be tried."""


def template(file: str = "my_engine.py") -> str:
    """A commented engine file to start from."""
    return TEMPLATE.format(file=file)


def examine(spec: str) -> Examination:
    """Try an engine on a few sums, in well under two seconds, and say in plain words what is missing.

    `spec` is what `engines.load` takes; for a file with one engine class in it, the file alone. Values are compared
    with numpy's and gradients with central differences, so that torch is not needed. Raises `EngineError` when there
    is nothing to examine.
    """
    if spec not in names():
        found = find(spec)
        if isinstance(found, type):
            spec = spec if ":" in spec else f"{spec}:{found.__name__}"
            if lacking := [name for name in DUTIES if name in getattr(found, "__abstractmethods__", ())]:
                return Examination(
                    spec, tuple(Remark("wrong", name, f"is missing: {DUTIES[name]}.") for name in lacking)
                )
    trial = _Trial(load(spec))
    with contextlib.suppress(_Stopped):
        trial.run()
    return Examination(spec, tuple(trial.remarks), tuple(trial.works), tuple(trial.missing))


#: What is tried of operations: numpy's function, and operands at which it is smooth.
_A, _B = np.array([0.5, -1.25, 2.0]), np.array([1.5, 0.75, -0.5])
_M, _N = np.array([[0.5, -1.0], [2.0, 1.5]]), np.array([[1.0, 0.25], [-0.5, 2.0]])
PROBES: dict[str, tuple[Callable[..., Any], tuple[Arr, ...]]] = {
    "add": (np.add, (_A, _B)),
    "sub": (np.subtract, (_A, _B)),
    "mul": (np.multiply, (_A, _B)),
    "div": (np.divide, (_A, _B)),
    "neg": (np.negative, (_A,)),
    "exp": (np.exp, (_A,)),
    "log": (np.log, (_A * _A,)),
    "sqrt": (np.sqrt, (_A * _A,)),
    "sin": (np.sin, (_A,)),
    "cos": (np.cos, (_A,)),
    "tanh": (np.tanh, (_A,)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (_A,)),
    "relu": (lambda x: np.maximum(x, 0), (_A,)),
    "abs": (np.abs, (_A,)),
    "sum": (np.sum, (_M,)),
    "mean": (np.mean, (_M,)),
    "matmul": (np.matmul, (_M, _N)),
}


class _Trial:
    """One engine on trial; goes from the simplest to the rest and stops where going on would say nothing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.remarks: list[Remark] = []
        self.works: list[str] = []
        self.missing: list[str] = []

    def say(self, status: Status, subject: str, text: str = "") -> None:
        self.remarks.append(Remark(status, subject, text))

    def call(self, method: str, *arguments: Any) -> Any:
        """Call one of the engine's methods; what goes wrong ends the trial with the place and what is expected."""
        try:
            return getattr(self.engine, method)(*arguments)
        except Unsupported:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an engine raises is told to its author
            self.say("wrong", method, f"{_place(error, self.engine)} {DUTIES.get(method, DUTIES['backward'])}.")
            raise _Stopped from None

    def run(self) -> None:
        self.leaves()
        for op, (function, operands) in PROBES.items():
            self.probe(op, function, operands)
        if not self.works and not any(remark.status == "wrong" for remark in self.remarks):
            self.say(
                "wrong",
                "apply",
                f"none of {', '.join(PROBES)} is offered. Start with add and mul: return their result for two values.",
            )
        used = next((op for op in ("add", "mul") if op in self.works), None)
        if used:
            self.untouched()
            self.reuse(used)
            self.twice(used)
            self.broadcast(used)
        if type(self.engine).supports is Engine.supports:
            text = "missing: it is believed to offer every operation, until each was tried. Say `return op in …`."
            self.say("missing", "supports", text)
        for name, opens in OPTIONAL.items():
            if getattr(type(self.engine), name) is getattr(Engine, name):
                self.missing.append(f"{name} ({opens})")

    def leaves(self) -> None:
        for given in (_A, np.array(2.5), _A.astype(np.float32)):
            try:
                value = self.call("leaf", given.copy(), True)
            except Unsupported as error:
                self.say("missing", "leaf", f"Unsupported, of {given.dtype} and shape {given.shape}: {error}")
                if given is _A:  # without which there is nothing to try
                    raise _Stopped from None
                continue
            got = self.call("numpy", value)
            if not isinstance(got, np.ndarray):
                self.say("wrong", "numpy", f"gave a {type(got).__name__}, not a numpy array. Use np.asarray(…).")
                raise _Stopped
            if got.shape != given.shape or not np.array_equal(got, given):
                self.say("wrong", "leaf", f"{given} (shape {given.shape}) comes out as {got} (shape {got.shape}).")
                raise _Stopped
            if got.dtype != given.dtype:
                text = f"a {given.dtype} array comes out as {got.dtype}: torch keeps the type that it is given."
                self.say("wrong", "leaf", text)
        self.say("ok", "leaf and numpy", "an array goes in and comes out with its shape and its numbers")

    def probe(self, op: str, function: Callable[..., Any], operands: tuple[Arr, ...]) -> None:
        """Value and gradients of one operation."""
        if not self.engine.supports(op):
            return
        leaves = [self.call("leaf", a.copy(), True) for a in operands]
        try:
            made = self.call("apply", op, leaves, {})
        except Unsupported:
            return
        except _Stopped:
            last = self.remarks.pop()
            self.say("wrong", op, last.text)
            return
        got, expected = self.call("numpy", made), np.asarray(function(*operands))
        if np.shape(got) != expected.shape:
            self.say("wrong", op, f"the result has shape {np.shape(got)}; torch's has {expected.shape}.")
        elif not np.allclose(got, expected, rtol=1e-9):
            self.say("wrong", op, f"{_called(op, operands)} is {_told(expected)}; the engine gives {_told(got)}.")
        elif self.gradients(op, function, operands, leaves, made):
            self.works.append(op)

    def gradients(
        self, op: str, function: Callable[..., Any], operands: tuple[Arr, ...], leaves: list[Any], made: Any
    ) -> bool:
        shape = np.shape(function(*operands))
        cotangent = np.linspace(1.0, 2.0, int(np.prod(shape, dtype=int))).reshape(shape)
        given = self.call("leaf", cotangent.copy(), False)
        try:
            self.call("backward", made, given)
        except Unsupported as error:
            self.say("missing", "backward", f"Unsupported: {error}")
            raise _Stopped from None
        for number, (leaf, expected) in enumerate(
            zip(leaves, _differences(function, operands, cotangent), strict=True)
        ):
            held = self.call("grad", leaf)
            where = f"after {op}, the gradient of operand {number + 1}"
            if held is None:
                text = f"{where} is None. backward did not reach the leaf, or grad looks in another place."
                self.say("wrong", "backward", text)
                raise _Stopped
            got = self.call("numpy", held)
            if not isinstance(got, np.ndarray) or got.shape != expected.shape:
                said = f"has shape {got.shape}" if isinstance(got, np.ndarray) else f"is a {type(got).__name__}"
                self.say("wrong", "grad", f"{where} {said}; it should be a value of shape {expected.shape}.")
                return False
            if not np.allclose(got, expected, rtol=1e-4, atol=1e-7):
                text = f"{where} should be about {_told(expected)}; the engine gives {_told(got)}. Check its formula."
                self.say("wrong", op, text)
                return False
        return True

    def reuse(self, op: str) -> None:
        """A value used twice gets both parts."""
        leaf = self.call("leaf", _A.copy(), True)
        self.call("backward", self.call("apply", op, [leaf, leaf], {}), self.call("leaf", np.ones_like(_A), False))
        got = np.asarray(self.call("numpy", self.call("grad", leaf)))
        expected = 2 * (np.ones_like(_A) if op == "add" else _A)
        if got.shape == expected.shape and np.allclose(got, expected):
            self.say("ok", "a value used twice", "gets both parts of its gradient")
            return
        text = f"the gradient of x in {op}(x, x) should be {_told(expected)}; the engine gives {_told(got)}."
        self.say("wrong", "a value used twice", f"{text} Parts that arrive at one value are added up (+=, not =).")

    def untouched(self) -> None:
        """A leaf that no backward has reached."""
        held = self.call("grad", self.call("leaf", _A.copy(), True))
        if held is not None:
            text = "a leaf that no backward has reached has a gradient; torch's is None until then. Where yours starts "
            text += "at zero, let it start with None, or remember whether something has arrived."
            self.say("wrong", "grad", text)

    def twice(self, op: str) -> None:
        """Two results that share a value, both sent backward."""
        leaf, other = self.call("leaf", _A.copy(), True), self.call("leaf", _B.copy(), False)
        shared = self.call("apply", op, [leaf, other], {})
        ends = [self.call("apply", op, [shared, other], {}) for _ in range(2)]
        try:
            ones = [self.call("leaf", np.ones_like(_A), False) for _ in ends]
            self.call("backward_all", ends, ones, None, False, None)
        except Unsupported:
            self.say("missing", "two results", "not offered: programs with several results will not be tried")
            return
        held = self.call("grad", leaf)
        got = None if held is None else np.asarray(self.call("numpy", held))
        expected = 2 * (np.ones_like(_A) if op == "add" else _B * _B)
        if got is not None and got.shape == expected.shape and np.allclose(got, expected):
            self.say("ok", "two results", "that share a value: each one's gradient reaches the leaf once")
            return
        shown = "None" if got is None else _told(got)
        text = f"backward from two that share a value should leave {_told(expected)} in the leaf; the engine gives "
        text += f"{shown}. Only leaves keep a gradient from one backward to the next: forget it in all other values."
        self.say("wrong", "two results", text)

    def broadcast(self, op: str) -> None:
        leaves = [self.call("leaf", a.copy(), True) for a in (_M, np.array([1.0, 2.0]))]
        try:
            made = self.call("apply", op, leaves, {})
            if np.shape(self.call("numpy", made)) != _M.shape:
                raise Unsupported
            self.call("backward", made, self.call("leaf", np.ones_like(_M), False))
        except Unsupported:
            self.say("missing", "broadcasting", "not offered: operands of different shapes will not be tried")
            return
        except _Stopped:
            self.remarks.pop()
            text = f"{op} of shapes (2, 2) and (2,) fails. Raise conformance.Unsupported, or broadcast as numpy does."
            self.say("wrong", "broadcasting", text)
            return
        shape = np.shape(self.call("numpy", self.call("grad", leaves[1])))
        if shape == (2,):
            self.say("ok", "broadcasting", "gradients are summed back to the shape of their operand")
        else:
            text = f"the gradient of an operand of shape (2,) has shape {shape}: sum it over the broadcast dimensions."
            self.say("wrong", "broadcasting", text)


def _differences(function: Callable[..., Any], operands: tuple[Arr, ...], cotangent: Arr) -> Iterator[Arr]:
    """Gradients by central differences: one array of the operand's shape for each operand."""
    step = 1e-6
    for number, operand in enumerate(operands):
        found = np.empty_like(operand)
        for at in np.ndindex(operand.shape):
            ends = []
            for sign in (step, -step):
                moved = operand.copy()
                moved[at] += sign
                ends.append(np.sum(cotangent * function(*operands[:number], moved, *operands[number + 1 :])))
            found[at] = (ends[0] - ends[1]) / (2 * step)
        yield found


def _place(error: Exception, engine: Engine) -> str:
    """An error and the line of the author's file that it comes from, as a sentence."""
    file = inspect.getsourcefile(type(engine)) or ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" in line {lines[-1]} of {Path(file).name}" if lines else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}{where}{f': {text}' if text else ''}."


def _called(op: str, operands: tuple[Arr, ...]) -> str:
    return f"{op}({', '.join(_told(a) for a in operands)})"


def _told(array: Any) -> str:
    return np.array2string(np.asarray(array), precision=4, separator=", ").replace("\n", "")


__all__ = ["DUTIES", "EngineError", "Examination", "Remark", "examine", "template"]
