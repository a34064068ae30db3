"""What proving costs: rewritten circuits against the usual recipe, in the same run, through ezkl.

    python benchmarks/proving.py mlp lenet-mini [--plans usual,whole] [--json docs/data/proving.json]
    python benchmarks/proving.py minilm-ffn       # a whole block, linked and verified: proving_block.py

The usual recipe: a slice before each node with weights, each calibrated and proved with the prover's defaults.
CPU-seconds (settings, setup, witness, proof, verification on one thread; calibration, which only the usual recipe
needs, is left out) and the highest VmHWM of any child. The settings of every other circuit are the planner's choice
(`profiling.proof_choice`); its digits are as few as keep the error within --max-error (0.01, about the prover's own at
its default scale of 7). Every circuit's outputs are compared with exact big integers, every chain with onnxruntime.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from math import ceil, log2
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from proving_block import prove_block
from proving_job import Job, Measured, field_elements, field_integers, measure, srs
from proving_models import MODELS, per_weighted_layer, segments

import partwise
from partwise.profiling.proof_choice import ProofChoice, choose_settings
from partwise.profiling.proof_work import graph_work
from partwise.verification.zk.circuits import Circuit, bounds, evaluate, lower
from partwise.verification.zk.circuits.split import split_operator

CACHE = Path.home() / ".cache" / "partwise" / "test-srs"
Digits = dict[str, int]
"""Binary digits after the point of the input `x` and of the weights of each node."""
BLOCK = "minilm-ffn"
SAMPLES = 16
MARGIN_BITS = 2
"""By which a value may exceed the greatest of the samples; beyond that the witness fails."""
MOST_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is cut."""

    splits: tuple[tuple[str, int], ...] = ()
    """Operators and in how many parts each."""
    cuts: tuple[tuple[str, ...], ...] = ()
    """What each segment but the last makes."""


RECIPES = {
    "mlp": {
        "whole": Recipe(),
        "2 segments": Recipe(cuts=(("fc2_relu",),)),
        "4 segments": Recipe(cuts=(("fc1_relu",), ("fc2_relu",), ("fc3_relu",))),
        "7 segments": Recipe(
            splits=(("fc1", 2), ("fc2", 2), ("fc3", 2)),
            cuts=tuple((f"fc{n}_relu/{half}",) for n in (1, 2, 3) for half in (0, 1)),
        ),
    },
    "lenet-mini": {
        "whole": Recipe(),
        "3 segments": Recipe(cuts=(("conv1_pool",), ("conv2_pool",))),
        "2 segments": Recipe(cuts=(("conv1_pool",),)),
        "fc apart": Recipe(cuts=(("conv2_pool",),)),
        "half of conv1 apart": Recipe(splits=(("conv1", 2),), cuts=(("conv1_pool/0",),)),
        "half of conv1 and fc apart": Recipe(splits=(("conv1", 2),), cuts=(("conv1_pool/0",), ("conv2_pool",))),
    },
    "lenet5": {
        "3 segments": Recipe(cuts=(("conv1_pool",), ("conv2_pool",))),
        "conv1 in 3": Recipe(
            splits=(("conv1", 3),), cuts=(("conv1_pool/0",), ("conv1_pool/1",), ("conv1_pool/2",), ("conv2_pool",))
        ),
    },
}


@dataclass(slots=True, kw_only=True)
class Chain:
    """Segments lowered, and the exact integers of every sample on the way through."""

    circuits: list[Circuit] = field(default_factory=list[Circuit])
    ranges: list[float] = field(default_factory=list[float])
    """Binary logarithms of what no value reaches."""
    values: list[dict[str, np.ndarray]]
    bits: dict[str, int]


def lowered(model: onnx.ModelProto, recipe: Recipe, samples: np.ndarray, digits: Digits) -> Chain:
    """Every segment as a circuit, with the range of its values: by interval arithmetic for requests between -1 and 1,
    or of the samples with a margin, whichever is less."""
    data = model.SerializeToString()
    for node, parts in recipe.splits:
        data = split_operator(data, node, parts)
    given = [{"x": np.rint(x * 2 ** digits["x"]).astype(int)} for x in samples]
    chain = Chain(values=given, bits={"x": digits["x"]})
    reach = {"x": 2 ** digits["x"]}
    for piece in segments(onnx.shape_inference.infer_shapes(onnx.load_from_string(data)), recipe.cuts):
        of_parts = {
            node.name: digits[node.name.partition("/")[0]] for node in piece.graph.node if _weighs(node, digits)
        }
        circuit = lower(piece.SerializeToString(), weight_bits=of_parts, input_bits=chain.bits)
        chain.circuits.append(circuit)
        widest = bounds(circuit, reach)
        largest = max(bounds(circuit, sample, spread=False) for sample in chain.values)
        chain.ranges.append(log2(min(widest, largest << MARGIN_BITS) + 1))
        for sample in chain.values:
            sample.update(evaluate(circuit, sample))
        chain.bits.update({port.name: port.bits for port in circuit.outputs})
        reach.update({port.name: ceil(2 ** chain.ranges[-1]) for port in circuit.outputs})
    return chain


def _weighs(node: onnx.NodeProto, digits: Digits) -> bool:
    return node.name.partition("/")[0] in digits


def fewest_digits(model: onnx.ModelProto, samples: np.ndarray, most: float) -> Digits:
    """Digits of the input and of each weight: one number for all that keeps the error, then less wherever it still
    does, the last layers first, since their digits are on top of all others."""
    held = {tensor.name for tensor in model.graph.initializer}
    names = ["x", *(node.name for node in model.graph.node if held & set(node.input))]

    def keeps(digits: Digits) -> bool:
        return error(model, lowered(model, Recipe(), samples, digits), samples) <= most

    start = next(n for n in range(3, MOST_DIGITS + 1) if n == MOST_DIGITS or keeps(dict.fromkeys(names, n)))
    digits = dict.fromkeys(names, start)
    for name in reversed(names):
        while digits[name] > 2 and keeps(digits | {name: digits[name] - 1}):
            digits[name] -= 1
    return digits


def error(model: onnx.ModelProto, chain: Chain, samples: np.ndarray) -> float:
    """The largest difference of the chain's outputs from onnxruntime's."""
    name = model.graph.output[0].name
    real = [np.array([int(v) / 2 ** chain.bits[name] for v in sample[name].ravel()]) for sample in chain.values]
    return max(float(np.abs(r - run(model, x).ravel()).max()) for r, x in zip(real, samples, strict=True))


def chosen(circuit: Circuit, range_bits: float) -> ProofChoice:
    """The planner's settings of one circuit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "circuit.onnx"
        path.write_bytes(circuit.model)
        return choose_settings(graph_work(partwise.capture(path, optimize="off")), range_bits)


def tuned(model: onnx.ModelProto, samples: np.ndarray, recipe: Recipe, most: float, folder: Path):
    """A recipe's segments proved, each given the integers of the ones before.

    Returns:
        What was measured, what was predicted, the error and the digits.
    """
    digits = fewest_digits(model, samples, most)
    chain = lowered(model, recipe, samples, digits)
    found, predicted = list[Measured](), list[ProofChoice]()
    for number, (circuit, range_bits) in enumerate(zip(chain.circuits, chain.ranges, strict=True)):
        choice = chosen(circuit, range_bits)
        settings = choice.settings
        arguments = {"input_scale": 0, "param_scale": 0, "logrows": settings.logrows}
        arguments |= {"num_inner_cols": settings.columns, "decomp_base": settings.base, "decomp_legs": settings.legs}
        arguments["disable_freivalds"] = not settings.product_checks
        job = Job(arguments=arguments, srs=str(srs(CACHE, settings.logrows)))
        given = [field_elements(chain.values[0][port.name].ravel()) for port in circuit.inputs]
        found.append(measure(folder / f"tuned_{number}", circuit.model, given, job))
        predicted.append(choice)
        for port, made in zip(circuit.outputs, found[-1].outputs, strict=True):
            if field_integers(made) != chain.values[0][port.name].ravel().tolist():
                raise SystemExit(f"segment {number}: the prover's `{port.name}` is not the exact integers")
    return found, predicted, error(model, chain, samples), digits


def usual(model: onnx.ModelProto, x: np.ndarray, folder: Path) -> tuple[list[Measured], float]:
    """A slice per weighted layer, default settings; each slice is given the floats of the one before's witness."""
    found, value = list[Measured](), x
    for number, piece in enumerate(per_weighted_layer(model)):
        job = Job(arguments={}, calibrate=True, srs=str(srs(CACHE, 15)))
        found.append(measure(folder / f"usual_{number}", piece.SerializeToString(), [value.ravel().tolist()], job))
        shape = run(piece, value).shape
        value = np.array(found[-1].real_outputs[0], np.float32).reshape(shape)
    return found, float(np.abs(value - run(model, x)).max())


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = model.graph.input[0]
    shape = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
    return session.run(None, {given.name: x.reshape(shape)})[0]


def row(
    name: str, plan: str, measured: list[Measured], difference: float, more: dict[str, object]
) -> dict[str, object]:
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
        "error": difference,
        **more,
    }


def predictions(choices: list[ProofChoice], measured: list[Measured]) -> dict[str, object]:
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
    parser.add_argument("--plans", help="only these of the model's recipes; `usual` for the usual one")
    parser.add_argument("--max-error", type=float, default=0.01, help="of the tuned chains, against onnxruntime")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = list[dict[str, object]]()
    for name in options.models:
        if name == BLOCK:
            print(json.dumps(prove_block(), indent=1), flush=True)
            continue
        model = MODELS[name]()
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        samples = np.random.default_rng(1).random((SAMPLES, *shape), np.float32)
        most = options.max_error
        for plan in options.plans.split(",") if options.plans else ["usual", *RECIPES[name]]:
            folder = Path(tempfile.mkdtemp(prefix="partwise-proving-"))
            try:
                if plan == "usual":
                    measured, difference = usual(model, samples[0], folder)
                    rows.append(row(name, plan, measured, difference, {}))
                else:
                    measured, choices, difference, digits = tuned(model, samples, RECIPES[name][plan], most, folder)
                    more = {"digits": digits, **predictions(choices, measured)}
                    rows.append(row(name, plan, measured, difference, more))
            finally:
                shutil.rmtree(folder)
            show(rows[-1], rows)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n")


def show(shown: dict[str, object], rows: list[dict[str, object]]) -> None:
    base = next((r for r in rows if r["model"] == shown["model"] and r["plan"] == "usual"), None)
    ratios = "" if base is None else "  " + " ".join(f"{shown[f] / base[f]:.3f}" for f in ("cpu_s", "peak_bytes"))
    more = (
        f"  {shown['settings']}, predicted {shown['predicted_prove_s']} of {shown['prove_s']} s"
        if "digits" in shown
        else ""
    )
    print(
        f"{shown['model']:10} {shown['plan']:24} {shown['cpu_s']:8.2f} s {shown['peak_bytes'] / 1e6:6.0f} MB{ratios}"
        f"  error {shown['error']:.2g}, digits {list(shown.get('digits', {}).values())}{more}"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
