"""Random numbers: generators, tensors of random numbers, and methods that fill a tensor with them.

They come from numpy's generator, not from torch's: a seed repeats them, but gives other numbers than torch would.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._creation import checked_size, finish, like
from minigrad._declare import composite, method
from minigrad._device import CPU, check_device
from minigrad._op import OPS, Array, apply, apply_inplace
from minigrad._tensor import Tensor, make
from minigrad.ops.shape import linear


class Generator:
    """A source of random numbers, as `torch.Generator`; `manual_seed` makes it repeat them."""

    __module__ = "torch._C"

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.device = CPU
        self._lock = threading.Lock()
        self.manual_seed(67280421310721)  # torch's default seed

    def manual_seed(self, seed: Any) -> Generator:
        """Begin the sequence of this seed, a whole number of 64 bits, and return the generator."""
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise RuntimeError("Overflow when unpacking long long")
        self._seed: int = seed % 2**64
        self.__dict__.pop("_numbers", None)
        return self

    @functools.cached_property
    def _numbers(self) -> np.random.Generator:
        return np.random.default_rng(self._seed)  # made when first drawn from: numpy.random is slow to import

    def seed(self) -> int:
        """Begin the sequence of a seed taken from the system, and return that."""
        self.manual_seed(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the sequence began with."""
        return self._seed

    def draw(self, name: str, *args: Any) -> Any:
        """Numbers by one of the methods of numpy's generator; safe between threads."""
        with self._lock:
            return getattr(self._numbers, name)(*args)

    def get_state(self) -> Tensor:
        """Where in the sequence the generator is, as a tensor of bytes."""
        import pickle

        state = pickle.dumps((self._seed, self._numbers.bit_generator.state))
        return make(np.frombuffer(state, np.uint8).copy(), None)

    def set_state(self, new_state: Tensor) -> Generator:
        """Go back to what `get_state` gave."""
        import pickle

        self._seed, state = pickle.loads(bytes(new_state._data))
        self._numbers.bit_generator.state = state
        return self

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"


default_generator: Final = Generator()
manual_seed = default_generator.manual_seed
seed = default_generator.seed
initial_seed = default_generator.initial_seed
get_rng_state = default_generator.get_state


def set_rng_state(new_state: Tensor) -> None:
    """Go back to what `get_rng_state` gave."""
    default_generator.set_state(new_state)


# ---- the distributions -----------------------------------------------------------------------------------------------

Draw = Callable[[Generator, Sequence[int], "np.dtype[Any]"], Any]


def _floating(kernel: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fc":
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{_dtype.from_numpy(dtype).legacy_name}'")


def _uniform(generator: Generator, size: Sequence[int], dtype: np.dtype[Any]) -> Any:
    _floating("check_uniform_bounds", dtype)
    return _parts(lambda: generator.draw("random", size), dtype)


def _normal(generator: Generator, size: Sequence[int], dtype: np.dtype[Any]) -> Any:
    _floating("normal_kernel_cpu", dtype)
    scale = math.sqrt(0.5) if dtype.kind == "c" else 1.0  # a complex number of variance 1
    return _parts(lambda: generator.draw("standard_normal", size) * scale, dtype)


def _parts(draw: Callable[[], Any], dtype: np.dtype[Any]) -> Any:
    numbers = np.asarray(draw() + 1j * draw() if dtype.kind == "c" else draw()).astype(dtype)
    if dtype.kind == "f":  # rounding may reach the end of [0, 1)
        np.copyto(numbers, np.nextafter(dtype.type(1), dtype.type(0)), where=numbers == 1)
    return numbers


def _integers(generator: Generator, size: Sequence[int], low: int, high: int) -> Any:
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return generator.draw("integers", low, high, size)


# ---- new tensors -----------------------------------------------------------------------------------------------------


def _sized(name: str, doc: str, draw: Draw) -> Callable[..., Tensor]:
    from minigrad._creation import sized

    def made(*args: Any, generator: Generator | None = None, **kwargs: Any) -> Tensor:
        source = generator or default_generator
        return sized(name, doc, lambda size, dtype: draw(source, size, dtype))(*args, **kwargs)

    made.__name__, made.__qualname__, made.__doc__ = name, name, doc
    return made


rand = _sized("rand", "A tensor of random numbers in [0, 1).", _uniform)
randn = _sized("randn", "A tensor of normally distributed random numbers, of mean 0 and variance 1.", _normal)
rand_like = like("rand_like", "As `rand`, with the shape and type of a tensor.",
                 lambda array, kind: _uniform(default_generator, array.shape, kind))  # fmt: skip
randn_like = like("randn_like", "As `randn`, with the shape and type of a tensor.",
                  lambda array, kind: _normal(default_generator, array.shape, kind))  # fmt: skip


def _whole(name: str, *args: Any) -> None:
    if not all(isinstance(each, (int, np.integer)) for each in args[:-1]) or not isinstance(args[-1], (tuple, list)):
        got = ", ".join(type(each).__name__ for each in args)
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({got}), but expected one of:\n"
            " * (int high, tuple of ints size)\n * (int low, int high, tuple of ints size)"
        )


def randint(
    *args: Any,
    low: int = 0,
    high: int | None = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`randint(low=0, high, size)`: a tensor of random integers in [low, high)."""
    given = [*args, *(each for each in (high, size) if each is not None)]
    if len(given) == 2:
        given.insert(0, low)
    _whole("randint", *given)
    kind = np.dtype(np.int64) if dtype is None else _dtype.as_numpy(dtype, "randint")
    numbers = _integers(generator or default_generator, checked_size((given[2],), "randint"), given[0], given[1])
    return finish(numbers.astype(kind), requires_grad, device=device)


def randint_like(input: Tensor, *args: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`randint_like(tensor, low=0, high)`: as `randint`, with the shape and type of a tensor."""
    return randint(*args, tuple(input.shape), dtype=dtype or input.dtype, requires_grad=requires_grad)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The integers below `n` in random order."""
    kind = np.dtype(np.int64) if dtype is None else _dtype.as_numpy(dtype, "randperm")
    (n,) = checked_size((n,), "randperm")
    return finish((generator or default_generator).draw("permutation", n).astype(kind), requires_grad, device=device)


@linear(name="bernoulli", self=lambda xp, grad: xp.zeros(grad.shape, grad))
def _bernoulli(self: Array, *, generator: Any = None) -> Array:
    """Ones with the probabilities given by the elements, and zeros."""
    if not np.all((self >= 0) & (self <= 1)):
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  If so,"
            " please report an enhancement request to PyTorch.)"
        )
    return np.asarray((generator or default_generator).draw("random", self.shape) < self).astype(self.dtype)


@linear(
    name="normal", node="NormalBackward1", method=False, function=False,
    self=lambda xp, grad: xp.zeros(grad.shape, grad),
)  # fmt: skip
def _normal_around(self: Array, numbers: Any) -> Array:
    return self + numbers  # type: ignore[no-any-return]


@composite(method=False)
def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None) -> Tensor:
    """Normally distributed random numbers about `mean` (a tensor or a number), with deviations `std`."""
    source = generator or default_generator
    if size is not None:
        return finish(_normal(source, checked_size((size,), "normal"), _dtype.default_float()) * std + mean)
    about = mean if isinstance(mean, Tensor) else make(np.full(std.shape, mean, std._data.dtype), None)
    spread = std.detach()._data if isinstance(std, Tensor) else std
    shape = np.broadcast_shapes(about._data.shape, np.shape(spread))
    numbers = (_normal(source, shape, about._data.dtype) * spread).astype(about._data.dtype)
    return apply(OPS["normal"], [about, numbers])  # type: ignore[no-any-return]


@composite
def multinomial(self: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """The places of `num_samples` random elements of each row, chosen with probabilities as the elements."""
    source, rows = generator or default_generator, np.atleast_2d(self._data)
    if not replacement and num_samples > rows.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if np.any(rows < 0) or not np.all(np.isfinite(rows)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if np.any(rows.sum(-1) <= 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    chosen = [
        source.draw("choice", len(row), num_samples, replacement, row.astype(float) / row.astype(float).sum())
        for row in rows
    ]
    found = np.array(chosen, np.int64)
    return make(found if self._data.ndim > 1 else found[0], None)


# ---- methods that fill -----------------------------------------------------------------------------------------------


def _filling(name: str, node: str, parameters: dict[str, Any], check: Any, draw: Callable[..., Any]) -> None:
    """Declare the method `name_(*parameters, generator=None)`: `draw(generator, array, *parameters)` fills a tensor."""

    @linear(
        name=f"{name}_fill", node=node, function=False, method=False, self=lambda xp, grad: xp.zeros(grad.shape, grad)
    )
    def fill(self: Array, numbers: Any) -> Array:
        return numbers  # type: ignore[no-any-return]

    op = OPS[f"{name}_fill"]

    def method_(self: Tensor, *args: Any, generator: Generator | None = None, **named: Any) -> Tensor:
        unknown = set(named) - set(parameters)
        if unknown or len(args) > len(parameters):
            raise TypeError(f"{name}_() takes {', '.join(parameters) or 'no arguments'}")
        values = list({**parameters, **dict(zip(parameters, args, strict=False)), **named}.values())
        check(self._data.dtype, *values)
        numbers = draw(generator or default_generator, self._data, *values)
        return apply_inplace(op, [self, np.asarray(numbers).astype(self._data.dtype)])

    method_.__doc__ = f"Fill the tensor with random numbers of the {name} distribution, and return it."
    method(f"{name}_")(method_)


def _check_uniform(dtype: Any, low: float, high: float) -> None:
    _floating("check_uniform_bounds", dtype)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")


def _check_normal(dtype: Any, mean: float, std: float) -> None:
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    _floating("normal_kernel_cpu", dtype)


def _check_bernoulli(dtype: Any, p: Any) -> None:
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")


def _random(generator: Generator, array: Any, low: int | None, high: int | None) -> Any:
    if low is not None and high is None:
        low, high = 0, low
    if high is None:
        kind = array.dtype
        if kind.kind == "f":
            high = 2 ** (np.finfo(kind).nmant + 1) + 1
        else:
            high = 2 if kind.kind == "b" else np.iinfo(kind).max
    return _integers(generator, array.shape, low or 0, high)


_filling("uniform", "UniformBackward0", {"from": 0.0, "to": 1.0}, _check_uniform,
         lambda g, a, low, high: _uniform(g, a.shape, a.dtype) * (high - low) + low)  # fmt: skip
_filling("normal", "NormalBackward0", {"mean": 0.0, "std": 1.0}, _check_normal,
         lambda g, a, mean, std: _normal(g, a.shape, a.dtype) * std + mean)  # fmt: skip
_filling("bernoulli", "BernoulliBackward2", {"p": 0.5}, _check_bernoulli,
         lambda g, a, p: g.draw("random", a.shape) < (p._data if isinstance(p, Tensor) else p))  # fmt: skip
_filling("random", "RandomBackward2", {"from": None, "to": None}, lambda *_: None, _random)
_filling("exponential", "ExponentialBackward0", {"lambd": 1.0}, lambda *_: None,
         lambda g, a, rate: g.draw("standard_exponential", a.shape) / rate)  # fmt: skip
_filling("geometric", "GeometricBackward0", {"p": 0.5}, lambda *_: None,
         lambda g, a, p: g.draw("geometric", p, a.shape))  # fmt: skip
_filling("cauchy", "CauchyBackward0", {"median": 0.0, "sigma": 1.0}, lambda *_: None,
         lambda g, a, median, sigma: g.draw("standard_cauchy", a.shape) * sigma + median)  # fmt: skip
_filling("log_normal", "LogNormalBackward0", {"mean": 1.0, "std": 2.0}, lambda *_: None,
         lambda g, a, mean, std: g.draw("lognormal", mean, std, a.shape))  # fmt: skip
