"""The operations, declared by family. Importing this package publishes them."""

from minigrad.ops import conversion, distance, einsum, indexing, matmul, pointwise, reduction, scan, shape, sorting, special  # noqa: F401
