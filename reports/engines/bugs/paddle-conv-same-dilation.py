"""paddle: conv2d with padding="same" ignores the dilation."""

import paddle
from paddle.nn import functional

image = paddle.ones([1, 1, 2, 2], "float64")
kernel = paddle.ones([1, 1, 2, 2], "float64")
print("same    ", functional.conv2d(image, kernel, padding="same", dilation=2).flatten().tolist())
print("explicit", functional.conv2d(image, kernel, padding=1, dilation=2).flatten().tolist())
print("same, 1 ", functional.conv2d(image, kernel, padding="same", dilation=1).flatten().tolist())
