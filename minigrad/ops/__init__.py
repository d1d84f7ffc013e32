"""The operations, declared by family. Importing this package publishes them."""

from minigrad.ops import (
    activation,  # noqa: F401
    calculus,
    complex,
    conv,
    conversion,
    distance,
    einsum,
    indexing,
    joining,
    layers,
    linalg,
    loss,
    matmul,
    matrix_functions,
    norm,
    pointwise,
    pool,
    reduction,
    resample,
    scan,
    shape,
    sorting,
    special,
    spectral,
)
