"""The pages beside the code are true: their code runs, their commands parse, their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cli import _parser
from conformance.grade import read_rubric

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "conformance" / f"{name}.md" for name in ("PROGRAMS", "FINDINGS", "ENGINES")] + [
    ROOT / "minigrad" / "ADDING.md"
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_runs_and_prints_what_is_shown(page: Path, tmp_path: Path) -> None:
    """Each page in a process of its own: what it declares is gone afterwards."""
    program = "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([sys.executable, "-m", "doctest", str(page)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert blocks(page, "python") or blocks(page, "pycon")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_files_and_links_exist(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    for line in "".join(blocks(page, "sh")).splitlines():
        _parser().parse_args(line.split()[1:])
    for number, rubric in enumerate(blocks(page, "toml")):
        (tmp_path / f"{number}.toml").write_text(rubric)
        assert read_rubric(tmp_path / f"{number}.toml").points == 30
    for target in re.findall(r"\]\(([^)#]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        assert (page.parent / target).exists(), target
