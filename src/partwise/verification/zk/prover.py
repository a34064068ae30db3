"""The prover protocol: makes a segment's keys, computes witnesses, proves them, checks proofs.

Interfaces apart from implementations: linking, manifest and verifier know this file, never a prover. What a proof
says about one tensor at a segment's boundary is a *mark*: the values themselves, or a hash or commitment that
stands for them. Two segments are linked when the marks of the tensor between them are equal.

A step that failed may be asked for again, on another worker or in smaller pieces. A prover that knows better says so:
`ProverRefusedError` ends it at once, `ProverMemoryError` asks for more memory or for less work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from partwise.errors import ProverError
from partwise.strict_json import SharedInt
from partwise.verification.zk.field import Values
from partwise.verification.zk.settings import CircuitSettings

__all__ = ["Boundary", "Circuit", "Finding", "KeyFile", "Mark", "Measured", "OutOfRange", "Prover", "Sizes"]


class OutOfRange(ProverError):
    """A value inside a circuit is larger than it can hold."""

    value: int = 0
    """Its magnitude, in the circuit's integers."""
    reach: int = 1
    """What it must be below."""


Mark = tuple[str, ...]
"""What a proof says of one tensor; compared, never interpreted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Elements of each tensor at a segment's boundary, in the order of its ONNX file."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What a proof says of a segment's tensors, in the order of its ONNX file."""

    inputs: tuple[Mark, ...]
    outputs: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A proof judged: refused with a reason, or what it says."""

    boundary: Boundary | None
    refused: str = ""
    promise: str = ""
    """What this prover's proofs leave to trust, beyond what a proof of this kind is taken for; noted in the verdict."""
    doubt: str = ""
    """Why a proof that holds shows too little to accept anything; empty where it shows all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A file that the verifier needs, by name and content."""

    name: str
    digest: str
    size: SharedInt
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a step took."""

    seconds: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A segment made provable; its files lie in one folder."""

    settings: CircuitSettings
    """As used: nothing is left open."""
    keys: tuple[KeyFile, ...]
    """What the verifier needs; pinned by the manifest."""
    private: tuple[KeyFile, ...]
    """What only the prover needs."""
    input_scales: tuple[int, ...]
    output_scales: tuple[int, ...]
    rows: int
    """Used of the circuit, over all columns and blocks."""
    common: str | None = None
    """Digest of what all segments share (ezkl: the SRS); None where there is no such thing."""
    measured: Measured


class Prover(Protocol):
    """Proves that a segment's outputs follow from its inputs."""

    @property
    def name(self) -> str:
        """A key of the table of provers."""
        ...

    @property
    def version(self) -> str:
        """Keys of one version are not used with another."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """What `make_prover` takes to make the same prover in another process."""
        ...

    def setup(
        self,
        segment: Path,
        settings: CircuitSettings,
        examples: Sequence[tuple[Values, ...]],
        folder: Path,
        subject: str,
    ) -> Circuit:
        """Make a segment's circuit and keys.

        Args:
            segment: the ONNX file, weights included.
            settings: of the circuit.
            examples: inputs to size lookups by: for each the segment's input tensors.
            folder: empty; the files are written here.
            subject: what errors are about.

        Raises:
            UnsupportedOpError: an operator that the prover lacks.
            ProverRefusedError: the prover never makes it, for example with these settings.
            ProverError: the prover failed.
        """
        ...

    def witness(
        self, circuit: Circuit, folder: Path, inputs: tuple[Values, ...], out: Path, subject: str
    ) -> tuple[Values, ...]:
        """The segment's outputs, computed as the circuit does; what is needed to prove it is written to `out`.

        Raises:
            OutOfRange: a value inside is larger than the circuit can hold.
            ProverError: the prover failed.
        """
        ...

    def prove(self, circuit: Circuit, folder: Path, witness: Path, out: Path, subject: str) -> Measured:
        """Write a proof of a witness to `out`, in the form that `check` reads.

        Raises:
            ProverRefusedError: the prover never proves it, for example since a file is missing or of another version.
            ProverError: the prover failed.
        """
        ...

    def check(self, keys: Mapping[str, Path], sizes: Sizes, proof: bytes, subject: str) -> Finding:
        """Judge a proof from anywhere against keys that are believed.

        Args:
            keys: the circuit's `KeyFile`s by name, their digests checked by the caller.
            sizes: of the boundary.
            proof: untrusted.
            subject: what errors are about.

        Raises:
            ProverError: the prover itself could not work; a refused proof is a `Finding`.
        """
        ...

    def mark(self, keys: Mapping[str, Path], values: Values, subject: str) -> Mark | None:
        """What a proof under these keys says of a tensor with these values; None if this machine cannot tell.

        Raises:
            ProverError: the prover failed.
        """
        ...
