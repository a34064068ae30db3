"""The recomputing prover as a program: what `command` runs, and an example of what it asks of any other.

python -m partwise.verification.zk.recompute setup SEGMENT SETTINGS FOLDER
python -m partwise.verification.zk.recompute witness FOLDER INPUTS WITNESS OUTPUTS
python -m partwise.verification.zk.recompute prove FOLDER WITNESS PROOF
python -m partwise.verification.zk.recompute verify KEYS SIZES PROOF FINDING
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from partwise.errors import InputError, PartwiseError, ProverRefusedError
from partwise.strict_json import json_record
from partwise.verification.zk.field import element, number
from partwise.verification.zk.prover import Circuit, Measured, Sizes
from partwise.verification.zk.recompute.prover import RecomputeProver
from partwise.verification.zk.settings import CircuitSettings

T = TypeVar("T")
_PROVER = RecomputeProver()
_UNUSED = Circuit(
    settings=CircuitSettings(),
    keys=(),
    private=(),
    input_scales=(),
    output_scales=(),
    rows=0,
    measured=Measured(seconds=0, cpu_s=0, peak_bytes=0),
)
"""The prover's own files say all that it needs."""


def _setup(segment: Path, settings: Path, folder: Path) -> None:
    wanted = _given(settings, CircuitSettings)
    made = _PROVER.setup(segment, wanted, (), folder, segment.name)
    said = {
        "settings": msgspec.to_builtins(made.settings),
        "keys": [key.name for key in made.keys],
        "private": [key.name for key in made.private],
        "input_scales": made.input_scales,
        "output_scales": made.output_scales,
        "rows": made.rows,
    }
    (folder / "circuit.json").write_bytes(msgspec.json.encode(said))


def _witness(folder: Path, inputs: Path, witness: Path, outputs: Path) -> None:
    given = _given(inputs, tuple[tuple[str, ...], ...])
    tensors = tuple(tuple(number(text) for text in tensor) for tensor in given)
    made = _PROVER.witness(_UNUSED, folder, tensors, witness, folder.name)
    outputs.write_bytes(msgspec.json.encode([[element(value) for value in tensor] for tensor in made]))


def _prove(folder: Path, witness: Path, proof: Path) -> None:
    _PROVER.prove(_UNUSED, folder, witness, proof, folder.name)


def _verify(keys: Path, sizes: Path, proof: Path, finding: Path) -> None:
    stated = _given(sizes, Sizes)
    known = {path.name: path for path in keys.iterdir()}
    found = _PROVER.check(known, stated, proof.read_bytes(), "proof")
    said: dict[str, object] = {"refused": found.refused, "promise": found.promise, "doubt": found.doubt}
    if found.boundary is not None:
        said |= {"inputs": found.boundary.inputs, "outputs": found.boundary.outputs}
    finding.write_bytes(msgspec.json.encode(said))


def _given(path: Path, kind: type[T]) -> T:
    return json_record(path.read_bytes(), kind, path.name, what="is nothing that this step takes")


_STEPS: dict[str, Callable[..., None]] = {"setup": _setup, "witness": _witness, "prove": _prove, "verify": _verify}


def main() -> None:
    """Run one step."""
    if len(sys.argv) < 2 or sys.argv[1] not in _STEPS:
        sys.exit(__doc__)
    try:
        _STEPS[sys.argv[1]](*map(Path, sys.argv[2:]))
    except PartwiseError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(InputError.exit_code if isinstance(error, ProverRefusedError) else error.exit_code)


if __name__ == "__main__":
    main()
