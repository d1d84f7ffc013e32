"""Functions that make derivatives of functions, as `torch.func`: `grad`, `vjp`, `jacrev`, `hessian`, `vmap`, ….

They are made of backward alone: `jvp` and `jacfwd` differentiate backward, and `vmap` calls the function on one row
after the other (so that what depends on the values, which torch refuses, works in it here). Arguments and results may
be nested tuples, lists and dictionaries of tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from minigrad import autograd
from minigrad._declare import PUBLIC
from minigrad._graph import AccumulateGrad, Node
from minigrad._modes import enable_grad, state
from minigrad._tensor import Tensor, make
from minigrad._views import current_edge
from minigrad.utils._pytree import TreeSpec, broadcast, sketch, tree_flatten, tree_map, tree_unflatten

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp", "vmap"]

ArgNums = int | tuple[int, ...]


class _Level:
    """One transform at work: the tensors that it differentiates with respect to, and what outlives it.

    An input that an outer transform, or the caller's own graph, differentiates too is continued by a view, so that
    derivatives nest; any other is a leaf of this level alone.
    """

    def __init__(self) -> None:
        self.leaves: set[Node] = set()
        self.outside = state.grad_enabled

    def enter(self, given: Any) -> Tensor:
        """A tensor to differentiate with respect to, in the place of one given."""
        if not isinstance(given, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(given)}")
        if given.requires_grad and self.outside:
            continued: Tensor = given.view_as(given)
            return continued
        leaf = given.detach().requires_grad_()
        self.leaves.add(leaf._accumulate())
        return leaf

    def leave(self, tree: Any) -> Any:
        """Results, cut from the graph unless something outside of this level takes part in them."""

        def free(each: Any) -> Any:
            return each.detach() if isinstance(each, Tensor) and not self._needed(each) else each

        return tree_map(free, tree)

    def _needed(self, tensor: Tensor) -> bool:
        edge = current_edge(tensor)
        if edge is None or not self.outside:
            return False
        seen, stack = {edge}, [edge]
        while stack:
            node = stack.pop()
            if isinstance(node, AccumulateGrad) and node not in self.leaves:
                return True
            for each in node._next:
                if each is not None and each not in seen:
                    seen.add(each)
                    stack.append(each)
        return False


def _gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], given: Sequence[Any] | None = None) -> list[Any]:
    """The gradients of outputs, some of which may depend on nothing; zeros for inputs that nothing depends on."""
    places = [place for place, each in enumerate(outputs) if each.requires_grad]
    if not places:
        return [make(np.zeros_like(each._data), None) for each in inputs]
    return list(
        autograd.grad(
            [outputs[place] for place in places],
            inputs,
            None if given is None else [given[place] for place in places],
            create_graph=True,
            materialize_grads=True,
        )
    )


def _places(argnums: ArgNums, count: int) -> list[int]:
    """The arguments that `argnums` names, counted from the first."""
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if argnums == ():
        raise RuntimeError("argnums must be non-empty")
    places = [argnums] if isinstance(argnums, int) else list(argnums)
    for each in places:
        if not -count <= each < count:
            raise RuntimeError(f"Got argnum={each}, but only {count} positional inputs")
    places = [each % count for each in places]
    if len(set(places)) < len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return places


def _chosen(argnums: ArgNums, args: Sequence[Any]) -> tuple[Any, Callable[[Any], list[Any]]]:
    """The arguments to differentiate with respect to, as one tree, and what puts others in their places."""
    places = _places(argnums, len(args))
    tree = args[places[0]] if isinstance(argnums, int) else tuple(args[each] for each in places)

    def replaced(other: Any) -> list[Any]:
        arguments = list(args)
        for place, each in zip(places, (other,) if isinstance(argnums, int) else other, strict=True):
            arguments[place] = each
        return arguments

    return tree, replaced


def _call(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the user's function, within which `backward()` is refused."""
    state.transforms += 1
    try:
        return func(*args, **kwargs)
    finally:
        state.transforms -= 1


def _split(found: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return found, None
    if not isinstance(found, tuple) or len(found) != 2:
        raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True")
    for each in tree_flatten(found[1])[0]:
        if not isinstance(each, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(each)}")
    return found


def grad_and_value(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of the scalar function `func`, and its value."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = _Level()
        with enable_grad():
            tree, replaced = _chosen(argnums, args)
            leaves, spec = tree_flatten(tree)
            inputs = [level.enter(each) for each in leaves]
            found = _call(func, *replaced(tree_unflatten(inputs, spec)), **kwargs)
            output, aux = _split(found, has_aux, "grad_and_value(f)(*args)")
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}"
                )
            if output.dim() != 0:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with"
                    f" {output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            gradients = tree_unflatten(_gradients([output], inputs), spec)
        answer, value = level.leave((gradients, output))
        return (answer, (value, level.leave(aux))) if has_aux else (answer, value)

    return wrapper


def grad(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of the scalar function `func` to its arguments `argnums`."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wrapper


def _run(level: _Level, func: Callable[..., Any], primals: Any, has_aux: bool, name: str) -> Any:
    """Call `func` on inputs of this level: its inputs, outputs with their structure, and the auxiliary output."""
    leaves, spec = tree_flatten(primals)
    inputs = [level.enter(each) for each in leaves]
    shown = f"{name}(f, primals, tangents)" if name == "jvp" else f"{name}(f, *primals)"
    output, aux = _split(_call(func, *tree_unflatten(inputs, spec)), has_aux, shown)
    outputs, structure = tree_flatten(output)
    for each in outputs:
        if not isinstance(each, Tensor):
            raise RuntimeError(
                f"{shown}: expected f(*primals) to return only tensors, got unsupported type {type(each)}"
            )
    for each in outputs:
        if each._data.dtype.kind not in "fc":
            raise RuntimeError(
                f"{name}(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype"
                f" {each.dtype}"
            )
    return inputs, outputs, structure, aux


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)`, and the function that takes output cotangents to those of the primals."""
    level = _Level()
    spec = tree_flatten(primals)[1]
    with enable_grad():
        inputs, outputs, structure, aux = _run(level, func, primals, has_aux, "vjp")

    def wrapper(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given, its = tree_flatten(cotangents)
        if its != structure:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function."
                f" cotangents: {sketch(its)}, primal output: {sketch(structure)}"
            )
        with enable_grad():
            return level.leave(tree_unflatten(_gradients(outputs, inputs, given), spec))

    wrapper.__qualname__ = "_vjp_with_argnums.<locals>.wrapper"  # as torch's errors name it
    answer = level.leave(tree_unflatten(outputs, structure))
    return (answer, wrapper, level.leave(aux)) if has_aux else (answer, wrapper)


def _push(level: _Level, outputs: Sequence[Tensor], inputs: Sequence[Tensor], tangents: Sequence[Tensor]) -> list[Any]:
    """The derivatives of the outputs along tangents of the inputs: backward is linear, and differentiated again."""
    weights = [make(np.zeros_like(each._data), None).requires_grad_() for each in outputs]
    level.leaves.update(each._accumulate() for each in weights)
    found = _gradients(outputs, inputs, weights)
    return _gradients(found, weights, tangents)


def jvp(
    func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """`func(*primals)`, and its directional derivative along the tangents."""
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    given, its = tree_flatten(tangents)
    leaves, spec = tree_flatten(primals)
    if its != spec:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python structure. For example,"
            " if primals is a tuple of 3 tensors, tangents also must be. Got primals with structure"
            f" {spec.text()} and tangents with structure {its.text()}"
        )
    for what, trees in (("primals", leaves), ("tangents", given)):
        if not trees:
            raise RuntimeError(f"jvp(f, primals, tangents): Expected {what} to contain at least one Tensor.")
        for each in trees:
            if not isinstance(each, Tensor):
                text = f"Expected {what} to only contain Tensors, got {type(each)}"
                raise RuntimeError(f"jvp(f, primals, tangents): {text}")
    for primal, tangent in zip(leaves, given, strict=True):
        if primal.shape != tangent.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the original Tensor, this is"
                f" not supported. Tensor is of size {list(primal.shape)} while the given forward gradient is of size"
                f" {list(tangent.shape)}."
            )
    level = _Level()
    with enable_grad():
        inputs, outputs, structure, aux = _run(level, func, primals, has_aux, "jvp")
        found = _push(level, outputs, inputs, given)
    answers = tuple(level.leave(tree_unflatten(each, structure)) for each in (outputs, found))
    return (*answers, level.leave(aux)) if has_aux else answers


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """`func(*primals)`, and the function that takes tangents to the derivative along them."""
    level = _Level()
    with enable_grad():
        inputs, outputs, structure, _ = _run(level, func, primals, False, "linearize")

    def push(*tangents: Any) -> Any:
        with enable_grad():
            found = _push(level, outputs, inputs, tree_flatten(tangents)[0])
        return level.leave(tree_unflatten(found, structure))

    return level.leave(tree_unflatten(outputs, structure)), push


def _jacobian(func: Callable[..., Any], argnums: ArgNums, has_aux: bool, name: str) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = _Level()
        with enable_grad():
            tree, replaced = _chosen(argnums, args)
            spec = tree_flatten(tree)[1]
            inputs, outputs, structure, aux = _run(
                level, lambda other: func(*replaced(other), **kwargs), (tree,), has_aux, name
            )
            found = [tree_unflatten(_rows(each, inputs), spec) for each in outputs]
        answer = level.leave(tree_unflatten(found, structure))
        return (answer, level.leave(aux)) if has_aux else answer

    return wrapper


def _rows(output: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The Jacobians of one output: its sizes before those of each input."""
    count = output.numel()
    if not count:
        return [make(np.zeros((*output.shape, *each.shape), each._data.dtype), None) for each in inputs]
    basis = np.eye(count, dtype=output._data.dtype).reshape(count, *output.shape)
    rows = [_gradients([output], inputs, [make(each, None)]) for each in basis]
    stack = PUBLIC["stack"]
    return [
        stack(column).reshape(tuple(output.shape) + tuple(each.shape))
        for column, each in zip(zip(*rows, strict=True), inputs, strict=True)
    ]


def jacrev(
    func: Callable[..., Any], argnums: ArgNums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func` to its arguments `argnums`: sizes output.shape + input.shape."""
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")
    return _jacobian(func, argnums, has_aux, "vjp")


def jacfwd(
    func: Callable[..., Any],
    argnums: ArgNums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """As `jacrev`: forward mode is made of backward here, and so would be no faster."""
    _check_randomness(randomness)
    return _jacobian(func, argnums, has_aux, "jvp")


def hessian(func: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of `func`."""
    return jacfwd(jacrev(func, argnums), argnums)


# ---- vmap ------------------------------------------------------------------------------------------------------------

_RANDOMNESS: Final = ("error", "different", "same")


def _check_randomness(randomness: str) -> None:
    if randomness not in _RANDOMNESS:
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that calls `func` for each place along dimensions `in_dims` of its arguments, and stacks the results.

    `in_dims` and `out_dims` are an int for all, or a tree of ints and Nones for the arguments (None: used whole) and
    for the results. `randomness` says whether rows may draw random numbers, and whether all draw the same.
    """
    _check_randomness(randomness)
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree_flatten(args)
        dims = _in_dims(name, in_dims, leaves, spec, args)
        sizes = [each.shape[dim] for each, dim in zip(leaves, dims, strict=True) if dim is not None]
        if not sizes:
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): at least one of the inputs must be mapped over"
            )
        if len(set(sizes)) > 1:
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes"
                f" {sizes} for the mapped dimension"
            )
        if not sizes[0]:
            raise NotImplementedError("vmap calls the function on each row, and cannot tell what it gives for none")
        rows = []
        structure = None
        for place in _drawing(randomness, sizes[0]):
            row = [each if dim is None else each.select(dim, place) for each, dim in zip(leaves, dims, strict=True)]
            found, structure = tree_flatten(_call(func, *tree_unflatten(row, spec), **kwargs))
            rows.append(found)
        assert structure is not None
        return _stacked(name, rows, structure, out_dims)

    return wrapper


def _in_dims(name: str, in_dims: Any, leaves: Sequence[Any], spec: TreeSpec, args: Any) -> list[int | None]:
    """The mapped dimension of each input; torch's errors."""
    start = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>):"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{start} expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs,"
            f" got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a"
            " function with no inputs. The latter is unsupported."
        )
    dims = broadcast(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{start} in_dims is not compatible with the structure of `inputs`. in_dims has structure"
            f" {tree_flatten(in_dims)[1].text()} but inputs has structure {spec.text()}."
        )
    for each, dim in zip(leaves, dims, strict=True):
        if dim is None:
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"{start} Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(each, Tensor):
            raise ValueError(
                f"{start} Got in_dim={dim} for an input but the input is of type {type(each)}. We cannot vmap over"
                " non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -each.dim() <= dim < each.dim():
            raise ValueError(
                f"{start} Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {each.dim()} so"
                f" expected in_dim to satisfy -{each.dim()} <= in_dim < {each.dim()}."
            )
    return dims


def _stacked(name: str, rows: Sequence[Sequence[Any]], structure: TreeSpec, out_dims: Any) -> Any:
    dims = broadcast(out_dims, structure)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of"
            f" `outputs`. out_dims has structure {tree_flatten(out_dims)[1].text()} but outputs has structure"
            f" {structure.text()}."
        )
    answers = []
    for column, dim in zip(zip(*rows, strict=True), dims, strict=True):
        if not isinstance(column[0], Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(column[0])}. Did you mean to set"
                " out_dims= to None for output?"
            )
        answers.append(column[0] if dim is None else PUBLIC["stack"](column, dim))
    return tree_unflatten(answers, structure)


def _drawing(randomness: str, count: int) -> Iterator[int]:
    """The rows' numbers, while random numbers are drawn as asked."""
    from minigrad._random import default_generator

    begin = default_generator.get_state() if randomness == "same" else None
    for place in range(count):
        if begin is not None:
            default_generator.set_state(begin)
        with _refusing(randomness == "error"):
            yield place


@contextmanager
def _refusing(refused: bool) -> Iterator[None]:
    before, state.random_refused = state.random_refused, refused
    try:
        yield
    finally:
        state.random_refused = before
