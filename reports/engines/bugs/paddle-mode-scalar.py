"""paddle: the backward of mode and kthvalue of a 0-d tensor ignores the gradient that arrives."""

import paddle

for name, arguments in (("mode", ()), ("kthvalue", (1,))):
    for shape in ([], [1]):
        x = paddle.full(shape, 3.0, "float64")
        x.stop_gradient = False
        values, places = getattr(paddle, name)(x, *arguments)
        (values * 8.75).sum().backward()
        print(name, shape, "gradient", x.grad.item())
