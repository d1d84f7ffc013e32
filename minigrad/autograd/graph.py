"""What users may do to the graph: hooks on saved tensors, on several tensors, on nodes; as `torch.autograd.graph`."""

from __future__ import annotations

import contextlib
import weakref
from _thread import allocate_lock
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from minigrad._graph import AccumulateGrad, Node
from minigrad._modes import state
from minigrad._tensor import Tensor
from minigrad._views import current_edge
from minigrad.utils.hooks import RemovableHandle

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:
    """Inside, each tensor saved for backward is replaced by `pack_hook(tensor)`, and comes back through
    `unpack_hook`."""

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.hooks = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        if not all(map(callable, self.hooks)):
            raise TypeError(
                "_push_saved_tensors_default_hooks(): incompatible function arguments. The following argument types are"
                " supported:\n    1. (arg0: collections.abc.Callable, arg1: collections.abc.Callable) -> None\n\n"
                f"Invoked with: {self.hooks[0]!r}, {self.hooks[1]!r}"
            )
        if state.saved_tensors_disabled is not None:
            raise RuntimeError(state.saved_tensors_disabled)
        state.set(saved_tensors_hooks=(*state.saved_tensors_hooks, self.hooks))

    def __exit__(self, *exc: object) -> None:
        state.set(saved_tensors_hooks=state.saved_tensors_hooks[:-1])


class save_on_cpu(saved_tensors_hooks):
    """Keeps copies of saved tensors (there is only one device here)."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cpu") -> None:
        super().__init__(lambda tensor: tensor.clone(), lambda packed: packed)


class _Copies:
    """The copies that `allow_mutation_on_saved_tensors` keeps, until it ends or they are cleared."""

    def __init__(self) -> None:
        self.kept: set[Tensor] = set()
        self.open = True

    def clear(self) -> None:
        """Forget all copies."""
        self.kept.clear()

    def pack(self, tensor: Tensor) -> Tensor:
        copy: Tensor = tensor.detach().clone()
        self.kept.add(copy)
        return copy

    def unpack(self, copy: Tensor) -> Tensor:
        if not self.open or copy not in self.kept:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' contextin which the graph was"
                " originally recorded."
            )
        return copy


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_Copies]:
    """Inside, tensors that backward needs may be written to: copies of them are saved."""
    if any(isinstance(getattr(pack, "__self__", None), _Copies) for pack, _ in state.saved_tensors_hooks):
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    copies = _Copies()
    with saved_tensors_hooks(copies.pack, copies.unpack):
        try:
            yield copies
        finally:
            copies.open = False
            copies.clear()


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, entering `saved_tensors_hooks` raises RuntimeError with this message."""
    if state.saved_tensors_hooks:
        raise RuntimeError(error_message)
    previous = state.saved_tensors_disabled
    state.set(saved_tensors_disabled=error_message)
    try:
        yield
    finally:
        state.set(saved_tensors_disabled=previous)


class GradientEdge(NamedTuple):
    """A place in the graph: what `autograd.grad` and `backward` take instead of a tensor."""

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge at which the gradient of `tensor` is computed; RuntimeError if it requires none."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    edge = current_edge(tensor)
    assert edge is not None
    return GradientEdge(edge._node._shown(), edge._number)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Count a write that was made behind autograd's back."""
    try:
        each_of = (tensor,) if isinstance(tensor, Tensor) else tuple(tensor)
    except TypeError:
        raise RuntimeError("increment_version expect a Iterable[Tensor] as input") from None
    for each in each_of:
        each._cell[0] += 1


class _MultiHandle:
    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for each in self.handles:
            each.remove()

    __enter__ = lambda self: self  # noqa: E731

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all") -> _MultiHandle:
    """Call `fn` once per backward: with all gradients when every tensor has its own, or (`mode="any"`) with the
    first."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = allocate_lock()
    passes: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()  # pass -> gradients still to come
    if not all(each.requires_grad for each in tensors):
        raise AssertionError("Expected gradient function to be set")
    nodes = [get_gradient_edge(each).node for each in tensors]
    leaves = any(isinstance(each, AccumulateGrad) for each in nodes)

    def inner(place: int) -> Callable[[Tensor], None]:
        def hook(grad: Tensor) -> None:
            current = state.backward_pass
            if mode == "all" and current.targets is not None and not current.accumulate and leaves:
                raise RuntimeError(
                    "A leaf node was passed to _will_engine_execute_node but we are currently running autograd.grad()."
                    " This is currently not supported."
                )
            with lock:
                first = current not in passes
                if first:
                    passes[current] = [sum(node in current.reachable for node in nodes), [None] * len(tensors)]
                entry = passes[current]
                entry[0] -= 1
                entry[1][place] = grad
            if mode == "any" and first:
                fn(grad)
            elif mode == "all" and entry[0] == 0:
                fn(entry[1])

        return hook

    return _MultiHandle([each.register_hook(inner(place)) for place, each in enumerate(tensors)])
