"""The command line: what a person can get wrong ends as one line and exit code 2, and loses nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from sample_results import finding, results

from conformance import results as stored
from conformance.cli import main
from conformance.gate import EXPLANATIONS, Exit

MICRO = f"{Path(__file__).parent / 'engines' / 'micro.py'}:Micro"
FILES = {"results.json", "report.html", "report.md", "junit.xml"}


def outcome(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file that a person may hand over by mistake."""
    good = stored.dumps(results(finding()))
    (tmp_path / "good.json").write_bytes(good)
    (tmp_path / "half.json").write_bytes(good[: len(good) // 2])
    (tmp_path / "old.json").write_bytes(good.replace(b'conformance/1"', b'conformance/0"'))
    (tmp_path / "other.json").write_text('{"name": "something else"}')
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    (tmp_path / "typo.py").write_text("class Mine(:\n")
    (tmp_path / "crash.py").write_text("raise RuntimeError('no licence\\nfor this machine')\n")
    (tmp_path / "quit.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "late.py").write_text("class Mine:\n    def __init__(self): raise SystemExit(0)\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "file").write_text("in the way")
    return tmp_path


BAD_INPUT = [
    ("run nosuch", ["nosuch", "minigrad"]),
    ("run {}/nosuch.py:Mine", ["nosuch.py"]),
    ("run {}/typo.py:Mine", ["typo.py", "SyntaxError", "line 1"]),
    ("run {}/crash.py:Mine", ["crash.py", "no licence"]),
    ("run {}/quit.py:Mine", ["quit.py", "SystemExit"]),
    ("run {}/late.py:Mine", ["late.py", "SystemExit"]),
    ("run {}/empty.py:Mine", ["empty.py", "Mine"]),
    ("run no.such.module:Mine", ["no.such.module"]),
    ("run torch torch", ["torch", "named"]),
    ("run minigrad -o {}/file", ["file", "-o"]),
    ("run minigrad -o {}/file/below", ["file/below", "-o"]),
    ("run minigrad --time never", ["--time", "never", "--help"]),
    ("run minigrad --time -1", ["--time", "-1"]),
    ("run minigrad --examples 0", ["--examples", "0"]),
    ("run minigrad --seed 1.5", ["--seed", "1.5"]),
    ("run minigrad --shard 3/2", ["--shard", "such as 1/4", "3/2"]),
    ("run minigrad --min-coverage 101", ["percentage", "101"]),
    ("run", ["engine", "--all-engines"]),
    ("report {}/nosuch.json", ["nosuch.json", "conformance run"]),
    ("report {}/half.json", ["half.json", "again"]),
    ("report {}/old.json", ["old.json", "conformance/0", "conformance/1"]),
    ("report {}/other.json", ["other.json", "again"]),
    ("report {}/binary.json", ["binary.json"]),
    ("report {}/good.json -o {}/file", ["file", "-o"]),
    ("replay f-none --results {}/good.json", ["f-none", "f-one"]),
    ("replay f-one --results {}/half.json", ["half.json"]),
    ("replay f-one --results {}/nosuch.json", ["nosuch.json", "conformance run"]),
    ("report {}/good.json --history {}/half.json -o {}/new", ["half.json", "again"]),
    ("report {}/good.json --selftest {}/good.json -o {}/new", ["good.json", "conformance selftest"]),
    ("init {}/crash.py", ["crash.py", "exists"]),
    ("init {}/engine.txt", ["engine.txt", ".py"]),
    ("check {}/nosuch.py", ["nosuch.py"]),
    ("check {}/typo.py", ["typo.py", "SyntaxError", "line 1"]),
    ("check {}/empty.py", ["empty.py", "conformance init"]),
    ("compare {}/good.json {}/nosuch.json", ["nosuch.json", "conformance run"]),
    ("compare {}/half.json {}/good.json", ["half.json", "again"]),
    ("grade x.py --rubric {}/nosuch.toml -o {}/new", ["nosuch.toml"]),
    ("grade x.py -o {}/file", ["file", "-o"]),
    ("grade {}/typo.py {}/nosuch.py -o {}/new", ["nosuch.py"]),
    ("grade {} -o {}/new", ["folder", "/*.py"]),
    ("explain nosuch", ["nosuch", "not-exercised"]),
    ("frobnicate", ["frobnicate", "replay"]),
    ("", ["COMMAND"]),
]


@pytest.mark.parametrize(("command", "named"), BAD_INPUT, ids=[command or "nothing" for command, _ in BAD_INPUT])
def test_bad_input_is_one_line_that_names_it(
    command: str, named: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, out, err = outcome(capsys, *command.replace("{}", str(folder)).split())
    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith("conformance: ")
    assert err.count("\n") == 1
    assert all(word in err for word in named), err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_report_writes_beside_the_results_unless_told_otherwise(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = outcome(capsys, "report", folder / "good.json", "-o", folder / "new" / "reports")
    assert (code, err) == (Exit.PASSED, "")
    assert {path.name for path in (folder / "new" / "reports").iterdir()} == FILES - {"results.json"}
    assert "replay: conformance replay f-one" in out
    assert outcome(capsys, "report", folder / "good.json")[0] == Exit.PASSED
    assert (folder / "report.html").read_bytes() == (folder / "new" / "reports" / "report.html").read_bytes()


def test_every_code_and_reason_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert {str(int(code)) for code in Exit} <= set(EXPLANATIONS)
    for code in EXPLANATIONS:
        assert outcome(capsys, "explain", code) == (0, EXPLANATIONS[code] + "\n", "")
    assert all(code in outcome(capsys, "explain")[1] for code in EXPLANATIONS)


def test_every_reason_that_the_gate_gives_is_explained() -> None:
    written = (Path(stored.__file__).parent / "gate.py").read_text().partition("def explain")[2]
    given = set(re.findall(r'f?"([a-z]+(?:-[a-z]+)*): ', written))
    assert {"finding", "reference-error", "nothing-ran", "interrupted"} <= given
    assert given <= set(EXPLANATIONS)


def test_the_schema_is_that_of_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(outcome(capsys, "schema")[1])
    validator = jsonschema.validators.validator_for(schema)(schema)
    validator.check_schema(schema)
    written = json.loads(stored.dumps(results(finding())))
    validator.validate(written)
    written["findings"][0]["met"] = "often"
    assert not validator.is_valid(written)


def test_listings(capsys: pytest.CaptureFixture[str]) -> None:
    assert "minigrad" in outcome(capsys, "engines")[1]
    assert "matmul" in outcome(capsys, "ops")[1]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from conformance.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'hypothesis', 'jinja2', 'rich', 'msgspec'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert time.perf_counter() - start < 1  # 0.06 s on an idle machine; tests share theirs


def test_module_is_the_command_and_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "conformance", "explain"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_run_finds_writes_and_replays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "run", MICRO, "--examples", "400", "-o", tmp_path)
    assert code == Exit.FINDING, err
    assert {path.name for path in tmp_path.iterdir()} == FILES
    found = stored.load(tmp_path / "results.json").findings
    assert found
    assert f"conformance replay {found[0].id}" in out
    assert "programs" in err  # progress, in plain lines
    code, out, err = outcome(capsys, "replay", found[0].id, "--results", tmp_path / "results.json")
    assert code == Exit.FINDING, err
    assert "FAILED" in out


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_run_writes_what_it_has(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", "run", MICRO, "--time", "60", "-o", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr
        assert any(re.search(r" [1-9]\d* findings?,", line) for line in running.stderr)  # the search is under way
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=50)
    assert running.returncode == Exit.INTERRUPTED, err
    assert "Traceback" not in err
    assert "partial" in out
    written = stored.load(tmp_path / "results.json")
    assert (written.complete, written.exit_code) == (False, Exit.INTERRUPTED)
    assert written.findings
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_several_engines_share_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = outcome(capsys, "run", MICRO, "torch", "--examples", "400", "-o", tmp_path)
    assert code == Exit.FINDING, err
    written = stored.load(tmp_path / "results.json")
    assert [engine.name for engine in written.engines] == ["micro", "torch"]
    assert {found.engine for found in written.findings} == {"micro"}
    assert written.statistics.programs + written.statistics.discarded == 800
    assert f"tried: {written.statistics.programs} programs" in out
