"""Functions that make derivatives of functions, as `torch.func`: `grad`, `vjp`, `jacrev`, `hessian`, ….

They are made of backward alone; `jvp` and `jacfwd` differentiate backward. `vmap` is not offered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minigrad import autograd
from minigrad._modes import enable_grad
from minigrad._tensor import Tensor
from minigrad._text import type_name
from minigrad.autograd import functional

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp"]


def _fresh(given: Any) -> Any:
    """A tensor to differentiate to: of an outer derivative, its continuation, so that derivatives nest."""
    if not isinstance(given, Tensor):
        raise TypeError(f"expected a Tensor to differentiate with respect to, but got {type_name(given)}")
    return given.view_as(given) if given.requires_grad else given.detach().requires_grad_()


def _free(result: Any, keep: bool) -> Any:
    """The result, cut from the graph unless an outer derivative may need it."""
    if isinstance(result, tuple):
        return tuple(_free(each, keep) for each in result)
    return result if keep or not isinstance(result, Tensor) else result.detach()


def grad_and_value(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Any:
    """A function that gives the gradient of the scalar function `func`, and its value."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        keep = any(isinstance(each, Tensor) and each.requires_grad for each in args)
        places = (argnums,) if isinstance(argnums, int) else argnums
        with enable_grad():
            arguments = list(args)
            for place in places:
                arguments[place] = _fresh(args[place])
            found = func(*arguments, **kwargs)
            output, aux = found if has_aux else (found, None)
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}"
                )
            if output.dim() != 0:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with"
                    f" {output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            inputs = [arguments[place] for place in places]
            gradients = autograd.grad(output, inputs, create_graph=True, materialize_grads=True)
        answer = _free(gradients[0] if isinstance(argnums, int) else gradients, keep)
        return (answer, (_free(output, keep), aux)) if has_aux else (answer, _free(output, keep))

    return wrapper


def grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of the scalar function `func` to its arguments `argnums`."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapper


def vjp(func: Callable[..., Any], *primals: Tensor, has_aux: bool = False) -> Any:
    """`func(*primals)`, and the function that takes output cotangents to those of the primals."""
    keep = any(each.requires_grad for each in primals)
    with enable_grad():
        inputs = [_fresh(each) for each in primals]
        found = func(*inputs)
    output, aux = found if has_aux else (found, None)

    def pull(*cotangents: Any) -> Any:
        outputs = output if isinstance(output, tuple) else (output,)
        given = cotangents[0] if len(cotangents) == 1 and isinstance(cotangents[0], tuple) else cotangents
        answer = autograd.grad(outputs, inputs, given, retain_graph=True, create_graph=keep, materialize_grads=True)
        return _free(answer, keep)

    return (_free(output, keep), pull, aux) if has_aux else (_free(output, keep), pull)


def jvp(func: Callable[..., Any], primals: tuple[Tensor, ...], tangents: tuple[Tensor, ...]) -> tuple[Any, Any]:
    """`func(*primals)`, and its directional derivative along the tangents."""
    single = len(primals) == 1
    keep = any(each.requires_grad for each in (*primals, *tangents))
    return functional.jvp(func, primals[0] if single else primals, tangents[0] if single else tangents, keep)


def jacrev(func: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func` to its argument `argnums`: sizes output.shape + input.shape."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        keep = any(isinstance(each, Tensor) and each.requires_grad for each in args)

        def of_one(argument: Tensor) -> Any:
            return func(*args[:argnums], argument, *args[argnums + 1 :], **kwargs)

        with enable_grad():
            found = functional.jacobian(of_one, _fresh(args[argnums]), create_graph=True)
        return _free(found, keep)

    return wrapper


jacfwd = jacrev


def hessian(func: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of `func`."""
    return jacrev(jacrev(func, argnums), argnums)
