"""torch: nested forward mode of det, slogdet and logdet has a wrong second derivative."""

import torch
from torch.func import jacfwd, jacrev

x = torch.tensor([[2.0]], dtype=torch.float64)
functions = {
    "logdet, which is log x": torch.logdet,
    "slogdet, the same": lambda m: torch.linalg.slogdet(m)[1],
    "det squared, which is x²": lambda m: torch.linalg.det(m) ** 2,
}
for name, function in functions.items():
    print(f"second derivative at 2 of {name}:")
    print("  jacfwd of jacfwd:", jacfwd(jacfwd(function))(x).item())
    print("  jacrev of jacfwd:", jacrev(jacfwd(function))(x).item())
    print("  jacfwd of jacrev:", jacfwd(jacrev(function))(x).item())
