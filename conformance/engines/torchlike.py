"""The adapter for modules that mirror torch's API: torch itself, the reference, and minigrad."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy.typing as npt

from conformance.engines.protocol import Engine, Unsupported
from conformance.functions import FUNCTIONS

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "remainder": operator.mod,
    "matmul": operator.matmul,
    "neg": operator.neg,
    "abs": operator.abs,
    "__getitem__": operator.getitem,
    "__radd__": lambda value, number: number + value,
    "__rsub__": lambda value, number: number - value,
    "__rmul__": lambda value, number: number * value,
    "__rtruediv__": lambda value, number: number / value,
    "__rpow__": lambda value, number: number**value,
    "__rmod__": lambda value, number: number % value,
    "__rmatmul__": lambda value, other: type(value).__rmatmul__(other, value),
}


class TorchLike(Engine):
    """An engine whose module has torch's names: functions, methods of its tensors, `autograd.Variable`, `no_grad`."""

    def __init__(self, module: ModuleType, name: str | None = None) -> None:
        self._module = module
        self.module = module.__name__
        self.name = name or module.__name__
        self._variable = module.autograd.Variable
        self._from_numpy = module.from_numpy
        self._functions: dict[tuple[str, str], Callable[..., Any]] = {}

    @property
    def version(self) -> str:  # noqa: D102
        return str(getattr(self._module, "__version__", ""))

    def leaf(self, array: npt.NDArray[Any], requires_grad: bool) -> Any:  # noqa: D102
        return self._variable(self._from_numpy(array), requires_grad=requires_grad)

    def supports(self, op: str) -> bool:  # noqa: D102
        try:
            self._resolve("function", op)
        except Unsupported:
            return False
        return True

    def _resolve(self, form: str, op: str) -> Callable[..., Any]:
        function: Any
        if op in OPERATORS and (form == "operator" or op.startswith("__")):
            function = OPERATORS[op] if not op.startswith("__") or hasattr(self._module.Tensor, op) else None
        elif form == "attribute":
            function = operator.attrgetter(op) if hasattr(self._module.Tensor, op) else None
        elif form == "method" or not self._has(op):
            function = _method(op) if hasattr(self._module.Tensor, op) else None
        else:
            function = self._module
            for part in op.split("."):
                function = getattr(function, part)
        if function is None:
            raise Unsupported(f"{op} as a {form}")
        self._functions[form, op] = function
        return function  # type: ignore[no-any-return]

    def _has(self, op: str) -> bool:
        found: Any = self._module
        for part in op.split("."):
            found = getattr(found, part, None)
        return found is not None

    def apply(self, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: D102
        return self.call("function", op, args, kwargs)

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: D102
        function = self._functions.get((form, op)) or self._resolve(form, op)
        return function(*args, **kwargs)

    def custom(self, name: str, args: Sequence[Any]) -> Any:  # noqa: D102
        function = self._functions.get(("custom", name))
        if function is None:
            if not hasattr(self._module.autograd, "Function"):
                raise Unsupported("autograd.Function")
            function = self._functions["custom", name] = FUNCTIONS[name](self._module)
        return function(*args)

    def dtype(self, name: str) -> Any:  # noqa: D102
        return getattr(self._module, name)

    def backward(self, value: Any, gradient: Any) -> None:  # noqa: D102
        value.backward(gradient)

    def backward_all(  # noqa: D102
        self,
        roots: Sequence[Any],
        gradients: Sequence[Any],
        retain_graph: bool | None,
        create_graph: bool,
        inputs: Sequence[Any] | None,
    ) -> None:
        if len(roots) == 1:
            roots[0].backward(gradients[0], retain_graph=retain_graph, create_graph=create_graph, inputs=inputs)
        else:
            self._module.autograd.backward(
                list(roots), list(gradients), retain_graph=retain_graph, create_graph=create_graph, inputs=inputs
            )

    def grad_of(  # noqa: D102
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        gradients: Sequence[Any],
        retain_graph: bool | None,
        create_graph: bool,
        allow_unused: bool,
    ) -> Sequence[Any]:
        found: Sequence[Any] = self._module.autograd.grad(
            list(outputs),
            list(inputs),
            list(gradients),
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=allow_unused,
        )
        return found

    def inplace(self, op: str, target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: D102
        method = getattr(target, op, None)
        if method is None:
            raise Unsupported(op)
        method(*args, **kwargs)
        return target

    def detach(self, value: Any) -> Any:  # noqa: D102
        return value.detach()

    def grad_mode(self, mode: str) -> AbstractContextManager[Any]:  # noqa: D102
        context: AbstractContextManager[Any] = getattr(self._module, mode)()
        return context

    def hook(self, value: Any, kind: str, function: Callable[..., Any]) -> None:  # noqa: D102
        name = "register_hook" if kind == "tensor" else "register_post_accumulate_grad_hook"
        register = getattr(value, name, None)
        if register is None:
            raise Unsupported(name)
        getattr(value, "grad_fn", None)  # torch crashes if a hook is the first to ask for it after a write to the base
        register(function)

    def retain_grad(self, value: Any) -> None:  # noqa: D102
        value.retain_grad()

    def set_requires_grad(self, value: Any, requires_grad: bool) -> None:  # noqa: D102
        value.requires_grad_(requires_grad)

    def zero_grad(self, value: Any, to: str) -> None:  # noqa: D102
        if to == "none":
            value.grad = None
        elif value.grad is not None:
            value.grad.zero_()

    def grad(self, value: Any) -> Any:  # noqa: D102
        return value.grad

    def numpy(self, value: Any) -> npt.NDArray[Any]:  # noqa: D102
        array: npt.NDArray[Any] = value.numpy() if not value.requires_grad else value.detach().numpy()
        return array

    def flags(self, value: Any) -> tuple[bool, bool]:  # noqa: D102
        return value.requires_grad, value.is_leaf

    def every_warning(self) -> AbstractContextManager[object]:  # noqa: D102
        return _EveryWarning(self._module)

    def look(self, value: Any) -> tuple[str, int, bool | None]:  # noqa: D102
        node = value.grad_fn
        contiguous = value.is_contiguous() if value._is_view() else None
        return "" if node is None else node.name(), value._version, contiguous


class _EveryWarning:
    """A mode of torch's own, switched on."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __enter__(self) -> None:
        self._before = self._module.is_warn_always_enabled()
        self._module.set_warn_always(True)

    def __exit__(self, *_: object) -> None:
        self._module.set_warn_always(self._before)


class Torch(TorchLike):
    """The reference: torch on one thread."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        super().__init__(torch)

    def numpy(self, value: Any) -> npt.NDArray[Any]:
        """The numbers of a value. Gradients can be torch's ZeroTensors, which have no memory until they are copied: to
        read a part of one with `numpy(force=True)` ends the process."""
        array: npt.NDArray[Any] = (value.clone() if value._is_zerotensor() else value).numpy(force=True)
        return array


def _method(op: str) -> Callable[..., Any]:
    def call(value: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(value, op)(*args, **kwargs)

    return call
