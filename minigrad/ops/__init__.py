"""The operations, declared by family. Importing this package publishes them."""

from minigrad.ops import einsum, matmul, pointwise, reduction, shape  # noqa: F401
