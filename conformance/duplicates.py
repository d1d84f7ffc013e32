"""How many programs were equal to an earlier one, in bounded memory, and the same for any order or sharding.

Programs are hashed. Of the hashes, only those are kept that are divisible by a power of two, which grows as they become
too many: up to `KEPT` different programs the count is exact, beyond it an estimate.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

import msgspec

from conformance.program import Program

KEPT = 4096
_ENCODER = msgspec.msgpack.Encoder()


def fingerprint(program: Program) -> int:
    """A number for a program, the same in every process."""
    return int.from_bytes(hashlib.blake2b(_ENCODER.encode(program), digest_size=8).digest())


class Sketch(msgspec.Struct, frozen=True):
    """Which of the sampled hashes were met, as hexadecimal text, and how often; one of 2**level is sampled."""

    level: int = 0
    met: dict[str, int] = {}


class Duplicates:
    """Counts. The state depends on what was added, not on the order."""

    def __init__(self) -> None:
        self._level = 0
        self._met: Counter[int] = Counter()

    def add(self, hashes: Iterable[int]) -> None:
        """Count programs by their `fingerprint`."""
        mask = (1 << self._level) - 1
        self._met.update(h for h in hashes if not h & mask)
        self._shrink()

    def merge(self, sketch: Sketch) -> None:
        """Add what another one counted."""
        self._level = max(self._level, sketch.level)
        self._met.update({int(text, 16): count for text, count in sketch.met.items()})
        self._sample()
        self._shrink()

    def _shrink(self) -> None:
        while len(self._met) > KEPT:
            self._level += 1
            self._sample()

    def _sample(self) -> None:
        mask = (1 << self._level) - 1
        self._met = Counter({h: count for h, count in self._met.items() if not h & mask})

    @property
    def sketch(self) -> Sketch:
        """The state, to be merged elsewhere."""
        return Sketch(self._level, {f"{h:x}": count for h, count in sorted(self._met.items())})

    @property
    def count(self) -> int:
        """How many programs were met before."""
        return (sum(self._met.values()) - len(self._met)) << self._level


def total(sketches: Iterable[Sketch]) -> int:
    """Duplicates among all that the sketches counted."""
    together = Duplicates()
    for sketch in sketches:
        together.merge(sketch)
    return together.count
