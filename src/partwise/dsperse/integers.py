"""Integer mode along a sliced model: each segment lowered with the digits of the one before, settings by cost.

Every product adds the weights' binary digits to a value's own, so a tensor's digits follow from the segments before
it; the range of its values from interval arithmetic, or from the examples with a margin, whichever is less. A value
out of that range is refused by the circuit, never proved wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from partwise import api
from partwise.dsperse.atoms import MARGIN_BITS
from partwise.errors import InfeasibleError, UnsupportedOpError
from partwise.files import write_whole
from partwise.packaging import Package
from partwise.profiling.proof_choice import choose_settings
from partwise.profiling.proof_work import graph_work
from partwise.verification.zk.circuits import Circuit, bounds, evaluate, lower
from partwise.verification.zk.compile import Lowered
from partwise.verification.zk.field import Values, quantize
from partwise.verification.zk.moves import Move, scales_of
from partwise.verification.zk.settings import CircuitSettings

__all__ = ["MARGIN_BITS", "Integers", "entered", "settled"]


class Integers:
    """Digits, examples and ranges of all tensors so far."""

    def __init__(
        self, package: Package, requests: Sequence[Mapping[str, np.ndarray]], peak_bytes: int | None = None
    ) -> None:
        self._package, self._requests, self._peak_bytes = package, requests, peak_bytes
        self._digits, self._reach = dict[str, int](), dict[str, int]()
        self._values = [dict[str, np.ndarray]() for _ in requests]
        self._circuits = dict[int, tuple[Circuit, int]]()

    def enter(self, number: int, onnx: Path, settings: CircuitSettings, *, needed: bool) -> None:
        """Lower the next segment.

        Args:
            number: of the segment.
            onnx: its file.
            settings: `scale` is the digits of inputs and weights.
            needed: whether it will be compiled; else one that cannot be lowered is passed over.

        Raises:
            UnsupportedOpError: an operator that integers cannot compute exactly, where the segment is needed.
        """
        ports = self._package.manifest.segments[number].inputs
        self._start(settings.scale)
        if any(port.tensor not in self._digits for port in ports):
            raise UnsupportedOpError(f"segment {number}", "takes a value of a segment that integer mode lacks",
                                     hint="compile without --integer.")  # fmt: skip
        digits = {port.tensor: self._digits[port.tensor] for port in ports}
        try:
            circuit = lower(onnx.read_bytes(), weight_bits=settings.scale, input_bits=digits)
        except UnsupportedOpError as error:
            if not needed:
                return
            raise UnsupportedOpError(f"segment {number}, {error.subject}", error.what, expected=error.expected,
                                     hint="compile without --integer.") from None  # fmt: skip
        widest = bounds(circuit, self._reach).bit_length()
        largest = max(bounds(circuit, values, spread=False) for values in self._values).bit_length()
        self._circuits[number] = circuit, min(widest, largest + MARGIN_BITS)
        for values in self._values:
            values.update(evaluate(circuit, values))
        self._digits |= {port.name: port.bits or 0 for port in circuit.outputs}
        self._reach |= {port.name: 1 << self._circuits[number][1] for port in circuit.outputs}

    def keeps_digits(self, moves: Sequence[Move]) -> bool:
        """Whether nothing that was entered is put together of values with different digits."""
        return len(scales_of(moves, self._digits)) == len(moves)

    def lowered(
        self, number: int, out: Path, settings: CircuitSettings
    ) -> tuple[Lowered, CircuitSettings, list[tuple[Values, ...]]]:
        """A segment that was entered, as a file, with the cheapest settings that hold its values, and its examples."""
        circuit, range_bits = self._circuits[number]
        try:
            lowered, chosen = settled(circuit, range_bits, out, settings, self._peak_bytes)
        except InfeasibleError as error:
            raise InfeasibleError(f"segment {number}", error.what, expected=error.expected, got=error.got,
                                  hint=error.hint) from None  # fmt: skip
        given = [
            tuple(tuple(int(value) for value in values[port.name].reshape(-1)) for port in circuit.inputs)
            for values in self._values
        ]
        return lowered, chosen, given

    def _start(self, scale: int) -> None:
        """The model's inputs, once."""
        if self._digits:
            return
        self._values = entered(self._package, self._requests, scale)
        for port in self._package.manifest.inputs:
            self._digits[port.tensor] = scale
            largest = max(int(abs(values[port.tensor]).max()) for values in self._values)
            self._reach[port.tensor] = max(1, largest) << MARGIN_BITS


def entered(package: Package, requests: Sequence[Mapping[str, np.ndarray]], scale: int) -> list[dict[str, np.ndarray]]:
    """Each request as the integers that enter the first circuits, by tensor."""
    return [
        {
            port.tensor: np.array(quantize(request[port.tensor], scale, f"input `{port.tensor}`"), object).reshape(
                request[port.tensor].shape
            )
            for port in package.manifest.inputs
        }
        for request in requests
    ]


def settled(
    circuit: Circuit, range_bits: int, out: Path, settings: CircuitSettings, peak_bytes: int | None = None
) -> tuple[Lowered, CircuitSettings]:
    """A circuit as a file, and the cheapest settings that hold its values and a predicted peak.

    Raises:
        InfeasibleError: there are none.
    """
    write_whole(out, circuit.model)
    work = graph_work(api.capture(out, optimize="off"))
    choice = choose_settings(work, range_bits, peak_bytes=peak_bytes).settings
    chosen = replace(
        settings,
        logrows=settings.logrows or choice.logrows,
        columns=choice.columns,
        base=choice.base,
        legs=choice.legs,
        product_checks=choice.product_checks,
    )
    lowered = Lowered(
        path=out,
        input_digits=tuple(port.bits or 0 for port in circuit.inputs),
        output_digits=tuple(port.bits or 0 for port in circuit.outputs),
    )
    return lowered, chosen
