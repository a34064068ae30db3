"""What it gives to keep the memory that operators free: torch, eager, one thread, with and without it in turns.

Each measurement is a process of its own. Times are seconds of the processor, which neighbours disturb less than the
wall clock: medians over the rounds of a process, then over pairs of processes. Prints a table.

    python benchmarks/freed_memory.py [--pairs 5] [--rounds 10] [--batch 1] [model ...]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import partwise
from partwise.freed_memory import freed_memory, keep_freed
from partwise.packaging import open_package
from partwise.runtime.engines import make_engine
from partwise.runtime.inputs import open_inputs
from partwise.runtime.memory import resident

MODELS = ("mobilenet_v2", "efficientnet_b0", "resnet50", "minilm")
SEQUENCE, WARM = 128, 4
WAYS = ("left", "kept")


def cut(name: str, folder: Path, batch: int) -> None:
    """A model of the zoo with random weights, in one segment."""
    import torch
    import transformers

    from partwise.frontends.zoo import ZOO

    torch.manual_seed(0)
    config = dict(ZOO[name])
    kind, (architecture,) = config.pop("model_type"), config.pop("architectures")
    made = transformers.AutoConfig.for_model(kind, **config)
    module = getattr(transformers, architecture)(made).eval()
    graph = partwise.capture(module, batch=batch, **({"sequence": SEQUENCE} if name == "minilm" else {}))
    partwise.cut(module, partwise.plan(graph, stages=1), folder, check=False)


def measure(folder: Path, way: str, rounds: int) -> dict[str, Any]:
    """In this process: seconds of the processor and page faults of a request, and the process's peak."""
    if way == "kept":
        keep_freed()
    assert freed_memory() == way
    package = open_package(folder)
    inputs: dict[str, np.ndarray] = dict(next(iter(open_inputs(None, package))))
    sizes = {symbol.name: symbol.hint for symbol in package.manifest.symbols}
    segment = make_engine("torch", 1).load(package.whole())
    took, faults = list[float](), 0
    for turn in range(WARM + rounds):
        before = resource.getrusage(resource.RUSAGE_SELF)
        segment.run(inputs, sizes)
        after = resource.getrusage(resource.RUSAGE_SELF)
        if turn >= WARM:
            took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            faults += after.ru_minflt - before.ru_minflt
    return {"s": statistics.median(took), "faults": faults / rounds, "peak_bytes": resident()[1] or 0}


def in_turns(folder: Path, pairs: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Measurements of both ways, each in a process of its own."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for turn in range(pairs):
        for way in WAYS if turn % 2 else WAYS[::-1]:
            command = [sys.executable, __file__, "--one", way, "--rounds", str(rounds), str(folder)]
            found[way].append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    return found


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(Path(asked.models[0]), asked.one, asked.rounds)))
        return
    warnings.simplefilter("ignore")
    print(f"{'model':18} {'ratio':>6} {'left, faults':>13} {'kept, faults':>13} {'left, peak':>11} {'kept, peak':>11}")
    for name in asked.models:
        with tempfile.TemporaryDirectory() as scratch:
            cut(name, folder := Path(scratch) / "package", asked.batch)
            found = in_turns(folder, asked.pairs, asked.rounds)
        ratio = statistics.median(k["s"] / n["s"] for k, n in zip(found["kept"], found["left"], strict=True))
        faults = [f"{statistics.median(one['faults'] for one in found[way]):13.0f}" for way in WAYS]
        peaks = [f"{statistics.median(one['peak_bytes'] for one in found[way]) / 2**20:7.0f} MiB" for way in WAYS]
        print(f"{name:18} {ratio:6.3f} {' '.join((*faults, *peaks))}", flush=True)


if __name__ == "__main__":
    main()
