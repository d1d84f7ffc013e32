"""paddle: dist and cdist of float64 are good to eight digits for p = 3."""

import paddle

x = paddle.to_tensor([[1.0, 2.0]], dtype="float64")
y = paddle.to_tensor([[4.0, 6.0]], dtype="float64")
print("dist ", paddle.dist(x, y, p=3).item())
print("cdist", paddle.cdist(x, y, p=3.0).item())
print("right", 91 ** (1 / 3))
