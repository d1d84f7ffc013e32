"""mlx: the gradient of x ** 0 at 0 is nan."""

import mlx.core as mx

mx.set_default_device(mx.cpu)
print("gradient at 0 and 2:", mx.grad(lambda x: (x**0).sum())(mx.array([0.0, 2.0])))
