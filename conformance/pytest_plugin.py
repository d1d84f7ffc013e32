"""The suite inside pytest: `pytest --conformance-engine=SPEC` adds one test for each operation.

Without that option nothing is added and nothing is imported. Each test draws programs that apply its operation with
each feature that the engine claims, through Hypothesis, which shrinks what fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.blame import Bench


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("conformance", "conformance of autograd engines to torch")
    group.addoption(
        "--conformance-engine",
        action="append",
        default=[],
        metavar="SPEC",
        help="test this engine: a registered name, package.module:Attribute or ./file.py:Attribute (may be repeated)",
    )
    group.addoption(
        "--conformance-examples",
        type=int,
        default=5,
        metavar="N",
        help="programs for each operation with each feature (default: 5)",
    )
    group.addoption("--conformance-seed", type=int, default=0, metavar="N", help="seed of the programs (default: 0)")


@pytest.hookimpl(tryfirst=True)  # before -k and the like choose among the items
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the tests that are asked for."""
    for spec in config.getoption("--conformance-engine"):
        items.extend(_items(session, spec))


def _items(session: pytest.Session, spec: str) -> Iterator[pytest.Item]:
    from conformance import engines
    from conformance.blame import Bench
    from conformance.vocabulary import OPERATIONS

    try:
        engine = engines.load(spec)
    except engines.EngineError as error:
        raise pytest.UsageError(str(error)) from None
    bench = Bench(engine, engines.load("torch"))
    home = _Engine.from_parent(session, name=f"conformance[{engine.name}]", nodeid=f"conformance[{engine.name}]")
    for operation in OPERATIONS:
        yield _Operation.from_parent(home, name=operation, bench=bench)


class _Engine(pytest.Collector):
    """The parent of an engine's tests."""

    def collect(self) -> list[pytest.Item]:
        """Nothing: its items are added at once."""
        return []


class DifferenceError(AssertionError):
    """An engine differs from torch on a program."""


class _Operation(pytest.Item):
    """The test of one operation."""

    def __init__(self, *, bench: Bench, **given: Any) -> None:
        super().__init__(**given)
        self.bench = bench

    def runtest(self) -> None:
        """Draw programs for each feature, and fail with the smallest that differs."""
        if not self.bench.engine.supports(self.name):
            pytest.skip(f"{self.bench.engine.name} does not offer {self.name}")
        from conformance import engines, execute, generate
        from conformance.vocabulary import OPERATIONS

        level = engines.levels(self.bench.engine)[-1]
        shapes = execute.Shapes(self.bench.reference)
        for operation, feature in generate.cells([OPERATIONS[self.name]], shapes, level):
            self._try(operation, feature, level)

    def _try(self, operation: str, feature: str, level: Any) -> None:
        from hypothesis import HealthCheck, given, seed, settings

        from conformance import execute
        from conformance.script import body
        from conformance.strategies import cells

        bench, option = self.bench, self.config.getoption

        @seed(option("--conformance-seed"))
        @settings(
            max_examples=option("--conformance-examples"),
            database=None,
            deadline=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(cells(operation, feature, level=level))
        def agrees(program: Any) -> None:
            with execute.quiet():
                found = bench.mismatch(program)
            if found is not None:
                d = found.difference
                said = f"{operation} × {feature}: {d.what} should be {d.expected}, got {d.actual}"
                raise DifferenceError(f"{said}\n\n{body(program)}")

        agrees()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What differs and the program that shows it, without a traceback through the suite."""
        if isinstance(excinfo.value, DifferenceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Where the test is said to be."""
        return self.nodeid, None, self.nodeid
