"""paddle: selu, hardsigmoid and multi_margin_loss of float64 use constants rounded to float32."""

import paddle
import paddle.nn.functional as nn

print("selu(1)", nn.selu(paddle.to_tensor([1.0], dtype="float64")).item())
print("hardsigmoid(0.5)", nn.hardsigmoid(paddle.to_tensor([0.5], dtype="float64")).item())
scores = paddle.to_tensor([[1.0, 2.0, 4.0]], dtype="float64")
print("multi_margin_loss", nn.multi_margin_loss(scores, paddle.to_tensor([0])).item())
