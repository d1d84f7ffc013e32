"""Checks of gradients against finite differences: `gradcheck`, `gradgradcheck`, as torch's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad import autograd
from minigrad._graph import Node
from minigrad._tensor import Tensor, make
from minigrad._views import edge_of

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

_NONDETERMINISTIC = """\n
NOTE: If your op relies on non-deterministic operations i.e., it is listed here:
https://pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
this failure might be expected.

If you are adding a new operator, please file an issue and then use one of the
workarounds. The workaround depends on how your test invokes gradcheck/gradgradcheck.
If the test
- manually invokes gradcheck/gradgradcheck, then call gradcheck/gradgradcheck
  with `nondet_tol=<tol>` as a keyword argument.
- is OpInfo-based (e.g., in test_ops_gradients.py), then modify the OpInfo for the test
  to have `gradcheck_nondet_tol=<tol>`.
- is a Module test (e.g., in common_nn.py), then modify the corresponding
  module_test entry to have `gradcheck_nondet_tol=<tol>`
"""
_UNDEFINED = '"Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'


class GradcheckError(RuntimeError):
    """A gradient that differs from its finite difference, or a backward that breaks one of its rules."""


class _Options(NamedTuple):
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_undefined_grad: bool
    check_grad_dtypes: bool
    fast_mode: bool


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether backward's gradients of `func` at `inputs` agree with central differences of step `eps`.

    Checks every float64 or complex128 input that requires grad: |analytical - numerical| <= atol + rtol·|numerical|,
    the same answer twice within `nondet_tol`, zero gradients for zero or undefined output gradients. `fast_mode`
    compares one random projection of the Jacobian. Raises GradcheckError, or with `raise_exception=False` answers
    False.
    """
    if check_forward_ad or check_batched_forward_grad:
        raise NotImplementedError("minigrad has no forward-mode differentiation to check")
    options = _Options(eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode)
    try:
        return _check(func, _tuple(inputs), options)
    except GradcheckError:
        if raise_exception:
            raise
        return False


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether the gradients of `func`'s gradients agree with finite differences of its gradients; as `gradcheck`.

    `grad_outputs` (random by default) are the gradients of the outputs, and inputs of what is checked too.
    """
    if check_fwd_over_rev:
        raise NotImplementedError("minigrad has no forward-mode differentiation to check")
    given = _tuple(inputs)
    if grad_outputs is None:
        weights: tuple[Tensor, ...] = tuple(_random(each) for each in _differentiable(func(*given)))
    else:
        weights = _tuple(grad_outputs)
    needed = [isinstance(each, Tensor) and each.requires_grad for each in (*given, *weights)]

    def gradients(*each: Any) -> tuple[Tensor, ...]:
        each = tuple(t.requires_grad_() if wanted else t for t, wanted in zip(each, needed, strict=True))
        arguments, outer = each[: len(given)], each[len(given) :]
        differentiated = [t for t, wanted in zip(arguments, needed, strict=False) if wanted]
        outputs = _differentiable(func(*arguments))
        found = autograd.grad(outputs, differentiated, outer, create_graph=True, allow_unused=True)
        return tuple(grad for grad in found if grad is not None)

    return gradcheck(
        gradients, (*given, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
        nondet_tol=nondet_tol, check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        fast_mode=fast_mode,
    )  # fmt: skip


def _random(like: Tensor) -> Tensor:
    """Numbers between -1 and 1, of the default generator as in torch."""
    made = make(np.empty(like._data.shape, like._data.dtype), None)
    made.uniform_(-1, 1)
    made._require(True)
    return made


def _check(func: Callable[..., Any], inputs: tuple[Any, ...], options: _Options) -> bool:
    _check_inputs(inputs)
    result = _tuple(func(*inputs))
    outputs = _differentiable(result)
    if not outputs:
        for number in range(len(result)):
            if any(np.any(each) for each in _numerical(func, inputs, number, options.eps, np.real)):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return True
    complex_outputs = any(each._data.dtype.kind == "c" for each in result)
    for part in (np.imag, np.real) if complex_outputs else (np.real,):
        for number, output in enumerate(outputs):
            place = next(i for i, each in enumerate(result) if each is output)
            _compare(func, inputs, output, number, place, part, complex_outputs, options)
    _check_zero(outputs, inputs)
    if options.check_undefined_grad:
        _check_undefined(func, inputs)
    return True


def _compare(
    func: Callable[..., Any],
    inputs: tuple[Any, ...],
    output: Tensor,
    number: int,
    place: int,
    part: Callable[[Any], Any],
    complex_outputs: bool,
    options: _Options,
) -> None:
    """One output's Jacobians by backward and by differences, for its real or its imaginary part."""
    if part is np.imag and output._data.dtype.kind != "c":
        return
    weight = 1j if part is np.imag else 1.0
    numerical = _numerical(func, inputs, place, options.eps, part)
    analytical = _analytical(output, inputs, weight, options)
    for input_number, (found, expected) in enumerate(zip(analytical, numerical, strict=True)):
        compared, wanted = found, expected
        if options.fast_mode:
            random = np.random.default_rng(0)
            left, right = (random.standard_normal(size) for size in found.shape)
            compared, wanted = left @ found @ right, left @ expected @ right
        if not np.allclose(compared, wanted, options.rtol, options.atol):
            prefix = ""
            if complex_outputs and output._data.dtype.kind == "c":
                name = "imaginary" if part is np.imag else "real"
                prefix = f"While considering the {name} part of complex outputs only, "
            raise GradcheckError(
                f"{prefix}Jacobian mismatch for output {number} with respect to input {input_number},\n"
                f"numerical:{make(expected, None)}\nanalytical:{make(found, None)}\n"
            )


def _numerical(
    func: Callable[..., Any], inputs: tuple[Any, ...], place: int, eps: float, part: Callable[[Any], Any]
) -> list[np.ndarray[Any, Any]]:
    """Central differences, one matrix (input elements × output elements) per input that requires grad.

    For a complex input, the derivative to the real part plus i times that to the imaginary one: torch's gradient.
    """
    found = []
    for number, each in enumerate(inputs):
        if not isinstance(each, Tensor) or not each.requires_grad:
            continue
        base = each.detach()._data

        def at(index: Any, step: complex, base: Any = base, number: int = number) -> Any:
            moved = np.array(base)
            moved[index] += step
            arguments = [a.detach().requires_grad_(a.requires_grad) if isinstance(a, Tensor) else a for a in inputs]
            arguments[number] = make(moved, None).requires_grad_()
            return part(np.array(_tuple(func(*arguments))[place].detach()._data)).reshape(-1)

        rows = []
        for index in np.ndindex(base.shape):
            row = (at(index, eps) - at(index, -eps)) / (2 * eps)
            if base.dtype.kind == "c":
                row = row + 1j * (at(index, 1j * eps) - at(index, -1j * eps)) / (2 * eps)
            rows.append(row)
        width = int(np.prod(_tuple(func(*inputs))[place].shape))
        found.append(np.array(rows).reshape(base.size, width).astype(base.dtype))
    return found


def _analytical(
    output: Tensor, inputs: tuple[Any, ...], weight: complex, options: _Options
) -> list[np.ndarray[Any, Any]]:
    """Backward's answers, one matrix per input that requires grad, found twice."""
    needed = [each for each in inputs if isinstance(each, Tensor) and each.requires_grad]
    both = []
    for _ in range(2):
        matrices = [np.zeros((each.numel(), output.numel()), each._data.dtype) for each in needed]
        for column in range(output.numel()):
            seed = np.zeros(output.numel(), output._data.dtype)
            seed[column] = weight
            found = autograd.grad(
                output, needed, make(seed.reshape(output._data.shape), None), retain_graph=True, allow_unused=True
            )
            for matrix, grad, each in zip(matrices, found, needed, strict=True):
                if grad is None:
                    continue
                if options.check_grad_dtypes and grad.dtype != each.dtype:
                    raise GradcheckError("Gradient has dtype mismatch")
                matrix[:, column] = np.asarray(grad.detach()._data).reshape(-1)
        both.append(matrices)
    for first, second in zip(*both, strict=True):
        if first.size and np.max(np.abs(first - second)) > options.nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives"
                " different values, although analytical gradient matches numerical gradient.The tolerance for"
                " nondeterminism"
                f" was {options.nondet_tol}." + _NONDETERMINISTIC
            )
    return both[0]


def _check_inputs(inputs: tuple[Any, ...]) -> None:
    needed = False
    for number, each in enumerate(inputs):
        if not isinstance(each, Tensor) or not each.requires_grad:
            continue
        needed = True
        if each._data.dtype.name not in ("float64", "complex128"):
            warnings.warn(
                f"Input #{number} requires gradient and is not a double precision floating point or complex. This"
                " check will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(each.stride(), each.shape, strict=True)):
            raise RuntimeError(
                f"The {number}th input has a dimension with stride 0. gradcheck only supports inputs that are"
                " non-overlapping to be able to compute the numerical gradients correctly. You should call"
                " .contiguous on the input before passing it to gradcheck."
            )
    if not needed:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )


def _check_zero(outputs: Sequence[Tensor], inputs: tuple[Any, ...]) -> None:
    """Zero gradients of the outputs must give zero gradients of the inputs, of their type and size."""
    needed = [each for each in inputs if isinstance(each, Tensor) and each.requires_grad]
    zeros = [make(np.zeros_like(each._data), None) for each in outputs]
    found = autograd.grad(outputs, needed, zeros, allow_unused=True)
    for grad, each in zip(found, needed, strict=True):
        if grad is None:
            continue
        if np.any(np.not_equal(grad.detach()._data, 0)):
            raise GradcheckError("backward not multiplied by grad_output")
        if grad.dtype != each.dtype:
            raise GradcheckError("grad is incorrect type")
        if grad.shape != each.shape:
            raise GradcheckError("grad is incorrect size")


class UndefinedGrad(Node):
    """Passes no gradient on, whatever it gets."""

    def _vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        return (None,)


def _check_undefined(func: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
    """Undefined gradients, of all outputs and of each alone, must be taken for zeros."""
    needed = [each for each in inputs if isinstance(each, Tensor) and each.requires_grad]
    count = len(_differentiable(func(*inputs)))
    for chosen in [range(count), *([i] for i in range(count if count > 1 else 0))]:
        outputs = list(_differentiable(func(*inputs)))
        for i in chosen:
            output = outputs[i]
            edge = UndefinedGrad((edge_of(output),), ((output._data.shape, output._data.dtype),), plain=False)
            outputs[i] = make(output._data, edge)
        zeros = [make(np.zeros_like(each._data), None) for each in outputs]
        try:
            found = autograd.grad(outputs, needed, zeros, allow_unused=True)
        except RuntimeError as error:
            raise GradcheckError(
                f"Expected backward function to handle undefined output grads. Please look at {_UNDEFINED}"
            ) from error
        if any(grad is not None and np.any(np.not_equal(grad.detach()._data, 0)) for grad in found):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero. Please"
                f" look at {_UNDEFINED}"
            )


def _tuple(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def _differentiable(result: Any) -> tuple[Tensor, ...]:
    return tuple(each for each in _tuple(result) if each.requires_grad)
