"""paddle: lerp sends no gradient to its weight."""

import paddle

x = paddle.to_tensor([1.0, 2.0], dtype="float64", stop_gradient=False)
y = paddle.to_tensor([3.0, 4.0], dtype="float64", stop_gradient=False)
w = paddle.to_tensor([0.5, 0.25], dtype="float64", stop_gradient=False)
paddle.lerp(x, y, w).sum().backward()
print("gradients of x and y", x.grad.numpy(), y.grad.numpy())
print("gradient of the weight", w.grad)
