"""torch.utils, as far as autograd's users need it."""

from minigrad.utils import hooks

__all__ = ["hooks"]
