"""onnxruntime's OpenVINO provider, whose wheel overwrites onnxruntime: the contract suite in a place of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.network
def test_the_contract_suite_with_the_other_wheel(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pinned = re.search(r"^onnxruntime-openvino==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), pinned[0]]
    subprocess.run(pip, check=True)
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "pytest", "tests/contracts/test_engines.py", "-k", "onnxruntime", "-rs", "-p",
               "no:cacheprovider"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "onnxruntime:openvino:" not in done.stdout, "the provider's own cases were skipped"
