"""KServe v2 over HTTP, as data: a request's body to values, values to a response's body.

Source: Open Inference Protocol, `inference_rest.md` (github.com/kserve/open-inference-protocol), and its binary
tensor data extension (Triton, `extension_binary_data.md`): the JSON header, then the bytes of each tensor that says
`binary_data_size`, in the order of the header. Nothing here knows HTTP but the length of the header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import msgspec
import numpy as np

from partwise.errors import InputError, InterfaceMismatchError
from partwise.ir import DType
from partwise.packaging import Manifest, Port
from partwise.packaging.arrays import from_bytes, is_possible, numpy_dtype
from partwise.runtime.nested import array_of

__all__ = ["DATATYPES", "Asked", "Wanted", "decode_request", "encode_response", "model_metadata"]

DATATYPES = {
    DType.BOOL: "BOOL", DType.UINT8: "UINT8", DType.UINT16: "UINT16", DType.UINT32: "UINT32", DType.UINT64: "UINT64",
    DType.INT8: "INT8", DType.INT16: "INT16", DType.INT32: "INT32", DType.INT64: "INT64", DType.FLOAT16: "FP16",
    DType.BFLOAT16: "BF16", DType.FLOAT32: "FP32", DType.FLOAT64: "FP64",
}  # fmt: skip
"""The protocol's names of element types; the others have none."""
_UNSUPPORTED = frozenset({"shared_memory_region", "classification", "sequence_id"})
"""Parameters of other servers' extensions that would change what the answer is."""
_SHOWN = 65  # sizes in an error: one more than a shape may have


class _Tensor(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[_Output] | None = None


_REQUEST = msgspec.json.Decoder(_Request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One output that a request asks for."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, read."""

    id: str
    values: dict[str, np.ndarray]
    """Whatever tensors it carries, by name; whether they fit the model is for `runtime.sizes` to say."""
    outputs: tuple[Wanted, ...]


def model_metadata(manifest: Manifest, name: str, version: str) -> dict[str, object]:
    """What `GET v2/models/NAME` answers; a size that is chosen by each request is -1.

    Raises:
        InputError: an input or output whose type the protocol has no name for.
    """
    sent = {port.tensor: port for segment in manifest.segments for port in segment.outputs}
    outputs = [(output.name, sent[output.tensor]) for output in manifest.outputs]
    return {
        "name": name,
        "versions": [version],
        "platform": f"partwise_{manifest.format}",
        "inputs": [_described(port.tensor, port) for port in manifest.inputs],
        "outputs": [_described(output, port) for output, port in outputs],
    }


def decode_request(body: bytes, header_bytes: int | None, manifest: Manifest) -> Asked:
    """A request's body as values.

    Args:
        body: all of it.
        header_bytes: `Inference-Header-Content-Length`; None where the body is JSON alone.
        manifest: whose inputs they should be.

    Raises:
        InputError: no such body; the message says what is wrong with it.
        InterfaceMismatchError: an output that the model does not have, or a type that is not the model's.
    """
    header = body if header_bytes is None else body[:header_bytes]
    if header_bytes is not None and not 0 <= header_bytes <= len(body):
        raise InputError("Inference-Header-Content-Length", "is not within the body", expected=f"0 to {len(body)}",
                         got=header_bytes)  # fmt: skip
    try:
        request = _REQUEST.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("request", f"is no inference request ({error})") from None
    _refuse_unsupported("request", request.parameters)
    values = _values(request.inputs, memoryview(body)[len(header) :], manifest)
    return Asked(id=request.id, values=values, outputs=_wanted(request, manifest))


def encode_response(
    asked: Asked, outputs: Mapping[str, np.ndarray], head: Mapping[str, object]
) -> tuple[bytes, int | None]:
    """A response's body, and the length of its JSON where bytes follow it.

    Args:
        asked: the request.
        outputs: of the model, by name.
        head: what stands before the outputs: the model's name and version, parameters.

    Raises:
        InputError: a NaN or an infinity that was asked for as JSON, which has no such number.
    """
    described, frames = list[dict[str, object]](), list[bytes]()
    for wanted in asked.outputs:
        value = outputs[wanted.name]
        entry: dict[str, object] = {
            "name": wanted.name,
            "datatype": DATATYPES[DType(value.dtype.name)],
            "shape": [int(size) for size in value.shape],
        }
        if wanted.binary:
            frames.append(np.ascontiguousarray(value).tobytes())
            entry["parameters"] = {"binary_data_size": len(frames[-1])}
        else:
            entry["data"] = _as_json(wanted.name, value)
        described.append(entry)
    header = msgspec.json.encode({**head, **({"id": asked.id} if asked.id else {}), "outputs": described})
    return b"".join((header, *frames)), len(header) if frames else None


def _values(tensors: Sequence[_Tensor], rest: memoryview, manifest: Manifest) -> dict[str, np.ndarray]:
    ports = {port.tensor: port for port in manifest.inputs}
    found: dict[str, np.ndarray] = {}
    for tensor in tensors:
        if tensor.name in found:
            raise InputError(f"input `{tensor.name}`", "is given twice")
        port = ports.get(tensor.name)
        if port is None:
            raise InterfaceMismatchError(f"input `{tensor.name}`", "is unknown", expected=", ".join(ports))
        taken, rest = _value(tensor, port, rest)
        found[tensor.name] = taken
    if len(rest):
        raise InputError("request", "bytes follow its last tensor", got=len(rest))
    return found


def _value(tensor: _Tensor, port: Port, rest: memoryview) -> tuple[np.ndarray, memoryview]:
    """A tensor's value, and the bytes that are left for those after it."""
    subject, datatype = f"input `{tensor.name}`", DATATYPES[port.dtype]
    _refuse_unsupported(subject, tensor.parameters)
    if tensor.datatype != datatype:
        raise InterfaceMismatchError(subject, "has another datatype", expected=datatype, got=tensor.datatype)
    if not is_possible(tensor.shape):
        raise InputError(subject, "has no shape that a tensor can have", got=list(tensor.shape)[:_SHOWN])
    size: Any = tensor.parameters.get("binary_data_size")
    if size is None:
        array = array_of(tensor.data, port, subject)
        if array.size != prod(tensor.shape):
            raise InputError(subject, "its data have another number of elements", expected=prod(tensor.shape),
                             got=array.size)  # fmt: skip
        return np.ascontiguousarray(array).reshape(tensor.shape), rest
    expected = prod(tensor.shape) * numpy_dtype(port.dtype).itemsize
    if type(size) is not int or tensor.data is not None or size != expected or size > len(rest):
        got = "data as well" if tensor.data is not None else f"{size}, {len(rest)} left in the body"
        raise InputError(subject, "its bytes are not those of its shape", expected=expected, got=got)
    if port.dtype is DType.BOOL and (np.frombuffer(rest[:size], np.uint8) > 1).any():
        raise InputError(subject, "holds bytes that are no truth values", expected="0 or 1")
    return from_bytes(rest[:size], port.dtype, tensor.shape, tuple(range(len(tensor.shape)))), rest[size:]


def _wanted(request: _Request, manifest: Manifest) -> tuple[Wanted, ...]:
    known = [output.name for output in manifest.outputs]
    binary = request.parameters.get("binary_data_output") is True
    if not request.outputs:
        return tuple(Wanted(name=name, binary=binary) for name in known)
    for output in request.outputs:
        _refuse_unsupported(f"output `{output.name}`", output.parameters)
        if output.name not in known:
            raise InterfaceMismatchError(f"output `{output.name}`", "is unknown", expected=", ".join(known))
    return tuple(
        Wanted(name=output.name, binary=output.parameters.get("binary_data", binary) is True)
        for output in request.outputs
    )


def _refuse_unsupported(subject: str, parameters: Mapping[str, Any]) -> None:
    for name in _UNSUPPORTED & parameters.keys():
        raise InputError(subject, f"parameter `{name}` is not something this server does")


def _as_json(name: str, value: np.ndarray) -> list[Any]:
    if value.dtype.kind not in "biu" and not np.isfinite(value.astype(np.float64)).all():
        raise InputError(f"output `{name}`", "holds a NaN or an infinity, which JSON cannot carry",
                         hint='ask for it with "parameters": {"binary_data": true}.')  # fmt: skip
    plain = value if value.dtype.kind in "biu" else value.astype(np.float64)
    return plain.reshape(-1).tolist()


def _described(name: str, port: Port) -> dict[str, object]:
    if port.dtype not in DATATYPES:
        raise InputError(f"`{name}`", "has a type that KServe has no name for", got=port.dtype)
    shape = [-1] if port.shape is None else [dim if isinstance(dim, int) else -1 for dim in port.shape]
    return {"name": name, "datatype": DATATYPES[port.dtype], "shape": shape}
