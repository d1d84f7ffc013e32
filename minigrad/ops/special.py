"""Special functions of mathematics: error functions, gamma functions, Bessel functions, entropies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad._apply import store_out
from minigrad._declare import PUBLIC, binary, composite, op, unary
from minigrad._op import Array
from minigrad._scipy import special
from minigrad._tensor import Tensor
from minigrad.ops._checks import not_implemented
from minigrad.ops._scalar import plus, times
from minigrad.ops.pointwise import BOTH, overloads, refuse

ROOT_2: Final = math.sqrt(2)
ROOT_PI: Final = math.sqrt(math.pi)
ROOT_2_PI: Final = math.sqrt(2 * math.pi)

# Those that others' forwards use.
erf, gammaln, digamma, zeta = special("erf"), special("gammaln", "lgamma"), special("digamma"), special("zeta")
loggamma = special("loggamma", "lgamma")
gammainc, gammaincc = special("gammainc", "igamma"), special("gammaincc", "igammac")


def no_half(kernel: str, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that torch has no kernel of for float16."""

    def forward(self: Any) -> Any:
        if self.dtype.char == "e":
            raise not_implemented(kernel, self)
        return function(self)

    return forward


# ---- error functions and the normal distribution ---------------------------------------------------------------------

unary("erf", erf, lambda xp, grad, self: 2 / ROOT_PI * xp.exp(-(self * self)) * grad,
      kinds="f", refusal="erf_vml_cpu", aliases=["special.erf"])  # fmt: skip
unary("erfc", special("erfc"), lambda xp, grad, self: -2 / ROOT_PI * xp.exp(-(self * self)) * grad,
      kinds="f", refusal="erfc_vml_cpu", aliases=["special.erfc"])  # fmt: skip
unary("erfinv", special("erfinv"), lambda xp, grad, self: ROOT_PI / 2 * xp.exp(xp.erfinv(self) ** 2) * grad,
      kinds="f", refusal="erfinv_vml_cpu", aliases=["special.erfinv"])  # fmt: skip
unary("special.erfcx", no_half("erfcx_cpu", special("erfcx")),
      lambda grad, self, result: (2 * self * result - 2 / ROOT_PI) * grad, kinds="f", refusal="erfcx_cpu")  # fmt: skip
unary("special.ndtri", no_half("ndtri_cpu", special("ndtri")),
      lambda xp, grad, result: grad * ROOT_2_PI * xp.exp(result * result / 2),
      kinds="f", refusal="ndtri_cpu")  # fmt: skip
unary("special.log_ndtr", no_half("log_ndtr_cpu", special("log_ndtr")),
      lambda xp, grad, self, result: grad / ROOT_2_PI * xp.exp(-(result + self * self / 2)),
      kinds="f", refusal="log_ndtr_cpu")  # fmt: skip


@composite(name="special.ndtr")
def ndtr(input: Tensor) -> Any:
    """The area under the normal distribution up to each element."""
    return times(plus(times(input, math.sqrt(0.5)).erf(), 1), 0.5)


# ---- gamma functions -------------------------------------------------------------------------------------------------


def log_gamma(self: Any) -> Any:
    """scipy's, except at the infinities, and near its zeros 1 and 2, where the complex function keeps more digits."""
    found = np.where(np.isinf(self), np.inf, gammaln(self))
    near = (np.abs(self - 1) < 0.2) | (np.abs(self - 2) < 0.2)
    if np.any(near):
        found = np.where(near, loggamma(np.where(near, self, 1).astype(np.complex128)).real, found)
    return found.astype(self.dtype)


unary("lgamma", log_gamma, lambda xp, grad, self: grad * xp.digamma(self), kinds="f", refusal="lgamma_vml_cpu",
      aliases=["special.gammaln"])  # fmt: skip
unary("digamma", digamma, lambda xp, grad, self: grad * xp.polygamma(self, 1),
      kinds="f", refusal="digamma", aliases=["special.digamma", "special.psi"])  # fmt: skip


@op(name="polygamma", elementwise=True, promote="float", kinds="f", refusal="polygamma", inplace="PolygammaBackward1",
    self=lambda xp, grad, self, n: grad * xp.polygamma(self, n + 1))  # fmt: skip
def polygamma(self: Array, n: int) -> Any:
    """The n-th derivative of digamma; `torch.polygamma` takes n first, the method last."""
    if not isinstance(n, int):
        raise TypeError(f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n == 0:
        return digamma(self)
    sign = 1.0 if n % 2 else -1.0
    return sign * math.factorial(n) * zeta(self.dtype.type(n + 1), self)


def polygamma_of(n: int, input: Any, *, out: Any = None) -> Any:
    found = input.polygamma(n)
    return found if out is None else store_out("polygamma", out, found, [input])


PUBLIC["polygamma"] = PUBLIC["special.polygamma"] = polygamma_of
polygamma_of.__name__ = polygamma_of.__qualname__ = "polygamma"


@op(promote="float", kinds="f", refusal="mvlgamma", inplace=True, aliases=["special.multigammaln"],
    self=lambda xp, grad, self, p: sum_of(p, lambda j: grad * xp.digamma(self - j / 2)))  # fmt: skip
def mvlgamma(self: Array, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension p."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    found = sum_of(p, lambda j: log_gamma(self - j / 2)) + p * (p - 1) / 4 * math.log(math.pi)
    return np.asarray(found, order="C")  # torch adds up along a dimension of its own


def sum_of(count: int, term: Any) -> Any:
    total = term(0)
    for j in range(1, count):
        total = total + term(j)
    return total


def gamma_density(xp: Any, self: Any, other: Any) -> Any:
    """The derivative of the regularized incomplete gamma function by its second argument."""
    return xp.exp((self - 1) * xp.log(other) - other - xp.lgamma(self))


def upper_gamma(self: Any, other: Any) -> Any:
    """scipy's, except where that is hundreds of last places off, as its gamma function near 1.5 sums too few terms."""
    found = gammaincc(self, other)
    mended = (self > 0.25) & (self < 1.6) & (self <= np.where(other > 0.5, 1.1 * other, -0.4 / np.log(other)))
    mended &= other <= 1.6
    if not np.any(mended):
        return found
    a, x = np.asarray(self, np.float64), np.asarray(other, np.float64)
    terms, factor = np.zeros(()), np.ones(())
    for n in range(1, 24):  # DLMF 8.7.3
        factor = factor * -x / n
        terms = terms + factor / (a + n)
    series = -np.expm1(a * np.log(x) - gammaln(1 + a)) - np.exp(a * np.log(x) - gammaln(a)) * terms
    return np.where(mended, series, found).astype(self.dtype)


def lower_gamma(self: Any, other: Any) -> Any:
    complement = (other > 1) & (other <= 1.6) & (self < other)  # of which scipy takes the complement too
    return np.where(complement, 1 - upper_gamma(self, other), gammainc(self, other)).astype(self.dtype)


binary("igamma", lower_gamma, kinds="f", refusal="igamma_cpu", aliases=["special.gammainc"],
       self=refuse(NotImplementedError("the derivative for 'igamma: input' is not implemented.")),
       other=lambda xp, grad, self, other: grad * gamma_density(xp, self, other))  # fmt: skip
binary("igammac", upper_gamma, kinds="f", refusal="igammac_cpu", aliases=["special.gammaincc"],
       self=refuse(NotImplementedError("the derivative for 'igammac: input' is not implemented.")),
       other=lambda xp, grad, self, other: -grad * gamma_density(xp, self, other))  # fmt: skip


def hurwitz(self: Any, other: Any) -> Any:
    """The Hurwitz zeta function, at infinity as torch has it: nan, and a pole on the side of the other poles."""
    inside = np.where((other == math.inf) & (self != 1), math.nan, zeta(self, other))
    return np.where(other == -math.inf, np.where(self < 1, math.nan, math.inf), inside).astype(self.dtype)


binary("special.zeta", hurwitz, promote="float", numbers=BOTH, kinds="f", refusal="zeta_cpu",
       node=overloads("SpecialZeta", 0, 2, 1),
       self=refuse(NotImplementedError("the derivative for 'zeta' is not implemented.")),
       other=lambda xp, grad, self, other: grad * -self * xp.special_zeta(self + 1, other))  # fmt: skip

# ---- Bessel functions ------------------------------------------------------------------------------------------------


def quotient_limit(xp: Any, self: Any, dtype: Any, kernel: str, slope: Any) -> Any:
    """`slope(x)`, which divides by x, and its limit 1/2 near 0."""
    if dtype.char == "e":
        raise not_implemented(kernel, dtype)
    eps = float(np.finfo(dtype).eps)
    far = xp.abs(self) > eps
    return xp.where(far, slope(xp.where(far, self, eps)), 0.5)


unary("i0", special("i0"), lambda xp, grad, self: grad * xp.special_i1(self),
      kinds="f", refusal="i0_vml_cpu", aliases=["special.i0"])  # fmt: skip
unary("special.i0e", special("i0e"),
      lambda xp, grad, self, result: grad * (xp.special_i1e(self) - xp.sgn(self) * result),
      kinds="f", refusal="i0e_cpu", node="SpecialI0EBackward0")  # fmt: skip
unary("special.i1", special("i1"),
      lambda xp, grad, self, self_dtype, result: grad * quotient_limit(
          xp, self, self_dtype, "i1_backward", lambda x: xp.i0(x) - result / x),
      kinds="f", refusal="i1_cpu", node="SpecialI1Backward0")  # fmt: skip
unary("special.i1e", special("i1e"),
      lambda xp, grad, self, self_dtype, result: grad * quotient_limit(
          xp, self, self_dtype, "i1e_backward", lambda x: xp.special_i0e(x) - result * (xp.sgn(x) + 1 / x)),
      kinds="f", refusal="i1e_cpu", node="SpecialI1EBackward0")  # fmt: skip

# ---- products with logarithms ----------------------------------------------------------------------------------------

unary("special.entr", special("entr"), lambda xp, grad, self: grad * -(1 + xp.log(self)), kinds="f", refusal="entr_cpu")


def times_log(log: Any) -> Any:
    """self * log(other), 0 where self is 0 unless other is nan."""
    return lambda self, other: np.where((self == 0) & ~np.isnan(other), 0, self * log(other)).astype(self.dtype)[()]


binary("xlogy", times_log(np.log), promote="float", numbers=BOTH, kinds="f", refusal="xlogy_cpu",
       node=overloads("Xlogy", 0, 2, 1), aliases=["special.xlogy"],
       self=lambda xp, grad, self, other: xp.where((self == 0) & (other <= 0), 0, xp.xlogy(grad, other)),
       other=lambda grad, self, other: grad * self / other)  # fmt: skip
binary("special.xlog1py", times_log(np.log1p), promote="float", numbers=BOTH, kinds="f", refusal="xlog1py_cpu",
       node=overloads("SpecialXlog1Py", 0, 2, 1),
       self=lambda xp, grad, self, other: xp.where((self == 0) & (other <= -1), 0, xp.special_xlog1py(grad, other)),
       other=lambda grad, self, other: grad * self / (other + 1))  # fmt: skip


def logit_slope(xp: Any, grad: Any, self: Any, eps: float | None) -> Any:
    low, outside = (0, math.nan) if eps is None else (eps, 0)
    return xp.where((self >= low) & (self <= 1 - low), grad / (self * (1 - self)), outside)


@op(elementwise=True, promote="float", kinds="f", refusal="logit_cpu", inplace=True, aliases=["special.logit"],
    self=logit_slope)  # fmt: skip
def logit(self: Array, eps: float | None = None) -> Any:
    """log(x / (1 - x)), of x clamped to [eps, 1 - eps] if eps is given."""
    if eps is not None:
        low, high = self.dtype.type(eps), self.dtype.type(1 - eps)
        self = np.where(self < low, low, np.where(self > high, high, self))
    return np.log(self / (1 - self))


def sinc_of(self: Any) -> Any:
    return np.where(self == 0, 1, np.sin(math.pi * self) / (math.pi * self)).astype(self.dtype)[()]


def sinc_slope(xp: Any, grad: Any, self: Any) -> Any:
    x = self * math.pi
    square = self * self * math.pi
    return xp.where(square == 0, 0, grad * ((x * xp.cos(x) - xp.sin(x)) / square))


unary("sinc", sinc_of, sinc_slope, aliases=["special.sinc"])
