"""Backward: one pass over the graph, from the roots' gradients to the leaves'.

`run` is the whole of it. The same loop serves first order, on arrays, and create_graph, on tensors: what differs is the
`calculus` it computes with.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush
from typing import Any, Final

import numpy as np

from minigrad import _anomaly
from minigrad._dtype import from_numpy
from minigrad._graph import AccumulateGrad, Edge, Hooks, Meta, Node, Saved
from minigrad._modes import state
from minigrad._op import RAW, RECORDED, broadcast_error
from minigrad._tensor import Tensor, infer, make


class Arrays:
    """First order: gradients are numpy arrays, formulas use the operations' numpy forwards."""

    xp = RAW
    recording = False

    @staticmethod
    def load(saved: Tensor | Saved, node: Node) -> Any:
        return saved._data

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


Node.arrays = Arrays


class Tensors(Arrays):
    """Under create_graph: gradients are tensors, formulas use the recorded operations."""

    xp = RECORDED
    recording = True

    @staticmethod
    def load(saved: Tensor | Saved, node: Node) -> Any:
        return saved if isinstance(saved, Tensor) else saved.unpack(node)

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


_accumulating: Final = threading.Lock()  # threads may share leaves


def run(
    roots: Sequence[tuple[Edge, Tensor]],
    keep_graph: bool,
    create_graph: bool,
    targets: Sequence[Edge] | None = None,
    accumulate: bool = True,
) -> list[Any]:
    """Propagate the roots' gradients; accumulate into leaves, or return the gradients at the edges `targets`.

    With `targets` only what leads to them is computed. A returned gradient is a tensor, or None where nothing arrived.
    """
    enabled, node, outer = state.grad_enabled, state.backward_node, state.backward_pass
    state.set_grad_enabled(create_graph)
    try:
        return _Pass(Tensors if create_graph else Arrays, keep_graph, targets, accumulate).run(roots)
    finally:
        state.set_grad_enabled(enabled)
        state.backward_node, state.backward_pass = node, outer


class _Pass:
    """One backward pass, and what waits in it.

    A node waits on the heap, youngest first, once it was sent a gradient; since no older node can contribute to it, it
    is complete when it comes to the top. Leaves do not go on the heap: they wait in `buffers` until the end. Only when
    somebody's code runs in between (a hook, a custom function) could it be seen that `.grad` comes late; from then on
    `pending` counts what each leaf still waits for, and a leaf is finished as soon as torch would finish it.
    """

    pending: dict[Node, int] | None = None
    wanted: set[Node] | None = None  # the nodes that lead to a target
    reachable: AbstractSet[Node] = frozenset()  # what is left to run, when `pending` was counted

    def __init__(
        self, calculus: type[Arrays], keep_graph: bool, targets: Sequence[Edge] | None, accumulate: bool
    ) -> None:
        self.calculus = calculus
        self.keep_graph = keep_graph
        self.targets = targets
        self.accumulate = accumulate
        self.buffers: dict[Node, Any] = {}  # node -> gradient of its output, or list of them when it has several
        self.heap: list[tuple[int, Node]] = []
        self.captured: dict[Edge, Any] = {}

    def run(self, roots: Sequence[tuple[Edge, Tensor]]) -> list[Any]:  # noqa: C901, PLR0915  (one loop, in one place)
        calculus, heap, buffers, keep_graph = self.calculus, self.heap, self.buffers, self.keep_graph
        recording, quietly = calculus.recording, state.run
        if self.targets is not None:
            self.wanted = _leading_to([edge[0] for edge, _ in roots], {edge[0] for edge in self.targets})
        wanted = self.wanted
        usual = wanted is None and not recording and not state.anomaly
        owned: set[Node] = set()  # whose buffer is an array made here, so that it can be added to in place
        for root, gradient in roots:
            self.send(root, calculus.unwrap(gradient))
        while heap:
            node = heappop(heap)[1]
            grads = buffers.pop(node)
            if usual and node.plain and node.hooks is None:
                results = quietly(node.first, grads)
            else:
                found = self.visit(node, grads)
                if found is None:
                    continue
                results = found
            del grads
            if not keep_graph:
                node.release()
            for edge, grad in zip(node.next, results):
                if edge is None:
                    continue
                target, output = edge
                if wanted is not None and target not in wanted:
                    continue
                meta = target.meta
                if grad is not None:
                    data = grad._data if recording else grad
                    shape, dtype = meta[output]
                    if data.shape != shape or data.dtype is not dtype:
                        grad = self.fit(grad, meta[output], node, results)
                if len(meta) > 1:
                    self.send(edge, grad)
                elif target not in buffers:
                    buffers[target] = grad
                    if target.sequence <= 0:
                        heappush(heap, (target.sequence, target))
                    elif target.hooks is not None and self.pending is None:
                        self.watch(node)
                elif grad is not None:
                    buffer = buffers[target]
                    if buffer is None:
                        buffers[target] = grad
                    elif target in owned:
                        quietly(np.add, buffer, grad, buffer)
                    else:
                        buffers[target] = buffer = self.sum(buffer, grad)
                        if type(buffer) is np.ndarray:
                            owned.add(target)
            results = ()
            grad = data = buffer = None  # what nobody needs any more is free before the next node runs
            if self.pending is not None:
                for edge in node.next:
                    if edge is not None and type(edge[0]) is AccumulateGrad:
                        self.arrived(edge[0])
        for leaf in list(buffers):
            self.finish(leaf)  # type: ignore[arg-type]  # only leaves are left
        if self.targets is None:
            return []
        return [calculus.wrap(self.captured.get(edge)) for edge in self.targets]

    def sum(self, first: Any, second: Any) -> Any:
        return first + second if self.calculus.recording else state.run(np.add, first, second)

    def send(self, edge: Edge, grad: Any) -> None:
        """Add a gradient to what waits at an edge's node; None means that there is none, but the node still runs."""
        node, output = edge
        if node not in self.buffers:
            self.buffers[node] = None if len(node.meta) == 1 else [None] * len(node.meta)
            if node.sequence <= 0:
                heappush(self.heap, (node.sequence, node))
        if grad is None:
            return
        if len(node.meta) == 1:
            self.buffers[node] = grad if self.buffers[node] is None else self.sum(self.buffers[node], grad)
        else:
            slots = self.buffers[node]
            slots[output] = grad if slots[output] is None else self.sum(slots[output], grad)

    def fit(self, grad: Any, meta: Meta, source: Node, results: Sequence[Any]) -> Any:
        """A gradient in the shape and type of what it is the gradient of: what broadcasting and casts did, undone."""
        shape = (grad._data if self.calculus.recording else grad).shape
        if not _expandable(meta[0], shape):
            number = next(i for i, each in enumerate(results) if each is grad)
            raise RuntimeError(
                f"Function {source.name()} returned an invalid gradient at index {number} - got {list(shape)} but"
                f" expected shape compatible with {list(meta[0])}"
            )
        return self.calculus.fit(grad, meta) if self.calculus.recording else state.run(self.calculus.fit, grad, meta)

    def visit(self, node: Node, grads: Any) -> Sequence[Any] | None:
        """A node's gradients where more than its formulas is at work; None if it need not run."""
        hooks = node.hooks
        if self.pending is None and (hooks is not None or not node.plain):
            self.watch(node)
        if self.targets is not None and not self.must_run(node):
            self.capture(node, grads if hooks is None else self.call_tensor_hooks(node, hooks, grads))
            return None
        if self.targets is not None:
            self.capture(node, grads)  # torch captures before the hooks of a node that it also runs
        if hooks is not None:
            grads = self.call_before(node, hooks, grads)
        state.backward_node = node
        if state.anomaly:
            results = self.guarded(node, grads)
        elif node.plain and not self.calculus.recording:
            results = state.run(node.vjp, grads, self.calculus, self.wanted)
        else:
            results = node.vjp(grads, self.calculus, self.wanted)
        if hooks is not None and hooks.post:
            results = self.call_after(node, hooks, results, grads)
        return results

    # -- leaves --------------------------------------------------------------------------------------------------------

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
            for edge in node.next:
                if edge is not None:
                    if type(edge[0]) is AccumulateGrad:
                        pending[edge[0]] = pending.get(edge[0], 0) + 1
                    else:
                        stack.append(edge[0])
        self.reachable = seen | pending.keys()
        state.backward_pass = self
        for leaf in [node for node in self.buffers if type(node) is AccumulateGrad and node not in pending]:
            self.finish(leaf)

    def arrived(self, leaf: AccumulateGrad) -> None:
        """Count one contribution to a leaf; finish it after the last."""
        assert self.pending is not None
        self.pending[leaf] -= 1
        if not self.pending[leaf] and leaf in self.buffers:
            self.finish(leaf)

    def finish(self, leaf: AccumulateGrad) -> None:
        """Call the leaf's hooks, and capture its gradient or add it to `.grad`."""
        grad = self.buffers.pop(leaf)
        hooks = leaf.hooks
        if self.targets is not None and not self.accumulate:
            self.captured[leaf, 0] = grad if hooks is None else self.call_tensor_hooks(leaf, hooks, grad)
            return
        if hooks is not None:
            grad = self.call_before(leaf, hooks, grad)
        if grad is None or not leaf.enabled:
            return
        with _accumulating:
            self.store(leaf, grad)
        if hooks is not None:
            for hook in list(hooks.post_accumulate.values()):
                _checked(hook, hook(leaf.variable), None)
            if hooks.post:
                self.call_after(leaf, hooks, [], grad)

    def store(self, leaf: AccumulateGrad, grad: Any) -> None:
        old = leaf.grad
        if self.calculus.recording:
            leaf.grad = make(np.empty_like(leaf.data), None).copy_(grad) if old is None else old + grad
        elif old is None:
            # Taken as it is when nobody else holds it: the references are this frame's two and the argument's.
            if not (
                type(grad) is np.ndarray
                and _alone(grad)
                and sys.getrefcount(grad) <= 3
                and grad.strides == leaf.data.strides
            ):
                kept = make(np.empty_like(leaf.data, dtype=grad.dtype), None)
                kept._data[...] = grad
                kept._cell[0] += 1  # torch copies into a new tensor, which counts as a write
                leaf.grad = kept
            else:
                leaf.grad = make(grad, None)
            if state.inference:
                infer(leaf.grad)
        else:
            data = old.materialize()
            if data.shape != grad.shape:  # the leaf's data were replaced by others since
                raise broadcast_error([data.shape, grad.shape])
            state.run(np.add, data, grad, data)
            if not old._inference:
                old._cell[0] += 1

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def call_before(self, node: Node, hooks: Hooks, grads: Any) -> Any:
        """The tensor, retain_grad and pre hooks of a node; they may replace its gradients."""
        wrap, unwrap = self.calculus.wrap, self.calculus.unwrap
        single = len(node.meta) == 1
        grads = self.call_tensor_hooks(node, hooks, grads)
        tensors = [wrap(grads)] if single else [wrap(each) for each in grads]
        for number, reference in hooks.retain.items():
            tensor, grad = reference(), tensors[number]
            if tensor is not None and grad is not None:
                if tensor._grad is None:
                    tensor._grad = grad.clone() if self.calculus.recording else make(np.array(grad._data), None)
                else:
                    tensor._grad = tensor._grad + grad
        for prehook in list(hooks.pre.values()):
            changed = prehook(tuple(tensors))
            if changed is not None:
                tensors = _all_checked(prehook, changed, tensors)
        return unwrap(tensors[0]) if single else [unwrap(each) for each in tensors]

    def call_tensor_hooks(self, node: Node, hooks: Hooks, grads: Any) -> Any:
        """The hooks that users registered on the node's outputs."""
        if not hooks.tensor:
            return grads
        wrap, unwrap = self.calculus.wrap, self.calculus.unwrap
        single = len(node.meta) == 1
        tensors = [wrap(grads)] if single else [wrap(each) for each in grads]
        for number, hook in list(hooks.tensor.values()):
            tensors[number] = _checked(hook, hook(tensors[number]), tensors[number])
        return unwrap(tensors[0]) if single else [unwrap(each) for each in tensors]

    def call_after(self, node: Node, hooks: Hooks, results: Sequence[Any], grads: Any) -> Sequence[Any]:
        """The post hooks of a node; they may replace the gradients it computed."""
        wrap, unwrap = self.calculus.wrap, self.calculus.unwrap
        outputs = (wrap(grads),) if len(node.meta) == 1 else tuple(wrap(each) for each in grads)
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
                if edge[0] is node:
                    self.captured[edge] = grads if len(node.meta) == 1 else grads[edge[1]]

    def must_run(self, node: Node) -> bool:
        """Whether the node leads on to a target (or is one whose `.grad` is kept by its hooks)."""
        assert self.wanted is not None
        if self.accumulate and self.targets is not None and any(edge[0] is node for edge in self.targets):
            return True
        return any(edge is not None and edge[0] in self.wanted for edge in node.next)

    def guarded(self, node: Node, grads: Any) -> Sequence[Any]:
        """The node's gradients, with anomaly mode's reports."""
        try:
            if node.plain and not self.calculus.recording:
                results = state.run(node.vjp, grads, self.calculus, self.wanted)
            else:
                results = node.vjp(grads, self.calculus, self.wanted)
        except Exception:
            _anomaly.warn(node)
            raise
        for number, result in enumerate(results):
            data = result._data if isinstance(result, Tensor) else result
            if state.anomaly_check_nan and data is not None and np.isnan(data).any():
                _anomaly.warn(node)
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.")
        return results


def _alone(grad: np.ndarray[Any, Any]) -> bool:
    """Whether an array has its memory to itself: its own, or all of a base that nobody else holds."""
    base = grad.base
    return base is None or (
        type(base) is np.ndarray
        and base.base is None
        and base.size == grad.size
        and sys.getrefcount(base) <= 3  # the view's, this frame's and the argument's
        and grad.flags.writeable
    )


def _leading_to(roots: Sequence[Node], targets: set[Node]) -> set[Node]:
    """The nodes reachable from the roots from which a target can be reached, targets included."""
    oldest = max(target.sequence for target in targets)
    found: set[Node] = set(roots)
    stack = list(roots)
    while stack:
        for edge in stack.pop().next:
            if edge is not None and edge[0] not in found and edge[0].sequence <= oldest:
                found.add(edge[0])
                stack.append(edge[0])
    leading = found & targets
    for node in sorted(found, key=lambda node: node.sequence, reverse=True):
        if node not in leading and any(edge is not None and edge[0] in leading for edge in node.next):
            leading.add(node)
    return leading


def _expandable(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    return len(small) <= len(large) and all(
        a in (1, b) for a, b in zip(reversed(small), reversed(large), strict=False)
    )


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
