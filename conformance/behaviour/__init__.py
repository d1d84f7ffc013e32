"""The behaviour corpus: short programs whose same source runs under torch and under an engine that mirrors it.

A program is what a person would type at a prompt: its top-level statements run one after another, and what each one
shows is kept: what it prints, the value of an expression (unless None), warnings, and the error that ended it (the next
statement runs all the same). Two modules behave alike when every statement shows the same text.

The corpus lies in `corpus/TOPIC.txt`. A line `## name` begins a program; its source goes on to the next such line. The
names `torch` (the module under test), `Variable` and `np` are there already. To add a program, write it; nothing is
recorded, since torch itself is run for comparison.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Any, Literal

import msgspec
import numpy as np

HEADER = "## "
FILENAME = "<program>"


class Snippet(msgspec.Struct, frozen=True):
    """One program of the corpus; `id` names it everywhere."""

    topic: str
    name: str
    source: str

    @property
    def id(self) -> str:
        """`topic/name`."""
        return f"{self.topic}/{self.name}"


class Shown(msgspec.Struct, frozen=True):
    """What one top-level statement of a program showed."""

    statement: str
    text: str


class Outcome(msgspec.Struct, frozen=True):
    """What a program showed, statement by statement."""

    shown: tuple[Shown, ...]

    def __str__(self) -> str:
        """The program as a session at the prompt."""
        lines = []
        for each in self.shown:
            lines.append(">>> " + each.statement.replace("\n", "\n... "))
            lines.extend([each.text] if each.text else [])
        return "\n".join(lines)


class Difference(msgspec.Struct, frozen=True):
    """A statement that showed one text in a first run and another in a second."""

    statement: str
    first: str
    second: str

    def __str__(self) -> str:
        return f">>> {self.statement}\n  first:  {self.first or '(nothing)'}\n  second: {self.second or '(nothing)'}"


class Result(msgspec.Struct, frozen=True):
    """How one program fared: `known` differs and is listed with its `reason`, `stale` is listed but differs no more."""

    id: str
    status: Literal["same", "differs", "known", "stale"]
    differences: tuple[Difference, ...] = ()
    reason: str = ""


@cache
def load() -> tuple[Snippet, ...]:
    """Every program of the corpus, by topic, in the order of its file."""
    folder = resources.files(__name__) / "corpus"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".txt")), key=lambda each: each.name)
    return tuple(
        snippet for each in files for snippet in parse(each.name.removesuffix(".txt"), each.read_text("utf-8"))
    )


def parse(topic: str, text: str) -> tuple[Snippet, ...]:
    """The programs of one corpus file; ValueError for text before the first header or a name used twice."""
    before, *blocks = re.split(rf"^{HEADER}", text, flags=re.MULTILINE)
    if any(line and not line.startswith("# ") for line in before.splitlines()):
        raise ValueError(f"{topic}: only comments may stand before the first line that begins with {HEADER!r}")
    snippets = []
    for block in blocks:
        name, _, source = block.partition("\n")
        snippets.append(Snippet(topic, name.strip(), source.strip() + "\n"))
    names = [each.name for each in snippets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{topic}: more than one program is named {twice[0]!r}")
    return tuple(snippets)


@cache
def exceptions(engine: str) -> dict[str, str]:
    """The programs that are known to differ under an engine, each with its reason, by id."""
    text = (resources.files(__name__) / "exceptions.toml").read_text("utf-8")
    return dict(tomllib.loads(text).get(engine, {}))


def run(snippet: Snippet, module: ModuleType) -> Outcome:
    """Run a program with `module` as its torch, in a namespace of its own.

    Whatever the program raises is part of the outcome. Warnings are never suppressed as repetitions.
    """
    namespace: dict[str, Any] = {
        "__name__": "__main__",
        "torch": module,
        "Variable": module.autograd.Variable,
        "np": np,
    }
    shown = []
    lines = snippet.source.splitlines()
    with _usual_settings(module):
        for node in ast.parse(snippet.source, FILENAME).body:
            text = normalise(_show(node, namespace), module.__name__)
            shown.append(Shown(_source(lines, node), text))
    return Outcome(tuple(shown))


@contextlib.contextmanager
def _usual_settings(module: ModuleType) -> Iterator[None]:
    """Every warning while a program runs (torch gives some only once), and no setting of it for the next program."""
    repeat = getattr(module, "set_warn_always", lambda _: None)
    repeat(True)
    try:
        yield
    finally:
        repeat(False)
        with contextlib.suppress(AttributeError):  # of an engine that lacks a setting
            module.set_grad_enabled(True)
            module.set_default_dtype(module.float32)
            module.set_default_device(None)
            module.set_printoptions(profile="default")
            module.autograd.set_detect_anomaly(False)


def _source(lines: Sequence[str], node: ast.stmt) -> str:
    """The text of a statement, with its decorators; a line that holds several statements is cut at their ends."""
    decorators = getattr(node, "decorator_list", [])
    first = decorators[0].lineno if decorators else node.lineno
    text = list(lines[first - 1 : node.end_lineno])
    text[-1] = text[-1].encode()[: node.end_col_offset].decode()  # offsets count bytes
    if not decorators:
        text[0] = text[0].encode()[node.col_offset :].decode()
    return "\n".join(text)


def _show(node: ast.stmt, namespace: dict[str, Any]) -> str:
    output = io.StringIO()

    def show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
        print(f"{category.__name__}: {message}", file=output)

    with contextlib.redirect_stdout(output), warnings.catch_warnings():
        warnings.simplefilter("always")
        # numpy 2 tells off torch for its methods of numpy 1's form: nothing that a program asked for.
        warnings.filterwarnings("ignore", "__array(_wrap)?__ ", DeprecationWarning)
        # torch tells off itself for how it loads its forward derivatives.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        warnings.showwarning = show_warning  # type: ignore[assignment]
        try:
            if isinstance(node, ast.Expr):
                value = eval(compile(ast.Expression(node.value), FILENAME, "eval"), namespace)
                if value is not None:
                    print(repr(value), file=output)
            else:
                exec(compile(ast.Module([node], []), FILENAME, "exec"), namespace)
        except Exception as error:  # noqa: BLE001 – what a program raises is what it shows
            print(f"{type(error).__name__}: {error}", file=output)
    return output.getvalue().rstrip("\n")


_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
_ORIGIN = re.compile(r" \(Triggered internally at [^)]*\)")
_FRAME = re.compile(r'^  File "(?P<file>[^"]*)", line \d+.*\n(?:    .*\n)*', re.MULTILINE)


def normalise(text: str, module: str) -> str:
    """The text without what no two runs share: addresses, the module's own name, stack frames outside the program."""
    text = _FRAME.sub(lambda frame: frame[0] if frame["file"] == FILENAME else "", text)
    text = _ORIGIN.sub("", _ADDRESS.sub("0x…", text))
    return re.sub(rf"\b{module}\b", "torch", text)


def compare(first: Outcome, second: Outcome) -> tuple[Difference, ...]:
    """The statements that showed different texts; empty when the two runs of one program look the same."""
    return tuple(
        Difference(a.statement, a.text, b.text)
        for a, b in zip(first.shown, second.shown, strict=True)
        if a.text != b.text
    )


def check(snippet: Snippet, engine: ModuleType, reference: ModuleType) -> Result:
    """Run a program under the reference and under an engine that mirrors it (its name finds its exceptions)."""
    return _judged(snippet, engine.__name__, compare(run(snippet, reference), run(snippet, engine)))


def broken(snippet: Snippet, engine: str, how: str) -> Result:
    """The result of a program that ended the process, or held it up, under the module of this name."""
    return _judged(snippet, engine, (Difference(snippet.source.rstrip(), "", how),))


def _judged(snippet: Snippet, engine: str, differences: tuple[Difference, ...]) -> Result:
    reason = exceptions(engine).get(snippet.id, "")
    if reason:
        return Result(snippet.id, "known" if differences else "stale", differences, reason)
    return Result(snippet.id, "differs" if differences else "same", differences)


def check_all(engine: ModuleType, reference: ModuleType) -> Iterator[Result]:
    """The whole corpus, program by program: one conformance level."""
    return (check(snippet, engine, reference) for snippet in load())
