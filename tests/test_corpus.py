"""The behaviour corpus as a level of a run: what results hold of it, what the gate and the reports say."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console

import conformance
from conformance import behaviour, gate, results
from conformance.behaviour import Snippet
from conformance.isolation import Settings, Worker
from conformance.merge import join
from conformance.report import Report
from conformance.reporting.console import print_report
from conformance.reporting.github import commands
from conformance.reporting.html import to_html
from conformance.reporting.junit import to_junit
from conformance.reporting.markdown import to_markdown
from conformance.results import Results
from conformance.search import Recital

#: Programs that tell torch and minigrad apart by their names, so that the outcome of each is known.
SNIPPETS = (
    Snippet("one", "named", "1\nprint(len(torch.__name__))\n"),
    Snippet("one", "same", "x = torch.ones(2, requires_grad=True)\nx * 2\n"),
    Snippet("two", "listed", "len(torch.__name__)\n"),
    Snippet("two", "mended", "2 + 2\n"),
)
LISTED = {"two/listed": "its name is longer", "two/mended": "it could not add"}


@pytest.fixture(scope="module", autouse=True)
def corpus() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(behaviour, "load", lambda: SNIPPETS)
        patch.setattr(behaviour, "exceptions", lambda engine: LISTED if engine == "minigrad" else {})
        yield


def run(engine: str = "minigrad", shard: tuple[int, int] | None = None) -> Results:
    return conformance.check(engine, examples=1, level="corpus", shard=shard, expectations=()).results


@pytest.fixture(scope="module")
def whole(corpus: None) -> Results:
    return run()


def test_results_hold_each_topic_and_what_differs(whole: Results) -> None:
    (record,) = whole.corpus
    counts = {topic.name: (topic.same, topic.differs, topic.known, topic.stale) for topic in record.topics}
    assert counts == {"one": (1, 1, 0, 0), "two": (0, 0, 1, 1)}
    named, listed, mended = record.programs
    assert named.statements == (results.Statement(source="print(len(torch.__name__))", expected="5", actual="8"),)
    assert (listed.status, listed.reason) == ("known", LISTED["two/listed"])
    assert (mended.status, mended.statements) == ("stale", ())
    assert results.loads(results.dumps(whole)) == whole
    assert whole.exit_code == gate.Exit.FINDING
    assert whole.reasons[:2] == (
        "corpus: 1 program of minigrad unlike torch (one/named)",
        "stale-exception: 1 program listed as different in minigrad and like torch now (two/mended)",
    )


def test_shards_come_to_the_whole(whole: Results) -> None:
    shards = [(str(i), run(shard=(i, 2))) for i in (1, 2)]
    assert [sum(topic.programs for topic in part.corpus[0].topics) for _, part in shards] == [2, 2]
    assert join(shards).corpus == whole.corpus
    assert join(shards).reasons == whole.reasons


def test_it_is_asked_for_and_only_where_it_applies(whole: Results) -> None:
    other = run(f"{Path(__file__).parent / 'engines' / 'micro.py'}:Micro")
    plain = msgspec.structs.replace(
        whole, configuration=msgspec.structs.replace(whole.configuration, level=""), corpus=()
    )
    for found, said in ((plain, "not run"), (other, "not applicable: micro does not mirror torch's module")):
        assert not found.corpus
        assert said in to_html(found).replace("&#39;", "'").replace(">N", ">n")
        assert said in to_markdown(found).replace("\nN", "\nn")
        assert "corpus" not in to_junit(found)


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("import os\nos._exit(3) if torch.__name__ == 'minigrad' else 'alive'\n", "exit code 3"),
        ("raise SystemExit(0) if torch.__name__ == 'minigrad' else ValueError\n", "exit code 0"),
    ],
)
def test_a_program_that_ends_the_process_differs(source: str, how: str) -> None:
    worker = Worker(Settings(engine="minigrad"))
    try:
        found = worker.perform(Recital(Snippet("one", "fatal", source), "minigrad"))
        after = worker.perform(Recital(SNIPPETS[1], "minigrad"))
    finally:
        worker.dispose()
    assert found.result.status == "differs"  # type: ignore[union-attr]
    assert [(d.statement, d.second) for d in found.result.differences] == [(source.rstrip(), how)]  # type: ignore[union-attr]
    assert after.result.status == "same"  # type: ignore[union-attr]


def test_each_report_shows_it(whole: Results) -> None:
    html, markdown = to_html(whole), to_markdown(whole)
    for text in ("one/named", "print(len(torch.__name__))", "two/listed", "its name is longer", "two/mended"):
        assert text in html
        assert text in markdown.replace("\\_", "_")
    assert re.search(r"\| all +\| +4 +\| +1 +\| +1 +\| +1 +\| +1 +\|", markdown)
    root = ElementTree.fromstring(to_junit(whole))
    cases = {c.get("name"): c for c in root.iter("testcase") if c.get("classname") == "conformance.minigrad.corpus"}
    assert set(cases) == {"one", "one/named", "two/listed", "two/mended"}
    failed = {name for name, case in cases.items() if case.find("failure") is not None}
    assert failed == {"one/named", "two/mended"}
    assert cases["two/listed"].find("skipped") is not None
    out = io.StringIO()
    print_report(whole, Console(file=out, width=200, no_color=True))
    assert "behaviour corpus: one/named" in out.getvalue()
    assert re.search(r"torch +minigrad\n[ -]+\n +5 +8", out.getvalue())
    assert sum("title=behaviour" in line for line in commands(whole, Path())) == 2


def test_compare_tells_what_behaves_otherwise(whole: Results) -> None:
    (record,) = whole.corpus
    better = msgspec.structs.replace(whole, corpus=(msgspec.structs.replace(record, programs=record.programs[1:]),))
    worse = conformance.compare(Report(better), Report(whole))
    assert (worse.unlike, worse.like, worse.exit_code) == ((("minigrad", "one/named"),), (), 1)
    mended = conformance.compare(Report(whole), Report(better))
    assert (mended.unlike, mended.like, mended.exit_code) == ((), (("minigrad", "one/named"),), 0)
    less = conformance.compare(Report(whole), Report(msgspec.structs.replace(whole, corpus=())))
    assert less.lost == (("minigrad", "behaviour corpus", "one"), ("minigrad", "behaviour corpus", "two"))
    assert (less.like, less.exit_code) == ((), 4)
