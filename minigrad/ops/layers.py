"""Other layers: linear maps, embeddings, gates, moving channels, attention, dropout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from minigrad._apply import store_out
from minigrad._declare import composite, op
from minigrad._dims import wrap_dim
from minigrad._op import RAW, Array
from minigrad._op import RECORDED as F
from minigrad._tensor import Tensor, make
from minigrad._warning import warn
from minigrad.ops._checks import kind, refuse_kinds
from minigrad.ops._scalar import times
from minigrad.ops.shape import internal
from minigrad.ops.shape import linear as linear_op
from minigrad.return_types import named

# ---- linear maps -----------------------------------------------------------------------------------------------------


@composite(name="nn.functional.linear", method=False)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias, over the last dimension."""
    if out is not None:
        result = linear(input, weight, bias)
        given = [each for each in (input, weight, bias) if each is not None]
        if input.ndim > 1 or weight.ndim == 1:
            return store_out("linear", out, result, given)
        return store_out("linear", out, result.unsqueeze(0), given).squeeze_(0)  # torch makes a batch of one
    if input.ndim == 0 or weight.ndim == 0:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {input.ndim}D and {weight.ndim}D"
        )
    if weight.ndim == 1 and bias is not None and (bias.ndim or input.ndim == 2):
        raise RuntimeError("mat2 must be a matrix, got 1-D tensor")
    turned = weight.t()
    if bias is None:
        result = input.matmul(turned)
    elif input.ndim == 2:
        result = F.addmm(bias, input, turned)
    elif (
        weight.ndim == 2
        and input.is_contiguous()
        and bias.is_contiguous()
        and (bias.ndim == 1 or tuple(bias.shape) == (1, weight.shape[0]))
    ):
        rows = F.addmm(bias, input.view(math.prod(input.shape[:-1]), input.shape[-1]), turned)
        result = rows.view(*input.shape[:-1], rows.shape[-1])
    else:
        result = input.matmul(turned).add_(bias)
    return result


@op(method=False, function=False, in_order=True,
    i1=lambda xp, grad, i2, i3, expand1, expand2, expand3, sumdim:
        xp.trilinear(grad, i2, i3, sumdim, expand2, expand3, expand1),
    i2=lambda xp, grad, i1, i3, expand1, expand2, expand3, sumdim:
        xp.trilinear(i1, grad, i3, expand1, sumdim, expand3, expand2),
    i3=lambda xp, grad, i1, i2, expand1, expand2, expand3, sumdim:
        xp.trilinear(i1, i2, grad, expand1, expand2, sumdim, expand3))  # fmt: skip
def trilinear(i1: Array, i2: Array, i3: Array, expand1: Any, expand2: Any, expand3: Any, sumdim: Any) -> Any:
    """The product of three tensors of up to four dimensions, which lack those of `expand1`, `expand2` and `expand3`,
    summed over `sumdim`."""
    names = ["".join(each for k, each in enumerate("noij") if k not in lacked)
             for lacked in (expand1, expand2, expand3, sumdim)]  # fmt: skip
    return np.einsum("{},{},{}->{}".format(*names), i1, i2, i3, optimize=["einsum_path", (0, 1), (0, 1)])


@composite(name="nn.functional.bilinear", method=False, aliases=["bilinear"])
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """sum over i and j of input1[i] * weight[o, i, j] * input2[j], plus bias[o], over the last dimensions."""
    if input1.ndim != input2.ndim:
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}")
    for i, (a, b) in enumerate(zip(input1.shape[:-1], input2.shape[:-1])):
        if a != b:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {i}: got {a} and {b}")
    for n, each in ((1, input1), (2, input2)):
        if each.shape[-1] != weight.shape[n]:
            raise RuntimeError(
                f"bilinear(): input{n} size does not match weight size: got {each.shape[-1]} but expected"
                f" {weight.shape[n]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    first, second = (each.reshape(-1, each.shape[-1]) for each in (input1, input2))
    product = F.trilinear(first, weight, second, (1, 3), (0,), (1, 2), (2, 3))
    result: Tensor = product.reshape(*input1.shape[:-1], weight.shape[0])
    return result if bias is None else result + bias


# ---- embeddings ------------------------------------------------------------------------------------------------------


@internal(node="EmbeddingBackward0",
          weight=lambda xp, grad, indices, weight_shape, padding, by_count: xp.embedding_gradient(
              grad, indices, weight_shape[0], padding, by_count))  # fmt: skip
def embedding_rows(weight: Array, indices: Array, padding: int, by_count: bool) -> Array:
    if indices.size and (indices.min() < 0 or indices.max() >= len(weight)):
        raise IndexError("index out of range in self")
    return np.take(weight, indices, 0)


@internal(grad_rows=lambda xp, grad, indices, padding, by_count: xp.embedding_taken(grad, indices, padding, by_count))
def embedding_gradient(grad_rows: Array, indices: Array, count: int, padding: int, by_count: bool) -> Array:
    """Rows added up by their indices; those of index `padding` left out, or divided by how often an index is used."""
    flat = indices.reshape(-1)
    rows = grad_rows.reshape(len(flat), grad_rows.shape[-1])
    rows = _weighted_rows(rows, flat, padding, by_count)
    result = np.zeros((count, rows.shape[1]), rows.dtype)
    if len(flat):
        order = np.argsort(flat, kind="stable")
        starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
        result[flat[order][starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return result


@internal(rows=lambda xp, grad, indices, rows_shape, padding, by_count: xp.embedding_gradient(
              grad, indices, rows_shape[0], padding, by_count))  # fmt: skip
def embedding_taken(rows: Array, indices: Array, padding: int, by_count: bool) -> Array:
    """The adjoint of `embedding_gradient`."""
    flat = indices.reshape(-1)
    found = _weighted_rows(np.take(rows, flat, 0), flat, padding, by_count)
    return found.reshape(*indices.shape, rows.shape[-1])


def _weighted_rows(rows: Array, flat: Array, padding: int, by_count: bool) -> Array:
    if by_count and len(flat):
        rows = rows / np.bincount(flat)[flat].astype(rows.dtype)[:, None]
    return rows if padding < 0 else np.where((flat != padding)[:, None], rows, rows.dtype.type(0))


@composite(name="nn.functional.embedding", method=False)
def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
              norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:  # fmt: skip
    """The rows of `weight` at the indices `input`.

    The row `padding_idx` gets no gradient; `max_norm` scales the rows used, in place, to at most that norm;
    `scale_grad_by_freq` divides gradients by how often an index is used. Sparse gradients are not supported.
    """
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= weight.shape[0]
    if sparse:
        raise NotImplementedError("embedding: sparse gradients are not supported; leave out sparse=True")
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if kind(input) not in ("Long", "Int"):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got"
            f" torch.{kind(input)}Tensor instead (while checking arguments for embedding)"
        )
    return F.embedding_rows(weight, input, -1 if padding_idx is None else padding_idx, scale_grad_by_freq)


def _shorten(weight: Tensor, indices: Tensor, most: float, p: float) -> None:
    """Scale in place the rows that are longer than `most` in the p-norm."""
    data, used = weight.materialize(), np.unique(indices._data)
    norms = np.linalg.norm(data[used], p, axis=1)
    long = norms > most
    data[used[long]] *= (most / (norms[long] + 1e-7))[:, None].astype(data.dtype)
    weight._cell[0] += 1


@composite(name="nn.functional.one_hot", method=False)
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Integers of shape (*, num_classes): 1 at the classes given, 0 elsewhere."""
    if kind(tensor) != "Long":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    classes = np.asarray(tensor._data)
    if not classes.size and num_classes <= 0:
        raise RuntimeError(
            "Can not infer total number of classes from empty tensor."
            if num_classes < 0
            else "Class values must be smaller than num_classes."
        )
    if classes.size and classes.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(classes.max()) + 1
    elif classes.size and classes.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return make((classes[..., None] == np.arange(num_classes)).astype(np.int64, order="C"), None)


# ---- gates -----------------------------------------------------------------------------------------------------------


def _glu_gradient(xp: Any, grad: Any, self: Any, dim: int) -> Any:
    dim %= self.ndim
    half = self.shape[dim] // 2
    gate = xp.sigmoid(xp.slice(self, dim, half, 2 * half, 1))
    return xp.cat([grad * gate, grad * xp.slice(self, dim, 0, half, 1) * (gate * (1 - gate))], dim)


@op(method=False, function=False, node="GluBackward0", self=_glu_gradient)
def glu_halves(self: Array, dim: int) -> Array:
    first, second = np.split(self, 2, dim)
    return first / (1 + np.exp(-second))


@composite(name="nn.functional.glu", method=False)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along a dimension times the sigmoid of the second."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    size = input.shape[wrap_dim(dim, input.ndim)]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim % input.ndim} is size {size}")
    refuse_kinds("glu_cpu", input, "biuc")
    return F.glu_halves(input, dim)


# ---- channels and space ----------------------------------------------------------------------------------------------


@linear_op(name="nn.functional.pixel_shuffle", aliases=["pixel_shuffle"], method=False, node="PixelShuffleBackward0",
           self=lambda xp, grad, upscale_factor: xp.nn_functional_pixel_unshuffle(grad, upscale_factor))  # fmt: skip
def pixel_shuffle(self: Array, upscale_factor: int) -> Array:
    """(*, C * r * r, H, W) to (*, C, H * r, W * r)."""
    r = upscale_factor
    if self.ndim < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {self.ndim} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = self.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but"
            f" input.size(-3)={c} is not divisible by {r * r}"
        )
    parts = np.moveaxis(self.reshape(*lead, c // (r * r), r, r, h, w), (-4, -3), (-3, -1))
    return parts.reshape(*lead, c // (r * r), h * r, w * r)


@linear_op(name="nn.functional.pixel_unshuffle", aliases=["pixel_unshuffle"], method=False,
           node="PixelUnshuffleBackward0",
           self=lambda xp, grad, downscale_factor: xp.nn_functional_pixel_shuffle(grad, downscale_factor))  # fmt: skip
def pixel_unshuffle(self: Array, downscale_factor: int) -> Array:
    """(*, C, H * r, W * r) to (*, C * r * r, H, W)."""
    r = downscale_factor
    if self.ndim < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {self.ndim} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = self.shape
    for name, place, size in (("height", -2, h), ("width", -1, w)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({place})={size} is"
                f" not divisible by {r}"
            )
    parts = np.moveaxis(self.reshape(*lead, c, h // r, r, w // r, r), (-3, -1), (-4, -3))
    return parts.reshape(*lead, c * r * r, h // r, w // r)


@linear_op(name="nn.functional.channel_shuffle", aliases=["channel_shuffle"], method=False,
           node="ChannelShuffleBackward0",
           self=lambda xp, grad, groups: xp.nn_functional_channel_shuffle(grad, grad.shape[1] // groups))  # fmt: skip
def channel_shuffle(self: Array, groups: int) -> Array:
    """Interleave `groups` groups of the channels of (N, C, *spatial)."""
    if self.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(self.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, c, *spatial = self.shape
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    shuffled = np.swapaxes(self.reshape(n, groups, c // groups, *spatial), 1, 2)
    return np.asarray(shuffled, order="C").reshape(self.shape)


# ---- attention -------------------------------------------------------------------------------------------------------


# What attention gives, and the probabilities it used.
Attended: Final = named("Attended", "output", "probabilities")


def _scores_gradient(xp: Any, grad: Any, value: Any, probabilities: Any) -> Any:
    direct = xp.matmul(grad, xp.transpose(value, -2, -1))
    return probabilities * (direct - xp.sum(direct * probabilities, -1, True))


def _once(xp: Any, grad: Any, *anchors: Any) -> Any:
    return xp.undifferentiable(grad, anchors, "_scaled_dot_product_flash_attention_for_cpu_backward")


@op(method=False, function=False,
    self=lambda xp, grad, result, dim: result * (grad - xp.sum(grad * result, dim, True)))  # fmt: skip
def safe_softmax(self: Array, dim: int = -1) -> Array:
    """Softmax over the last dimension (`dim` is no other), with zeros where all is masked out by -inf."""
    top = np.maximum.reduce(self, -1, keepdims=True, initial=-np.inf)
    raised = self - np.where(top == -np.inf, 0, top)
    np.exp(raised, out=raised)
    total = np.add.reduce(raised, -1, keepdims=True)
    raised /= np.where(total == 0, 1, total)
    return raised


@op(method=False, function=False, returns=Attended, node="ScaledDotProductFlashAttentionForCpuBackward0",
    query=lambda xp, grad, query, key, value, probabilities, scale: _once(xp, xp.matmul(
        _scores_gradient(xp, grad, value, probabilities), key) * scale, query, key, value),
    key=lambda xp, grad, query, key, value, probabilities, scale: _once(xp, xp.matmul(
        xp.transpose(_scores_gradient(xp, grad, value, probabilities), -2, -1), query) * scale, query, key, value),
    value=lambda xp, grad, query, key, value, probabilities: _once(xp, xp.matmul(
        xp.transpose(probabilities, -2, -1), grad), query, key, value))  # fmt: skip
def attention(query: Array, key: Array, value: Array, bias: Any, scale: float) -> tuple[Array, Array]:
    if query.dtype == np.float16:
        single = RAW.attention(*(each.astype(np.float32) for each in (query, key, value)), bias, scale)
        return tuple(each.astype(np.float16) for each in single)
    scores = np.matmul(query, np.swapaxes(key, -2, -1))
    scores *= query.dtype.type(scale)
    if bias is not None:
        scores += bias
    probabilities = RAW.safe_softmax(scores)
    return np.matmul(probabilities, value), probabilities


@composite(name="nn.functional.scaled_dot_product_attention", method=False)
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(query @ key.T * scale + mask) @ value, over (..., L, E), (..., S, E) and (..., S, V).

    A boolean mask says what may be attended to, another is added to the scores; `is_causal` masks later columns.
    `scale` is by default 1/sqrt(E). `enable_gqa` repeats heads (dimension -3) of key and value to match the query's.
    Dropout of probabilities chooses as `dropout` does.
    """
    tensors = (query, key, value)
    if len({each.dtype for each in tensors}) > 1:
        names = [each.dtype.cpp_name for each in tensors]
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {names[0]} key.dtype:"
            f" {names[1]} and value.dtype: {names[2]} instead."
        )
    if attn_mask is not None and is_causal:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if min(each.ndim for each in tensors) < 2:
        dims = [each.ndim for each in tensors]
        raise RuntimeError(
            f"Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {dims[0]} key.dim:"
            f" {dims[1]} and value.dim: {dims[2]} instead."
        )
    if attn_mask is not None and kind(attn_mask) not in ("Bool", "Float", kind(query)):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype:"
            f" {attn_mask.dtype.cpp_name} and  query.dtype: {query.dtype.cpp_name} instead."
        )
    if query._data.dtype.kind not in "fc":
        raise RuntimeError(f"expected scalar type Float but found {kind(query)}")
    if enable_gqa:
        key, value = (each.repeat_interleave(query.shape[-3] // each.shape[-3], -3) for each in (key, value))
    mask = attn_mask
    rows, columns, features = query.shape[-2], key.shape[-2], query.shape[-1]
    if scale is None:
        scale = 1 / math.sqrt(features) if features else math.inf
    if mask is not None and kind(mask) == "Bool":
        mask = make(np.where(mask._data, query._data.dtype.type(0), query._data.dtype.type(-np.inf)), None)
    if is_causal:
        allowed = np.tril(np.ones((rows, columns), bool))
        causal = make(np.where(allowed, query._data.dtype.type(0), query._data.dtype.type(-np.inf)), None)
        mask = causal if mask is None else mask + causal
    fused = (
        all(each.ndim == 4 for each in (query, key, value))
        and query.shape[:2] == key.shape[:2] == value.shape[:2]
        and features == key.shape[-1] == value.shape[-1]
        and columns == value.shape[-2]
        and 0 not in query.shape
        and 0 not in key.shape
        and (mask is None or mask.ndim in (2, 4) and not mask.requires_grad)
        and all(each.stride(-1) == 1 for each in (query, key, value))
        and not dropout_p
    )
    if fused:
        return F.attention(query, key, value, None if mask is None else mask._data, scale)[0]
    root = math.sqrt(scale) if scale >= 0 else math.nan
    kept = query.dtype
    if kind(query) == "Half":
        query, key, value = (each.float() for each in (query, key, value))
    scores = times(query, root).matmul(times(key.transpose(-2, -1), root))
    if mask is not None:
        scores = scores + mask
    shares = F.safe_softmax(scores)
    if dropout_p:
        shares = F.nn_functional_dropout(shares, dropout_p)
    return shares.matmul(value).to(kept)


# ---- dropout ---------------------------------------------------------------------------------------------------------


def _check_channels(name: str, ndim: int) -> None:
    """What torch says of inputs that are not (N, C, ...) or (C, ...) with as many more dimensions as the name has."""
    spatial = int(name[-2])
    if ndim in (spatial + 1, spatial + 2) and (name, ndim) != ("dropout2d", 3):
        return
    purpose = (
        f"Note that {name} exists to provide channel-wise dropout on inputs with {spatial} spatial"
        f" dimension{'s' * (spatial > 1)}, a channel dimension, and an optional batch dimension (i.e. {spatial + 1}D or"
        f" {spatial + 2}D inputs)."
    )
    if name == "dropout1d":
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input. {purpose}")
    if (name, ndim) == ("dropout2d", 3):
        text = (
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired"
            " - input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a"
            " future release to interpret the input as one without a batch dimension, i.e. shape (C, H, W). To maintain"
            " the 1D channel-wise dropout behavior, please switch to using dropout1d instead."
        )
    else:
        text = (
            f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an error in a future"
            f" release. To retain the behavior and silence this warning, please use dropout instead. {purpose}"
        )
    warn(text)


def _dropout(name: str, features: bool, batched: int | None = None) -> Callable[..., Tensor]:
    """`batched` is the number of dimensions of a batch; what has another is a batch of one, as in torch."""

    @composite(name=f"nn.functional.{name}", method=False)
    def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """In training, zero each element (or channel) with probability `p`, and divide the others by 1 - p.

        The choice comes from minigrad's generator: `manual_seed` repeats it, and makes it torch's.
        """
        if p < 0.0 or p > 1.0:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        if features:
            _check_channels(name, input.ndim)
        if batched is None or input.ndim == batched:
            return dropped(input, p, training, inplace)
        result = dropped(input.unsqueeze_(0) if inplace else input.unsqueeze(0), p, training, inplace)
        return result.squeeze_(0) if inplace else result.squeeze(0)

    def dropped(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
        if not training or p == 0 or not input.numel():
            return input
        if p == 1:
            nothing = make(np.zeros((), input._data.dtype), None)
            return input.mul_(nothing) if inplace else input * nothing
        if features and input.ndim < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        shape = (*input.shape[:2], *(1,) * (input.ndim - 2)) if features else tuple(input.shape)
        from minigrad._random import default_generator  # which is made of operations itself

        kept = default_generator.doubles(math.prod(shape)).reshape(shape) < 1 - p
        factors = make(np.where(kept, 1 / (1 - p), 0).astype(input._data.dtype), None)
        return input.mul_(factors) if inplace else input * factors

    return dropout


_dropout("dropout", features=False)
for _name, _batched in (("dropout1d", 3), ("dropout2d", None), ("dropout3d", 5)):
    _dropout(_name, features=True, batched=_batched)
