"""What an operation is, and how one is applied.

An operation is declared once: a numpy `forward`, and for each differentiable input a formula for its vector-Jacobian
product. A formula is a function whose parameter names say what it needs:

    grad           the gradient of the output (`grads`: the list of them, zeros where none came, for several outputs)
    given          the gradients of several outputs as they came: None where there is none
    self, other …  an input, by its name in `forward`; it is saved for backward (and its version is checked)
    result         the output, saved likewise (`results`: all outputs; `indices` …: one, by its field in `returns`)
    self_shape …   the shape of an input (the shapes, of a list of inputs), `self_strides` its strides, `self_dtype` its
                   type, `other_number` whether it was given as a Python number: nothing is saved
    dim …          any other parameter of `forward`
    xp             the namespace of operations to compute with

First-order backward calls the formula with numpy arrays and the operations' own forwards as `xp`; under create_graph
the same formula gets tensors and the recorded operations. Formulas do not undo broadcasting or casts: the engine does,
once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from types import FunctionType, SimpleNamespace
from typing import Any, Final, TypeAlias

import numpy as np

from minigrad import _anomaly, _dtype
from minigrad._arguments import combination_error, mismatch
from minigrad._graph import FREED, Edge, Node, Packed, Saved, SavedTensor, _sequence, stale_error
from minigrad._modes import SPECIAL, state
from minigrad._tensor import Tensor, infer, make
from minigrad._text import type_name
from minigrad._views import (
    DEFAULT,
    MULTIPLE,
    check_inplace,
    check_overlap,
    edge_of,
    mark_view,
    overlaps,
    rebase_history,
    reflect,
)

# The types that a forward's signature is written with; they tell operands from arguments.
Array: TypeAlias = "np.ndarray[Any, Any]"  # a tensor
ArrayOrNumber: TypeAlias = "np.ndarray[Any, Any]"  # a tensor or a Python number; the forward gets an array
ArrayAsIs: TypeAlias = "np.ndarray[Any, Any]"  # a tensor that takes no part in promotion
Arrays: TypeAlias = "list[np.ndarray[Any, Any]]"  # a sequence of tensors
Dims: TypeAlias = "int | tuple[int, ...] | None"
Size: TypeAlias = "tuple[int, ...]"  # may be given as separate arguments: x.permute(1, 0)

RAW: Final = SimpleNamespace()  # name -> numpy forward
RECORDED: Final = SimpleNamespace()  # name -> public function
OPS: Final[dict[str, Op]] = {}  # every declared operation

Formula: TypeAlias = Callable[..., Any]
ALIASES: Final = {"axis": "dim", "keepdims": "keepdim", "input": "self", "x": "self", "x2": "other"}
OVERLOAD: Final = re.compile(r"\.(all|dim|correction|Scalar)$")  # what tells apart the operations of one torch name
WRAPPING: Final = {"add", "sub", "mul", "div"}  # torch wraps their numbers in tensors: they have one signature
_NUMBER: Final = (bool, int, float, complex, np.generic)
UNIFORM: Final = {"fill", "zero"}  # what may write to overlapping memory
CONSTANT: Final = [0]  # the version cell of what nobody can write to


class Op:
    """One declared operation; see the module's text. `promote`: None, "keep" (operands are cast to their common type),
    "float" (and integers to the default floating type), "same" (all must have one type), or a function of parameters
    that gives one of these. `kinds`: numpy's letters of the types that it computes with, `refusal`: its error for
    others, or the name of the kernel that torch says does not do them. `view`: whether the result shares `self`'s
    memory. `holomorphic`: the formulas give the plain derivative, of which the engine takes the conjugate for complex
    tensors; False for formulas that are right for complex tensors as they stand."""

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        formulas: dict[str, Formula],
        *,
        promote: str | Callable[..., str] | None = None,
        kinds: str = "biufc",
        refusal: str | Exception = "",
        view: bool = False,
        node: str | Callable[..., str] | None = None,
        params: dict[str, str] | None = None,
        returns: Any = None,
        holomorphic: bool = True,
    ) -> None:
        self.holomorphic = holomorphic
        self.name, self.forward, self.formulas = name, forward, formulas
        self.shown = OVERLOAD.sub("", name).removeprefix("nn.functional.").replace(".", "_")  # in errors
        self.promote, self.view, self.returns = promote, view, returns
        self.kinds, self.refusal = kinds, refusal
        if params is None:
            code = forward.__code__
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            params = {each: forward.__annotations__[each] for each in names}
            given = forward.__defaults__ or ()
            defaults = dict(zip(names[code.co_argcount - len(given) :], given))
            self.keyword_only = code.co_kwonlyargcount
            self.defaults: dict[str, Any] = {**defaults, **(forward.__kwdefaults__ or {})}
        else:
            self.defaults, self.keyword_only = {}, 0
        self.params = tuple(params)
        if self.keyword_only:  # the same function, with all its parameters positional
            self.forward = FunctionType(
                code.replace(co_argcount=len(self.params), co_kwonlyargcount=0),
                forward.__globals__,
                name,
                tuple(self.defaults[each] for each in self.params if each in self.defaults),
                forward.__closure__,
            )
        self.annotations = annotations = tuple(params.values())
        self.operands = tuple(
            (i, 1 << i, kind.startswith("Arrays")) for i, kind in enumerate(annotations) if kind.startswith("Array")
        )
        self.promoted = [i for i, kind in enumerate(annotations) if kind.split(" ")[0] in ("Array", "ArrayOrNumber")]
        self.numbers = {i for i, kind in enumerate(annotations) if kind.startswith("ArrayOrNumber")}
        self.optional = {i for i, kind in enumerate(annotations) if "None" in kind}
        self.variadic = next((i for i, kind in enumerate(annotations) if kind.startswith("Size")), None)
        camel = "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").split("_"))
        self.node_name: str | Callable[..., str] = node or f"{camel}Backward0"
        self.many_outputs = returns is not None
        self.single = self.operands == ((0, 1, False),) and not (promote or self.many_outputs or self.optional)
        # Inputs that have an edge: a number has none where it makes another overload, with a node of its own.
        asked = () if node is None or isinstance(node, str) else _names(node)
        self.overloads = {i for i in self.numbers if self.params[i] in asked}
        self.differentiable = {i for i, param in enumerate(self.params) if param in formulas}
        self.plans: dict[Any, Plan] = {}

    def tails(self) -> dict[int, tuple[Any, ...]]:
        """By how many arguments come, all by position: the defaults of the rest. Nothing where `bind` must look."""
        names = self.params
        if self.variadic is not None:
            return {}
        last = len(names) - self.keyword_only
        return {
            count: tuple(self.defaults[each] for each in names[count:])
            for count in range(1, last + 1)
            if all(each in self.defaults for each in names[count:])
        }

    def ask(self, function: Callable[..., str], args: Sequence[Any]) -> str:
        """What a function of parameters answers for these arguments."""
        return function(*[args[self.params.index(each)] for each in _names(function)])

    def left_out(self, args: Sequence[Any]) -> set[int]:
        """The operands that have no edge: the numbers of an overload, and those not given beside a number."""
        numbers = {i for i in self.overloads if isinstance(args[i], _NUMBER) or is_number(args[i])}
        return numbers and numbers | {i for i in self.overloads if args[i] is None}

    def plan(self, need: int, args: Sequence[Any]) -> Plan:
        """What to save, and which formulas to use, when the inputs in the bit set `need` require grad."""
        name = self.node_name
        if not isinstance(name, str):
            name = self.ask(name, args)
        plan = self.plans.get((need, name))
        if plan is None:
            edged = [each for each in self.operands if each[0] in self.differentiable - self.left_out(args)]
            plan = self.plans[need, name] = Plan(self, need, name, edged)
        return plan


class Plan:
    """How an operation is recorded, and how its node works, for one set of inputs that require grad.

    Both are functions written here as source from the formulas' parameter names (`print(plan.source)`):
    `record(edges, args, raws, output, cell)` makes the node, saving just what the formulas name, and `vjp` checks the
    versions of what was saved and calls each formula.
    """

    def __init__(self, op: Op, need: int, name: str, edged: Sequence[tuple[int, int, bool]]) -> None:
        self.op, self.edged = op, edged
        active = {i: op.formulas[p] for i, p in enumerate(op.params) if need >> i & 1 and p in op.formulas}
        names = {each for formula in active.values() for each in _names(formula)} - {"grad", "grads", "given", "xp"}
        single = {op.params[i]: i for i, _, many in op.operands if not many}
        named = [each for formula in active.values() for each in _names(formula)]
        inputs = [param for param in dict.fromkeys(named) if param in single]  # in torch's order: as formulas name them
        fields = getattr(op.returns, "_fields", ())
        results = [each for each in ("result", "results", *fields) if each in names and each not in op.params]
        self.saved_names = (*inputs, *results)
        self.saves_input = "self" in inputs
        # For the fast paths: whether what is recorded is at most the inputs `self` and `other`, or the result alone.
        self.saves_self, self.saves_other = self.saves_input, "other" in inputs
        self.saves_result = results == ["result"]
        self.self_first = inputs[:1] == ["self"]
        self.simple = set(inputs) <= {"self", "other"} and not results or not inputs and self.saves_result
        self.could_save = {each for formula in op.formulas.values() for each in _names(formula)}
        self.extra_names = tuple(sorted(names - set(self.saved_names)))
        self.simple = self.simple and not self.extra_names
        self.source = "\n".join(
            [
                *self._record_source(op, single, inputs, results),
                "",
                *self._first_source(op, active),
                "",
                *self._vjp_source(op, active, inputs, results),
            ]
        )
        scope: dict[str, Any] = {f"{op.params[i]}_formula": formula for i, formula in active.items()}
        scope |= {"Saved": Saved, "NOTHING": NOTHING, "is_number": is_number}
        scope |= {"FREED": FREED, "stale_error": stale_error, "conjugated": conjugated, "RAW": RAW}
        exec(compile(self.source, f"<{name} of {op.name}>", "exec"), scope)
        self.node_class = scope["Node"] = type(
            name, (OpNode,), {"__module__": "builtins", "plan": self, "vjp": scope["vjp"], "first": scope["first"]}
        )
        self.record: Callable[..., OpNode] = scope["record"]

    def _record_source(self, op: Op, single: dict[str, int], inputs: list[str], results: list[str]) -> list[str]:
        lines, saved, versions = ["def record(edges, args, raws, output, cell):"], [], []
        for name in inputs:
            i = single[name]
            lines.append(f"    {name} = args[{i}]")
            if i in op.optional:
                lines.append(f"    if {name} is None: {name} = NOTHING")
            saved.append(name)
            versions.append(f"{name}._cell[0]")
        if results == ["result"]:
            saved.append("Saved(output, cell, 0)")
            versions.append("cell[0]")
        elif results == ["results"]:
            saved.append("*map(Saved, output, cell, range(len(output)))")
            versions.append("*(each[0] for each in cell)")
        elif results:
            for n in map(op.returns._fields.index, results):
                saved.append(f"Saved(output[{n}], cell[{n}], {n})")
                versions.append(f"cell[{n}][0]")
        if op.many_outputs:
            lines.append("    meta = tuple([(each.shape, each.dtype) for each in output])")
        else:
            lines.append("    meta = ((output.shape, output.dtype),)")
        extras = [_extra(op, each) for each in self.extra_names]
        lines.append(f"    node = Node(edges, meta, {_tuple(saved)}, {_tuple(versions)}, {_tuple(extras)})")
        if any(many for _, _, many in self.edged):
            lengths = [f"len(args[{i}])" if many else "1" for i, _, many in self.edged]
            lines.append(f"    node.lengths = {_tuple(lengths)}")
        return [*lines, "    return node"]

    def _first_source(self, op: Op, active: dict[int, Formula]) -> list[str]:
        """`first`: `vjp` for real arrays and all inputs; whatever else there is goes to `vjp`, which also says why."""
        lines = ["def first(node, grad):"]
        unusual = ["grad is None", "node.complex"]
        if op.many_outputs or any(many for _, _, many in self.edged):
            return [*lines, "    return node.vjp(grad, node.arrays, None)"]
        if self.saved_names:
            lines += ["    saved = node.saved", "    if saved is None: raise RuntimeError(FREED)",
                      f"    {_tuple(self.saved_names)} = saved",
                      f"    {_tuple([f'version_{each}' for each in self.saved_names])} = node.versions"]  # fmt: skip
            unusual += [f"{each}._cell[0] != version_{each}" for each in self.saved_names]
        lines.append(f"    if {' or '.join(unusual)}: return node.vjp(grad, node.arrays, None)")
        lines += [f"    {each} = {each}._data" for each in self.saved_names]
        if self.extra_names:
            lines.append(f"    {_tuple(self.extra_names)} = node.extras")
        answers = [
            f"{op.params[i]}_formula({', '.join('RAW' if each == 'xp' else each for each in _names(active[i]))})"
            if i in active
            else "None"
            for i, _, _ in self.edged
        ]
        return [*lines, f"    return {_tuple(answers)}"]

    def _vjp_source(self, op: Op, active: dict[int, Formula], inputs: list[str], results: list[str]) -> list[str]:
        lines = ["def vjp(node, grad, calculus, wanted):"]
        if self.saved_names:
            names = [*inputs, *("*results" if each == "results" else each for each in results)]
            versions = [f"*version_{each[1:]}" if each[0] == "*" else f"version_{each}" for each in names]
            lines += ["    if node.saved is None: raise RuntimeError(FREED)", f"    {_tuple(names)} = node.saved",
                      f"    {_tuple(versions)} = node.versions"]  # fmt: skip
            for each in (*inputs, *results):
                if each == "results":
                    lines.append("    for each, version in zip(results, version_results):")
                    lines.append("        if each._cell[0] != version: raise stale_error(each, version, node)")
                else:
                    lines.append(f"    if {each}._cell[0] != version_{each}:")
                    lines.append(f"        raise stale_error({each}, version_{each}, node)")
            loaded, unpacked = [], []
            for each in (*inputs, *results):
                if each == "results":
                    loaded.append("results = [each._data for each in results]")
                    unpacked.append("results = [each.unpack(node) for each in results]")
                else:
                    loaded.append(f"{each} = {each}._data")
                    unpacked.append(f"{each} = {each}.unpack(node)")
            lines.append("    if calculus.recording:")
            lines += [f"        {each}" for each in unpacked]
            lines.append("    else:")
            lines += [f"        {each}" for each in loaded]
        if self.extra_names:
            lines.append(f"    {_tuple(self.extra_names)} = node.extras")
        if op.many_outputs:
            lines += ["    grads = given = grad if len(node.meta) > 1 else [grad]",
                      "    if all(each is None for each in grads): return (None,) * len(node.next)"]  # fmt: skip
            if any("grads" in _names(formula) for formula in active.values()):
                lines.append(
                    "    grads = [calculus.zeros(*m) if g is None else g for g, m in zip(grads, node.meta)]"
                )
            lines.append("    grad = grads[0]")
            if any("grad" in _names(formula) for formula in active.values()):
                lines.append("    if grad is None: return (None,) * len(node.next)")
        else:
            lines.append("    if grad is None: return (None,) * len(node.next)")
        kept = [*inputs, *results, *self.extra_names]
        if op.holomorphic and kept:  # torch's convention: the gradient times the conjugate of the derivative
            conjugated = [f"conjugated(calculus.xp, {each})" for each in kept]
            lines.append(f"    if node.complex: {_tuple(kept)} = {_tuple(conjugated)}")
        if any("xp" in _names(formula) for formula in active.values()):
            lines.append("    xp = calculus.xp")
        answers = []
        several = len(active) > 1 and not any(many for _, _, many in self.edged)
        for place, (i, _, many) in enumerate(self.edged):
            if i not in active:
                answers.append(f"*(None,) * node.lengths[{place}]" if many else "None")
                continue
            call = f"{op.params[i]}_formula({', '.join(_names(active[i]))})"
            if several:
                call += f" if wanted is None or node.next[{place}][0] in wanted else None"
            answers.append(f"*{call}" if many else call)
        return [*lines, f"    return {_tuple(answers)}"]


def conjugated(xp: Any, value: Any) -> Any:
    """The conjugate of a saved value: an array or a tensor, a list of them, a number; anything else as it is."""
    if isinstance(value, (np.ndarray, np.generic, Tensor)):
        return xp.conj(value)
    if isinstance(value, list):
        return [conjugated(xp, each) for each in value]
    return value.conjugate() if isinstance(value, complex) else value


def _names(formula: Formula) -> tuple[str, ...]:
    code = formula.__code__
    return code.co_varnames[: code.co_argcount]


def _tuple(parts: Sequence[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _extra(op: Op, name: str) -> str:
    """The source that finds, at forward time, a formula's parameter that is not saved."""
    base, _, what = name.rpartition("_")
    if name in op.params:
        return f"args[{op.params.index(name)}]"
    if what not in ("shape", "strides", "dtype", "number") or base not in op.params:
        raise TypeError(f"{op.name}: a formula asks for {name!r}, which is no parameter")
    i = op.params.index(base)
    if what == "number":
        return f"is_number(args[{i}])"
    if any(many and i == k for k, _, many in op.operands):
        return f"[raw.{what} for raw in raws[{i}]]"
    return f"(None if raws[{i}] is None else raws[{i}].{what})" if i in op.optional else f"raws[{i}].{what}"


class OpNode(Node):
    """A node of a declared operation; each plan makes a subclass, which has torch's name and the plan's `vjp`."""

    plain = True
    plan: Plan
    complex = False  # whether the engine conjugates around the formulas
    lengths: tuple[int, ...]  # how many edges each input has, where an input is a list

    def __init__(
        self, next: Sequence[Edge | None], meta: Any, saved: Sequence[Any], versions: Sequence[int], extras:
        Sequence[Any]
    ) -> None:
        self.sequence = _sequence.__next__()
        self.next = next
        self.meta = meta
        self.saved: Sequence[Any] | None = saved
        self.versions = versions
        self.extras = extras
        if meta[0][1].kind == "c":
            self.complex = self.plan.op.holomorphic
        if state.mode == SPECIAL:
            self.record_specially()

    def record_specially(self) -> None:
        """What rare modes want of a new node: anomaly mode its forward trace, saved-tensor hooks what it saved."""
        if state.anomaly:
            self.trace = _anomaly.capture(state.backward_node)
        if state.saved_tensors_hooks and self.saved:
            self.plain = False  # unpacking calls the user's code
            pack, unpack = state.saved_tensors_hooks[-1]
            self.saved = [
                each if each is NOTHING or each._cell is CONSTANT else Packed(each, self, pack, unpack)
                for each in self.saved
            ]
            self.versions = [each._cell[0] for each in self.saved]

    def release(self) -> None:
        if self.saved:
            self.saved = None

    def __dir__(self) -> list[str]:
        plan, found = self.plan, super().__dir__()
        for each in plan.could_save - {"grad", "grads", "given", "xp"} - _UNSEEN:
            base, _, what = each.rpartition("_")
            shown = _SHOWN_AS.get((plan.op.name, each), each)
            if each in ("dim", "keepdim") and plan.op.name in ("sum", "mean") and self._extra("dim") is None:
                continue  # in torch, reducing all is an operation of its own
            if what == "shape" or each in plan.op.params or each in plan.saved_names:
                found.append(f"_saved_{base}_sym_sizes" if what == "shape" else f"_saved_{shown}")
            if each in plan.saved_names:
                found.append(f"_raw_saved_{shown}")
        return sorted(found)

    def _extra(self, name: str) -> Any:
        return self.extras[self.plan.extra_names.index(name)]

    def __getattr__(self, name: str) -> Any:
        """`_saved_self` and the like, as torch shows them."""
        plan = self.plan
        wanted = name.removeprefix("_raw").removeprefix("_saved_")
        if name.startswith(("_saved_", "_raw_saved_")):
            wanted = _RENAMED.get((plan.op.name, wanted), wanted)
            if wanted in plan.saved_names:
                place = plan.saved_names.index(wanted)
                return SavedTensor(self, place) if name.startswith("_raw") else self._unpacked(place)
            if wanted.endswith("_sym_sizes"):
                wanted = wanted.removesuffix("_sym_sizes") + "_shape"
            if wanted in plan.extra_names:
                return _as_shown(plan.op.name, wanted, self._extra(wanted))
            if wanted in plan.could_save:
                return None
        raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")

    def _unpacked(self, place: int) -> Any:
        """A saved value as a tensor, or the number that it was given as."""
        if self.saved is None:
            raise RuntimeError(FREED)
        saved = self.saved[place]
        if saved._cell[0] != self.versions[place]:
            raise stale_error(saved, self.versions[place], self)
        if is_number(saved) and saved is not NOTHING and self.plan.op.name not in WRAPPING:
            number = saved._data.item()
            return int(number) if isinstance(number, float) and number.is_integer() else number
        return saved.unpack(self)


def _as_shown(op: str, name: str, value: Any) -> Any:
    """An argument that a node keeps, as torch shows it."""
    if name == "dim" and op in _DIMS and isinstance(value, int):
        return (value,)
    if name == "dim" and type(value) is int and value < 0:
        return 2**64 + value  # torch keeps it as it is, and shows it unsigned
    if op == "index" and name == "index":
        return tuple(getattr(value, "tensors", value))
    return value


# (operation, torch's name of an argument) -> the name here
_RENAMED: Final = {("pow", "exponent"): "other", ("index", "indices"): "index"}
_SHOWN_AS: Final = {(op, name): theirs for (op, theirs), name in _RENAMED.items()}
_UNSEEN: Final = {"dtype", "rounding_mode"}  # what torch's nodes do not keep
_DIMS: Final = {"sum", "mean", "var", "std", "logsumexp", "amax", "amin", "nansum"}  # their `dim` is a tuple in torch


# ---- applying --------------------------------------------------------------------------------------------------------


def apply(op: Op, args: Sequence[Any]) -> Any:
    """Apply `op` to its arguments, one per parameter in declared order, and record it if an input requires grad."""
    if op.single and isinstance(args[0], Tensor):
        return _apply_single(op, args)
    args, raws, edges, need = _prepare(op, args)
    result = _forward(op, raws)
    recording = bool(need and state.grad_enabled and op.formulas) and not state.inference
    if not op.many_outputs:
        output = _output(op, args[0], result)
        if recording and result.dtype.kind in "fc":
            output._edge = (op.plan(need, args).record(edges, args, raws, result, output._cell), 0)
        return output
    outputs = [_output(op, args[0], each) for each in result]
    if recording and outputs:
        node = op.plan(need, args).record(edges, args, raws, result, [each._cell for each in outputs])
        for number, each in enumerate(outputs):
            if each._data.dtype.kind in "fc":
                each._edge = (node, number)
    return tuple(outputs) if op.returns is tuple else op.returns(*outputs)


def _apply_single(op: Op, args: Sequence[Any]) -> Tensor:
    """`apply` for one tensor first, nothing to promote, and one output: most views, moves and reductions."""
    tensor = args[0]
    raws = (tensor.materialize() if op.view else tensor._data, *args[1:])
    result = _forward(op, raws)
    output = _output(op, tensor, result)
    if state.grad_enabled and not state.inference and op.formulas and result.dtype.kind in "fc":
        edge = tensor._edge if tensor._view is None else edge_of(tensor)
        if edge is not None:
            output._edge = (op.plan(1, args).record((edge,), args, raws, result, output._cell), 0)
    return output


def _forward(op: Op, raws: Sequence[Any]) -> Any:
    try:
        return state.run(op.forward, *raws)
    except ValueError as error:
        if not str(error).startswith("operands could not be broadcast"):
            raise
        shapes = [raw.shape for raw in raws if isinstance(raw, (np.ndarray, np.generic))]
    except TypeError as error:
        raise mismatch(op, raws) or error from None
    raise broadcast_error(shapes)


def broadcast_error(shapes: Sequence[tuple[int, ...]]) -> RuntimeError:
    """Torch's error for shapes that do not broadcast; it looks from the last dimension on."""
    first = shapes[0]
    for second in shapes[1:]:
        ndim = max(len(first), len(second))
        a, b = (1,) * (ndim - len(first)) + first, (1,) * (ndim - len(second)) + second
        for dim in reversed(range(ndim)):
            if a[dim] != b[dim] and 1 not in (a[dim], b[dim]):
                return RuntimeError(
                    f"The size of tensor a ({a[dim]}) must match the size of tensor b ({b[dim]}) at non-singleton"
                    f" dimension {dim}"
                )
        first = np.broadcast_shapes(a, b)
    return RuntimeError(f"shapes {', '.join(map(str, shapes))} do not broadcast")


def _prepare(op: Op, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Edge | None], int]:
    args, raws = list(args), list(args)
    edges: list[Edge | None] = []
    need = 0
    for i, bit, many in op.operands:
        given = args[i]
        if many:
            raws[i] = [each._data for each in _tensors(op, i, given)]
            if i in op.differentiable:
                for each in given:
                    edge = edge_of(each)
                    edges.append(edge)
                    if edge is not None:
                        need |= bit
        elif isinstance(given, Tensor):
            raws[i] = given.materialize() if op.view else given._data
            if i in op.differentiable:
                edge = given._edge if given._view is None else edge_of(given)
                edges.append(edge)
                if edge is not None:
                    need |= bit
        elif given is None and i in op.optional or i in op.numbers and isinstance(given, _NUMBER):
            if i in op.differentiable and i not in op.left_out(args):
                edges.append(None)
        elif op.numbers and op.name not in WRAPPING:
            raise _combination_error(op, args)
        else:
            raise argument_error(op, i, given)
    if (
        len(op.numbers) == len(op.operands)
        and op.name not in WRAPPING
        and not any(isinstance(args[i], Tensor) for i in op.numbers)
    ):
        raise _combination_error(op, args)
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
        f"{op.shown}(): argument '{param}' (position {i + 1}) must be {wanted}, not {type_name(given)}"
    )


def _combination_error(op: Op, args: Sequence[Any]) -> TypeError:
    """Torch's error where several overloads might have been meant."""
    return combination_error(op.shown, *[args[i] for i, _, _ in op.operands])


def _promote(op: Op, args: list[Any], raws: list[Any]) -> None:
    """Cast the operands to their common type; saved values become those that the forward saw."""
    places = [i for i in op.promoted if raws[i] is not None]
    first = args[places[0]]
    if op.promote == "same":
        _check_same(op, raws, places)
    if isinstance(first, _NUMBER) or any(
        isinstance(args[i], _NUMBER) or raws[i].dtype != first._data.dtype for i in places[1:]
    ):
        dtype = _dtype.result_type(
            args[i] if isinstance(args[i], _NUMBER) else (raws[i].dtype, raws[i].ndim) for i in places
        )
    else:
        dtype = first._data.dtype
    if op.promote == "same":
        dtype = first._data.dtype
    promote = op.promote if isinstance(op.promote, str) else op.ask(op.promote, args)  # type: ignore[arg-type]
    if promote == "float" and dtype.kind in "iub":
        dtype = _dtype.default_float()
    if dtype.kind not in op.kinds:
        if isinstance(op.refusal, Exception):
            raise type(op.refusal)(*op.refusal.args)
        raise NotImplementedError(f'"{op.refusal}" not implemented for \'{_dtype.from_numpy(dtype).legacy_name}\'')
    for i in places:
        if isinstance(args[i], _NUMBER):
            # Integers wrap around, as in torch; numpy's types refuse them.
            raws[i] = np.asarray(args[i]).astype(dtype)[()] if dtype.kind in "iu" else _as_type(args[i], dtype)
            args[i] = Saved(raws[i], CONSTANT, None)
        elif raws[i].dtype != dtype:
            raws[i] = raws[i].astype(dtype)
            args[i] = Saved(raws[i], args[i]._cell, args[i])


def _as_type(number: Any, dtype: np.dtype[Any]) -> Any:
    """A number as a floating type; a half may overflow to infinity, without numpy's warning."""
    return state.run(dtype.type, number) if dtype.itemsize == 2 else dtype.type(number)


def _check_same(op: Op, raws: Sequence[Any], places: Sequence[int]) -> None:
    wanted = _dtype.from_numpy(raws[places[0]].dtype)
    for i in places[1:]:
        given = getattr(raws[i], "dtype", wanted.numpy)
        if given != wanted.numpy and raws[i].ndim:
            raise RuntimeError(
                f"expected dtype {wanted.cpp_name} for `{op.params[i]}` but got dtype"
                f" {_dtype.from_numpy(given).cpp_name}"
            )


def is_number(given: Any) -> bool:
    """Whether an operand was given as a Python number, in what a `node` function is asked about."""
    return type(given) is Saved and given.source is None or isinstance(given, _NUMBER)


def _output(op: Op, first: Any, data: Any) -> Tensor:
    tensor = make(data, None)
    if op.view:
        mark_view(tensor, first, MULTIPLE if op.many_outputs else DEFAULT)
    elif state.inference:
        infer(tensor)
    return tensor


class _Nothing(Saved):
    """What is saved for an optional input that was not given."""

    def unpack(self, node: Node) -> Any:
        return None


NOTHING: Final = _Nothing(None, CONSTANT, None)


def apply_inplace(op: Op, args: Sequence[Any]) -> Tensor:
    """Apply `op` and write the result into its first argument, which keeps its shape and type."""
    target: Tensor = args[0]
    if not isinstance(target, Tensor):
        raise argument_error(op, 0, target)
    if target._view is not None and target._view.made and target.requires_grad:
        check_inplace(target)  # before its edge is asked for, which such a view may not have
    args, raws, edges, need = _prepare(op, args)
    if need and op.formulas:
        check_inplace(target)
    aliases = [each for each in args[1:] if isinstance(each, Tensor) and each._cell is target._cell]
    for each in aliases:
        check_overlap(target, each)
    result = _forward(op, raws)
    recording = need and state.grad_enabled and not state.inference and op.formulas and target._data.dtype.kind in "fc"
    if recording and op.plan(need, args).saves_input:
        old = args[0]._data.copy() if isinstance(args[0], Tensor) else args[0]._data
        args[0] = make(old, edge_of(target))
    write(target, result, uniform=op.name in UNIFORM)
    if recording:
        node = op.plan(need, args).record(edges, args, raws, target._data, target._cell)
        if aliases:  # what was saved of them is gone
            saved = node.saved or ()
            node.versions = [v - any(s is each for each in aliases) for s, v in zip(saved, node.versions, strict=True)]
        rebase_history(target, node)
    return target


def write(target: Tensor, result: Any, uniform: bool = False) -> None:
    """Store `result` in `target`'s memory and count the write; RuntimeError where torch refuses.

    `uniform`: all elements are the same, so that it does not matter whether they overlap.
    """
    data = target.materialize()
    if result.shape != data.shape:
        raise RuntimeError(
            f"output with shape {list(data.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    if not _dtype.castable(result.dtype, data.dtype):
        wanted, given = _dtype.from_numpy(data.dtype), _dtype.from_numpy(result.dtype)
        raise RuntimeError(
            f"result type {given.legacy_name} can't be cast to the desired output type {wanted.legacy_name}"
        )
    if not uniform:
        check_written(data)
    state.run(np.copyto, data, result, "unsafe")
    if len(target._cell) > 1:
        reflect(target)
    if target._inference and not state.inference:  # after the write, as in torch
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a"
            " normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    if not target._inference:
        target._cell[0] += 1


def check_written(data: np.ndarray[Any, Any]) -> None:
    """Refuse to write to elements that share memory with each other."""
    if not data.flags.forc and overlaps(data):
        if 0 not in data.strides:
            raise NotImplementedError("numpy cannot write to elements that overlap in memory as torch does")
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location."
            " Please clone() the tensor before performing the operation."
        )


# ---- arguments -------------------------------------------------------------------------------------------------------


def bind(op: Op, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """All arguments of a call in declared order; TypeError with torch's texts."""
    params = op.params
    positional = len(params) - op.keyword_only
    if op.variadic is not None and len(args) > op.variadic and _is_int(args[op.variadic]):
        args = (*args[: op.variadic], tuple(args[op.variadic :]))
    if len(args) > positional:
        plural = "" if positional == 1 else "s"
        raise TypeError(f"{op.shown}() takes {positional} positional argument{plural} but {len(args)} were given")
    bound = dict(zip(params, args))
    for key, value in kwargs.items():
        name = key if key in params else ALIASES.get(key, key)
        if name not in params:
            _check_missing(op, {*bound, *(ALIASES.get(each, each) for each in kwargs), *kwargs})  # torch looks first
            raise TypeError(f"{op.shown}() got an unexpected keyword argument '{key}'")
        if name in bound:
            raise TypeError(f"{op.shown}() got multiple values for argument '{key}'")
        bound[name] = value
    _check_missing(op, bound)
    return [bound[name] if name in bound else op.defaults[name] for name in params]


def _check_missing(op: Op, given: Container[str]) -> None:
    """TypeError for parameters that have no default and are not given."""
    missing = [name for name in op.params if name not in given and name not in op.defaults]
    if missing:
        listed = ", ".join(f'"{"input" if name == "self" else name}"' for name in missing)
        plural = "s" if len(missing) == 1 else ""  # so it is in torch
        raise TypeError(f"{op.shown}() missing {len(missing)} required positional argument{plural}: {listed}")


def _is_int(value: object) -> bool:
    return isinstance(value, (int, np.integer)) or isinstance(value, Tensor) and value._data.ndim == 0


def store_out(name: str, out: Any, result: Tensor, args: Sequence[Any], exact: bool = False) -> Tensor:
    """Write a result to the tensor given as `out=`; `exact`: which must have its type."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type_name(out)}")
    if state.grad_enabled and (out.requires_grad or any(isinstance(a, Tensor) and a.requires_grad for a in args)):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the"
            " arguments requires grad."
        )
    if exact and out._data.dtype != result._data.dtype:
        wanted, given = (_dtype.from_numpy(each._data.dtype).cpp_name for each in (result, out))
        raise RuntimeError(f"Expected out tensor to have dtype {wanted}, but got {given} instead")
    if out._data.shape != result._data.shape:
        if out._data.size:
            import warnings

            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(out._data.shape)}, which"
                f" does not match the required output shape {list(result._data.shape)}. This behavior is deprecated,"
                " and in a future PyTorch release outputs will not be resized unless they have zero elements. You can"
                " explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                stacklevel=3,
            )
        out._data = np.empty(result._data.shape, out._data.dtype)
    for each in args:
        if isinstance(each, Tensor) and each._cell is out._cell:
            check_overlap(out, each)
    write(out, result._data)
    found: Tensor = out
    return found
