"""tinygrad: erf, asin, acos and atan of float64 are good to seven or eight digits."""

import math
import os

os.environ.setdefault("DEV", "PYTHON")
from tinygrad import Tensor, dtypes

x = Tensor([0.5], dtype=dtypes.float64)
for name in ("erf", "asin", "acos", "atan", "asinh"):
    print(f"{name}(0.5): error {abs(getattr(x, name)().item() - getattr(math, name)(0.5)):.1e}")
