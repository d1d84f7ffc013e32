"""torch.nn on numpy: the functions of `minigrad.nn.functional`."""

from minigrad.nn import functional

__all__ = ["functional"]
