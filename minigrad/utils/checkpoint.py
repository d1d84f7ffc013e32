"""Forget what a part of a forward pass saves, and compute it again for backward; as `torch.utils.checkpoint`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from minigrad._modes import enable_grad
from minigrad._random import get_rng_state, set_rng_state
from minigrad._tensor import Tensor
from minigrad.autograd import backward
from minigrad.autograd.function import Function
from minigrad.autograd.graph import saved_tensors_hooks

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential"]


class CheckpointError(RuntimeError):
    """What was computed again is not what was computed at first."""

    __module__ = "torch.utils.checkpoint"


class CheckpointFunction(Function):
    """The form of before saved-tensor hooks: a node of its own, whose backward runs the function, and its backward."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], state: Any, *args: Any) -> Any:
        ctx.function, ctx.state = function, state
        ctx.places = [place for place, each in enumerate(args) if isinstance(each, Tensor)]
        ctx.args = [None if isinstance(each, Tensor) else each for each in args]
        ctx.save_for_backward(*(args[place] for place in ctx.places))
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        args = list(ctx.args)
        for place, each in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = each.detach().requires_grad_(each.requires_grad)
        with enable_grad(), _random_state(ctx.state):
            found = ctx.function(*args)
        outputs = found if isinstance(found, tuple) else (found,)
        pairs = [
            (each, grad) for each, grad in zip(outputs, grads, strict=True)
            if isinstance(each, Tensor) and each.requires_grad
        ]  # fmt: skip
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([each for each, _ in pairs], [grad for _, grad in pairs])
        return None, None, *(each.grad if isinstance(each, Tensor) else None for each in args)


class _random_state(AbstractContextManager[None]):
    """The default generator as it was, for a block; `None` leaves it alone."""

    def __init__(self, state: Tensor | None) -> None:
        self.state = state

    def __enter__(self) -> None:
        if self.state is not None:
            self.before = get_rng_state()
            set_rng_state(self.state)

    def __exit__(self, *exc: object) -> None:
        if self.state is not None:
            set_rng_state(self.before)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = lambda: (nullcontext(), nullcontext()),
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, of which backward keeps the arguments alone and computes the rest again.

    As torch's, in both forms: `use_reentrant=True` makes a node of its own and leaves keyword arguments out, `False`
    keeps the graph as it is. CheckpointError where the second computation saves something else.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in PyTorch 2.9,"
            " calling checkpoint without use_reentrant will raise an exception. use_reentrant=False is recommended, but"
            " if you need to preserve the current default behavior, you can pass use_reentrant=True. Refer to docs for"
            " more details on the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    state = get_rng_state() if preserve_rng_state else None
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if not any(isinstance(each, Tensor) and each.requires_grad for each in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
        return CheckpointFunction.apply(function, state, *args)
    around_forward, around_again = context_fn()
    frame = _Frame(lambda: function(*args, **kwargs), state, around_again)
    with saved_tensors_hooks(frame.pack, frame.unpack), around_forward:
        return function(*args, **kwargs)


class _Frame:
    """What one checkpointed call saved: numbers at first, then the tensors that a second call saves in their places."""

    def __init__(self, again: Callable[[], Any], state: Tensor | None, around: Any) -> None:
        self.again, self.state, self.around = again, state, around
        self.kinds: list[Any] = []
        self.found: list[Tensor] = []

    def pack(self, tensor: Tensor) -> int:
        self.kinds.append((tensor.shape, tensor.dtype))
        return len(self.kinds) - 1

    def unpack(self, place: int) -> Tensor:
        if not self.found:
            found: list[Tensor] = []
            collect = saved_tensors_hooks(lambda each: found.append(each.detach()), lambda packed: packed)
            with enable_grad(), _random_state(self.state), self.around, collect:
                self.again()
            if [(each.shape, each.dtype) for each in found[: len(self.kinds)]] != self.kinds:
                raise CheckpointError(
                    "torch.utils.checkpoint: A different number of tensors was saved during the original forward and"
                    f" recomputation.\nNumber of tensors saved during forward: {len(self.kinds)}\nNumber of tensors"
                    f" saved during recomputation: {len(found)}."
                )
            self.found = found
        return self.found[place]


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Call functions one after the other, each but the last of `segments` groups of them as a checkpoint."""
    listed = list(functions)
    size = len(listed) // segments

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def forward(value: Any) -> Any:
            for each in listed[start:end]:
                value = each(value)
            return value

        return forward

    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(run(start, end), input, use_reentrant=use_reentrant, **kwargs)
    return run(end, len(listed))(input)
