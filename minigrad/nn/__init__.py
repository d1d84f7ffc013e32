"""torch.nn on numpy: the functions of `minigrad.nn.functional`, `Parameter`, and what fills and clips parameters."""

from minigrad.nn import functional, init, parameter, utils
from minigrad.nn.parameter import Parameter

__all__ = ["Parameter", "functional", "init", "parameter", "utils"]
