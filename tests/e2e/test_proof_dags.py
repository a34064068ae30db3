"""Random DAGs with skip connections, sliced, proved by circuits and linked: always accepted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from partwise.dsperse import compile_slices, prove_run, run_slices, slice_model, verify_sliced_run
from partwise.verification import Outcome
from partwise.verification.zk import make_prover
from zk_models import TINY, own_folders, write_model

pytest.importorskip("ezkl")


def random_dag(path: Path, seed: int) -> Path:
    """Some three to five weighted nodes, each reading any value before it, sums and concatenations between them."""
    noise = np.random.default_rng(seed)
    width, lines, shapes = {"x": 3}, list[str](), dict[str, tuple[int, ...]]()

    def value(size: int) -> str:
        width[name := f"v{len(width)}"] = size
        return name

    for layer in range(int(noise.integers(3, 6))):
        source = str(noise.choice(list(width)))
        shapes[f"W{layer}"], shapes[f"B{layer}"] = (3, width[source]), (3,)
        made = value(3)
        lines.append(f"{made} = Gemm <transB=1> ({source}, W{layer}, B{layer})")
        alike = [name for name, size in width.items() if size == 3 and name != made]
        match noise.integers(3):
            case 0:
                lines.append(f"{value(3)} = Relu ({made})")
            case 1:
                lines.append(f"{value(3)} = Add ({made}, {noise.choice(alike)})")
            case _:
                lines.append(f"{value(6)} = Concat <axis=1> ({made}, {noise.choice(alike)})")
    read = " ".join(lines)
    ends = [name for name in width if not any(f"{end}{name}{mark}" in read for end in "( " for mark in ",)")]
    outputs = [name for name in ends if name != "x"]
    typed = ", ".join(f"float[1,{width[name]}] {name}" for name in outputs)
    body = "\n".join(lines)
    return write_model(path, f"g (float[1,3] x) => ({typed}) {{ {body} }}", shapes, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_random_dag_is_accepted(seed: int, tmp_path: Path) -> None:
    prover = make_prover("ezkl", insecure=True)
    with own_folders(tmp_path):
        layout, package = slice_model(random_dag(tmp_path / "model.onnx", seed))
        assert len(package.manifest.segments) >= 3
        compile_slices(layout, prover, TINY)
        request = tmp_path / "input.json"
        request.write_text(json.dumps({"x": np.random.default_rng(seed).standard_normal((1, 3)).tolist()}))
        run = run_slices(layout, prover, request).path
        prove_run(layout, run, prover)
        found = verify_sliced_run(layout, run, prover, inputs=request)
    assert found.verdict.outcome is Outcome.ACCEPTED, found.verdict
    assert found.edges >= 2
