"""The README is true: its code runs and prints what it shows, CI runs its commands, its links lead somewhere."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
MICRO = ROOT / "tests" / "engines" / "micro.py"


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_the_first_two_shell_blocks_are_the_two_commands() -> None:
    shell = [text for name, text in BLOCKS if name in {"sh", "bash", "shell", "console"}]
    assert [text.count("\n") for text in shell] == [1, 1]
    assert shell[0].endswith("&& conformance run minigrad\n")
    assert "python -m pytest" in shell[1]
    assert "n == 2' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("engine", ["minigrad", "torch"])
def test_sessions_print_what_the_readme_shows(engine: str) -> None:
    sessions = "\n".join(blocks("pycon"))
    if engine == "torch":
        sessions = sessions.replace("minigrad as torch", "torch").replace("minigrad", "torch")
    test = doctest.DocTestParser().get_doctest(sessions, {}, f"README on {engine}", "README.md", 0)
    report: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert outcome.attempted > 10
    assert not outcome.failed, "".join(report)


def test_python_blocks_run_or_are_what_the_linked_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    excerpts = [text for text in blocks("python") if text in MICRO.read_text()]
    assert len(excerpts) == 1
    for text in blocks("python"):
        if text not in excerpts:
            exec(compile(text, "README.md", "exec"), {})


def test_the_finding_at_the_top_is_what_its_command_prints(tmp_path: Path) -> None:
    (shown,) = blocks("text")
    (command,) = re.findall(r"`conformance (run [^`]*)` says:", TEXT)
    done = subprocess.run(
        [sys.executable, "-m", "conformance", *command.split(), "-o", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    # How often a cause is met depends on the version of Hypothesis; what it comes down to does not.
    assert re.sub(r"met .*", "", shown) in re.sub(r"met .*", "", done.stdout)


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)", TEXT, re.MULTILINE)
    }
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        assert target[1:] in headings if target.startswith("#") else (ROOT / target).exists(), target
