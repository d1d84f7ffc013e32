"""The recorded graph: nodes, the edges between them, and what they save.

An edge is `(node, number)`: the node that computes the gradient of something, and which of the node's outputs it is. A
tensor that requires grad holds its edge; a node holds one edge per input (`next`). So nodes point to older nodes, down
to the `AccumulateGrad` of each leaf, and nothing points back: no reference cycles.
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

Edge: TypeAlias = "tuple[Node, int]"
Meta: TypeAlias = "tuple[tuple[int, ...], np.dtype[Any]]"  # the shape and dtype that a gradient must have

# Decreasing numbers: a smaller one is younger. A node is younger than every node it points to, so visiting nodes in
# ascending order meets each after all that contributes to it; it is also the order in which torch visits them.
_sequence = itertools.count(0, -1)

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


class Node:
    """One recorded operation: how the gradients of its outputs become those of its inputs (torch's `Node`)."""

    hooks: Hooks | None = None
    trace: Any = None  # in anomaly mode: the stack of the forward call
    arrays: Any  # the calculus of first order; `_backward`, which knows the operations, sets it
    plain = False  # calls nobody's code, so that when a leaf's gradient is stored meanwhile cannot be observed

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Node:
            raise TypeError(
                "Can't instantiate abstract class Node with abstract methods _input_metadata, _register_hook_dict,"
                " _sequence_nr, metadata, name, next_functions, register_hook, register_prehook"
            )
        return object.__new__(cls)

    def __init__(self, next: Sequence[Edge | None], meta: tuple[Meta, ...]) -> None:
        self.sequence = _sequence.__next__()
        self.next = next
        self.meta = meta
        if state.anomaly:
            self.trace = _anomaly.capture(state.backward_node)

    def vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        """Gradients of the inputs, one per edge of `next` (None: undefined), from those of the outputs.

        `grads` is the gradient itself when the node has one output, else a list. `calculus` says whether they are
        arrays or tensors; `wanted`, unless None, holds the nodes that need a gradient.
        """
        raise NotImplementedError

    def first(self, grads: Any) -> Sequence[Any]:
        """The `vjp` of first order, on arrays, of all inputs: what a plain backward calls."""
        return self.vjp(grads, self.arrays, None)

    def release(self) -> None:
        """Free what was saved for backward."""

    def make_hooks(self) -> Hooks:
        """This node's hooks, made when the first is registered."""
        if self.hooks is None:
            self.hooks = Hooks()
        return self.hooks

    # -- what torch shows of a node ------------------------------------------------------------------------------

    def name(self) -> str:
        """Torch's name of the node, such as `MulBackward0`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes that this node hands gradients to, with the number of the output concerned."""
        return tuple((None, 0) if edge is None else edge for edge in self.next)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes on the node."""
        found: dict[str, Any] = self.__dict__.setdefault("_metadata", {})
        if self.trace is not None:
            found.setdefault("traceback_", self.trace.lines)
        return found

    @property
    def requires_grad(self) -> bool:
        """True, as of every node."""
        return True

    def __call__(self, *grads: Any) -> Any:
        """Call the node's backward by hand, recorded as the mode says; one gradient per output."""
        from minigrad._backward import Tensors

        self._check_count(grads)
        results = tuple(self.vjp(grads[0] if len(self.meta) == 1 else list(grads), Tensors, None))
        return results[0] if len(results) == 1 else results

    def _check_count(self, grads: Sequence[Any]) -> None:
        if len(grads) != len(self.meta):
            raise TypeError(f"expected {len(self.meta)} arguments, got {len(grads)} instead")

    def _sequence_nr(self) -> int:
        return -self.sequence

    @property
    def _input_metadata(self) -> tuple[_InputMetadata, ...]:
        return tuple(map(_InputMetadata, self.meta))

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(grad_inputs, grad_outputs)` after the node's backward; it may return other grad_inputs."""
        return RemovableHandle(self.make_hooks().post, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(grad_outputs)` before the node's backward; it may return other grad_outputs."""
        return RemovableHandle(self.make_hooks().pre, hook)

    def __dir__(self) -> list[str]:
        return sorted([*_SHOWN, *(each for each in object.__dir__(self) if each.startswith("__"))])

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {id(self):#x}>"


Node.__module__ = "minigrad.autograd.graph"  # where torch has it


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


_SHOWN: Final = (  # what torch shows of a node
    "_input_metadata", "_register_hook_dict", "_sequence_nr", "_set_sequence_nr", "metadata", "name", "next_functions",
    "register_hook", "register_prehook", "requires_grad",
)  # fmt: skip


class AccumulateGrad(Node):
    """The end of the graph at a leaf: owns the leaf's `.grad`, and adds to it what arrives.

    The leaf points here and not the other way round, so that dropping the last tensor frees everything at once.
    """

    plain = True

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __init__(self, leaf: Tensor) -> None:
        self.sequence = 1  # older than all
        self.next = ()
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
        self.meta = ((self.data.shape, self.data.dtype if wanted in ("own", None) else wanted.numpy),)

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), "variable"])

    @property
    def variable(self) -> Tensor:
        """The leaf (made again if only the graph still remembers it)."""
        leaf = self.leaf()
        if leaf is None:
            from minigrad._tensor import make

            leaf = make(self.data, (self, 0) if self.enabled else None)
            leaf._cell, leaf._accumulator = self.cell, self
            self.leaf = weakref.ref(leaf)
        return leaf


AccumulateGrad.__module__ = "builtins"  # as torch shows the classes of nodes: without a module


class Saved:
    """A value kept for backward that is not an input as it stands (inputs are kept as their own tensors).

    `source` says how it becomes a tensor again: the number of the output it is, the tensor that it was cast from, or
    None for a plain number.
    """

    __slots__ = ("_cell", "_data", "source")

    def __init__(self, data: Any, cell: list[int], source: int | Tensor | None) -> None:
        self._data = data
        self._cell = cell
        self.source = source

    def unpack(self, node: Node) -> Tensor:
        """The saved value as a tensor in `node`'s graph."""
        from minigrad._tensor import Tensor, make

        if isinstance(self.source, Tensor):
            return self.source
        recorded = isinstance(self.source, int) and self._data.dtype.kind in "fc"
        tensor = make(self._data, (node, self.source) if recorded else None)  # type: ignore[arg-type]
        tensor._cell = self._cell
        return tensor


class Packed:
    """A saved value that the user's hooks replaced (`saved_tensors_hooks`)."""

    __slots__ = ("edge", "packed", "unpack_hook")
    _cell = (0,)  # the user keeps the value: nothing to check

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
        before = tensor._cell[0]
        with no_grad():
            self.packed, self.unpack_hook = pack(tensor.detach() if detached else tensor), unpack
        if tensor._cell[0] != before:
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
        if node.saved is None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor after it has been freed. Saved"
                " intermediate values of the graph"
                " are freed when you call .backward() or autograd.grad(). Specify retain_graph=True"
                " if you need to backward"
                " through the graph a second time or if you need to access saved variables after calling backward."
            )
        if node.saved[place] is None:
            raise RuntimeError("Calling register_hooks on a saved tensor with value None is forbidden")
        if isinstance(node.saved[place], Packed):
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint:"
                " only one pair of hooks"
                " is allowed at a time."
            )
        packed = Packed(node.saved[place], node, pack_hook, unpack_hook, detached=True)
        node.saved = [packed if i == place else each for i, each in enumerate(node.saved)]
        node.versions = [0 if i == place else each for i, each in enumerate(node.versions)]
        node.plain = False

    @property
    def data(self) -> Tensor:
        """The value that was saved, outside of the graph."""
        found: Tensor = self._node.saved[self._place].unpack(self._node).detach()
        return found

    def __repr__(self) -> str:
        return f"<torch._C._autograd.SavedTensor object at {id(self):#x}>"


def stale_error(saved: Tensor | Saved | Packed, version: int, node: Node | None) -> RuntimeError:
    """The error for a value that was written to after `node` saved it."""
    from minigrad._dtype import from_numpy
    from minigrad._tensor import Tensor

    data = saved._data
    kind = from_numpy(data.dtype).legacy_name
    kind = f"CPU{kind}Type" if data.dtype.kind in "bc" else f"torch.{kind}Tensor"  # what has no old class of its own
    shape = ", ".join(map(str, data.shape))
    if isinstance(saved, Saved) and isinstance(saved.source, Tensor):
        saved = saved.source
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
        f" [{kind} [{shape}]]{origin} is at version {saved._cell[0]}; expected version {version} instead."
        " Hint: "
        + (
            "the backtrace further above shows the operation that failed to compute its gradient. The variable in"
            " question was changed in there or anywhere later. Good luck!"
            if state.anomaly
            else "enable anomaly detection to find the operation that failed to compute its gradient, with"
            " torch.autograd.set_detect_anomaly(True, check_nan=False)."
        )
    )
