"""torch.utils, as far as autograd's users need it."""

from typing import TYPE_CHECKING

from minigrad import _lazy
from minigrad.utils import hooks

if TYPE_CHECKING:
    from minigrad.utils import checkpoint
else:
    __getattr__, __dir__ = _lazy.attributes(__name__, {"checkpoint": "minigrad.utils.checkpoint"})

__all__ = ["checkpoint", "hooks"]
