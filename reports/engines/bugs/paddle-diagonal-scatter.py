"""paddle: diagonal_scatter sends no gradient to what is scattered."""

import paddle

x = paddle.to_tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64", stop_gradient=False)
y = paddle.to_tensor([5.0, 6.0], dtype="float64", stop_gradient=False)
paddle.diagonal_scatter(x, y).sum().backward()
print("gradient of x", x.grad.numpy().tolist())
print("gradient of y", y.grad)
