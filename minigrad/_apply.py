"""How an operation is applied: its operands found, promoted and computed with, and the result recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._arguments import argument_error, combination_error, mismatch
from minigrad._dims import broadcast_error
from minigrad._graph import Edge, Number, Saved, edge_to
from minigrad._layout import in_order, laid_as, tied
from minigrad._modes import RECORD, SPECIAL, state
from minigrad._op import NUMBER, RAW, Op
from minigrad._plan import WRAPPING, plan_of
from minigrad._tensor import Tensor, count_write, infer, make
from minigrad._text import type_name
from minigrad._views import (
    DEFAULT,
    MULTIPLE,
    check_inplace,
    check_overlap,
    edge_of,
    mark_view,
    overlaps,
    rebase_history,
    reflect,
)

# What writes where an index says, for which even reading the very memory that is written to is an error.
SCATTERING: Final = {"index_add", "index_copy", "index_put_at", "put", "scatter_add", "scatter_at", "scatter_reduce"}
FILLING: Final = {"index_fill": 3, "masked_fill": 2, "masked_scatter": 2}  # the argument that may lie anywhere
PRODUCTS: Final = {"addbmm", "addmv"}  # what torch does not check for reading memory that it writes to
UNIFORM: Final = {"fill", "zero"}  # what may write to overlapping memory
CHANGED: Final = {"_conjugated": "c", "nan_to_num": "fc"}  # the kinds of numbers that are not left as they are


def apply(op: Op, args: Sequence[Any]) -> Any:
    """Apply `op` to its arguments, one per parameter in declared order, and record it if an input requires grad."""
    if op.single and isinstance(args[0], Tensor):
        return _apply_single(op, args)
    given = args
    args, raws, edges, need = _prepare(op, given)
    result = _forward(op, raws, state.run)
    recording = bool(need and state.grad_enabled and op.formulas) and not state.inference
    if not op.many_outputs:
        if op.elementwise and result.ndim > 1:
            result = _laid(op, raws, result)
        output = _output(op, args[0], result)
        if recording and result.dtype.kind in "fc":
            output._edge = plan_of(op, need, args, result.dtype).record(edges, args, raws, result, output)
        if state.dual is not None:
            state.dual.applied(op, given, (output,))
        return output
    outputs = [_output(op, args[0], each) for each in result]
    if recording and outputs:
        node = plan_of(op, need, args, outputs[0]._data.dtype).record(edges, args, raws, result, outputs)
        for number, each in enumerate(outputs):
            if each._data.dtype.kind in "fc":
                each._edge = edge_to(node, number)
    if state.dual is not None:
        state.dual.applied(op, given, outputs)
    return tuple(outputs) if op.returns is tuple else op.returns(*outputs)


def _apply_single(op: Op, args: Sequence[Any]) -> Tensor:
    """`apply` for one tensor first, nothing to promote, and one output: most views, moves and reductions."""
    tensor = args[0]
    mode, run = state.fast
    raws = (tensor.materialize() if op.view else tensor._data, *args[1:])
    result = _forward(op, raws, run)
    output = _output(op, tensor, result) if op.view or mode == SPECIAL else make(result, None)
    recording = mode == RECORD or mode == SPECIAL and state.grad_enabled and not state.inference
    if recording and op.formulas and result.dtype.kind in "fc":
        edge = tensor._edge if tensor._view is None else edge_of(tensor)
        if edge is not None:
            output._edge = plan_of(op, 1, args, result.dtype).record((edge,), args, raws, result, output)
    if mode == SPECIAL and state.dual is not None:
        state.dual.applied(op, args, (output,))
    return output


def _forward(op: Op, raws: Sequence[Any], run: Callable[..., Any]) -> Any:
    try:
        result = run(op.forward, *raws)
        return result if not op.in_order else in_order(result)
    except ValueError as error:
        if not str(error).startswith("operands could not be broadcast"):
            raise
        shapes = [raw.shape for raw in raws if isinstance(raw, (np.ndarray, np.generic))]
    except TypeError as error:
        raise mismatch(op, raws) or error from None
    raise broadcast_error(*shapes)


def _laid(op: Op, raws: Sequence[Any], result: Any) -> Any:
    """The result in memory as torch lays it; of one operand that is not expanded numpy lays it so too."""
    arrays = [raws[i] for i, _, _ in op.operands if isinstance(raws[i], np.ndarray)]
    return laid_as(result, *arrays) if len(arrays) > 1 or tied(arrays[0]) else result


def _prepare(op: Op, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Edge | None], int]:
    args, raws = list(args), list(args)
    edges: list[Edge | None] = []
    need = 0
    for i, bit, many in op.operands:
        given = args[i]
        if many:
            raws[i] = [each._data for each in _tensors(op, i, given)]
            if i in op.differentiable:
                for each in given:
                    edge = edge_of(each)
                    edges.append(edge)
                    if edge is not None:
                        need |= bit
        elif isinstance(given, Tensor):
            raws[i] = given.materialize() if op.view else given._data
            if i in op.differentiable:
                edge = given._edge if given._view is None else edge_of(given)
                edges.append(edge)
                if edge is not None:
                    need |= bit
        elif given is None and i in op.optional or i in op.numbers and isinstance(given, NUMBER):
            if i in op.differentiable and i not in op.left_out(args):
                edges.append(None)
        elif op.numbers and op.name not in WRAPPING:
            raise combination_error(op.shown, *[args[i] for i, _, _ in op.operands])
        else:
            raise argument_error(op, i, given)
    if (
        len(op.numbers) == len(op.operands)
        and op.name not in WRAPPING
        and not any(isinstance(args[i], Tensor) for i in op.numbers)
    ):
        raise combination_error(op.shown, *[args[i] for i, _, _ in op.operands])
    if op.promote:
        _promote(op, args, raws)
    return args, raws, edges, need


def _tensors(op: Op, i: int, given: Any) -> Sequence[Tensor]:
    if not isinstance(given, (list, tuple)):
        raise argument_error(op, i, given, "tuple of Tensors")
    for k, each in enumerate(given):
        if not isinstance(each, Tensor):
            raise TypeError(f"expected Tensor as element {k} in argument {i}, but got {type(each).__name__}")
    return given


def _promote(op: Op, args: list[Any], raws: list[Any]) -> None:
    """Cast the operands to their common type; saved values become those that the forward saw."""
    places = [i for i in op.promoted if raws[i] is not None]
    first = args[places[0]]
    if isinstance(first, NUMBER) or any(
        isinstance(args[i], NUMBER) or raws[i].dtype != first._data.dtype for i in places[1:]
    ):
        dtype = _dtype.result_type(
            args[i] if isinstance(args[i], NUMBER) else (raws[i].dtype, raws[i].ndim) for i in places
        )
    else:
        dtype = first._data.dtype
    promote = op.promote if isinstance(op.promote, str) else op.ask(op.promote, args)  # type: ignore[arg-type]
    if promote == "float" and dtype.kind in "iub":
        dtype = _dtype.default_float()
    if dtype.kind not in op.kinds:
        if isinstance(op.refusal, Exception):
            raise type(op.refusal)(*op.refusal.args)
        raise NotImplementedError(f"\"{op.refusal}\" not implemented for '{_dtype.from_numpy(dtype).legacy_name}'")
    for i in places:
        if isinstance(args[i], NUMBER):
            _dtype.check_number(args[i])
            # Integers wrap around, as in torch; numpy's types refuse them.
            raws[i] = np.asarray(args[i]).astype(dtype)[()] if dtype.kind in "iu" else _as_type(args[i], dtype)
            args[i] = Number(raws[i], args[i])
        elif raws[i].dtype != dtype:
            raws[i] = RAW.cast(raws[i], dtype)
            args[i] = Saved(raws[i], args[i]._cell, args[i])


def _as_type(number: Any, dtype: np.dtype[Any]) -> Any:
    """A number as a floating type; a half may overflow to infinity, without numpy's warning."""
    return state.run(dtype.type, number) if dtype.itemsize == 2 else dtype.type(number)


def _output(op: Op, first: Any, data: Any) -> Tensor:
    tensor = make(data, None)
    if op.view:
        mark_view(tensor, first, MULTIPLE if op.many_outputs else DEFAULT)
    elif state.inference:
        infer(tensor)
    return tensor


def apply_inplace(op: Op, args: Sequence[Any]) -> Tensor:
    """Apply `op` and write the result into its first argument, which keeps its shape and type."""
    target: Tensor = args[0]
    if not isinstance(target, Tensor):
        raise argument_error(op, 0, target)
    if target._view is not None and target._view.made and target.requires_grad:
        check_inplace(target)  # before its edge is asked for, which such a view may not have
    given = args
    args, raws, edges, need = _prepare(op, given)
    if need and op.formulas:
        check_inplace(target)
    others = [each for each in given[1:] if isinstance(each, Tensor)]
    for each in others if op.name not in PRODUCTS else ():
        if op.name not in FILLING or each is not given[FILLING[op.name]]:
            check_overlap(target, each, same=op.name not in SCATTERING)
    aliases = [each for each in others if each._cell is target._cell]
    result = _forward(op, raws, state.run)
    tangents = None if state.dual is None else state.dual.pushed(op, given)
    recording = need and state.grad_enabled and not state.inference and op.formulas and target._data.dtype.kind in "fc"
    plan = plan_of(op, need, args, target._data.dtype) if recording else None
    if plan is not None and "self" in plan.inputs:
        old = args[0]._data.copy() if isinstance(args[0], Tensor) else args[0]._data
        args[0] = make(old, edge_of(target))
        if tangents is not None:
            state.dual.copied(args[0], target)
    changed = target._data.dtype.kind in CHANGED.get(op.name, "biufc")
    write(target, result, uniform=op.name in UNIFORM or not changed)
    if plan is not None:
        node = plan.record(edges, args, raws, target._data, target)
        if aliases:  # what was saved of them is gone
            saved, versions = node._saved or (), node._versions_saved()
            owners = [s.source if isinstance(s, Saved) else s for s in saved]
            node._keep(saved, [v - any(o is a for a in aliases) for o, v in zip(owners, versions, strict=True)])
        rebase_history(target, node)
    if tangents is not None:
        state.dual.written(target, tangents[0])
    return target


def write(target: Tensor, result: Any, uniform: bool = False) -> None:
    """Store `result` in `target`'s memory and count the write; RuntimeError where torch refuses.

    `uniform`: elements that overlap are given the same, so that it does not matter that they do.
    """
    data = target.materialize()
    if result.shape != data.shape:
        raise RuntimeError(
            f"output with shape {list(data.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    if not _dtype.castable(result.dtype, data.dtype):
        wanted, given = _dtype.from_numpy(data.dtype), _dtype.from_numpy(result.dtype)
        raise RuntimeError(
            f"result type {given.legacy_name} can't be cast to the desired output type {wanted.legacy_name}"
        )
    if not uniform:
        check_written(data)
    state.run(np.copyto, data, result, "unsafe")
    if target._writes is not None and len(target._writes) > 1:
        reflect(target)
    count_write(target)  # after the write, as in torch


def check_written(data: np.ndarray[Any, Any]) -> None:
    """Refuse to write to elements that share memory with each other."""
    if not data.flags.forc and overlaps(data):
        if 0 not in data.strides:
            raise NotImplementedError("numpy cannot write to elements that overlap in memory as torch does")
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location."
            " Please clone() the tensor before performing the operation."
        )


def check_unrecorded(name: str, *args: Any) -> None:
    """RuntimeError where a result that is stored in one of `args` would be recorded, for one of them."""
    if state.grad_enabled and any(isinstance(each, Tensor) and each.requires_grad for each in args):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the"
            " arguments requires grad."
        )


def store_out(name: str, out: Any, result: Tensor, args: Sequence[Any], exact: bool = False) -> Tensor:
    """Write a result to the tensor given as `out=`; `exact`: which must have its type."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type_name(out)}")
    check_unrecorded(name, out, *args)
    if name in ("amax", "amin") and out._data.dtype != result._data.dtype:
        own, given = (_dtype.from_numpy(each._data.dtype).legacy_name for each in (result, out))
        raise RuntimeError(
            f"Expected the dtype for input and out to match, but got {own} for input's dtype and {given} for out's"
            " dtype."
        )
    if exact and out._data.dtype != result._data.dtype:
        wanted, given = (_dtype.from_numpy(each._data.dtype).cpp_name for each in (result, out))
        raise RuntimeError(f"Expected out tensor to have dtype {wanted}, but got {given} instead")
    if out._data.shape != result._data.shape:
        if out._data.size:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(out._data.shape)}, which"
                f" does not match the required output shape {list(result._data.shape)}. This behavior is deprecated,"
                " and in a future PyTorch release outputs will not be resized unless they have zero elements. You can"
                " explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                stacklevel=3,
            )
        out._data = np.empty(result._data.shape, out._data.dtype)
    for each in args:
        if isinstance(each, Tensor):
            check_overlap(out, each)
    write(out, result._data)
    found: Tensor = out
    return found
