"""Custom operations: subclasses of `Function` with their own forward and backward, as `torch.autograd.Function`."""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from minigrad._graph import (
    FREED,
    NO_META,
    Edge,
    Meta,
    Node,
    Packed,
    Saved,
    SavedTensor,
    edge_to,
    stale_error,
    version_of,
)
from minigrad._modes import no_grad, state
from minigrad._tensor import Tensor, make
from minigrad._text import type_name
from minigrad._views import FUNCTION, check_inplace, edge_of, mark_view, rebase_history


class FunctionCtx:
    """What `forward` and `backward` of a Function share: saved tensors, flags, and anything set on it."""

    to_save: tuple[Tensor | None, ...] | None = None
    saved_for_forward: tuple[Tensor | None, ...] | None = None
    dirty_tensors: tuple[Tensor, ...] | None = None
    non_differentiable: tuple[Tensor, ...] | None = None
    materialize_grads = True
    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for backward; called at most once, in forward or setup_context."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for `jvp`; called at most once, in forward or setup_context."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs forward wrote to."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which outputs have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (True, as by default) or None for outputs that got no gradient."""
        self.materialize_grads = value


class _Context(FunctionCtx):
    """The `ctx` of one application: what its user sets on it, and what of its node torch shows there.

    It is not the node, so that no name that a user chooses (`ctx.meta`, `ctx.saved`) can be one of the engine's. The
    node holds it; it holds the node weakly, so that no cycle keeps memory.
    """

    def __init__(self, node: BackwardCFunction) -> None:
        self.__node = weakref.ref(node)

    def __getattr__(self, name: str) -> Any:
        node = self.__node() if name in _OF_NODE else None
        if node is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(node, name)


_OF_NODE: Final = {  # what a ctx shows of its node
    "_input_metadata", "_raw_saved_tensors", "_sequence_nr", "apply", "metadata", "name", "next_functions",
    "register_hook", "register_prehook", "requires_grad", "saved_tensors", "saved_variables",
}  # fmt: skip
_OF_ENGINE: Final = {  # what is set on a node, and not on its ctx
    "_count", "_dtype", "_meta", "_next", "_notes", "_places", "_plan", "_saved", "_sequence", "_shape", "_versions",
    "ctx",
}  # fmt: skip


class BackwardCFunction(Node):
    """The node of a Function's application; what its `ctx` has can be read, and set, here as well."""

    _meta: Sequence[Meta] = ()
    function: type[Function]
    context: type[_Context]
    ctx: _Context
    _saved: Sequence[Tensor | Saved | Packed | None] | None = ()
    _versions: Sequence[int] = ()
    _places: Sequence[int] = ()  # of the tensors among the arguments, in order of `_next`
    _count = 0  # of the arguments

    def __init__(self) -> None:
        super().__init__((), (), plain=False)
        self.ctx = self.context(self)

    def __getattr__(self, name: str) -> Any:
        if name == "ctx":  # not made yet
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self if name in _OF_ENGINE else self.ctx, name, value)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept; RuntimeError once freed, or if it was written to."""
        if self._saved is None:
            raise RuntimeError(FREED)
        for each, version in zip(self._saved, self._versions, strict=True):
            if each is not None and version_of(each) != version:
                raise stale_error(each, version, self)
        return tuple(None if each is None else each.unpack(self) for each in self._saved)

    @property
    def saved_variables(self) -> tuple[Tensor | None, ...]:
        """The old name of `saved_tensors`."""
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    @property
    def _raw_saved_tensors(self) -> tuple[Any, ...]:
        if self._saved is None:
            raise RuntimeError(FREED)
        return tuple(SavedTensor(self, place) for place in range(len(self._saved)))

    def __dir__(self) -> list[str]:
        return list(object.__dir__(self))

    __repr__ = object.__repr__

    def apply(self, *grads: Any) -> Any:
        """Call the Function's backward by hand."""
        return self.function._backward()(self.ctx, *grads)

    def _keep(self, saved: Sequence[Any], versions: Sequence[int]) -> None:
        self._saved, self._versions = saved, versions

    def _versions_saved(self) -> Sequence[int]:
        return self._versions

    def _release(self) -> None:
        if self._saved:
            self._saved = None

    def _vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        given = [grads] if len(self._meta) == 1 else list(grads)
        if self.ctx.materialize_grads:
            given = [
                calculus.zeros(*meta) if g is None and meta is not NO_META else g
                for g, meta in zip(given, self._meta, strict=True)
            ]
        answer = self.function._backward()(self.ctx, *map(calculus.wrap, given))
        answers = list(answer) if isinstance(answer, tuple) else [answer]
        if len(answers) > self._count and all(each is None for each in answers[self._count :]):
            answers = answers[: self._count]
        if len(answers) != self._count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {self._count}, got"
                f" {len(answers)})"
            )
        for place, each in enumerate(answers):
            if each is not None and place not in self._places:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position {place + 1}, but the"
                    " corresponding forward input was not a Variable"
                )
            if each is not None and not isinstance(each, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type_name(each)})")
        for place, edge in zip(self._places, self._next, strict=True):
            each = answers[place]
            if each is None or edge is None or each._data.dtype.kind != "c":
                continue
            if edge._dtype.kind != "c":
                raise RuntimeError(
                    "Expected isFloatingType(grad.scalar_type()) || (input_is_complex == grad_is_complex) to be true,"
                    " but got false.  (Could this error message be improved?  If so, please report an enhancement"
                    " request to PyTorch.)"
                )
        return [calculus.unwrap(answers[place]) for place in self._places]


class _FunctionMeta(type):
    """Gives every Function the class of its nodes, named after it."""

    def __init__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> None:
        super().__init__(name, bases, attributes)
        name += "Backward"
        context = type(name, (_Context,), {"__module__": __name__})
        attributes = {"function": cls, "context": context, "__module__": __name__}
        cls._backward_cls = type(name, (BackwardCFunction,), attributes)


class Function(FunctionCtx, metaclass=_FunctionMeta):
    """Base of custom operations: static methods `forward` and `backward`, used through `apply`.

    Either `forward(ctx, *args)`, or `forward(*args)` with `setup_context(ctx, inputs, output)`. `backward(ctx, *grads)`
    gets one gradient per output and returns one per argument of `apply` (None for those without).
    """

    _backward_cls: type[BackwardCFunction]
    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should"
            " invoke them on the class itself. Instantiating an autograd function will raise an error in a future"
            " version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd"
            " function with static forward method. (Example:"
            " https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the arguments; nothing in it is recorded."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what backward needs, when `forward` takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments from those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with"
            " backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The tangents of the outputs from those of the arguments."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """How to map over a batch, which nothing here calls: `vmap` calls the function on each row."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set"
            " generate_vmap_rule=True."
        )

    @classmethod
    def _bound(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments of `apply` by position; with `setup_context`, the defaults among them."""
        with_setup = cls.setup_context is not Function.setup_context
        if not kwargs and not with_setup:
            return args
        signature = inspect.signature(cls.forward)
        if with_setup:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return bound.args
        bound = signature.bind_partial(None, *args, **kwargs)
        if bound.kwargs:
            name = next(iter(bound.kwargs))
            raise TypeError(f"{cls.forward.__name__}() got an unexpected keyword argument '{name}'")
        return bound.args[1:]

    @classmethod
    def _backward(cls) -> Callable[..., Any]:
        if cls.backward is not Function.backward and cls.vjp is not Function.vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only"
                " implement one of them."
            )
        return cls.vjp if cls.vjp is not Function.vjp else cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` and record it: the outputs' grad_fn is the ctx that backward will get."""
        args = cls._bound(args, kwargs)
        if state.transforms and cls.setup_context is Function.setup_context:
            raise RuntimeError(
                "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, ...), it must"
                " override the setup_context staticmethod. For more details, please see"
                " https://pytorch.org/docs/main/notes/extending.func.html"
            )
        tensors = [each for each in args if isinstance(each, Tensor)]
        edges: list[Edge | None] = [edge_of(each) for each in tensors]  # these may be made here, before the node
        node = cls._backward_cls()
        ctx = node.ctx
        ctx.needs_input_grad = tuple(isinstance(each, Tensor) and edge_of(each) is not None for each in args)
        recording = state.grad_enabled and any(edge is not None for edge in edges)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        node._next, node._count = edges, len(args)
        node._places = [place for place, each in enumerate(args) if isinstance(each, Tensor)]
        answer = _record(node, tensors, result, recording)
        if state.dual is not None:
            cls._push(ctx, args, answer)
        return answer

    @classmethod
    def _push(cls, ctx: _Context, args: Sequence[Any], answer: Any) -> None:
        """Give the outputs the tangents that `jvp` computes from those of the arguments, if there are any."""
        dual = state.dual
        tangents = [dual.tangent(each) for each in args]
        if all(each is None for each in tangents):
            return
        outputs = answer if isinstance(answer, tuple) else (answer,)
        with dual.aside():
            if ctx.materialize_grads:
                tangents = [
                    make(np.zeros_like(each._data), None) if tangent is None and isinstance(each, Tensor) else tangent
                    for each, tangent in zip(args, tangents, strict=True)
                ]
            if ctx.saved_for_forward is not None:
                ctx.__dict__["saved_tensors"] = ctx.saved_for_forward
            try:
                found = cls.jvp(ctx, *tangents)
            finally:
                ctx.__dict__.pop("saved_tensors", None)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(outputs):
            raise RuntimeError(
                f"Function's jvp returned an invalid number of forward gradients (expected {len(outputs)} but got"
                f" {len(found)})"
            )
        for output, tangent in zip(outputs, found, strict=True):
            if tangent is not None:
                output._tangent = (dual, tangent)


def _record(node: BackwardCFunction, inputs: Sequence[Tensor], result: Any, recording: bool) -> Any:
    """Give the outputs their history, and turn what was saved into what can be checked and freed."""
    ctx = node.ctx
    outputs = list(result) if isinstance(result, tuple) else [result]
    _check_marks(ctx, inputs)
    for each in ctx.dirty_tensors or ():
        if not any(each is output for output in outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that"
                " are modified inplace must all be outputs of the Function."
            )
    numbers: dict[int, int] = {}  # output object -> its number
    node._meta = tuple((o._data.shape, o._data.dtype) if isinstance(o, Tensor) else NO_META for o in outputs)
    if len(node._meta) == 1:
        node._shape, node._dtype = node._meta[0]
    answers = []
    for number, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            answers.append(output)
            continue
        numbers[id(output)] = number
        answers.append(_output(node, inputs, output, number, recording))
    for place, kept in enumerate(ctx.to_save or ()):
        if kept is not None and not isinstance(kept, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {place} is of type {type(kept).__name__}"
            )
    if recording:
        node._saved = [
            Saved(each._data, each._cell, numbers[id(each)])
            if each is not None and id(each) in numbers and not any(each is given for given in inputs)
            else each
            for each in ctx.to_save or ()
        ]
        if state.saved_tensors_hooks:
            pack, unpack = state.saved_tensors_hooks[-1]
            node._saved = [None if each is None else Packed(each, node, pack, unpack) for each in node._saved]
        node._versions = [0 if each is None else version_of(each) for each in node._saved]
    ctx.to_save = ctx.dirty_tensors = None
    if isinstance(result, tuple):
        return tuple(answers)
    return answers[0]


def _check_marks(ctx: _Context, inputs: Sequence[Tensor]) -> None:
    """Torch's errors for what forward marked wrongly."""
    if not isinstance(ctx.materialize_grads, bool):
        raise TypeError(
            "set_materialize_grads received an invalid combination of arguments - got (), but expected (bool)"
        )
    for each in ctx.dirty_tensors or ():
        if not isinstance(each, Tensor):
            raise RuntimeError("mark_dirty can only accept variables, but argument ")
        if not any(each is given for given in inputs):
            warnings.warn(
                "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated"
                " should be passed to ctx.mark_dirty().",
                stacklevel=4,
            )
    for each in ctx.non_differentiable or ():
        if not isinstance(each, Tensor):
            raise RuntimeError("mark_non_differentiable only accepts variable arguments, but got ")


def _output(node: BackwardCFunction, inputs: Sequence[Tensor], output: Tensor, number: int, recording: bool) -> Tensor:
    ctx = node.ctx
    marked = any(output is each for each in ctx.non_differentiable or ())
    differentiable = output._data.dtype.kind in "fc" and not marked
    if any(output is each for each in ctx.dirty_tensors or ()):
        output._cell[0] += 1
        if recording:
            if output.is_leaf and output.requires_grad:
                raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
            check_inplace(output)
            rebase_history(output, node)
            if output._view is None:
                output._edge = edge_to(node, number)
        return output
    if any(output is each for each in inputs):  # an input returned as it is becomes another tensor, on the same memory
        if marked:
            return output.detach()
        alias = make(output.materialize(), None)
        mark_view(alias, output, FUNCTION)
        output = alias
    elif output._view is not None:
        output._view.made = FUNCTION
    output._edge = edge_to(node, number) if recording and differentiable else None
    return output


class InplaceFunction(Function):
    """A Function that remembers whether it works in place, kept for code from before static methods."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that cannot itself be differentiated: trying to is then an error."""

    @functools.wraps(function)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = function(ctx, *args)
        if not state.grad_enabled or not any(isinstance(each, Tensor) and each.requires_grad for each in args):
            return outputs
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        made = [None if each is None else _refusing(each) for each in several]
        return tuple(made) if isinstance(outputs, tuple) else made[0]

    return wrapper


class Error(Node):
    """A node whose backward refuses (torch's DelayedError)."""

    def _vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def _refusing(tensor: Tensor) -> Tensor:
    made = make(tensor._data, None)
    made._edge = Error((), ((tensor._data.shape, tensor._data.dtype),), plain=False)
    return made
