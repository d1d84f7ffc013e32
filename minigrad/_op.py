"""What an operation is.

An operation is declared once: a numpy `forward`, and for each differentiable input a formula for its vector-Jacobian
product. A formula is a function whose parameter names say what it needs:

    grad           the gradient of the output (`grads`: the list of them, zeros where none came, for several outputs)
    given          the gradients of several outputs as they came: None where there is none
    self, other …  an input, by its name in `forward`; it is saved for backward (and its version is checked)
    result         the output, saved likewise (`results`: all outputs; `indices` …: one, by its field in `returns`)
    self_shape …   the shape of an input (the shapes, of a list of inputs), `self_strides` its strides, `self_dtype` its
                   type, `other_number` whether it was given as a Python number: nothing is saved
    dim …          any other parameter of `forward`
    xp             the namespace of operations to compute with

First-order backward calls the formula with numpy arrays and the operations' own forwards as `xp`; under create_graph
the same formula gets tensors and the recorded operations. Formulas do not undo broadcasting or casts: the engine does,
once. `_plan` says how an operation is recorded, `_apply` how it is applied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from types import FunctionType, SimpleNamespace
from typing import Any, Final, TypeAlias

import numpy as np

from minigrad._graph import Number

# The types that a forward's signature is written with; they tell operands from arguments.
Array: TypeAlias = "np.ndarray[Any, Any]"  # a tensor
ArrayOrNumber: TypeAlias = "np.ndarray[Any, Any]"  # a tensor or a Python number; the forward gets an array
ArrayAsIs: TypeAlias = "np.ndarray[Any, Any]"  # a tensor that takes no part in promotion
Arrays: TypeAlias = "list[np.ndarray[Any, Any]]"  # a sequence of tensors
Dims: TypeAlias = "int | tuple[int, ...] | None"
Size: TypeAlias = "tuple[int, ...]"  # may be given as separate arguments: x.permute(1, 0)

RAW: Final = SimpleNamespace()  # name -> numpy forward
RECORDED: Final = SimpleNamespace()  # name -> public function
OPS: Final[dict[str, Op]] = {}  # every declared operation

Formula: TypeAlias = Callable[..., Any]
# Other names of parameters.
ALIASES: Final = {"axis": "dim", "keepdims": "keepdim", "input": "self", "x": "self", "x2": "other"}
OVERLOAD: Final = r"\.(all|dim|correction|Scalar)$"  # what tells apart the operations of one torch name
NUMBER: Final = (bool, int, float, complex, np.generic)  # what may stand for a tensor among the operands


class Op:
    """One declared operation; see the module's text. `promote`: None, "keep" (operands are cast to their common type),
    "float" (and integers to the default floating type), or a function of parameters that gives one of these. `kinds`:
    numpy's letters of the types that it computes with, `refusal`: its error for others, or the name of the kernel that
    torch says does not do them. `view`: whether the result shares `self`'s memory. `holomorphic`: the formulas give the
    plain derivative, of which the engine takes the conjugate for complex tensors; False for formulas that are right for
    complex tensors as they stand. `elementwise`: each element of the result, and of a gradient, depends on the elements
    at its own place alone; the result lies in memory as the operands do (`_layout`). `in_order`: it lies in C order,
    however numpy's function leaves it."""

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        formulas: dict[str, Formula],
        *,
        promote: str | Callable[..., str] | None = None,
        kinds: str = "biufc",
        refusal: str | Exception = "",
        view: bool = False,
        node: str | Callable[..., str] | None = None,
        params: dict[str, str] | None = None,
        returns: Any = None,
        holomorphic: bool = True,
        elementwise: bool = False,
        in_order: bool = False,
    ) -> None:
        self.elementwise = elementwise
        self.in_order = in_order
        self.holomorphic = holomorphic
        self.name, self.forward, self.formulas = name, forward, formulas
        self.promote, self.view, self.returns = promote, view, returns
        self.kinds, self.refusal = kinds, refusal
        self.node_given = node
        self.many_outputs = returns is not None
        self.quick: Callable[..., Any] | None = None  # a faster forward for when only the operands are given
        self.plans: dict[Any, Any] = {}  # how it is recorded, by case: see `_plan`
        self.defaults: dict[str, Any] = {}
        self.keyword_only = 0
        if params is not None:
            self.params, self.annotations = (*params,), (*params.values(),)
            return
        code, types = forward.__code__, forward.__annotations__
        self.keyword_only = code.co_kwonlyargcount
        self.params = names = code.co_varnames[: code.co_argcount + self.keyword_only]
        self.annotations = (*[types[each] for each in names],)
        if given := forward.__defaults__:
            self.defaults = dict(zip(names[code.co_argcount - len(given) :], given))
        if self.keyword_only:  # the same function, with all its parameters positional
            self.defaults |= forward.__kwdefaults__ or {}
            self.forward = FunctionType(
                code.replace(co_argcount=len(names), co_kwonlyargcount=0),
                forward.__globals__,
                name,
                tuple(self.defaults[each] for each in names if each in self.defaults),
                forward.__closure__,
            )

    # What follows from the declaration is worked out when it is first asked for: most programs use few operations.

    @cached_property
    def shown(self) -> str:
        """The name in errors."""
        name = self.name
        return re.sub(OVERLOAD, "", name).removeprefix("nn.functional.").replace(".", "_") if "." in name else name

    @cached_property
    def node_name(self) -> str | Callable[..., str]:
        """Torch's name of the node, or what finds it from the arguments at `node_asks`."""
        camel = "".join(part[:1].upper() + part[1:] for part in self.name.replace(".", "_").split("_"))
        return self.node_given or f"{camel}Backward0"

    @cached_property
    def node_asks(self) -> tuple[int, ...]:
        return () if isinstance(self.node_name, str) else self.places(self.node_name)

    @cached_property
    def operands(self) -> tuple[tuple[int, int, bool], ...]:
        """Of each tensor among the parameters its place, its bit in sets of inputs, and whether it is a list."""
        kinds = enumerate(self.annotations)
        return tuple((i, 1 << i, kind.startswith("Arrays")) for i, kind in kinds if kind.startswith("Array"))

    @cached_property
    def promoted(self) -> list[int]:
        return [i for i, kind in enumerate(self.annotations) if kind.split(" ")[0] in ("Array", "ArrayOrNumber")]

    @cached_property
    def numbers(self) -> set[int]:
        """Which may be Python numbers."""
        return {i for i, kind in enumerate(self.annotations) if kind.startswith("ArrayOrNumber")}

    @cached_property
    def optional(self) -> set[int]:
        return {i for i, kind in enumerate(self.annotations) if "None" in kind}

    @cached_property
    def variadic(self) -> int | None:
        """Which may be given as separate arguments."""
        return next((i for i, kind in enumerate(self.annotations) if kind.startswith("Size")), None)

    @cached_property
    def single(self) -> bool:
        """Whether there is one tensor, which comes first, nothing to promote, and one output."""
        return self.operands == ((0, 1, False),) and not (self.promote or self.many_outputs or self.optional)

    @cached_property
    def overloads(self) -> set[int]:
        """Inputs that have an edge: a number has none where it makes another overload, with a node of its own."""
        return {i for i in self.numbers if i in self.node_asks}

    @cached_property
    def differentiable(self) -> set[int]:
        return {i for i, param in enumerate(self.params) if param in self.formulas}

    # For `bind`.

    @cached_property
    def tail(self) -> tuple[Any, ...]:
        """The defaults, None where there is none."""
        return tuple(self.defaults.get(each) for each in self.params)

    @cached_property
    def required(self) -> int:
        """How many parameters come up to the last without a default."""
        return max((i + 1 for i, each in enumerate(self.params) if each not in self.defaults), default=0)

    @cached_property
    def places_by_name(self) -> dict[str, int]:
        """Where each name stands."""
        found = {each: i for i, each in enumerate(self.params)}
        for alias, meant in ALIASES.items():
            if meant in found:
                found.setdefault(alias, found[meant])
        return found

    def ask(self, function: Callable[..., str], args: Sequence[Any]) -> str:
        """What a function of parameters answers for these arguments."""
        return function(*[args[i] for i in self.places(function)])

    def places(self, function: Callable[..., str]) -> tuple[int, ...]:
        """Where a function's parameters stand among those of the operation."""
        return tuple(self.params.index(each) for each in parameters(function))

    def left_out(self, args: Sequence[Any]) -> set[int]:
        """The operands that have no edge: the numbers of an overload, and those not given beside a number."""
        numbers = {i for i in self.overloads if is_number(args[i])}
        return numbers and numbers | {i for i in self.overloads if args[i] is None}


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters."""
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


def is_number(given: Any) -> bool:
    """Whether an operand was given as a Python number, in what a `node` function is asked about."""
    return type(given) is Number or isinstance(given, NUMBER)
