"""torch: torch.vander cannot be differentiated, torch.linalg.vander can."""

import torch

for function in (torch.linalg.vander, torch.vander):
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    try:
        function(x).sum().backward()
        print(function.__name__, x.grad.tolist())
    except RuntimeError as error:
        print(function.__name__, "RuntimeError:", str(error).partition(":")[0])
