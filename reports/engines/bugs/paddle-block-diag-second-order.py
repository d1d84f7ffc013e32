"""paddle: the second derivative of block_diag raises a fatal SystemError."""

import paddle

x = paddle.to_tensor([[1.0, 2.0]], dtype="float64", stop_gradient=False)
(first,) = paddle.grad(paddle.block_diag([x, x]).sum(), [x], create_graph=True)
print("gradient", first.tolist())
try:
    (first * x).sum().backward()
    print("second", x.grad.tolist())
except SystemError as error:
    print("SystemError:", " ".join(str(error).split())[:76])
