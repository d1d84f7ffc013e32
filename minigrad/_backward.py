"""Backward: one pass over the graph, from the roots' gradients to the leaves'.

`run` is the whole of it. The same loop serves first order, on arrays, and create_graph, on tensors: what differs is the
`calculus` it computes with.
"""

from __future__ import annotations

import sys
from _thread import RLock
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush, heappushpop
from typing import Any, Final

import numpy as np

from minigrad import _anomaly
from minigrad._device import contiguous_format
from minigrad._dims import broadcast_error, repeated_dims
from minigrad._dtype import from_numpy
from minigrad._graph import AccumulateGrad, Edge, Hooks, Meta, Node, Output
from minigrad._layout import empty_like, obeys
from minigrad._modes import state
from minigrad._op import RAW, RECORDED
from minigrad._tensor import Tensor, infer, make
from minigrad._views import dense
from minigrad._warning import warn_once


class Arrays:
    """First order: gradients are numpy arrays, formulas use the operations' numpy forwards."""

    xp = RAW
    recording = False  # whether gradients are tensors
    keeping = False  # whether the graph of what computes them is

    @staticmethod
    def wrap(grad: Any) -> Any:
        return None if grad is None else make(grad, None)

    @staticmethod
    def unwrap(tensor: Any) -> Any:
        return None if tensor is None else tensor._data

    @staticmethod
    def dtype(grad: Any) -> np.dtype[Any]:
        found: np.dtype[Any] = grad.dtype
        return found

    @staticmethod
    def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return np.zeros(shape, dtype)

    @staticmethod
    def fit(grad: Any, meta: Meta) -> Any:
        shape, dtype = meta
        if grad.shape != shape:
            grad = RAW.sum_to_size(grad, shape)
        return grad if grad.dtype == dtype else RAW.cast(grad, dtype)


Node._arrays = Arrays


class Tensors(Arrays):
    """Under create_graph: gradients are tensors, formulas use the recorded operations."""

    xp = RECORDED
    recording = True
    keeping = True

    @staticmethod
    def wrap(grad: Any) -> Any:
        return grad

    @staticmethod
    def unwrap(tensor: Any) -> Any:
        return tensor

    @staticmethod
    def dtype(grad: Any) -> np.dtype[Any]:
        return grad._data.dtype  # type: ignore[no-any-return]

    @staticmethod
    def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return make(np.zeros(shape, dtype), None)

    @staticmethod
    def fit(grad: Any, meta: Meta) -> Any:
        shape, dtype = meta
        if grad._data.shape != shape:
            grad = RECORDED.sum_to_size(grad, shape)
        return grad if grad._data.dtype == dtype else RECORDED.cast(grad, dtype)


class Duals(Tensors):
    """In a level of forward-mode differentiation: gradients are tensors, for they may have tangents."""

    keeping = False


_NONE: Final[frozenset[Node]] = frozenset()
_accumulating: Final = RLock()  # threads may share leaves; what is stored may be differentiated forward


def run(
    roots: Sequence[Edge],
    gradients: Sequence[Any],
    keep_graph: bool,
    create_graph: bool,
    targets: Sequence[Edge] | None = None,
    accumulate: bool = True,
) -> list[Any]:
    """Propagate the roots' gradients; accumulate into leaves, or return the gradients at the edges `targets`.

    With `targets` only what leads to them is computed. A returned gradient is a tensor, or None where nothing arrived.
    """
    calculus = Tensors if create_graph else Arrays if state.dual is None else Duals
    made = _Pass(calculus, keep_graph, targets, accumulate)
    if calculus.recording:
        made.enter()
    try:
        return made.run(roots, gradients)
    finally:
        if made.outside is not None:
            made.leave()


class _Pass:
    """One backward pass, and what waits in it.

    A node waits on the heap, youngest first, once it was sent a gradient; since no older node can contribute to it, it
    is complete when it comes to the top. Leaves do not go on the heap: they wait in `buffers` until the end. Only when
    somebody's code runs in between (a hook, a custom function) could it be seen that `.grad` comes late; from then on
    `pending` counts what each leaf still waits for, and a leaf is finished as soon as torch would finish it.
    """

    pending: dict[Node, int] | None = None
    wanted: set[Node] | None = None  # the nodes that lead to a target, unless all do
    reachable: AbstractSet[Node] = frozenset()  # what is left to run, when `pending` was counted
    outside: tuple[bool, Any, Any] | None = None  # the thread's modes as they were
    computed: Sequence[Any] = ()  # gradients that `advance` is to hand on

    def __init__(
        self, calculus: type[Arrays], keep_graph: bool, targets: Sequence[Edge] | None, accumulate: bool
    ) -> None:
        self.calculus = calculus
        self.recording = calculus.recording
        self.keep_graph = keep_graph
        self.targets = targets
        self.targeted = _NONE if targets is None else {edge._node for edge in targets}
        self.accumulate = accumulate
        self.buffers: dict[Node, Any] = {}  # node -> gradient of its output, or list of them when it has several
        self.owned: set[Node] = set()  # whose buffer is an array made here, so that it can be added to in place
        self.heap: list[tuple[float, Node]] = []
        self.captured: dict[Edge, Any] = {}

    def enter(self) -> None:
        """Set the modes that recorded operations and somebody's code are to see; formulas on arrays ask for none."""
        if self.outside is None:
            self.outside = state.grad_enabled, state.backward_node, state.backward_pass
            state.set_grad_enabled(self.calculus.keeping)

    def leave(self) -> None:
        """Put back the modes of before."""
        assert self.outside is not None
        enabled, state.backward_node, state.backward_pass = self.outside
        state.set_grad_enabled(enabled)

    def run(self, roots: Sequence[Edge], gradients: Sequence[Any]) -> list[Any]:
        calculus, heap, buffers = self.calculus, self.heap, self.buffers
        if self.targets is not None:
            self.wanted = _leading_to(roots, self.targeted)
            if len(roots) == 1 and self.wanted is not None and roots[0] not in self.wanted:
                self.call_idle(roots[0], gradients[0])
        # Recorded operations enter numpy's quiet context themselves, and somebody's code is to be called outside of it.
        quietly = _directly if self.recording else state.run
        source: Node | None = None
        edges: Sequence[Edge | None] = roots
        self.computed = gradients if self.recording else [each._data for each in gradients]
        while True:
            looked_at = quietly(self.advance, source, edges)
            source, edges = None, ()
            if looked_at is not None:
                self.enter()
                self.look_after_leaves(looked_at)
            elif heap:
                node = heappop(heap)[1]
                results = self.visit(node, buffers.pop(node))
                if results is not None:
                    source, edges, self.computed = node, node._next, results
                    if not self.keep_graph:
                        node._release()
                    del results
            else:
                break
        while (leaf := quietly(self.finish_all)) is not None:
            self.finish(leaf)
        if self.targets is None:
            return []
        return [calculus.wrap(self.captured.get(edge)) for edge in self.targets]

    def advance(self, source: Any, edges: Sequence[Edge | None]) -> Node | None:  # noqa: C901, PLR0915  (one loop)
        """Hand on to `edges` what `source` computed (`self.computed`), then run nodes as long as they are usual.

        Ends when all are done, before a node that is unusual, or after one (which is returned) that sent a gradient to
        a leaf that somebody watches. This loop takes most of the time of small graphs.
        """
        heap, buffers, owned, wanted, keep_graph = self.heap, self.buffers, self.owned, self.wanted, self.keep_graph
        calculus, recording, targeted = self.calculus, self.recording, self.targeted
        watching = self.pending is not None
        careful = watching or state.anomaly
        by_formula = recording or wanted is not None
        results, self.computed, trusted = self.computed, (), False
        following: Node | None = None  # one that waits beside the heap: in a chain, the only one
        while True:
            for target, grad in zip(edges, results):
                if target is None or wanted is not None and target not in wanted:
                    continue
                if trusted:
                    if source._shape != target._shape or source._dtype is not target._dtype:
                        grad = self.fit(grad, target, source, results)
                elif grad is not None:
                    data = grad._data if recording else grad
                    if data.shape != target._shape or data.dtype is not target._dtype:
                        grad = self.fit(grad, target, source, results)
                if target not in buffers:
                    buffers[target] = grad
                    if target._sequence > 0:
                        if target._notes is not None and source is not None:
                            watching = careful = True
                    elif following is None:
                        following = target
                    else:
                        heappush(heap, (target._sequence, target))
                elif grad is not None:
                    buffer = buffers[target]
                    if buffer is None:
                        buffers[target] = grad
                    elif target in owned:
                        np.add(buffer, grad, buffer)
                    else:
                        buffers[target] = buffer = buffer + grad
                        if type(buffer) is np.ndarray:
                            owned.add(target)
            results = ()
            grad = data = buffer = None  # what nobody needs any more is free before the next node runs
            if heap:
                if following is None:
                    following = heappop(heap)[1]
                else:
                    following = heappushpop(heap, (following._sequence, following))[1]
            elif following is None:
                break
            if careful or following._notes is not None or targeted and following in targeted:
                heappush(heap, (following._sequence, following))
                break
            source, following = following, None
            edges = source._next
            plan = source._plan
            if by_formula:
                results = plan.vjp(source, buffers.pop(source), calculus, wanted)
                if not keep_graph:
                    source._release()
            else:
                trusted = plan.trusted
                results = plan.first(source, buffers.pop(source), keep_graph)
        return source if watching else None

    def fit(self, grad: Any, target: Edge, source: Node | None, results: Sequence[Any]) -> Any:
        """A gradient in the shape and type of what it is the gradient of: what broadcasting and casts did, undone."""
        if grad is None:
            return None
        shape, meta = (grad._data if self.recording else grad).shape, (target._shape, target._dtype)
        if source is not None and repeated_dims(meta[0], shape) is None:
            number = next(i for i, each in enumerate(results) if each is grad)
            raise RuntimeError(
                f"Function {source.name()} returned an invalid gradient at index {number} - got {list(shape)} but"
                f" expected shape compatible with {list(meta[0])}"
            )
        return self.calculus.fit(grad, meta)

    def visit(self, node: Node, grads: Any) -> Sequence[Any] | None:
        """A node's gradients where more than its formulas is at work; None if it need not run."""
        if type(node) is Output:
            self.collect(node, grads)
            return None
        self.enter()
        hooks = None if node._hidden and grads[0] is None else node._hooks  # torch's node is not reached then
        if self.pending is None and (hooks is not None or not node._plain):
            self.watch(node)
        if node in self.targeted and not self.must_run(node):
            self.capture(node, grads if hooks is None else self.call_tensor_hooks(node, hooks, grads))
            return None
        if self.targets is not None:
            self.capture(node, grads)  # torch captures before the hooks of a node that it also runs
        if hooks is not None:
            grads = self.call_before(node, hooks, grads)
        state.backward_node = node
        if state.anomaly:
            results = self.guarded(node, grads)
        elif node._plain and not self.recording:
            results = state.run(node._vjp, grads, self.calculus, self.wanted)
        else:
            results = node._vjp(grads, self.calculus, self.wanted)
        if hooks is not None and hooks.post:
            results = self.call_after(node, hooks, results, grads)
        return results

    def call_idle(self, root: Edge, gradient: Any) -> None:
        """The tensor hooks of a lone root that leads to no target: torch calls these, though not those of several."""
        node = root._node
        if node._hooks is not None:
            self.enter()
            grads: Any = self.calculus.unwrap(gradient)
            if type(root) is Output:
                grads = [grads if number == root._number else None for number in range(len(node._meta))]
            self.call_tensor_hooks(node, node._hooks, grads)

    def collect(self, output: Output, grad: Any) -> None:
        """Put the gradient of one of a node's outputs beside those of the others."""
        node = output._node
        if node not in self.buffers:
            self.buffers[node] = [None] * len(node._meta)
            heappush(self.heap, (node._sequence, node))
        self.buffers[node][output._number] = grad

    # -- leaves --------------------------------------------------------------------------------------------------------

    def look_after_leaves(self, source: Node) -> None:
        """Finish the leaves that wait for nothing else, now that `source` has handed on its gradients."""
        if self.pending is None:
            self.watch(source)
        assert self.pending is not None
        for edge in source._next:
            if type(edge) is AccumulateGrad and edge in self.pending:
                self.pending[edge] -= 1
                if not self.pending[edge] and edge in self.buffers:
                    self.finish(edge)

    def watch(self, current: Node) -> None:
        """Begin to count what each leaf still waits for, and finish those that wait for nothing."""
        pending = self.pending = {}
        seen: set[Node] = set()
        stack = [current, *(node for _, node in self.heap)]
        while stack:
            node = stack.pop()
            if node in seen or self.wanted is not None and node not in self.wanted:
                continue
            seen.add(node)
            for edge in node._next:
                if type(edge) is AccumulateGrad:
                    if self.wanted is None or edge in self.wanted:
                        pending[edge] = pending.get(edge, 0) + 1
                elif edge is not None:
                    stack.append(edge)
        self.reachable = seen | pending.keys()
        state.backward_pass = self
        for leaf in [node for node in self.buffers if type(node) is AccumulateGrad and node not in pending]:
            self.finish(leaf)

    def finish_all(self) -> AccumulateGrad | None:
        """Store the gradients of the leaves that are left, up to one that has hooks."""
        buffers: dict[Any, Any] = self.buffers
        capturing = self.targets is not None and not self.accumulate
        with _accumulating:
            for leaf in [*buffers]:  # in the order of arrival: the last of those that get one array may keep it
                if leaf._notes is not None:
                    found: AccumulateGrad = leaf
                    return found
                grad = buffers.pop(leaf)
                if capturing:
                    self.captured[leaf] = grad
                elif grad is not None and leaf.enabled:
                    self.store(leaf, grad)
        return None

    def finish(self, leaf: AccumulateGrad) -> None:
        """Call the leaf's hooks, and capture its gradient or add it to `.grad`."""
        self.enter()
        grad = self.buffers.pop(leaf)
        hooks = leaf._hooks
        if self.targets is not None and not self.accumulate:
            self.captured[leaf] = grad if hooks is None else self.call_tensor_hooks(leaf, hooks, grad)
            return
        if hooks is not None:
            grad = self.call_before(leaf, hooks, grad)
        if grad is not None and leaf.enabled:
            with _accumulating:
                if self.recording:
                    self.store(leaf, grad)
                else:
                    state.run(self.store, leaf, grad)
        if hooks is not None:  # they are called even when nothing came
            for hook in list(hooks.post_accumulate.values()):
                _checked(hook, hook(leaf.variable), None)
            if hooks.post:
                self.call_after(leaf, hooks, [], grad)

    def store(self, leaf: AccumulateGrad, grad: Any) -> None:
        """Add to a leaf's `.grad`, or make it."""
        old, data = leaf.grad, leaf.data
        if self.recording and old is None:
            new = make(empty_like(data), None) if dense(data) else None
            leaf.grad = grad.clone(memory_format=contiguous_format) if new is None else new.copy_(grad)
        elif self.recording:
            leaf.grad = old + grad
            _check_layout(leaf.grad._data, data)
        elif old is not None:
            array = old.materialize()
            if array.shape != grad.shape:  # the leaf's data were replaced by others since
                raise broadcast_error(array.shape, grad.shape)
            np.add(array, grad, array)
            _check_layout(array, data)
            if not old._inference:
                old._cell[0] += 1
        else:
            # Taken as it is when nobody else holds it, the references being two frames' and the argument's. As in torch
            # its memory may still be another's, where one gradient went on in several views.
            alone = sys.getrefcount(grad) <= 3
            if alone and type(grad) is not np.ndarray:
                leaf.grad = make(np.array(grad), None)
            elif alone and grad.flags.writeable and obeys(grad, data):
                leaf.grad = make(grad, None)
            elif dense(data):
                kept = empty_like(data, grad.dtype)
                kept[...] = grad
                leaf.grad = make(kept, None)
                leaf.grad._writes = [1]  # torch copies into a new tensor, which counts as a write
            else:  # a leaf with gaps has no layout to follow
                leaf.grad = make(np.array(grad, order="C"), None)
            if state.inference:
                infer(leaf.grad)

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def call_before(self, node: Node, hooks: Hooks, grads: Any) -> Any:
        """The tensor, retain_grad and pre hooks of a node; they may replace its gradients."""
        wrap, unwrap = self.calculus.wrap, self.calculus.unwrap
        single = len(node._meta) == 1
        grads = self.call_tensor_hooks(node, hooks, grads)
        tensors = [wrap(grads)] if single else [wrap(each) for each in grads]
        for number, reference in hooks.retain.items():
            tensor, grad = reference(), tensors[number]
            if tensor is not None and grad is not None:
                if tensor._grad is None:
                    tensor._grad = grad.clone() if self.recording else make(np.array(grad._data), None)
                else:
                    tensor._grad = tensor._grad + grad
        seen = len(node._seen)
        for prehook in list(hooks.pre.values()):
            changed = prehook(tuple(tensors[:seen]))
            if changed is not None:
                tensors = [*_all_checked(prehook, changed, tensors[:seen]), *tensors[seen:]]
        return unwrap(tensors[0]) if single else [unwrap(each) for each in tensors]

    def call_tensor_hooks(self, node: Node, hooks: Hooks, grads: Any) -> Any:
        """The hooks that users registered on the node's outputs."""
        if not hooks.tensor:
            return grads
        wrap, unwrap = self.calculus.wrap, self.calculus.unwrap
        single = len(node._meta) == 1
        tensors = [wrap(grads)] if single else [wrap(each) for each in grads]
        for number, hook in list(hooks.tensor.values()):
            tensors[number] = _checked(hook, hook(tensors[number]), tensors[number])
        return unwrap(tensors[0]) if single else [unwrap(each) for each in tensors]

    def call_after(self, node: Node, hooks: Hooks, results: Sequence[Any], grads: Any) -> Sequence[Any]:
        """The post hooks of a node; they may replace the gradients it computed."""
        wrap, unwrap = self.calculus.wrap, self.calculus.unwrap
        outputs = (wrap(grads),) if len(node._meta) == 1 else tuple(wrap(each) for each in grads)[: len(node._seen)]
        inputs = tuple(wrap(each) for each in results)
        for hook in list(hooks.post.values()):
            changed = hook(inputs, outputs)
            if changed is not None:
                inputs = tuple(_all_checked(hook, changed, inputs))
        return [unwrap(each) for each in inputs]

    # -- the rest ------------------------------------------------------------------------------------------------------

    def capture(self, node: Node, grads: Any) -> None:
        """Keep what targets ask for at this node."""
        assert self.targets is not None
        if not self.accumulate:
            for edge in self.targets:
                if edge._node is node:
                    self.captured[edge] = grads if len(node._meta) == 1 else grads[edge._number]

    def must_run(self, node: Node) -> bool:
        """Whether the node leads on to a target (or is one whose `.grad` is kept by its hooks)."""
        if self.accumulate or self.wanted is None:
            return True
        return any(edge is not None and edge in self.wanted for edge in node._next)

    def guarded(self, node: Node, grads: Any) -> Sequence[Any]:
        """The node's gradients, with anomaly mode's reports."""
        try:
            results: Sequence[Any]
            if node._plain and not self.recording:
                results = state.run(node._vjp, grads, self.calculus, self.wanted)
            else:
                results = node._vjp(grads, self.calculus, self.wanted)
        except Exception:
            _anomaly.warn(node)
            raise
        for number, result in enumerate(results):
            data = result._data if isinstance(result, Tensor) else result
            if state.anomaly_check_nan and data is not None and np.isnan(data).any():
                _anomaly.warn(node)
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.")
        return results


def _check_layout(grad: np.ndarray[Any, Any], data: np.ndarray[Any, Any]) -> None:
    if not obeys(grad, data):
        (sizes, strides), (own_sizes, own_strides) = [
            (list(each.shape), [stride // each.itemsize for stride in each.strides]) for each in (grad, data)
        ]
        warn_once(
            "grad and param do not obey the gradient layout contract. This is not an error, but may impair performance."
            f"\ngrad.sizes() = {sizes}, strides() = {strides}\nparam.sizes() = {own_sizes}, strides() = {own_strides}"
        )


def _directly(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _leading_to(roots: Sequence[Node], targets: AbstractSet[Node]) -> set[Node] | None:
    """The nodes reachable from the roots from which a target can be reached, targets included; None if all are."""
    oldest = max(target._sequence for target in targets)
    found: set[Node] = set(roots)
    stack, elsewhere = list(roots), False
    while stack:
        node = stack.pop()
        ends = True
        for edge in node._next:
            if edge is not None:
                ends = False
                if edge not in found:
                    if edge._sequence <= oldest:
                        found.add(edge)
                        stack.append(edge)
                    else:
                        elsewhere = True
        elsewhere = elsewhere or ends and node not in targets
    if not elsewhere:
        return None
    above: dict[Node, list[Node]] = {node: [] for node in found}
    for node in found:
        for edge in node._next:
            if edge in above:
                above[edge].append(node)
    leading = found & targets
    stack = [*leading]
    while stack:
        new = [node for node in above[stack.pop()] if node not in leading]
        leading.update(new)
        stack += new
    return leading


def _all_checked(hook: Any, new: Any, old: Sequence[Any]) -> list[Any]:
    """A node hook's answer, one gradient for each."""
    if not isinstance(new, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(new).__name__}'")
    if len(new) != len(old):
        name = getattr(hook, "__name__", "<unknown>")
        raise RuntimeError(
            f"hook '{name}' has returned an incorrect number of values (got {len(new)}, but expected {len(old)})"
        )
    return [None if each is None else _checked(hook, each, before) for each, before in zip(new, old, strict=True)]


def _checked(hook: Any, new: Any, old: Any) -> Any:
    """A hook's answer: the old gradient for None; errors as torch's for another type, dtype or shape."""
    if new is None or new is old:
        return old
    name = getattr(hook, "__name__", "<unknown>")
    if not isinstance(new, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(new).__name__}'")
    if old is None:
        raise RuntimeError("can't replace a None gradient with a non-None value")
    if new._data.dtype != old._data.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {from_numpy(old._data.dtype).tensor_type} got"
            f" {from_numpy(new._data.dtype).tensor_type})"
        )
    if new._data.shape != old._data.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    return new
