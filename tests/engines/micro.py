"""A first autograd of one's own, with the mistake that most first ones have. The README shows this file."""

import numpy as np

import conformance

# Each operation: its value, and what it sends back to each operand for a gradient g of its result.
OPERATIONS = {
    "add": lambda a, b: (a + b, lambda g: (g, g)),
    "mul": lambda a, b: (a * b, lambda g: (g * b, g * a)),
    "sub": lambda a, b: (a - b, lambda g: (g, -g)),
    "exp": lambda a: (np.exp(a), lambda g: (g * np.exp(a),)),
    "sin": lambda a: (np.sin(a), lambda g: (g * np.cos(a),)),
    "relu": lambda a: (np.maximum(a, 0), lambda g: (np.where(a > 0, g, 0),)),
    "sum": lambda a: (a.sum(), lambda g: (np.full(a.shape, g),)),
}


class Value:
    def __init__(self, data, needs_grad, parents=(), pull=None):
        self.data, self.needs_grad, self.parents, self.pull, self.grad = data, needs_grad, parents, pull, None


class Micro(conformance.Engine):
    name = "micro"

    def leaf(self, array, requires_grad):
        return Value(array, requires_grad)

    def supports(self, op):
        return op in OPERATIONS

    def apply(self, op, args, kwargs):
        if op not in OPERATIONS or kwargs or not all(isinstance(x, Value) and x.data.dtype == float for x in args):
            raise conformance.Unsupported(op)
        if len({x.data.shape for x in args}) > 1:
            raise conformance.Unsupported("broadcasting")
        data, pull = OPERATIONS[op](*(x.data for x in args))
        return Value(np.asarray(data), any(x.needs_grad for x in args), args, pull)

    def backward(self, value, gradient):
        arrived = {value: np.ones_like(value.data) if gradient is None else gradient.data}
        for node in reversed(ordered(value)):
            g = arrived[node]
            if node.pull:
                for parent, part in zip(node.parents, node.pull(g), strict=True):
                    arrived[parent] = part  # the mistake: what a value that is used twice gets has to be added up
            elif node.needs_grad:
                node.grad = g if node.grad is None else node.grad + g

    def grad(self, value):
        return None if value.grad is None else Value(value.grad, False)

    def numpy(self, value):
        return value.data


def ordered(value, seen=None):
    """Every value that `value` is made from, each after those that it is made from itself."""
    seen = set() if seen is None else seen
    if value in seen:
        return []
    seen.add(value)
    return [node for parent in value.parents for node in ordered(parent, seen)] + [value]
