"""torch.nn on numpy: the functions of `minigrad.nn.functional`, and `Parameter`."""

from minigrad.nn import functional, parameter
from minigrad.nn.parameter import Parameter

__all__ = ["Parameter", "functional", "parameter"]
