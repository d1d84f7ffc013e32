"""Tensor: an array, its place in the graph, and torch's attributes of both.

`_data` is a numpy array, or for a result without dimensions a numpy scalar (numpy's own arithmetic on them is several
times faster); `materialize()` makes it an array when somebody needs memory to share. `_edge` is None exactly when the
tensor does not require grad.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import _dtype
from minigrad._device import contiguous_format, memory_format
from minigrad._dims import wrap_dim
from minigrad._dtype import from_numpy
from minigrad._graph import AccumulateGrad, Edge, Node, version_of
from minigrad._modes import state
from minigrad._tensor_str import Size, tensor_str
from minigrad._text import type_name
from minigrad._warning import warn_once
from minigrad.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from minigrad._views import Mirror, View


class readonly(property):
    """A property that refuses to be set with torch's words."""

    def __set__(self, instance: Any, value: Any) -> None:
        assert self.fget is not None
        raise AttributeError(f"attribute '{self.fget.__name__}' of 'torch._C.TensorBase' objects is not writable")

    def __delete__(self, instance: Any) -> None:
        self.__set__(instance, None)


class Uncounted(list[int]):
    """The version cell of tensors made in inference mode: nothing counts their writes, so backward cannot keep them.

    Those of `detach` and `data` count their own: outside of inference mode they alone may be written to.
    """

    writes: int | None = None

    def __getitem__(self, place: Any) -> Any:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in"
            " computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and"
            " use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )


class Tensor:
    """A multi-dimensional array that records what is done to it; behaves as `torch.Tensor` on a CPU."""

    __slots__ = ("__dict__", "__weakref__", "_data", "_edge", "_view", "_writes")  # what every tensor has, and any may

    _data: Any
    _edge: Edge | None
    _view: View | None
    _writes: list[int] | None  # [number of writes], shared by all tensors that share memory; None until that matters
    _accumulator: AccumulateGrad | None = None  # of a leaf: made when it first requires grad or is given one
    _grad: Tensor | None = None  # of a non-leaf that retains it
    _retains = False
    _inference = False
    _grad_dtype: Any = "own"
    _tangent: tuple[Any, Tensor | None] | None = None  # in a level of forward-mode differentiation, and that level
    _lazy: int = 0  # what torch would keep as the conjugate (1) or the negative (2) of other memory, or both (3)
    _mirror: Mirror | None = None  # the memory of such a tensor, which a view of one shares
    _class_name: str = "tensor"  # as it prints

    def __init_subclass__(cls) -> None:
        if "_class_name" not in cls.__dict__:
            cls._class_name = cls.__name__

    __array_priority__ = 1000  # numpy's operators leave mixed operations to ours

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from minigrad._creation import legacy_tensor

        return legacy_tensor(cls, _dtype.default_float(), *args, **kwargs)

    if TYPE_CHECKING:  # what declarations install: methods, and operators

        def __getattr__(self, name: str) -> Any: ...

        _installed: Any = None
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _installed
        __pow__ = __neg__ = __invert__ = __and__ = __or__ = __matmul__ = __getitem__ = __setitem__ = _installed
        __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _installed

    @property
    def _cell(self) -> list[int]:
        """The count of writes to this tensor's memory, to share or to add to."""
        if self._writes is None:
            self._writes = [0]
        return self._writes

    @_cell.setter
    def _cell(self, cell: list[int]) -> None:
        self._writes = cell

    def materialize(self) -> np.ndarray[Any, Any]:
        """The data as an array whose memory can be shared and written."""
        if not isinstance(self._data, np.ndarray):
            self._data = np.asarray(self._data)
        data: np.ndarray[Any, Any] = self._data
        return data

    # -- the graph -------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._edge is not None or self._view is not None and self._view.base.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError("requires_grad must be a bool")
        if not self.is_leaf:
            raise RuntimeError(_NOT_LEAF if not value else _NOT_LEAF.partition(" If you want")[0])
        if value and self._data.dtype.kind not in "fc":
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        if value and self._inference and not state.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self._require(value)

    @requires_grad.deleter
    def requires_grad(self) -> None:
        raise RuntimeError("requires_grad must be a bool")

    def _require(self, value: bool) -> None:
        if value and self._edge is None:
            accumulator = self._accumulate()
            accumulator.enabled = True
            self._edge = accumulator
        elif not value and self._edge is not None:
            assert self._accumulator is not None
            self._accumulator.enabled = False
            self._edge = None

    def _accumulate(self) -> AccumulateGrad:
        """The node that keeps this leaf's gradient."""
        self.materialize()
        if self._accumulator is None:
            self._accumulator = AccumulateGrad(self)
            self._accumulator.enabled = False
        return self._accumulator

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` of a leaf, and return it."""
        if not isinstance(requires_grad, bool):
            raise TypeError(
                f"requires_grad_(): argument 'requires_grad' (position 1) must be bool, not {type_name(requires_grad)}"
            )
        if not self.is_leaf:
            if not requires_grad:
                raise RuntimeError(_NOT_LEAF)
            return self
        if requires_grad and self._data.dtype.kind not in "fc":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        self.requires_grad = requires_grad
        return self

    @readonly
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        edge = self._edge if self._view is None else _views.current_edge(self)
        return edge is None or type(edge) is AccumulateGrad

    @readonly
    def grad_fn(self) -> Node | None:
        """The node of the operation that made this tensor; None for a leaf."""
        edge = self._edge if self._view is None else _views.current_edge(self)
        return None if edge is None or type(edge) is AccumulateGrad else edge._node._shown()

    @readonly
    def output_nr(self) -> int:
        """Which output of `grad_fn` this tensor is."""
        edge = self._edge if self._view is None else _views.current_edge(self)
        return 0 if edge is None else edge._number

    @readonly
    def _version(self) -> int:
        if not self._inference:
            return version_of(self)
        assert isinstance(self._cell, Uncounted)
        if self._cell.writes is None:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._cell.writes

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient of a leaf (or of a tensor that retains it), of this tensor's shape; else None."""
        if self._accumulator is not None:
            return self._accumulator.grad
        if self._grad is None and not self._retains and not self.is_leaf:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't"
                " be populated during autograd.backward(). If you indeed want the .grad field to be populated for a"
                " non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by"
                " mistake, make sure you access the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for"
                " more information.",
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._check_grad(value)
        if self._accumulator is not None and self._accumulator is self._edge and self._view is None:
            self._accumulator.grad = value  # the usual case, with nothing to look for
        elif self.is_leaf:
            self._accumulate().grad = value
        else:
            self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _check_grad(self, value: object) -> None:
        if value is None:
            return
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type_name(value)}")
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        mine, its = from_numpy(self._data.dtype), from_numpy(value._data.dtype)
        if self._grad_dtype != "own":
            mine = self._grad_dtype
        if mine is not None and mine is not its:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{its.cpp_name}' to a tensor with grad_dtype"
                f" '{mine.legacy_name}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's"
                " dtype). You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any"
                " dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may break"
                " downstream systems that assume they match."
            )
        if value._data.shape != self._data.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value._data.shape)}' to a tensor of size"
                f" '{list(self._data.shape)}'. Please ensure that the gradient and the tensor are the same size"
            )

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in `.grad` when backward passes it."""
        edge = _views.current_edge(self)
        if edge is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.is_leaf or self._retains:
            return
        import weakref

        edge._node._make_hooks().retain[edge._number] = weakref.ref(self)
        self._retains = True

    @readonly
    def retains_grad(self) -> bool:
        """Whether this is a non-leaf whose gradient backward keeps."""
        return self._retains

    def register_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """Call `hook(grad)` when this tensor's gradient is known; it may return another gradient of the same shape."""
        edge = _views.current_edge(self)
        if edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        hooks = edge._node._make_hooks()
        hooks.tensor_registered = True
        return RemovableHandle(hooks.tensor, (edge._number, hook))

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(leaf)` after this leaf's `.grad` was added to."""
        edge = _views.current_edge(self)
        if edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not isinstance(edge, AccumulateGrad):
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return RemovableHandle(edge._make_hooks().post_accumulate, hook)

    @property
    def _backward_hooks(self) -> OrderedDict[int, Any] | None:
        """The hooks that were registered on this tensor, by the ids of their handles; None before the first."""
        edge = _views.current_edge(self)
        hooks = None if edge is None else edge._node._hooks
        if edge is None or hooks is None or not hooks.tensor_registered:
            return None
        return OrderedDict((id, hook) for id, (number, hook) in hooks.tensor.items() if number == edge._number)

    @property
    def _post_accumulate_grad_hooks(self) -> OrderedDict[int, Any] | None:
        """The hooks that run after the leaf's gradient was added to; None if there are none."""
        hooks = None if self._accumulator is None else self._accumulator._hooks
        return OrderedDict(hooks.post_accumulate) if hooks is not None and hooks.post_accumulate else None

    def detach(self) -> Tensor:
        """A tensor that shares memory and version counter, outside of the graph."""
        self.materialize()
        result = make(self._data, None)
        result._lazy, result._mirror = self._lazy, self._mirror
        if self._inference:
            return infer(result, counted=True)
        result._cell = self._cell
        return result

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph, making it a leaf."""
        if self._view is not None:
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for"
                " training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence"
                " detach_() cannot be called on these gradients. To fix this error, please refer to the"
                " Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
            )
        if self._accumulator is not None:
            self._accumulator.enabled = False
        self._edge = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, outside of the graph and of version counting."""
        self.materialize()
        found = make(self._data, None)
        found._lazy, found._mirror = self._lazy, self._mirror
        if self._inference:
            return infer(found, counted=True)
        if self._writes is not None:
            found._cell += self._writes[1:]  # the conjugates of the memory
        return found

    @data.deleter
    def data(self) -> None:
        raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type_name(value)}")
        if self.requires_grad and value._data.dtype.kind not in "fc":
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        # Whether some graph holds it too: the references from here are `_edge`, `_accumulator` and the argument.
        recorded = self._edge is not None and sys.getrefcount(self._edge) > 3
        same = recorded and self._data.dtype == value._data.dtype
        self._data = value.materialize()
        if self._accumulator is not None:
            shape = self._accumulator._shape
            self._accumulator.adopt(self)
            if same:  # as in torch, what is recorded still expects gradients of the old shape
                self._accumulator._shape = shape

    @readonly
    def name(self) -> None:
        """Always None, as in torch; a tensor has no name."""
        return

    @property
    def volatile(self) -> bool:
        """Always False: what it was for is `no_grad` now."""
        warnings.warn("volatile was removed (Variable.volatile is always False)", stacklevel=2)
        return False

    @volatile.setter
    def volatile(self, value: object) -> None:
        warnings.warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.", stacklevel=2)

    @property
    def grad_dtype(self) -> _dtype.dtype | None:
        """The type that a leaf's gradient must have (None: any); the leaf's own unless set."""
        if not self.is_leaf:
            raise RuntimeError("grad_dtype can only be accessed on leaf tensors.")
        found: _dtype.dtype | None = self.dtype if self._grad_dtype == "own" else self._grad_dtype
        return found

    @grad_dtype.setter
    def grad_dtype(self, value: _dtype.dtype | None) -> None:
        if value is not None and not isinstance(value, _dtype.dtype):
            raise RuntimeError(f"grad_dtype must be a torch.dtype or None, but got {type_name(value)}")
        grad = self.grad
        if not self.is_leaf:
            raise RuntimeError("grad_dtype can only be set on leaf tensors.")
        if value is not None and grad is not None and grad.dtype is not value:
            raise RuntimeError(
                f"Cannot set grad_dtype to '{value.legacy_name}' because there is already a gradient with dtype"
                f" '{grad.dtype.cpp_name}'. Please clear the gradient (.grad = None) before changing grad_dtype, or"
                " ensure the new grad_dtype matches the existing gradient's dtype."
            )
        self._grad_dtype = value
        if self._edge is not None:
            assert self._accumulator is not None
            self._accumulator.adopt(self)

    @property
    def _base(self) -> Tensor | None:
        return None if self._view is None else self._view.base

    def _is_view(self) -> bool:
        return self._view is not None

    def is_inference(self) -> bool:
        """Whether this tensor was made in inference mode."""
        return self._inference

    def unpack(self, node: Node) -> Tensor:
        """Itself: an input saved for backward is kept as it is."""
        return self

    # -- shape and type --------------------------------------------------------------------------------------------

    @readonly
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self._data.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        if dim is None:
            return Size(self._data.shape)
        if not hasattr(dim, "__index__"):
            raise TypeError(f"size(): argument 'dim' (position 1) must be int, not {type_name(dim)}")
        return self._data.shape[wrap_dim(dim, self._data.ndim)]

    @readonly
    def dtype(self) -> _dtype.dtype:
        """The element type."""
        return from_numpy(self._data.dtype)

    @readonly
    def ndim(self) -> int:
        """The number of dimensions."""
        return int(self._data.ndim)

    def dim(self) -> int:
        """The number of dimensions."""
        return int(self._data.ndim)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    nelement = numel

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return int(self._data.itemsize)

    element_size = lambda self: int(self._data.itemsize)  # noqa: E731

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._data.nbytes)

    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart neighbours are, along each dimension or one."""
        data = self.materialize()
        if data.size:
            strides = tuple(s // data.itemsize for s in data.strides)
        else:  # numpy's are zeros, torch's as if sizes of 0 were 1
            strides = tuple(math.prod(max(n, 1) for n in data.shape[i + 1 :]) for i in range(data.ndim))
        return strides if dim is None else strides[wrap_dim(dim, data.ndim)]

    def is_contiguous(self, *, memory_format: memory_format = contiguous_format) -> bool:
        """Whether the elements lie in memory in C order, or in that of the format."""
        data = self.materialize()
        return memory_format.rank in (0, data.ndim) and bool(memory_format.ordered(data).flags.c_contiguous)

    def storage_offset(self) -> int:
        """Where in the base's memory the first element lies, in elements."""
        data = self.materialize()
        return (_views.address(data) - _views.address(_views.owner(self))) // self.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        mirror, found = self._mirror, _views.address(self.materialize())
        while mirror is not None:  # of a conjugate, where torch would keep it
            found += _views.address(mirror.source) - _views.address(mirror.copy)
            mirror = mirror.parent
        return found

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return bool(self._data.dtype.kind == "f")

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return bool(self._data.dtype.kind == "c")

    def is_signed(self) -> bool:
        """Whether the elements can be negative."""
        return bool(self._data.dtype.kind in "ifc")

    # -- Python and numpy ------------------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The same memory as a numpy array; `force=True` detaches first."""
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self._lazy and not force:
            bit, resolved = ("conjugate", "resolve_conj") if self._lazy & 1 else ("negative", "resolve_neg")
            raise RuntimeError(
                f"Can't call numpy() on Tensor that has {bit} bit set. Use tensor.{resolved}().numpy() instead."
            )
        return self.materialize()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        if copy:
            return np.array(array, dtype)
        return array if dtype is None else array.astype(dtype, copy=False)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
        from minigrad._creation import from_numpy as shared

        return shared(np.asarray(array).view(np.uint8) if array.dtype.kind == "b" else np.asarray(array))

    def item(self) -> Any:
        """The only element as a Python number."""
        if self._data.size != 1:
            raise RuntimeError(f"a Tensor with {self._data.size} elements cannot be converted to Scalar")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._data.tolist()

    def _number(self, warn: bool = True) -> Any:
        if self._data.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        if warn and self.requires_grad:
            warn_once(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first."
            )
        return self._data.item()

    def __float__(self) -> float:
        return float(_real(self._number(), "double"))

    def __complex__(self) -> complex:
        return complex(self._number())

    def __int__(self) -> int:
        return int(_real(self._number(warn=False), "int64_t"))

    def __index__(self) -> int:
        if self._data.size != 1 or self._data.dtype.kind not in "iub":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._data.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            if self._data.size == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self._data.item())

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return int(self._data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if self._data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self) -> Tensor:
        """The rows from the last to the first: a copy."""
        flipped: Tensor = self.flip(0) if self._data.ndim else self
        return flipped

    def __contains__(self, element: object) -> bool:
        if isinstance(element, (Tensor, bool, int, float, complex)):
            equal: Any = self == element
            return bool(equal.any().item())
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        try:
            function = self.grad_fn
            name = None if function is None else function.name().rpartition("::")[2]
        except RuntimeError:  # a view that cannot follow a write to its base
            name = "Invalid"
        return tensor_str(
            self.materialize(),
            requires_grad=self.requires_grad,
            grad_fn_name=name,
            class_name=self._class_name,
            tangent=None if state.dual is None else state.dual.tangent(self),
        )

    def __format__(self, spec: str) -> str:
        if self._data.ndim == 0 and type(self) is Tensor:
            return format(self._data.item(), spec)
        return object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the"
                " moment.  If you were attempting to deepcopy a module, this may be because of a"
                " torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
            )
        if id(self) in memo:
            found: Tensor = memo[id(self)]
            return found
        owner, *geometry = self._geometry()
        if id(owner) not in memo:
            memo[id(owner)] = owner.copy(order="K")
        offset, strides, shape, dtype = geometry
        result = _rebuild(type(self), memo[id(owner)], offset, strides, shape, dtype, self.requires_grad)
        memo[id(self)] = result
        if self.grad is not None:
            result.grad = self.grad.__deepcopy__(memo)
        import copy

        result.__dict__.update(copy.deepcopy(self._attributes(), memo))
        result._cell[0] += 1  # torch makes it empty first and then gives it its memory
        return result

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        hooks = None if self._accumulator is None else self._accumulator._hooks
        for _, hook in [] if hooks is None else hooks.tensor.values():
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can decorate the"
                " function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=2,
            )
        owner, *geometry = self._geometry()  # a view of it, as pickles do not share memory in torch
        return _rebuild, (type(self), owner[...], *geometry, self.requires_grad), self._attributes() or None

    def _geometry(self) -> tuple[Any, ...]:
        """The array that owns the memory, and where in it the elements lie: offset and strides in bytes, shape."""
        data = self.materialize()
        owner = _views.owner(self)
        if not owner.flags.forc:
            owner = data
        return owner, _views.address(data) - _views.address(owner), data.strides, data.shape, data.dtype

    def _attributes(self) -> dict[str, Any]:
        """What the user set on the tensor."""
        return {name: value for name, value in self.__dict__.items() if name not in Tensor.__annotations__}


_NOT_LEAF = (
    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph"
    " that doesn't require differentiation use var_no_grad = var.detach()."
)


Tensor.__module__ = "minigrad"  # where users find it, and what `print(type(x))` shows


def make(data: Any, edge: Edge | None, kind: type[Tensor] = Tensor) -> Tensor:
    """A tensor of this array, at this place in the graph."""
    tensor: Tensor = object.__new__(kind)
    tensor._data = data
    tensor._edge = edge
    tensor._view = tensor._writes = None
    return tensor


def _real(number: Any, kind: str) -> Any:
    """A number as a real one; RuntimeError if it has an imaginary part."""
    if isinstance(number, complex):
        if number.imag:
            raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
        return number.real
    return number


def infer(tensor: Tensor, counted: bool = False) -> Tensor:
    """Mark a tensor as made in inference mode; `counted`: it may be written to outside of it."""
    tensor._inference = True
    tensor._writes = Uncounted()
    if counted:
        tensor._writes.writes = 0
    return tensor


def count_write(tensor: Tensor) -> None:
    """Count a write that was made to a tensor; RuntimeError for an inference tensor outside of that mode."""
    cell = tensor._cell
    if not isinstance(cell, Uncounted):
        cell[0] += 1
    elif cell.writes is not None:
        cell.writes += 1
    elif not state.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a"
            " normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )


def _rebuild(
    kind: type[Tensor], owner: Any, offset: int, strides: Any, shape: Any, dtype: Any, requires_grad: bool
) -> Tensor:
    """A tensor on some of an array's memory."""
    if (shape, dtype, strides) == (owner.shape, owner.dtype, owner.strides):
        data = owner
    else:
        flat = owner.reshape(-1, order="A").view(np.uint8)
        data = np.ndarray(shape, dtype, flat, offset, strides)
    tensor = make(data, None, kind)
    tensor._require(requires_grad)
    return tensor


from minigrad import _views  # noqa: E402  (views are tensors, and tensors ask whether they are views)
