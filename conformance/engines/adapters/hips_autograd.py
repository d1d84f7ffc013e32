"""HIPS autograd: numpy's functions, differentiated by operator overloading; vjp of vjp for higher orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import autograd.numpy as np
from autograd.builtins import tuple as traced_tuple
from autograd.core import make_vjp
from autograd.scipy import special

from conformance.engines.adapters import numpy_names
from conformance.engines.adapters.numpy_names import unsupported
from conformance.engines.adapters.recording import Recording


class HipsAutograd(Recording):
    """HIPS autograd."""

    name = "autograd"

    @property
    def version(self) -> str:
        return version("autograd")

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        table = numpy_names.functions(np)
        for name in _WITHOUT.split():
            table.pop(name, None)
        return table | _MORE

    def constant(self, array: Any) -> Any:
        return array

    def dtype_name(self, value: Any) -> str:
        return str(np.result_type(value))

    def pull(self, function: Callable[..., Any], at: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        def packed(values: Any) -> Any:
            return traced_tuple(function(*[values[i] for i in range(len(at))]))

        back, _ = make_vjp(packed, traced_tuple(at))
        found = back(traced_tuple(weights))
        return [found[i] for i in range(len(at))]


#: No derivative is registered for these, or only for few of their options.
_WITHOUT = """
cross float_power heaviside nextafter copysign hypot fmod rot90
positive cumprod nanmean nansum flip diagonal broadcast_tensors meshgrid diagflat index_select gather take
take_along_dim vdot matrix_power linalg.matrix_power
cholesky linalg.norm linalg.matrix_norm linalg.solve_triangular
"""


def _pair(found: Any) -> tuple[Any, ...]:
    return found[0], found[1]


_MORE: dict[str, Callable[..., Any]] = {
    "slogdet": lambda x: _pair(np.linalg.slogdet(x)),
    "linalg.slogdet": lambda x: _pair(np.linalg.slogdet(x)),
    "linalg.svd": lambda x, full_matrices: tuple(np.linalg.svd(x, full_matrices)[i] for i in range(3)),
    "linalg.eigh": lambda x, UPLO="L": _pair(np.linalg.eigh(x, UPLO)),  # noqa: N803
    "logsumexp": lambda x, dim, keepdim=False: (
        special.logsumexp(x, axis=dim, keepdims=keepdim) if x.ndim else unsupported("logsumexp of a 0-d value")
    ),
    "diff": lambda x, n=1, dim=-1, **more: unsupported("prepend, append") if more else np.diff(x, n, dim),
    "sigmoid": special.expit,
    "logit": lambda x, eps=None: special.logit(x) if eps is None else unsupported("eps"),
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": special.gammaln,
    "digamma": special.psi,
    "polygamma": special.polygamma,
    "mvlgamma": special.multigammaln,
    "i0": special.i0,
    "special.i1": special.i1,
    "special.gammainc": special.gammainc,
    "special.gammaincc": special.gammaincc,
}
