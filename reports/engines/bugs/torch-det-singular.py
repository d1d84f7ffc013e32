"""torch: the gradient of det at a singular matrix is zero."""

import torch


def gradient(create_graph):
    a = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(torch.linalg.det(a), a, create_graph=create_graph)[0].detach()


print("gradient                    ", gradient(False).tolist())
print("with create_graph=True      ", gradient(True).tolist())
print("right: the adjugate's transpose", [[4.0, -2.0], [-2.0, 1.0]])
