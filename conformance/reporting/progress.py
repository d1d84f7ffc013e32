"""Progress of a run: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import IO, TYPE_CHECKING, Protocol

from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bars

from conformance.reporting.console import console

if TYPE_CHECKING:
    from conformance.campaign import Progress

EVERY = 5.0  # seconds between plain lines
FOUND = 1.0  # seconds between those that tell of something new
PHASES = {
    "start": "loading",
    "cells": "each operation with each feature",
    "pairs": "pairs of operations",
    "free": "longer programs",
    "reduce": "reducing what was found",
    "corpus": "the behaviour corpus",
    "done": "done",
}


class Show(Protocol):
    """What the campaign calls as it goes."""

    def __call__(self, progress: Progress) -> None:
        """Show how far the run is."""


@contextmanager
def progress_on(stream: IO[str], label: str = "") -> Iterator[Show]:
    """Show progress on `stream` while the block runs, each line led by `label`; the live line is gone when it ends."""
    lead = f"{label}: " if label else ""
    out = console(stream)
    if not out.is_terminal:
        yield _plain(stream, lead)
        return
    bars = Bars(SpinnerColumn(), BarColumn(24), TextColumn("{task.description}"), console=out, transient=True)
    task = bars.add_task("loading", total=1.0)
    with bars:
        yield lambda progress: bars.update(
            task, completed=progress.done, total=progress.total, description=lead + line(progress)
        )


def line(progress: Progress) -> str:
    """One line: what was done, how fast, what was found, how much is left, and what is being searched."""
    left = max(0.0, progress.total - progress.done)
    remaining = f"{left:.0f} s" if progress.unit == "seconds" else f"{left:,.0f} programs"
    found = f"{progress.findings} finding{'' if progress.findings == 1 else 's'}"
    return (
        f"{progress.programs:,} programs, {progress.rate:,.0f}/s, {found}, {remaining} left: {PHASES[progress.phase]}"
    )


def _plain(stream: IO[str], lead: str) -> Show:
    """A line at the start, at the end, whenever something is found, and every few seconds."""
    due = 0.0
    findings = 0

    def show(progress: Progress) -> None:
        nonlocal due, findings
        now = monotonic()
        wait = due - (EVERY - FOUND if progress.findings != findings else 0.0)
        if now < wait and progress.phase != "done":
            return
        due, findings = now + EVERY, progress.findings
        stream.write(f"{lead}{line(progress)}\n")
        stream.flush()

    return show
