"""paddle: the gradient of eigvalsh of a batch gives some matrices the gradient of another."""

import paddle

weights = [[1.0, -0.5], [2.0, 0.75]]
x = paddle.ones([2, 2, 2], "float64")
x.stop_gradient = False
paddle.linalg.eigvalsh(x).backward(paddle.to_tensor(weights, "float64"))
print("batch", x.grad.tolist())
for weight in weights:
    x = paddle.ones([2, 2], "float64")
    x.stop_gradient = False
    paddle.linalg.eigvalsh(x).backward(paddle.to_tensor(weight, "float64"))
    print("alone", x.grad.tolist())
