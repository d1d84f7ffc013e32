"""Progress of a run: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Protocol

from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bars

from conformance.reporting.console import console

if TYPE_CHECKING:
    from conformance.campaign import Progress

EVERY = 5.0  # seconds between plain lines


class Show(Protocol):
    """What the campaign calls as it goes."""

    def __call__(self, progress: Progress) -> None:
        """Show how far the run is."""


@contextmanager
def progress_on(stream: IO[str]) -> Iterator[Show]:
    """Show progress on `stream` while the block runs; the live line is gone when it ends."""
    out = console(stream)
    if not out.is_terminal:
        yield _plain(stream)
        return
    bars = Bars(SpinnerColumn(), BarColumn(24), TextColumn("{task.description}"), console=out, transient=True)
    task = bars.add_task("starting", total=1.0)

    def show(progress: Progress) -> None:
        bars.update(task, completed=progress.fraction, description=line(progress))

    with bars:
        yield show


def line(progress: Progress) -> str:
    """One line: what was done, how fast, what is being searched, and the time left."""
    rate = progress.programs / progress.elapsed if progress.elapsed else 0.0
    left = progress.elapsed * (1 / progress.fraction - 1) if progress.fraction else 0.0
    found = f"{progress.findings} finding{'' if progress.findings == 1 else 's'}"
    return (
        f"{progress.engine}: {progress.programs:,} programs, {rate:,.0f}/s, {found}, {left:.0f} s left, "
        f"now {progress.searching}"
    )


def _plain(stream: IO[str]) -> Show:
    due = 0.0
    findings = 0

    def show(progress: Progress) -> None:
        nonlocal due, findings
        if progress.elapsed < due and progress.findings == findings:
            return
        due, findings = progress.elapsed + EVERY, progress.findings
        stream.write(f"{line(progress)}\n")
        stream.flush()

    return show
