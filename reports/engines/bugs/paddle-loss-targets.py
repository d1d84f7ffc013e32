"""paddle: some losses send no gradient to their second and third operands."""

import paddle
from paddle.nn import functional


def leaf(number):
    return paddle.to_tensor([number], dtype="float64", stop_gradient=False)


x, y, v = leaf(1.0), leaf(0.5), leaf(2.0)
functional.gaussian_nll_loss(x, y, v).backward()
print("gaussian_nll_loss, variance:", v.grad)
for name, number in (("kl_div", 1.0), ("binary_cross_entropy_with_logits", 0.25), ("binary_cross_entropy", 0.25)):
    x, y = leaf(number), leaf(0.5)
    getattr(functional, name)(x, y, reduction="sum").backward()
    print(f"{name}, target:", y.grad)
