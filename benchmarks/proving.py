"""What proving costs: rewritten circuits against the usual recipe, in the same run, through ezkl.

    python benchmarks/proving.py mlp lenet-mini [--plans usual,whole] [--json docs/data/proving.json]
    python benchmarks/proving.py lenet5 --plans "3 segments,conv1 in 3"    # the usual recipe takes gigabytes of it
    python benchmarks/proving.py minilm-ffn       # a whole block, linked and verified: proving_block.py

The usual recipe: a slice before each node with weights, each calibrated and proved with the prover's defaults; once
with the scale that calibration chooses, once held at the prover's default scale of 7. CPU-seconds of settings, setup,
proof (with its witness) and verification on one thread, and the highest VmHWM of any of these children; calibration,
which only the usual recipe needs, is noted apart and counted nowhere. The settings of every other circuit are the
planner's choice (`profiling.proof_choice`); its digits are as few as keep the error within --max-error (0.01, about
the usual recipe's at scale 7), and, in a second row of each plan, within the calibrated recipe's own error. Every
circuit's outputs are compared with exact big integers; errors are against onnxruntime, on the same 16 inputs for all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from proving_block import prove_block
from proving_chain import RECIPES, Chain, fewest_digits, lowered, real_outputs, run
from proving_job import Job, Measured, field_elements, field_integers, measure, srs
from proving_models import MODELS, per_weighted_layer

import partwise
from partwise.profiling.proof_choice import ProofChoice, choose_settings
from partwise.profiling.proof_work import graph_work
from partwise.verification.zk.circuits import Circuit

CACHE = Path.home() / ".cache" / "partwise" / "test-srs"
BLOCK, USUAL, USUAL_AT_7 = "minilm-ffn", "usual", "usual at scale 7"
STEPS = ("settings", "setup", "prove", "verify")
SAMPLES = 16
Row = dict[str, Any]


class Comparison:
    """One model: its inputs, what onnxruntime makes of them, and the rows measured so far."""

    def __init__(self, name: str, most: float, folder: Path) -> None:
        self.name, self.model, self._most, self._folder = name, MODELS[name](), most, folder
        shape = [dim.dim_value for dim in self.model.graph.input[0].type.tensor_type.shape.dim]
        self._samples = np.random.default_rng(1).random((SAMPLES, *shape), np.float32)
        self._true = np.array([run(self.model, x).ravel() for x in self._samples])

    def rows(self, plans: list[str]) -> Iterator[Row]:
        """Each plan, then each once more at the usual recipe's accuracy where that was measured."""
        limits = {False: self._most}
        for plan in plans:
            if plan in (USUAL, USUAL_AT_7):
                yield (found := self._usual(plan))
                limits |= {True: float(found["error"])} if plan == USUAL else {}
        for as_accurate, most in limits.items():
            digits = fewest_digits(self.model, self._samples, most)
            for plan in plans:
                if recipe := RECIPES[self.name].get(plan):
                    found = self._tuned(plan, lowered(self.model, recipe, self._samples, digits))
                    yield found | {"as_accurate": as_accurate, "digits": digits}

    def _usual(self, plan: str) -> Row:
        """A slice per weighted layer; each is given the floats of the one before's witness, of every input."""
        found, values = list[Measured](), list(self._samples)
        job = Job(arguments={}, calibrate=True, scales=(7,) if plan == USUAL_AT_7 else (), srs=str(srs(CACHE, 15)))
        for number, piece in enumerate(per_weighted_layer(self.model)):
            first, *more = [[value.ravel().tolist()] for value in values]
            folder = self._folder / f"usual_{number}"
            found.append(measure(folder, piece.SerializeToString(), first, job, more))
            shutil.rmtree(folder)
            shape = run(piece, values[0]).shape
            outputs = [found[-1].real_outputs, *found[-1].more_outputs]
            values = [np.array(given[0], np.float32).reshape(shape) for given in outputs]
        return self._row(plan, found, np.array([value.ravel() for value in values]))

    def _tuned(self, plan: str, chain: Chain) -> Row:
        """Segments proved, each given the integers of the ones before."""
        found, choices = list[Measured](), list[ProofChoice]()
        for number, (circuit, range_bits) in enumerate(zip(chain.circuits, chain.ranges, strict=True)):
            choices.append(chosen(circuit, range_bits))
            found.append(self._prove(number, circuit, choices[-1], chain))
        return self._row(plan, found, real_outputs(self.model, chain)) | predictions(choices, found)

    def _prove(self, number: int, circuit: Circuit, choice: ProofChoice, chain: Chain) -> Measured:
        settings, folder = choice.settings, self._folder / f"tuned_{number}"
        arguments = {"input_scale": 0, "param_scale": 0, "logrows": settings.logrows}
        arguments |= {"num_inner_cols": settings.columns, "decomp_base": settings.base, "decomp_legs": settings.legs}
        arguments["disable_freivalds"] = not settings.product_checks
        job = Job(arguments=arguments, srs=str(srs(CACHE, settings.logrows)))
        given = [field_elements(chain.values[0][port.name].ravel()) for port in circuit.inputs]
        found = measure(folder, circuit.model, given, job)
        shutil.rmtree(folder)
        for port, made in zip(circuit.outputs, found.outputs, strict=True):
            if field_integers(made) != chain.values[0][port.name].ravel().tolist():
                raise SystemExit(f"segment {number}: the prover's `{port.name}` is not the exact integers")
        return found

    def _row(self, plan: str, measured: list[Measured], outputs: np.ndarray) -> Row:
        wrong = np.abs(outputs - self._true)
        return {
            "model": self.name,
            "plan": plan,
            "logrows": [m.logrows for m in measured],
            "cpu_s": round(sum(m.cpu for m in measured), 3),
            **{f"{step}_s": round(sum(m.cpu_s[step] for m in measured), 3) for step in STEPS},
            "calibrate_s": round(sum(m.cpu_s.get("calibrate", 0) for m in measured), 3),
            "peak_bytes": max(m.peak for m in measured),
            "calibrate_peak_bytes": max(m.peak_bytes.get("calibrate", 0) for m in measured),
            "proving_key_bytes": sum(m.proving_key_bytes for m in measured),
            "proof_bytes": sum(m.proof_bytes for m in measured),
            "error": float(wrong.max()),
            "mean_error": float(wrong.mean()),
            "largest_output": float(np.abs(self._true).max()),
            "same_class": int((outputs.argmax(axis=1) == self._true.argmax(axis=1)).sum()),
            "samples": SAMPLES,
        }


def chosen(circuit: Circuit, range_bits: float) -> ProofChoice:
    """The planner's settings of one circuit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "circuit.onnx"
        path.write_bytes(circuit.model)
        return choose_settings(graph_work(partwise.capture(path, optimize="off")), range_bits)


def predictions(choices: list[ProofChoice], measured: list[Measured]) -> Row:
    """Beside what was measured."""
    return {
        "settings": [
            [c.settings.logrows, c.settings.columns, c.settings.base, c.settings.legs, c.settings.product_checks]
            for c in choices
        ],
        "predicted_prove_s": round(sum(c.cost.prove_s for c in choices), 3),
        "predicted_setup_s": round(sum(c.cost.setup_s for c in choices), 3),
        "predicted_peak_bytes": round(max(c.cost.peak_bytes for c in choices)),
        "predicted_proving_key_bytes": round(sum(c.cost.proving_key_bytes for c in choices)),
        "predicted_assignments": [c.cost.assignments + c.cost.einsum_assignments for c in choices],
        "assignments": [m.assignments + m.einsum_assignments for m in measured],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", choices=[*MODELS, BLOCK])
    parser.add_argument("--plans", help=f"only these of the model's recipes; `{USUAL}`, `{USUAL_AT_7}` for the usual")
    parser.add_argument("--max-error", type=float, default=0.01, help="of the tuned chains, against onnxruntime")
    parser.add_argument("--json", type=Path, help="rows of other models that it holds are kept")
    options = parser.parse_args()
    known = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    rows = [row for row in known if row["model"] not in options.models]
    for name in options.models:
        if name == BLOCK:
            print(json.dumps(prove_block(), indent=1), flush=True)
            continue
        plans = options.plans.split(",") if options.plans else [USUAL, USUAL_AT_7, *RECIPES[name]]
        with tempfile.TemporaryDirectory(prefix="partwise-proving-") as folder:
            for row in Comparison(name, options.max_error, Path(folder)).rows(plans):
                rows.append(row)
                show(row, rows)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1) + "\n")


def show(shown: Row, rows: list[Row]) -> None:
    base = next((r for r in rows if r["model"] == shown["model"] and r["plan"] == USUAL), None)
    ratios = "" if base is None else "  " + " ".join(f"{shown[f] / base[f]:.3f}" for f in ("cpu_s", "peak_bytes"))
    more = (
        f", digits {list(shown['digits'].values())}  {shown['settings']}, predicted {shown['predicted_prove_s']}"
        f" of {shown['prove_s']} s"
        if "digits" in shown
        else ""
    )
    print(
        f"{shown['model']:10} {shown['plan']:24} {shown['cpu_s']:8.2f} s {shown['peak_bytes'] / 1e6:6.0f} MB{ratios}"
        f"  error {shown['error']:.2g}{more}"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
