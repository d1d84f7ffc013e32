"""Engines that are torch, but for `tanh`: it ends the process, never ends, or takes all the memory there is."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from conformance.engines.torchlike import Torch


class Few(Torch):
    """Torch with a handful of operations, so that little has to be run to try them all."""

    name = "few"

    def supports(self, op: str) -> bool:
        return op in {"add", "mul", "sin", "tanh", "sum", "square"}

    def call(self, form: str, op: str, args: Any, kwargs: Any) -> Any:
        if op == "tanh":
            self.spoil()
        return super().call(form, op, args, kwargs)

    def spoil(self) -> None:
        """Do nothing."""


class Leaves(Few):
    name = "leaves"

    def spoil(self) -> None:
        os._exit(0)


class Segfaults(Few):
    name = "segfaults"

    def spoil(self) -> None:
        ctypes.string_at(0)


class Loops(Few):
    name = "loops"

    def spoil(self) -> None:
        while True:
            pass


class Eats(Few):
    name = "eats"

    def spoil(self) -> None:
        eaten = []
        while True:
            eaten.append(bytearray(64 << 20))
