"""An engine that is torch with every gradient doubled, so that nearly every program differs."""

from __future__ import annotations

from typing import Any

from conformance.engines.torchlike import Torch


class Wrong(Torch):
    name = "wrong"

    def grad(self, value: Any) -> Any:
        found = super().grad(value)
        return None if found is None else found * 2
