"""Engines: what runs a program. torch is the reference; minigrad is the first engine under test.

`load` takes a registered name, `package.module:Attribute`, `./file.py:Attribute` (`./file.py` alone where it holds one
engine), or an object.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from conformance.engines import adapters
from conformance.engines.protocol import LEVELS, Engine, EngineError, Level, Unsupported

__all__ = [
    "GROUP",
    "LEVELS",
    "Engine",
    "EngineError",
    "Level",
    "Unsupported",
    "at_level",
    "find",
    "levels",
    "load",
    "names",
    "present",
]

#: Entry-point group in which a distribution registers engines by name.
GROUP = "conformance.engines"


def _torch() -> Engine:
    from conformance.engines.torchlike import Torch

    return Torch()


def _minigrad() -> Engine:
    from conformance.engines.torchlike import TorchLike

    return TorchLike(importlib.import_module("minigrad"))


_BUILT_IN: dict[str, Callable[[], Engine]] = {"minigrad": _minigrad, "torch": _torch}


def names() -> tuple[str, ...]:
    """Names of the registered engines."""
    return tuple(sorted({*_BUILT_IN, *adapters.ADAPTERS, *(point.name for point in entry_points(group=GROUP))}))


def present() -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the registered engines that can be loaded here, and why each other one cannot."""
    absent: dict[str, str] = {}
    for name in names():
        try:
            load(name)
        except EngineError as error:
            absent[name] = str(error).removeprefix(f"engine {name}: ")
    return tuple(name for name in names() if name not in absent), absent


def levels(engine: Engine) -> tuple[Level, ...]:
    """What random programs can ask of an engine, by the methods that it has: each level needs those of one or two.

    The level "corpus" is no matter of methods: it is for engines with a `module`, costs the same whatever the budget,
    and so has to be asked for.
    """
    needs: dict[Level, tuple[str, ...]] = {
        "value": ("apply",),
        "gradient": ("backward",),
        "higher": ("grad_of",),
        "behaviour": ("hook", "inplace", "flags"),
        "look": ("look",),
    }
    return tuple(
        level
        for level, methods in needs.items()
        if level in ("value", "gradient")
        or all(getattr(type(engine), method) is not getattr(Engine, method) for method in methods)
    )


def at_level(engine: Engine, level: Level) -> Engine:
    """The same engine, at which no deeper than the level is looked."""
    needs: tuple[tuple[str, Level], ...] = (("flags", "behaviour"), ("look", "look"))
    for name, needed in needs:
        if LEVELS.index(level) < LEVELS.index(needed):
            setattr(engine, name, lambda _: None)
    return engine


def load(spec: str | Engine | type[Engine] | ModuleType) -> Engine:
    """The engine that `spec` names, or that it is.

    A class is instantiated, and a module that mirrors torch (it has `autograd.Variable`) is adapted. Raises
    `EngineError` with one line when that is not possible.
    """
    if not isinstance(spec, str):
        return _as_engine(spec, getattr(spec, "__name__", type(spec).__name__))
    if spec in _BUILT_IN or spec in adapters.ADAPTERS:
        try:
            return _BUILT_IN[spec]() if spec in _BUILT_IN else adapters.load(spec)
        except EngineError:
            raise
        except (Exception, SystemExit) as error:
            raise EngineError(f"engine {spec}: cannot be loaded: {_line(error)}") from error
    for point in entry_points(group=GROUP):
        if point.name == spec:
            try:
                return _as_engine(point.load(), spec)
            except EngineError:
                raise
            except (Exception, SystemExit) as error:
                raise EngineError(f"engine {spec}: cannot be loaded: {_line(error)}") from error
    return _as_engine(find(spec), spec)


def find(spec: str) -> Any:
    """What `package.module:Attribute` or `./file.py:Attribute` names, as it stands there; raises `EngineError`.

    A file that defines one subclass of `Engine` may be given without the attribute.
    """
    home, colon, attribute = ("", "", "") if spec.endswith(".py") else spec.rpartition(":")
    if not colon and not spec.endswith(".py"):
        raise EngineError(
            f"engine {spec}: unknown; registered are {', '.join(names())}, "
            "or give package.module:Attribute or ./file.py:Attribute"
        )
    if not colon:
        return _only(_file(spec, spec), spec)
    module = _file(home, spec) if home.endswith(".py") else _module(home, spec)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise EngineError(f"engine {spec}: {home} has no {attribute}")
    return found


def _only(module: ModuleType, spec: str) -> type[Engine]:
    """The one engine class that a file defines."""
    classes = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Engine) and item.__module__ == module.__name__
    ]
    if len(classes) == 1:
        return classes[0]
    said = ", ".join(f"{spec}:{item.__name__}" for item in classes)
    if classes:
        raise EngineError(f"engine {spec}: holds several engines; say which: {said}")
    raise EngineError(f"engine {spec}: defines no subclass of conformance.Engine; `conformance init` writes an example")


def _importable(folder: Path) -> None:
    if (text := str(folder.resolve())) not in sys.path:
        sys.path.append(text)


def _module(name: str, spec: str) -> ModuleType:
    _importable(Path.cwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise EngineError(f"engine {spec}: {name} cannot be imported: {_line(error)}") from error


def _file(path: str, spec: str) -> ModuleType:
    file = Path(path)
    if not file.is_file():
        raise EngineError(f"engine {spec}: there is no file {path}")
    _importable(file.parent)  # what lies beside the file can be imported by it
    name = f"conformance_engine_{file.stem}"
    location = importlib.util.spec_from_file_location(name, file)
    if location is None or location.loader is None:
        raise EngineError(f"engine {spec}: {path} is not a Python file")
    module = importlib.util.module_from_spec(location)
    sys.modules[name] = module  # dataclasses and pickling look the module up
    try:
        location.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise EngineError(f"engine {spec}: {path} cannot be imported: {_line(error)}") from error
    return module


def _as_engine(found: Any, spec: str) -> Engine:
    if isinstance(found, Engine):
        return found
    if isinstance(found, ModuleType):
        if not hasattr(getattr(found, "autograd", None), "Variable"):
            raise EngineError(
                f"engine {spec}: module {found.__name__} has no autograd.Variable, so it is not torch-like"
            )
        from conformance.engines.torchlike import TorchLike

        return TorchLike(found)
    if lacking := sorted(getattr(found, "__abstractmethods__", ())):
        raise EngineError(
            f"engine {spec}: {found.__name__} lacks {', '.join(lacking)}; `conformance check` says what each has to do"
        )
    if callable(found):
        try:
            made = found()
        except (Exception, SystemExit) as error:
            raise EngineError(f"engine {spec}: cannot be created: {_line(error)}") from error
        if isinstance(made, Engine):
            return made
    raise EngineError(f"engine {spec}: is neither a conformance.Engine nor a torch-like module")


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        text = f"{error.msg} (line {error.lineno})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
