"""Tensors that an unpickler noted, written as a safetensors file: copied piece by piece, never all in memory."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

import numpy as np

from partwise.frontends.untrusted import as_dict
from partwise.frontends.weights.stored_zip import Broken, Span
from partwise.frontends.weights.unpickling.stand_ins import Array, Tensor

__all__ = ["named_tensors", "write_safetensors"]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "params", "weights")
"""Keys under which training loops put the state dict beside their own state."""
_DEPTH = 3
"""Of such wrappers; a dict may hold itself."""
_GROWTH = 4
"""A dense copy may be this many times the file: tied weights are written once for each name."""
_PIECE = 1 << 20


def named_tensors(root: Any) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a state dict, and what a reader should know.

    Raises:
        Broken: no dict of tensors.
    """
    notes, found = list[str](), _tensors(root)
    for _ in range(_DEPTH):
        wrapper = next((key for key in _WRAPPERS if as_dict(as_dict(root).get(key))), None)
        if found or wrapper is None:
            break
        notes.append(f"the state dict is the one under `{wrapper}`")
        root = root[wrapper]
        found = _tensors(root)
    if not found:
        raise Broken(f"holds no state dict, but a {type(root).__name__}")
    if all(name.startswith("module.") for name in found):
        notes.append("`module.` is taken off every name (DataParallel)")
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return found, notes


def _tensors(root: Any) -> dict[str, Tensor]:
    values = ((name, v.tensor if isinstance(v, Array) else v) for name, v in as_dict(root).items())
    found = [(str(name), v) for name, v in values if isinstance(v, Tensor)]
    if len(names := dict(found)) < len(found):  # 3 and "3": which of the two is meant?
        raise Broken("has two tensors of one name")
    if not all(_is_text(name) for name in names):
        raise Broken("has a tensor whose name is no text")
    return names


def _is_text(name: str) -> bool:
    """Without halves of characters, which no file can hold."""
    return name.encode(errors="replace").decode() == name


def write_safetensors(tensors: dict[str, Tensor], source: IO[bytes], size: int, out: IO[bytes]) -> None:
    """Write dense copies.

    Args:
        tensors: by name.
        source: the file that their spans lie in.
        size: bytes of that file.
        out: an empty file.

    Raises:
        Broken: a tensor reaches outside its storage, or all of them are absurdly large.
    """
    total, header = 0, dict[str, Any]()
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element.size, item[0]))  # keeps each aligned
    for name, tensor in ordered:
        _check(name, tensor)
        offsets = [total, total + tensor.size]
        header[name] = {"dtype": tensor.element.code, "shape": list(tensor.shape), "data_offsets": offsets}
        total += tensor.size
    if total > _GROWTH * size:
        raise Broken(f"describes {total} bytes of tensors in a file of {size}")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out.write(struct.pack("<Q", len(text)) + text)
    for _, tensor in ordered:
        _copy(tensor, source, out)


def _check(name: str, tensor: Tensor) -> None:
    storage = tensor.storage
    if storage.span is None or not tensor.element.code or name == "__metadata__":
        raise Broken(f"has a tensor `{name[:80]}` without data")
    last = tensor.offset + storage.shift + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride, strict=True))
    if tensor.size and (last + 1) * tensor.element.size > storage.span.size:
        raise Broken(f"has a tensor `{name[:80]}` that reaches outside its storage")


def _copy(tensor: Tensor, source: IO[bytes], out: IO[bytes]) -> None:
    span, size = tensor.storage.span, tensor.element.size
    if span is None or not tensor.size:
        return
    start = (tensor.offset + tensor.storage.shift) * size
    if _is_dense(tensor):
        for begin in range(start, start + tensor.size, _PIECE):
            out.write(_bytes(span, begin, min(_PIECE, start + tensor.size - begin), source))
        return
    extent = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride, strict=True))
    flat = np.frombuffer(_bytes(span, start, extent * size, source), dtype=f"V{size}")
    strides = tuple(s * size for s in tensor.stride)
    out.write(np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False).tobytes())


def _is_dense(tensor: Tensor) -> bool:
    expected = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def _bytes(span: Span, start: int, size: int, source: IO[bytes]) -> bytes:
    if span.data is not None:
        return span.data[span.offset + start : span.offset + start + size]
    source.seek(span.offset + start)
    data = source.read(size)
    if len(data) != size:
        raise Broken("ends before its last tensor")
    return data
