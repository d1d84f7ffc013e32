"""What a selftest came to: typed, with one way into a file and out of it, and the figures that follow from it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from conformance.results import ResultsError, Verdict, write

FORMAT: Literal["minigrad-conformance-selftest/1"] = "minigrad-conformance-selftest/1"

#: Shares (in per cent) below which the suite has failed its own test.
FOUND, BLAMED, JUDGED = 98.0, 95.0, 95.0
#: Operations that a reduced program has at most.
OPERATIONS = 3

Check: TypeAlias = Literal["found", "missed", "does not apply"]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, and what the suite made of it.

    `programs` is how many programs of the default search ran until the first that showed it; `seconds` what the search
    took among those that concern it, with blame, reduction and verdict. `said` is what was blamed for the first program
    that showed it, `blames` for each that was looked at, `expected` what may rightly be, and `named` says whether it
    was. `operations` counts those of the reduced program, `gradcheck` holds what torch's own checks say of the same
    fault, and `reason` why it was missed.
    """

    name: str
    kind: str
    family: str
    expected: tuple[str, ...]
    found: bool
    named: bool = False
    said: str = ""
    tried: int = 0
    programs: int = 0
    seconds: float = 0.0
    feature: str = ""
    shows: str = ""
    blames: tuple[str, ...] = ()
    operations: int = 0
    verdict: Verdict | None = None
    rightly_judged: bool = False
    message: str = ""
    script: str = ""
    reason: str = ""
    gradcheck: dict[str, Check] = {}


class Share(msgspec.Struct, frozen=True):
    """So many of so many."""

    part: int
    whole: int

    @property
    def percent(self) -> float:
        """As a percentage; of nothing it is all."""
        return 100.0 * self.part / self.whole if self.whole else 100.0

    def __str__(self) -> str:
        return f"{self.part} of {self.whole} ({self.percent:.1f} %)"


class Selftest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole selftest: the faults of the table, and (for minigrad) those derived from its declarations.

    `total` is how many there are; of formulas, `unchecked` are those that no program uses, and `zeros` those that give
    nothing but zeros, of which no change can show.

    What a report of a run shows of it is `results.SelfTest`, which reads the same file.
    """

    format: Literal["minigrad-conformance-selftest/1"] = FORMAT
    suite: str
    torch: str
    engine: str
    seed: int
    examples: int
    total: int
    faults: tuple[Tried, ...] = ()
    mutants: tuple[Tried, ...] = ()
    unchecked: tuple[str, ...] = ()
    zeros: tuple[str, ...] = ()
    seconds: float = 0.0
    started: str = ""
    complete: bool = True

    def reasons(self) -> list[str]:
        """Why the suite has failed its own test; nothing when it has passed."""
        found = []
        for what, tried in (("planted faults", self.faults), ("changed formulas", self.mutants)):
            for share, least, verb in (
                (found_of(tried), FOUND, "found"),
                (blamed_of(tried), BLAMED, "blamed on the right thing"),
                (judged_of(tried), JUDGED, "judged rightly"),
            ):
                if share.percent < least:
                    found.append(f"{share} of the {what} were {verb}, {least:g} % are asked for")
        if self.unchecked:
            found.append(f"{len(self.unchecked)} formulas are used by no program: {', '.join(self.unchecked)}")
        return found

    @property
    def exit_code(self) -> int:
        """130 when it was interrupted, 1 when a share is too low, 4 when nothing was tried, else 0."""
        if not self.complete:
            return 130
        return 4 if not (self.faults or self.mutants) else 1 if self.reasons() else 0


def found_of(tried: Iterable[Tried]) -> Share:
    """How many were found."""
    every = list(tried)
    return Share(sum(t.found for t in every), len(every))


def blamed_of(tried: Iterable[Tried]) -> Share:
    """How many of those found were blamed on what is wrong."""
    every = [t for t in tried if t.found]
    return Share(sum(t.named for t in every), len(every))


def judged_of(tried: Iterable[Tried]) -> Share:
    """How many of those found, and judged at all, have a right verdict."""
    every = [t for t in tried if t.verdict is not None]
    return Share(sum(t.rightly_judged for t in every), len(every))


def small_of(tried: Iterable[Tried]) -> Share:
    """How many of those reduced have at most three operations."""
    every = [t for t in tried if t.verdict is not None]
    return Share(sum(t.operations <= OPERATIONS for t in every), len(every))


def save(selftest: Selftest, path: Path) -> None:
    """Write a selftest to a file, replacing it as a whole. Raises `ResultsError`."""
    write(path, msgspec.json.format(msgspec.json.encode(selftest), indent=1) + b"\n")


def load(path: str | os.PathLike[str]) -> Selftest:
    """A selftest from a file. Raises `ResultsError` with one line when it is none."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Selftest)
    except OSError as error:
        raise ResultsError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"{os.fspath(path)}: no selftest ({error}); run `conformance selftest` again") from None
