"""A manifest from anywhere: parsed once, and every promise in it checked that can be checked without the files."""

from __future__ import annotations

from collections.abc import Iterable
from keyword import iskeyword
from math import prod

from partwise.digest import is_digest
from partwise.errors import GraphError, ManifestError
from partwise.ir import DType, Format
from partwise.ir.dims import symbols_of
from partwise.packaging.arrays import is_possible, numpy_dtype
from partwise.packaging.manifest import MANIFEST_VERSION, Manifest, Port, SegmentEntry, WeightEntry
from partwise.strict_json import json_record

__all__ = ["GRAPH_BYTES", "is_name", "manifest_from_bytes"]

GRAPH_BYTES = 1 << 28
"""Of a graph's file, or the plan's, neither of which holds weights: as much as a manifest may have. Assumed."""
_NO_BYTES = frozenset({DType.STRING, DType.OPAQUE})


def manifest_from_bytes(data: bytes, subject: str) -> Manifest:
    """A manifest from anywhere, every field checked.

    Args:
        data: the file's bytes.
        subject: what errors are about: the file's path.

    Raises:
        ManifestError: not JSON, a field of the wrong type, another version, or a promise it cannot keep.
    """
    manifest = json_record(
        data, Manifest, subject, what="not a manifest", expected=MANIFEST_VERSION, error=ManifestError
    )
    if manifest.version != MANIFEST_VERSION:
        raise ManifestError(subject, "another version of the format", expected=MANIFEST_VERSION, got=manifest.version)
    _check(manifest, subject)
    return manifest


def is_name(text: str) -> bool:
    """Whether a text can stand as a name in a program: names of symbols and keywords come near the text of one."""
    return text.isascii() and text.isidentifier() and not iskeyword(text)


def _check(manifest: Manifest, subject: str) -> None:
    if not manifest.segments:
        raise ManifestError(subject, "has no segment")
    _check_digests(manifest, subject)
    _check_symbols(manifest, subject)
    symbols = frozenset(symbol.name for symbol in manifest.symbols)
    _check_ports(manifest.inputs, symbols, f"{subject}, inputs")
    _once((output.name for output in manifest.outputs), f"{subject}, output")
    for number, segment in enumerate(manifest.segments):
        where = f"{subject}, segment {number}"
        _check_ports(segment.inputs, symbols, f"{where}, inputs")
        _check_ports(segment.outputs, symbols, f"{where}, outputs")
        _check_senders(manifest, number, segment, where)
        _once((weight.tensor for weight in segment.weights), f"{where}, weight")
        for weight in segment.weights:
            _check_weight(weight, where)
    _check_homes(manifest, subject)


def _check_digests(manifest: Manifest, subject: str) -> None:
    graphs = [manifest.plan, manifest.whole, *(s.graph for s in manifest.segments)]
    if (largest := max(graph.size for graph in graphs)) > GRAPH_BYTES:
        raise ManifestError(subject, "promises an absurdly large graph", expected=f"≤ {GRAPH_BYTES} bytes", got=largest)
    descriptors = [*graphs, *(weight.blob for segment in manifest.segments for weight in segment.weights)]
    for descriptor in descriptors:
        if not is_digest(descriptor.digest) or descriptor.size < 0:
            raise ManifestError(
                subject, "holds a malformed descriptor", got=f"{descriptor.digest[:80]} ({descriptor.size} B)"
            )
    if not is_digest(manifest.graph):
        raise ManifestError(subject, "names its graph by no digest", got=manifest.graph[:80])
    if manifest.format is Format.TORCH and manifest.whole.digest != manifest.graph:
        raise ManifestError(subject, "its whole is not its graph", expected=manifest.graph, got=manifest.whole.digest)


def _check_symbols(manifest: Manifest, subject: str) -> None:
    ports = {port.tensor: port for port in manifest.inputs}
    _once((symbol.name for symbol in manifest.symbols), f"{subject}, symbol")
    for symbol in manifest.symbols:
        if not is_name(symbol.name):
            raise ManifestError(subject, "a symbol's name is no name", got=repr(symbol.name)[:80])
        if symbol.input is None:
            continue
        port = ports.get(symbol.input)
        rank = len(port.shape) if port is not None and port.shape is not None else None
        if port is None or symbol.dim is None or (rank is not None and not 0 <= symbol.dim < rank):
            where = f"dim {symbol.dim} of `{symbol.input[:80]}`"
            raise ManifestError(subject, f"symbol `{symbol.name}` is read off a place that does not exist", got=where)


def _check_ports(ports: tuple[Port, ...], symbols: frozenset[str], subject: str) -> None:
    _once((port.tensor for port in ports), subject)
    for port in ports:
        for dim in port.shape or ():
            try:
                unknown = sorted(symbols_of(dim) - symbols)
            except GraphError as error:
                raise ManifestError(f"{subject}, `{port.tensor}`", str(error)) from None
            if unknown or (isinstance(dim, int) and dim < 0):
                raise ManifestError(f"{subject}, `{port.tensor}`", "has an impossible dimension", got=str(dim)[:80])


def _check_senders(manifest: Manifest, number: int, segment: SegmentEntry, subject: str) -> None:
    known = {port.tensor: (port.dtype, port.shape) for port in manifest.inputs}
    for port in segment.inputs:
        sender = "the caller"
        sent = known
        if port.source is not None:
            if not 0 <= port.source < number:
                raise ManifestError(subject, f"input `{port.tensor}` comes from no earlier segment", got=port.source)
            sender = f"segment {port.source}"
            sent = {p.tensor: (p.dtype, p.shape) for p in manifest.segments[port.source].outputs}
        if sent.get(port.tensor) != (port.dtype, port.shape):
            raise ManifestError(subject, f"input `{port.tensor}` is not what {sender} sends",
                                expected=sent.get(port.tensor), got=(port.dtype, port.shape))  # fmt: skip


def _check_weight(weight: WeightEntry, subject: str) -> None:
    subject = f"{subject}, weight `{weight.tensor}`"
    if sorted(weight.order) != list(range(len(weight.shape))) or not is_possible(weight.shape):
        raise ManifestError(subject, "has an impossible layout", got=f"{weight.shape} ordered {weight.order}"[:200])
    if weight.dtype in _NO_BYTES:
        raise ManifestError(subject, "has a type that no blob can hold", got=weight.dtype)
    expected = prod(weight.shape) * numpy_dtype(weight.dtype).itemsize
    if weight.blob.size != expected:
        raise ManifestError(subject, "lies about its size", expected=expected, got=weight.blob.size)


def _check_homes(manifest: Manifest, subject: str) -> None:
    """Every output of the model is sent by exactly one segment, and a weight is the same wherever it is read."""
    sent = [port.tensor for segment in manifest.segments for port in segment.outputs]
    _once(sent, f"{subject}, segments' output")
    for output in manifest.outputs:
        if output.tensor not in sent:
            raise ManifestError(subject, f"output `{output.name}` comes from no segment", expected=output.tensor)
    stored: dict[str, WeightEntry] = {}
    for weight in (weight for segment in manifest.segments for weight in segment.weights):
        if stored.setdefault(weight.tensor, weight) != weight:
            raise ManifestError(subject, f"weight `{weight.tensor}` is two different tensors")


def _once(names: Iterable[str], subject: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ManifestError(f"{subject} `{name}`", "is named twice")
        seen.add(name)
