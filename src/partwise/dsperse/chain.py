"""A sliced model's segments on values: floats by onnxruntime, and the fixed-point chain that circuits compute.

Between two circuits the field elements themselves are handed on, never floats: that is what makes edges comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from partwise.cutting.onnx_sealed import sealed_onnx
from partwise.dsperse.ranges import out_of_range
from partwise.errors import InputError
from partwise.packaging import Package, Port
from partwise.packaging.arrays import numpy_dtype
from partwise.runtime.engines import make_engine
from partwise.runtime.engines.engine import LoadedSegment
from partwise.verification.zk.field import Values, dequantize, quantize
from partwise.verification.zk.moves import Move, carried, moves_of, scales_of
from partwise.verification.zk.prover import Circuit, OutOfRange

__all__ = ["Chain", "Step", "fixed_shape", "largest_difference"]

Tensors = dict[str, np.ndarray]
Witness = Callable[[tuple[Values, ...]], tuple[Values, ...]]
"""Runs a segment's circuit on its inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one segment did."""

    inputs: Tensors
    outputs: Tensors
    error: float | None
    """Largest absolute difference from onnxruntime on the same inputs; None where it ran by onnxruntime, or moved."""
    method: str = "onnxruntime"
    """By whom, where it has no circuit; `moved` where nothing was computed."""


class Chain:
    """Segments run one after the other, twice: as floats throughout, and with circuits where there are some."""

    def __init__(self, package: Package, request: Mapping[str, np.ndarray]) -> None:
        self._package, self._engine = package, make_engine(package.manifest.engine, 1)
        self._floats = {port.tensor: _cast(request, port) for port in package.manifest.inputs}
        self._values = dict(self._floats)
        self._fixed = dict[str, tuple[Values, int]]()

    def plain_inputs(self, number: int) -> Tensors:
        """A segment's inputs on the float chain; all segments before it must have run."""
        return {port.tensor: self._floats[port.tensor] for port in self._package.manifest.segments[number].inputs}

    def run(self, number: int, circuit: Circuit | None = None, witness: Witness | None = None) -> Step:
        """Run the next segment.

        Args:
            number: of the segment.
            circuit: its circuit; None runs it plainly.
            witness: runs the circuit.

        Raises:
            InputError: a value is out of the circuit's range; it names the tensor and how far.
        """
        entry = self._package.manifest.segments[number]
        loaded = self._engine.load(self._package.segment(number))
        self._floats |= loaded.run(self.plain_inputs(number), {})
        inputs = {port.tensor: self._values[port.tensor] for port in entry.inputs}
        if moves := moves_of(sealed_onnx(self._package.segment(number))) if circuit is None else ():
            outputs, error = self._move(moves, inputs), None
        elif circuit is None or witness is None:
            outputs, error = loaded.run({port.tensor: _cast(inputs, port) for port in entry.inputs}, {}), None
            for port in entry.outputs:
                self._fixed.pop(port.tensor, None)
        else:
            outputs, error = self._run_circuit(number, circuit, witness, loaded, inputs)
        self._values |= outputs
        return Step(inputs=inputs, outputs=outputs, error=error, method="moved" if moves else "onnxruntime")

    def request(self, tensor: str) -> np.ndarray:
        """An input of the model, in its type."""
        return self._floats[tensor]

    def outputs(self) -> Tensors:
        """The model's outputs by name: of circuits as float64, exactly; of plain segments in the model's type."""
        return {output.name: self._values[output.tensor] for output in self._package.manifest.outputs}

    def errors(self) -> dict[str, float]:
        """By output: how far the chain is from the float chain."""
        manifest = self._package.manifest
        return {o.name: largest_difference(self._values[o.tensor], self._floats[o.tensor]) for o in manifest.outputs}

    def _move(self, moves: Sequence[Move], inputs: Tensors) -> Tensors:
        """Parts taken and put together: field elements stay what they are."""
        known = {name: self._fixed[name] for name in inputs if name in self._fixed}
        arrays = {name: np.array(values, object).reshape(inputs[name].shape) for name, (values, _) in known.items()}
        scales = scales_of(moves, {name: scale for name, (_, scale) in known.items()})
        for name, array in carried(moves, arrays).items():
            if name in scales:
                self._fixed[name] = tuple(array.reshape(-1).tolist()), scales[name]
        return carried(moves, inputs)

    def _run_circuit(
        self, number: int, circuit: Circuit, witness: Witness, loaded: LoadedSegment, inputs: Tensors
    ) -> tuple[Tensors, float]:
        entry = self._package.manifest.segments[number]
        given = tuple(
            self._enter(number, port, scale, circuit)
            for port, scale in zip(entry.inputs, circuit.input_scales, strict=True)
        )
        floats = {port.tensor: _cast(inputs, port) for port in entry.inputs}
        try:
            found = witness(given)
        except OutOfRange as error:
            used = circuit.settings
            raise out_of_range(error, self._package.segment(number), floats, used.scale, integer=used.integer) from None
        outputs = Tensors()
        for port, scale, values in zip(entry.outputs, circuit.output_scales, found, strict=True):
            self._fixed[port.tensor] = values, scale
            outputs[port.tensor] = dequantize(values, scale, fixed_shape(port))
        plain = loaded.run(floats, {})
        return outputs, max(largest_difference(outputs[name], plain[name]) for name in outputs)

    def _enter(self, number: int, port: Port, scale: int, circuit: Circuit) -> Values:
        """One input in field elements: as they left the circuit before, or quantized here."""
        known = self._fixed.get(port.tensor)
        subject = f"segment {number}, `{port.tensor}`"
        if known is not None and known[1] != scale:
            raise InputError(subject, "comes at another scale than its circuit takes", expected=scale, got=known[1])
        values = known[0] if known is not None else quantize(self._values[port.tensor], scale, subject)
        reach = circuit.settings.base**circuit.settings.legs
        if (worst := max(map(abs, values))) >= reach:
            raise InputError(subject, "holds a value outside the range of its circuit",
                             expected=f"below {reach} / 2^{scale}",
                             got=f"{worst / 2.0**scale:.6g}, {worst / reach:.3g} times as far",
                             hint="more --legs, a larger --base or a smaller --scale, and compile again.")  # fmt: skip
        return values


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest absolute difference."""
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max())


def fixed_shape(port: Port) -> tuple[int, ...]:
    """A port's shape.

    Raises:
        InputError: it is not fixed.
    """
    shape = tuple(size for size in port.shape or () if isinstance(size, int))
    if port.shape is None or len(shape) != len(port.shape):
        raise InputError(
            f"`{port.tensor}`", "has a dynamic shape; a circuit has a fixed one", hint="slice with --batch 1."
        )
    return shape


def _cast(values: Mapping[str, np.ndarray], port: Port) -> np.ndarray:
    return np.ascontiguousarray(values[port.tensor].astype(numpy_dtype(port.dtype), copy=False))
