"""A conformance suite for autograd engines: random programs, run by an engine and by torch, compared.

    import conformance
    report = conformance.check("minigrad", time=30)
    report.ok, report.findings
    report.raise_for_findings()
    report.to_html("report.html")

`check` runs the suite; `replay` runs one stored program or finding again; `load` reads a stored `results.json`, `merge`
puts several reports together, and `compare` says what has changed from one to another. Importing this package is light:
torch and Hypothesis are loaded when a check starts, and never for stored results.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from conformance.campaign import Progress, check, replay
    from conformance.changes import Changes
    from conformance.engines import Engine, EngineError, Unsupported
    from conformance.report import FindingsError, Report, compare, load, merge
    from conformance.results import Finding, Results, ResultsError

_HOME = {
    "check": "campaign",
    "replay": "campaign",
    "Progress": "campaign",
    "Changes": "changes",
    "Engine": "engines",
    "EngineError": "engines",
    "Unsupported": "engines",
    "FindingsError": "report",
    "Report": "report",
    "compare": "report",
    "load": "report",
    "merge": "report",
    "Finding": "results",
    "Results": "results",
    "ResultsError": "results",
}

__all__ = [
    "Changes",
    "Engine",
    "EngineError",
    "Finding",
    "FindingsError",
    "Progress",
    "Report",
    "Results",
    "ResultsError",
    "Unsupported",
    "check",
    "compare",
    "load",
    "merge",
    "replay",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"conformance.{_HOME[name]}"), name)
    raise AttributeError(f"module 'conformance' has no attribute {name!r}")


class _Package(ModuleType):
    """This package: what it offers by name stays what it is when a module of the same name is imported beneath it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):  # the import system binds each submodule here
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
