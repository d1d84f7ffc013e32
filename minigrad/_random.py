"""Random numbers: generators, tensors of random numbers, and methods that fill a tensor with them.

A seed gives the numbers that torch's CPU generator gives: the Mersenne Twister, which numpy has too, and torch's ways
to make floats, integers and normally distributed numbers of its words (`ATen/core/DistributionsHelper.h`,
`native/cpu/DistributionTemplates.h`). `poisson` and `binomial` are not offered.
"""

from __future__ import annotations

import functools
import math
import struct
from _thread import RLock
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from minigrad import _dtype
from minigrad._apply import apply, apply_inplace, store_out
from minigrad._arguments import parsed
from minigrad._creation import checked_size, finish, like
from minigrad._declare import composite, method
from minigrad._device import CPU, check_device
from minigrad._modes import state
from minigrad._op import OPS, Array
from minigrad._tensor import Tensor, make
from minigrad._text import type_name
from minigrad.ops.shape import linear


class Generator:
    """A source of random numbers, as `torch.Generator`; `manual_seed` makes it repeat them."""

    __module__ = "torch._C"

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.device = CPU
        self._lock = RLock()
        self.manual_seed(67280421310721)  # torch's default seed

    def manual_seed(self, seed: Any) -> Generator:
        """Begin the sequence of this seed, a whole number of 64 bits, and return the generator."""
        seed = int(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError("Overflow when unpacking long long")
        self._seed: int = seed % 2**64
        self._second: float | None = None  # the other of a pair of normally distributed numbers
        self.__dict__.pop("_words", None)
        return self

    @functools.cached_property
    def _words(self) -> Any:
        twister = np.random.MT19937()  # made when first drawn from: numpy.random is slow to import
        twister._legacy_seeding(self._seed & 0xFFFFFFFF)
        return twister

    def seed(self) -> int:
        """Begin the sequence of a seed taken from the system, and return that."""
        self.manual_seed(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the sequence began with."""
        return self._seed

    # -- draws: each is safe between threads ---------------------------------------------------------------------------

    def words(self, count: int) -> Array:
        """Numbers of 32 random bits, as uint64."""
        if state.random_refused:
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or"
                " 'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        with self._lock:
            found: Array = np.asarray(self._words.random_raw(count))
            return found

    def longs(self, count: int) -> Array:
        """Numbers of 64 random bits."""
        high, low = self.words(2 * count).reshape(count, 2).T
        return np.asarray(high << np.uint64(32) | low)

    def below(self, limit: int, count: int) -> Array:
        """Whole numbers from 0 to below `limit`, as uint64."""
        return (self.words(count) if limit < 2**32 else self.longs(count)) % np.uint64(limit)

    def doubles(self, count: int) -> Array:
        """Numbers in [0, 1) with 53 random bits."""
        return (self.longs(count) & np.uint64(2**53 - 1)) * 2.0**-53

    def uniform(self, count: int, dtype: np.dtype[Any]) -> Array:
        """Numbers in [0, 1) of a floating type: with 53 random bits for float64, 24 for the others."""
        if dtype == np.float64:
            return self.doubles(count)
        return ((self.words(count) & np.uint64(2**24 - 1)) * 2.0**-24).astype(np.float32)

    def normal(self, count: int) -> Array:
        """Normally distributed numbers one after the other, in pairs whose second waits if it is not needed."""
        with self._lock:
            waiting = [] if self._second is None else [self._second]
            if count <= len(waiting):
                self._second = self._second if not count else None
                return np.array(waiting[:count])
            pairs = (count - len(waiting) + 1) // 2
            angle, size = self.doubles(2 * pairs).reshape(pairs, 2).T
            radius = np.sqrt(-2 * np.log1p(-size))
            made = np.stack([radius * np.cos(2 * np.pi * angle), radius * np.sin(2 * np.pi * angle)], 1).ravel()
            found = np.concatenate([waiting, made])
            self._second = float(found[count]) if len(found) > count else None
            return found[:count]

    def normal_blocks(self, count: int, dtype: np.dtype[Any]) -> Array:
        """Sixteen or more normally distributed numbers, made of uniform ones in blocks of sixteen."""
        numbers = self.uniform(count, dtype)
        whole = count // 16 * 16
        numbers[:whole] = _normal_of_uniform(numbers[:whole])
        if whole < count:
            numbers[-16:] = _normal_of_uniform(self.uniform(16, dtype))
        return numbers

    # -- states, in the layout of torch's (`CPUGeneratorImplState`) ----------------------------------------------------

    def get_state(self) -> Tensor:
        """Where in the sequence the generator is, as a tensor of 5056 bytes."""
        state = self._words.state["state"]
        place = int(state["pos"])
        fresh = place == 624 and self._second is None and self._drawn_nothing(state)
        radius = 0.0 if self._second is None else self._second
        data = struct.pack(
            _LAYOUT, self._seed, 625 - place, 1, 0 if fresh else place, *map(int, state["key"]), radius, 0.0, 0.0,
            int(self._second is not None), 0.0, False
        )  # fmt: skip
        return make(np.frombuffer(data, np.uint8).copy(), None)

    def _drawn_nothing(self, state: Any) -> bool:
        fresh = np.random.MT19937()
        fresh._legacy_seeding(self._seed & 0xFFFFFFFF)
        return bool((fresh.state["state"]["key"] == state["key"]).all())

    def set_state(self, new_state: Tensor) -> Generator:
        """Go back to what `get_state` gave."""
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type_name(new_state)}")
        if new_state._data.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if new_state._data.size != struct.calcsize(_LAYOUT):
            raise RuntimeError(
                "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be"
                f" {new_state._data.size}"
            )
        seed, left, _, _, *rest = struct.unpack(_LAYOUT, new_state._data.tobytes())
        key, (second, _, _, valid, _, _) = rest[:624], rest[624:]
        self.manual_seed(seed)
        self._second = second if valid else None
        state = {"key": np.array(key, np.uint32), "pos": 625 - left}
        self._words.state = {"bit_generator": "MT19937", "state": state}
        return self

    def clone_state(self) -> Generator:
        """Another generator, at the same place of the same sequence."""
        return Generator().set_state(self.get_state())

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"


_LAYOUT: Final = "<QiiQ624QdddixxxxfB3x"  # seed, left, seeded, next, words, three doubles, whether valid, two unused


def _normal_of_uniform(numbers: Array) -> Array:
    """Blocks of sixteen uniform numbers as normally distributed ones: the first eight give sizes, the others angles."""
    first, second = numbers.reshape(-1, 2, 8).swapaxes(0, 1)
    radius = np.sqrt(-2 * np.log(1 - first))
    angle = numbers.dtype.type(2 * np.pi) * second
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()


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
    real = _part(dtype)
    numbers = generator.uniform(math.prod(size) * dtype.itemsize // real.itemsize, real).astype(real)
    np.copyto(numbers, np.nextafter(real.type(1), real.type(0)), where=numbers == 1)  # rounding may reach the end
    return numbers.view(dtype).reshape(size)


def _normal(generator: Generator, size: Sequence[int], dtype: np.dtype[Any], contiguous: bool = True) -> Any:
    _floating("normal_kernel_cpu", dtype)
    real = _part(dtype)
    count = math.prod(size) * dtype.itemsize // real.itemsize
    many = count >= 16 and contiguous
    numbers = generator.normal_blocks(count, real) if many else generator.normal(count)
    if dtype.kind == "c":
        numbers = numbers * math.sqrt(0.5)  # a complex number of variance 1
    return numbers.astype(real).view(dtype).reshape(size)


def _part(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of the parts of a complex type; a real type itself."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def _integers(generator: Generator, size: Sequence[int], low: int, high: int) -> Any:
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return (generator.below(high - low, math.prod(size)).astype(np.int64) + low).reshape(size)


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


@parsed
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


@parsed
def randint_like(input: Tensor, *args: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`randint_like(tensor, low=0, high)`: as `randint`, with the shape and type of a tensor."""
    return randint(*args, tuple(input.shape), dtype=dtype or input.dtype, requires_grad=requires_grad)


@parsed
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers below `n` in random order."""
    kind = np.dtype(np.int64) if dtype is None else _dtype.as_numpy(dtype, "randperm")
    (n,) = checked_size((n,), "randperm")
    found = list(range(n))
    for place, step in enumerate(((generator or default_generator).words(max(n - 1, 0)) % _left(n)).tolist()):
        found[place], found[place + step] = found[place + step], found[place]
    return finish(np.array(found, kind), requires_grad, out, device, "randperm", dtype)


def _left(n: int) -> Array:
    return np.arange(n, 1, -1, dtype=np.uint64)


@linear(name="bernoulli", self=lambda xp, grad: xp.zeros(grad.shape, grad))
def _bernoulli(self: Array, *, generator: Any = None) -> Array:
    """Ones with the probabilities given by the elements, and zeros."""
    if not np.all((self >= 0) & (self <= 1)):
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  If so,"
            " please report an enhancement request to PyTorch.)"
        )
    numbers = (generator or default_generator).uniform(self.size, self.dtype).reshape(self.shape)
    return np.asarray(numbers < self).astype(self.dtype)


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
    if isinstance(std, Tensor):
        if std._data.dtype.kind == "f" and (std._data < 0).any():
            raise RuntimeError("normal expects all elements of std >= 0.0")
    else:
        _check_normal(_dtype.default_float(), mean, std)
    if size is not None:
        return finish(_normal(source, checked_size((size,), "normal"), _dtype.default_float()) * std + mean)
    about = mean if isinstance(mean, Tensor) else make(np.full(std.shape, mean, std._data.dtype), None)
    spread = std.detach()._data if isinstance(std, Tensor) else std
    shape = np.broadcast_shapes(about._data.shape, np.shape(spread))
    numbers = (_normal(source, shape, about._data.dtype) * spread).astype(about._data.dtype)
    return apply(OPS["normal"], [about, numbers])  # type: ignore[no-any-return]


@composite
def multinomial(
    self: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None, out: Tensor | None = None
) -> Tensor:
    """The places of `num_samples` random elements of each row, chosen with probabilities as the elements."""
    if self._data.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if self._data.dtype.kind != "f":
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {self.dtype.legacy_name}")
    if out is not None and out._data.dtype != np.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype.legacy_name}")
    source, rows = generator or default_generator, np.atleast_2d(self._data)
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > rows.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if not rows.shape[-1]:
        text = "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        raise RuntimeError(text)
    if not np.all((rows >= 0) & np.isfinite(rows)):
        if replacement and num_samples > 1:
            first = rows[~((rows >= 0) & np.isfinite(rows))][0]
            which = "= infinity or NaN" if first > 0 else "< 0"
            raise RuntimeError(f"invalid multinomial distribution (encountering probability entry {which})")
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if np.any(rows.sum(-1) <= 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement or num_samples == 1:
        waits = -np.log1p(-source.doubles(rows.size)).astype(rows.dtype).reshape(rows.shape)
        with np.errstate(divide="ignore"):
            chosen = np.argsort(-(rows / waits), -1, kind="stable")[:, :num_samples]
    else:
        reached = np.cumsum(rows / rows.sum(-1, keepdims=True), -1)
        numbers = source.doubles(len(rows) * num_samples).reshape(len(rows), num_samples)
        pairs = zip(reached, numbers, strict=True)
        chosen = np.stack([np.minimum(np.searchsorted(row, each), len(row) - 1) for row, each in pairs])
    found = np.array(chosen, np.int64)
    result = make(found if self._data.ndim > 1 else found[0], None)
    return result if out is None else store_out("multinomial", out, result, ())


# ---- methods that fill -----------------------------------------------------------------------------------------------


class _Wanted:
    """What is to be filled: shape and type, number of elements, and whether they lie in C order."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], size: int, contiguous: bool) -> None:
        self.shape, self.dtype, self.size, self.contiguous = shape, dtype, size, contiguous


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
        # Numbers go to the elements in the order in which those lie in memory.
        data = self._data
        axes = sorted(range(data.ndim), key=lambda dim: -data.strides[dim])
        wanted = _Wanted(tuple(data.shape[dim] for dim in axes), data.dtype, data.size, self.is_contiguous())
        numbers = np.asarray(draw(generator or default_generator, wanted, *values))
        return apply_inplace(op, [self, np.transpose(numbers, np.argsort(axes)).astype(data.dtype)])

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


def _random(generator: Generator, array: _Wanted, low: int | None, high: int | None) -> Any:
    if low is not None and high is None:
        low, high = 0, low
    if high is None:
        kind = array.dtype
        if kind.kind == "f":
            high = 2 ** (np.finfo(kind).nmant + 1) + 1
        else:
            high = 2 if kind.kind == "b" else int(np.iinfo(kind).max) + 1
    return _integers(generator, array.shape, low or 0, high)


def _by_doubles(function: Callable[..., Any]) -> Callable[..., Any]:
    """A draw that makes each element from a number in [0, 1)."""

    def draw(generator: Generator, array: _Wanted, *parameters: Any) -> Any:
        return state.run(function, generator.doubles(array.size).reshape(array.shape), *parameters)

    return draw


def _bernoulli_fill(generator: Generator, array: _Wanted, p: Any) -> Any:
    if not isinstance(p, Tensor):
        return generator.doubles(array.size).reshape(array.shape) < p
    return generator.uniform(array.size, p._data.dtype).reshape(array.shape) < p._data


def _normal_fill(generator: Generator, array: _Wanted, mean: float, std: float) -> Any:
    return _normal(generator, array.shape, array.dtype, array.contiguous) * std + mean


_filling("uniform", "UniformBackward0", {"from": 0.0, "to": 1.0}, _check_uniform,
         lambda g, a, low, high: _uniform(g, a.shape, a.dtype) * (high - low) + low)  # fmt: skip
_filling("normal", "NormalBackward0", {"mean": 0.0, "std": 1.0}, _check_normal, _normal_fill)
_filling("bernoulli", "BernoulliBackward2", {"p": 0.5}, _check_bernoulli, _bernoulli_fill)
_filling("random", "RandomBackward2", {"from": None, "to": None}, lambda *_: None, _random)
_filling("exponential", "ExponentialBackward0", {"lambd": 1.0}, lambda *_: None,
         _by_doubles(lambda u, rate: -np.log1p(-u) / rate))  # fmt: skip
_filling("geometric", "GeometricBackward0", {"p": 0.5}, lambda *_: None,
         _by_doubles(lambda u, p: np.ceil(np.log(u) / math.log1p(-p))))  # fmt: skip
_filling("cauchy", "CauchyBackward0", {"median": 0.0, "sigma": 1.0}, lambda *_: None,
         _by_doubles(lambda u, median, sigma: median + sigma * np.tan(np.pi * (u - 0.5))))  # fmt: skip
_filling("log_normal", "LogNormalBackward0", {"mean": 1.0, "std": 2.0}, lambda *_: None,
         lambda g, a, mean, std: np.exp(g.normal(a.size).reshape(a.shape) * std + mean))  # fmt: skip
