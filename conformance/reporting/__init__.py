"""Reports for people and machines, made from a results file alone: neither torch nor an engine is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from conformance.results import Results, save, write


def write_reports(results: Results, directory: Path) -> tuple[Path, ...]:
    """Write `results.json`, `report.html`, `report.md` and `junit.xml` to `directory`; return their paths.

    The results come first, so that they are safe whatever happens to a report. Each file is replaced as a whole.
    Raises `ResultsError` when the directory cannot be made or written to.
    """
    save(results, directory / "results.json")
    return (directory / "results.json", *render_reports(results, directory))


def render_reports(results: Results, directory: Path, history: Sequence[Results] = ()) -> tuple[Path, ...]:
    """Write the three reports alone; return their paths. Raises `ResultsError` as `write_reports` does.

    `history` holds earlier results, for a trend.
    """
    from conformance.reporting.html import to_html
    from conformance.reporting.junit import to_junit
    from conformance.reporting.markdown import to_markdown

    texts = {
        "report.html": to_html(results, history),
        "report.md": to_markdown(results, history=history),
        "junit.xml": to_junit(results),
    }
    for name, text in texts.items():
        write(directory / name, text.encode())
    return tuple(directory / name for name in texts)
