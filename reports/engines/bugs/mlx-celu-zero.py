"""mlx: the gradient of nn.celu at 0 is 0."""

import mlx.core as mx
from mlx import nn

for number in (-1e-3, 0.0, 1e-3):
    x = mx.array(number)
    print(number, "celu", mx.grad(nn.celu)(x).item(), "elu", mx.grad(nn.elu)(x).item())
