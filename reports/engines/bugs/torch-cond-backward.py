"""torch: linalg.cond cannot be differentiated for p = 1, −1, inf and 'fro'."""

import torch

for p in (1, -1, float("inf"), "fro", 2):
    a = torch.tensor([[2.0, 1.0], [0.0, 3.0]], dtype=torch.float64, requires_grad=True)
    try:
        torch.linalg.cond(a, p).backward()
        print(p, a.grad.tolist())
    except RuntimeError as error:
        print(p, "RuntimeError:", str(error).partition(":")[0])
