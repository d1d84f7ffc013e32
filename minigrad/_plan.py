"""How an operation is recorded: for each case of it a plan, functions written as source from the formulas' parameters.

A case is which inputs require grad, the node's name, whether the result is complex, and whether gradients
are trusted to have its shape and type. The source can be read:
`print(plan_of(OPS["mul"], 3, args, np.dtype("float32")).source)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from minigrad import _anomaly
from minigrad._graph import (
    BY_VJP,
    FREED,
    NO_META,
    NOT_IMPLEMENTED,
    YOUNGEST,
    Meta,
    Node,
    Number,
    Packed,
    Saved,
    SavedTensor,
    next_sequence,
    stale_error,
    version_of,
)
from minigrad._modes import SPECIAL, state
from minigrad._op import RAW, Op, is_number, parameters
from minigrad._shown import as_shown, shown_names
from minigrad._tensor import Tensor, make

SAVED: Final = 6  # how many values a node has slots for
WRAPPING: Final = {"add", "sub", "mul", "div"}  # torch wraps their numbers in tensors: they have one signature
_GRADIENTS: Final = {"grad", "grads", "given"}
_SAME: Final = (lambda grad: grad).__code__.co_code  # the formula that need not be called


def plan_of(op: Op, need: int, args: Sequence[Any], dtype: np.dtype[Any], trusted: bool = False) -> Plan:
    """The plan for when the inputs in the bit set `need` require grad, and the result has this type.

    `trusted`: gradients will have the shape and type of the result, so that only the inputs' need be looked at.
    """
    name: Any = op.node_name
    if op.node_asks:
        name = name(*[args[i] for i in op.node_asks])
    conjugate = op.holomorphic and dtype.kind == "c"
    plan = op.plans.get((need, name, conjugate, trusted))
    if plan is None:
        edged = [each for each in op.operands if each[0] in op.differentiable - op.left_out(args)]
        plan = op.plans[need, name, conjugate, trusted] = Plan(op, need, name, conjugate, trusted, edged)
    found: Plan = plan
    return found


class Plan:
    """How an operation is recorded, and how its node works, in one case.

    The node keeps what the formulas name: values that are saved in the slots that `places` gives, everything else in
    `_extras`. The functions written here are `record(edges, args, raws, output, tensors)`, which makes the node,
    `quickly(edges, first, second, x, y, output, tensor)`, the same for what `_quick` computed from one or two tensors
    and their data, `first(node, grad, keep_graph)`, backward for real arrays when nothing is unusual, which also frees
    what was saved, and `vjp(node, grad, calculus, wanted)`, for arrays or tensors, which also says what is wrong.
    """

    def __init__(
        self,
        op: Op,
        need: int,
        name: str,
        conjugate: bool,
        trusted: bool,
        edged: Sequence[tuple[int, int, bool]],
    ) -> None:
        self.op, self.name, self.edged, self.conjugate = op, name, edged, conjugate
        self.active = active = {
            i: op.formulas[each] for i, each in enumerate(op.params) if need >> i & 1 and each in op.formulas
        }
        self.lists = any(many for _, _, many in edged)
        named = dict.fromkeys(each for formula in active.values() for each in parameters(formula))
        single = {op.params[i] for i, _, many in op.operands if not many}
        self.inputs = sorted({*named} & single)  # torch saves inputs, and then outputs, in the order of their names
        outputs = ("result", "results", *getattr(op.returns, "_fields", ()))
        self.results = sorted(each for each in {*outputs} & {*named} if each not in op.params)
        self.saved_names = (*self.inputs, *self.results)
        self.places = _places(op, self.saved_names)
        self.could_save = {each for formula in op.formulas.values() for each in parameters(formula)}
        # Arguments are kept for whoever looks at the node, also where no formula of this case needs them.
        tensors = {op.params[i] for i, _, _ in op.operands} | {*outputs}
        others = {each for each in self.could_save - tensors if not each.endswith(("_strides", "_number", "_dtype"))}
        shown = shown_names(name, op.name, ())[0].values()
        others |= {each for each in shown if each in op.params or each.endswith("_shape")}
        needed = {*named} - {*self.saved_names} - _GRADIENTS - {"xp"}
        self.extra_names = tuple(sorted(needed | others - tensors - _GRADIENTS - {"xp"}))
        self.unpacks = bool(needed)
        self.trusted = trusted
        functions = [self._record(), self._first(), self._vjp()]
        if op.quick is not None:
            functions.append(self._quickly())
        self.source = "\n\n".join("\n".join(lines) for lines in functions) + "\n"
        scope: dict[str, Any] = {f"{op.params[i]}_formula": formula for i, formula in active.items()}
        scope |= {f"default_{each}": value for each, value in op.defaults.items()}
        scope |= {"__name__": __name__, "plan": self, "OpNode": OpNode, "carefully": BY_VJP.first, "RAW": RAW,
                  "next_sequence": next_sequence, "NO_META": NO_META, "SPECIAL": SPECIAL, "state": state,
                  "Saved": Saved, "NOTHING": NOTHING, "is_number": is_number, "version_of": version_of,
                  "Tensor": Tensor, "FREED": FREED, "stale_error": stale_error, "conjugated": conjugated,
                  "UNWRITTEN": (0,) * SAVED}  # fmt: skip
        if name == NOT_IMPLEMENTED:
            scope["next_sequence"] = lambda: YOUNGEST
        exec(compile(self.source, f"<{name} of {op.name}>", "exec"), scope)
        self.record: Callable[..., OpNode] = scope["record"]
        self.quickly: Callable[..., OpNode] = scope.get("quickly", scope["record"])
        self.first: Callable[..., Sequence[Any]] = scope["first"]
        self.vjp: Callable[..., Sequence[Any]] = scope["vjp"]
        self.node_class: type[OpNode] = type(name, (ShownNode,), {"__module__": "builtins", "__slots__": ()})

    def _record(self) -> list[str]:
        op = self.op
        lines = ["def record(edges, args, raws, output, tensors):",
                 "    node = OpNode()", "    node._plan, node._notes = plan, None",
                 "    node._sequence, node._next = next_sequence(), edges"]  # fmt: skip
        if op.many_outputs:
            lines += ["    node._outputs = meta = [(each.shape, each.dtype) for each in output]",
                      "    node._shape, node._dtype = meta[0] if len(meta) == 1 else NO_META"]  # fmt: skip
        else:
            lines += ["    node._shape = output.shape", "    node._dtype = output.dtype"]
        versions = ["0"] * SAVED
        for each in self.inputs:
            i, slot = op.params.index(each), self.places[each]
            lines.append(f"    node._saved{slot} = {each} = args[{i}]")
            if i in op.optional:
                lines.append(f"    if {each} is None: node._saved{slot} = {each} = NOTHING")
            versions[slot] = f"version_of({each})"
        for each in self.results:
            slot = self.places[each]
            if each == "results":
                lines += ["    cells = [tensor._cell for tensor in tensors]",
                          f"    node._saved{slot} = [*map(Saved, output, cells, range(len(cells)))]"]  # fmt: skip
                versions[slot] = "[cell[0] for cell in cells]"
            else:
                place = "" if each == "result" else f"[{op.returns._fields.index(each)}]"
                lines += [f"    cell{slot} = tensors{place}._cell",
                          f"    node._saved{slot} = Saved(output{place}, cell{slot}, {place.strip('[]') or 0})",
                          ]  # fmt: skip
                versions[slot] = f"cell{slot}[0]"
        if self.saved_names:
            lines.append(f"    node._versions = {_tuple(versions)}")
        if self.extra_names:
            args, raws = ([f"{each}[{i}]" for i in range(len(op.params))] for each in ("args", "raws"))
            extras = [self._extra(each, args, raws) for each in self.extra_names]
            lines.append(f"    node._extras = {_tuple(extras)}")
        if self.lists:
            lengths = [f"len(args[{i}])" if many else "1" for i, _, many in self.edged]
            lines.append(f"    node._lengths = {_tuple(lengths)}")
        return [*lines, "    if state.mode == SPECIAL: node._record_specially()", "    return node"]

    def _quickly(self) -> list[str]:
        """`record` for fresh results of tensors and numbers as they came, with the defaults of everything else."""
        op = self.op
        args = ["first", "second"][: len(op.operands)] + [f"default_{each}" for each in op.params[len(op.operands) :]]
        lines = ["def quickly(edges, first, second, x, y, output, tensor):",
                 "    node = OpNode()", "    node._plan, node._notes = plan, None",
                 "    node._sequence, node._next = next_sequence(), edges",
                 "    node._shape, node._dtype = output.shape, output.dtype"]  # fmt: skip
        versions = ["0"] * SAVED
        for each in self.inputs:
            given, slot = args[op.params.index(each)], self.places[each]
            lines.append(f"    node._saved{slot} = {given}")
            versions[slot] = f"version_of({given})"
        if self.results:
            slot = self.places["result"]
            lines += ["    tensor._writes = writes = [0]", f"    node._saved{slot} = Saved(output, writes, 0)"]
        unwritten = " and ".join(f"{args[op.params.index(each)]}._writes is None" for each in self.inputs)
        if self.inputs:
            lines.append(f"    node._versions = UNWRITTEN if {unwritten} else {_tuple(versions)}")
        elif self.results:
            lines.append("    node._versions = UNWRITTEN")
        if self.unpacks:
            extras = [self._extra(each, args, ["x", "y"]) for each in self.extra_names]
            lines.append(f"    node._extras = {_tuple(extras)}")
        return [*lines, "    return node"]

    def _extra(self, name: str, args: Sequence[str], raws: Sequence[str]) -> str:
        """The source that finds, at forward time, a formula's parameter that is not saved; `args` and `raws` say where
        the arguments and their data are found."""
        op = self.op
        base, _, what = name.rpartition("_")
        if name in op.params:
            return args[op.params.index(name)]
        if what not in ("shape", "strides", "dtype", "number") or base not in op.params:
            raise TypeError(f"{op.name}: a formula asks for {name!r}, which is no parameter")
        i = op.params.index(base)
        if what == "number":
            return f"is_number({args[i]})"
        if any(many and i == k for k, _, many in op.operands):
            return f"[raw.{what} for raw in {raws[i]}]"
        return f"(None if {raws[i]} is None else {raws[i]}.{what})" if i in op.optional else f"{raws[i]}.{what}"

    def _first(self) -> list[str]:
        lines = ["def first(node, grad, keep_graph):"]
        if self.op.many_outputs or self.lists or self.conjugate:
            return [*lines, "    return carefully(node, grad, keep_graph)"]
        unusual = ["grad is None"]
        for each in self.saved_names:
            slot = self.places[each]
            lines.append(f"    {each} = node._saved{slot}")
            unusual.append(f"{each} is None")
            unusual.append(f"{each}._writes is not None and {each}._writes[0] != node._versions[{slot}]")
        lines.append(f"    if {' or '.join(unusual)}: return carefully(node, grad, keep_graph)")
        lines += [f"    {each} = {each}._data" for each in self.saved_names]
        if self.unpacks:
            lines.append(f"    {_tuple(self.extra_names)} = node._extras")
        answers = [self._call(i, "RAW") if i in self.active else "None" for i, _, _ in self.edged]
        if not self.saved_names:
            return [*lines, f"    return {_tuple(answers)}"]
        freed = " = ".join([f"node._saved{self.places[each]}" for each in self.saved_names])
        lines += [f"    gradients = {_tuple(answers)}", f"    if not keep_graph: {freed} = None"]
        return [*lines, "    return gradients"]

    def _vjp(self) -> list[str]:
        op, names = self.op, self.saved_names
        lines = ["def vjp(node, grad, calculus, wanted):"]
        if names:
            lines.append(f"    if node._saved{self.places[names[0]]} is None: raise RuntimeError(FREED)")
        for each in names:
            slot = self.places[each]
            lines.append(f"    {each} = node._saved{slot}")
            if each == "results":
                lines.append(f"    for each, version in zip(results, node._versions[{slot}]):")
                lines.append("        if version_of(each) != version: raise stale_error(each, version, node)")
            else:
                lines.append(f"    if {each}._writes is not None and {each}._writes[0] != node._versions[{slot}]:")
                lines.append(f"        raise stale_error({each}, node._versions[{slot}], node)")
        if names:
            lines.append("    if calculus.recording:")
            lines += [
                "        results = [each.unpack(node) for each in results]" if each == "results" else
                f"        if type({each}) is not Tensor: {each} = {each}.unpack(node)" for each in names
            ]  # fmt: skip
            lines.append("    else:")
            lines += [
                "        results = [each._data for each in results]" if each == "results" else
                f"        {each} = {each}._data" for each in names
            ]  # fmt: skip
        if self.unpacks:
            lines.append(f"    {_tuple(self.extra_names)} = node._extras")
        used = {each for formula in self.active.values() for each in parameters(formula)}
        nothing = "return (None,) * len(node._next)"
        if op.many_outputs:
            lines += ["    grads = given = grad if len(node._meta) > 1 else [grad]",
                      f"    if all(each is None for each in grads): {nothing}"]  # fmt: skip
            if "grads" in used:
                lines.append("    grads = [calculus.zeros(*m) if g is None else g for g, m in zip(grads, node._meta)]")
            if "grad" in used:
                lines += ["    grad = grads[0]", f"    if grad is None: {nothing}"]
        else:
            lines.append(f"    if grad is None: {nothing}")
        kept = [*names, *(self.extra_names if self.unpacks else ())]
        if self.conjugate and kept:  # torch's convention: the gradient times the conjugate of the derivative
            lines.append(f"    {_tuple(kept)} = {_tuple([f'conjugated(calculus.xp, {each})' for each in kept])}")
        answers = []
        several = len(self.active) > 1 and not self.lists
        for place, (i, _, many) in enumerate(self.edged):
            if i not in self.active:
                answers.append(f"*(None,) * node._lengths[{place}]" if many else "None")
                continue
            call = self._call(i, "calculus.xp")
            if several:
                call += f" if wanted is None or node._next[{place}] in wanted else None"
            answers.append(f"*{call}" if many else call)
        return [*lines, f"    return {_tuple(answers)}"]

    def _call(self, i: int, xp: str) -> str:
        """The source that calls an input's formula."""
        formula = self.active[i]
        if formula.__code__.co_code == _SAME and parameters(formula) == ("grad",):
            return "grad"
        arguments = [xp if each == "xp" else each for each in parameters(formula)]
        return f"{self.op.params[i]}_formula({', '.join(arguments)})"


def _places(op: Op, names: Sequence[str]) -> dict[str, int]:
    """The slot of each saved value: `self`, `other` and `result` have theirs, the rest take what is free."""
    found = {each: slot for slot, each in enumerate(("self", "other", "result")) if each in names}
    free = [slot for slot in range(SAVED) if slot not in found.values()]
    rest = [each for each in names if each not in found]
    if len(rest) > len(free):
        raise TypeError(f"{op.name}: its formulas name {len(names)} inputs and outputs, and a node has {SAVED} slots")
    found |= zip(rest, free)
    return {each: found[each] for each in names}


def _tuple(parts: Sequence[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def conjugated(xp: Any, value: Any) -> Any:
    """The conjugate of a saved value: an array or a tensor, a list of them, a number; anything else as it is."""
    if isinstance(value, (np.ndarray, np.generic, Tensor)):
        return xp.conj(value)
    if isinstance(value, list):
        return [conjugated(xp, each) for each in value]
    return value.conjugate() if isinstance(value, complex) else value


class _Nothing(Saved):
    """What is saved for an optional input that was not given."""

    __slots__ = ()

    def unpack(self, node: Node) -> Any:
        return None


NOTHING: Final = _Nothing(None, None, None)


class OpNode(Node):
    """A node of a declared operation. It keeps saved values in slots: its plan says what is where."""

    __slots__ = ("_extras", "_lengths", "_outputs", "_versions", *(f"_saved{slot}" for slot in range(SAVED)))

    __init__ = object.__init__  # whoever makes one fills its slots

    _plan: Plan
    _versions: tuple[Any, ...]  # of the saved values, by slot
    _extras: tuple[Any, ...]  # by the plan's `extra_names`
    _outputs: Sequence[Meta]  # shape and type of each, where there may be several
    _lengths: tuple[int, ...]  # how many edges each input has, where an input is a list

    def name(self) -> str:
        return self._plan.name

    @property
    def _meta(self) -> Sequence[Meta]:
        return self._outputs if self._plan.op.many_outputs else ((self._shape, self._dtype),)

    @property
    def _hidden(self) -> bool:
        return getattr(self._plan.op.returns, "hidden", False)

    @property
    def _seen(self) -> Sequence[Meta]:
        return [each for each in self._meta if each[1].kind in "fc"] or self._meta  # the others come last

    def _vjp(self, grads: Any, calculus: Any, wanted: Any) -> Sequence[Any]:
        return self._plan.vjp(self, grads, calculus, wanted)

    def _release(self) -> None:
        for slot in self._plan.places.values():
            setattr(self, f"_saved{slot}", None)

    def _shown(self) -> Node:
        self.__class__ = self._plan.node_class
        return self

    def _record_specially(self) -> None:
        """What rare modes want of a new node: anomaly mode its forward trace, saved-tensor hooks what it saved."""
        if state.anomaly:
            self._make_notes().trace = _anomaly.capture(state.backward_node)
        if state.saved_tensors_hooks and self._plan.saved_names:
            self._make_notes().plain = False  # unpacking calls the user's code
            pack, unpack = state.saved_tensors_hooks[-1]
            saved = [
                each if is_number(each) or each is NOTHING else Packed(each, self, pack, unpack)
                for each in self._saved or ()
            ]
            self._keep(saved, [version_of(each) for each in saved])

    @property
    def _saved(self) -> list[Any] | None:
        """All that is kept for backward, in the order of the plan's `saved_names`; None once it is freed."""
        found: list[Any] = []
        for each, slot in self._plan.places.items():
            value = getattr(self, f"_saved{slot}")
            if value is None:
                return None
            found += value if each == "results" else [value]
        return found

    def _keep(self, saved: Sequence[Any], versions: Sequence[int]) -> None:
        """Keep other values instead, or other versions of them."""
        made: list[Any] = [0] * SAVED
        for place, (each, slot) in enumerate(self._plan.places.items()):
            many = each == "results"
            setattr(self, f"_saved{slot}", list(saved[place:]) if many else saved[place])
            made[slot] = list(versions[place:]) if many else versions[place]
        self._versions = tuple(made)

    def _versions_saved(self) -> list[int]:
        """The versions of `_saved`."""
        found: list[int] = []
        for each, slot in self._plan.places.items():
            found += self._versions[slot] if each == "results" else [self._versions[slot]]
        return found


class ShownNode(OpNode):
    """A node that somebody looks at: each plan makes a subclass, which has torch's name."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        names, constant = self._names()
        saved = [each for each, ours in names.items() if self._is_tensor(ours)]
        return sorted([
            *super().__dir__(),
            *(f"_saved_{each}" for each in {**names, **constant}),
            *(f"_raw_saved_{each}" for each in saved),
        ])  # fmt: skip

    def _names(self) -> tuple[dict[str, str], dict[str, Any]]:
        plan = self._plan
        outputs = ("result", "results", *getattr(plan.op.returns, "_fields", ()))
        kept = [
            each for each in plan.could_save
            if each.endswith("_shape") or each in plan.op.params or each in outputs
        ]  # fmt: skip
        if plan.op.name in ("sum", "mean") and self._extra("dim") is None:  # in torch, an operation of its own
            kept = [each for each in kept if each not in ("dim", "keepdim")]
        return shown_names(plan.name, plan.op.name, kept)

    def _is_tensor(self, name: str) -> bool:
        """Whether what is kept under this name is a tensor, or would be if it were needed."""
        plan = self._plan
        place = plan.op.places_by_name.get(name)
        if place in plan.op.overloads:  # whether this overload takes a tensor there
            return any(place == i for i, _, _ in plan.edged)
        if name in plan.saved_names:
            saved = self._saved
            return saved is None or plan.op.name in WRAPPING or not is_number(saved[plan.saved_names.index(name)])
        return name in plan.could_save and name not in plan.extra_names

    def _extra(self, name: str) -> Any:
        """What is kept that is no tensor; the fast paths keep nothing, and are taken for the defaults alone."""
        if hasattr(self, "_extras"):
            return self._extras[self._plan.extra_names.index(name)]
        return self._plan.op.defaults.get(name)

    def __getattr__(self, name: str) -> Any:
        """`_saved_self` and the like, as torch shows them."""
        if name.startswith(("_saved_", "_raw_saved_")):
            plan, (names, constant) = self._plan, self._names()
            wanted = name.removeprefix("_raw").removeprefix("_saved_")
            ours = names.get(wanted)
            if wanted in constant:
                return constant[wanted]
            if ours in plan.saved_names:
                place = plan.saved_names.index(ours)
                return SavedTensor(self, place) if name.startswith("_raw") else self._unpacked(place)
            if ours in plan.extra_names:
                kind = plan.op.annotations[plan.op.params.index(ours)] if ours in plan.op.params else "int"
                scalar = "float" in kind or "Number" in kind
                return as_shown(plan.op.name, wanted, self._extra(ours), scalar)
            if ours is not None:
                return None
        raise AttributeError(f"'{self.name()}' object has no attribute '{name}'")

    def _unpacked(self, place: int) -> Any:
        """A saved value as a tensor, or the number that it was given as."""
        if self._saved is None:
            raise RuntimeError(FREED)
        saved, version = self._saved[place], self._versions_saved()[place]
        if version_of(saved) != version:
            raise stale_error(saved, version, self)
        if type(saved) is Number:
            given = saved.given.item() if isinstance(saved.given, np.generic) else saved.given
            return make(np.asarray(given), None) if self._plan.op.name in WRAPPING else given
        return saved.unpack(self)
