"""Programs: what is generated, run, reduced, stored and shown.

A program is a set of leaves, then steps in single assignment, then what is observed. It is a frozen, typed value with
two written forms: JSON (`to_json`, `from_json`; floats are exact) and a runnable script (`conformance.script`).

Every value has a number. A leaf states its own (`id`), a step states those of its results (`out`), and an operand is
`Ref(id)`. Numbers are names: deleting a step changes none of the others. `canonical` renumbers from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

DType: TypeAlias = Literal["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
Layout: TypeAlias = Literal["contiguous", "transposed", "channels_last", "strided", "reversed", "expanded"]
#: How an operation is written; "custom" names a function of the user's own (`conformance.functions`).
Form: TypeAlias = Literal["function", "method", "operator", "attribute", "custom"]
GradMode: TypeAlias = Literal["grad", "no_grad", "enable_grad"]


class Value(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of what can stand as an argument besides None, bool, int, finite float and str."""


class Ref(Value, frozen=True, tag="ref"):
    """The value with this number."""

    id: int


class Slice(Value, frozen=True, tag="slice"):
    """A slice inside an index."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


class Dots(Value, frozen=True, tag="ellipsis"):
    """`...` inside an index."""


class Special(Value, frozen=True, tag="float"):
    """A float that JSON has no number for: nan, inf or -inf."""

    value: Literal["nan", "inf", "-inf"]


class DTypeArg(Value, frozen=True, tag="dtype"):
    """A dtype given as an argument."""

    name: DType


class Seq(Value, frozen=True, tag="seq"):
    """A tuple or list of arguments: a shape, dims, the operands of cat, the parts of an index."""

    items: tuple[Arg, ...]


Arg: TypeAlias = Ref | Slice | Dots | Special | DTypeArg | Seq | None | bool | int | float | str


class Array(msgspec.Struct, frozen=True):
    """A constant array. Floats are written by `float.hex`, integers and bools in decimal, so that all are exact."""

    shape: tuple[int, ...]
    dtype: DType
    values: tuple[str, ...]
    layout: Layout = "contiguous"


class Leaf(msgspec.Struct, frozen=True):
    """A `Variable(array, requires_grad=…)`."""

    id: int
    array: Array
    requires_grad: bool = True


class Step(msgspec.Struct, frozen=True, tag_field="step"):
    """Base of the steps."""


class Apply(Step, frozen=True, tag="apply"):
    """Apply an operation, out of place. A view is an application of a view operation."""

    op: str
    args: tuple[Arg, ...]
    out: tuple[int, ...]
    kwargs: tuple[tuple[str, Arg], ...] = ()
    form: Form = "function"
    mode: GradMode = "grad"


class Inplace(Step, frozen=True, tag="inplace"):
    """Change `target` by the in-place method `op` (`add_`, `__setitem__`, …); `out` names it afterwards."""

    op: str
    target: int
    args: tuple[Arg, ...]
    out: tuple[int, ...]
    kwargs: tuple[tuple[str, Arg], ...] = ()
    mode: GradMode = "grad"


class Detach(Step, frozen=True, tag="detach"):
    """A value cut from its history (it shares memory and version with `source`)."""

    source: int
    out: tuple[int, ...]


class RequiresGrad(Step, frozen=True, tag="requires_grad"):
    """`target.requires_grad_(value)`."""

    target: int
    value: bool = True


class RetainGrad(Step, frozen=True, tag="retain_grad"):
    """Keep the gradient of a value that is no leaf; it is observed like a leaf's."""

    target: int


class Hook(Step, frozen=True, tag="hook"):
    """Register a hook that records its argument; with `scale` it also returns `scale` × its argument."""

    target: int
    kind: Literal["tensor", "post_accumulate"] = "tensor"
    scale: float | None = None


class Backward(Step, frozen=True, tag="backward"):
    """Backward from `roots`; `gradients[i]` is the cotangent of `roots[i]`, None for an implicit one."""

    roots: tuple[int, ...]
    gradients: tuple[Array | None, ...]
    retain_graph: bool | None = None
    create_graph: bool = False
    inputs: tuple[int, ...] | None = None


class Grad(Step, frozen=True, tag="grad"):
    """`autograd.grad(outputs, inputs, gradients)`; `out[i]` is the gradient to `inputs[i]` (None where unused)."""

    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    gradients: tuple[Array | None, ...]
    out: tuple[int, ...]
    retain_graph: bool | None = None
    create_graph: bool = False
    allow_unused: bool = True


class ReadGrad(Step, frozen=True, tag="read_grad"):
    """Take `target.grad` as a value."""

    target: int
    out: tuple[int, ...]


class ZeroGrad(Step, frozen=True, tag="zero_grad"):
    """Set `.grad` of the targets to None, or fill it with zeros in place."""

    targets: tuple[int, ...]
    to: Literal["none", "zero"] = "none"


AnyStep: TypeAlias = Apply | Inplace | Detach | RequiresGrad | RetainGrad | Hook | Backward | Grad | ReadGrad | ZeroGrad


class Program(msgspec.Struct, frozen=True):
    """Leaves, steps, and the numbers of the values that are observed (leaves' `.grad` always is)."""

    leaves: tuple[Leaf, ...]
    steps: tuple[AnyStep, ...]
    observe: tuple[int, ...] = ()

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the operations applied, in order (in-place ones with their trailing underscore)."""
        return tuple(s.op for s in self.steps if isinstance(s, (Apply, Inplace)))

    @property
    def narrowest(self) -> str:
        """The narrowest floating dtype of its leaves and casts; "" without any."""
        named = {leaf.array.dtype for leaf in self.leaves}
        for step in self.steps:
            if isinstance(step, Apply):
                named |= {dtype for dtype, op in CASTS.items() if op == step.op}
                named |= {a.name for a in (*step.args, *(a for _, a in step.kwargs)) if isinstance(a, DTypeArg)}
        return next((name for name in ("float16", "float32", "float64") if name in named), "")


#: Methods that cast to a floating dtype.
CASTS: Final[dict[DType, str]] = {"float16": "half", "float32": "float", "float64": "double"}
_decoder = msgspec.json.Decoder(Program)


def to_json(program: Program) -> bytes:
    """The program as JSON; equal programs give equal bytes."""
    return msgspec.json.encode(program)


def from_json(data: bytes | str) -> Program:
    """The program that `to_json` wrote. Raises `msgspec.DecodeError` when the text is none."""
    return _decoder.decode(data)


# -- arrays ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def name_of(dtype: np.dtype[Any]) -> DType:
    """The dtype's name, which numpy takes as long to find as to add two arrays."""
    name: Any = dtype.name
    return name  # type: ignore[no-any-return]


def array(data: npt.ArrayLike, dtype: DType | None = None, layout: Layout = "contiguous") -> Array:
    """A constant from anything numpy takes."""
    a = np.asarray(data, dtype=dtype)
    name = name_of(a.dtype)
    write: Callable[[Any], str] = float.hex if a.dtype.kind == "f" else lambda v: str(int(v))
    return Array(tuple(a.shape), name, tuple(write(v) for v in a.ravel().tolist()), layout)


@lru_cache(maxsize=4096)
def _contents(a: Array) -> npt.NDArray[Any]:
    read: Callable[[str], Any] = float.fromhex if a.dtype.startswith("float") else int
    return np.array([read(v) for v in a.values], dtype=a.dtype).reshape(a.shape)


def to_numpy(a: Array) -> npt.NDArray[Any]:
    """A fresh numpy array with the values and the memory layout that `a` states."""
    return lay_out(_contents(a), a.layout)


def lay_out(data: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """A copy of `data` whose strides are those of the layout."""
    if data.size == 0:  # of numpy's own strides, which are zero, torch says that they do not obey its layout contract
        return np.zeros(np.maximum(data.shape, 1), data.dtype)[tuple(map(slice, data.shape))]
    if layout == "contiguous" or data.ndim == 0 or (layout == "expanded" and data.shape[0] == 1):
        return data.copy()  # one row is no expansion: torch's expand leaves its stride as it is
    if layout == "transposed":
        return np.array(data, order="F")
    if layout == "channels_last":
        return np.moveaxis(np.moveaxis(data, 1, -1).copy(), -1, 1) if data.ndim > 2 else data.copy()
    if layout == "strided":
        wide = np.zeros((*data.shape[:-1], 2 * data.shape[-1]), data.dtype)
        wide[..., ::2] = data
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(data[..., ::-1])[..., ::-1]
    row = data[:1].copy()  # "expanded": stride 0, so every row reads the first one
    return np.lib.stride_tricks.as_strided(row, data.shape, (0, *row.strides[1:]))


# -- walking -----------------------------------------------------------------------------------------------------------


def refs(arg: Arg) -> Iterator[int]:
    """Numbers of the values that an argument refers to."""
    if isinstance(arg, Ref):
        yield arg.id
    elif isinstance(arg, Seq):
        for item in arg.items:
            yield from refs(item)


def operands(step: AnyStep) -> tuple[int, ...]:
    """Numbers of the values that a step reads or changes, in order, with repetitions."""
    match step:
        case Apply():
            found = [r for a in step.args for r in refs(a)] + [r for _, a in step.kwargs for r in refs(a)]
            return tuple(found)
        case Inplace():
            found = [r for a in step.args for r in refs(a)] + [r for _, a in step.kwargs for r in refs(a)]
            return (step.target, *found)
        case Detach():
            return (step.source,)
        case Backward():
            return step.roots + (step.inputs or ())
        case Grad():
            return step.outputs + step.inputs
        case ZeroGrad():
            return step.targets
        case _:
            return (step.target,)


def results(step: AnyStep) -> tuple[int, ...]:
    """Numbers of the values that a step makes."""
    return getattr(step, "out", ())


def free_number(program: Program) -> int:
    """A number that no value of the program has."""
    made = [i for step in program.steps for i in results(step)]
    return 1 + max([leaf.id for leaf in program.leaves] + made, default=-1)


def before_gradients(program: Program) -> tuple[Apply | Inplace | Detach | RequiresGrad, ...]:
    """The steps that compute values and don't depend on a gradient: the forward part, which runs without the rest."""
    late: set[int] = set()
    kept: list[Apply | Inplace | Detach | RequiresGrad] = []
    for step in program.steps:
        if isinstance(step, (Grad, ReadGrad)) or late.intersection(operands(step)):
            late.update(results(step))
        elif isinstance(step, (Apply, Inplace, Detach, RequiresGrad)):  # what is switched off may be written to
            kept.append(step)
    return tuple(kept)


def rename(arg: Arg, new: Callable[[int], int]) -> Arg:
    """The argument with every number replaced."""
    if isinstance(arg, Ref):
        return Ref(new(arg.id))
    if isinstance(arg, Seq):
        return Seq(tuple(rename(item, new) for item in arg.items))
    return arg


def rename_step(step: AnyStep, new: Callable[[int], int], made: Callable[[int], int] | None = None) -> AnyStep:
    """The step with every operand's number replaced by `new`, and every result's by `made` (unchanged without it)."""
    changes: dict[str, Any] = {}
    if made is not None and results(step):
        changes["out"] = tuple(made(i) for i in results(step))
    for field in ("target", "source"):
        if hasattr(step, field):
            changes[field] = new(getattr(step, field))
    for field in ("roots", "outputs", "inputs", "targets"):
        if getattr(step, field, None) is not None:
            changes[field] = tuple(new(i) for i in getattr(step, field))
    if isinstance(step, (Apply, Inplace)):
        changes["args"] = tuple(rename(a, new) for a in step.args)
        changes["kwargs"] = tuple((k, rename(a, new)) for k, a in step.kwargs)
    return msgspec.structs.replace(step, **changes)


def canonical(program: Program) -> Program:
    """The same program with values numbered 0, 1, … in order of definition."""
    number: dict[int, int] = {}

    def new(i: int) -> int:
        return number.setdefault(i, len(number))

    leaves = tuple(msgspec.structs.replace(leaf, id=new(leaf.id)) for leaf in program.leaves)
    steps = tuple(rename_step(step, new, new) for step in program.steps)
    return Program(leaves, steps, tuple(new(i) for i in program.observe))


def defects(program: Program) -> list[str]:
    """What makes the program ill formed: a value used before it is made, made twice, or of the wrong size."""
    found: list[str] = []
    known: set[int] = set()

    def make(i: int) -> None:
        if i in known:
            found.append(f"value {i} is made twice")
        known.add(i)

    for leaf in program.leaves:
        make(leaf.id)
        if int(np.prod(leaf.array.shape)) != len(leaf.array.values):
            found.append(f"leaf {leaf.id} has {len(leaf.array.values)} values for shape {leaf.array.shape}")
    for position, step in enumerate(program.steps):
        found += [f"step {position} uses value {i}, which is not made yet" for i in operands(step) if i not in known]
        for i in results(step):
            make(i)
    return found + [f"value {i} is observed but never made" for i in program.observe if i not in known]
