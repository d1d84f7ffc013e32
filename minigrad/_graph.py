"""The recorded graph: nodes, the edges between them, and what they save.

An edge is the node that computes the gradient of something; where that node has several outputs, it is an `Output` of
it. A tensor that requires grad holds its edge; a node holds one edge per input (`_next`). So nodes point to older
nodes, down to the `AccumulateGrad` of each leaf, and nothing points back: no reference cycles.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from minigrad import _anomaly
from minigrad._modes import no_grad, state
from minigrad.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from minigrad._tensor import Tensor

Edge: TypeAlias = "Node"
Meta: TypeAlias = "tuple[tuple[int, ...], np.dtype[Any]]"  # the shape and dtype that a gradient must have

# Decreasing numbers: a smaller one is younger. A node is younger than every node it points to, so visiting nodes in
# ascending order meets each after all that contributes to it; it is also the order in which torch visits them.
next_sequence = itertools.count(0, -1).__next__
#: The node of what torch records but cannot differentiate; it is younger than all, so that its error comes first.
NOT_IMPLEMENTED: Final = "torch::autograd::NotImplemented"
YOUNGEST: Final = 1 - 2**64

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been"
    " freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify"
    " retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors"
    " after calling backward."
)


class Hooks:
    """The functions called around a node's backward, in torch's order: tensor, retain_grad, pre; then post."""

    __slots__ = ("post", "post_accumulate", "pre", "retain", "tensor", "tensor_registered")

    def __init__(self) -> None:
        self.tensor: dict[int, tuple[int, Callable[..., Any]]] = {}  # handle id -> (output number, hook)
        self.tensor_registered = False  # whether there ever was one
        self.retain: dict[int, weakref.ref[Tensor]] = {}  # output number -> the tensor whose .grad is kept
        self.pre: dict[int, Callable[..., Any]] = {}
        self.post: dict[int, Callable[..., Any]] = {}
        self.post_accumulate: dict[int, Callable[..., Any]] = {}


class Notes:
    """What few nodes have: backward calls those that have none without looking further."""

    __slots__ = ("copy", "hooks", "metadata", "plain", "trace")

    def __init__(self, plain: bool = True) -> None:
        self.plain = plain  # calls nobody's code, so that when a leaf's gradient is stored meanwhile cannot be observed
        self.hooks: Hooks | None = None
        self.trace: Any = None  # in anomaly mode: the stack of the forward call
        self.metadata: dict[str, Any] = {}
        self.copy: Any = None  # of a write to a view: a weak reference to the base's history, which the node is part of


class Node:
    """One recorded operation: how the gradients of its outputs become those of its inputs (torch's `Node`).

    Nodes are many, and the garbage collector visits each: so they have slots, and whatever is rare is in `_notes`.
    Python reads an attribute several times faster where all objects that come by are of one class: so nodes of
    operations are of one class, `_plan.OpNode`, until `_shown` gives them the one that torch's users expect. The names
    begin with an underscore where torch has no such attribute: a custom Function's `ctx` is a node too, and
    belongs to its author.
    """

    __slots__ = ("__weakref__", "_dtype", "_next", "_notes", "_plan", "_sequence", "_shape")

    _sequence: float
    _next: Sequence[Edge | None]
    _shape: tuple[int, ...]  # of the output, and so of its gradient; () and None where there are several
    _dtype: np.dtype[Any]
    _notes: Notes | None
    _plan: Any  # says how backward is called: `_plan.first` for first order, `_plan.vjp`
    _arrays: Any  # the calculus of first order; `_backward`, which knows the operations, sets it
    _number = 0  # which output of `_node` this edge is

    def __init__(self, next: Sequence[Edge | None], meta: Sequence[Meta], plain: bool = True) -> None:
        self._sequence = next_sequence()
        self._next = next
        self._plan = BY_VJP
        self._notes = None if plain else Notes(plain)
        self._shape, self._dtype = meta[0] if len(meta) == 1 else NO_META
        if state.anomaly:
            self._make_notes().trace = _anomaly.capture(state.backward_node)

    @property
    def _node(self) -> Node:
        """The node that this edge leads to: itself, as it has one output."""
        return self

    @property
    def _meta(self) -> Sequence[Meta]:
        """Shape and dtype of each output."""
        return ((self._shape, self._dtype),)

    @property
    def _hidden(self) -> bool:
        """Whether all outputs but the first are there for the formulas alone."""
        return False

    @property
    def _seen(self) -> Sequence[Meta]:
        """The outputs that torch counts: of an operation those that gradients flow to."""
        return self._meta

    def _vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        """Gradients of the inputs, one per edge of `_next` (None: undefined), from those of the outputs.

        `grads` is the gradient itself when the node has one output, else a list. `calculus` says whether they are
        arrays or tensors; `wanted`, unless None, holds the nodes that need a gradient.
        """
        raise NotImplementedError

    def _release(self) -> None:
        """Free what was saved for backward."""

    def _shown(self) -> Node:
        """This node, as users are to see it."""
        return self

    def _make_notes(self) -> Notes:
        """This node's notes, made when there is something to note."""
        if self._notes is None:
            self._notes = Notes()
        return self._notes

    def _make_hooks(self) -> Hooks:
        """This node's hooks, made when the first is registered."""
        notes = self._make_notes()
        if notes.hooks is None:
            notes.hooks = Hooks()
        return notes.hooks

    @property
    def _hooks(self) -> Hooks | None:
        """The hooks registered on the node, if there are any."""
        return None if self._notes is None else self._notes.hooks

    @property
    def _trace(self) -> Any:
        """In anomaly mode, the stack of the forward call."""
        return None if self._notes is None else self._notes.trace

    @property
    def _plain(self) -> bool:
        """Whether the node's backward calls nobody's code."""
        return self._notes is None or self._notes.plain

    # -- what torch shows of a node ------------------------------------------------------------------------------

    def name(self) -> str:
        """Torch's name of the node, such as `MulBackward0`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes that this node hands gradients to, with the number of the output concerned."""
        return tuple((None, 0) if edge is None else (edge._node._shown(), edge._number) for edge in self._next)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes on the node."""
        notes = self._make_notes()
        if notes.trace is not None:
            notes.metadata.setdefault("traceback_", notes.trace.lines)
        return notes.metadata

    @property
    def requires_grad(self) -> bool:
        """True, as of every node."""
        return True

    def __call__(self, *grads: Any) -> Any:
        """Call the node's backward by hand, recorded as the mode says; one gradient per output."""
        from minigrad._backward import Tensors

        self._check_count(grads)
        grads = (*grads, *[None] * (len(self._meta) - len(grads)))
        results = tuple(self._vjp(grads[0] if len(self._meta) == 1 else list(grads), Tensors, None))
        return results[0] if len(results) == 1 else results

    def _check_count(self, grads: Sequence[Any]) -> None:
        if len(grads) != len(self._seen):
            raise TypeError(f"expected {len(self._seen)} arguments, got {len(grads)} instead")

    def _sequence_nr(self) -> int:
        return -int(self._sequence)

    @property
    def _input_metadata(self) -> tuple[_InputMetadata, ...]:
        return tuple(map(_InputMetadata, self._seen))

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(grad_inputs, grad_outputs)` after the node's backward; it may return other grad_inputs."""
        return RemovableHandle(self._make_hooks().post, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(grad_outputs)` before the node's backward; it may return other grad_outputs."""
        return RemovableHandle(self._make_hooks().pre, hook)

    def __dir__(self) -> list[str]:
        return sorted([*_SHOWN, *(each for each in object.__dir__(self) if each.startswith("__"))])

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {id(self):#x}>"


Node.__module__ = "minigrad.autograd.graph"  # where torch has it
Node.__abstractmethods__ = frozenset({  # type: ignore[attr-defined]  # Python refuses to make one, in torch's words
    "_input_metadata", "_register_hook_dict", "_sequence_nr", "metadata", "name", "next_functions", "register_hook",
    "register_prehook",
})  # fmt: skip


class _InputMetadata:
    """What a node expects of the gradient of one of its outputs."""

    __module__ = "torch._C._autograd"
    is_nested_tensor = False
    is_cpp_nested_tensor = False

    def __init__(self, meta: Meta) -> None:
        from minigrad._device import CPU
        from minigrad._dtype import from_numpy

        self.shape, self.dtype, self.device = list(meta[0]), from_numpy(meta[1]), CPU

    def __repr__(self) -> str:
        return f"<torch._C._autograd._InputMetadata object at {id(self):#x}>"


class ByVjp:
    """The plan of nodes that are none of declared operations."""

    trusted = False  # whether gradients are known to have the output's shape and type

    @staticmethod
    def first(node: Node, grads: Any, keep_graph: bool) -> Sequence[Any]:
        """The `_vjp` of first order, on arrays, of all inputs, and what is saved freed: what a plain backward calls."""
        results = node._vjp(grads, node._arrays, None)
        if not keep_graph:
            node._release()
        return results

    @staticmethod
    def vjp(node: Node, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        """The node's `_vjp`."""
        return node._vjp(grads, calculus, wanted)


BY_VJP: Final = ByVjp()
_SHOWN: Final = (  # what torch shows of a node
    "_input_metadata", "_register_hook_dict", "_sequence_nr", "_set_sequence_nr", "metadata", "name", "next_functions",
    "register_hook", "register_prehook", "requires_grad",
)  # fmt: skip

NO_META: Final[Any] = ((), None)  # instead of a shape and type, where there is no tensor or more than one


class Output(Node):
    """The edge to one output of a node that has several: in backward it collects that output's gradient.

    It comes to the top of the heap after all that contributes to it, and just before its node. Equal to any other edge
    to the same output.
    """

    __slots__ = ("_node", "_number")

    _node: Node
    _number: int

    def __init__(self, node: Node, number: int) -> None:
        self._node, self._number = node, number
        self._sequence = node._sequence - (number + 1) / (len(node._meta) + 1)
        self._next = (node,)
        self._shape, self._dtype = node._meta[number]
        self._notes = _HANDS_ON

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Output) and (self._node, self._number) == (other._node, other._number)

    def __hash__(self) -> int:
        return hash((self._node, self._number))


_HANDS_ON: Final = Notes()  # makes backward look at what kind of node it is


def edge_to(node: Node, number: int) -> Edge:
    """The edge to an output of a node."""
    return node if len(node._meta) == 1 else Output(node, number)


class AccumulateGrad(Node):
    """The end of the graph at a leaf: owns the leaf's `.grad`, and adds to it what arrives.

    The leaf points here and not the other way round, so that dropping the last tensor frees everything at once.
    """

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __init__(self, leaf: Tensor) -> None:
        self._sequence = 1  # older than all
        self._next = ()
        self._notes = None
        self.grad: Tensor | None = None
        self.enabled = True  # the leaf's requires_grad
        self.adopt(leaf)

    def __call__(self, *grads: Any) -> tuple[()]:
        """Add a gradient to the leaf's by hand."""
        self._check_count(grads)
        if grads[0] is not None and self.enabled:
            self.grad = grads[0].clone() if self.grad is None else self.grad + grads[0]
        return ()

    def adopt(self, leaf: Tensor) -> None:
        """Belong to `leaf`, as its data are now."""
        self.leaf = weakref.ref(leaf)
        self.data, self.cell = leaf._data, leaf._cell
        wanted = leaf._grad_dtype
        self._shape = self.data.shape
        self._dtype = self.data.dtype if wanted in ("own", None) else wanted.numpy

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), "variable"])

    @property
    def variable(self) -> Tensor:
        """The leaf (made again if only the graph still remembers it)."""
        leaf = self.leaf()
        if leaf is None:
            from minigrad._tensor import make

            leaf = make(self.data, self if self.enabled else None)
            leaf._cell, leaf._accumulator = self.cell, self
            self.leaf = weakref.ref(leaf)
        return leaf


AccumulateGrad.__module__ = "builtins"  # as torch shows the classes of nodes: without a module


class Saved:
    """A value kept for backward that is not an input as it stands (inputs are kept as their own tensors).

    `source` says how it becomes a tensor again: the number of the output it is, the tensor that it was cast from, or
    None for what is no tensor.
    """

    __slots__ = ("_data", "_writes", "source")

    def __init__(self, data: Any, writes: list[int] | None, source: int | Tensor | None) -> None:
        self._data = data
        self._writes = writes  # None of what nobody can write to
        self.source = source

    def unpack(self, node: Node) -> Tensor:
        """The saved value as a tensor in `node`'s graph."""
        from minigrad._tensor import Tensor, make

        if isinstance(self.source, Tensor):
            return self.source
        edge = None
        if self.source is not None and self._data.dtype.kind in "fc":
            copy = None if node._notes is None else node._notes.copy
            edge = edge_to(node, self.source) if copy is None else copy().view()
        tensor = make(self._data, edge)
        tensor._writes = self._writes
        return tensor


class Number(Saved):
    """A Python number among the operands, which the forward saw in the type of the others; `given` is the number."""

    __slots__ = ("given",)

    def __init__(self, data: Any, given: Any) -> None:
        super().__init__(data, None, None)
        self.given = given


class Packed:
    """A saved value that the user's hooks replaced (`saved_tensors_hooks`)."""

    __slots__ = ("edge", "packed", "unpack_hook")
    _writes = None  # the user keeps the value: nothing to check

    def __init__(
        self,
        saved: Tensor | Saved | Packed,
        node: Node,
        pack: Callable[..., Any],
        unpack: Callable[..., Any],
        detached: bool = False,
    ) -> None:
        tensor = saved.unpack(node)
        self.edge = tensor._edge
        before = version_of(tensor)
        with no_grad():
            self.packed, self.unpack_hook = pack(tensor.detach() if detached else tensor), unpack
        if version_of(tensor) != before:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook"
                " cannot be modified by in-place operations as this can lead to unexpected side-effects. Please open"
                " an issue if you need to perform in-place operations on the input to a pack hook."
            )

    @property
    def _data(self) -> Any:
        return self._unpacked()._data

    def _unpacked(self) -> Tensor:
        from minigrad._tensor import Tensor

        found = self.unpack_hook(self.packed)
        if not isinstance(found, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type"
                f" {type(found).__name__}"
            )
        return found

    def unpack(self, node: Node) -> Tensor:
        """The value as a tensor, at the place in the graph that the saved one had."""
        from minigrad._tensor import make

        return make(self._unpacked()._data, self.edge)


class SavedTensor:
    """One of the values that a node keeps, as torch shows it raw: hooks can be set on it."""

    __module__ = "torch._C._autograd"

    def __init__(self, node: Any, place: int) -> None:
        self._node = node
        self._place = place

    def register_hooks(self, pack_hook: Callable[..., Any], unpack_hook: Callable[..., Any]) -> None:
        """Keep `pack_hook(tensor)` instead of the value, and give `unpack_hook` of that to backward."""
        node, place = self._node, self._place
        if not (callable(pack_hook) and callable(unpack_hook)):
            raise TypeError(
                "register_hooks(): incompatible function arguments. The following argument types are supported:\n    1."
                " (self: torch._C._autograd.SavedTensor, arg0: collections.abc.Callable, arg1:"
                f" collections.abc.Callable) -> None\n\nInvoked with: {self!r}, {pack_hook!r}, {unpack_hook!r}"
            )
        if node._saved is None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor after it has been freed. Saved"
                " intermediate values of the graph"
                " are freed when you call .backward() or autograd.grad(). Specify retain_graph=True"
                " if you need to backward"
                " through the graph a second time or if you need to access saved variables after calling backward."
            )
        if node._saved[place] is None:
            raise RuntimeError("Calling register_hooks on a saved tensor with value None is forbidden")
        if isinstance(node._saved[place], Packed):
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint:"
                " only one pair of hooks"
                " is allowed at a time."
            )
        packed = Packed(node._saved[place], node, pack_hook, unpack_hook, detached=True)
        node._keep(
            [packed if i == place else each for i, each in enumerate(node._saved)],
            [0 if i == place else each for i, each in enumerate(node._versions_saved())],
        )
        node._make_notes().plain = False

    @property
    def data(self) -> Tensor:
        """The value that was saved, outside of the graph."""
        found: Tensor = self._node._saved[self._place].unpack(self._node).detach()
        return found

    def __repr__(self) -> str:
        return f"<torch._C._autograd.SavedTensor object at {id(self):#x}>"


def version_of(saved: Tensor | Saved | Packed) -> int:
    """How often the memory of a tensor, or of a saved value, was written to."""
    writes = saved._writes
    return 0 if writes is None else writes[0]


def stale_error(saved: Tensor | Saved | Packed, version: int, node: Node | None) -> RuntimeError:
    """The error for a value that was written to after `node` saved it."""
    from minigrad._dtype import from_numpy
    from minigrad._tensor import Tensor

    if isinstance(saved, Saved) and isinstance(saved.source, Tensor):
        saved = saved.source
    data = saved._data
    kind = from_numpy(data.dtype).legacy_name
    kind = f"CPU{kind}Type" if data.dtype.kind in "bc" else f"torch.{kind}Tensor"  # what has no old class of its own
    shape = ", ".join(map(str, data.shape))
    if isinstance(saved, Tensor):
        function, number = (saved.grad_fn, saved.output_nr)
    else:
        function, number = (node if data.dtype.kind in "fc" else None), getattr(saved, "source", None) or 0
    origin = ""
    if function is not None:
        name = function.name()
        origin = f", which is output {number} of {name.removesuffix('0').replace('Backward', '')},"
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation:"
        f" [{kind} [{shape}]]{origin} is at version {version_of(saved)}; expected version {version} instead."
        " Hint: "
        + (
            "the backtrace further above shows the operation that failed to compute its gradient. The variable in"
            " question was changed in there or anywhere later. Good luck!"
            if state.anomaly
            else "enable anomaly detection to find the operation that failed to compute its gradient, with"
            " torch.autograd.set_detect_anomaly(True, check_nan=False)."
        )
    )
