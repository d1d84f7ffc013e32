"""Progress of a run: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import IO, TYPE_CHECKING, Protocol

from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bars

from conformance.reporting.console import console

if TYPE_CHECKING:
    from conformance.campaign import Progress

EVERY = 5.0  # seconds between the first plain lines; they grow
GROWTH = 1.5  # rarer and rarer, so that the log of a long run stays short
RAREST = 60.0
EARLY = 0.05  # share of a budget in programs until which the rate says nothing of what is left
FOUND = 1.0  # seconds between those that tell of something new
PHASES = {
    "start": "loading",
    "known": "replaying what is known",
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
    out = console(stream, live=True)
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
    of = f" of {progress.total:,.0f}" if progress.unit == "programs" else ""
    seconds = left if progress.unit == "seconds" else left / progress.rate if progress.rate else None
    found = f"{progress.findings} finding{'' if progress.findings == 1 else 's'}"
    parts = [f"{progress.programs:,}{of} programs", f"{progress.rate:,.0f}/s", found]
    early = progress.unit == "programs" and progress.done < EARLY * progress.total
    if seconds is not None and progress.phase != "done" and not early:
        parts.append(f"{_duration(seconds)} left")
    return f"{', '.join(parts)}: {PHASES[progress.phase]}"


def _duration(seconds: float) -> str:
    """Whole seconds, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _plain(stream: IO[str], lead: str) -> Show:
    """A line at the start, at the end, whenever something is found, and now and then."""
    told, gap = 0.0, EVERY / GROWTH
    findings = 0

    def show(progress: Progress) -> None:
        nonlocal told, gap, findings
        now = monotonic()
        new = progress.findings != findings
        if now < told + (FOUND if new else gap) and progress.phase != "done":
            return
        told, findings = now, progress.findings
        gap = gap if new else min(gap * GROWTH, RAREST)
        stream.write(f"{lead}{line(progress)}\n")
        stream.flush()

    return show


@contextmanager
def counting_on(stream: IO[str], things: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show how many of how many things are done, and the last of them: live on a terminal, now and then elsewhere."""
    out = console(stream)
    if out.is_terminal:
        bars = Bars(SpinnerColumn(), BarColumn(24), TextColumn("{task.description}"), console=out, transient=True)
        task = bars.add_task("loading", total=1.0)
        with bars:
            yield lambda done, total, last: bars.update(
                task, completed=done, total=total, description=f"{done} of {total} {things} {last}"
            )
        return
    due = 0.0

    def show(done: int, total: int, _: str) -> None:
        nonlocal due
        if monotonic() >= due or done == total:
            due = monotonic() + 10 * EVERY
            stream.write(f"{done} of {total} {things}\n")
            stream.flush()

    yield show
