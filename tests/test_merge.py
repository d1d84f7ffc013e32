"""Results of shards and of several engines put together."""

from __future__ import annotations

import msgspec
from sample_results import finding, results

from conformance.gate import Exit
from conformance.merge import merge
from conformance.results import Pairs


def test_shards_of_an_engine_add_up() -> None:
    clean, failed = results(), results(finding(), finding("f-two"))
    other = msgspec.structs.replace(
        failed, pairs=(Pairs(engine="micro", operations=("add", "mul"), rows=("0", "3"), covered=2, possible=4),)
    )
    whole = merge([clean, other, failed])
    assert len(whole.engines) == 1
    assert [(c.programs, c.mismatches) for c in whole.cells] == [(120, 0), (120, 0), (120, 14)]
    assert (whole.pairs[0].rows, whole.pairs[0].covered, whole.pairs[0].possible) == (("3", "3"), 4, 4)
    assert {f.id: f.met for f in whole.findings} == {"f-one": 28, "f-two": 28}
    assert whole.statistics.programs == 3 * clean.statistics.programs
    assert (whole.exit_code, whole.complete) == (Exit.FINDING, True)


def test_a_partial_part_makes_the_whole_partial() -> None:
    whole = merge([results(), msgspec.structs.replace(results(), complete=False)])
    assert (whole.exit_code, whole.complete) == (Exit.INTERRUPTED, False)


def test_engines_stay_apart() -> None:
    first = results(finding())
    second = results()
    second = msgspec.structs.replace(
        second,
        engines=tuple(msgspec.structs.replace(engine, name="other") for engine in second.engines),
        cells=tuple(msgspec.structs.replace(cell, engine="other") for cell in second.cells),
        pairs=tuple(msgspec.structs.replace(pairs, engine="other") for pairs in second.pairs),
    )
    whole = merge([first, second])
    assert [engine.name for engine in whole.engines] == ["micro", "other"]
    assert sum(cell.mismatches for cell in whole.cells if cell.engine == "other") == 0
    assert whole.reasons == ("finding: 1 cause of difference from torch in micro",)
