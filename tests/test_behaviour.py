"""The behaviour corpus: the same source under torch and under minigrad, and what each statement shows."""

from types import ModuleType

import pytest
import torch

import minigrad
from conformance import behaviour

CORPUS = behaviour.load()
KNOWN = behaviour.exceptions("minigrad")


@pytest.mark.parametrize("snippet", CORPUS, ids=lambda snippet: snippet.id)
def test_a_program_shows_the_same_under_torch_and_minigrad(snippet: behaviour.Snippet) -> None:
    result = behaviour.check(snippet, minigrad, torch)
    assert result.status != "stale", f"exceptions.toml says that this differs, and it does not: {result.reason}"
    assert result.status in ("same", "known"), "\n".join(
        ["torch is first, minigrad second", *map(str, result.differences)]
    )


def test_the_corpus_is_wide_and_its_exceptions_few() -> None:
    assert len(CORPUS) >= 450
    assert set(KNOWN) <= {snippet.id for snippet in CORPUS}, "an exception names no program"
    assert len(KNOWN) <= 0.02 * len(CORPUS)


@pytest.mark.parametrize("snippet", CORPUS, ids=lambda snippet: snippet.id)
def test_a_program_is_written_for_any_module(snippet: behaviour.Snippet) -> None:
    shown = behaviour.run(snippet, torch).shown
    assert any(each.text for each in shown), "shows nothing, so it can never differ"
    assert not any(each.text.startswith(("NameError", "SyntaxError")) for each in shown)
    assert "import torch" not in snippet.source
    assert behaviour.run(snippet, torch).shown == shown, "answers differently each time"


def snippet(source: str) -> behaviour.Snippet:
    return behaviour.Snippet("topic", "name", source)


def text(source: str, module: ModuleType = torch) -> list[str]:
    return [each.text for each in behaviour.run(snippet(source), module).shown]


def test_each_statement_shows_values_prints_warnings_and_errors_in_order() -> None:
    assert text("import warnings\nprint(1) or warnings.warn('w') or 2\n1 / 0\nNone\n[3]") == [
        "",
        "1\nUserWarning: w\n2",
        "ZeroDivisionError: division by zero",
        "",
        "[3]",
    ]


def test_addresses_origins_frames_and_module_names_are_alike() -> None:
    assert behaviour.normalise("<X object at 0x7f00aa> 0xff", "minigrad") == "<X object at 0x…> 0xff"
    assert behaviour.normalise("<class 'minigrad.Tensor'> minigrads", "minigrad") == "<class 'torch.Tensor'> minigrads"
    assert behaviour.normalise("text (Triggered internally at /x/y.cpp:3.)", "torch") == "text"
    frames = '  File "/a.py", line 1, in f\n    code\n  File "<program>", line 2, in g\n'
    assert behaviour.normalise(frames, "torch") == '  File "<program>", line 2, in g\n'


def test_a_difference_names_its_statement() -> None:
    program = snippet("x = torch.ones(2)\nx\ntype(x).__mro__[-1]")
    first = behaviour.run(program, torch)
    fake = behaviour.Outcome((*first.shown[:1], behaviour.Shown("x", "tensor([2., 2.])"), *first.shown[2:]))
    assert behaviour.compare(first, first) == ()
    assert behaviour.compare(first, fake) == (behaviour.Difference("x", "tensor([1., 1.])", "tensor([2., 2.])"),)
    assert str(first).startswith(">>> x = torch.ones(2)\n>>> x\ntensor([1., 1.])\n>>> type")


def test_programs_do_not_see_each_other() -> None:
    assert text("leaked = 1") == [""]
    assert text("leaked") == ["NameError: name 'leaked' is not defined"]


def test_a_program_leaves_no_setting_to_the_next() -> None:
    text("off = torch.set_grad_enabled(False)\ntorch.set_default_dtype(torch.float64)")
    text("torch.set_printoptions(precision=1)\nfor_ever = torch.autograd.set_detect_anomaly(True)")
    assert text("torch.is_grad_enabled(), torch.tensor(1.25), torch.is_anomaly_enabled()") == [
        "(True, tensor(1.2500), False)"
    ]


@pytest.mark.parametrize(
    ("corpus", "message"),
    [("x = 1\n## a\nx", "only comments"), ("## a\n1\n## a\n2", "more than one program is named 'a'")],
)
def test_a_malformed_corpus_is_refused(corpus: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        behaviour.parse("topic", corpus)
