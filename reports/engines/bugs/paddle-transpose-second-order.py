"""paddle: the second derivative of a transpose ends the process."""

import subprocess
import sys

PROGRAM = """
import paddle
x = paddle.to_tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64", stop_gradient=False)
w = paddle.to_tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64")
(g,) = paddle.grad([paddle.transpose(x, [1, 0])], [x], [w], create_graph=True)
paddle.autograd.backward([g * x], [w])
print("gradient", x.grad.numpy().tolist())
"""
done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True)
print("exit code", done.returncode)
print(*[line for line in done.stdout.splitlines() if line.startswith(("gradient", "FatalError"))])
