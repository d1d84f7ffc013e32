"""torch.utils, as far as autograd's users need it.

`checkpoint`, which is made of all else, is imported by `minigrad` itself.
"""

from minigrad.utils import hooks

__all__ = ["hooks"]
