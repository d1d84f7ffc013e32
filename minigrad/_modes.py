"""Thread-local modes: whether operations are recorded, and how they are watched.

`state` is the only mutable global of minigrad, and as in torch it is one per thread.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from _thread import _local  # `threading`, which calls it local, takes a twentieth of the time to import minigrad
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from minigrad._text import type_name

RECORD, PLAIN, SPECIAL = range(3)


def _quiet() -> contextvars.Context:
    """A context in which numpy raises no floating-point warning (torch has none)."""
    quiet = contextvars.copy_context()
    quiet.run(np.seterr, all="ignore")
    return quiet


def _quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function(*args)` without such warnings."""
    return _quiet().run(function, *args, **kwargs)


class _State(_local):
    """What this thread's operations obey.

    `mode` sums it up for the fast paths: RECORD, PLAIN (no recording), or SPECIAL when something rarer is on.
    `run(f, *args)` is `_quietly(f, *args)` in a context that stands ready, which costs a tenth of `np.errstate`. A
    thread's first look makes it, and the collector may run somebody's code (a generator's end, under a mode) meanwhile:
    for that, the class has a `run` too.
    """

    run: Callable[..., Any] = staticmethod(_quietly)
    mode = RECORD
    fast: tuple[int, Callable[..., Any]] = (RECORD, _quietly)
    grad_enabled = True
    inference = False
    anomaly = False
    anomaly_check_nan = True
    multithreading = True
    transforms = 0  # how many of `func` are at work
    random_refused = False  # in `vmap`, unless it is told how
    saved_tensors_hooks: tuple[tuple[Callable[..., Any], Callable[..., Any]], ...] = ()
    saved_tensors_disabled: str | None = None
    dual: Any = None  # the open level of forward-mode differentiation
    backward_pass: Any = None  # the pass that runs now, where somebody's code could ask
    backward_node: Any = None  # the node whose backward runs now: the parent of what it creates

    def __init__(self) -> None:
        self.run = _quiet().run
        self.fast = (self.mode, self.run)  # both in one look-up

    def set_grad_enabled(self, enabled: bool) -> None:
        self.grad_enabled = enabled
        if self.mode != SPECIAL:
            self.mode = RECORD if enabled else PLAIN
            self.fast = (self.mode, self.run)

    def set(self, **changes: Any) -> None:
        self.__dict__.update(changes)
        special = (
            self.inference
            or self.anomaly
            or self.saved_tensors_hooks
            or self.saved_tensors_disabled
            or self.dual is not None
        )
        self.mode = SPECIAL if special else RECORD if self.grad_enabled else PLAIN
        self.fast = (self.mode, self.run)


state = _State()


class _Mode:
    """A context manager that is also a decorator, of functions and of generators (which leave the mode at each
    yield)."""

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *exc: object) -> None:
        raise NotImplementedError

    def clone(self) -> _Mode:
        return type(self)()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return context_decorator(self, function)


def context_decorator(mode: _Mode, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function or a generator that runs within a mode, made anew for each call."""
    if inspect.isclass(function):
        import warnings

        warnings.warn(
            "Decorating classes is deprecated and will be disabled in future versions. You should only decorate"
            " functions or methods. To preserve the current behavior of class decoration, you can directly"
            " decorate the `__init__` method and nothing else.",
            FutureWarning,
            stacklevel=2,
        )
        decorated = function
        function = lambda *args, **kwargs: decorated(*args, **kwargs)  # noqa: E731
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            inner = function(*args, **kwargs)
            step: Callable[..., Any] = inner.send
            value: Any = None
            while True:
                try:
                    with mode.clone():
                        produced = step(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, value = inner.send, (yield produced)
                except GeneratorExit:
                    with mode.clone():
                        inner.close()
                    raise
                except BaseException as error:  # the caller's throw() reaches the inner generator
                    step, value = inner.throw, error

        return generator

    @functools.wraps(function)
    def decorate_context(*args: Any, **kwargs: Any) -> Any:
        with mode.clone():
            return function(*args, **kwargs)

    return decorate_context


class _GradMode(_Mode):
    """Sets whether operations are recorded, and puts back what was."""

    mode: bool

    def __init__(self) -> None:
        self.previous = False

    def __enter__(self) -> None:
        self.previous = state.grad_enabled
        state.set_grad_enabled(self.mode)

    def __exit__(self, *exc: object) -> None:
        state.set_grad_enabled(self.previous)


class no_grad(_GradMode):
    """Operations inside are not recorded; as `torch.no_grad`."""

    mode = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)


class enable_grad(no_grad):
    """Operations inside are recorded, also within `no_grad`; as `torch.enable_grad`."""

    mode = True


class set_grad_enabled(_GradMode):
    """Sets recording at once, and until the end of the block when used as a context; as `torch.set_grad_enabled`."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type_name(mode)}")
        self.previous = state.grad_enabled
        self.mode = mode
        state.set_grad_enabled(mode)

    def __enter__(self) -> None:
        state.set_grad_enabled(self.mode)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        state.set_grad_enabled(self.previous)
        return super().__call__(function)

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__module__}.{type(self).__qualname__}(mode={self.mode})"


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded now."""
    return state.grad_enabled


class inference_mode(_Mode):
    """No recording and no version counting; tensors made inside can never be recorded. As `torch.inference_mode`."""

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        self = super().__new__(cls)
        if isinstance(mode, bool):
            return self
        self.__init__()  # type: ignore[misc]
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode
        self.previous = (False, False)

    def __enter__(self) -> None:
        self.previous = (state.inference, state.grad_enabled)
        state.set(inference=self.mode, grad_enabled=not self.mode)

    def __exit__(self, *exc: object) -> None:
        state.set(inference=self.previous[0], grad_enabled=self.previous[1])

    def clone(self) -> inference_mode:
        made: inference_mode = type(self)(self.mode)
        return made


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in inference mode now."""
    return state.inference


for _each in (no_grad, enable_grad, set_grad_enabled, inference_mode):
    _each.__module__ = "minigrad.autograd.grad_mode"  # where torch has them


class detect_anomaly:
    """Backward names the forward call of a failing node and, with `check_nan`, raises on nan; as torch's."""

    def __init__(self, check_nan: bool = True) -> None:
        import warnings

        self.check_nan = check_nan
        self.previous = (state.anomaly, state.anomaly_check_nan)
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for"
            " debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.previous = (state.anomaly, state.anomaly_check_nan)
        state.set(anomaly=True, anomaly_check_nan=self.check_nan)

    def __exit__(self, *exc: object) -> None:
        state.set(anomaly=self.previous[0], anomaly_check_nan=self.previous[1])


class set_detect_anomaly:
    """Sets anomaly mode at once, and until the end of the block when used as a context; as torch's."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        for place, (name, value) in enumerate({"enabled": mode, "check_nan": check_nan}.items(), 1):
            if not isinstance(value, bool):
                raise TypeError(
                    f"set_anomaly_enabled(): argument '{name}' (position {place}) must be bool, not {type_name(value)}"
                )
        self.previous = (state.anomaly, state.anomaly_check_nan)
        state.set(anomaly=mode, anomaly_check_nan=check_nan)

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None:
        state.set(anomaly=self.previous[0], anomaly_check_nan=self.previous[1])


class set_multithreading_enabled(_Mode):
    """Remembers what it is told and changes nothing: backward runs in the thread that calls it."""

    def __init__(self, mode: bool) -> None:
        self.previous = state.multithreading
        self.mode = mode
        state.multithreading = mode

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None:
        state.multithreading = self.previous

    def clone(self) -> set_multithreading_enabled:
        return set_multithreading_enabled(self.mode)


detect_anomaly.__module__ = set_detect_anomaly.__module__ = "minigrad.autograd.anomaly_mode"
set_multithreading_enabled.__module__ = "minigrad.autograd.grad_mode"


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on in this thread."""
    return state.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for nan in this thread."""
    return state.anomaly_check_nan


def is_multithreading_enabled() -> bool:
    """What `set_multithreading_enabled` was told."""
    return state.multithreading
