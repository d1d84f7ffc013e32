"""Modules that are imported when somebody asks for something of theirs: most programs use none of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def attributes(module: str, later: dict[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a module whose attributes `later` come from the modules that it names: of
    these the attribute of that name, or the module itself if it is what is named."""

    def get(name: str) -> Any:
        if name not in later:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        home = import_module(later[name])
        found = home if home.__name__ == f"{module}.{name}" else getattr(home, name)
        setattr(sys.modules[module], name, found)
        return found

    return get, lambda: sorted({*vars(sys.modules[module]), *later})
