"""Hypothesis strategies of programs, for anyone's own `@given` test.

    from conformance.strategies import programs

    @given(programs(["mul", "sin"]))
    def test_mine(program):
        assert conformance.replay(program, "mine") == "FIXED"

What fails shrinks to few steps: the programs are decoded from bytes, of which zeros mean "no step".
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from hypothesis import strategies as st

from conformance import engines, generate
from conformance.decoder import SHORT, SIZE
from conformance.engines.protocol import Level
from conformance.execute import Shapes
from conformance.features import FEATURES
from conformance.program import Program
from conformance.vocabulary import OPERATIONS, Operation

__all__ = ["cells", "programs"]


@lru_cache(maxsize=1)
def _shapes() -> Shapes:
    """What the reference said of shapes; asked once for all strategies."""
    return Shapes(engines.load("torch"))


def _known(names: Collection[str]) -> list[Operation]:
    for name in names:
        if name not in OPERATIONS:
            raise ValueError(f"unknown operation {name!r}; `conformance ops` lists them all")
    return [OPERATIONS[name] for name in names]


def programs(operations: Collection[str] | None = None, *, level: Level = "higher") -> st.SearchStrategy[Program]:
    """Valid programs of up to thirty steps of these operations (by default: of all), which backward ends.

    `level` says how much they ask for: "value", "gradient", "higher" (order), "behaviour" (of autograd) or "look".
    Raises ValueError for an unknown operation.
    """
    chosen = list(OPERATIONS.values()) if operations is None else _known(operations)
    if not chosen:
        raise ValueError("programs need at least one operation")
    target = generate.Target("free", level=level)

    def decoded(data: bytes) -> Program:
        return generate.decode(data, target, _shapes(), chosen)[0]

    return st.binary(min_size=SIZE, max_size=SIZE).map(decoded).filter(lambda p: bool(p.steps))


def cells(operation: str, feature: str = "float64", *, level: Level = "look") -> st.SearchStrategy[Program]:
    """Programs that apply one operation with a feature ("float32", "broadcast", "0-d", "order 2", …).

    Raises ValueError for an unknown operation or feature. Where an operation cannot have the feature, nothing is drawn.
    """
    (known,) = _known([operation])
    if feature not in FEATURES:
        raise ValueError(f"unknown feature {feature!r}; there are {', '.join(FEATURES)}")
    target = generate.Target("cell", operation, feature, level=level)

    def decoded(data: bytes) -> Program | None:
        program, meant = generate.decode(data, target, _shapes(), [known])
        return program if meant else None

    drawn = st.binary(min_size=SHORT, max_size=SHORT).map(decoded)
    return drawn.filter(lambda program: program is not None)  # type: ignore[return-value]
