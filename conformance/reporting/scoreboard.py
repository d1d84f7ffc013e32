"""The scoreboard: several engines on the same bench, operation by operation. Made from results alone."""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from conformance import results as records
from conformance.program import Apply, Inplace
from conformance.results import Finding, Results

#: What a finding comes to, the gravest first.
Outcome: TypeAlias = Literal[
    "wrong", "crash", "undecided", "unsupported", "convention differs", "ill-conditioned", "torch wrong"
]
#: One sign for each, in the table of operations; an operation that agreed has "●", one that is not offered "·".
SIGNS: dict[Outcome, str] = {
    "wrong": "✗",
    "crash": "!",
    "undecided": "?",
    "unsupported": "–",
    "convention differs": "≠",
    "ill-conditioned": "~",
    "torch wrong": "t",
}
OUTCOMES = tuple(SIGNS)
#: Features of cells that show a level.
LEVELS: Final = {
    "gradient": {"float64", "float32"},
    "higher": {"order 2", "order 3", "create_graph"},
    "behaviour": {"hook", "in-place", "post-accumulate hook"},
}
#: Engines whose API is torch's: what torch's is the specification of holds for them.
MIRRORS = ("minigrad", "torch")
#: Kinds of difference in which an engine with an API of its own may have a custom of its own.
CUSTOMS = ("none", "dtype", "shape", "requires_grad", "is_leaf", "hook")


def outcome(found: Finding, status: str = "") -> Outcome:
    """What a finding says of its engine: as its expectation has it (`status`), or else by the referee's verdict.

    What has no verdict in mathematics is judged here: an engine that refuses operands which torch takes lacks something
    (unsupported); one that takes them and then raises is wrong.
    """
    listed: Outcome | None = next((one for one in OUTCOMES if one == status), None)
    if listed is not None:
        return listed
    mirrors = found.engine.partition(":")[0] in MIRRORS
    if found.kind in ("crash", "hang"):
        return "crash"
    if found.kind == "error" or (found.difference.what == "error" and not mirrors):
        if found.expected != "no error":
            return "convention differs"
        return "unsupported" if not mirrors and _refused(found) else "wrong"
    if found.kind in CUSTOMS and not mirrors and not found.referee:  # mathematics has nothing to say of it
        return "convention differs"
    return "wrong" if found.verdict == "engine wrong" else found.verdict


def _refused(found: Finding) -> bool:
    """Whether it was at an operation that the engine raised, and not on the way back."""
    step = re.search(r" at step (\d+)", found.actual)
    steps = found.program.steps
    return step is not None and int(step[1]) < len(steps) and isinstance(steps[int(step[1])], Apply | Inplace)


class Judged(NamedTuple):
    """A finding with what it comes to, and why."""

    found: Finding
    outcome: Outcome
    reason: str


class Row:
    """One engine's line of the scoreboard."""

    def __init__(self, results: Results) -> None:
        (record,) = results.engines
        self.name = record.name
        self.version = record.version
        self.results = results
        self.offered = record.operations
        listed = {(known.engine, known.id): known for known in results.expectations}
        self.judged = sorted(
            (
                Judged(f, outcome(f, known.status if known else ""), known.reason if known else f.reason)
                for f in results.findings
                for known in [listed.get((f.engine, f.known))]
            ),
            key=lambda one: (OUTCOMES.index(one.outcome), one.found.blamed),
        )
        self.outcomes = Counter(one.outcome for one in self.judged)
        wrong = [float(f.difference.ulps) for f, of, _ in self.judged if of == "wrong" and f.difference.ulps]
        self.ulps = max(wrong, default=None)
        times = results.timings
        self.cost = times.engine / times.reference if times.reference else None
        self.ran = Counter(c.operation for c in results.cells if c.programs > c.unsupported)
        self.levels = _levels(results)
        blamed: dict[str, set[Outcome]] = {}
        for one in self.judged:
            blamed.setdefault(one.found.blamed, set()).add(one.outcome)
        self.blamed = blamed

    @property
    def clean(self) -> int:
        """Operations that ran and were not blamed for anything but torch's own errors."""
        return sum(1 for op in self.ran if not self.blamed.get(op, set()) - {"torch wrong"})

    def sign(self, operation: str) -> str:
        """The sign of an operation: the gravest of its outcomes."""
        if operation not in self.offered:
            return "·"
        found = self.blamed.get(operation, set())
        return next((SIGNS[o] for o in OUTCOMES if o in found), "●" if operation in self.ran else " ")


def _levels(results: Results) -> tuple[str, ...]:
    """What programs of the engine have reached: gradients, higher orders, and the behaviour of a tape."""
    ran = {cell.feature for cell in results.cells if cell.programs > cell.unsupported}
    return tuple(level for level, features in LEVELS.items() if ran & features)


def rows(parts: Sequence[Results]) -> list[Row]:
    """A row for each engine, the one with most operations in agreement first."""
    return sorted((Row(part) for part in parts), key=lambda row: (-row.clean, row.name))


HEADINGS = (
    "engine",
    "version",
    "offers",
    "ran",
    "agrees",
    "levels",
    *OUTCOMES,
    "programs",
    "not offered",
    "worst error (ulps)",
    "cost (torch = 1)",
)


def cells(row: Row) -> tuple[str, ...]:
    """The numbers of a row as text."""
    s = row.results.statistics
    return (
        row.name,
        row.version,
        f"{len(row.offered)}",
        f"{len(row.ran)}",
        f"{row.clean}",
        ", ".join(row.levels),
        *(str(row.outcomes[o] or "–") for o in OUTCOMES),
        f"{s.programs:,}",
        f"{s.unsupported:,}",
        "–" if row.ulps is None else f"{row.ulps:.2g}",
        "–" if row.cost is None else f"{row.cost:.1f}",
    )


LEGEND = (
    "● agrees, · not offered, ✗ wrong, ! ends or holds up its process, – refuses what torch takes, ≠ another "
    "convention, ? undecided, ~ ill-conditioned, t torch is wrong; nothing: did not run."
)


def to_markdown(parts: Sequence[Results], absent: Mapping[str, str] = MappingProxyType({})) -> str:
    """The scoreboard as Markdown. `absent` names engines that did not run, each with its reason."""
    from tabulate import tabulate

    board = rows(parts)
    lines = ["# Scoreboard", "", _intro(parts), ""]
    lines += [tabulate([cells(row) for row in board], headers=HEADINGS, tablefmt="github", disable_numparse=True), ""]
    lines += [f"- {name}: absent: {reason}" for name, reason in absent.items()]
    lines += ["", "## Findings", ""]
    for row in board:
        if row.judged:
            lines += [f"### {_title(row)}", ""]
            table = [tuple(text.replace("|", "\\|") for text in described(one)) for one in row.judged]
            lines += [tabulate(table, headers=DESCRIBED, tablefmt="github", disable_numparse=True), ""]
    lines += ["## Operations", "", LEGEND, ""]
    every = sorted({op for row in board for op in row.offered})
    signs = [(op, *(row.sign(op) for row in board)) for op in every]
    names = ("operation", *(row.name for row in board))
    lines += [tabulate(signs, headers=names, tablefmt="github", disable_numparse=True), ""]
    return "\n".join(lines)


def _intro(parts: Sequence[Results]) -> str:
    if not parts:
        return "No engine ran."
    v = parts[0].versions
    return (
        f"Random programs through each engine and through torch {v.torch} (numpy {v.numpy}, Python {v.python}); "
        "the referee's exact arithmetic says who is right. An operation *agrees* when it ran and nothing was found. "
        "*Cost* is the engine's time over torch's on the same programs in the same run, the adapter's included: "
        "these programs are small, so that it tells the overhead of a call, not the speed of kernels."
    )


DESCRIBED = ("verdict", "operation", "what", "torch", "engine", "referee", "why")


def described(one: Judged) -> tuple[str, ...]:
    """A finding as a row of text."""
    found, of, reason = one
    shown = (_short(text) for text in (found.expected, found.actual, found.referee))
    return (of, found.blamed, found.kind, *shown, " ".join(reason.split()))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def _title(row: Row) -> str:
    return f"{row.name} {row.version}".strip()


def to_html(parts: Sequence[Results], absent: Mapping[str, str] = MappingProxyType({})) -> str:
    """The scoreboard as one HTML file without scripts."""
    board = rows(parts)
    every = sorted({op for row in board for op in row.offered})
    e = html.escape
    head = "".join(f"<th scope=col>{e(h)}</th>" for h in HEADINGS)
    body = "".join("<tr>" + "".join(f"<td>{e(c)}</td>" for c in cells(row)) + "</tr>" for row in board)
    ops_head = "".join(f"<th scope=col>{e(row.name)}</th>" for row in board)
    ops = "".join(
        f"<tr><th scope=row><code>{e(op)}</code></th>"
        + "".join(f'<td class="s" title="{e(_tip(row, op))}">{e(row.sign(op))}</td>' for row in board)
        + "</tr>"
        for op in every
    )
    missing = "".join(f"<li>{e(name)}: absent: {e(reason)}</li>" for name, reason in absent.items())
    why_head = "".join(f"<th scope=col>{e(h)}</th>" for h in DESCRIBED)
    why = "".join(
        f"<details><summary>{e(_title(row))}: {e(_counted(row))}</summary><div class=wide><table><thead><tr>{why_head}"
        "</tr></thead><tbody>"
        + "".join("<tr>" + "".join(f"<td>{e(c)}</td>" for c in described(one)) + "</tr>" for one in row.judged)
        + "</tbody></table></div></details>"
        for row in board
        if row.judged
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Scoreboard</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<h1>Scoreboard</h1><p>{e(_intro(parts)).replace('*', '')}</p>"
        f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><ul>{missing}</ul>"
        f"<h2>Findings</h2>{why}"
        f"<h2>Operations</h2><p>{e(LEGEND)}</p><div class='wide tall'><table><thead><tr><th scope=col>operation</th>"
        f"{ops_head}</tr></thead><tbody>{ops}</tbody></table></div></html>\n"
    )


def _counted(row: Row) -> str:
    return ", ".join(f"{row.outcomes[o]} {o}" for o in OUTCOMES if row.outcomes[o])


STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem;color:#1b1f24;"
    "background:#fff}table{border-collapse:collapse;margin:1rem 0;font-size:.9em}"
    "th,td{border:1px solid #d0d7de;padding:.2rem .5rem;text-align:left;vertical-align:top}"
    "td.s{text-align:center}.wide{overflow-x:auto}.tall{max-height:90vh}"
    "details td:nth-child(n+4){overflow-wrap:anywhere;min-width:8rem}"
    ".tall th[scope=col]{position:sticky;top:0;background:#f6f8fa}summary{cursor:pointer;padding:.2rem 0}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}"
    ".tall th[scope=col]{background:#161b22}}"
)


def _tip(row: Row, operation: str) -> str:
    found = [f.message for f in row.results.findings if f.blamed == operation]
    return "\n".join(found) or ("agrees" if operation in row.ran else "did not run")


def write(parts: Sequence[Results], absent: Mapping[str, str], folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write scoreboard.md, scoreboard.html and each engine's results (ENGINE.json). Raises `ResultsError`."""
    home = Path(folder)
    written = [home / "scoreboard.md", home / "scoreboard.html"]
    records.write(written[0], to_markdown(parts, absent).encode())
    records.write(written[1], to_html(parts, absent).encode())
    for part in parts:
        written.append(home / f"{part.engines[0].name.replace(':', '-')}.json")
        records.write(written[-1], msgspec.json.encode(_short_of_cells(part)) + b"\n")
    return tuple(written)


def _short_of_cells(part: Results) -> Results:
    """The results without pairs, and without cells in which nothing was tried: enough for the scoreboard."""
    tried = tuple(cell for cell in part.cells if cell.programs or (cell.unsupported and cell.mismatches))
    return msgspec.structs.replace(part, cells=tried, pairs=())
