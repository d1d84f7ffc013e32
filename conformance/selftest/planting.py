"""How a fault gets into an engine: a method of the engine is replaced by one that does nearly the same.

A fault of a rule is planted in front of the rule: the operands go through an identity whose gradient is bent, so that
the rule's gradients come out wrong while its values, its node and its memory are as they were. Any engine with torch's
names can be planted with, since all that is needed of it is `autograd.Function`.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from conformance.engines import Engine, EngineError
from conformance.engines.torchlike import TorchLike


class Use(NamedTuple):
    """One operand of one application: number `place` among the floating operands `among`, which holds `value`."""

    module: Any
    form: str
    op: str
    args: Sequence[Any]
    place: int
    value: Any
    among: Sequence[Any]


#: Methods of an engine by name, in the place of the honest ones.
Methods: TypeAlias = dict[str, Callable[..., Any]]
#: What becomes of a gradient on its way out of a rule.
Change: TypeAlias = Callable[[Any, Use], Any]
#: Whether the fault is at work in this use.
When: TypeAlias = Callable[[Use], bool]


def planted(engine: Engine, methods: Callable[[Any], Methods]) -> Engine:
    """A copy of the engine with these methods in the place of its own."""
    made = copy.copy(engine)
    for name, method in methods(engine).items():
        setattr(made, name, method)
    return made


def require_plantable(engine: Engine) -> None:
    """Raise `EngineError` unless faults can be planted into the engine."""
    if not (isinstance(engine, TorchLike) and hasattr(module(engine).autograd, "Function")):
        raise EngineError(
            f"engine {engine.name}: faults can be planted only into engines with torch's names and autograd.Function, "
            "such as torch and minigrad"
        )


def module(engine: Any) -> Any:
    """The module with torch's names that the engine runs on."""
    return importlib.import_module(engine.module)


@cache
def _identity(name: str) -> Any:
    """A function of the module: the same value in the same memory, whose gradient is passed through a function."""
    torch = importlib.import_module(name)

    class Bent(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, value: Any, change: Callable[[Any], Any], shape: Any, copied: bool) -> Any:
            ctx.change = change
            if shape is not None:
                return value.detach().expand(shape).clone()
            return value.detach().clone() if copied else value.detach()

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return ctx.change(grads[0]), None, None, None

    return Bent.apply


def bent(torch: Any, value: Any, change: Callable[[Any], Any], shape: Any = None, *, copied: bool = False) -> Any:
    """`value` (expanded to `shape`, or `copied` to memory of its own), whose gradient goes through `change`."""
    return _identity(torch.__name__)(value, change, shape, copied)


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor of any module with torch's names."""
    return hasattr(value, "requires_grad")


def is_floating(value: Any) -> bool:
    """Whether this is a floating tensor."""
    return is_tensor(value) and value.is_floating_point()


def replaced(args: Sequence[Any], function: Callable[[Any], Any]) -> list[Any]:
    """The arguments with each tensor, also inside of sequences, replaced."""
    return [
        type(a)(replaced(a, function)) if isinstance(a, (tuple, list)) else function(a) if is_tensor(a) else a
        for a in args
    ]


def tensors(args: Sequence[Any]) -> list[Any]:
    """The tensors among arguments, also inside of sequences."""
    found: list[Any] = []
    for a in args:
        found += tensors(a) if isinstance(a, (tuple, list)) else [a] if is_tensor(a) else []
    return found


def always(_: Use) -> bool:
    """At work in every use."""
    return True


def on_operands(
    engine: Any, operations: Sequence[str], treat: Callable[[Use], Any], when: When = always, place: int | None = None
) -> Methods:
    """`call` with `treat(use)` in the place of each floating operand (or of the one at `place`) of the operations."""
    honest, torch = engine.call, module(engine)
    affected = frozenset(operations)

    def call(form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if op in affected:
            among = [a for a in tensors(args) if is_floating(a)]
            number = -1

            def treated(value: Any) -> Any:
                nonlocal number
                if not is_floating(value):
                    return value
                number += 1
                use = Use(torch, form, op, args, number, value, among)
                return treat(use) if place in (None, number) and when(use) else value

            args = replaced(args, treated)
        return honest(form, op, args, kwargs)

    return {"call": call}


def on_gradients(
    engine: Any, operations: Sequence[str], change: Change, when: When = always, place: int | None = None
) -> Methods:
    """`call` whose rules for the operations have their gradients bent."""

    def treat(use: Use) -> Any:
        return bent(use.module, use.value, lambda g: change(g, use)) if use.value.requires_grad else use.value

    return on_operands(engine, operations, treat, when, place)


def on_results(
    engine: Any,
    operations: Sequence[str],
    treat: Callable[[Any, Any], Any],
    when: Callable[[str, str, Sequence[Any], Mapping[str, Any]], bool] = lambda *_: True,
) -> Methods:
    """`call` whose floating results of the operations are passed through `treat(module, result)`."""
    honest, torch = engine.call, module(engine)
    affected = frozenset(operations)

    def call(form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        made = honest(form, op, args, kwargs)
        if op not in affected or not when(form, op, args, kwargs):
            return made
        if isinstance(made, (tuple, list)):
            return tuple(treat(torch, part) if is_floating(part) else part for part in made)
        return treat(torch, made) if is_floating(made) else made

    return {"call": call}


def overwrite(value: Any, factor: float) -> None:
    """Scale the numbers of a value in its own memory, unseen by the engine."""
    data = value.detach().numpy()
    data *= data.dtype.type(factor)


def set_version(value: Any, version: int) -> None:
    """Set the counter that in-place changes of a value are counted by."""
    cell = getattr(value, "_cell", None)
    if cell is not None:
        cell[0] = version
    else:
        import torch

        torch._C._autograd._unsafe_set_version_counter((value,), (version,))
