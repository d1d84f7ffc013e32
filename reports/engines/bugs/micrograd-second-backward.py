"""micrograd: a second backward counts interior gradients again."""

from micrograd.engine import Value

x = Value(2.0)
y = x * x
z = y * 1.0
z.backward()
z.backward()
print("gradient after two backwards:", x.grad)
print("right: 2 · 2x =", 8.0)
