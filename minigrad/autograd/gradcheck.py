"""Checks of gradients against finite differences: `gradcheck`, `gradgradcheck`, as torch's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad import autograd
from minigrad._graph import Node
from minigrad._random import Generator, rand
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
_SLOW_IS_RIGHT = """
Fast gradcheck failed but element-wise differences are small. This means that the
test might've passed in slow_mode!

If you are adding a new operator, please file an issue and then use one of the
workarounds. The workaround depends on how your test invokes gradcheck/gradgradcheck:

If the test
- manually invokes gradcheck/gradgradcheck, then call gradcheck/gradgradcheck
  with `fast_mode=False` as a keyword argument.
- is OpInfo-based (e.g., in test_ops_gradients.py), then modify the OpInfo for the test
  to have `gradcheck_fast_mode=False`
- is a Module test (e.g., in common_nn.py), then modify the corresponding
  module_test entry to have `gradcheck_fast_mode=False`
""".strip()
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
    backward: bool
    forward: bool


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
    compares one random projection of the Jacobian; `check_forward_ad` checks forward-mode derivatives as well. The
    batched checks pass, as a batch is computed row by row here, and `masked` concerns sparse tensors alone.
    Raises GradcheckError, or with `raise_exception=False` answers False.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_undefined_grad and not check_backward_ad and not check_forward_ad:
        raise AssertionError("Setting check_undefined_grad=True requires check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    options = _Options(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode, check_backward_ad,
        check_forward_ad,
    )  # fmt: skip
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
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_undefined_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_undefined_grad=True requires check_rev_over_rev to be True")
    if check_batched_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_batched_grad=True requires check_rev_over_rev to be True")
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
        fast_mode=fast_mode, check_forward_ad=check_fwd_over_rev, check_backward_ad=check_rev_over_rev,
    )  # fmt: skip


def _random(like: Tensor) -> Tensor:
    """Numbers between -1 and 1, of the default generator as in torch."""
    made = make(np.empty(like._data.shape, like._data.dtype), None)
    made.uniform_(-1, 1)
    made._require(True)
    return made


_PARTS = {"imag": "imaginary", "real": "real"}


def _check(func: Callable[..., Any], inputs: tuple[Any, ...], options: _Options) -> bool:
    _check_inputs(inputs)
    result = _tuple(func(*inputs))
    outputs = _differentiable(result)
    if options.backward:
        if any(each._data.dtype.kind == "c" for each in result):
            places = [number for number, each in enumerate(outputs) if each._data.dtype.kind == "c"]
            for part, name in _PARTS.items():
                told = f"{name} part of complex outputs"
                _compare(_Case(_of_outputs(func, part), inputs, options, False, places, told))
        else:
            _compare(_Case(func, inputs, options, False))
    if options.forward:
        places = [number for number, each in enumerate(inputs) if isinstance(each, Tensor) and each.is_complex()]
        if places:
            for part, name in _PARTS.items():
                function, arguments = _of_inputs(func, inputs, places, part)
                _compare(_Case(function, arguments, options, True, places, f"{name} part of complex inputs"))
        else:
            _compare(_Case(func, inputs, options, True))
    if options.backward and outputs:
        _check_zero(outputs, inputs)
        if options.check_undefined_grad:
            _check_undefined(func, inputs)
    return True


def _of_outputs(func: Callable[..., Any], part: str) -> Callable[..., Any]:
    """The function of which complex results are replaced by their real or imaginary part."""
    return lambda *inputs: tuple(getattr(each, part) if each.is_complex() else each for each in _tuple(func(*inputs)))


def _of_inputs(
    func: Callable[..., Any], inputs: tuple[Any, ...], places: Sequence[int], part: str
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function of the real or imaginary part of its complex inputs, the other part kept; and these parts."""

    def function(*given: Any) -> Any:
        arguments = list(given)
        for place in places:
            moved, whole = arguments[place], inputs[place]
            arguments[place] = moved + whole.imag * 1j if part == "real" else whole.real + moved * 1j
        return func(*arguments)

    return function, tuple(getattr(each, part) if i in places else each for i, each in enumerate(inputs))


class _Case(NamedTuple):
    """A function whose derivatives are compared: by backward (its results are real), or forward (its inputs are)."""

    func: Callable[..., Any]
    inputs: tuple[Any, ...]
    options: _Options
    forward: bool
    places: Sequence[int] = ()  # the outputs (forward: inputs) that `part` is said of
    part: str = ""

    def message(self, output: int, place: int, numerical: object, analytical: object) -> str:
        told = (place if self.forward else output) in self.places
        return (
            (f"While considering the {self.part} only, " if told else "")
            + f"Jacobian {'computed with forward mode ' if self.forward else ''}mismatch for output {output} with"
            f" respect to input {place},\nnumerical:{numerical}\nanalytical:{analytical}\n"
        )

    def needed(self) -> list[tuple[int, Tensor]]:
        """The inputs that require grad, with their places."""
        return [(i, each) for i, each in enumerate(self.inputs) if isinstance(each, Tensor) and each.requires_grad]


_Matrix = np.ndarray[Any, Any]


def _compare(case: _Case) -> None:
    """Raise if a derivative is not what differences say."""
    options, func = case.options, case.func
    outputs = _differentiable(_tuple(func(*case.inputs)))
    needed = case.needed()
    if not outputs:
        for place, _ in needed:
            if any(np.any(each) for each in _numerical(case, place)):
                raise GradcheckError("Numerical gradient for function expected to be zero")
        return
    if options.fast_mode:
        _compare_fast(case, outputs)
        return
    numerical = [_numerical(case, place) for place, _ in needed]
    forward = [_forward(case, place) for place, _ in needed] if case.forward else []
    for number, output in enumerate(outputs):
        found = [each[number] for each in forward] if case.forward else _analytical(output, case.inputs, options)
        for k, matrix in enumerate(found):
            expected = numerical[k][number]
            if not np.allclose(matrix, expected, options.rtol, options.atol):
                raise GradcheckError(case.message(number, k, make(expected, None), make(matrix, None)))


def _compare_fast(case: _Case, outputs: Sequence[Tensor]) -> None:
    """The same along one direction of each input, and for backward of each output."""
    options, draw = case.options, Generator()
    needed = case.needed()
    directions = [_direction(each, draw) for _, each in needed]
    weights = [] if case.forward else [_direction(each, draw)[0] for each in outputs]
    for k, ((place, each), direction) in enumerate(zip(needed, directions, strict=True)):
        numerical = _numerical(case, place, direction)
        forward = _forward(case, place, direction[0].reshape(each.shape)) if case.forward else []
        for number, output in enumerate(outputs):
            expected, tolerance = numerical[number].reshape(-1), options.atol * sum(float(u.sum()) for u in direction)
            if case.forward:
                found = forward[number].reshape(-1)
            else:
                weight = weights[number]
                row = _analytical(output, case.inputs, options, weight)[k].reshape(-1)
                found = row.real @ direction[0] + 1j * (row.imag @ direction[1]) if row.dtype.kind == "c" else (
                    row @ direction[0]
                )  # fmt: skip
                expected, tolerance = weight @ expected, tolerance * float(weight.sum())
            if not np.allclose(found, expected, options.rtol, tolerance):
                raise GradcheckError(
                    case.message(number, k, make(expected, None), make(found, None)) + _slowly(case, output, number, k)
                )


def _slowly(case: _Case, output: Tensor, number: int, k: int) -> str:
    """What fast mode adds to its message: the whole Jacobians."""
    place = case.needed()[k][0]
    numerical = _numerical(case, place)[number]
    analytical = _forward(case, place)[number] if case.forward else _analytical(output, case.inputs, case.options)[k]
    text = (
        "\nThe above quantities relating the numerical and analytical jacobians are computed \nin fast mode. See:"
        " https://github.com/pytorch/pytorch/issues/53876 for more background \nabout fast mode. Below, we recompute"
        f" numerical and analytical jacobians in slow mode:\n\nNumerical:\n {make(numerical, None)}\nAnalytical:\n"
        f"{make(analytical, None)}\n\nThe max per-element difference (slow mode) is:"
        f" {np.abs(numerical - analytical).max()}.\n"
    )
    close = np.allclose(analytical, numerical, case.options.rtol, case.options.atol)
    return text + (_SLOW_IS_RIGHT if close else "")


def _direction(like: Tensor, draw: Generator) -> tuple[_Matrix, ...]:
    """A random vector of length 1 for a tensor's elements, and another for imaginary parts; of torch's generator."""
    vectors = []
    for _ in range(2 if like.is_complex() else 1):
        vector = rand(like.numel(), generator=draw)._data.astype(like._data.real.dtype)
        vectors.append(vector / np.linalg.norm(vector) if vector.size else vector)
    return tuple(vectors)


def _numerical(case: _Case, place: int, direction: Sequence[_Matrix] | None = None) -> list[_Matrix]:
    """Central differences to one input: for each floating result a matrix (input elements × its elements).

    For a complex input, the derivative to the real part plus i times that to the imaginary one: torch's gradient. With
    a `direction` one row, along it.
    """
    inputs, eps = case.inputs, case.options.eps
    base = inputs[place].detach()._data
    kind = base.dtype if base.dtype.kind == "c" else None

    def at(step: _Matrix) -> list[_Matrix]:
        arguments = [a.detach().requires_grad_(a.requires_grad) if isinstance(a, Tensor) else a for a in inputs]
        arguments[place] = make(np.asarray(base + step.astype(base.dtype)), None).requires_grad_()
        results = [each.detach()._data for each in _tuple(case.func(*arguments))]
        return [np.array(each).reshape(-1) for each in results if each.dtype.kind in "fc"]

    def differences(step: _Matrix) -> list[_Matrix]:
        return [(above - below) / (2 * eps) for below, above in zip(at(-step), at(step), strict=True)]

    def row(unit: _Matrix, other: _Matrix) -> list[_Matrix]:
        found = differences(unit * eps)
        if kind is not None:
            found = [a + 1j * b for a, b in zip(found, differences(other * (1j * eps)), strict=True)]
        return found

    if direction is not None:
        return row(direction[0].reshape(base.shape), direction[-1].reshape(base.shape))
    rows = []
    for index in np.ndindex(base.shape):
        unit = np.zeros(base.shape, base.real.dtype)
        unit[index] = 1
        rows.append(row(unit, unit))
    floating = [each for each in _tuple(case.func(*inputs)) if each._data.dtype.kind in "fc"]
    return [
        np.array([each[number] for each in rows]).reshape(base.size, output.numel()).astype(kind or output._data.dtype)
        for number, output in enumerate(floating)
    ]


def _forward(case: _Case, place: int, direction: _Matrix | None = None) -> list[_Matrix]:
    """Forward-mode derivatives to one input, as `_numerical` has them; or the one along a direction."""
    base = case.inputs[place]
    steps = [direction] if direction is not None else [
        np.eye(1, base.numel(), k).reshape(base.shape) for k in range(base.numel())
    ]  # fmt: skip
    rows: list[list[_Matrix]] = []
    floating: list[Tensor] = []
    for step in [np.zeros(base.shape), *steps]:
        arguments = [each.detach() if isinstance(each, Tensor) else each for each in case.inputs]
        with autograd.forward_ad.dual_level():
            for i, each in enumerate(case.inputs):
                if isinstance(each, Tensor) and each.requires_grad:
                    tangent = step.astype(each._data.dtype) if i == place else np.zeros_like(each._data)
                    arguments[i] = autograd.forward_ad.make_dual(arguments[i], make(tangent, None))
            floating = [each for each in _tuple(case.func(*arguments)) if each._data.dtype.kind in "fc"]
            tangents = [autograd.forward_ad.unpack_dual(each).tangent for each in floating]
        rows.append([
            np.zeros(output.numel(), output._data.dtype) if each is None else np.array(each.detach()._data).reshape(-1)
            for output, each in zip(floating, tangents, strict=True)
        ])  # fmt: skip
    return [
        np.array([each[number] for each in rows[1:]]).reshape(len(steps), output.numel())
        for number, output in enumerate(floating)
    ]


def _analytical(
    output: Tensor, inputs: tuple[Any, ...], options: _Options, weight: _Matrix | None = None
) -> list[_Matrix]:
    """Backward's answers, one matrix per input that requires grad, found twice; with a weight, one column for it."""
    needed = [each for each in inputs if isinstance(each, Tensor) and each.requires_grad]
    size = output.numel()
    seeds = np.eye(size, dtype=output._data.dtype) if weight is None else weight[None].astype(output._data.dtype)
    both = []
    for _ in range(2):
        matrices = [np.zeros((each.numel(), len(seeds)), each._data.dtype) for each in needed]
        for column, seed in enumerate(seeds):
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
