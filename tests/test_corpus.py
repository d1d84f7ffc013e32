"""The behaviour corpus as a level of a run: what results hold of it, what the gate and the reports say."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console

import conformance
from conformance import behaviour, gate, results
from conformance.behaviour import Snippet
from conformance.merge import join
from conformance.reporting.console import print_report
from conformance.reporting.github import commands
from conformance.reporting.html import to_html
from conformance.reporting.junit import to_junit
from conformance.reporting.markdown import to_markdown
from conformance.results import Results

#: Programs that tell torch and minigrad apart by their names, so that the outcome of each is known.
SNIPPETS = (
    Snippet("one", "same", "x = torch.ones(2, requires_grad=True)\nx * 2\n"),
    Snippet("one", "named", "1\nprint(len(torch.__name__))\n"),
    Snippet("two", "listed", "len(torch.__name__)\n"),
    Snippet("two", "mended", "2 + 2\n"),
)
LISTED = {"two/listed": "its name is longer", "two/mended": "it could not add"}


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behaviour, "load", lambda: SNIPPETS)
    monkeypatch.setattr(behaviour, "exceptions", lambda engine: LISTED if engine == "minigrad" else {})


def run(**options: object) -> Results:
    return conformance.check("minigrad", examples=20, level="corpus", **options).results  # type: ignore[arg-type]


def test_results_hold_each_topic_and_what_differs(corpus: None) -> None:
    found = run()
    (record,) = found.corpus
    counts = {topic.name: (topic.same, topic.differs, topic.known, topic.stale) for topic in record.topics}
    assert counts == {"one": (1, 1, 0, 0), "two": (0, 0, 1, 1)}
    named, listed, mended = record.programs
    assert named.statements == (results.Statement(source="print(len(torch.__name__))", expected="5", actual="8"),)
    assert (listed.status, listed.reason) == ("known", LISTED["two/listed"])
    assert (mended.status, mended.statements) == ("stale", ())
    assert results.loads(results.dumps(found)) == found
    assert found.exit_code == gate.Exit.FINDING
    said = [reason for reason in found.reasons if reason.startswith(("corpus:", "stale-exception:"))]
    assert said == [
        "corpus: 1 program of minigrad unlike torch (one/named)",
        "stale-exception: 1 program listed as different in minigrad and like torch now (two/mended)",
    ]


def test_shards_come_to_the_whole(corpus: None) -> None:
    shards = [(str(i), run(shard=(i, 2))) for i in (1, 2)]
    assert [sum(topic.programs for topic in part.corpus[0].topics) for _, part in shards] == [2, 2]
    whole = run()
    assert join(shards).corpus == whole.corpus
    assert join(shards).reasons == whole.reasons


def test_it_is_asked_for_and_only_where_it_applies(corpus: None) -> None:
    micro = str(Path(__file__).parent / "engines" / "micro.py") + ":Micro"
    plain = conformance.check("minigrad", examples=20).results
    other = conformance.check(micro, examples=20, level="corpus").results
    assert plain.corpus == other.corpus == ()
    for found, said in ((plain, "not run"), (other, "not applicable: micro does not mirror torch's module")):
        assert said.lower() in to_html(found).replace("&#39;", "'").lower()
        assert said.lower() in to_markdown(found).lower()
        assert "corpus" not in to_junit(found)


def test_a_program_that_ends_the_process_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    fatal = Snippet("one", "fatal", "import os\nos._exit(3) if torch.__name__ == 'minigrad' else 'alive'\n")
    monkeypatch.setattr(behaviour, "load", lambda: (SNIPPETS[0], fatal, SNIPPETS[1]))
    (record,) = run(jobs=1).corpus
    assert record.topics[0].same == 1
    assert {program.id for program in record.programs} == {"one/fatal", "one/named"}
    (statement,) = record.programs[0].statements
    assert (statement.source, statement.actual) == (fatal.source.rstrip(), "exit code 3")


def test_each_report_shows_it(corpus: None) -> None:
    found = run()
    html, markdown = to_html(found), to_markdown(found)
    for text in ("one/named", "print(len(torch.__name__))", "two/listed", "its name is longer", "two/mended"):
        assert text in html
        assert text in markdown
    assert re.search(r"\| all +\| +4 \| +1 \| +1 \| +1 \| +1 \|", markdown)
    root = ElementTree.fromstring(to_junit(found))
    cases = {c.get("name"): c for c in root.iter("testcase") if c.get("classname") == "conformance.minigrad.corpus"}
    assert set(cases) == {"one", "one/named", "two/listed", "two/mended"}
    assert [cases[name].find("failure") is not None for name in sorted(cases)] == [False, True, False, True]
    assert cases["two/listed"].find("skipped") is not None
    out = io.StringIO()
    print_report(found, Console(file=out, width=200, no_color=True))
    assert "behaviour corpus: one/named" in out.getvalue()
    assert re.search(r"torch +minigrad\n[ -]+\n +5 +8", out.getvalue())
    lines = commands(found, Path())
    assert sum("title=behaviour" in line for line in lines) == 2


def test_compare_tells_what_behaves_otherwise(corpus: None) -> None:
    new = run()
    (record,) = new.corpus
    better = msgspec.structs.replace(
        new, corpus=(msgspec.structs.replace(record, programs=record.programs[1:]),), findings=new.findings
    )
    load = conformance.Report
    worse = conformance.compare(load(better), load(new))
    assert (worse.unlike, worse.like, worse.exit_code) == ((("minigrad", "one/named"),), (), 1)
    mended = conformance.compare(load(new), load(better))
    assert (mended.unlike, mended.like, mended.exit_code) == ((), (("minigrad", "one/named"),), 0)
    less = conformance.compare(load(new), load(msgspec.structs.replace(new, corpus=())))
    assert less.lost == (("minigrad", "behaviour corpus", "one"), ("minigrad", "behaviour corpus", "two"))
    assert (less.like, less.exit_code) == ((), 4)
