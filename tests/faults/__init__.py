"""Engines with one planted fault each, by name, so that a test can hand them to whatever takes an engine's class.

The faults are those of `conformance.selftest`; `Planted` is for tests that want one of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from conformance.engines.torchlike import Torch
from conformance.selftest import faults, planting


class Planted(Torch):
    """torch with a fault in `call`."""

    def __init__(self) -> None:
        super().__init__()
        self.name = type(self).__name__

    def honest(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        return super().call(form, op, args, kwargs)


def bent(value: Any, backward: Callable[[Any], Any]) -> Any:
    """`value`, whose gradient passes through `backward`."""
    return planting.bent(torch, value, backward)


class Raises(Planted):
    """cumsum refuses 0-d values."""

    def call(self, form: str, op: str, args: Sequence[Any], kwargs: Any) -> Any:
        if op == "cumsum" and args[0].ndim == 0:
            raise IndexError("dimension out of range")
        return self.honest(form, op, args, kwargs)


#: Of the table of faults, one of each kind of what can be wrong, with the kind of the finding.
FAULTS = (
    ("wrong when reused: mul", "gradient"),
    ("unbroadcast: first row", "gradient"),
    ("accumulation: lost", "gradient"),
    ("wrong dtype", "dtype"),
    ("off by 1e-10 in float64", "gradient"),
    ("wrong at second order", "second-order gradient"),
    ("error for 0-d", "error"),
    ("zeros for None", "none"),
)


def first(beginning: str) -> faults.Fault:
    """The first fault whose name begins so."""
    return faults.chosen([beginning])[0]
