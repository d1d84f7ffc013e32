"""Compare two observations of one program, as tightly as the program allows.

Equality of bytes is tried first. Then an array passes when its largest difference is within `TIGHT` units of the last
place of its largest expected element: two right engines stay below that on well-conditioned programs. Only when this
fails is the program's own noise measured: the spread of the reference when each inexact result moves by one unit of the
last place, and its distance from the same program in wider and (scaled down) in narrower floats. What stays within that
noise passes; where the noise is so large that a real error could hide in it, the program is counted as ill-conditioned.
So is one where rounding decides on which side of a kink, a jump or a tie an operation is: the reference, given the
engine's own intermediate values (each within `TIGHT` of its own), says there what the engine says.
A difference in None, dtype, shape, nan, inf or error class is always a mismatch.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from conformance.execute import Observation
from conformance.program import Grad, Program
from conformance.results import Difference, Kind

#: Units of the last place of an array's scale within which two right engines agree.
TIGHT = 32.0
#: How much of the measured noise is allowed.
MARGIN = 8.0
#: A difference of at most so many units of the last place, of 1 at least, is `small`.
SMALL = 2.0**14
#: A program whose noise exceeds this many units of the last place is too ill-conditioned to judge.
ILL = 2.0**20


class Mismatch(msgspec.Struct, frozen=True):
    """Two observations of one program that differ: the kind, the observed thing, and the largest difference."""

    kind: Kind
    value: int
    difference: Difference


class Judgement(msgspec.Struct, frozen=True):
    """What comparing came to: a mismatch, or a program too ill-conditioned to judge, or agreement (neither).

    `ulps` is the largest difference that passed, in units of the last place of the largest element of its array (where
    all of that is 0, it has none);
    `noise` how far rounding moves that array, where it was measured.
    """

    mismatch: Mismatch | None = None
    ill_conditioned: bool = False
    ulps: float = 0.0
    noise: float = 0.0


AGREE = Judgement()
FLAGS: Final[tuple[Kind, ...]] = ("requires_grad", "is_leaf")
Arr = npt.NDArray[Any]


class Noise(Protocol):
    """What runs of the reference say of the rounding in a program."""

    def moved(self) -> Iterator[Observation]:
        """Runs with the roundings moved, each made when it is asked for."""
        ...

    def singly(self) -> Iterator[Observation]:
        """Runs with one result moved, be it exact or not."""
        ...

    def followed(self) -> Observation | None:
        """A run that takes up the engine's result of each step, given that each is right by itself."""
        ...


def _text(number: Any) -> str:
    return repr(number.item() if hasattr(number, "item") else number)


def _plain(kind: Kind, value: int, what: str, expected: str, actual: str) -> Judgement:
    return Judgement(Mismatch(kind, value, Difference(what=what, where=None, expected=expected, actual=actual)))


def same(a: Arr | None, b: Arr | None) -> bool:
    """Equal to the last bit, with the same dtype and shape; None equals None."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def equal(expected: Observation, actual: Observation) -> bool:
    """Whether two observations are equal to the last bit."""
    return (
        expected.failure is None
        and actual.failure is None
        and all(same(a, actual.grads[i]) for i, a in expected.grads.items())
        and all(same(a, actual.values[i]) for i, a in expected.values.items())
        and (not actual.flags or actual.flags == expected.flags)
        and (not actual.looks or _alike(expected, actual))
        and len(expected.hooks) == len(actual.hooks)
        and all(p == q and same(a, b) for (p, a), (q, b) in zip(expected.hooks, actual.hooks, strict=True))
    )


def _alike(expected: Observation, actual: Observation) -> bool:
    """Whether two sides look alike: names of nodes, contiguity of views, versions, shared memory, warnings."""
    return (
        actual.bumps == expected.bumps
        and actual.shared == expected.shared
        and actual.warned == expected.warned
        and all(
            look == (seen := actual.looks.get(i, look)) or (look[0] == seen[0] and look[1] is None)
            for i, look in expected.looks.items()
        )
    )


def _standing(expected: Observation, actual: Observation) -> Judgement | None:
    """The first difference in how values stand in the graph and in memory, numbers apart."""
    for i, flag in expected.flags.items():
        other = actual.flags.get(i, flag)
        for kind, x, y in zip(FLAGS, flag, other, strict=True):
            if x != y:
                return _plain(kind, i, f"v{i}.{kind}", str(x), str(y))
    for i, look in expected.looks.items():
        seen = actual.looks.get(i, look)
        if look[0] != seen[0]:
            return _plain("grad_fn", i, f"v{i}.grad_fn", look[0] or "None", seen[0] or "None")
        if look[1] is not None and look[1] != seen[1]:
            return _plain("contiguity", i, f"v{i}.is_contiguous()", str(look[1]), str(seen[1]))
    if actual.looks and actual.bumps != expected.bumps:
        return _plain("version", -1, "versions added (by step)", str(expected.bumps), str(actual.bumps))
    if actual.looks and actual.warned != expected.warned:
        return _plain("warning", -1, "warnings (by step)", str(expected.warned), str(actual.warned))
    if actual.looks and actual.shared != expected.shared:
        return _plain("alias", -1, "gradients in the same memory", str(expected.shared), str(actual.shared))
    return None


class _Kept:
    """Runs that are made when they are first asked for, and kept; those that fail are left out."""

    def __init__(self, runs: Iterable[Observation]) -> None:
        self._more = iter(runs)
        self._made: list[Observation] = []

    def __iter__(self) -> Iterator[Observation]:
        yield from self._made
        for run in self._more:
            if run.failure is None:
                self._made.append(run)
                yield run


class Runs:
    """The runs that tell a program's noise."""

    def __init__(self, noise: Callable[[], Noise | None]) -> None:
        self._start = noise

    @cached_property
    def _noise(self) -> Noise | None:
        return self._start()

    @cached_property
    def _moved(self) -> _Kept:
        return _Kept(() if self._noise is None else self._noise.moved())

    @cached_property
    def _singly(self) -> _Kept:
        return _Kept(() if self._noise is None else self._noise.singly())

    def moved(self, singly: bool) -> Iterator[Observation]:
        """The runs; those that move one result, which are many, only if asked for."""
        yield from self._moved
        if singly:
            yield from self._singly

    @cached_property
    def followed(self) -> Observation | None:
        """As `Noise.followed`."""
        return None if self._noise is None else self._noise.followed()


def judge(
    program: Program,
    expected: Observation,
    actual: Observation,
    noise: Callable[[], Noise | None],
    precision: str = "",
) -> Judgement:
    """Compare `actual` with the reference's observation; `noise` is asked only where that is not within `TIGHT`.

    It may answer None: then all that is not within `TIGHT` is a mismatch.
    `precision` names the floating dtype that the engine computes in, where that is narrower than the program's.
    """
    if equal(expected, actual):
        return AGREE
    failed = _failures(program, expected, actual)
    if failed is not None:
        return failed
    seconds = any(isinstance(s, Grad) for s in program.steps)
    grad_kind: Kind = "second-order gradient" if seconds else "gradient"
    derived = {i for s in program.steps if isinstance(s, Grad) for i in s.out}
    runs = Runs(noise)
    narrowest = program.narrowest
    ill = False
    ulps = 0.0

    def check(kind: Kind, i: int, what: str, a: Arr | None, b: Arr | None, of: Callable[[Observation], Any]) -> Any:
        nonlocal ill, ulps
        found = _arrays(kind, i, what, a, b, lambda singly: (of(o) for o in runs.moved(singly)), precision, narrowest)
        if found.mismatch is not None and (same_way := runs.followed) is not None:
            found = Judgement(ill_conditioned=True) if near(of(same_way), b, precision, found.noise) else found
        ill |= found.ill_conditioned
        ulps = max(ulps, found.ulps)
        return found if found.mismatch is not None else None

    for i, a in expected.values.items():
        kind: Kind = "gradient" if i in derived else "value"
        found = check(kind, i, f"v{i}", a, actual.values[i], lambda o, i=i: o.values.get(i))  # type: ignore[misc]
        if found is not None:
            return found  # type: ignore[no-any-return]
    standing = _standing(expected, actual)
    if standing is not None:
        return standing
    for i, a in expected.grads.items():
        found = check(grad_kind, i, f"v{i}.grad", a, actual.grads[i], lambda o, i=i: o.grads.get(i))  # type: ignore[misc]
        if found is not None:
            return found  # type: ignore[no-any-return]
    order = [p for p, _ in expected.hooks], [p for p, _ in actual.hooks]
    if order[0] != order[1]:
        return _plain("hook", -1, "order of hooks (by step)", str(order[0]), str(order[1]))
    for k_, ((p, a), (_, b)) in enumerate(zip(expected.hooks, actual.hooks, strict=True)):
        found = check(
            "hook",
            -1,
            f"argument of the hook of step {p}",
            a,
            b,
            lambda o, k=k_: o.hooks[k][1] if k < len(o.hooks) else None,  # type: ignore[misc]
        )
        if found is not None:
            return found  # type: ignore[no-any-return]
    return Judgement(None, ill, ulps)


def near(a: Arr | None, b: Arr | None, precision: str = "", noise: float = 0.0) -> bool:
    """Whether two arrays are as near as those of two right engines are, given the noise of what was computed."""
    if a is None or b is None or a.dtype != b.dtype or a.shape != b.shape or a.dtype.kind != "f":
        return same(a, b)
    return _within(a, b, max(TIGHT * unit_of(a, precision) * _scale(a), MARGIN * noise))


def small(a: Arr, b: Arr, precision: str = "") -> bool:
    """Whether a difference is so small that the many runs are worth while in which single results are moved.

    `precision` is the narrowest floating type of the program.
    """
    if a.shape != b.shape or a.dtype.kind != "f":
        return False
    return _within(a, b, SMALL * unit_of(a, precision) * max(_scale(a), 1.0))


def _within(a: Arr, b: Arr, limit: float) -> bool:
    with np.errstate(all="ignore"):
        gap = np.abs(np.where(a == b, 0.0, a.astype(np.float64) - b.astype(np.float64)))
        return bool(((gap <= limit) | (np.isnan(a) & np.isnan(b))).all())


def spread(a: Arr, moved: Arr, precision: str = "") -> float:
    """How far a run with other roundings is from `a`; that of a narrower type is scaled down to `a`'s."""
    unit = unit_of(a, precision)
    narrower = min(1.0, unit / float(np.finfo(moved.dtype).eps)) if moved.dtype.kind == "f" else 1.0
    with np.errstate(all="ignore"):
        gap = np.abs(moved.astype(np.float64) - a.astype(np.float64)) * narrower
    return float(np.fmax.reduce(gap, axis=None, initial=0.0))


def _scale(a: Arr) -> float:
    return float(np.max(np.abs(a, where=np.isfinite(a), out=np.zeros_like(a)), initial=0.0))


def unit_of(a: Arr, precision: str = "") -> float:
    """The relative size of a unit of the last place; `precision` as in `judge`."""
    return _unit(a.dtype, precision)


@lru_cache(maxsize=64)
def _unit(dtype: np.dtype[Any], precision: str) -> float:
    return max(float(np.finfo(name).eps) for name in filter(None, (dtype.name, precision)))


def _failures(program: Program, expected: Observation, actual: Observation) -> Judgement | None:
    a, b = expected.failure, actual.failure
    if a is None and b is None:
        return None
    if a is not None and b is not None and a.step == b.step and a.error == b.error:
        return AGREE
    if a is not None and a.torchs_own:
        return Judgement(ill_conditioned=True)
    steps = len(program.steps)

    def where(step: int) -> str:
        return "making the leaves" if step < 0 else "reading" if step >= steps else f"step {step}"

    def said(f: Any) -> str:
        return "no error" if f is None else f"{f.error} at {where(f.step)}: {f.message}"

    return _plain("error", -1, "error", said(a), said(b))


def _arrays(
    kind: Kind,
    i: int,
    what: str,
    a: Arr | None,
    b: Arr | None,
    moved: Callable[[bool], Iterable[Any]],
    precision: str,
    narrowest: str,
) -> Judgement:
    if same(a, b):
        return AGREE
    if a is None or b is None:
        return _plain("none", i, what, "None" if a is None else "a gradient", "None" if b is None else "a gradient")
    if a.dtype != b.dtype:
        return _plain("dtype", i, what, str(a.dtype), str(b.dtype))
    if a.shape != b.shape:
        return _plain("shape", i, what, str(a.shape), str(b.shape))
    if a.dtype.kind != "f":
        at = tuple(int(k) for k in np.argwhere(a != b)[0]) if (a != b).any() else None
        return AGREE if at is None else Judgement(Mismatch(kind, i, _difference(what, a, b, at)))
    with np.errstate(all="ignore"):
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
    if not np.isfinite(gap).all():
        finite = np.isfinite(a) & np.isfinite(b)
        odd = ~finite & ~((a == b) | (np.isnan(a) & np.isnan(b)))
        gap = np.where(finite, gap, 0.0)
        if odd.any():
            at = tuple(int(k) for k in np.argwhere(odd)[0])
            others = [m for m in moved(False) if m is not None and m.shape == a.shape]
            if any(np.isfinite(m[at]) != np.isfinite(a[at]) for m in others):  # at an overflow's very edge
                return Judgement(None, True)
            return Judgement(Mismatch(kind, i, _difference(what, a, b, at)))
    largest = float(gap.max(initial=0.0))
    if not largest:
        return AGREE
    scale, unit = _scale(a), unit_of(a, precision)
    ulps = min(largest / max(unit * scale, sys.float_info.min), sys.float_info.max)  # JSON has no infinity
    if ulps <= TIGHT:
        return Judgement(ulps=ulps)
    noise = 0.0
    with np.errstate(all="ignore"):
        for m in moved(small(a, b, narrowest)):
            if m is not None and m.shape == a.shape:
                noise = max(noise, spread(a, m, precision))
                if largest <= MARGIN * noise:
                    limit = ILL * unit * max(scale, float(np.finfo(a.dtype).tiny))
                    return Judgement(None, scale > 0 and noise > limit, ulps if scale else 0.0)
    at = tuple(int(k) for k in np.unravel_index(int(np.argmax(gap)), gap.shape))
    return Judgement(Mismatch(kind, i, _difference(what, a, b, at, scale)), noise=noise)


def _difference(what: str, a: Arr, b: Arr, at: tuple[int, ...], scale: float = 0.0) -> Difference:
    expected, actual = a[at], b[at]
    if a.dtype.kind != "f" or not (np.isfinite(expected) and np.isfinite(actual)):
        return Difference(what=what, where=at, expected=_text(expected), actual=_text(actual))
    gap = abs(float(expected) - float(actual))
    size = max(abs(float(expected)), scale * 1e-3)
    ulp = float(np.spacing(a.dtype.type(size))) if size else math.inf
    return Difference(
        what=what,
        where=at,
        expected=_text(expected),
        actual=_text(actual),
        absolute=f"{gap:.3g}",
        relative=f"{gap / abs(float(expected)):.3g}" if expected else None,
        ulps=f"{gap / ulp:.3g}" if math.isfinite(ulp) else None,
    )
