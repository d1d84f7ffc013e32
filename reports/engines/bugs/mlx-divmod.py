"""mlx: the remainder of divmod has the gradient zero, that of remainder has not."""

import mlx.core as mx

mx.set_default_device(mx.cpu)
x, y = mx.array(5.5), mx.array(2.0)
print("remainder:", mx.grad(mx.remainder, argnums=(0, 1))(x, y))
print("divmod[1]:", mx.grad(lambda x, y: mx.divmod(x, y)[1], argnums=(0, 1))(x, y))
