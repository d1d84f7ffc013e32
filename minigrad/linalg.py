"""Linear algebra: `torch.linalg`."""

from minigrad import ops as _ops  # noqa: F401  (declares the operations)
from minigrad._declare import PUBLIC as _PUBLIC
from minigrad.ops._matrices import LinAlgError  # noqa: F401

globals().update({_name.removeprefix("linalg."): _f for _name, _f in _PUBLIC.items() if _name.startswith("linalg.")})
