"""Views and in-place writes: who shares memory with whom, and how the graph follows a write (torch's view tracking).

A view remembers its base: the tensor that is no view of another. Tensors that share memory share one version cell, a
one-element list that every write increments. When a write to a view is recorded, the *base* gets a new history
(`CopySlices`); any view whose history is older than the last write makes itself a new one (`AsStridedBackward0`) when next
looked at, and thereby sees the write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad._graph import AccumulateGrad, Edge, Node
from minigrad._modes import state
from minigrad._tensor import Tensor, infer

DEFAULT, MULTIPLE, NO_GRAD, FUNCTION, INFERENCE = range(5)  # how a view was made (torch's CreationMeta)


class View:
    """What a tensor knows of being a view."""

    __slots__ = ("base", "made", "version")

    def __init__(self, base: Tensor, made: int) -> None:
        self.base = base
        self.made = made
        self.version = base._cell[0]  # the version that the view's own history accounts for


Geometry = tuple[tuple[int, ...], tuple[int, ...], int]


def geometry_of(view: np.ndarray[Any, Any], base: np.ndarray[Any, Any]) -> Geometry:
    """Shape, strides and offset of `view` in `base`'s memory, in bytes."""
    start: int = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return view.shape, view.strides, start


def mark_view(view: Tensor, base: Tensor, made: int = DEFAULT) -> None:
    """Record that `view._data` is a part of `base._data`."""
    if base._inference:
        infer(view)
        return
    parent = base._view
    if parent is not None:
        made = max(made, parent.made)
        base = parent.base
    view._cell = base._cell
    if not state.grad_enabled and made == DEFAULT:
        made = INFERENCE if state.inference else NO_GRAD
    view._view = View(base, made)


def edge_of(tensor: Tensor) -> Edge | None:
    """The tensor's edge, made anew if it is a view and something wrote to its memory since."""
    view = tensor._view
    if view is None or view.version == tensor._cell[0]:
        return tensor._edge
    base = view.base
    if tensor._edge is None and base._edge is None:
        return None
    if base._edge is not None:
        _set_edge(tensor, (AsStridedBackward0(tensor, base), 0))
    view.version = tensor._cell[0]
    return tensor._edge


def _indices(part: Geometry, whole: Geometry) -> np.ndarray[Any, Any]:
    """Where each element of a part lies in a C-contiguous array of the whole's shape."""

    def offsets(geometry: Geometry) -> np.ndarray[Any, Any]:
        shape, strides, start = geometry
        found = np.array(start)
        for size, stride in zip(shape, strides, strict=True):
            found = found[..., None] + np.arange(size) * stride
        return found

    places = offsets(whole)
    order = np.argsort(places, axis=None, kind="stable")
    return order[np.searchsorted(places.ravel()[order], offsets(part))]


class _Part(Node):
    """A node that knows which part of its base a view is."""

    def __init__(self, view: Tensor, base: Tensor, next: Sequence[Edge | None], meta: Any) -> None:
        super().__init__(next, meta)
        data = base.materialize()
        self.part = geometry_of(view.materialize(), data)
        self.whole: Geometry = (data.shape, data.strides, 0)

    def indices(self) -> np.ndarray[Any, Any]:
        return _indices(self.part, self.whole)


class AsStridedBackward0(_Part):
    """The history of a view made anew: the part of its base that it is."""

    plain = True

    def __init__(self, view: Tensor, base: Tensor) -> None:
        super().__init__(view, base, (edge_of(base),), ((view._data.shape, view._data.dtype),))

    def vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        return (None if grads is None else calculus.xp.put_part(grads, self.indices(), self.whole[0]),)


class CopySlices(_Part):
    """The history of a base after a write to one of its views: `function` for the part written, the rest as before."""

    def __init__(self, view: Tensor, base: Tensor, function: Node) -> None:
        next = [edge_of(base), *function.next[1:]]
        super().__init__(view, base, next, ((base._data.shape, base._data.dtype),))
        self.function = function
        self.plain = function.plain

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        if grads is None:
            return [None] * len(self.next)
        indices = self.indices()
        part = calculus.xp.take_part(grads, indices)
        first, *rest = self.function.vjp(part, calculus, None)
        if first is None:
            first = calculus.zeros(part.shape, calculus.dtype(part))
        else:
            first = calculus.fit(first, self.function.meta[0])
        return [calculus.xp.set_part(grads, indices, first), *rest]

    def release(self) -> None:
        self.function.release()


def check_inplace(tensor: Tensor) -> None:
    """Refuse a recorded write to `tensor` where torch does."""
    edge = edge_of(tensor)
    if not state.grad_enabled:
        return
    view = tensor._view
    if view is None:
        if edge is not None and isinstance(edge[0], AccumulateGrad):
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        return
    base_edge = view.base._edge
    if view.made != DEFAULT and (edge is not None or base_edge is not None or view.made != NO_GRAD):
        _refuse(tensor, view)
    if base_edge is not None and isinstance(base_edge[0], AccumulateGrad):
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")


def _refuse(tensor: Tensor, view: View) -> None:
    function = tensor.grad_fn
    what = (
        f"Output {tensor.output_nr} of {function.name().removesuffix('0').removesuffix('Backward')}"
        if function is not None
        else "A view"
    )
    if view.made == MULTIPLE:
        raise RuntimeError(
            f"{what} is a view and is being modified inplace. This view is the output of a function that returns multiple"
            " views. Such functions do not allow the output views to be modified inplace. You should replace the inplace"
            " operation by an out-of-place one."
        )
    if view.made == FUNCTION:
        raise RuntimeError(
            f"{what} is a view and is being modified inplace. This view was created inside a custom Function (or because"
            " an input was returned as-is) and the autograd logic to handle view+inplace would override the custom"
            " backward associated with the custom Function, leading to incorrect gradients. This behavior is forbidden."
            " You can fix this by cloning the output of the custom Function."
        )
    mode = "inference mode" if view.made == INFERENCE else "no_grad mode"
    raise RuntimeError(
        f"A view was created in {mode} and is being modified inplace with grad mode enabled. Given that this use case is"
        " ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace"
        f" either both inside the {mode.replace(' mode', '')} block (if you don't want the inplace to be tracked) or both"
        f" outside (if you want the inplace to be tracked)."
    )


def rebase_history(tensor: Tensor, node: Node) -> None:
    """Make `node`, whose first input is the old `tensor`, the history of the tensor that was written to."""
    view = tensor._view
    if view is None:
        _set_edge(tensor, (node, 0))
        return
    base = view.base
    _set_edge(base, (CopySlices(tensor, base, node), 0))
    _set_edge(tensor, (AsStridedBackward0(tensor, base), 0))
    view.version = tensor._cell[0]


def _set_edge(tensor: Tensor, edge: Edge) -> None:
    """Give a tensor a new history; retain_grad goes with the tensor, other hooks stay where they were registered."""
    old = tensor._edge
    tensor._edge = edge
    if tensor._retains and old is not None and old[0].hooks is not None:
        reference = old[0].hooks.retain.pop(old[1], None)
        if reference is not None:
            edge[0].make_hooks().retain[edge[1]] = reference


def strided(data: np.ndarray[Any, Any], shape: Sequence[int], strides: Sequence[int], start: int) -> Any:
    """The view of `data`'s memory with this shape, and with strides and start in bytes."""
    flat = as_strided(data, (1,), (data.itemsize,))
    return np.ndarray(tuple(shape), data.dtype, flat, start, tuple(strides))
