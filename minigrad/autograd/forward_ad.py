"""Forward-mode differentiation, as `torch.autograd.forward_ad`: tangents that go along with the computation.

Within a level, each operation that is applied to a tensor with a tangent gives its results theirs. There are no rules
for this beside the formulas of backward: as those are linear in the gradient, differentiating them once more gives the
derivative along the tangents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad._apply import apply
from minigrad._graph import Node, Saved
from minigrad._modes import _Mode, enable_grad, no_grad, state
from minigrad._op import Op
from minigrad._plan import OpNode
from minigrad._tensor import Tensor, make
from minigrad.ops.shape import primal

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class SavedDual(Saved):
    """A result that a node keeps, with its tangent."""

    __slots__ = ("tangent",)

    def __init__(self, saved: Saved, tangent: Any) -> None:
        super().__init__(saved._data, saved._writes, saved.source)
        self.tangent = tangent

    def unpack(self, node: Node) -> Tensor:
        """The result, with the tangent that it has in its level."""
        found = super().unpack(node)
        found._tangent = self.tangent
        return found


class _Level:
    """What the tensors of an open level have as tangents, and how operations hand them on."""

    def tangent(self, tensor: Any) -> Tensor | None:
        """A tensor's own tangent, or the part of its base's that it shows."""
        if not isinstance(tensor, Tensor):
            return None
        if tensor._tangent is not None and tensor._tangent[0] is self:
            found: Tensor | None = tensor._tangent[1]
            return found
        base = None if tensor._view is None else tensor._view.base
        whole = None if base is None else self.tangent(base)
        if base is None or whole is None:
            return None
        if tensor._data.dtype != base._data.dtype or whole._data.strides != base._data.strides:
            raise NotImplementedError("minigrad finds no tangent for such a view of what was written to")
        with self.aside():
            offset = tensor.storage_offset() - base.storage_offset()
            part: Tensor = whole.as_strided(tensor.shape, tensor.stride(), offset)
        tensor._tangent = (self, part)
        return part

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is computed inside hands no tangents on."""
        state.set(dual=None)
        try:
            yield
        finally:
            state.set(dual=self)

    def applied(self, op: Op, args: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        """Give the results of an operation their tangents."""
        found = self.pushed(op, args)
        if found is not None:
            for number, (output, tangent) in enumerate(zip(outputs, found, strict=True)):
                output._tangent = (self, tangent)
                if tangent is not None and output._edge is not None:
                    self._saved(output._edge._node, number, tangent)

    def _saved(self, node: Node, number: int, tangent: Tensor) -> None:
        """Keep the tangent of a result beside what the node has saved of it."""
        if isinstance(node, OpNode) and node._saved is not None:
            node._keep(
                [
                    SavedDual(each, (self, tangent)) if type(each) is Saved and each.source == number else each
                    for each in node._saved
                ],
                node._versions_saved(),
            )

    def pushed(self, op: Op, args: Sequence[Any]) -> Sequence[Tensor | None] | None:
        """The tangents of an operation's results; None if no operand has one."""
        if state.inference or not any(self.tangent(each) is not None for each in _tensors(op, args)):
            return None
        tangents = [self.tangent(each) for each in _tensors(op, args)]
        if op.view:
            with self.aside():
                part = apply(op, (tangents[0], *args[1:]))
            return (part,) if isinstance(part, Tensor) else tuple(part)

        def again(*given: Tensor) -> Any:
            others = iter(given)
            replaced = list(args)
            for i, _, many in op.operands:
                replaced[i] = [next(others) for _ in args[i]] if many else (
                    next(others) if isinstance(args[i], Tensor) else args[i]
                )  # fmt: skip
            return apply(op, replaced)

        return self.along(again, _tensors(op, args), tangents)

    def along(
        self, function: Callable[..., Any], primals: Sequence[Tensor], tangents: Sequence[Tensor | None]
    ) -> Sequence[Tensor | None]:
        """The derivatives of a function's results along the tensors that have a tangent; None of what is discrete."""
        from minigrad.func import _Level as Transform
        from minigrad.func import _push

        level = Transform()
        with self.aside(), enable_grad():
            inputs, arguments, along = [], [], []
            for primal, tangent in zip(primals, tangents, strict=True):
                entered = primal
                if tangent is not None:
                    entered = level.enter(primal)
                    inputs.append(entered)
                    along.append(tangent)
                arguments.append(entered)
            found = function(*arguments)
            outputs = (found,) if isinstance(found, Tensor) else tuple(found)
            smooth = [each for each in outputs if each._data.dtype.kind in "fc"]
            found = level.leave(_push(level, smooth, inputs, along))
            shared = [each._cell for each in along]
            answers = iter([each.clone() if any(each._cell is cell for cell in shared) else each for each in found])
        return [next(answers) if each._data.dtype.kind in "fc" else None for each in outputs]

    def copied(self, copy: Tensor, tensor: Tensor) -> None:
        """Give a copy of a tensor that is about to be written to the tangent that it has until then."""
        tangent = self.tangent(tensor)
        if tangent is not None:
            with self.aside():
                copy._tangent = (self, tangent.clone())

    def written(self, target: Tensor, tangent: Tensor) -> None:
        """Give a tensor that is written to in place its new tangent, in the place of the old one."""
        if self.tangent(target) is None and target._view is not None:
            base = target._view.base
            base._tangent = (self, make(np.zeros_like(base._data), None))
        old = self.tangent(target)
        if old is None:
            target._tangent = (self, tangent)
            return
        with self.aside(), enable_grad() if tangent.requires_grad or old.requires_grad else no_grad():
            old.copy_(tangent)


def _tensors(op: Op, args: Sequence[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for i, _, many in op.operands:
        found += args[i] if many else [args[i]] if isinstance(args[i], Tensor) else []
    return found


def enter_dual_level() -> int:
    """Open the level in which tensors can have tangents, and return its number, 0; there can be only one."""
    if state.dual is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    state.set(dual=_Level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Close the level; all tangents in it are gone."""
    current = -1 if state.dual is None else 0
    if level is None:
        level = current
    if level != current:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    if state.dual is None:
        raise RuntimeError("Dual level must be a positive number.")
    state.set(dual=None)


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A view of `tensor` that has `tangent`, of the same size, as its tangent in the open level."""
    if (level is not None and level < 0) or state.dual is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    for name, each in (("primal", tensor), ("tangent", tangent)):
        if each._data.dtype.kind not in "fc":
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {each.dtype}")
    dual: _Level = state.dual
    if dual.tangent(tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not"
            " supported."
        )
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not"
            f" supported. Tensor is of size {list(tensor.shape)} while the given forward gradient is of size"
            f" {list(tangent.shape)}."
        )
    with dual.aside():
        made: Tensor = tensor.view_as(tensor)
        if made._data.strides != tangent._data.strides:
            laid = make(np.empty_like(made._data, dtype=tangent._data.dtype), None)
            tangent = laid.copy_(tangent)
    made._tangent = (dual, tangent)
    return made


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` gives: the tensor without its tangent, and the tangent or None."""

    primal: Tensor
    tangent: Tensor | None


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """A view of `tensor` without its tangent, and the tangent that it has in the open level."""
    dual = state.dual
    if dual is None or (level is not None and level < 0):
        return UnpackedDualTensor(tensor, None)
    tangent = dual.tangent(tensor)
    with dual.aside():
        alone: Tensor = primal(tensor)
    alone._tangent = (dual, None)
    return UnpackedDualTensor(alone, tangent)


class dual_level(_Mode):
    """Within it, tensors can have tangents."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()
