"""Chains of honest operators that compute for hours: the run's deadline ends them, or the verifier's own limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from partwise.errors import PartwiseError
from partwise.packaging import Package
from partwise.runtime import Policy, run_package
from tests.packages import change_graph, example, small_package

_COPIES = 2**31 - 1
"""Of a value that takes no memory: their sum is some ten seconds of work, in one call of one operator."""
_LINKS = 1000


@pytest.fixture
def endless(tmp_path: Path) -> Package:
    """The small package; its first segment sums two thousand million copies of a value a thousand times over."""
    return change_graph(small_package(tmp_path / "package"), 0, _lengthen)


def _lengthen(graph: Any) -> None:
    (relu,) = (node for node in graph["nodes"] if node["op"] == "aten.relu.default")
    (meant,), last = relu["outputs"], "start"
    relu["outputs"] = [last]
    names = [last]
    for link in range(_LINKS):
        steps = [("aten.unsqueeze.default", [0]), ("aten.expand.default", [[_COPIES, -1, -1]]),
                 ("aten.sum.dim_IntList", [[0]])]  # fmt: skip
        for number, (op, rest) in enumerate(steps):
            name = meant if (link, number) == (_LINKS - 1, len(steps) - 1) else f"v{link}_{number}"
            args = [{"ref": last}, *rest]
            graph["nodes"].append({"op": op, "args": args, "kwargs": {}, "outputs": [name], "module": ""})
            last = name
            names += [] if name == meant else [name]
    graph["tensors"] += [{"name": name, "dtype": "float32", "shape": None} for name in names]


def test_the_deadline_of_a_run_ends_it(endless: Package) -> None:
    policy = Policy(first_deadline_s=2.0, attempts=1, deaths=1, divide=False, abandon_after=1)
    began = time.monotonic()
    with pytest.raises(PartwiseError, match=r"segment 0|stage 0|worker"):
        run_package(endless, example(), executor="processes", workers=1, threads=1, save=False, policy=policy)
    assert time.monotonic() - began < 120


def test_the_verifiers_limit_ends_it(endless: Package) -> None:
    words = ["verify", str(endless.path), "--time-limit", "8", "--threads", "1", "--json"]
    found = subprocess.run(
        [sys.executable, "-m", "partwise.cli", *words], capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert found.returncode == 7, found.stderr
    assert "took longer than its time limit; expected ≤ 8 s" in found.stderr
    assert "Traceback" not in found.stderr
    assert json.loads(found.stdout)["error"] == "VerifyError"
