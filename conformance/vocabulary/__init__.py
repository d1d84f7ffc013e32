"""What programs can say: one declaration for each operation, under torch's name."""

from __future__ import annotations

from conformance.vocabulary import indexing, integers, linalg, nn, pointwise, reduction, shape
from conformance.vocabulary.operation import Operation

__all__ = ["OPERATIONS", "Operation"]

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for family in (pointwise, reduction, shape, indexing, linalg, nn, integers)
    for operation in family.OPERATIONS
}
