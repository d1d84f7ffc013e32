"""The operations, declared by family. Importing this package publishes them."""

from minigrad.ops import distance, einsum, matmul, pointwise, reduction, scan, shape  # noqa: F401
