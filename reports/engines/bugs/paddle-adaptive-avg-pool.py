"""paddle: the gradients of adaptive average pooling of float64 are rounded to float32."""

import paddle

x = paddle.to_tensor([[[1.0, 2.0, 3.0]]], dtype="float64", stop_gradient=False)
paddle.nn.functional.adaptive_avg_pool1d(x, 1).sum().backward()
print("1d", x.grad.numpy().tolist())
x = paddle.to_tensor([[[[1.0, 2.0, 3.0]]]], dtype="float64", stop_gradient=False)
paddle.nn.functional.adaptive_avg_pool2d(x, 1).sum().backward()
print("2d", x.grad.numpy().tolist())
