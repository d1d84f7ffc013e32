"""Writes `minigrad/_signatures.py` from torch's own declarations: `python -m tests.signatures`.

Torch generates its argument parsers from `native_functions.yaml` by code that the installed package holds as well; this
asks it for the signatures of what minigrad has and torch has in C. What torch writes in Python has Python's own errors.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import BuiltinFunctionType
from typing import Any

import torch
import torchgen

import minigrad
from minigrad import _signatures
from minigrad._declare import PUBLIC

PACKAGED = Path(torchgen.__file__).with_name("packaged")
KINDS = (  # torch's types in declarations, and the shorter names that `minigrad._parser` has for them
    (r"c10::List<::std::optional<Tensor>>|TensorList(\[\d+\])?", "Tensors"), (r"SymIntArrayRef|IntArrayRef", "ints"),
    (r"\b(int64_t|SymInt|DeviceIndex)\b", "int"), ("c10::string_view", "str"), (r"ArrayRef<double>", "floats"),
    (r"\bdouble\b", "float"), (r"\bScalarType\b", "dtype"), (r"\bScalarList\b", "Numbers"), (r"\bScalar\b", "Number"),
    (r"\bLayout\b", "layout"), (r"\bDevice\b", "device"), (r"\bMemoryFormat\b", "memory_format"),
)  # fmt: skip
WRITTEN_BY_HAND = (  # in torch too
    ".to(device device=None, dtype dtype=None, bool non_blocking=False, bool copy=False, *, mem"
    "ory_format? memory_format=None)",
    ".to(dtype dtype, bool non_blocking=False, bool copy=False, *, memory_format? memory_format=None)",
    ".to(Tensor tensor, bool non_blocking=False, bool copy=False, *, memory_format? memory_format=None)",
    ".contiguous(*, memory_format memory_format=torch.contiguous_format)",
    "tensor(object data, *, dtype? dtype=None, device? device=None, bool pin_memory=False, bool requires_grad=False)",
    "range(Number start, Number end, Number step=1, *, Tensor out=None, dtype? dtype=None, layout? layout=torch.strided"
    ", device? device=None, bool requires_grad=False)",
)
HEADER = '''"""The signatures of torch's functions, and after a dot of its methods, as its argument parser reads them.

Written from torch's own declarations by `python -m tests.signatures`; `_parser` reads them.
"""
# ruff: noqa: E501

SIGNATURES = """
'''


def declared() -> Callable[..., dict[str, list[str]]]:
    """A function that gives the signatures of one of torch's C modules: of its methods, of those that a test picks."""
    sys.path.insert(0, str(PACKAGED))
    from autograd import gen_python_functions as made  # type: ignore[import-not-found]
    from torchgen.gen import parse_native_yaml

    native = PACKAGED / "ATen/native"
    functions = parse_native_yaml(str(native / "native_functions.yaml"), str(native / "tags.yaml")).native_functions
    functions = [each for each in functions if made.should_generate_py_binding(each)]

    def signatures(method: bool, kind: str) -> dict[str, list[str]]:
        old = str(PACKAGED / "autograd/deprecated.yaml")
        overloads: dict[str, list[Any]] = {}
        for pair in made.load_signatures(functions, old, method=method):
            if getattr(made, f"is_py_{kind}")(pair.function):
                overloads.setdefault(str(pair.function.func.name.name), []).append(pair)
        return {
            name: [
                shortened(each.signature.signature_str(skip_outputs=each.outplace is None, symint=True))
                for each in made.group_overloads(pairs, symint=True)
            ]
            for name, pairs in overloads.items()
        }

    return signatures


def shortened(signature: str) -> str:
    """A signature without its name, with the shorter names of types."""
    inside = signature[signature.index("(") :]
    for theirs, ours in KINDS:
        inside = re.sub(theirs, ours, inside)
    return inside


def lines() -> Iterator[str]:
    """Every line of the table."""
    signatures = declared()
    yield from WRITTEN_BY_HAND
    plain, layers = signatures(False, "torch_function"), signatures(False, "nn_function")
    for name in sorted({*dir(minigrad), *PUBLIC}):
        if name in plain and isinstance(getattr(torch, name, None), BuiltinFunctionType):
            yield from (name + each for each in plain[name])
    modules = {
        "linalg": {f"linalg.{name[7:]}": each for name, each in signatures(False, "linalg_function").items()},
        "special": {f"special.{name[8:]}": each for name, each in signatures(False, "special_function").items()},
        "nn.functional": {f"nn.functional.{name}": each for name, each in {**plain, **layers}.items()},
    }
    for name in sorted(PUBLIC):
        module, _, last = name.rpartition(".")
        in_c = module != "nn.functional" or isinstance(getattr(torch.nn.functional, last, None), BuiltinFunctionType)
        if in_c or last == "pad":  # whose Python hands on what it is given
            yield from (name + each for each in modules.get(module, {}).get(name, ()))
    for name, found in sorted(signatures(True, "variable_method").items()):
        in_c = type(getattr(torch.Tensor, name, None)).__name__ == "method_descriptor"
        if in_c and not name.startswith("__") and hasattr(minigrad.Tensor, name) and found != ["()"]:
            yield from (f".{name}{each}" for each in found)


def module() -> str:
    """The module's text."""
    return HEADER + "\n".join(lines()) + '\n"""\n'


if __name__ == "__main__":
    Path(_signatures.__file__).write_text(module(), "utf-8")
