"""mygrad: maximum and minimum send no gradient at a tie."""

import mygrad as mg

x = mg.tensor(3.0)
mg.maximum(x, x).backward()
print("gradient of maximum(x, x):", x.grad)
x = mg.tensor(3.0)
mg.minimum(x, 3.0).backward()
print("gradient of minimum(x, 3):", x.grad)
