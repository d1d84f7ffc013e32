"""torch: vmap of squeeze along dimension -1 of a 0-d tensor raises."""

import torch

batch = torch.tensor([1.0, 2.0], dtype=torch.float64)
for dim in (0, -1):
    print("without", dim, torch.stack([torch.squeeze(x, dim) for x in batch]).tolist())
    try:
        print("vmap   ", dim, torch.func.vmap(lambda x, dim=dim: torch.squeeze(x, dim))(batch).tolist())
    except (RuntimeError, IndexError) as error:
        print("vmap   ", dim, type(error).__name__, str(error)[:90])
