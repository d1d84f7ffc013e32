"""The autograds that are measured, each driven as its documentation says. Those not installed are left out."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any

from tests.benchmarks.cases import Case

Step = Callable[[], Any]  # forward and backward once; returns the gradients


class Torchlike:
    """torch, and minigrad, which is driven by the same code."""

    def __init__(self, name: str) -> None:
        self.name, self.module = name, importlib.import_module(name)
        self.version = getattr(self.module, "__version__", "")
        if name == "torch":
            self.module.set_num_threads(1)

    def step(self, case: Case) -> Step:
        module, function = self.module, case.torchlike
        constants = [module.from_numpy(each) for each in case.constants()]
        leaves = [module.from_numpy(each.copy()).requires_grad_() for each in case.leaves()]

        def first() -> Any:
            for each in leaves:
                each.grad = None
            function(module, *constants, *leaves).backward()
            return [each.grad for each in leaves]

        def second() -> Any:
            for each in leaves:
                each.grad = None
            result = function(module, *constants, *leaves)
            slopes = module.autograd.grad(result, leaves, create_graph=True)
            slopes[0].sum().backward()
            return [each.grad for each in leaves]

        return first if case.order == 1 else second


class Functional:
    """HIPS autograd and jax: a transformation of functions makes the gradient. jax runs eagerly, as the others do."""

    def __init__(self, name: str, numpy: str) -> None:
        self.name, self.numpy = name, importlib.import_module(numpy)
        self.module = importlib.import_module(name)
        self.version = getattr(self.module, "__version__", "")
        if name == "jax":
            self.module.config.update("jax_enable_x64", True)

    def step(self, case: Case) -> Step | None:
        if case.numpylike is None or case.long:
            return None
        grad, numpy, function = self.module.grad, self.numpy, case.numpylike
        constants = [numpy.asarray(each) for each in case.constants()]
        leaves = [numpy.asarray(each) for each in case.leaves()]
        places = list(range(len(leaves)))

        def value(*given: Any) -> Any:
            return function(numpy, *constants, *given)

        wait = getattr(self.module, "block_until_ready", lambda found: found)
        if case.order == 1:
            made = grad(value, places)
        else:
            first = grad(value, places)
            made = grad(lambda *given: numpy.sum(first(*given)[0]), places)
        return lambda: wait(made(*leaves))


class Mygrad:
    """mygrad: tensors that remember, and numpy's function names."""

    def __init__(self) -> None:
        self.name, self.module = "mygrad", importlib.import_module("mygrad")
        self.version = self.module.__version__

    def step(self, case: Case) -> Step | None:
        if case.numpylike is None or case.long or case.order > 1 or "solve" in case.name:
            return None
        module, function = self.module, case.numpylike
        constants, leaves = case.constants(), [module.tensor(each) for each in case.leaves()]

        def first() -> Any:
            for each in leaves:
                each.null_grad()
            function(module, *constants, *leaves).backward()
            return [each.grad for each in leaves]

        return first


Engine = Torchlike | Functional | Mygrad

OTHERS: dict[str, Callable[[], Engine]] = {
    "autograd": lambda: Functional("autograd", "autograd.numpy"),
    "mygrad": Mygrad,
    "jax": lambda: Functional("jax", "jax.numpy"),
}


def installed() -> list[Engine]:
    """minigrad and torch, then whichever others can be imported."""
    found: list[Engine] = [Torchlike("minigrad"), Torchlike("torch")]
    for name, make in OTHERS.items():
        try:
            found.append(make())
        except ImportError as error:
            print(f"{name} is not measured: {error}", file=sys.stderr)
    gc.collect()
    gc.freeze()  # what the garbage collector costs should not depend on how much was imported
    return found
