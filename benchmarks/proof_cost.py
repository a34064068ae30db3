"""Predicted against measured cost of proofs: small circuits through ezkl, constants fitted on every second one.

    python benchmarks/proof_cost.py measure     # proves 34 circuits, writes docs/data/proof_cost.json
    python benchmarks/proof_cost.py fit         # fits on half, reports the other half, writes the packaged constants

What is assigned is counted by rule and compared exactly; seconds and bytes are fitted. Each circuit runs twice and
the quicker run counts: CPU-seconds of a loaded machine only ever come out too long.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from proving_job import Job, measure, srs
from proving_models import Network
from scipy.optimize import nnls

from partwise.profiling.proof import ProofSettings, proof_cost
from partwise.profiling.proof_rates import ProofRates
from partwise.profiling.proof_work import graph_work
from partwise.verification.zk.circuits import lower

ROOT = Path(__file__).parent.parent
DATA = ROOT / "docs" / "data" / "proof_cost.json"
TOML = ROOT / "src" / "partwise" / "profiling" / "data" / "proof.toml"
CACHE = Path.home() / ".cache" / "partwise" / "test-srs"
FIGURES = ("setup_s", "prove_s", "peak_bytes", "proving_key_bytes")
REPEATS = 2


def linear(inputs: int, outputs: int, relu: bool = True) -> onnx.ModelProto:
    net = Network([], [], (1, inputs), np.random.default_rng(0))
    net.linear("fc", inputs, outputs)
    if relu:
        net.add("Relu", "relu")
    return net.model()


def conv(channels: int, filters: int, size: int, kernel: int) -> onnx.ModelProto:
    net = Network([], [], (1, channels, size, size), np.random.default_rng(0))
    net.conv("conv", channels, filters, kernel)
    return net.model()


def deep(*widths: int) -> onnx.ModelProto:
    net = Network([], [], (1, widths[0]), np.random.default_rng(0))
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        net.linear(f"fc{number}", inputs, outputs)
        net.add("Relu", f"relu{number}")
    return net.model()


# name, model, integer mode, k, columns, base, legs
CASES = [
    ("linear 16-16", linear(16, 16), True, 8, 2, 128, 3),
    ("linear 16-16", linear(16, 16), True, 10, 2, 512, 2),
    ("linear 32-32", linear(32, 32), True, 9, 2, 256, 3),
    ("linear 32-32", linear(32, 32), True, 11, 3, 1024, 2),
    ("linear 64-64", linear(64, 64), True, 8, 2, 249, 3),
    ("linear 64-64", linear(64, 64), True, 9, 3, 256, 3),
    ("linear 64-64", linear(64, 64), True, 10, 2, 512, 3),
    ("linear 64-64", linear(64, 64), True, 12, 2, 1024, 2),
    ("linear 64-64 no relu", linear(64, 64, relu=False), True, 10, 3, 512, 3),
    ("linear 64-16", linear(64, 16), True, 10, 2, 1000, 2),
    ("linear 128-64", linear(128, 64), True, 10, 2, 512, 3),
    ("linear 128-64", linear(128, 64), True, 11, 2, 512, 3),
    ("deep 32-32-32", deep(32, 32, 32), True, 9, 2, 500, 3),
    ("deep 32-32-32", deep(32, 32, 32), True, 11, 3, 1024, 3),
    ("deep 48-48-48", deep(48, 48, 48), True, 10, 3, 1000, 3),
    ("conv 1-2 8×8", conv(1, 2, 8, 3), True, 9, 2, 256, 3),
    ("conv 1-2 8×8", conv(1, 2, 8, 3), True, 10, 3, 512, 2),
    ("conv 1-4 10×10", conv(1, 4, 10, 3), True, 9, 2, 500, 3),
    ("conv 1-4 10×10", conv(1, 4, 10, 3), True, 11, 2, 1024, 2),
    ("conv 2-4 8×8", conv(2, 4, 8, 3), True, 9, 2, 500, 3),
    ("conv 4-8 6×6", conv(4, 8, 6, 3), True, 10, 2, 1000, 3),
    ("linear 16-16 scaled", linear(16, 16), False, 9, 2, 256, 3),
    ("linear 32-32 scaled", linear(32, 32), False, 10, 2, 512, 3),
    ("linear 32-32 scaled", linear(32, 32), False, 9, 3, 256, 3),
    ("linear 64-64 scaled", linear(64, 64), False, 11, 2, 512, 3),
    ("linear 64-64 scaled", linear(64, 64), False, 10, 3, 512, 3),
    ("conv 1-2 10×10", conv(1, 2, 10, 3), True, 9, 2, 500, 3),
    ("conv 1-2 8×8", conv(1, 2, 8, 3), True, 8, 2, 240, 3),
    ("conv 1-2 8×8", conv(1, 2, 8, 3), True, 8, 3, 240, 3),
    ("conv 4-8 6×6", conv(4, 8, 6, 3), True, 11, 2, 2000, 3),
    ("linear 64-80", linear(64, 80), True, 8, 2, 240, 3),
    ("conv 1-4 10×10", conv(1, 4, 10, 3), True, 10, 3, 1000, 2),
    ("conv 2-4 8×8", conv(2, 4, 8, 3), True, 10, 2, 1000, 3),
    ("conv 1-4 14×14", conv(1, 4, 14, 3), True, 12, 2, 4000, 2),
]


def measure_all() -> None:
    rows = json.loads(DATA.read_text())["rows"] if DATA.exists() else []
    for number in range(len(rows), len(CASES)):
        rows.append(measured(number))
        print({key: value for key, value in rows[-1].items() if key != "work"}, flush=True)
        DATA.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


def measured(number: int) -> dict[str, object]:
    name, model, integer, logrows, columns, base, legs = CASES[number]
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).random(shape)
    data = model.SerializeToString()
    if integer:
        data, x = lower(data).model, np.rint(x * 128)
    scale = 0 if integer else 7
    arguments = {"input_scale": scale, "param_scale": scale, "logrows": logrows, "num_inner_cols": columns}
    job = Job(arguments=arguments | {"decomp_base": base, "decomp_legs": legs}, srs=str(srs(CACHE, logrows)))
    runs = []
    for _ in range(REPEATS):
        folder = Path(tempfile.mkdtemp(prefix="partwise-proving-"))
        try:
            runs.append(measure(folder / "job", data, [x.ravel().tolist()], job))
        finally:
            shutil.rmtree(folder)
    return {
        "case": name,
        "integer": integer,
        "settings": [logrows, columns, base, legs],
        "assignments": runs[0].assignments,
        "einsum_assignments": runs[0].einsum_assignments,
        "setup_s": round(min(run.cpu_s["setup"] for run in runs), 4),
        "prove_s": round(min(run.cpu_s["prove"] for run in runs), 4),
        "peak_bytes": min(run.peak for run in runs),
        "proving_key_bytes": runs[0].proving_key_bytes,
    }


def fit() -> None:
    rows = json.loads(DATA.read_text())["rows"]
    features = np.array([_features(number) for number in range(len(rows))])
    rates = {figure: _fitted(features[::2], [row[figure] for row in rows[::2]]) for figure in FIGURES}
    errors = {}
    for figure in FIGURES:
        truth = np.array([row[figure] for row in rows])
        error = np.abs(features @ rates[figure] / truth - 1)
        errors[figure] = {
            "held_out_median": round(float(np.median(error[1::2])), 4),
            "held_out_worst": round(float(error[1::2].max()), 4),
            "all_worst": round(float(error.max()), 4),
        }
        print(figure, rates[figure], errors[figure])
    counted = [_counted(number, row) for number, row in enumerate(rows)]
    errors["assignments"] = {"median": float(np.median(counted)), "worst": round(max(counted), 4)}
    print("assignments", errors["assignments"])
    DATA.write_text(json.dumps({"rows": rows, "errors": errors}, indent=1) + "\n")
    TOML.write_text(_toml(rates))


def _work(number: int) -> tuple[object, ProofSettings]:
    _, model, integer, logrows, columns, base, legs = CASES[number]
    return graph_work(_graph(model), integer=integer), ProofSettings(
        logrows=logrows, columns=columns, base=base, legs=legs
    )


def _graph(model: onnx.ModelProto):
    import partwise

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return partwise.capture(path, optimize="off")


def _features(number: int) -> list[float]:
    unit = (0.0,) * 6
    none = ProofRates(setup_s=unit, prove_s=unit, peak_bytes=unit, proving_key_bytes=unit, source="")
    work, settings = _work(number)
    cost = proof_cost(work, settings, none)
    size = settings.columns * 2**settings.logrows
    return [
        1.0,
        2.0**settings.logrows,
        cost.cells,
        cost.einsum_blocks * size,
        cost.cells * cost.einsum_blocks,
        cost.cells * cost.is_crowded,
    ]


def _counted(number: int, row: dict[str, object]) -> float:
    work, settings = _work(number)
    cost = proof_cost(work, settings)
    truth = row["assignments"] + row["einsum_assignments"]
    return abs((cost.assignments + cost.einsum_assignments) / truth - 1)


def _fitted(features: np.ndarray, truth: list[float]) -> np.ndarray:
    """Least relative squares with no negative rate."""
    scale = features.max(axis=0)
    scale[scale == 0] = 1
    found, _ = nnls(features / scale / np.array(truth)[:, None], np.ones(len(truth)))
    return found / scale


def _toml(rates: dict[str, np.ndarray]) -> str:
    lines = [
        "# Constants of ezkl 23.0.5 on one thread. Of each table they multiply: 1, 2^k, cells, cells of the columns of",
        "# checked products, cells × their blocks, and the cells of a circuit of too many blocks.",
        'source = "measured by benchmarks/proof_cost.py, 2026-11; fitted on every second circuit"',
    ]
    for figure in FIGURES:
        names = ("circuit", "row", "cell", "einsum_cell", "crossed_cell", "crowded_cell")
        values = [f"{name} = {value:.4g}" for name, value in zip(names, rates[figure], strict=True)]
        lines += ["", f"[{figure}]", *values]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    {"measure": measure_all, "fit": fit}[sys.argv[1]]()
