"""torch: forward mode of triangular_solve ignores unitriangular."""

import torch
from torch.func import jvp, vjp

b = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
a = 5.0 * torch.eye(2, dtype=torch.float64)
value = lambda m: torch.triangular_solve(b, m, unitriangular=True)[0]
print("values for the diagonals 5 and 15:", value(a).tolist(), value(3 * a).tolist())
print("forward mode along the diagonal:  ", jvp(value, (a,), (torch.eye(2, dtype=torch.float64),))[1].tolist())
print("backward to the diagonal:         ", vjp(value, a)[1](torch.ones_like(b))[0].diagonal().tolist())
