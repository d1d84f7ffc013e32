"""What minigrad can do, told by its own declarations: `python -m minigrad.operations > minigrad/OPERATIONS.md`.

`page()` lists every operation with its rule; `--figures` counts operations and lines; `--torch` compares with the
derivatives of the torch that is installed.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from minigrad import ops
from minigrad._declare import DECLARED, PUBLIC
from minigrad._op import OPS, RECORDED, Op
from minigrad._tensor import Tensor

RULES: Final = Path(ops.__file__).parent  # the rule files

# torch's operations that have derivatives and that an engine on arrays can be expected to have: not sparse, nested,
# quantised or random ones, nor those of transforms.
EXPECTED: Final = """
H T __getitem__ __radd__ __rmatmul__ __rmod__ __rmul__ __rpow__ __rsub__ abs acos acosh add addcdiv addcmul addmm
addmv amax amin aminmax angle asin asinh atan atan2 atanh atleast_1d atleast_2d atleast_3d baddbmm block_diag bmm
broadcast_tensors broadcast_to cat cdist ceil chunk clamp clamp_max clamp_min clone column_stack conj contiguous
copysign cos cosh cov cross cummax cummin cumprod cumsum deg2rad diag diag_embed diagflat diagonal diff digamma dist
div dot double dsplit dstack einsum erf erfc erfinv exp exp2 expand expand_as expm1 flatten flip fliplr flipud float
floor fmax fmin fmod frac gather gradient hsplit hstack hypot i0 index_add index_copy index_fill index_put
index_select inner kron kthvalue lerp lgamma linalg.cholesky linalg.cond linalg.cross linalg.det linalg.diagonal
linalg.eigh linalg.eigvalsh linalg.inv linalg.lstsq linalg.lu linalg.lu_factor linalg.matrix_norm linalg.matrix_power
linalg.multi_dot linalg.norm linalg.pinv linalg.qr linalg.slogdet linalg.solve linalg.solve_triangular linalg.svd
linalg.svdvals linalg.vecdot linalg.vector_norm log log10 log1p log2 log_softmax logaddexp logcumsumexp logdet logit
logsumexp mH mT masked_fill masked_select matmul matrix_exp max maximum mean median meshgrid min minimum mm movedim
mul mv nan_to_num nanmean nanmedian nansum narrow neg nn.functional.adaptive_avg_pool1d
nn.functional.adaptive_avg_pool2d nn.functional.adaptive_max_pool1d nn.functional.adaptive_max_pool2d
nn.functional.avg_pool1d nn.functional.avg_pool2d nn.functional.batch_norm nn.functional.binary_cross_entropy
nn.functional.binary_cross_entropy_with_logits nn.functional.celu nn.functional.conv1d nn.functional.conv2d
nn.functional.conv_transpose1d nn.functional.conv_transpose2d nn.functional.cosine_embedding_loss
nn.functional.cosine_similarity nn.functional.cross_entropy nn.functional.elu nn.functional.embedding
nn.functional.gaussian_nll_loss nn.functional.gelu nn.functional.glu nn.functional.group_norm nn.functional.hardshrink
nn.functional.hardsigmoid nn.functional.hardswish nn.functional.hardtanh nn.functional.hinge_embedding_loss
nn.functional.huber_loss nn.functional.instance_norm nn.functional.interpolate nn.functional.kl_div
nn.functional.l1_loss nn.functional.layer_norm nn.functional.leaky_relu nn.functional.linear nn.functional.logsigmoid
nn.functional.margin_ranking_loss nn.functional.max_pool1d nn.functional.max_pool2d nn.functional.mish
nn.functional.mse_loss nn.functional.nll_loss nn.functional.normalize nn.functional.pad
nn.functional.pairwise_distance nn.functional.pixel_shuffle nn.functional.pixel_unshuffle
nn.functional.poisson_nll_loss nn.functional.prelu nn.functional.relu nn.functional.relu6 nn.functional.rms_norm
nn.functional.scaled_dot_product_attention nn.functional.selu nn.functional.silu nn.functional.smooth_l1_loss
nn.functional.softmin nn.functional.softplus nn.functional.softshrink nn.functional.softsign nn.functional.tanhshrink
nn.functional.triplet_margin_loss nn.functional.unfold norm outer permute pinverse polygamma positive pow prod
quantile rad2deg ravel real reciprocal remainder repeat repeat_interleave reshape reshape_as roll rot90 round rsqrt
scatter scatter_add scatter_reduce select sgn sigmoid sign sin sinc sinh softmax sort special.entr special.erfcx
special.i1 special.log_ndtr special.ndtr special.ndtri special.xlog1py split split_with_sizes sqrt square squeeze
stack std std_mean sub sum svd t take take_along_dim tan tanh tensor_split tensordot tile to topk trace transpose
trapezoid trapz tril triu true_divide trunc unbind unflatten unfold unsqueeze var var_mean vdot view view_as vsplit
vstack where xlogy
""".split()  # noqa: SIM905 – prose is easier to keep sorted

TYPES: Final = {"b": "bool", "iu": "integer", "f": "floating", "c": "complex"}
NOT_FOR_ARRAYS: Final = (  # parts of the names of torch's operations that no engine on numpy's arrays has
    "backward", "cudnn", "mkldnn", "miopen", "mps", "sparse", "nested", "fft", "quantize", "jagged", "segment",
    "flash", "efficient", "thnn", "fused", "foreach", "coalesce", "crow", "ccol", "values", "indices",
    "sym_", "xla", "lstm", "gru", "rnn", "ctc", "embedding_bag", "transformer", "slow_", "overrideable",
    "lift", "noise",
)  # fmt: skip


class Figures(NamedTuple):
    """What the rule files hold."""

    operations: int  # functions of torch's, each counted once whatever its aliases and in-place forms
    rules: int  # formulas: one per differentiable input
    compositions: int  # operations made of others, which need no rule
    lines: int  # of the rule files, all of them
    code: int  # of these, lines that are not blank, comment or documentation
    formulas: int  # of these, lines of the rules and of the functions that only rules use

    @property
    def per_100_lines(self) -> float:
        """Operations per 100 lines of the rule files, which also hold forwards, checks of arguments and texts."""
        return 100 * self.operations / self.lines

    @property
    def lines_per_rule(self) -> float:
        """How long a rule is, on average, with the functions that rules share."""
        return self.formulas / self.rules


def published() -> dict[int, list[str]]:
    """The names of each public function, by the identity of the declared one; in-place forms are not counted."""
    found: dict[int, list[str]] = {}
    for name in PUBLIC:
        if not name.endswith("_"):
            found.setdefault(id(PUBLIC[DECLARED.get(name, name)]), []).append(name)
    return found


def names(op: Op) -> list[str]:
    """The names under which an operation is published: none if only formulas and compositions use it."""
    made = (getattr(RECORDED, op.name.replace(".", "_")), PUBLIC.get(op.name))
    found = [name for each in made if each is not None for name in published().get(id(each), ())]
    methods = [op.name] if getattr(Tensor, op.name, None) is made[0] else []
    return list(dict.fromkeys(found or methods))


def compositions() -> list[tuple[list[str], Callable[..., Any]]]:
    """The published functions that are made of other operations."""
    declared = {name for op in OPS.values() for name in names(op)}
    return [(every, PUBLIC[every[0]]) for every in published().values() if not declared & set(every)]


def figures() -> Figures:
    """Count what the rule files hold."""
    public = [op for op in OPS.values() if names(op)]
    files = [path.read_text("utf-8") for path in sorted(RULES.glob("*.py"))]
    return Figures(
        operations=len(public) + len(compositions()),
        rules=sum(len(op.formulas) for op in OPS.values()),
        compositions=len(compositions()),
        lines=sum(text.count("\n") for text in files),
        code=sum(map(_lines_of_code, files)),
        formulas=sum(map(_lines_of_formulas, files)),
    )


def _lines_of_code(text: str) -> int:
    lines: set[int] = set()
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    fresh = True  # whether a statement begins: a string there is documentation
    for token in tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__):
        if token.type not in skipped:
            if not (fresh and token.type == tokenize.STRING):
                lines.update(range(token.start[0], token.end[0] + 1))
            fresh = False
        elif token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            fresh = True
    return len(lines)


def _lines_of_formulas(text: str) -> int:
    lines: set[int] = set()
    for each in ast.walk(ast.parse(text)):
        params = {arg.arg for arg in each.args.args} if isinstance(each, (ast.Lambda, ast.FunctionDef)) else ()
        if {"xp", "grad", "grads", "given"} & {*params}:
            lines.update(range(each.lineno, (each.end_lineno or each.lineno) + 1))  # type: ignore[attr-defined]
    return len(lines)


# ---- rules -----------------------------------------------------------------------------------------------------------


@functools.cache
def _lambdas(file: str) -> dict[tuple[int, tuple[str, ...]], list[tuple[ast.Lambda, str]]]:
    """The lambdas of a file with their expressions, by first line and parameters."""
    text = Path(file).read_text("utf-8")
    found: dict[tuple[int, tuple[str, ...]], list[tuple[ast.Lambda, str]]] = {}
    for each in ast.walk(ast.parse(text)):
        if isinstance(each, ast.Lambda):
            said = re.sub(r"\s+", " ", ast.get_source_segment(text, each.body) or "").replace("( ", "(")
            found.setdefault((each.lineno, tuple(one.arg for one in each.args.args)), []).append((each, said))
    return found


def rule(formula: Callable[..., Any]) -> str:
    """A formula as it is written: a lambda's expression, or the name of the function that it is."""
    formula = formula.func if isinstance(formula, functools.partial) else formula
    code = formula.__code__
    params = code.co_varnames[: code.co_argcount]
    if code.co_name != "<lambda>":
        return f"{code.co_name}({', '.join(params)})"
    candidates = _lambdas(code.co_filename)[code.co_firstlineno, params]
    columns = {span[2] for span in code.co_positions() if span[3]}  # tells apart those that share a line
    return next(said for each, said in candidates if len(candidates) == 1 or each.body.col_offset in columns)


def types(op: Op) -> str:
    """The element types that an operation computes with."""
    have = [name for letters, name in TYPES.items() if set(letters) <= set(op.kinds)]
    return {4: "all", 3: "real" if "complex" not in have else ", ".join(have)}.get(len(have), ", ".join(have))


def node(op: Op) -> str:
    """The name of the node in the graph: torch's."""
    return op.node_name if isinstance(op.node_name, str) else "by overload"


def families() -> dict[str, list[Op]]:
    """The declared operations by rule file, in the order of their declarations."""
    found: dict[str, list[Op]] = {}
    family = ""
    for op in OPS.values():  # numpy's own function is a forward that belongs to no file: it stands beside the last
        homes = [getattr(each, "__module__", None) or "" for each in (op.forward, *op.formulas.values())]
        family = next((home for home in homes if home.startswith(ops.__name__ + ".")), family)
        found.setdefault(family.rpartition(".")[2], []).append(op)
    return dict(sorted(found.items()))


# ---- the page --------------------------------------------------------------------------------------------------------


def has(name: str) -> bool:
    """Whether minigrad has an operation of torch's, as a function, method or operator."""
    return name in PUBLIC or hasattr(Tensor, name)


def page() -> str:
    """The page of all operations, in Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    count, expected = figures(), len(EXPECTED)
    supported = [name for name in EXPECTED if has(name)]
    yield "# The operations of minigrad"
    yield ""
    yield "Written by `python -m minigrad.operations` from the declarations themselves, in [`ops/`](ops)."
    yield ""
    yield f"minigrad supports **{len(supported)} of {expected}** of torch's differentiable operations, of those that"
    yield "an engine on arrays can be expected to have (no sparse, nested or quantised tensors, and no transforms)."
    yield f"It lacks {', '.join(sorted(set(EXPECTED) - set(supported))) or 'none of them'}."
    yield f"With those beyond that list it has {count.operations}: {count.operations - count.compositions} are"
    yield f"declared, with {count.rules} rules in all, and {count.compositions} are compositions of others."
    yield "Rules are differentiated themselves: where torch has a derivative of some order, minigrad has it."
    for family, members in families().items():
        yield from ("", f"## {family}", "", f"[`ops/{family}.py`](ops/{family}.py)", "")
        yield "| operation | also | types | node | gradient of each input |\n|---|---|---|---|---|"
        for op in members:
            rules = "<br>".join(f"{each}: {_code(rule(formula))}" for each, formula in op.formulas.items())
            name = node(op) if op.formulas else ""
            yield f"| {_code(op.name)} | {_also(op)} | {types(op)} | {name} | {rules or 'none'} |"
    yield from ("", "## Compositions", "", "Made of the operations above: they need no rule of their own.", "")
    yield "| operation | also | what it is |\n|---|---|---|"
    for (first, *others), function in sorted(compositions(), key=lambda each: each[0][0]):
        said = (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")
        yield f"| {_code(first)} | {', '.join(map(_code, others))} | {_escaped(said)} |"


def _also(op: Op) -> str:
    """An operation's other names, its in-place form among them."""
    if not names(op):
        return "internal"
    inplace = [f"{op.name}_"] if hasattr(Tensor, f"{op.name}_") else []
    return ", ".join(_code(each) for each in [*names(op), *inplace] if each != op.name)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{_escaped(text)}`"


# ---- beside torch ----------------------------------------------------------------------------------------------------


def beside_torch() -> tuple[list[str], list[str]]:
    """The operations that the installed torch has derivatives for, on arrays: those minigrad has, and those it lacks.

    Read from the file that torch's own autograd is generated from. ImportError where torch is not installed.
    """
    import torchgen

    text = (Path(torchgen.__file__).parent / "packaged/autograd/derivatives.yaml").read_text("utf-8")
    entries = re.findall(r"^- name: ([a-z]\w*?)(?:_forward)?[.(].*\n((?:  .*\n|\n)*)", text, re.MULTILINE)
    wanted = {
        name
        for name, body in entries
        if re.search(r"^  (?!output_diff|result|dispatch)[\w, ]+: (?!not_impl|non_diff)", body, re.MULTILINE)
        and not any(part in name for part in NOT_FOR_ARRAYS)
    }
    plain = "|".join(re.sub(r"\W", "_", name).removeprefix("nn_functional_") for name in (*PUBLIC, *OPS, *dir(Tensor)))
    rules = "".join(path.read_text("utf-8") for path in RULES.glob("*.py"))
    nodes = "|".join(re.sub(r"\{.*?\}", ".?", each) for each in re.findall(r"([\w{}]+)Backward\d", rules))
    found = {n for n in wanted if re.fullmatch(plain, n) or re.fullmatch(nodes, n.replace("_", ""), re.IGNORECASE)}
    return sorted(found), sorted(wanted - found)


if __name__ == "__main__":
    if "--torch" in sys.argv:
        have, lack = beside_torch()
        text = f"{len(have)} of {len(have) + len(lack)} operations; it lacks: {', '.join(lack)}\n"
    elif "--figures" in sys.argv:
        count = figures()
        text = f"{count._asdict()}\n{count.per_100_lines:.1f} operations per 100 lines of rule files, "
        text += f"{count.lines_per_rule:.1f} lines per rule\n"
    else:
        text = page()
    sys.stdout.buffer.write(text.encode())
