"""A program as a runnable script that needs only numpy, torch and the engine."""

from __future__ import annotations

import inspect

from conformance.functions import FUNCTIONS
from conformance.program import (
    AnyStep,
    Apply,
    Arg,
    Array,
    Backward,
    Detach,
    Dots,
    DTypeArg,
    Grad,
    Hook,
    Inplace,
    Program,
    ReadGrad,
    Ref,
    RequiresGrad,
    RetainGrad,
    Seq,
    Slice,
    Special,
    ZeroGrad,
    to_numpy,
)

_OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "remainder": "%", "matmul": "@"}
_REFLECTED = {
    "__radd__": "+",
    "__rsub__": "-",
    "__rmul__": "*",
    "__rtruediv__": "/",
    "__rpow__": "**",
    "__rmod__": "%",
}
#: Operations that return a tuple, even of one.
_TUPLES = frozenset(
    (
        "broadcast_tensors",
        "chunk",
        "gradient",
        "unsafe_chunk",
        "unsafe_split",
        "dsplit",
        "hsplit",
        "split",
        "split_with_sizes",
        "tensor_split",
        "unbind",
        "vsplit",
    )
)
#: Operations that torch has as methods only.
_METHODS = frozenset(
    ("contiguous", "double", "expand", "expand_as", "float", "repeat", "reshape_as", "to", "unfold", "view", "view_as")
)
#: Attributes that a plain application would spell as a function.
_ATTRIBUTES = frozenset(("T", "H", "mT", "mH"))
_TAIL = '''

def show(expected, actual):
    """Print both sides and the largest difference."""
    largest, where = 0.0, "nowhere"
    for name in dict.fromkeys([*expected, *actual]):
        a, b = expected.get(name), actual.get(name)
        print(f"{name}\\n    torch:  {a!r}\\n    engine: {b!r}")
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and (a.dtype, a.shape) == (b.dtype, b.shape):
            gap = np.where((a == b) | ((a != a) & (b != b)), 0.0, np.abs(a.astype(float) - b.astype(float)))
            if gap.size and not gap.max() <= largest:
                largest, where = gap.max(), name
        elif type(a) is not type(b) or isinstance(a, np.ndarray) or a != b:
            largest, where = float("inf"), name
    print(f"largest difference: {largest:.17g} ({where})")

'''


def names(program: Program) -> dict[int, str]:
    """Names of the values in a script: leaves are x0, x1, …, constants c0, …, results v…"""
    found: dict[int, str] = {}
    x = c = 0
    for leaf in program.leaves:
        if leaf.requires_grad:
            found[leaf.id], x = f"x{x}", x + 1
        else:
            found[leaf.id], c = f"c{c}", c + 1
    made = [i for step in program.steps for i in getattr(step, "out", ())]
    found.update({i: f"v{k}" for k, i in enumerate(made)})
    return found


def expression(step: Apply | Inplace, name: dict[int, str]) -> str:
    """The application as an expression over `torch` and the names of its operands."""
    args = [_arg(a, name) for a in (step.args if isinstance(step, Apply) else (Ref(step.target), *step.args))]
    kwargs = [f"{k}={_arg(a, name)}" for k, a in step.kwargs]
    if step.op in ("__getitem__", "__setitem__"):
        return f"{args[0]}[{_index(step.args[1 if isinstance(step, Apply) else 0], name)}]"
    if isinstance(step, Apply) and step.form == "custom":
        return f"{step.op}(torch)({', '.join(args)})"
    if isinstance(step, Apply) and (step.form == "attribute" or step.op in _ATTRIBUTES):
        return f"{args[0]}.{step.op}"
    if isinstance(step, Apply) and step.op.startswith("__r"):
        return (
            f"{args[1]} {_REFLECTED[step.op]} {args[0]}"
            if step.op != "__rmatmul__"
            else f"{args[1]}.__rmatmul__({args[0]})"
        )
    if isinstance(step, Apply) and step.form == "operator":
        if step.op == "neg":
            return f"-{args[0]}"
        if step.op in _OPERATORS and len(args) == 2:
            return f"{args[0]} {_OPERATORS[step.op]} {args[1]}"
        return f"{step.op}({', '.join(args)})"
    if isinstance(step, Inplace) or step.form == "method" or step.op in _METHODS:
        return f"{args[0]}.{step.op}({', '.join([*args[1:], *kwargs])})"
    return f"torch.{step.op}({', '.join([*args, *kwargs])})"


def _arg(arg: Arg, name: dict[int, str]) -> str:
    match arg:
        case Ref(i):
            return name[i]
        case Seq(items):
            inner = ", ".join(_arg(item, name) for item in items)
            return f"({inner},)" if len(items) == 1 else f"({inner})"
        case Slice(start, stop, step):
            return f"slice({start}, {stop}, {step})"
        case Dots():
            return "..."
        case Special(value):
            return f'float("{value}")'
        case DTypeArg(dtype):
            return f"torch.{dtype}"
    return repr(arg)


def _index(arg: Arg, name: dict[int, str]) -> str:
    if isinstance(arg, Slice):
        text = ":".join("" if v is None else str(v) for v in (arg.start, arg.stop))
        return text if arg.step is None else f"{text}:{arg.step}"
    if isinstance(arg, Seq):
        inner = ", ".join(_index(item, name) for item in arg.items)
        return f"{inner}," if len(arg.items) == 1 else inner
    return _arg(arg, name)


def constant(a: Array) -> str:
    """A numpy array, exact: Python's shortest float text reads back as the same float."""
    data = to_numpy(a)
    if a.dtype == "float64" or a.dtype in ("bool", "int64"):
        body = data.tolist()
    else:
        body = data.astype("float64" if data.dtype.kind == "f" else "int64").tolist()
    text = repr(body).replace("nan", "np.nan").replace("inf", "np.inf")
    dtype = f", np.{'bool_' if a.dtype == 'bool' else a.dtype}"
    made = f"np.array({text}{dtype})"
    if 0 in a.shape:
        made = f"np.zeros({a.shape}{dtype})"
    if a.layout == "transposed" and data.ndim > 1:
        return f"np.asfortranarray({made})"
    if a.layout == "channels_last" and data.ndim > 2:
        return f"np.moveaxis(np.moveaxis({made}, 1, -1).copy(), -1, 1)"
    if a.layout == "strided" and data.ndim:
        return f"np.repeat({made}, 2, axis=-1)[..., ::2]"
    if a.layout == "reversed" and data.ndim:
        return f"np.ascontiguousarray({made}[..., ::-1])[..., ::-1]"
    if a.layout == "expanded" and data.ndim and data.shape[0] != 1:
        return f"np.lib.stride_tricks.as_strided({made}, {a.shape}, (0, *{made}.strides[1:]))"
    return made


def _tensors(gradients: tuple[Array | None, ...]) -> list[str]:
    return ["None" if g is None else f"torch.from_numpy({constant(g)})" for g in gradients]


def _backward(step: Backward, name: dict[int, str]) -> str:
    options = []
    if step.retain_graph is not None:
        options.append(f"retain_graph={step.retain_graph}")
    if step.create_graph:
        options.append("create_graph=True")
    if step.inputs is not None:
        options.append(f"inputs=[{', '.join(name[i] for i in step.inputs)}]")
    given = _tensors(step.gradients)
    if len(step.roots) == 1:
        return f"{name[step.roots[0]]}.backward({', '.join([*given, *options])})"
    roots = ", ".join(name[i] for i in step.roots)
    cotangents = ", ".join(given)
    return f"torch.autograd.backward({', '.join([f'[{roots}]', f'[{cotangents}]', *options])})"


def _grad(step: Grad, name: dict[int, str]) -> str:
    options = [] if step.retain_graph is None else [f"retain_graph={step.retain_graph}"]
    options += ["create_graph=True"] if step.create_graph else []
    options += ["allow_unused=True"] if step.allow_unused else []
    lists = ([name[i] for i in step.outputs], [name[i] for i in step.inputs], _tensors(step.gradients))
    call = ", ".join([*(f"[{', '.join(items)}]" for items in lists), *options])
    return f"{', '.join(name[i] for i in step.out)}, = torch.autograd.grad({call})"


def _lines(step: AnyStep, position: int, name: dict[int, str]) -> list[str]:
    match step:
        case Apply():
            left = ", ".join(name[i] for i in step.out) + ("," if len(step.out) == 1 and step.op in _TUPLES else "")
            line = f"{left} = {expression(step, name)}"
            return [line] if step.mode == "grad" else [f"with torch.{step.mode}():", f"    {line}"]
        case Inplace():
            if step.op == "__setitem__":
                lines = [f"{expression(step, name)} = {_arg(step.args[1], name)}"]
            else:
                lines = [expression(step, name)]
            if step.mode != "grad":
                lines = [f"with torch.{step.mode}():", *(f"    {line}" for line in lines)]
            return [*lines, f"{name[step.out[0]]} = {name[step.target]}"]
        case Detach():
            return [f"{name[step.out[0]]} = {name[step.source]}.detach()"]
        case RequiresGrad():
            return [f"{name[step.target]}.requires_grad_({step.value})"]
        case RetainGrad():
            return [f"{name[step.target]}.retain_grad()"]
        case Hook():
            method = "register_hook" if step.kind == "tensor" else "register_post_accumulate_grad_hook"
            # Of an operation with several results, those that nothing depends on have no gradient.
            seen = "g if g is None else g.clone()" if step.kind == "tensor" else "g.grad.clone()"
            call = f'seen.update({{f"hook {{len(seen)}} of step {position}": {seen}}})'
            answer = "None" if step.scale is None else f"None if g is None else g * {step.scale!r}"
            return [f"{name[step.target]}.{method}(lambda g: ({call}, {answer})[1])"]
        case Backward():
            return [_backward(step, name)]
        case Grad():
            return [_grad(step, name)]
        case ReadGrad():
            return [f"{name[step.out[0]]} = {name[step.target]}.grad"]
        case ZeroGrad():
            change = ".grad = None" if step.to == "none" else ".grad.zero_()"
            return [f"{name[i]}{change}" for i in step.targets]


def body(program: Program) -> str:
    """The leaves and steps, one line each, over the name `torch`."""
    name = names(program)
    lines = []
    for leaf in program.leaves:
        made = f"torch.from_numpy({constant(leaf.array)})"
        lines.append(f"{name[leaf.id]} = torch.autograd.Variable({made}, requires_grad={leaf.requires_grad})")
    for position, step in enumerate(program.steps):
        if isinstance(step, Hook) and any(isinstance(each, Inplace) for each in program.steps[:position]):
            lines.append(
                f"{name[step.target]}.grad_fn  # torch crashes if a hook is the first to ask for it after a write"
            )
        lines += _lines(step, position, name)
    return "\n".join(lines)


def script(program: Program, module: str = "minigrad", title: str = "") -> str:
    """A script that runs the program on torch and on the module `module` and prints what differs.

    An engine that is no torch-like module (`module` is "") is given as `None`: the script then shows torch's side.
    """
    name = names(program)
    kept = [s.target for s in program.steps if isinstance(s, RetainGrad)]
    shown = [f'"{name[i]}": {name[i]}' for i in program.observe]
    graded = [leaf.id for leaf in program.leaves if leaf.requires_grad] + kept
    shown += [f'"{name[i]}.grad": {name[i]}.grad' for i in graded]
    engine = f"import {module} as engine\n" if module else ""
    run = "\n".join("        " + line for line in body(program).splitlines())
    actual = "run(engine)" if module else "{}"
    heading = f'"""{title}"""\n\n' if title else ""
    own = dict.fromkeys(step.op for step in program.steps if isinstance(step, Apply) and step.form == "custom")
    functions = "".join(f"{inspect.getsource(FUNCTIONS[op])}\n\n" for op in own)
    return (
        f"{heading}import numpy as np\nimport torch as reference\n\n{engine}\n\n{functions}"
        "def run(torch):\n"
        '    """What the program shows on one side: arrays, None, or the class of an error."""\n'
        "    seen = {}\n"
        "    try:\n"
        f"{run}\n"
        f"        seen.update({{{', '.join(shown)}}})\n"
        "    except Exception as error:\n"
        '        seen["error"] = type(error).__name__\n'
        "    return {k: v.detach().clone().numpy(force=True) if hasattr(v, 'numpy') else v for k, v in seen.items()}\n"
        f"{_TAIL}\n"
        f"show(run(reference), {actual})\n"
    )
