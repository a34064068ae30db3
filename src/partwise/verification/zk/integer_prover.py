"""Integer mode for any prover of ONNX: the segment is rewritten, proved at scale 0, and linked at its own scales."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from partwise.verification.zk.circuits import Circuit as Drawn
from partwise.verification.zk.circuits import lower
from partwise.verification.zk.circuits.lower import input_names
from partwise.verification.zk.field import Values
from partwise.verification.zk.prover import Circuit, Finding, Mark, Measured, Prover, Sizes
from partwise.verification.zk.settings import CircuitSettings

__all__ = ["IntegerProver", "draw"]


def draw(segment: bytes, settings: CircuitSettings) -> Drawn:
    """A segment's circuit in integer mode, as its settings say."""
    assert settings.weight_bits is not None
    names = input_names(segment)
    scales = settings.input_scales or (settings.scale,) * len(names)
    bits = dict(zip(names, scales, strict=True))
    return lower(segment, weight_bits=settings.weight_bits, input_bits=bits)


@dataclass(frozen=True, slots=True)
class IntegerProver:
    """Another prover, given rewritten segments where their settings ask for it."""

    inner: Prover

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return self.inner.version

    def setup(
        self,
        segment: Path,
        settings: CircuitSettings,
        examples: Sequence[tuple[Values, ...]],
        folder: Path,
        subject: str,
    ) -> Circuit:
        if settings.weight_bits is None:
            return self.inner.setup(segment, settings, examples, folder, subject)
        drawn = draw(segment.read_bytes(), settings)
        with tempfile.TemporaryDirectory() as scratch:
            rewritten = Path(scratch) / "segment.onnx"
            rewritten.write_bytes(drawn.model)
            plain = replace(settings, scale=0, weight_bits=None, input_scales=None)
            made = self.inner.setup(rewritten, plain, examples, folder, subject)
        used = replace(made.settings, weight_bits=settings.weight_bits, input_scales=settings.input_scales)
        return replace(
            made,
            settings=used,
            input_scales=tuple(port.bits or 0 for port in drawn.inputs),
            output_scales=tuple(port.bits or 0 for port in drawn.outputs),
        )

    def witness(
        self, circuit: Circuit, folder: Path, inputs: tuple[Values, ...], out: Path, subject: str
    ) -> tuple[Values, ...]:
        return self.inner.witness(circuit, folder, inputs, out, subject)

    def prove(self, circuit: Circuit, folder: Path, witness: Path, out: Path, subject: str) -> Measured:
        return self.inner.prove(circuit, folder, witness, out, subject)

    def check(self, keys: Mapping[str, Path], sizes: Sizes, proof: bytes, subject: str) -> Finding:
        return self.inner.check(keys, sizes, proof, subject)

    def mark(self, keys: Mapping[str, Path], values: Values, subject: str) -> Mark | None:
        return self.inner.mark(keys, values, subject)
