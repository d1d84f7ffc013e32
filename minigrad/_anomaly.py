"""The forward traces that anomaly mode keeps and prints."""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any


class Trace:
    """The stack of a forward call, and the node in whose backward it was made (under create_graph)."""

    def __init__(self, lines: list[str], parent: Any) -> None:
        self.lines, self.parent = lines, parent


def capture(parent: Any) -> Trace:
    """The stack that led here, up to where minigrad was called."""
    import traceback  # costs a twentieth of the time to import minigrad, for what is rare

    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "minigrad":
        frame = frame.f_back
    return Trace(traceback.format_list(traceback.extract_stack(frame)), parent)


def warn(node: Any) -> None:
    """Say where the forward call of `node` stands, and that of the nodes it comes from."""
    name, trace = node.name(), node._trace
    if trace is None:
        warnings.warn(
            f"Error detected in {name}. No forward pass information available. Enable detect anomaly during forward"
            " pass for more information.",
            stacklevel=3,
        )
        return
    warnings.warn(
        f"Error detected in {name}. Traceback of forward call that caused the error:\n{''.join(trace.lines)}",
        stacklevel=3,
    )
    while trace is not None and trace.parent is not None:
        parent = trace.parent
        trace = parent._trace
        warnings.warn(
            f"\n\nPrevious calculation was induced by {parent.name()}. "
            + (
                "Traceback of forward call that induced the previous calculation:\n" + "".join(trace.lines)
                if trace is not None
                else "No forward pass information available."
            ),
            stacklevel=3,
        )
