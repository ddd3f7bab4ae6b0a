"""A device that is not there: tensors lie on the processor and say that they lie elsewhere, and never mix with those that do not.

Whoever forgets to bring a tensor to the device, or back, is told so without a GPU, while every number is real: what a GPU would refuse
("Expected all tensors to be on the same device") fails here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

ELSEWHERE = torch.device("meta")
"""A kind of device that PyTorch has a name for, and that no machine of ours has: nothing is loaded for it."""


INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index")
CROSSING = ("copy_", "_to_copy")


class MisplacedError(RuntimeError):
    """Tensors of two devices met."""


class Elsewhere(torch.Tensor):
    """A tensor on the pretended device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        strided = held.layout is torch.strided
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride() if strided else None, dtype=held.dtype, device=ELSEWHERE
        )
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Elsewhere({self.held})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(func, args, kwargs or {})


def brought(value: Any) -> Any:
    return value.held if isinstance(value, Elsewhere) else value


def taken(value: Any) -> Any:
    return Elsewhere(value) if isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere) else value


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the processor, for whichever device it was meant."""
    found = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    here = [value for value in found if not isinstance(value, Elsewhere)]
    assert not any(value.device == ELSEWHERE for value in here), f"{func}: a tensor without content came in"
    asked = kwargs.get("device")
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    name = func.overloadpacket.__name__
    there = len(here) < len(found)
    if name in INDEXING:  # a tensor on a device may be indexed from the processor, but not the other way round
        here = [value for value in (args[0], *args[2:3]) if isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere)]
    if there and any(value.dim() for value in here) and name not in CROSSING:
        raise MisplacedError(f"{name}: tensors of two devices, {[tuple(value.shape) for value in here]} not on the device")
    result = func(*tree_map(brought, args), **tree_map(brought, kwargs))
    if func._schema.is_mutable and found and name.endswith("_"):
        return args[0]
    if asked is not None:
        return tree_map(taken, result) if torch.device(asked).type == ELSEWHERE.type else result
    return tree_map(taken, result) if there else result


def places(index: Any) -> Any:
    """An index whose lists of numbers are tensors: PyTorch itself would make them where the indexed tensor says that it is."""
    if isinstance(index, list):
        return torch.tensor(index)
    if isinstance(index, tuple):
        return tuple(torch.tensor(part) if isinstance(part, (list, tuple)) else part for part in index)
    return index


class _Above(TorchFunctionMode):
    """What operations do not show: a new tensor's device, and a sparse matrix's layout."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]).type == ELSEWHERE.type
            made = func(*args, **{**kwargs, "device": "cpu"})
            return taken(made) if there else made
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = (args[0], places(args[1]), *args[2:])
        if func is torch.Tensor.tolist and isinstance(args[0], Elsewhere):
            return args[0].held.tolist()
        if func is torch.Tensor.numpy and isinstance(args[0], Elsewhere):
            raise MisplacedError("numpy: the tensor was not brought back from the device")
        if func is torch.sparse.mm and any(isinstance(value, Elsewhere) for value in args):
            if not all(isinstance(value, Elsewhere) for value in args):
                raise MisplacedError("sparse.mm: tensors of two devices")
            return Elsewhere(torch.sparse.mm(*(value.held for value in args)))
        return func(*args, **kwargs)


class _Below(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


@contextmanager
def pretended_device() -> Iterator[None]:
    """Within it, ELSEWHERE is a device."""
    with _Above(), _Below():  # type: ignore[no-untyped-call]
        yield
