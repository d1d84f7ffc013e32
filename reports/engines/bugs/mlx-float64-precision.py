"""mlx: exp, sin, erf, erfinv, sigmoid and logaddexp of float64 have the precision of float32."""

import math

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
x = mx.array(1.3, dtype=mx.float64)
for name, right in (("exp", math.exp(1.3)), ("sin", math.sin(1.3)), ("erf", math.erf(1.3)), ("tanh", math.tanh(1.3))):
    value = getattr(mx, name)(x)
    print(f"{name}: dtype {value.dtype}, error {abs(np.asarray(value).item() - right):.1e}")
