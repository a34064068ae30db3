"""What lies in a `.pt2`: the program as JSON, and tensors as the bytes of their storages with sizes and strides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.weights.stored_zip import Broken, Span, StoredZip
from partwise.ir import DType
from partwise.packaging.arrays import numpy_dtype
from partwise.strict_json import json_value

__all__ = ["DTYPES", "Archive", "StoredTensor", "Tensors", "open_archive"]

_PROGRAM = "models/model.json"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_MAX_JSON_BYTES = 1 << 28
"""A program of 6,000 nodes has about 10 MB; beyond this it is none."""
_SAVE_AGAIN = "save it again with torch 2.9 or newer: torch.export.save(program.run_decompositions({}), path)."

DTYPES = {
    1: DType.UINT8, 2: DType.INT8, 3: DType.INT16, 4: DType.INT32, 5: DType.INT64, 6: DType.FLOAT16, 7: DType.FLOAT32,
    8: DType.FLOAT64, 10: DType.COMPLEX64, 11: DType.COMPLEX128, 12: DType.BOOL, 13: DType.BFLOAT16,
    28: DType.UINT16, 29: DType.FLOAT8_E4M3FN, 30: DType.FLOAT8_E5M2, 31: DType.FLOAT8_E4M3FNUZ,
    32: DType.FLOAT8_E5M2FNUZ, 34: DType.UINT32, 35: DType.UINT64,
}  # fmt: skip
"""torch's serialized `ScalarType` (torch/_export/serde/schema.py, version 8.20)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A view of a storage in the archive; two names with equal views are one tensor."""

    span: Span
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Elements."""
    offset: int
    """Elements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An opened `.pt2`."""

    path: Path
    program: dict[str, Any]
    tensors: dict[str, StoredTensor]
    """Parameters, buffers and constants by name."""


class Tensors(Mapping[str, np.ndarray]):
    """Arrays over the mapped file, each made when it is asked for."""

    def __init__(self, path: Path, tensors: Mapping[str, StoredTensor]) -> None:
        self._bytes, self._tensors = np.memmap(path, dtype=np.uint8, mode="r"), tensors

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self._tensors[name]
        kind = numpy_dtype(tensor.dtype)
        raw = np.asarray(self._bytes[tensor.span.offset : tensor.span.offset + tensor.span.size])
        strides = tuple(stride * kind.itemsize for stride in tensor.strides)
        start = tensor.offset * kind.itemsize
        return np.ndarray(tensor.shape, kind, raw, start, strides)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def open_archive(path: Path) -> Archive:
    """Read the program, and learn where the tensors lie.

    Raises:
        ModelError: no such archive, or one of an older torch.
        UnsafeFileError: a tensor that only unpickling would give.
    """
    try:
        with path.open("rb") as file:
            entries = StoredZip(file, path.stat().st_size)
            if _PROGRAM not in entries.names:
                expected = "an archive of torch.export"
                raise ModelError(str(path), f"has no {_PROGRAM}", expected=expected, hint=_SAVE_AGAIN)
            program = _json(path, entries, _PROGRAM)
            return Archive(path=path, program=program, tensors=_tensors(path, entries))
    except Broken as error:
        raise ModelError(str(path), str(error), hint=_SAVE_AGAIN) from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = f"has a table of contents that is none of torch.export's ({type(error).__name__}: {error})"
        raise ModelError(str(path), what, hint=_SAVE_AGAIN) from None


def _json(path: Path, entries: StoredZip, member: str) -> Any:
    return json_value(
        entries.read(member, _MAX_JSON_BYTES), f"table of contents of {path}", ModelError, hint=_SAVE_AGAIN
    )


def _tensors(path: Path, entries: StoredZip) -> dict[str, StoredTensor]:
    spans, found = dict[str, Span](), dict[str, StoredTensor]()
    for config in _CONFIGS:
        if config not in entries.names:
            continue
        for name, entry in _json(path, entries, config)["config"].items():
            if entry["use_pickle"]:
                hint = "save plain tensors: nothing of it was unpickled."
                raise UnsafeFileError(str(path), f"holds `{name}` as a pickle", expected="raw bytes", hint=hint)
            member = f"{config.rpartition('/')[0]}/{entry['path_name']}"
            span = spans[member] = spans.get(member) or entries.span(member)
            found[name] = _tensor(name, span, entry["tensor_meta"])
    return found


def _tensor(name: str, span: Span, meta: dict[str, Any]) -> StoredTensor:
    dtype = DTYPES[meta["dtype"]]
    shape, strides = (tuple(int(size["as_int"]) for size in meta[key]) for key in ("sizes", "strides"))
    offset = int(meta["storage_offset"]["as_int"])
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    outside = (last + 1) * dtype.bits > span.size * 8 and 0 not in shape
    if outside or min((offset, *shape, *strides)) < 0:
        raise Broken(f"has a tensor `{name[:80]}` that reaches outside its storage")
    return StoredTensor(span=span, dtype=dtype, shape=shape, strides=strides, offset=offset)
