"""torch: cholesky_solve sends a gradient to the triangle that it does not read."""

import torch

b = torch.ones(2, 1, dtype=torch.float64)
value = lambda m: torch.cholesky_solve(b, m).sum()
factor = torch.tensor([[2.0, 0.7], [0.4, 1.5]], dtype=torch.float64, requires_grad=True)
value(factor).backward()
print("gradient   ", factor.grad.tolist())
steps = 1e-6 * torch.eye(4, dtype=torch.float64).reshape(4, 2, 2)
with torch.no_grad():
    print("differences", [round((value(factor + h) - value(factor - h)).item() / 2e-6, 6) for h in steps])
