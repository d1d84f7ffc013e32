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


def named(name: str, *fields: str) -> Any:
    """A class of such tuples."""
    members: dict[str, Any] = {each: property(itemgetter(i)) for i, each in enumerate(fields)}
    return type(name, (_Fields,), {**members, "__slots__": (), "_fields": fields, "__module__": __name__})


max = named("max", "values", "indices")
min = named("min", "values", "indices")
median = named("median", "values", "indices")
nanmedian = named("nanmedian", "values", "indices")
mode = named("mode", "values", "indices")
kthvalue = named("kthvalue", "values", "indices")
sort = named("sort", "values", "indices")
topk = named("topk", "values", "indices")
cummax = named("cummax", "values", "indices")
cummin = named("cummin", "values", "indices")
aminmax = named("aminmax", "min", "max")
linalg_inv_ex = named("linalg_inv_ex", "inverse", "info")
linalg_solve_ex = named("linalg_solve_ex", "result", "info")
linalg_slogdet = named("linalg_slogdet", "sign", "logabsdet")
slogdet = named("slogdet", "sign", "logabsdet")
linalg_cholesky_ex = named("linalg_cholesky_ex", "L", "info")
linalg_qr = named("linalg_qr", "Q", "R")
qr = named("qr", "Q", "R")
linalg_svd = named("linalg_svd", "U", "S", "Vh")
svd = named("svd", "U", "S", "V")
linalg_eigh = named("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_eig = named("linalg_eig", "eigenvalues", "eigenvectors")
linalg_lstsq = named("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu = named("linalg_lu", "P", "L", "U")
lu_unpack = named("lu_unpack", "P", "L", "U")
linalg_lu_factor = named("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = named("linalg_lu_factor_ex", "LU", "pivots", "info")
triangular_solve = named("triangular_solve", "solution", "cloned_coefficient")
