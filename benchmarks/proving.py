"""What proving costs: rewritten circuits against the usual recipe, in the same run, through ezkl.

    python benchmarks/proving.py mlp lenet-mini [--plans whole,segments] [--json docs/data/proving.json]

The usual recipe: a slice before each node with weights, each calibrated and proved with the prover's defaults.
CPU-seconds (setup, witness, proof, verification; calibration of the usual recipe not counted) and the highest VmHWM
of any child. Every circuit's outputs are compared with exact big integers, every chain with onnxruntime.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from proving_job import Job, Measured, field_elements, field_integers, measure, srs
from proving_models import MODELS, per_weighted_layer, slices

from partwise.verification.zk.circuits import evaluate, lower

CACHE = Path.home() / ".cache" / "partwise" / "test-srs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Settings of one segment: k, columns, base, legs."""

    logrows: int
    columns: int
    base: int
    legs: int

    def arguments(self) -> dict[str, int]:
        return {
            "input_scale": 0,
            "param_scale": 0,
            "logrows": self.logrows,
            "num_inner_cols": self.columns,
            "decomp_base": self.base,
            "decomp_legs": self.legs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is cut and what each segment's circuit is."""

    cuts: tuple[str, ...]
    parts: tuple[Part, ...]
    weight_bits: int = 7


def part(logrows: int, columns: int, base: int, legs: int) -> Part:
    return Part(logrows=logrows, columns=columns, base=base, legs=legs)


RECIPES = {
    "mlp": {
        "whole": Recipe(cuts=(), parts=(part(11, 3, 1024, 4),)),
        "4 segments": Recipe(
            cuts=("fc1_relu", "fc2_relu", "fc3_relu"),
            parts=(part(9, 2, 256, 3), part(9, 2, 256, 4), part(9, 2, 256, 4), part(9, 2, 256, 5)),
        ),
    },
    "lenet-mini": {
        "whole": Recipe(cuts=(), parts=(part(12, 2, 4080, 3),)),
        "3 segments": Recipe(
            cuts=("conv1_pool", "conv2_pool"), parts=(part(11, 2, 1024, 2), part(10, 2, 512, 3), part(10, 2, 512, 4))
        ),
    },
    "lenet5": {
        "3 segments": Recipe(
            cuts=("conv1_pool", "conv2_pool"), parts=(part(12, 2, 1024, 2), part(11, 2, 1024, 3), part(11, 2, 1024, 4))
        ),
    },
}


def usual(model: onnx.ModelProto, x: np.ndarray, folder: Path) -> list[Measured]:
    """A slice per weighted layer, default settings; each slice is given onnxruntime's own values."""
    found, value = list[Measured](), x
    for number, piece in enumerate(per_weighted_layer(model)):
        job = Job(arguments={}, calibrate=True, srs=str(srs(CACHE, 15)))
        found.append(measure(folder / f"usual_{number}", piece.SerializeToString(), [value.ravel().tolist()], job))
        value = run(piece, value)
    return found


def tuned(model: onnx.ModelProto, x: np.ndarray, recipe: Recipe, folder: Path) -> tuple[list[Measured], float]:
    """A recipe's segments, each fed the integers of the one before; the chain's largest difference from floats."""
    found, bits, value = list[Measured](), recipe.weight_bits, np.rint(x * 2**recipe.weight_bits).astype(int)
    for number, (piece, settings) in enumerate(zip(slices(model, recipe.cuts), recipe.parts, strict=True)):
        circuit = lower(piece.SerializeToString(), weight_bits=recipe.weight_bits, input_bits=bits)
        exact = evaluate(circuit, {circuit.inputs[0].name: value})[circuit.outputs[0].name]
        job = Job(arguments=settings.arguments(), srs=str(srs(CACHE, settings.logrows)))
        name = folder / f"tuned_{number}"
        found.append(measure(name, circuit.model, [field_elements(np.asarray(value).ravel())], job))
        if field_integers(found[-1].outputs[0]) != exact.ravel().tolist():
            raise SystemExit(f"{name}: the prover's values are not the exact integers")
        value, bits = exact, circuit.outputs[0].bits
    real = np.array([int(v) / 2**bits for v in value.ravel()])
    return found, float(np.abs(real - run(model, x).ravel()).max())


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def row(name: str, plan: str, measured: list[Measured], error: float | None = None) -> dict[str, object]:
    return {
        "model": name,
        "plan": plan,
        "logrows": [m.logrows for m in measured],
        "cpu_s": round(sum(m.cpu for m in measured), 3),
        "setup_s": round(sum(m.cpu_s["setup"] for m in measured), 3),
        "prove_s": round(sum(m.cpu_s["prove"] for m in measured), 3),
        "peak_bytes": max(m.peak for m in measured),
        "proving_key_bytes": sum(m.proving_key_bytes for m in measured),
        "proof_bytes": sum(m.proof_bytes for m in measured),
        "error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=MODELS)
    parser.add_argument("--plans", help="only these of the model's recipes; `usual` for the usual one")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = list[dict[str, object]]()
    for name in options.models:
        model = MODELS[name]()
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        x = np.random.default_rng(1).random(shape, np.float32)
        wanted = options.plans.split(",") if options.plans else ["usual", *RECIPES[name]]
        for plan in wanted:
            folder = Path(tempfile.mkdtemp(prefix="partwise-proving-"))
            try:
                if plan == "usual":
                    rows.append(row(name, plan, usual(model, x, folder)))
                else:
                    rows.append(row(name, plan, *tuned(model, x, RECIPES[name][plan], folder)))
            finally:
                shutil.rmtree(folder)
            show(rows[-1], rows)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n")


def show(shown: dict[str, object], rows: list[dict[str, object]]) -> None:
    base = next((r for r in rows if r["model"] == shown["model"] and r["plan"] == "usual"), None)
    ratios = "" if base is None else "  " + " ".join(f"{shown[f] / base[f]:.3f}" for f in ("cpu_s", "peak_bytes"))
    error = "" if shown["error"] is None else f"  error {shown['error']:.2g}"
    k = ",".join(map(str, shown["logrows"]))
    peak = shown["peak_bytes"] / 1e6
    print(f"{shown['model']:10} {shown['plan']:14} k={k:12} {shown['cpu_s']:8.2f} s {peak:7.0f} MB{ratios}{error}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
