"""The adapter for engines that differentiate functions, as jax does: operations are recorded, and replayed at backward.

Each operation is computed at once and remembered with its operands. `backward` and `grad` build the function from the
wanted values to the outputs out of that record and hand it to the engine's own pullback. A gradient that was asked for
with create_graph is itself a recorded step, so that the engine's pullback is nested for higher orders.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from conformance.engines.protocol import Engine, Unsupported

Function = Callable[..., Any]


class Node:
    """A value of the engine, whether gradients flow to it, and the step that made it (None for a leaf)."""

    __slots__ = ("grad", "index", "kept", "step", "tracked", "value")

    def __init__(self, value: Any, tracked: bool, step: Step | None = None, index: int = 0) -> None:
        self.value = value
        self.tracked = tracked
        self.step = step
        self.index = index
        self.grad: Node | None = None
        self.kept = False


class Step(Protocol):
    """What made values: its operands, and how to make them again from other operands."""

    operands: Sequence[Node]

    def run(self, get: Callable[[Node], Any]) -> Sequence[Any]:
        """The values again, where `get` gives those of the operands."""


class Applied:
    """A function that was applied to plain arguments and to nodes."""

    def __init__(self, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.operands: Sequence[Node] = list(_nodes((*args, *kwargs.values())))

    def run(self, get: Callable[[Node], Any]) -> Sequence[Any]:
        made = self.function(*_map(get, self.args), **{k: _map(get, a) for k, a in self.kwargs.items()})
        return made if isinstance(made, (tuple, list)) else (made,)


class Pulled:
    """A gradient that was asked for with create_graph."""

    def __init__(
        self, engine: Recording, outputs: Sequence[Node], inputs: Sequence[Node], weights: Sequence[Any]
    ) -> None:
        self.engine = engine
        self.outputs = outputs
        self.inputs = inputs
        self.weights = weights
        self.operands: Sequence[Node] = [*outputs, *inputs]

    def run(self, get: Callable[[Node], Any]) -> Sequence[Any]:
        leaves = {node: get(node) for node in reached(self.outputs) if node.step is None}

        def function(*at: Any) -> list[Any]:
            replay = Replay({**leaves, **dict(zip(self.inputs, at, strict=True))})
            return [replay(node) for node in self.outputs]

        return self.engine.pull(function, [get(node) for node in self.inputs], self.weights)


class Replay:
    """Values of nodes when some of them are given."""

    def __init__(self, known: dict[Node, Any]) -> None:
        self.known = known
        self.made: dict[Any, Sequence[Any]] = {}

    def __call__(self, node: Node) -> Any:
        if node in self.known:
            return self.known[node]
        if node.step is None or not node.tracked:
            return node.value
        if node.step not in self.made:
            self.made[node.step] = node.step.run(self)
        return self.made[node.step][node.index]


def reached(outputs: Sequence[Node]) -> list[Node]:
    """All tracked nodes that the outputs depend on, each once."""
    found: dict[Node, None] = {}
    waiting = [node for node in outputs if node.tracked]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting += [] if node.step is None else [other for other in node.step.operands if other.tracked]
    return list(found)


def same_floats(dtypes: Iterable[str]) -> None:
    """Raise `Unsupported` unless the operands have one of the common floating dtypes, beside indices and masks."""
    found = set(dtypes)
    if len(found & FLOATS) != 1 or not found <= FLOATS | PLACES:
        raise Unsupported(f"operands of {' and '.join(sorted(found)) or 'no dtype'}")


#: Dtypes of numbers, and those of indices and masks, that engines with promotion rules of their own are asked for.
FLOATS = frozenset({"float32", "float64"})
PLACES = frozenset({"int32", "int64", "bool"})


class Recording(Engine):
    """An engine made of a table of functions and a pullback."""

    #: Whether operands of all dtypes may meet. Where not, an operation's operands have one floating dtype.
    mixes_dtypes = False

    def __init__(self) -> None:
        self._recording = True
        self.table: Mapping[str, Function] = self.functions()

    # -- what an engine gives ------------------------------------------------------------------------------------------

    @abstractmethod
    def functions(self) -> Mapping[str, Function]:
        """The functions by torch's names, with torch's arguments."""

    @abstractmethod
    def constant(self, array: npt.NDArray[Any]) -> Any:
        """A value of the engine."""

    @abstractmethod
    def pull(self, function: Function, at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        """Gradients to `at` of the weighted values that `function(*at)` returns; may itself be differentiated."""

    def array(self, value: Any) -> npt.NDArray[Any]:
        """The numbers of a value of the engine."""
        return np.asarray(value)

    def dtype_name(self, value: Any) -> str:
        """Name of a value's dtype, as numpy's."""
        return str(value.dtype)

    # -- the protocol --------------------------------------------------------------------------------------------------

    def supports(self, op: str) -> bool:
        return op in self.table

    def leaf(self, array: npt.NDArray[Any], requires_grad: bool) -> Any:
        return Node(self.constant(array), requires_grad)

    def apply(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        function = self.table.get(op)
        if function is None:
            raise Unsupported(op)
        return self.record(function, args, kwargs)

    def record(self, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Apply a function to nodes and plain arguments: a node, or a tuple of them."""
        step = Applied(function, args, kwargs)
        if not self.mixes_dtypes:
            same_floats(self.dtype_name(node.value) for node in step.operands)
        with offered(takes=True):
            made = function(*_map(_value, args), **{k: _map(_value, a) for k, a in kwargs.items()})
        tracked = self._recording and any(node.tracked for node in step.operands)
        if not isinstance(made, (tuple, list)):
            return self._node(made, tracked, step)
        return tuple(self._node(part, tracked, step, index) for index, part in enumerate(made))

    def _node(self, value: Any, tracked: bool, step: Step, index: int = 0) -> Node:
        tracked = tracked and self.dtype_name(value).startswith("float")
        return Node(value, tracked, step if tracked else None, index)

    def backward(self, value: Any, gradient: Any) -> None:
        self.backward_all([value], [gradient], None, False, None)

    def backward_all(
        self,
        roots: Sequence[Any],
        gradients: Sequence[Any],
        retain_graph: bool | None,
        create_graph: bool,
        inputs: Sequence[Any] | None,
    ) -> None:
        self._require(roots)
        nodes = reached(roots)
        leaves = [n for n in nodes if n.step is None] if inputs is None else [n for n in inputs if n in nodes]
        groups = [leaves, *([n] for n in nodes if n.kept and n not in leaves)]
        for group in filter(None, groups):
            found = self._gradients(roots, group, gradients, create_graph)
            for node, gradient in zip(group, found, strict=True):
                node.grad = gradient if node.grad is None else self._sum(node.grad, gradient)

    def grad_of(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        gradients: Sequence[Any],
        retain_graph: bool | None,
        create_graph: bool,
        allow_unused: bool,
    ) -> Sequence[Any]:
        self._require(outputs)
        nodes = set(reached(outputs))
        used = [node for node in inputs if node in nodes]
        if len(used) < len(inputs) and not allow_unused:
            raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph.")
        found = dict(zip(used, self._gradients(outputs, used, gradients, create_graph), strict=True))
        return [found.get(node) for node in inputs]

    def _require(self, outputs: Sequence[Node]) -> None:
        if not all(node.tracked for node in outputs):
            raise RuntimeError("an output does not require grad")  # torch's class of error

    def _gradients(
        self, outputs: Sequence[Node], inputs: Sequence[Node], gradients: Sequence[Node | None], create_graph: bool
    ) -> list[Node]:
        weights = [self._one(node) if g is None else g.value for node, g in zip(outputs, gradients, strict=True)]
        step = Pulled(self, outputs, inputs, weights)
        with offered():
            found = step.run(_value)
        return [Node(value, create_graph, step if create_graph else None, i) for i, value in enumerate(found)]

    def _one(self, node: Node) -> Any:
        return self.constant(np.ones(tuple(node.value.shape), self.dtype_name(node.value)))

    def _sum(self, a: Node, b: Node) -> Node:
        return Node(a.value + b.value, a.tracked or b.tracked, Applied(lambda x, y: x + y, (a, b), {}))

    def grad(self, value: Any) -> Any:
        return value.grad

    def numpy(self, value: Any) -> npt.NDArray[Any]:
        return self.array(value.value)

    def detach(self, value: Any) -> Any:
        return Node(value.value, False)

    @contextmanager
    def grad_mode(self, mode: str) -> Iterator[None]:
        before, self._recording = self._recording, mode == "enable_grad"
        try:
            yield
        finally:
            self._recording = before

    def retain_grad(self, value: Any) -> None:
        value.kept = True

    def set_requires_grad(self, value: Any, requires_grad: bool) -> None:
        if value.step is not None:
            raise Unsupported("requires_grad_ of a result")
        value.tracked = requires_grad

    def zero_grad(self, value: Any, to: str) -> None:
        if to == "none" or value.grad is None:
            value.grad = None
        else:
            value.grad = Node(self.constant(np.zeros_like(self.array(value.grad.value))), False)


#: How Python and nanobind say that a function does not take an argument.
UNTAKEN = (
    "unexpected keyword argument",
    "incompatible function arguments",
    "positional argument but",
    "positional arguments but",
)


@contextmanager
def offered(*said: str, takes: bool = False) -> Iterator[None]:
    """What an engine says it does not implement is not offered: by NotImplementedError, or in words that are given.

    With `takes`, nor is what its function does not take: arguments that torch's has and it has not.
    """
    words = (*said, *(UNTAKEN if takes else ()))
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())
        if isinstance(error, NotImplementedError) or any(word in text for word in words):
            raise Unsupported(text[-200:]) from error
        raise


def _value(node: Node) -> Any:
    return node.value


def _nodes(items: Sequence[Any]) -> Iterator[Node]:
    for item in items:
        if isinstance(item, Node):
            yield item
        elif isinstance(item, (tuple, list)):
            yield from _nodes(item)


def _map(get: Callable[[Node], Any], item: Any) -> Any:
    if isinstance(item, Node):
        return get(item)
    if isinstance(item, (tuple, list)):
        return type(item)(_map(get, part) for part in item)
    return item
