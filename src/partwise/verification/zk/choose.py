"""Settings for a chain of segments in integer mode: digits, ranges, and the planner's choice for each circuit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions
from partwise.profiling import ProofChoice, choose_settings, graph_work
from partwise.verification.zk.circuits import Circuit, bounds
from partwise.verification.zk.circuits.lower import input_names
from partwise.verification.zk.integer_prover import draw
from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = ["choose_chain", "circuit_choice"]


def choose_chain(
    segments: Sequence[bytes],
    *,
    bits: int = 7,
    largest_input: float = 1.0,
    peak_bytes: int | None = None,
    most_logrows: int | None = None,
    visibility: Visibility = Visibility.PUBLIC,
) -> tuple[CircuitSettings, ...]:
    """Settings under which each segment takes its inputs at the scales at which they leave the segments before.

    No value of any request between ±largest_input leaves its circuit's range: by interval arithmetic through the
    whole chain.

    Args:
        segments: ONNX, weights included, in order; a value has one name throughout.
        bits: binary digits of inputs and weights after the point.
        largest_input: greatest magnitude of the model's inputs.
        peak_bytes: that a prover's process may take.
        most_logrows: that the reference string serves.
        visibility: of the boundaries.

    Raises:
        UnsupportedOpError: an operator that integers cannot compute exactly.
        InfeasibleError: a circuit that does not keep the limits; it says what would.
    """
    scales, reach, found = dict[str, int](), dict[str, int](), list[CircuitSettings]()
    for segment in segments:
        names = input_names(segment)
        asked = CircuitSettings(
            scale=bits,
            weight_bits=bits,
            input_scales=tuple(scales.get(name, bits) for name in names),
            visibility=visibility,
        )
        drawn = draw(segment, asked)
        largest = {name: reach.get(name, int(largest_input * 2**bits) + 1) for name in names}
        most = bounds(drawn, largest)
        choice = circuit_choice(drawn, most.bit_length() + 1, peak_bytes=peak_bytes, most_logrows=most_logrows)
        found.append(_settled(asked, choice))
        scales |= {port.name: port.bits or 0 for port in drawn.outputs}
        reach |= {port.name: most for port in drawn.outputs}
    return tuple(found)


def circuit_choice(
    circuit: Circuit, range_bits: int, *, peak_bytes: int | None = None, most_logrows: int | None = None
) -> ProofChoice:
    """The planner's settings of one circuit, whose nodes are counted as they are drawn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "circuit.onnx"
        path.write_bytes(circuit.model)
        work = graph_work(open_model(path, CaptureOptions(optimize="off")).capture())
    return choose_settings(work, range_bits, peak_bytes=peak_bytes, most_logrows=most_logrows)


def _settled(asked: CircuitSettings, choice: ProofChoice) -> CircuitSettings:
    chosen = choice.settings
    return CircuitSettings(
        scale=asked.scale,
        weight_bits=asked.weight_bits,
        input_scales=asked.input_scales,
        visibility=asked.visibility,
        logrows=chosen.logrows,
        columns=chosen.columns,
        base=chosen.base,
        legs=chosen.legs,
        checks_products=chosen.checks_products,
    )
