"""mygrad: the gradient of arcsin at ±1 is zero."""

import mygrad as mg

for function in (mg.arcsin, mg.arccos):
    x = mg.tensor(1.0)
    function(x).backward()
    print(function.__name__, "gradient", x.grad)
