"""MiniLM's feed-forward block proved, linked and verified: one token, real weights, a verdict from the proofs alone.

    python benchmarks/proving.py minilm-ffn
    python benchmarks/proving_block.py [--memory 512MB] [--digits 10] [--json docs/data/proving_block.json]

The block is one segment, which `compile` divides until each circuit is predicted to keep the limit; then the whole way
of `run`, `prove`, `verify`: every circuit with the planner's settings, every call of the prover a process of its own,
one after the other on both cores. Wall time, CPU-seconds and the highest VmHWM of any process of the prover. The SRS
is self-made.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
from proving_minilm import block, tokens

import partwise
from partwise.dsperse import Layout, compile_slices, prove_run, run_slices, slice_model, verify_sliced_run
from partwise.dsperse.verify import verify_archive
from partwise.profiling.proof import ProofCost, ProofSettings, proof_cost
from partwise.profiling.proof_work import graph_work
from partwise.units import parse_bytes
from partwise.verification.zk import CallLimits, CircuitSettings, make_prover

T = TypeVar("T")
LISTS = ("rows segments setup_peaks prove_peaks setup_cpu prove_cpu predicted_peaks predicted_setup_cpu "
         "predicted_prove_cpu").split()  # fmt: skip
"""Figures by circuit, which are written but not printed."""
MEMORY = 512_000_000
"""Bytes that the proof of one circuit may take: issue "Prove"."""
EXAMPLES = 6
"""Tokens that circuits are sized by; the one that is proved is none of them."""


def answer(model: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


class Clock:
    """What each step took."""

    def __init__(self) -> None:
        self.steps = dict[str, float]()

    def time(self, name: str, call: Callable[[], T]) -> T:
        start = time.monotonic()
        found = call()
        self.steps[f"{name}_wall_s"] = round(time.monotonic() - start, 2)
        print(f"{name:8} {self.steps[f'{name}_wall_s']:8.1f} s", flush=True)
        return found


def prove_block(layer: int = 0, memory: int = MEMORY, digits: int = 10, token: int = 5) -> dict[str, object]:
    """The whole way, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="partwise-block-") as folder:
        return _proved(layer, memory, digits, token, Path(folder))


def _proved(layer: int, memory: int, digits: int, token: int, folder: Path) -> dict[str, object]:
    model, given, load = block(layer), tokens(layer), os.getloadavg()
    (folder / "block.onnx").write_bytes(model.SerializeToString())
    layout, _ = slice_model(folder / "block.onnx", stages=1)
    examples, request = folder / "examples", folder / "request.npz"
    examples.mkdir()
    others = [at for at in np.linspace(0, len(given) - 1, EXAMPLES + 1).astype(int) if at != token][:EXAMPLES]
    for at in others:
        np.savez(examples / f"{at:03}.npz", x=given[at : at + 1])
    np.savez(request, x=given[token : token + 1])
    prover = make_prover("ezkl", insecure=True, limits=CallLimits(threads=os.cpu_count()))
    settings, clock = CircuitSettings(scale=digits, integer=True), Clock()
    compiled = clock.time(
        "compile", lambda: compile_slices(layout, prover, settings, inputs=examples, memory_bytes=memory)
    )
    run = clock.time("witness", lambda: run_slices(layout, prover, request))
    result = clock.time("prove", lambda: prove_run(layout, run.path, prover))
    pin = compiled.manifest.digest
    found = clock.time("verify", lambda: verify_sliced_run(layout, run.path, prover, manifest=pin, inputs=request))
    real = answer(model.SerializeToString(), given[token : token + 1])
    claim = next(iter(run.outputs.values()))
    made = [compiled.compiled[number].circuit for number in range(len(compiled.manifest.segments))]
    executions = [segment.proof_execution for segment in result.segments if segment.proof_execution]
    return {
        "layer": layer,
        "memory_bytes": memory,
        "segments": [[wire.tensor for wire in segment.outputs] for segment in compiled.manifest.segments],
        "digits": digits,
        "verdict": str(found.verdict.outcome),
        "reason": found.verdict.reason,
        "forged": forged(run.path, prover, pin, request),
        "edges": found.edges,
        "error": float(np.abs(np.asarray(claim, np.float64) - real).max()),
        "largest": float(np.abs(real).max()),
        **clock.steps,
        "setup_cpu_s": round(sum(circuit.measured.cpu_s for circuit in made), 1),
        "prove_cpu_s": round(sum(done.cpu_s for done in executions), 1),
        "load_before": [round(each, 2) for each in load],
        "load_after": [round(each, 2) for each in os.getloadavg()],
        "peak_bytes": max([c.measured.peak_bytes for c in made] + [done.peak_bytes for done in executions]),
        "proof_bytes": sum(done.proof_bytes for done in executions),
        "proving_key_bytes": sum(key.size for circuit in made for key in circuit.private if key.name == "pk.key"),
        **predicted(layout, [circuit.settings for circuit in made]),
        "setup_peaks": [c.measured.peak_bytes for c in made],
        "prove_peaks": [done.peak_bytes for done in executions],
        "setup_cpu": [round(c.measured.cpu_s, 2) for c in made],
        "prove_cpu": [round(done.cpu_s, 2) for done in executions],
        "settings": sorted({(c.settings.logrows, c.settings.columns, c.settings.base, c.settings.legs) for c in made}),
        "rows": [circuit.rows for circuit in made],
    }


def predicted(layout: Layout, chosen: list[CircuitSettings]) -> dict[str, object]:
    """What the planner said of the circuits, beside what was measured."""
    costs = list[ProofCost]()
    for number, used in enumerate(chosen):
        graph = partwise.capture(layout.onnx(number).with_name("circuit.onnx"), optimize="off")
        settings = ProofSettings(
            logrows=used.logrows or 0,
            columns=used.columns,
            base=used.base,
            legs=used.legs,
            product_checks=used.product_checks,
        )
        costs.append(proof_cost(graph_work(graph), settings))
    return {
        "predicted_peaks": [round(cost.peak_bytes) for cost in costs],
        "predicted_setup_cpu": [round(cost.setup_s, 2) for cost in costs],
        "predicted_prove_cpu": [round(cost.prove_s, 2) for cost in costs],
        "predicted_setup_s": round(sum(cost.setup_s for cost in costs), 1),
        "predicted_prove_s": round(sum(cost.prove_s for cost in costs), 1),
        "predicted_peak_bytes": round(max(cost.peak_bytes for cost in costs)),
        "predicted_proving_key_bytes": round(sum(cost.proving_key_bytes for cost in costs)),
    }


def forged(run: Path, prover: partwise.verification.zk.Prover, pin: str, request: Path) -> str:
    """The verdict on an answer with one number changed by the least that its digits allow."""
    claim = json.loads((run / "output.json").read_text())
    name = next(iter(claim))
    changed = np.array(claim[name], np.float64)
    changed.reshape(-1)[7] += 2.0**-12
    path = run / "forged.json"
    path.write_text(json.dumps({name: changed.tolist()}))
    found = verify_archive(run / "proofs.zip", prover, manifest=pin, inputs=request, claim=path)
    return f"{found.verdict.outcome}: {found.verdict.reason}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", type=int, default=0)
    parser.add_argument("--memory", type=parse_bytes, default=MEMORY, help="that a proof of one circuit may take")
    parser.add_argument("--digits", type=int, default=10, help="of the input and the weights after the point")
    parser.add_argument("--token", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = prove_block(options.layer, options.memory, options.digits, options.token)
    print(json.dumps({key: value for key, value in found.items() if key not in LISTS}, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
