"""minigrad: torch's autograd on numpy. `import minigrad as torch` runs torch code."""

from math import e, inf, nan, pi
from typing import TYPE_CHECKING as _TYPE_CHECKING

from minigrad import _lazy, _operators, _queries, _storage, autograd, utils
from minigrad import ops as _ops
from minigrad._creation import TYPED as _TYPED
from minigrad._creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    empty_strided,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from minigrad._creation import range_ as range
from minigrad._declare import PUBLIC as _PUBLIC
from minigrad._device import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from minigrad._dtype import (
    bfloat16,
    can_cast,
    cdouble,
    cfloat,
    complex64,
    complex128,
    double,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
)
from minigrad._dtype import (
    bool_ as bool,
)
from minigrad._dtype import float32 as float
from minigrad._dtype import int32 as int
from minigrad._modes import (
    enable_grad,
    inference_mode,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from minigrad._queries import (
    detach,
    detach_,
    is_complex,
    is_floating_point,
    is_inference,
    is_nonzero,
    is_signed,
    is_storage,
    is_tensor,
    numel,
    result_type,
    typename,
)
from minigrad._random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from minigrad._settings import (
    are_deterministic_algorithms_enabled,
    get_default_device,
    get_num_threads,
    is_warn_always_enabled,
    set_default_device,
    set_default_tensor_type,
    set_num_threads,
    set_warn_always,
    use_deterministic_algorithms,
)
from minigrad._tensor import Tensor
from minigrad._tensor_str import Size, set_printoptions

if _TYPE_CHECKING:
    from minigrad import func, linalg, nn, random, return_types, special
    from minigrad.func import vmap
else:
    _MODULES = ("func", "linalg", "nn", "random", "return_types", "special")
    __getattr__, __dir__ = _lazy.attributes(
        __name__, {"vmap": "minigrad.func", **{each: f"minigrad.{each}" for each in _MODULES}}
    )

newaxis = None
#: The torch whose behaviour this is.
__version__ = "2.13.0+minigrad"

_operators.install()
_queries.install()
globals().update(_TYPED)
globals().update({_name: _function for _name, _function in _PUBLIC.items() if "." not in _name})
