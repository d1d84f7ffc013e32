"""What the suite asks of an engine.

An engine is a subclass of `Engine`. Five methods are enough to be tested on values and gradients; each further method
that is overridden opens the programs that need it. What an engine lacks it says by raising `Unsupported`: that is
counted as unsupported, never as a pass. Any other exception is observed as the error of that step.

    class Mine(conformance.Engine):
        name = "mine"
        def leaf(self, array, requires_grad): return Value(array)
        def apply(self, op, args, kwargs):
            if op not in TABLE: raise conformance.Unsupported(op)
            return TABLE[op](*args, **kwargs)
        def backward(self, value, gradient): value.backward(gradient)
        def grad(self, value): return value.grad
        def numpy(self, value): return value.data
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy.typing as npt

#: What an engine can claim, each with all that stands before it; the last only one that mirrors torch's module.
Level: TypeAlias = Literal["value", "gradient", "higher", "behaviour", "look", "corpus"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)


class EngineError(Exception):
    """An engine that cannot be found or loaded: one line that says why and what to do."""


class Unsupported(Exception):  # noqa: N818 - not an error of the engine: it says what is not offered
    """Raised by an engine for an operation or a step that it does not offer."""


class Engine(ABC):
    """An engine as the suite drives it. A value is whatever the engine makes of it."""

    name: str = "engine"
    #: Name of the module that a script of a program imports as the engine, when its API is torch's; "" otherwise.
    module: str = ""
    #: Floating dtype that it computes in, where that is narrower than the programs' ("float32"); "" otherwise.
    precision: str = ""
    #: How many times fewer programs `--all-engines` asks it for, since each takes so long.
    cost: int = 1

    @abstractmethod
    def leaf(self, array: npt.NDArray[Any], requires_grad: bool) -> Any:
        """A leaf that holds `array` with its dtype and strides. The array may be kept, it is not used again."""

    @abstractmethod
    def apply(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The operation under torch's name, on values and plain Python arguments: a value, or a tuple of them."""

    @abstractmethod
    def backward(self, value: Any, gradient: Any) -> None:
        """Accumulate gradients into the leaves. `gradient` is a constant leaf of the value's shape, or None."""

    @abstractmethod
    def grad(self, value: Any) -> Any:
        """The gradient that `value` has accumulated, as a value; None when it has none."""

    @abstractmethod
    def numpy(self, value: Any) -> npt.NDArray[Any]:
        """The numbers of a value."""

    # -- optional ------------------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """Version of the engine, for the report."""
        return ""

    def supports(self, op: str) -> bool:
        """Whether the operation is offered, when that can be told without running it."""
        return True

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The operation as a function, a method or an operator. Without forms, each is the function."""
        return self.apply(op, args, kwargs)

    def custom(self, name: str, args: Sequence[Any]) -> Any:
        """A function of the user's own: the one of this name in `conformance.functions`, where torch's stand."""
        raise Unsupported("custom functions")

    def dtype(self, name: str) -> Any:
        """The engine's dtype of this name, as an argument of operations."""
        return name

    def backward_all(
        self,
        roots: Sequence[Any],
        gradients: Sequence[Any],
        retain_graph: bool | None,
        create_graph: bool,
        inputs: Sequence[Any] | None,
    ) -> None:
        """Backward from several roots at once, with torch's options."""
        if retain_graph or create_graph or inputs is not None:
            raise Unsupported("backward with retain_graph, create_graph or inputs")
        for root, gradient in zip(roots, gradients, strict=True):
            self.backward(root, gradient)

    def grad_of(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        gradients: Sequence[Any],
        retain_graph: bool | None,
        create_graph: bool,
        allow_unused: bool,
    ) -> Sequence[Any]:
        """`autograd.grad`: the gradients to `inputs`, as values (None where unused)."""
        raise Unsupported("autograd.grad")

    def inplace(self, op: str, target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The in-place method `op` of `target`, which is returned."""
        raise Unsupported(op)

    def detach(self, value: Any) -> Any:
        """The value without its history."""
        raise Unsupported("detach")

    def grad_mode(self, mode: str) -> AbstractContextManager[Any]:
        """A context in which gradients are ("enable_grad") or are not ("no_grad") recorded."""
        raise Unsupported(mode)

    def hook(self, value: Any, kind: str, function: Callable[..., Any]) -> None:
        """Register `function` to be called with the gradient ("tensor") or the leaf ("post_accumulate")."""
        raise Unsupported(f"{kind} hook")

    def retain_grad(self, value: Any) -> None:
        """Keep the gradient of a value that is no leaf."""
        raise Unsupported("retain_grad")

    def set_requires_grad(self, value: Any, requires_grad: bool) -> None:
        """`value.requires_grad_(requires_grad)`."""
        raise Unsupported("requires_grad_")

    def zero_grad(self, value: Any, to: str) -> None:
        """Set `value.grad` to None ("none") or fill it with zeros ("zero")."""
        raise Unsupported("zero_grad")

    def flags(self, value: Any) -> tuple[bool, bool] | None:
        """(requires_grad, is_leaf) of a value; None when the engine has no such idea."""
        return None

    def every_warning(self) -> AbstractContextManager[object]:
        """Within it, what the engine warns of once in a process is warned of each time: else no run is like another."""
        return contextlib.nullcontext()

    def look(self, value: Any) -> tuple[str, int, bool | None] | None:
        """As torch has them: name of a value's grad_fn ("" without), its version, and whether it is contiguous (None
        unless it is a view: else it is the kernel's own affair). None when the engine does not mirror torch so far.
        """
        return None
