"""The two ends of a chain: a client's request and claim as the fixed-point values that the proofs must show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from partwise.errors import InputError
from partwise.packaging.arrays import numpy_dtype
from partwise.runtime.nested import in_type
from partwise.verification.zk.field import Values, quantize
from partwise.verification.zk.manifest import ProofManifest, Wire

__all__ = ["claimed", "claimed_values", "exact_values", "request_values", "requested"]

End = tuple[int, str, str, Values]
"""(segment, tensor, the model's name of it, values)"""


def requested(
    manifest: ProofManifest, given: Mapping[str, np.ndarray] | None, proved: Collection[int] | None = None
) -> Iterable[End]:
    """Each input of the model at each proved segment that takes it.

    Args:
        manifest: of the proofs.
        given: the request.
        proved: numbers of segments; None for all that have a circuit.

    Raises:
        InputError: an input is missing, unknown, of another shape, or no number.
    """
    if given is None:
        return
    _same_names("input", given, [wire.tensor for wire in manifest.inputs])
    for number, segment in enumerate(manifest.segments):
        if proved is not None and number not in proved:
            continue
        for wire in segment.inputs:
            if wire.source is None and wire.scale is not None and segment.circuit is not None:
                yield number, wire.tensor, wire.tensor, request_values(wire, given, wire.scale)


def request_values(wire: Wire, given: Mapping[str, np.ndarray], scale: int) -> Values:
    """An input of a request as it enters a circuit.

    Raises:
        InputError: it has another shape, or is no number.
    """
    array = _typed(_shaped("input", wire.tensor, given[wire.tensor], wire), wire)
    return quantize(array, scale, f"input `{wire.tensor}`")


def claimed(
    manifest: ProofManifest, given: Mapping[str, np.ndarray] | None, proved: Collection[int] | None = None
) -> Iterable[End]:
    """Each output of the model at the proved segment that gives it: of others nothing is known, nor anything false.

    Args:
        manifest: of the proofs.
        given: the answer that is claimed.
        proved: numbers of segments; None for all that have a circuit.

    Raises:
        InputError: an output is missing, unknown, of another shape, or not a value that the circuit can give.
    """
    if given is None:
        return
    _same_names("output", given, [output.name for output in manifest.outputs])
    for output in manifest.outputs:
        number = manifest.home(output.tensor)
        if proved is not None and number not in proved:
            continue
        wire = next(wire for wire in manifest.segments[number].outputs if wire.tensor == output.tensor)
        if wire.scale is not None and manifest.segments[number].circuit is not None:
            values = claimed_values(output.name, wire, given, wire.scale)
            yield number, output.tensor, output.name, values


def claimed_values(name: str, wire: Wire, given: Mapping[str, np.ndarray], scale: int) -> Values:
    """An output of a claim as the circuit gives it.

    Raises:
        InputError: it has another shape, or is no value that the circuit can give.
    """
    return exact_values(_shaped("output", name, given[name], wire), scale, f"output `{name}`")


def exact_values(array: np.ndarray, scale: int, subject: str) -> Values:
    """Fixed-point values of an answer, which must be exactly such: nothing is rounded towards what was proved.

    Raises:
        InputError: a value lies between two that the circuit can give.
    """
    values = quantize(array, scale, subject)
    if array.dtype.kind in "iu":
        return values
    exact = array.astype(np.float64).reshape(-1) * 2.0**scale
    wider = array.dtype.itemsize > exact.dtype.itemsize and bool((array.astype(np.float64) != array).any())
    if wider or any(float(value) != number for value, number in zip(values, exact, strict=True)):
        raise InputError(subject, f"holds a value that is no multiple of 2^-{scale}",
                         hint="claim what the run gave: its output.json.")  # fmt: skip
    return values


def _typed(array: np.ndarray, wire: Wire) -> np.ndarray:
    """A request in the model's type, which must hold it: 300 is not proved by a run on 44, nor 1.7 by one on 1."""
    found, wrong = in_type(array, numpy_dtype(wire.dtype))
    if wrong.any():
        number = array[wrong].reshape(-1)[0]
        raise InputError(f"input `{wire.tensor}`", f"{number} does not fit the input's type", expected=wire.dtype)
    return found


def _same_names(kind: str, given: Mapping[str, np.ndarray], wanted: list[str]) -> None:
    if missing := [name for name in wanted if name not in given]:
        raise InputError(f"{kind} `{missing[0]}`", "is missing", got=", ".join(given)[:200])
    if unknown := [name for name in given if name not in wanted]:
        raise InputError(f"{kind} `{unknown[0][:80]}`", f"is no {kind} of this model", expected=", ".join(wanted)[:200])


def _shaped(kind: str, name: str, array: np.ndarray, wire: Wire) -> np.ndarray:
    if tuple(array.shape) != wire.shape:
        raise InputError(f"{kind} `{name}`", "has another shape", expected=list(wire.shape), got=list(array.shape))
    if array.dtype.kind not in "iuf":
        raise InputError(f"{kind} `{name}`", "cannot enter a circuit", expected="numbers", got=array.dtype.name)
    return array
