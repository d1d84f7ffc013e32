"""A conformance suite for autograd engines: random programs, run by an engine and by torch, compared.

    import conformance
    report = conformance.check("minigrad", time=30)
    report.ok, report.findings
    report.to_html("report.html")

`check` runs the suite, `replay` runs one stored program or finding again. Importing this package is light: torch and
Hypothesis are loaded when a check starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from conformance.campaign import Progress, Report, check, replay
    from conformance.engines import Engine, EngineError, Unsupported

_HOME = {
    "check": "campaign",
    "replay": "campaign",
    "Report": "campaign",
    "Progress": "campaign",
    "Engine": "engines",
    "EngineError": "engines",
    "Unsupported": "engines",
}

__all__ = ["Engine", "EngineError", "Progress", "Report", "Unsupported", "check", "replay"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"conformance.{_HOME[name]}"), name)
    raise AttributeError(f"module 'conformance' has no attribute {name!r}")
