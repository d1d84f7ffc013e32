"""The page of operations, and the figures, are what the declarations say."""

from __future__ import annotations

from pathlib import Path

from minigrad import operations
from minigrad._op import OPS

PAGE = Path(operations.__file__).with_name("OPERATIONS.md")


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == operations.page(), "run: python -m minigrad.operations > minigrad/OPERATIONS.md"


def test_every_expected_operation_is_there() -> None:
    assert len(set(operations.EXPECTED)) == len(operations.EXPECTED) == 306
    assert [name for name in operations.EXPECTED if not operations.has(name)] == []


def test_a_rule_is_shown_as_it_is_written() -> None:
    assert operations.rule(OPS["sin"].formulas["self"]) == "grad * xp.cos(self)"
    assert operations.rule(OPS["div"].formulas["self"]) != operations.rule(OPS["div"].formulas["other"])
    for op in OPS.values():
        for formula in op.formulas.values():
            assert operations.rule(formula)


def test_figures_count_each_operation_once() -> None:
    found = operations.figures()
    assert found.rules == sum(len(op.formulas) for op in OPS.values())
    assert 400 < found.operations < len({*operations.PUBLIC})
    assert found.formulas < found.code < found.lines


def test_a_rule_takes_one_to_four_lines() -> None:
    assert 1 <= operations.figures().lines_per_rule <= 4


def test_lines_of_code_leave_out_documentation() -> None:
    text = '"""Text."""\n\n# why\nx = (\n    1,  # one\n)\n\ndef f():\n    """Doc."""\n    return ""\n'
    assert operations._lines_of_code(text) == 5


def test_most_of_what_torch_differentiates_is_there() -> None:
    """Against the file that torch's own autograd is generated from."""
    have, lack = operations.beside_torch()
    assert not set(have) & set(lack)
    assert {"sin", "linalg_inv_ex", "nll_loss", "upsample_bicubic2d"} <= {*have, *lack}
    assert len(have) / (len(have) + len(lack)) > 0.85
