"""paddle: the backward of cummin and cummax of a 0-d tensor raises, and at times ends the process."""

import paddle

for name in ("cummin", "cummax"):
    x = paddle.to_tensor(1.0, dtype="float64", stop_gradient=False)
    values, places = getattr(paddle, name)(x, 0)
    try:
        values.backward()
        print(name, "gradient", x.grad.item())
    except IndexError as error:
        print(name, "value", values.item(), "IndexError:", " ".join(str(error).split())[:99])
