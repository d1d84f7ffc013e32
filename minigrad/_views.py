"""Views and in-place writes: who shares memory with whom, and how the graph follows a write (torch's view tracking).

A view remembers its base: the tensor that is no view of another. Tensors that share memory share one version cell, a
one-element list that every write increments. When a write to a view is recorded, the *base* gets a new history
(`CopySlices`); any view whose history is older than the last write makes itself a new one (`AsStridedBackward0`) when
next looked at, and thereby sees the write. Hooks of the old history stay with it; retain_grad goes with the tensor.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from minigrad._graph import AccumulateGrad, Edge, Node, version_of
from minigrad._modes import state
from minigrad._tensor import Tensor, infer

DEFAULT, MULTIPLE, NO_GRAD, FUNCTION, INFERENCE = range(5)  # how a view was made (torch's CreationMeta)


class View:
    """What a tensor knows of being a view."""

    __slots__ = ("base", "made", "version")

    def __init__(self, base: Tensor, made: int) -> None:
        self.base = base
        self.made = made
        self.version = version_of(base)  # the version that the view's own history accounts for


def address(array: np.ndarray[Any, Any]) -> int:
    """Where the first element lies in memory."""
    found: int = array.__array_interface__["data"][0]
    return found


def owner(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The array whose memory a tensor's elements lie in (torch's storage)."""
    array = (tensor if tensor._view is None or tensor._mirror is not None else tensor._view.base).materialize()
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Mirror:
    """A conjugate view's memory: a copy of what it is a view of, conjugated, since numpy has no lazy conjugates.

    A negative view's likewise, with `turned` the function that gives one from the other.

    Every write to one is reflected in the other; the version cell that both share keeps the mirrors alive, weakly.
    """

    __slots__ = ("__weakref__", "copy", "parent", "source", "turned")

    def __init__(self, tensor: Tensor, view: Tensor, turned: Any) -> None:
        self.turned = turned
        self.source, self.copy = tensor.materialize(), view.materialize()
        self.parent = tensor._mirror  # of a conjugate's conjugate
        cell: list[Any] = tensor._cell
        cell[1:] = [each for each in cell[1:] if each() is not None] + [weakref.ref(self)]


def reflect(target: Tensor) -> None:
    """Carry a write to `target` over to the conjugates of its memory, and to what it is itself a conjugate of."""
    mirror = target._mirror
    while mirror is not None:
        mirror.turned(mirror.copy, out=mirror.source)
        mirror = mirror.parent
    cell: list[Any] = target._cell
    for each in cell[1:]:  # a conjugate comes before the conjugates of it
        mirror = each()
        if mirror is not None:
            mirror.turned(mirror.source, out=mirror.copy)


def mark_lazy(view: Tensor, tensor: Tensor, negative: bool = False) -> None:
    """Record that `view._data` holds the conjugates, or the negatives, of `tensor._data`."""
    if tensor._inference or view._inference:
        return
    mark_view(view, tensor)
    view._mirror = Mirror(tensor, view, np.negative if negative else np.conjugate)
    view._lazy = tensor._lazy ^ (2 if negative else 1)


_BEHIND: Final = (
    "the gradient of a write through a conjugate view, or behind its back, is not followed: use resolve_conj() before"
)


class Part:
    """Where the elements of one array lie in another's memory; works on any array of that one's shape, by copying it.

    The copy has the strides of the original, so that bytes mean the same in both. A part may lie outside (`as_strided`
    of a view), overlap itself (`unfold`, `expand`), and be of another type (the real part of complex numbers).
    """

    def __init__(self, part: np.ndarray[Any, Any], whole: np.ndarray[Any, Any]) -> None:
        start = address(part) - address(whole)
        low, high = min(0, start), max(extent(whole), start + extent(part), 1)
        self.bytes = high - low
        self.part = (part.shape, part.dtype, start - low, part.strides)
        self.whole = (whole.shape, whole.dtype, -low, whole.strides)
        self.overlaps = overlaps(part)

    def take(self, whole: Any) -> np.ndarray[Any, Any]:
        """The part's elements."""
        buffer, _ = self._copy(whole)
        return np.array(self._view(buffer, self.part))

    def put(self, part: Any) -> np.ndarray[Any, Any]:
        """Zeros, with the elements added where the part lies."""
        buffer, whole = self._copy(None)
        target = self._view(buffer, self.part)
        if self.overlaps:
            places = np.full((), self.part[2])
            for size, stride in zip(target.shape, target.strides, strict=True):
                places = places[..., None] + np.arange(size) * stride
            aligned = buffer[: buffer.size // target.itemsize * target.itemsize].view(target.dtype)
            np.add.at(aligned, places // target.itemsize, part)
        else:
            target[...] = part
        return whole

    def set(self, whole: Any, part: Any) -> np.ndarray[Any, Any]:
        """A copy of the whole in which the part is replaced."""
        buffer, copy = self._copy(whole)
        self._view(buffer, self.part)[...] = part
        return copy

    def _copy(self, whole: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        buffer = np.zeros(self.bytes, np.uint8)
        copy = self._view(buffer, self.whole)
        if whole is not None:
            copy[...] = whole
        return buffer, copy

    @staticmethod
    def _view(buffer: np.ndarray[Any, Any], geometry: Any) -> np.ndarray[Any, Any]:
        shape, dtype, start, strides = geometry
        return np.ndarray(shape, dtype, buffer, start, strides)


def overlaps(array: np.ndarray[Any, Any]) -> bool:
    """Whether elements of the array may share memory with each other."""
    reach, found = array.itemsize, False
    for stride, size in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        found |= stride < reach
        reach += stride * (size - 1)
    return found and bool(array.size)


def extent(array: np.ndarray[Any, Any]) -> int:
    """Bytes from the first element to the end of the last."""
    if not array.size:
        return 0
    return int(sum((n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)) + array.itemsize)


def mark_view(view: Tensor, base: Tensor, made: int = DEFAULT) -> None:
    """Record that `view._data` is a part of `base._data`."""
    if base._inference:
        infer(view)
        return
    parent = base._view
    view._lazy, view._mirror = base._lazy, base._mirror
    if parent is not None:
        made, base = made or parent.made, parent.base
    view._cell = base._cell
    if not state.grad_enabled:
        made = INFERENCE if state.inference else NO_GRAD
    view._view = View(base, made)


def edge_of(tensor: Tensor) -> Edge | None:
    """The tensor's edge, for an operation that may be recorded."""
    return current_edge(tensor) if state.grad_enabled and tensor._view is not None else tensor._edge


def current_edge(tensor: Tensor) -> Edge | None:
    """The tensor's edge, made anew if it is a view and something wrote to its memory since.

    RuntimeError, as in torch, for views that cannot follow a write to their base.
    """
    view = tensor._view
    if view is None or tensor._edge is None and not view.base.requires_grad:
        return tensor._edge
    if view.version != version_of(tensor):
        if view.made != DEFAULT:
            _refuse(tensor, view, "its base or another view of its base has been")
        if view.base.requires_grad:
            if tensor._mirror is not None:
                raise NotImplementedError(_BEHIND)
            part = Part(tensor.materialize(), view.base.materialize())
            _set_edge(tensor, AsStridedBackward0(edge_of(view.base), part))
        view.version = version_of(tensor)
    elif tensor._edge is None:  # made under no_grad, or before its base required grad: gradients end here, unused
        tensor._edge = tensor._accumulate()
    return tensor._edge


class AsStridedBackward0(Node):
    """The history of a view made anew: the part of its base that it is."""

    def __init__(self, base: Edge | None, part: Part) -> None:
        shape, dtype, *_ = part.part
        super().__init__((base,), ((shape, dtype),))
        self.part = part

    def _vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        return (None if grads is None else calculus.xp.put_part(grads, self.part),)


AsStridedBackward0.__module__ = "builtins"


class CopySlices(Node):
    """The history of a base after a write to one of its views: `function` for the part written, the rest as before."""

    def __init__(self, view: Tensor, base: Tensor, function: Node) -> None:
        meta = ((base._data.shape, base._data.dtype),)
        super().__init__([edge_of(base), *function._next[1:]], meta, function._plain)
        self.part = Part(view.materialize(), base.materialize())
        self.function = function
        function._make_notes().copy = weakref.ref(self)

    def view(self) -> AsStridedBackward0:
        """The history of the part that was written, which is what the result of `function` was."""
        return AsStridedBackward0(self, self.part)

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def __repr__(self) -> str:
        return f"<CopySlices object at {id(self):#x}>"

    def _vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        if grads is None:
            return [None] * len(self._next)
        part = calculus.xp.take_part(grads, self.part)
        first, *rest = self.function._vjp(part, calculus, None)
        if first is None:
            first = calculus.zeros(part.shape, calculus.dtype(part))
        else:
            first = calculus.fit(first, self.function._meta[0])
        return [calculus.xp.set_part(grads, self.part, first), *rest]

    def _release(self) -> None:
        self.function._release()


CopySlices.__module__ = "builtins"


def check_inplace(tensor: Tensor) -> None:
    """Refuse a recorded write to `tensor` where torch does."""
    if not state.grad_enabled:
        return
    view = tensor._view
    if view is not None and view.made != DEFAULT:
        _refuse(tensor, view, "is being")
    if tensor._mirror is not None:
        raise NotImplementedError(_BEHIND)
    if not tensor.requires_grad:
        return
    if view is not None and view.base.is_leaf:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if tensor.is_leaf:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def check_overlap(target: Tensor, other: Tensor, same: bool = True) -> None:
    """Refuse to write to `target` while reading `other`, dense parts of one memory that overlap; `same`: unless they
    are the same part."""
    a, b = target._data, other._data
    if a is not b and (a.base is None and b.base is None or not np.may_share_memory(a, b)):
        return
    a, b = target.materialize(), other.materialize()
    if not (a.size and b.size and dense(a) and dense(b)):
        return
    if same and a.strides == b.strides and address(a) == address(b) and a.shape == b.shape:
        return
    if address(a) < address(b) + b.nbytes and address(b) < address(a) + a.nbytes:
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single"
            " memory"
            " location. Please clone() the tensor before performing the operation."
        )


def dense(array: np.ndarray[Any, Any]) -> bool:
    """Whether the elements fill their memory without gaps, in some order of the dimensions."""
    return array.flags.forc or extent(array) == array.nbytes and not overlaps(array)


def _refuse(tensor: Tensor, view: View, what: str) -> None:
    """Torch's errors for a write to (or behind the back of) a view that the graph cannot follow."""
    mode, now = ("inference", "in normal mode") if view.made == INFERENCE else ("no_grad", "with grad mode enabled")
    if tensor._edge is not None and not isinstance(tensor._edge, AccumulateGrad):
        function, number = tensor._edge._node, tensor._edge._number
        name = function.name().removesuffix("0").removesuffix("Backward")
        start = f"Output {number} of {name} is a view and {what} modified inplace."
        if view.made in (NO_GRAD, INFERENCE):
            start = (
                f"Output {number} of {name} is a view of a view which was created in {mode} mode and {what} modified"
                f" inplace {now}."
            )
    else:
        start = f"A view was created in {mode} mode and {what} modified inplace {now}."
    if view.made == MULTIPLE:
        reason = (
            "This view is the output of a function that returns multiple views. Such functions do not allow the output"
            " views to be modified inplace. You should replace the inplace operation by an out-of-place one."
        )
    elif view.made == FUNCTION:
        reason = (
            "This view was created inside a custom Function (or because an input was returned as-is) and the autograd"
            " logic to handle view+inplace would override the custom backward associated with the custom Function,"
            " leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of"
            " the custom Function."
        )
    else:
        reason = (
            "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by"
            " moving both the view and the inplace either both inside the"
            f" {mode.replace('inference', 'inference_mode')} block (if you"
            " don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
        )
    raise RuntimeError(f"{start} {reason}")


def rebase_history(tensor: Tensor, node: Node) -> None:
    """Make `node`, whose first input is the old `tensor`, the history of the tensor that was written to."""
    view = tensor._view
    if view is None:
        _set_edge(tensor, node)
        return
    base = view.base
    _set_edge(base, CopySlices(tensor, base, node))


def _set_edge(tensor: Tensor, edge: Edge) -> None:
    """Give a tensor a new history; retain_grad goes with the tensor, other hooks stay where they were registered."""
    old = tensor._edge
    tensor._edge = edge
    if tensor._retains and old is not None and (hooks := old._node._hooks) is not None:
        reference = hooks.retain.pop(old._number, None)
        if reference is not None:
            edge._node._make_hooks().retain[edge._number] = reference
