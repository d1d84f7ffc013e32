"""torch.autograd on numpy: `backward`, `grad`, `Variable`, custom functions, checks.

>>> from minigrad.autograd import Variable
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from minigrad import _lazy
from minigrad._backward import run
from minigrad._declare import PUBLIC
from minigrad._dtype import from_numpy
from minigrad._graph import AccumulateGrad, Edge, Meta, edge_to
from minigrad._modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_multithreading_enabled,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
    state,
)
from minigrad._plan import OpNode
from minigrad._tensor import Tensor, make
from minigrad._tensor_str import Size
from minigrad._text import type_name
from minigrad._views import edge_of
from minigrad._warning import warn_once
from minigrad.autograd import anomaly_mode, grad_mode, graph
from minigrad.autograd.grad_mode import set_multithreading_enabled
from minigrad.autograd.variable import Variable

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_multithreading_enabled",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

if TYPE_CHECKING:
    from minigrad.autograd import forward_ad, function, functional, profiler
    from minigrad.autograd.function import Function
else:
    __getattr__, __dir__ = _lazy.attributes(__name__, {
        "Function": "minigrad.autograd.function",
        **{each: f"minigrad.autograd.{each}" for each in ("forward_ad", "function", "functional", "profiler")},
    })  # fmt: skip

Tensors: TypeAlias = "Tensor | Sequence[Tensor]"


def backward(
    tensors: Tensors,
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of `tensors` (each times its `grad_tensors`) to `.grad` of the leaves, or of `inputs`.

    As `torch.autograd.backward`. A gradient may be left out for a tensor of one element. `retain_graph` (by default
    `create_graph`) keeps saved values for another pass; `create_graph` records the pass, so that gradients can be
    differentiated. RuntimeError or TypeError with torch's texts.
    """
    if state.transforms:
        raise RuntimeError(
            "backward() called inside a functorch transform. This is not supported, please use functorch.grad or"
            " functorch.vjp instead or call backward() outside of functorch transforms."
        )
    if inputs is not None and not isinstance(inputs, Tensor) and not tuple(inputs):
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only"
                " use `grad_tensors`."
            )
        grad_tensors = grad_variables
    _check_flags(retain_graph, create_graph)
    roots, gradients = _roots(_listed(tensors), grad_tensors)
    targets = None
    if inputs is not None:
        targets = []
        for each in _listed(inputs):
            if isinstance(each, Tensor):
                each.retain_grad()
            targets.append(_target(each))
    run(roots, gradients, create_graph if retain_graph is None else retain_graph, create_graph, targets)
    if create_graph:
        warn_once(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and its"
            " gradient which can cause a memory leak. We recommend using autograd.grad when creating the graph to"
            " avoid this. If you have to use this function, make sure to reset the .grad fields of your parameters to"
            " None after use to break the cycle and avoid the leak."
        )


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` (each times its `grad_outputs`) with respect to `inputs`, which may be non-leaves.

    As `torch.autograd.grad`: a tuple, one tensor of the input's shape each; with `allow_unused` None where an input was
    not used (zeros with `materialize_grads`). `.grad` is left alone. With `is_grads_batched`, `grad_outputs` and the
    answers have one more first dimension. RuntimeError or ValueError with torch's texts.
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for"
            " other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if allow_unused is None:
        allow_unused = materialize_grads
    _check_flags(retain_graph, create_graph)
    wanted = _listed(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    if is_grads_batched:
        return _batched(
            outputs,
            wanted,
            grad_outputs,
            bool(create_graph if retain_graph is None else retain_graph),
            create_graph,
            allow_unused,
            materialize_grads,
        )
    roots, gradients = _roots(_listed(outputs), grad_outputs)
    targets = [_target(each) for each in wanted]
    keep = create_graph if retain_graph is None else retain_graph
    found = run(roots, gradients, keep, create_graph, targets, accumulate=False)
    for number, (each, result) in enumerate(zip(wanted, found, strict=True)):
        if result is None:
            if not allow_unused:
                raise RuntimeError(
                    f"The differentiated Tensor at index {number} appears to not have been used in the graph. Set"
                    " allow_unused=True if this is the desired behavior."
                )
            if materialize_grads:
                found[number] = make(np.zeros_like(each._data), None)
    return tuple(found)


def _batched(
    outputs: Tensors,
    inputs: Sequence[Tensor],
    grad_outputs: Any,
    keep: bool,
    create_graph: bool,
    allow_unused: bool,
    materialize: bool,
) -> tuple[Any, ...]:
    """One pass per gradient along the first dimension of `grad_outputs`, stacked."""
    batches = [None] * len(_listed(outputs)) if grad_outputs is None else _listed(grad_outputs)
    if all(each is None for each in batches):
        _roots(_listed(outputs), batches)  # refuses what cannot be left out
        if batches:
            raise ValueError(
                "vmap(vjp, in_dims=0, ...)(<inputs>): Got in_dim=0 for some input, but that input is a Tensor of"
                " dimensionality 0 so expected in_dim to satisfy 0 <= in_dim < 0."
            )
        return grad(outputs, inputs, None, keep, create_graph, allow_unused=allow_unused, materialize_grads=materialize)
    for number, (each, output) in enumerate(zip(batches, _listed(outputs), strict=False)):
        if each is not None and each.shape[1:] != output.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch"
                " dimension. The sizes of the remaining dimensions are expected to match the shape of corresponding"
                f" output, but a mismatch was detected: grad_output[{number}] has a shape of {each.shape[1:-1]} and"
                f" output[{number}] has a shape of {output.shape}. If you only want some tensors in `grad_output` to"
                " be considered batched, consider using vmap."
            )
    count = len(next(each for each in batches if each is not None))
    rows = []
    for i in range(count):
        row = [None if each is None else each[i] for each in batches]
        last = i + 1 == count
        rows.append(
            grad(
                outputs,
                inputs,
                row,
                keep or not last,
                create_graph,
                allow_unused=allow_unused,
                materialize_grads=materialize,
            )
        )
    return tuple(None if column[0] is None else PUBLIC["stack"](column) for column in zip(*rows, strict=True))


def _check_flags(*flags: Any) -> None:
    """TypeError for what is no bool, nor a whole number in its place."""
    for each in flags:
        if each is not None:
            index(each)


def _target(given: Any) -> Edge:
    """Where the gradient of an input, a tensor or a GradientEdge, is computed."""
    if isinstance(given, graph.GradientEdge):
        return edge_to(given.node, given.output_nr)
    if not isinstance(given, Tensor):
        raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type_name(given)}")
    edge = edge_of(given)
    if edge is None:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return edge


def _listed(tensors: Any) -> Sequence[Any]:
    return (tensors,) if isinstance(tensors, (Tensor, graph.GradientEdge)) else tuple(tensors)


_ONES: Final = {each: each.type(1) for each in map(np.dtype, ("float16", "float32", "float64"))}


def _root(given: Any) -> tuple[Edge | None, Meta]:
    """The edge of what to go back from, a tensor or a GradientEdge, with the shape and type of its gradient."""
    if isinstance(given, graph.GradientEdge):
        return edge_to(given.node, given.output_nr), given.node._meta[given.output_nr]
    if not isinstance(given, Tensor):
        raise AssertionError("Expected output to be a torch.Tensor")
    return edge_of(given), (given._data.shape, given._data.dtype)


def _roots(tensors: Sequence[Any], given: Any) -> tuple[list[Edge], list[Tensor]]:
    """Each tensor's edge, and the gradients to start from; the errors are torch's."""
    gradients: Sequence[Any] = (None,) * len(tensors) if given is None else _listed(given)
    roots: list[Edge] = []
    starts: list[Tensor] = []
    for number, (each, gradient) in enumerate(zip(tensors, gradients, strict=False)):
        edge, (shape, dtype) = _root(each)
        if isinstance(gradient, Tensor):
            if gradient._data.shape != shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{number}] has a shape of {gradient.shape} and output[{number}]"
                    f" has a shape of {Size(shape)}."
                )
            if (gradient._data.dtype.kind == "c") != (dtype.kind == "c"):
                raise RuntimeError(
                    "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in"
                    f" dtype: grad_output[{number}] has a dtype of {gradient.dtype} and output[{number}] has a dtype of"
                    f" {from_numpy(dtype)}."
                )
        elif gradient is not None:
            raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
        elif edge is not None:
            if math.prod(shape) != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if dtype.kind != "f":
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got {from_numpy(dtype)}"
                )
            gradient = make(np.ones(shape, dtype) if shape else _ONES[dtype], None)
        # A view made under no_grad has an end of the graph of its own, which keeps nothing.
        if edge is None or (type(edge) is AccumulateGrad and not edge.enabled):
            raise RuntimeError(f"element {number} of tensors does not require grad and does not have a grad_fn")
        roots.append(edge)
        starts.append(gradient)
    if len(gradients) < len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(gradients)} gradients")
    return roots, starts


def _backward_method(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradient of this tensor, times `gradient` (needed unless it has one element), to the leaves' `.grad`.

    As `torch.Tensor.backward`: `retain_graph` keeps saved values for another pass, `create_graph` records the pass
    itself, `inputs` restricts what is accumulated into. RuntimeError with torch's texts.
    """
    if gradient is None and inputs is None and retain_graph is None and create_graph is False:
        data, edge = self._data, self._edge
        usual = type(edge) is OpNode and self._view is None and not data.ndim and data.dtype.kind == "f"
        if usual and not state.transforms:
            assert edge is not None
            run((edge,), (make(_ONES[data.dtype], None),), False, False)
            return
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


_backward_method.__name__, _backward_method.__qualname__ = "backward", "Tensor.backward"
setattr(Tensor, "backward", _backward_method)  # noqa: B010  (here, since tensors know nothing of passes)


from minigrad.autograd.gradcheck import gradcheck, gradgradcheck  # noqa: E402  (it uses grad)
