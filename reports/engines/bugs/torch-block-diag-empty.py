"""torch: block_diag after an empty tensor gives the gradient of another row."""

import torch

x = torch.tensor([5.0, 6.0], dtype=torch.float64, requires_grad=True)
y = torch.block_diag(torch.zeros(0, dtype=torch.float64), x)
y.backward(torch.tensor([[10.0, 20.0], [1.0, 2.0]], dtype=torch.float64))
print("value   ", y.tolist())
print("gradient", x.grad.tolist())
