"""Products with Jacobians and Hessians, and those matrices, of functions of tensors; as `torch.autograd.functional`.

Every function takes `func` and its `inputs` (a tensor or a tuple of them) and leaves the given tensors alone. Answers
have the structure of what they belong to: a tensor for a tensor, a tuple for a tuple. Forward-mode products are found
by differentiating backward twice, as in torch. `strict` makes independence an error instead of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad import autograd
from minigrad._declare import PUBLIC
from minigrad._modes import enable_grad
from minigrad._tensor import Tensor, make

Func: TypeAlias = Callable[..., Any]
Several: TypeAlias = "tuple[Tensor, ...]"

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def vjp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """`func(inputs)` and vᵀJ: `v` has the outputs' structure and sizes, the product the inputs'."""
    with enable_grad():
        single, given = _tuple(inputs, "inputs", "vjp")
        given = _prepare(given, create_graph)
        outputs_single, outputs = _outputs(func, given, "vjp", strict)
        if v is not None:
            v = _prepare(_tuple(v, "v", "vjp")[1], False)
            _check_sizes(v, outputs, outputs_single)
        elif len(outputs) != 1 or outputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single"
                " element."
            )
        found = _gradients(outputs, given, v, create_graph)
        product = _filled(found, given, strict, create_graph, "back")
    return _answer(outputs, create_graph, outputs_single), _answer(product, create_graph, single)


def jvp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """`func(inputs)` and Jv: `v` has the inputs' structure and sizes, the product the outputs'."""
    with enable_grad():
        single, given = _tuple(inputs, "inputs", "jvp")
        given = _prepare(given, create_graph)
        if v is not None:
            v = _prepare(_tuple(v, "v", "jvp")[1], False)
            _check_sizes(v, given, single)
        elif len(given) != 1 or given[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a single Tensor with a"
                " single element."
            )
        outputs_single, outputs = _outputs(func, given, "jvp", strict)
        weights = tuple(_zeros(each, requires_grad=True) for each in outputs)
        back = _filled(_gradients(outputs, given, weights, True), given, strict, True, "back")
        found = _gradients(back, weights, v, create_graph)
        product = _filled(found, outputs, strict, create_graph, "back_trick")
    return _answer(outputs, create_graph, outputs_single), _answer(product, create_graph, outputs_single)


def jacobian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of every output element to every input element: sizes `output.shape + input.shape`.

    For tuples of outputs and of inputs, a tuple of tuples in that order.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs'
            ' than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not'
                ' supported together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
            )
        if strict:
            raise RuntimeError(
                'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported'
                ' together (yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
            )
        if not vectorize:
            raise NotImplementedError(
                "Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly"  # so it is in torch
                " implemented for `vectorize=True`."
            )
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please"
            " either set `strict=False` or `vectorize=False`."
        )
    with enable_grad():
        single, given = _tuple(inputs, "inputs", "jacobian")
        given = _prepare(given, create_graph)
        outputs_single, outputs = _outputs(func, given, "jacobian", strict)
        rows = tuple(_rows(output, given, number, create_graph, strict) for number, output in enumerate(outputs))
        rows = tuple(_answer(row, create_graph, single) for row in rows)
    return rows[0] if outputs_single else rows


def _rows(output: Tensor, inputs: Several, number: int, create_graph: bool, strict: bool) -> Several:
    """The Jacobian of one output with respect to each input, a backward pass per output element."""
    flat = output.reshape(-1)
    rows: list[list[Tensor]] = [[] for _ in inputs]
    for j in range(output.numel()):
        found = (
            autograd.grad(flat[j], inputs, retain_graph=True, create_graph=create_graph, allow_unused=True)
            if (output.requires_grad)
            else (None,) * len(inputs)
        )
        for i, (row, grad, given) in enumerate(zip(rows, found, inputs, strict=True)):
            if grad is None:
                if strict:
                    raise RuntimeError(
                        f"Output {number} of the user-provided function is independent of input {i}. This is not"
                        " allowed in strict mode."
                    )
                grad = _zeros(given)
            elif strict and create_graph and not grad.requires_grad:
                raise RuntimeError(
                    "The jacobian of the user-provided function is independent of input"
                    f" {i}. This is not allowed in strict mode when create_graph=True."
                )
            row.append(grad)
    return tuple(
        PUBLIC["stack"](row).reshape(output.shape + given.shape)
        if row
        else make(np.zeros((*output._data.shape, *given._data.shape), given._data.dtype), None)
        for row, given in zip(rows, inputs, strict=True)
    )


def hessian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function: sizes `input_i.shape + input_j.shape`, a tuple of tuples for
    tuples."""
    single, given = _tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*each: Tensor) -> Tensor:
        found: Tensor = _scalar(func, each, "hessian", strict)[1][0].squeeze()
        return found

    def gradient(*each: Tensor) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            each = tuple(t.requires_grad_() if t.is_leaf else t for t in each)
        found = jacobian(scalar, each, create_graph=True)
        return tuple(_strictly(row, i, strict) for i, row in enumerate(found))

    rows = jacobian(
        gradient, given, create_graph=create_graph, strict=strict, vectorize=vectorize, strategy=outer_jacobian_strategy
    )
    return rows[0][0] if single else rows


def _strictly(row: Tensor, number: int, strict: bool) -> Tensor:
    if strict and not row.requires_grad:
        raise RuntimeError(
            f"While computing the hessian, found that the jacobian of the user-provided function with respect to input"
            f" {number} is independent of the input. This is not allowed in strict mode. You should ensure that your"
            " function is twice differentiable and that the jacobian depends on the inputs (this would be violated by a"
            " linear function for example)."
        )
    return row


def vhp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """`func(inputs)`, a scalar, and vᵀH, of the inputs' structure."""
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """`func(inputs)`, a scalar, and Hv, of the inputs' structure (by symmetry vᵀH: torch backs up twice here)."""
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(name: str, func: Func, inputs: Any, v: Any, create_graph: bool, strict: bool) -> tuple[Any, Any]:
    with enable_grad():
        single, given = _tuple(inputs, "inputs", name)
        given = _prepare(given, create_graph)
        if v is not None:
            v = _prepare(_tuple(v, "v", name)[1], False)
            _check_sizes(v, given, single)
        elif len(given) != 1 or given[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a single Tensor with a"
                " single element."
            )
        outputs_single, outputs = _scalar(func, given, name, strict)
        gradient = _gradients(outputs, given, None, True)
        for number, each in enumerate(gradient):
            if each is not None:
                _strictly(each, number, strict)
            elif strict:
                raise RuntimeError(
                    f"The output of the user-provided function is independent of input {number}. This is not allowed in"
                    " strict mode."
                )
        first = _filled(gradient, given, strict, True, "double_back")
        found = _gradients(first, given, v, create_graph)
        product = _filled(found, given, strict, create_graph, "double_back")
    return _answer(outputs, create_graph, outputs_single), _answer(product, create_graph, single)


# ---- shared parts ----------------------------------------------------------------------------------------------------


def _tuple(given: Any, what: str, name: str) -> tuple[bool, Several]:
    """Whether `given` is one tensor, and it as a tuple; TypeError with torch's texts."""
    if isinstance(given, Tensor):
        return True, (given,)
    if not isinstance(given, tuple):
        raise TypeError(
            f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the given {what} has type"
            f" {type(given)}."
        )
    for number, each in enumerate(given):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the value at index"
                f" {number} has type {type(each)}."
            )
    return False, given


def _prepare(given: Several, create_graph: bool) -> Several:
    """Tensors to differentiate to: views of the given ones under create_graph, else separate leaves."""
    if create_graph:
        return tuple(each.view_as(each) if each.requires_grad else each.detach().requires_grad_() for each in given)
    return tuple(each.detach().requires_grad_(each._data.dtype.kind in "fc") for each in given)


def _outputs(func: Func, inputs: Several, name: str, strict: bool) -> tuple[bool, Several]:
    single, outputs = _tuple(func(*inputs), "outputs of the user-provided function", name)
    for number, each in enumerate(outputs):
        if strict and not each.requires_grad:
            raise RuntimeError(
                f"Output {number} of the user-provided function does not require gradients. The outputs must be"
                " computed in a differentiable manner from the input when running in strict mode."
            )
    return single, outputs


def _scalar(func: Func, inputs: Several, name: str, strict: bool) -> tuple[bool, Several]:
    single, outputs = _outputs(func, inputs, name, strict)
    if not single:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return single, outputs


def _check_sizes(v: Several, others: Several, single: bool) -> None:
    if len(v) != len(others):
        if single:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(others)} but got {len(v)}.")
    for number, (mine, other) in enumerate(zip(v, others, strict=True)):
        if mine.shape != other.shape:
            prefix = "" if single and len(v) == 1 else f"Entry {number} in "
            raise RuntimeError(f"{prefix}v has invalid size: should be {other.size()} but got {mine.size()}.")


def _gradients(outputs: Several, inputs: Several, v: Any, create_graph: bool) -> tuple[Tensor | None, ...]:
    """Gradients where there are any; outputs that require none are passed over."""
    weights = (None,) * len(outputs) if v is None else v
    chosen = [(output, weight) for output, weight in zip(outputs, weights, strict=True) if output.requires_grad]
    if not chosen:
        return (None,) * len(inputs)
    return autograd.grad(
        [output for output, _ in chosen],
        inputs,
        [weight for _, weight in chosen],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )


def _filled(found: Sequence[Tensor | None], like: Several, strict: bool, create_graph: bool, stage: str) -> Several:
    """Zeros for what is independent, or in strict mode an error that says of what."""
    for number, grad in enumerate(found):
        if not strict:
            break
        if grad is None:
            raise RuntimeError(
                {
                    "back": "The output of the user-provided function is independent of"
                    f" input {number}. This is not allowed in strict mode.",
                    "back_trick": f"The gradient with respect to the input is independent of entry {number} in the"
                    " grad_outputs when using the double backward trick to compute forward mode gradients. This is not"
                    " allowed in strict mode.",
                    "double_back": "The jacobian of the user-provided function is independent of"
                    f" input {number}. This is not allowed in strict mode.",
                }[stage]
            )
        if create_graph and not grad.requires_grad:
            what = "hessian" if stage == "double_back" else "jacobian"
            raise RuntimeError(
                f"The {what} of the user-provided function is independent of input {number}. This is not allowed in"
                " strict mode when create_graph=True."
            )
    return tuple(_zeros(each) if grad is None else grad for grad, each in zip(found, like, strict=True))


def _zeros(like: Tensor, requires_grad: bool = False) -> Tensor:
    made = make(np.zeros_like(like._data), None)
    made._require(requires_grad)
    return made


def _answer(found: Several, create_graph: bool, single: bool) -> Any:
    """What is handed out: detached unless its graph was asked for."""
    if not create_graph:
        found = tuple(each.detach() if each.requires_grad else each for each in found)
    return found[0] if single else found
