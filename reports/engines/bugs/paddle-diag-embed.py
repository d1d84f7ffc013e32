"""paddle: diag_embed cuts the graph."""

import paddle

x = paddle.to_tensor([1.0, 2.0], dtype="float64", stop_gradient=False)
made = paddle.diag_embed(x)
print("diag_embed: stop_gradient", made.stop_gradient)
print("diag:       stop_gradient", paddle.diag(x).stop_gradient)
