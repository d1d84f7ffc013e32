"""torch.nn.functional on numpy: every operation published as `nn.functional.NAME`.

>>> import minigrad.nn.functional as F
"""

from minigrad import ops as _ops  # noqa: F401  (declares the operations)
from minigrad._declare import PUBLIC as _PUBLIC

_PREFIX = "nn.functional."
_FUNCTIONS = {
    _name.removeprefix(_PREFIX): _function for _name, _function in _PUBLIC.items() if _name.startswith(_PREFIX)
}
__all__ = [*sorted(_FUNCTIONS)]  # noqa: PLE0604
globals().update(_FUNCTIONS)
