"""paddle: the gradient of prod is nan where an element is zero."""

import paddle

x = paddle.to_tensor([3.0, 0.0, 2.0], dtype="float64", stop_gradient=False)
paddle.prod(x).backward()
print("gradient", x.grad.tolist())
