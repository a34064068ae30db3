"""An uncut model that computes as long as it is told. Started as `python -m partwise.measurement.replica_process`.

Lines in: a number of seconds. Lines out: `ready`, then for each number how many requests a second it computed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from partwise.freed_memory import keep_freed
from partwise.packaging import open_package
from partwise.runtime.engines import make_engine
from partwise.runtime.inputs import open_inputs
from partwise.runtime.sizes import bind_sizes

__all__ = ["main"]

_WARM = 3
"""Requests before anything is counted."""


def main() -> None:
    """The process's whole life."""
    keep_freed()  # as a stage's process does
    path, engine, threads, sizes = sys.argv[1:5]
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    package = open_package(Path(path))
    inputs: dict[str, np.ndarray] = dict(next(iter(open_inputs(None, package, sizes=json.loads(sizes)))))
    hints = {symbol.name: symbol.hint for symbol in package.manifest.symbols}
    values = {**hints, **bind_sizes(package.manifest.symbols, inputs)}
    loaded = make_engine(engine, int(threads)).load(package.whole())
    for _ in range(_WARM):
        loaded.run(inputs, values)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        start, done = time.monotonic(), 0
        while (now := time.monotonic()) < start + float(line) or not done:
            loaded.run(inputs, values)
            done += 1
        print(done / (max(now, time.monotonic()) - start), file=answers, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
