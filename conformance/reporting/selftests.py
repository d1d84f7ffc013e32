"""A selftest as a page of Markdown, and as a summary on the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

from tabulate import tabulate

from conformance.results import write
from conformance.selftest import record
from conformance.selftest.record import Selftest, Tried

NAMES = ("selftest.json", "selftest.md")


def write_selftest(selftest: Selftest, folder: Path) -> list[Path]:
    """Write `selftest.json` and `selftest.md` to a folder. Raises `ResultsError`."""
    paths = [folder / name for name in NAMES]
    record.save(selftest, paths[0])
    write(paths[1], to_markdown(selftest).encode())
    return paths


def summary(selftest: Selftest) -> str:
    """The figures as a table, then each reason for which the suite has failed its test."""
    rows = [
        (
            what,
            len(tried),
            record.found_of(tried),
            record.blamed_of(tried),
            record.judged_of(tried),
            record.small_of(tried),
        )
        for what, tried in _parts(selftest)
    ]
    headers = ["", "faults", "found", "rightly blamed", "rightly judged", f"at most {record.OPERATIONS} operations"]
    lines = [tabulate(rows, headers=headers, disable_numparse=True)]
    missed = [t for _, tried in _parts(selftest) for t in tried if not t.found]
    lines += [f"missed: {t.name}: {t.reason}" for t in missed]
    if not selftest.complete:
        lines.append(f"interrupted after {len(_all(selftest))} of {selftest.total} faults")
    lines += [f"failed: {reason}" for reason in selftest.reasons()]
    return "\n".join(lines)


def _parts(selftest: Selftest) -> list[tuple[str, Sequence[Tried]]]:
    parts = [("planted faults", selftest.faults), ("changed formulas", selftest.mutants)]
    return [(name, tried) for name, tried in parts if tried]


def to_markdown(selftest: Selftest) -> str:
    """The whole report."""
    lines = [
        "# The suite, tested by faults",
        "",
        f"Each fault is planted by itself into {selftest.engine}, and is searched for among the first "
        f"{selftest.examples:,} programs of the default search (seed {selftest.seed}), as `conformance run` has them. "
        f"Made by `conformance selftest --engine {selftest.engine}` with torch {selftest.torch} in "
        f"{selftest.seconds / 60:.0f} minutes."
        + ("" if selftest.complete else f" Interrupted: {len(_all(selftest))} of {selftest.total} faults were tried."),
        "",
    ]
    for name, tried in _parts(selftest):
        lines += [f"## {name.capitalize()}", "", *_figures(tried), ""]
    if selftest.faults:
        lines += ["## By kind of fault", "", _table(_by(selftest.faults, lambda t: t.kind), "kind"), ""]
        lines += ["## By family of operations", "", _table(_by(selftest.faults, lambda t: t.family), "family"), ""]
        lines += _compared(selftest.faults)
        lines += _examples(selftest.faults)
    lines += _listed("Missed", [t for t in _all(selftest) if not t.found], lambda t: t.reason)
    if selftest.zeros:
        lines += [
            "## Formulas that give nothing but zeros",
            "",
            f"No change of these can show, so none was made: {', '.join(f'`{name}`' for name in selftest.zeros)}.",
            "",
        ]
    lines += _listed(
        "Blamed on something else",
        [t for t in _all(selftest) if t.found and not t.named],
        lambda t: f"named {t.said}, not {' or '.join(t.expected)}",
    )
    lines += _listed(
        "Judged wrongly, or not",
        [t for t in _all(selftest) if t.verdict is not None and not t.rightly_judged],
        lambda t: str(t.verdict),
    )
    return "\n".join(lines).rstrip() + "\n"


def _all(selftest: Selftest) -> list[Tried]:
    return [t for _, tried in _parts(selftest) for t in tried]


def _figures(tried: Sequence[Tried]) -> list[str]:
    found = [t for t in tried if t.found]
    rows: list[tuple[str, str]] = [
        ("faults", f"{len(tried)}"),
        ("found", str(record.found_of(tried))),
        ("blamed on what is wrong", str(record.blamed_of(tried))),
    ]
    if any(t.verdict is not None for t in tried):
        rows += [
            ("judged rightly", str(record.judged_of(tried))),
            (f"reduced to at most {record.OPERATIONS} operations", str(record.small_of(tried))),
        ]
    if found:
        rows += [
            ("programs of the search until found, median", f"{median(t.programs for t in found):,.0f}"),
            ("programs until found, most", f"{max(t.programs for t in found):,}"),
            ("seconds for search, blame, reduction and verdict, median", f"{median(t.seconds for t in found):.2f}"),
        ]
    return [tabulate(rows, headers=["figure", ""], tablefmt="github", disable_numparse=True)]


def _by(tried: Iterable[Tried], key: Callable[[Tried], str]) -> dict[str, list[Tried]]:
    groups: dict[str, list[Tried]] = {}
    for t in tried:
        groups.setdefault(key(t).partition(":")[0], []).append(t)
    return groups


def _table(groups: dict[str, list[Tried]], what: str) -> str:
    rows = [
        (
            _escaped(name),
            len(tried),
            sum(t.found for t in tried),
            sum(t.named for t in tried),
            sum(t.rightly_judged for t in tried),
            f"{median([t.programs for t in tried if t.found] or [0]):,.0f}",
            max((t.operations for t in tried), default=0),
        )
        for name, tried in groups.items()
    ]
    headers = [what, "faults", "found", "rightly blamed", "rightly judged", "programs, median", "operations, most"]
    return str(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))


def _compared(tried: Sequence[Tried]) -> list[str]:
    """The same faults judged by torch's own checks."""
    checks = list(dict.fromkeys(name for t in tried for name in t.gradcheck))
    if not checks:
        return []
    rows = []
    for name in ("conformance", *checks):
        counts = (
            Counter("found" if t.found else "missed" for t in tried)
            if name == "conformance"
            else Counter(t.gradcheck.get(name, "does not apply") for t in tried)
        )
        share = 100.0 * counts["found"] / len(tried)
        rows.append((name, counts["found"], counts["missed"], counts["does not apply"], f"{share:.1f} %"))
    by_kind = [
        (
            _escaped(kind),
            len(some),
            sum(t.found for t in some),
            *(sum(t.gradcheck.get(c) == "found" for t in some) for c in checks),
        )
        for kind, some in _by(tried, lambda t: t.kind if t.family != "engine" else "in a part of the engine").items()
    ]
    return [
        "## The same faults judged by torch's gradcheck",
        "",
        "Each check gets the operation of the fault with ordinary float64 operands (a product, where the fault is in a "
        "part of the engine), as somebody who writes a test for the operation would choose them. It does not apply "
        "where it fails for torch without the fault too.",
        "",
        tabulate(rows, headers=["", "found", "missed", "does not apply", "found of all"], tablefmt="github"),
        "",
        tabulate(by_kind, headers=["kind", "faults", "conformance", *checks], tablefmt="github"),
        "",
    ]


def _examples(tried: Sequence[Tried]) -> list[str]:
    """One fault of each family, with its program."""
    lines = ["## One of each family", ""]
    for family, some in _by(tried, lambda t: t.family).items():
        shown = [t for t in some if t.named and t.rightly_judged and t.operations <= record.OPERATIONS]
        if not shown:
            continue
        t = min(shown, key=lambda t: (t.kind in ("scaled", "zeroed"), len(t.script)))
        lines += [
            f"**{family}: {_escaped(t.name)}** · blamed: {_escaped(t.said)} · {t.verdict} · {t.operations} "
            f"operation{'' if t.operations == 1 else 's'} · after {t.programs:,} programs",
            "",
            f"{_escaped(t.message)}",
            "",
            "```python",
            *_body(t.script),
            "```",
            "",
        ]
    return lines


def _body(script: str) -> list[str]:
    """The lines of a script that are the program itself."""
    lines = script.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip() == "try:"), None)
    end = next((i for i, line in enumerate(lines) if "seen.update" in line), None)
    if start is None or end is None:
        return lines
    return [line.removeprefix("        ") for line in lines[start + 1 : end]]


def _listed(title: str, tried: Sequence[Tried], why: Callable[[Tried], str]) -> list[str]:
    if not tried:
        return []
    return [f"## {title}", "", *(f"- {_escaped(t.name)}: {_escaped(why(t))}" for t in tried), ""]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("__", "\\_\\_")
