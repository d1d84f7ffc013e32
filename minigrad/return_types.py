"""The named tuples that operations with several outputs return, as `torch.return_types`."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any


class _Fields(tuple[Any, ...]):
    """A tuple whose fields have names, and which prints as torch prints it."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __new__(cls, *values: Any) -> Any:
        """From the fields, or as in torch from one iterable of them; TypeError for another number of fields."""
        found: Iterable[Any] = values[0] if len(values) == 1 else values
        made = super().__new__(cls, found)
        if len(made) != len(cls._fields):
            count = len(cls._fields)
            name = f"torch.return_types.{cls.__name__}"
            raise TypeError(f"{name}() takes a {count}-sequence ({len(made)}-sequence given)")
        return made

    def __repr__(self) -> str:
        fields = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (tuple(self),)


def _make(name: str, *fields: str) -> Any:
    members: dict[str, Any] = {each: property(itemgetter(i)) for i, each in enumerate(fields)}
    return type(name, (_Fields,), {**members, "__slots__": (), "_fields": fields, "__module__": __name__})


max = _make("max", "values", "indices")
min = _make("min", "values", "indices")
median = _make("median", "values", "indices")
nanmedian = _make("nanmedian", "values", "indices")
mode = _make("mode", "values", "indices")
kthvalue = _make("kthvalue", "values", "indices")
sort = _make("sort", "values", "indices")
topk = _make("topk", "values", "indices")
cummax = _make("cummax", "values", "indices")
cummin = _make("cummin", "values", "indices")
aminmax = _make("aminmax", "min", "max")
linalg_inv_ex = _make("linalg_inv_ex", "inverse", "info")
linalg_solve_ex = _make("linalg_solve_ex", "result", "info")
linalg_slogdet = _make("linalg_slogdet", "sign", "logabsdet")
slogdet = _make("slogdet", "sign", "logabsdet")
linalg_cholesky_ex = _make("linalg_cholesky_ex", "L", "info")
linalg_qr = _make("linalg_qr", "Q", "R")
qr = _make("qr", "Q", "R")
linalg_svd = _make("linalg_svd", "U", "S", "Vh")
svd = _make("svd", "U", "S", "V")
linalg_eigh = _make("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_eig = _make("linalg_eig", "eigenvalues", "eigenvectors")
linalg_lstsq = _make("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu = _make("linalg_lu", "P", "L", "U")
lu_unpack = _make("lu_unpack", "P", "L", "U")
linalg_lu_factor = _make("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = _make("linalg_lu_factor_ex", "LU", "pivots", "info")
triangular_solve = _make("triangular_solve", "solution", "cloned_coefficient")
