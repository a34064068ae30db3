"""What a proof takes of a worker, before it is made."""

from __future__ import annotations

from pathlib import Path

from partwise import api
from partwise.profiling.proof import ProofSettings, proof_cost
from partwise.profiling.proof_work import graph_work
from partwise.verification.zk.prover import Circuit, Prover

__all__ = ["proof_bytes"]


def proof_bytes(prover: Prover, circuit: Circuit, folder: Path) -> int:
    """Memory of proving a segment or a piece [bytes]: predicted where the prover's cost is known, elsewhere what making
    the keys took.

    Args:
        prover: of the circuit.
        circuit: of the segment.
        folder: of the segment in the slices; its ONNX file has the folder's name.
    """
    if prover.name != "ezkl":
        return circuit.measured.peak_bytes
    used = circuit.settings
    model = folder / ("circuit.onnx" if used.integer else f"{folder.name}.onnx")
    work = graph_work(api.capture(model, optimize="off"), integer=used.integer)
    settings = ProofSettings(
        logrows=used.logrows or 1,
        columns=used.columns,
        base=used.base,
        legs=used.legs,
        product_checks=used.product_checks,
    )
    return int(proof_cost(work, settings).peak_bytes)
