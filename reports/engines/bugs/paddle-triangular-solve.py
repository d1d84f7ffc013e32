"""paddle: triangular_solve sends gradients to entries that it does not read, or garbage."""

import paddle

for needs_gradient in (True, False):
    a = paddle.to_tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64", stop_gradient=False)
    b = paddle.to_tensor([[1.0], [1.0]], dtype="float64", stop_gradient=not needs_gradient)
    paddle.linalg.triangular_solve(a, b, upper=False, unitriangular=True).sum().backward()
    gradient = a.grad.numpy()
    print("b needs a gradient:", needs_gradient, "a[1, 0] right:", abs(gradient[1, 0] + 1) < 1e-12, gradient.tolist())
