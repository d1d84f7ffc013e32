"""Many processes, shards and machines: the same results; and engines that end, hold up or fill a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engines.fatal import Few
from engines.ten import FAULTS
from sample_results import finding, results

import conformance
from conformance import campaign, executors, generate, isolation
from conformance import results as records
from conformance.cli import main
from conformance.duplicates import KEPT, Duplicates
from conformance.engines import load
from conformance.gate import Exit, judge
from conformance.merge import join
from conformance.results import Results
from conformance.vocabulary import OPERATIONS

HERE = Path(__file__).parent / "engines"
MICRO = f"{HERE / 'micro.py'}:Micro"
FATAL = f"{HERE / 'fatal.py'}"
EXAMPLES = 1500


def timeless(found: Results) -> Results:
    """All that must not depend on who did what when."""
    engines = tuple(msgspec.structs.replace(e, seconds=0.0, reference_seconds=0.0) for e in found.engines)
    return msgspec.structs.replace(found, timings=records.Timings(), started="", engines=engines)


@pytest.fixture(scope="module")
def whole() -> Results:
    """The results of a run in this process."""
    found = conformance.check(MICRO, examples=EXAMPLES, seed=3).results
    assert found.findings
    return found


class Backwards(Executor):
    """Does what was submitted last first."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1)
        self.waiting: list[tuple[Future[Any], Callable[..., Any], Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, fn, args))
        self.thread.submit(self.do_last)
        return future

    def do_last(self) -> None:
        future, fn, args = self.waiting.pop()
        future.set_result(fn(*args))


def test_jobs_and_order_change_nothing(whole: Results) -> None:
    assert timeless(conformance.check(MICRO, examples=EXAMPLES, seed=3, jobs=2).results) == timeless(whole)
    engine, reference = load(MICRO), load("torch")
    run = campaign.Campaign(engine, spec=MICRO, examples=EXAMPLES, seed=3)
    crew = executors.inline(engine, reference)
    backwards = executors.Crew(Backwards(), crew.perform, 20, 0)
    assert timeless(run.run(backwards)) == timeless(whole)


def test_shards_are_joined_to_the_whole(whole: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / str(number) for number in (1, 2, 3)]
    for number, folder in enumerate(folders, 1):
        words = ["run", MICRO, "--examples", str(EXAMPLES), "--seed", "3", "--shard", f"{number}/3", "-o", str(folder)]
        assert main(words) != Exit.USAGE
    capsys.readouterr()
    assert main(["merge", *map(str, reversed(folders)), "-o", str(tmp_path / "all")]) == whole.exit_code
    assert timeless(records.load(tmp_path / "all" / "results.json")) == timeless(whole)
    capsys.readouterr()
    assert main(["merge", str(folders[0]), str(folders[2]), "-o", str(tmp_path / "none")]) == Exit.USAGE
    assert capsys.readouterr().err == "conformance: of 3 shards, 2 is missing\n"
    assert not (tmp_path / "none" / "results.json").exists()


def shard(number: int, of: int = 2, **changes: Any) -> tuple[str, Results]:
    return f"s{number}", msgspec.structs.replace(
        results(finding()), shard=records.Shard(number=number, of=of), **changes
    )


OTHER_SEED = records.Configuration(seed=99, examples=1)
OTHER_TORCH = msgspec.structs.replace(results().versions, torch="9.9")


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        ([shard(1), shard(1)], "s1: is shard 1/2, and so is s1"),
        ([shard(1)], "of 2 shards, 2 is missing"),
        ([shard(1), ("whole", results())], "whole: is not a shard"),
        ([shard(1), shard(2, 3)], "s2: is of another run than s1: its number of shards is 3, not 2"),
        ([shard(1), shard(2, configuration=OTHER_SEED)], "s2: is of another run than s1: its seed is 99, not"),
        ([shard(1), shard(2, versions=OTHER_TORCH)], "s2: is of another run than s1: its version of torch is 9.9, not"),
        ([shard(1), shard(2, engines=())], "s2: is of another run than s1: its engine is"),
    ],
)
def test_what_is_no_run_is_not_joined(shards: list[tuple[str, Results]], said: str) -> None:
    with pytest.raises(records.ResultsError) as caught:
        join(shards)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_by_default_every_cell_and_every_pair_is_tried() -> None:
    report = conformance.check(f"{FATAL}:Few")
    found = report.results
    assert report.ok
    assert all(cell.programs for cell in found.cells if not cell.unsupported)
    (pairs,) = found.pairs
    assert pairs.covered == pairs.possible == 36
    assert found.statistics.discarded < 0.02 * found.statistics.programs
    assert found.statistics.duplicates < 0.05 * found.statistics.programs
    assert found.configuration.examples == found.statistics.programs + found.statistics.discarded


def test_ten_faults_at_once_are_all_found_and_reduced() -> None:
    findings = conformance.check(f"{HERE / 'ten.py'}:Ten", jobs=2, level="higher").findings
    first = {finding.blamed: finding for finding in reversed(findings)}
    assert set(FAULTS) <= set(first)
    assert all(len(first[op].operations) <= 3 for op in FAULTS)
    assert max(first[op].reduction_runs for op in FAULTS) <= 60


def test_duplicates_are_counted_in_bounded_memory_and_in_any_order() -> None:
    numbers = [(i * 0x9E3779B97F4A7C15) % 2**64 for i in range(20_000)]
    drawn = numbers + numbers[:5_000]
    forward, backward, halves = Duplicates(), Duplicates(), Duplicates()
    forward.add(drawn)
    for start in range(len(drawn), 0, -100):
        backward.add(drawn[start - 100 : start])
    for half in (drawn[::2], drawn[1::2]):
        one = Duplicates()
        one.add(half)
        halves.merge(one.sketch)
    assert forward.sketch == backward.sketch == halves.sketch
    assert len(forward.sketch.met) <= KEPT
    assert abs(forward.count - 5_000) < 1_000
    exact = Duplicates()
    exact.add(numbers[:3_000] * 2)
    assert exact.count == 3_000


@pytest.mark.parametrize(
    ("engine", "kind", "told"),
    [("Leaves", "crash", "exit code 0"), ("Segfaults", "crash", "SIGSEGV"), ("Loops", "hang", "no answer for 1 s")],
)
def test_a_fatal_operation_is_a_finding_and_the_search_goes_on(engine: str, kind: str, told: str) -> None:
    spec = f"{FATAL}:{engine}"
    report = conformance.check(spec, examples=20, jobs=2, timeout=1.0)
    (found,) = report.findings
    assert (found.blamed, found.kind, found.operations) == ("tanh", kind, ("tanh",))
    assert told in found.message
    assert found.verdict == "engine wrong"
    assert report.results.exit_code == Exit.FINDING
    tried = {cell.operation for cell in report.results.cells if cell.programs > cell.mismatches}
    assert {"add", "mul", "sin", "sum", "square"} <= tried
    assert conformance.replay(found, "torch") == "FIXED"
    if kind == "crash":
        assert conformance.replay(found, spec) == "FAILED"
        assert found == conformance.check(spec, examples=20, jobs=1).findings[0]


def test_too_much_memory_is_an_error_of_the_engine() -> None:
    settings = isolation.Settings(engine=f"{FATAL}:Eats", memory=200 << 20)
    with executors.processes(settings, 1) as crew:
        found = campaign.Campaign(load(f"{FATAL}:Eats"), examples=20).run(crew)
    assert [(f.blamed, f.kind) for f in found.findings] == [("tanh", "error")]
    assert "MemoryError" in found.findings[0].message


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_level_over_many_programs() -> None:
    pool = isolation.Pool(isolation.Settings(engine=f"{FATAL}:Few"))
    crew = executors.Crew(ThreadPoolExecutor(1), pool.perform, 2, 1)
    seen: list[tuple[int, int, int]] = []

    def watch(progress: conformance.Progress) -> None:
        seen.extend((progress.programs, pid, resident(pid)) for pid in pool.pids)

    try:
        campaign.Campaign(load(f"{FATAL}:Few"), examples=8_000, progress=watch).run(crew)
    finally:
        pool.dispose()
    assert len({pid for _, pid, _ in seen}) == 1
    early = max(size for programs, _, size in seen if 2_000 < programs < 4_000)
    assert seen[-1][0] > 7_000
    assert seen[-1][2] - early < 14 << 20


def test_a_script_needs_no_guard_and_may_come_from_standard_input() -> None:
    code = f"import conformance\nprint(conformance.check({MICRO!r}, examples=8, jobs=1).results.statistics.programs)"
    done = subprocess.run([sys.executable, "-"], check=False, input=code, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("8\n", 0), done.stderr


def test_a_killed_worker_loses_nothing(whole: Results) -> None:
    pool = isolation.Pool(isolation.Settings(engine=MICRO))
    crew = executors.Crew(ThreadPoolExecutor(2), pool.perform, 4, 2)
    killed: list[int] = []

    def kill(progress: conformance.Progress) -> None:
        if len(killed) < 2 and progress.programs > 400 * (len(killed) + 1) and pool.pids:
            killed.append(pool.pids[-1])
            os.kill(killed[-1], signal.SIGKILL)

    run = campaign.Campaign(load(MICRO), spec=MICRO, examples=EXAMPLES, seed=3, progress=kill)
    try:
        assert timeless(run.run(crew)) == timeless(whole)
    finally:
        pool.dispose()
    assert len(killed) == 2


def test_time_is_kept_even_when_everything_differs() -> None:
    generate.cells(list(OPERATIONS.values()))  # worked out once for these sources, which is not of the time
    start = time.monotonic()
    report = conformance.check(f"{HERE / 'wrong.py'}:Wrong", time=6.0, jobs=2)
    took = time.monotonic() - start
    assert report.findings
    assert 5.0 < took < 12.0


def descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, more = set(), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("engine", "presses"), [("Few", 1), ("Loops", 2)])
def test_ctrl_c_leaves_no_process_behind(engine: str, presses: int, tmp_path: Path) -> None:
    words = ["run", f"{FATAL}:{engine}", "--time", "60", "--timeout", "4", "--jobs", "2", "-o", str(tmp_path)]
    with subprocess.Popen([sys.executable, "-m", "conformance", *words], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        assert any("each operation" in line or "pairs" in line for line in running.stderr)
        children = descendants(running.pid)
        for _ in range(presses):
            running.send_signal(signal.SIGINT)
            time.sleep(1.0)
        ended = running.wait(30)
    # The second press may come when all is written already: then it ends the interpreter, which shells show as 130 too.
    assert ended == Exit.INTERRUPTED or (presses == 2 and ended == -signal.SIGINT)
    if presses == 1:
        assert not records.load(tmp_path / "results.json").complete
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(alive, children)):
        time.sleep(0.1)
    assert children
    assert not [pid for pid in children if alive(pid)]


def test_dask_gives_the_same_and_survives_the_loss_of_a_worker(whole: Results) -> None:
    from distributed import LocalCluster

    killed: list[int] = []
    quietly = {"dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quietly) as here:

        def kill(progress: conformance.Progress) -> None:
            if not killed and progress.programs > 300:
                killed.append(here.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

        report = conformance.check(MICRO, examples=EXAMPLES, seed=3, scheduler=here.scheduler_address, progress=kill)
    assert killed
    assert timeless(report.results) == timeless(whole)


def test_a_scheduler_that_is_not_there_is_one_line() -> None:
    with pytest.raises(conformance.EngineError, match=r"tcp://127\.0\.0\.1:1: cannot be reached"):
        conformance.check("torch", examples=1, scheduler="tcp://127.0.0.1:1")


def test_an_engine_that_cannot_be_sent_is_one_line() -> None:
    class Local(Few):
        pass

    with pytest.raises(conformance.EngineError, match="name it as package"):
        conformance.check(Local, examples=1, jobs=1)


def test_coverage_below_the_floor_is_not_enough_evidence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["run", f"{FATAL}:Few", "--min-coverage", "100", "-o", str(tmp_path), "--jobs", "1"]
    assert main([*words, "--examples", "20"]) == Exit.EVIDENCE
    out = capsys.readouterr().out
    assert "reason: coverage:" in out
    assert "sin × " in out
    assert main([*words, "--examples", "300"]) == Exit.PASSED
    part = msgspec.structs.replace(records.load(tmp_path / "results.json"), shard=records.Shard(number=1, of=2))
    assert judge(msgspec.structs.replace(part, cells=())).exit_code == Exit.PASSED
