"""What an operation is, and how one is applied.

An operation is declared once: a numpy `forward`, and for each differentiable input a formula for its vector-Jacobian
product. A formula is a function whose parameter names say what it needs:

    grad           the gradient of the output (`grads`: the list of them, zeros where none came, for several outputs)
    self, other …  an input, by its name in `forward`; it is saved for backward (and its version is checked)
    result         the output, saved likewise (`results`: all outputs)
    self_shape …   the shape of an input (the shapes, of a list of inputs); `self_dtype` its type: nothing is saved
    dim …          any other parameter of `forward`
    xp             the namespace of operations to compute with

First-order backward calls the formula with numpy arrays and the operations' own forwards as `xp`; under create_graph the
same formula gets tensors and the recorded operations. Formulas do not undo broadcasting or casts: the engine does, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import numpy as np

from minigrad import _anomaly, _dtype
from minigrad._graph import FREED, Edge, Node, Saved, _sequence, stale_error
from minigrad._modes import state
from minigrad._tensor import Tensor, make
from minigrad._views import DEFAULT, MULTIPLE, check_inplace, edge_of, mark_view, rebase_history

# The types that a forward's signature is written with; they tell operands from arguments.
Array: TypeAlias = "np.ndarray[Any, Any]"  # a tensor
Arrays: TypeAlias = "list[np.ndarray[Any, Any]]"  # a sequence of tensors
Dims: TypeAlias = "int | tuple[int, ...] | None"
Size: TypeAlias = "tuple[int, ...]"  # may be given as separate arguments: x.permute(1, 0)

RAW: Final = SimpleNamespace()  # name -> numpy forward
RECORDED: Final = SimpleNamespace()  # name -> public function
OPS: Final[dict[str, Op]] = {}  # every declared operation

Formula: TypeAlias = Callable[..., Any]
_ALIASES: Final = {"axis": "dim", "keepdims": "keepdim", "input": "self", "x": "self", "x2": "other"}
_NUMBER: Final = (bool, int, float, complex, np.generic)
_CONSTANT: Final = [0]  # the version cell of what nobody can write to


class Op:
    """One declared operation; see the module's text. `promote`: None, "keep" (operands are cast to their common type)
    or "float" (and integers to the default floating type). `view`: whether the result shares `self`'s memory.
    `holomorphic`: the formulas give the plain derivative, which the engine conjugates for complex tensors; False for
    formulas that are right for complex tensors as they stand."""

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        formulas: dict[str, Formula],
        *,
        promote: str | None = None,
        view: bool = False,
        node: str | Callable[..., str] | None = None,
        params: dict[str, str] | None = None,
        returns: Any = None,
        holomorphic: bool = True,
    ) -> None:
        self.holomorphic = holomorphic
        self.name, self.forward, self.formulas = name, forward, formulas
        self.promote, self.view, self.returns = promote, view, returns
        if params is None:
            code = forward.__code__
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            params = {each: forward.__annotations__[each] for each in names}
            defaults = dict(zip(names[code.co_argcount - len(forward.__defaults__ or ()) :], forward.__defaults__ or ()))
            self.keyword_only = code.co_kwonlyargcount
            self.defaults: dict[str, Any] = {**defaults, **(forward.__kwdefaults__ or {})}
        else:
            self.defaults, self.keyword_only = {}, 0
        self.params = tuple(params)
        if self.keyword_only:
            split = len(params) - self.keyword_only
            self.forward = lambda *args: forward(*args[:split], **dict(zip(self.params[split:], args[split:])))
        kinds = tuple(params.values())
        self.operands = tuple(
            (i, 1 << i, kind.startswith("Arrays")) for i, kind in enumerate(kinds) if kind.startswith("Array")
        )
        self.optional = {i for i, kind in enumerate(kinds) if "None" in kind}
        self.variadic = next((i for i, kind in enumerate(kinds) if kind.startswith("Size")), None)
        camel = "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").split("_"))
        self.node_name = node or f"{camel}Backward0"
        self.plans: dict[Any, Plan] = {}

    def plan(self, need: int, args: Sequence[Any]) -> Plan:
        """What to save, and which formulas to use, when the inputs in the bit set `need` require grad."""
        name = self.node_name
        if not isinstance(name, str):
            name = name(*(args[self.params.index(p)] for p in name.__code__.co_varnames[: name.__code__.co_argcount]))
        plan = self.plans.get((need, name))
        if plan is None:
            plan = self.plans[need, name] = Plan(self, need, name)
        return plan


class Plan:
    """How a node of one operation works for one set of inputs that require grad."""

    def __init__(self, op: Op, need: int, name: str) -> None:
        self.op = op
        self.node_class = type(name, (OpNode,), {"__module__": "minigrad", "__slots__": ()})
        active = [
            (i, op.formulas[param])
            for i, param in enumerate(op.params)
            if need >> i & 1 and param in op.formulas
        ]
        names = {each for _, formula in active for each in _names(formula)} - {"grad", "grads", "xp"}
        operands = {op.params[i] for i, _, many in op.operands if not many}
        self.saved = tuple(i for i, param in enumerate(op.params) if param in names and param in operands)
        self.saves_result = bool(names & {"result", "results"})
        self.many_results = "results" in names
        extras = sorted(names - operands - {"result", "results"})
        self.extras = tuple(_extra(op, each) for each in extras)
        layout = [op.params[i] for i in self.saved]
        if self.saves_result:
            layout.append("results" if self.many_results else "result")
        layout += extras + ["grad", "xp"]
        self.saved_names = tuple(layout[: len(self.saved) + self.saves_result])
        place = {each: i for i, each in enumerate(layout)}
        place["grads"] = place["grad"]
        order = {i: k for k, (i, _, _) in enumerate(op.operands)}
        self.formulas = tuple((order[i], f, _picker([place[each] for each in _names(f)])) for i, f in active)
        self.spread = any(many for _, _, many in op.operands)
        self.wants_all = any("grads" in _names(formula) for _, formula in active)


def _names(formula: Formula) -> tuple[str, ...]:
    code = formula.__code__
    return code.co_varnames[: code.co_argcount]


def _picker(places: list[int]) -> Callable[[list[Any]], Sequence[Any]]:
    if len(places) == 1:
        only = places[0]
        return lambda environment: (environment[only],)
    return itemgetter(*places)


def _extra(op: Op, name: str) -> Callable[[Sequence[Any], Sequence[Any]], Any]:
    """How a formula's parameter that is not saved is found at forward time, from the arguments and their arrays."""
    base, _, what = name.rpartition("_")
    if name in op.params:
        i = op.params.index(name)
        return lambda args, raws: args[i]
    if what not in ("shape", "dtype") or base not in op.params:
        raise TypeError(f"{op.name}: a formula asks for {name!r}, which is no parameter")
    i = op.params.index(base)
    if any(many and i == k for k, _, many in op.operands):
        return lambda args, raws: [getattr(raw, what) for raw in raws[i]]
    return lambda args, raws: None if raws[i] is None else getattr(raws[i], what)


class OpNode(Node):
    """A node of a declared operation. Subclasses, one per name, are made by plans; they add nothing."""

    plain = True

    def __init__(
        self,
        plan: Plan,
        next: Sequence[Edge | None],
        meta: Any,
        saved: Sequence[Any],
        versions: Sequence[int],
        extras: Sequence[Any],
    ) -> None:
        self.sequence = _sequence.__next__()
        self.next = next
        self.meta = meta
        self.plan = plan
        self.saved: Sequence[Any] | None = saved
        self.versions = versions
        self.extras = extras
        self.complex = meta[0][1].kind == "c" and plan.op.holomorphic
        if state.anomaly:
            self.trace = _anomaly.capture(state.backward_node)

    def vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        plan, saved = self.plan, self.saved
        if saved is None:
            raise RuntimeError(FREED)
        environment = []
        for each, version in zip(saved, self.versions):
            if each._cell[0] != version:
                raise stale_error(each, version, self)
            environment.append(calculus.load(each, self))
        if plan.many_results:
            count = len(self.meta)
            environment[-count:] = [environment[-count:]]
        environment += self.extras
        if len(self.meta) == 1:
            if grads is None:
                return [None] * len(self.next)
        elif all(each is None for each in grads):
            return [None] * len(self.next)
        elif plan.wants_all:
            grads = [calculus.zeros(*m) if g is None else g for g, m in zip(grads, self.meta)]
        else:
            grads = grads[0]
            if grads is None:
                return [None] * len(self.next)
        if self.complex:
            grads = [calculus.xp.conj(g) for g in grads] if isinstance(grads, list) else calculus.xp.conj(grads)
        environment.append(grads)
        environment.append(calculus.xp)
        if plan.spread:
            return self._spread(environment, calculus.xp)
        result: list[Any] = [None] * len(self.next)
        for i, formula, pick in plan.formulas:
            if wanted is None or self.next[i][0] in wanted:  # type: ignore[index]
                result[i] = formula(*pick(environment))
        if self.complex:
            return [None if each is None else calculus.xp.conj(each) for each in result]
        return result

    def _spread(self, environment: list[Any], xp: Any) -> Sequence[Any]:
        """Gradients where some input is a list: its formula gives a list too."""
        found = {i: formula(*pick(environment)) for i, formula, pick in self.plan.formulas}
        lengths: Sequence[int | None] = self.__dict__["lengths"]
        result: list[Any] = []
        for i, length in enumerate(lengths):
            grad = found.get(i)
            result += [grad] if length is None else [None] * length if grad is None else list(grad)
        if self.complex:
            return [None if each is None else xp.conj(each) for each in result]
        return result

    def release(self) -> None:
        if self.saved:
            self.saved = None

    def __getattr__(self, name: str) -> Any:
        """`_saved_self` and the like, as torch shows them."""
        if not name.startswith("_saved_"):
            raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")
        wanted, plan = name.removeprefix("_saved_"), self.plan
        if wanted in plan.saved_names:
            if self.saved is None:
                raise RuntimeError(FREED)
            saved = self.saved[plan.saved_names.index(wanted)]
            return saved if isinstance(saved, Tensor) else saved.unpack(self)
        for extra, value in zip(sorted(set(plan.op.params) - set(plan.saved_names)), self.extras):
            if extra == wanted:
                return value
        raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")


# ---- applying --------------------------------------------------------------------------------------------------------


def apply(op: Op, args: Sequence[Any]) -> Any:
    """Apply `op` to its arguments, one per parameter in declared order, and record it if an input requires grad."""
    args, raws, edges, need = _prepare(op, args)
    result = state.quiet.run(op.forward, *raws)
    if not (need and state.grad_enabled and op.formulas):
        return _wrap(op, args, result, None)
    outputs = result if isinstance(result, tuple) else (result,)
    return _wrap(op, args, result, _record(op, args, raws, edges, need, outputs, None))


def _prepare(op: Op, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Edge | None], int]:
    args, raws = list(args), list(args)
    edges: list[Edge | None] = []
    need = 0
    for i, bit, many in op.operands:
        given = args[i]
        if isinstance(given, Tensor):
            raws[i] = given.materialize() if op.view else given._data
            edge = given._edge if given._view is None else edge_of(given)
            edges.append(edge)
            if edge is not None:
                need |= bit
        elif many:
            raws[i] = [each._data for each in _tensors(op, i, given)]
            for each in given:
                edge = edge_of(each)
                edges.append(edge)
                if edge is not None:
                    need |= bit
        elif given is None and i in op.optional or op.promote and isinstance(given, _NUMBER):
            edges.append(None)
        else:
            raise argument_error(op, i, given)
    if op.promote:
        _promote(op, args, raws)
    return args, raws, edges, need


def _tensors(op: Op, i: int, given: Any) -> Sequence[Tensor]:
    if not isinstance(given, (list, tuple)):
        raise argument_error(op, i, given, "tuple of Tensors")
    for k, each in enumerate(given):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {k} in argument {i}, but got {type(each).__name__}"
            )
    return given


def argument_error(op: Op, i: int, given: Any, wanted: str = "Tensor") -> TypeError:
    """Torch's error for an argument of the wrong type."""
    param = "input" if op.params[i] == "self" else op.params[i]
    return TypeError(
        f"{op.name}(): argument '{param}' (position {i + 1}) must be {wanted}, not {type(given).__name__}"
    )


def _promote(op: Op, args: list[Any], raws: list[Any]) -> None:
    """Cast the operands to their common type; saved values become those that the forward saw."""
    places = [i for i, _, many in op.operands if not many and raws[i] is not None]
    arrays = [raws[i] for i in places]
    dtype = getattr(arrays[0], "dtype", None)
    if dtype is None or isinstance(args[places[0]], _NUMBER) or any(
        isinstance(args[i], _NUMBER) or raws[i].dtype != dtype for i in places[1:]
    ):
        dtype = _dtype.result_type(
            args[i] if isinstance(args[i], _NUMBER) else (raws[i].dtype, raws[i].ndim) for i in places
        )
    if op.promote == "float" and dtype.kind in "iub":
        dtype = _dtype.default_float()
    for i in places:
        if isinstance(args[i], _NUMBER):
            raws[i] = dtype.type(args[i])
            args[i] = Saved(raws[i], _CONSTANT, None)
        elif raws[i].dtype != dtype:
            raws[i] = raws[i].astype(dtype)
            args[i] = Saved(raws[i], args[i]._cell, args[i])


def _record(
    op: Op,
    args: Sequence[Any],
    raws: Sequence[Any],
    edges: Sequence[Edge | None],
    need: int,
    outputs: Sequence[Any],
    written: Tensor | None,
) -> OpNode:
    """The node of an application; `written` is the tensor whose memory the output is, for an in-place one."""
    plan = op.plan(need, args)
    saved = [_NOTHING if args[i] is None else args[i] for i in plan.saved]
    if plan.saves_result:
        if written is not None:
            saved.append(Saved(written._data, written._cell, 0))
        else:
            kept = outputs if plan.many_results else outputs[:1]
            saved += [Saved(output, [0], number) for number, output in enumerate(kept)]
    node: OpNode = plan.node_class(
        plan,
        edges,
        tuple((output.shape, output.dtype) for output in outputs),
        saved,
        [each._cell[0] for each in saved],
        [extra(args, raws) for extra in plan.extras],
    )
    if plan.spread:
        node.__dict__["lengths"] = [len(args[i]) if many else None for i, _, many in op.operands]
    return node


def _wrap(op: Op, args: Sequence[Any], result: Any, node: OpNode | None) -> Any:
    """The result as tensors, with their place in the graph and in memory."""
    if not isinstance(result, tuple):
        return _output(op, args, result, node, 0)
    outputs = [_output(op, args, each, node, number) for number, each in enumerate(result)]
    return op.returns(*outputs) if op.returns is not None else tuple(outputs)


def _output(op: Op, args: Sequence[Any], data: Any, node: OpNode | None, number: int) -> Tensor:
    tensor = make(data, None)
    if node is not None and data.dtype.kind in "fc":
        tensor._edge = (node, number)
        if node.plan.saves_result:
            tensor._cell = _saved_cell(node, number)
    if op.view:
        mark_view(tensor, args[0], MULTIPLE if op.returns is tuple else DEFAULT)
    if state.inference:
        tensor._inference = True
    return tensor


def _saved_cell(node: OpNode, number: int) -> list[int]:
    """The version cell of an output, shared with what was saved of it."""
    assert node.saved is not None
    for each in reversed(node.saved):
        if isinstance(each, Saved) and each.source == number and not isinstance(each.source, Tensor):
            return each._cell
    return [0]


class _Nothing(Saved):
    """What is saved for an optional input that was not given."""

    def unpack(self, node: Node) -> Any:
        return None


_NOTHING: Final = _Nothing(None, _CONSTANT, None)


def apply_inplace(op: Op, args: Sequence[Any]) -> Tensor:
    """Apply `op` and write the result into its first argument, which keeps its shape and type."""
    target: Tensor = args[0]
    if not isinstance(target, Tensor):
        raise argument_error(op, 0, target)
    args, raws, edges, need = _prepare(op, args)
    if need and op.formulas:
        check_inplace(target)
    result = state.quiet.run(op.forward, *raws)
    recording = need and state.grad_enabled and op.formulas
    if recording and 0 in op.plan(need, args).saved:
        old = args[0]._data.copy() if isinstance(args[0], Tensor) else args[0]._data
        args[0] = make(old, edges[0])
    write(target, result)
    if recording:
        rebase_history(target, _record(op, args, raws, edges, need, (target._data,), target))
    return target


def write(target: Tensor, result: Any) -> None:
    """Store `result` in `target`'s memory and count the write; RuntimeError where torch refuses."""
    data = target.materialize()
    if not _dtype.castable(result.dtype, data.dtype):
        wanted, given = _dtype.from_numpy(data.dtype), _dtype.from_numpy(result.dtype)
        raise RuntimeError(
            f"result type {given.legacy_name} can't be cast to the desired output type {wanted.legacy_name}"
        )
    if result.shape != data.shape:
        raise RuntimeError(
            f"output with shape {list(data.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    if 0 in data.strides and any(not stride and size > 1 for stride, size in zip(data.strides, data.shape)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location."
            " Please clone() the tensor before performing the operation."
        )
    if target._inference and not state.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal"
            " tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    state.quiet.run(np.copyto, data, result, "unsafe")
    target._cell[0] += 1


# ---- arguments -------------------------------------------------------------------------------------------------------


def bind(op: Op, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """All arguments of a call in declared order; TypeError with torch's texts."""
    params = op.params
    positional = len(params) - op.keyword_only
    if op.variadic is not None and len(args) > op.variadic and _is_int(args[op.variadic]):
        args = (*args[: op.variadic], tuple(args[op.variadic :]))
    if len(args) > positional:
        raise TypeError(f"{op.name}() takes {positional} positional arguments but {len(args)} were given")
    bound = dict(zip(params, args))
    for key, value in kwargs.items():
        name = key if key in params else _ALIASES.get(key, key)
        if name not in params:
            raise TypeError(f"{op.name}() got an unexpected keyword argument '{key}'")
        if name in bound:
            raise TypeError(f"{op.name}() got multiple values for argument '{key}'")
        bound[name] = value
    missing = [name for name in params if name not in bound and name not in op.defaults]
    if missing:
        listed = ", ".join(f'"{"input" if name == "self" else name}"' for name in missing)
        raise TypeError(f"{op.name}() missing {len(missing)} required positional arguments: {listed}")
    return [bound[name] if name in bound else op.defaults[name] for name in params]


def _is_int(value: object) -> bool:
    return isinstance(value, (int, np.integer)) or isinstance(value, Tensor) and value._data.ndim == 0


def store_out(name: str, out: Any, result: Tensor, args: Sequence[Any]) -> Tensor:
    """Write a result to the tensor given as `out=`."""
    if state.grad_enabled and (out.requires_grad or any(isinstance(a, Tensor) and a.requires_grad for a in args)):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the"
            " arguments requires grad."
        )
    if out._data.shape != result._data.shape:
        if out._data.size:
            import warnings

            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(out._data.shape)}, which does"
                f" not match the required output shape {list(result._data.shape)}. This behavior is deprecated, and in a"
                " future PyTorch release outputs will not be resized unless they have zero elements. You can explicitly"
                " reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                stacklevel=3,
            )
        out._data = np.empty(result._data.shape, out._data.dtype)
    write(out, result._data)
    found: Tensor = out
    return found
