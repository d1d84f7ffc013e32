"""The workflows and the action: valid, consistent with the command line, and their scripts do what they say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

GITHUB = Path(__file__).parents[1] / ".github"
ACTION: dict[str, Any] = yaml.safe_load((GITHUB / "actions" / "conformance" / "action.yml").read_text())
WORKFLOWS = [GITHUB / "workflows" / "ci.yml", GITHUB / "examples" / "sharded.yml"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_give_the_action_what_it_takes(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert {True, "jobs", "permissions"} <= set(workflow)  # YAML reads the key `on` as True
    used = 0
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        assert {job.get("needs")} <= {None, *workflow["jobs"]}
        assert "actions/checkout" in job["steps"][0]["uses"]
        for step in job["steps"]:
            if "actions/conformance" in step.get("uses", ""):
                used += 1
                given = step["with"]
                assert set(given) <= set(ACTION["inputs"])
                assert all(isinstance(value, str) for value in given.values())
                matrix = job.get("strategy", {}).get("matrix", {})
                if "shard" in given:  # the matrix has as many shards as each says there are
                    assert matrix["shard"] == list(range(1, int(given["shard"].partition("/")[2]) + 1))
                    assert "examples" in given
    assert used == 2


def test_the_action_names_inputs_and_options_that_exist() -> None:
    assert ACTION["runs"]["using"] == "composite"
    text = (GITHUB / "actions" / "conformance" / "action.yml").read_text()
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    from conformance.cli import _parser

    options = {word for line in script().splitlines() for word in re.findall(r"(?<=\()--[\w-]+", line)}
    assert len(options) == 7
    _parser().parse_args(["run", "minigrad", *(word for o in sorted(options) for word in (o, example(o))), "-o", "x"])
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")  # texts of others reach the shell as variables only


def example(option: str) -> str:
    return {"--level": "gradient", "--shard": "1/2", "--expectations": "f.toml"}.get(option, "1")


def script() -> str:
    (run,) = (step["run"] for step in ACTION["runs"]["steps"] if step.get("id") == "run")
    return str(run)


@pytest.mark.parametrize(
    ("variables", "ran", "artifact", "code"),
    [
        ({"ENGINE": "a b", "TIME": "9"}, "run a b --seed 0 -o conformance-results --time 9", "n", 1),
        ({"ENGINE": "a", "SHARD": "2/4"}, "run a --seed 0 -o conformance-results --shard 2/4", "n-shard-2", 0),
        ({"MERGE": "true"}, "merge conformance-shards/n-shard-1/ -o conformance-results", "n", 1),
    ],
)
def test_the_script_of_the_action(
    variables: dict[str, str], ran: str, artifact: str, code: int, tmp_path: Path
) -> None:
    fake = tmp_path / "bin" / "conformance"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@"\nexit 1\n')
    fake.chmod(0o755)
    (tmp_path / "conformance-shards" / "n-shard-1").mkdir(parents=True)
    names = ("ENGINE", "TIME", "EXAMPLES", "LEVEL", "EXPECTATIONS", "MIN_COVERAGE", "SHARD", "MERGE")
    environment = dict.fromkeys(names, "") | {"SEED": "0", "NAME": "n", "GITHUB_OUTPUT": str(tmp_path / "out")}
    environment |= {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"} | variables
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script()],  # as GitHub runs it
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == (ran, code), done.stderr
    assert f"artifact={artifact}" in (tmp_path / "out").read_text()
    assert "exit-code=1" in (tmp_path / "out").read_text()


@pytest.mark.parametrize("name", ["run", "publish"])
def test_the_scripts_are_valid(name: str) -> None:
    subprocess.run(["bash", "-n", str(GITHUB.parent / ".ci" / name)], check=True)


def test_publishing_says_its_commands_and_keeps_what_the_index_links(tmp_path: Path) -> None:
    """With a fake `conformance` in a copy of the repository: nothing is run for real."""
    root = tmp_path / "copy"
    (root / ".ci").mkdir(parents=True)
    (root / "reports" / "engines").mkdir(parents=True)
    (root / ".ci" / "publish").write_bytes((GITHUB.parent / ".ci" / "publish").read_bytes())
    fake = tmp_path / "bin" / "conformance"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\necho "$@" >>"$LOG"\nfor last; do :; done\n'
        'case $* in *all-engines*) cd "$last"; echo >scoreboard.md; echo >results.json; echo >a.json;; esac\n'
        "exit 1\n"
    )
    fake.chmod(0o755)
    log = tmp_path / "log"
    environment = os.environ | {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}", "LOG": str(log)}
    command = ["bash", str(root / ".ci" / "publish")]
    subprocess.run([*command, "minigrad", "engines"], env=environment, check=True)
    from conformance.cli import _parser

    ran = [line.split() for line in log.read_text().splitlines()]
    assert [(words[0], words[1]) for words in ran] == [("run", "minigrad"), ("run", "--all-engines")]
    for words in ran:
        _parser().parse_args(words)
    assert {path.name for path in (root / "reports" / "engines").iterdir()} == {"scoreboard.md", "a.json"}
    assert subprocess.run([*command, "nosuch"], capture_output=True, check=False).returncode == 2
