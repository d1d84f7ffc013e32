"""Engines that others wrote, and torch in other clothes: name, the package that each needs, and where its adapter is.

Nothing is imported before an engine is loaded; an engine whose package is missing is absent, not an error.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from conformance.engines.protocol import Engine, EngineError

#: Name of the engine: the package it needs, and its adapter's class.
ADAPTERS: dict[str, tuple[str, str]] = {
    "autograd": ("autograd", "hips_autograd:HipsAutograd"),
    "jax": ("jax", "jax:Jax"),
    "mlx": ("mlx", "mlx:Mlx"),
    "mygrad": ("mygrad", "mygrad:MyGrad"),
    "paddle": ("paddle", "paddle:Paddle"),
    "tensorflow": ("tensorflow", "tensorflow:TensorFlow"),
    "tinygrad": ("tinygrad", "tinygrad:TinyGrad"),
    "micrograd": ("micrograd", "micrograd:MicroGrad"),
    "torch:func": ("torch", "torch_transforms:Func"),
    "torch:forward": ("torch", "torch_transforms:Forward"),
    "torch:vmap": ("torch", "torch_transforms:Batched"),
    "torch:aot": ("torch", "torch_transforms:Traced"),
    "torch:compile": ("torch", "torch_transforms:Compiled"),
    "torch:float32": ("torch", "torch_devices:Float32"),
    "torch:cuda": ("torch", "torch_devices:Cuda"),
}

#: Engines that have to be asked for by name, each with the reason.
ON_REQUEST = {"torch:compile": "it takes some ten seconds to compile a program; name it to run it"}


def load(name: str) -> Engine:
    """The engine of this name. Raises `EngineError` when its package, or what it needs of the machine, is missing."""
    if reason := absent(name):
        raise EngineError(f"engine {name}: {reason}")
    module, _, attribute = ADAPTERS[name][1].partition(":")
    made: Engine = getattr(importlib.import_module(f"conformance.engines.adapters.{module}"), attribute)()
    return made


def absent(name: str) -> str:
    """Why an engine cannot be loaded, as one line; "" when its package is installed."""
    package = ADAPTERS[name][0]
    if find_spec(package) is None:
        return f"the package {package} is not installed; pip install 'minigrad-conformance[engines]'"
    return ""
