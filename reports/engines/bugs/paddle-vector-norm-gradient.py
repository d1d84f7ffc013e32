"""paddle: the gradient of linalg.vector_norm divides by the norm + 1e-12."""

import paddle

for numbers in ([3.0, 4.0], [1e-12, 0.0]):
    x = paddle.to_tensor(numbers, dtype="float64", stop_gradient=False)
    paddle.linalg.vector_norm(x).backward()
    print(numbers, "gradient", x.grad.numpy().tolist())
