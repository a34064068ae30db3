"""What serving costs and what batching gains: all-MiniLM-L6-v2's package of `make run`, texts of 32 tokens.

The same requests go through `run` (no HTTP) and through `serve` with one and with several clients, with and without
batches, in turns; the shares hold on a shared machine, the rates are those of the machine that is named. Prints a
table and writes `docs/data/serving.json`.

    python benchmarks/serving.py [--package demo/package] [--seconds 8] [--rounds 2] [--clients 8] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton

import partwise
from partwise.packaging import Package, open_package

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "data" / "serving.json"
TOKENS, WARM_S = 32, 2.0
CASES = {"1 client": (1, ()), "clients": (0, ()), "clients, batches of 8": (0, ("--max-batch", "8"))}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of asking; medians over the rounds."""

    case: str
    per_s: float
    median_ms: float | None
    rows: float
    """Of the run that a request was part of, on average."""


def inputs_of(package: Package) -> dict[str, np.ndarray]:
    """One text of tokens and masks that are all 1."""
    return {port.tensor: np.ones((1, TOKENS), np.int64) for port in package.manifest.inputs}


def run_without_http(package: Package, seconds: float) -> Row:
    """The rate of a stream through the same executor."""
    count = 20
    while True:
        done = partwise.run(package, [inputs_of(package)] * count, executor="processes", threads=1, save=False)
        took = done.seconds or 0.0
        if took >= seconds:
            return Row(case="run, no HTTP", per_s=count / took, median_ms=None, rows=1)
        count = max(count + 1, int(count * 1.3 * seconds / max(took, 1e-3)))


@contextmanager
def serving(package: Package, options: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "partwise.cli", "serve", str(package.path), "--port", "0", "--json"]
    with subprocess.Popen([*command, "--threads", "1", *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)


def ask(package: Package, case: str, clients: int, options: tuple[str, ...], seconds: float) -> Row:
    """So many clients, each with one request after the other."""
    found, over = list[tuple[float, float, int]](), threading.Event()
    with serving(package, options) as told:
        threads = [
            threading.Thread(target=_client, args=(told, inputs_of(package), found, over)) for _ in range(clients)
        ]
        for thread in threads:
            thread.start()
        time.sleep(WARM_S)
        begin = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
        over.set()
        for thread in threads:
            thread.join()
    kept = [(took, rows) for at, took, rows in found if begin <= at <= end]
    return Row(
        case=case,
        per_s=len(kept) / (end - begin),
        median_ms=1000 * statistics.median(took for took, _ in kept),
        rows=statistics.mean(rows for _, rows in kept),
    )


def _client(
    told: dict[str, str], values: dict[str, np.ndarray], found: list[tuple[float, float, int]], over: threading.Event
) -> None:
    with triton.InferenceServerClient(told["url"].removeprefix("http://")) as client:
        given = [triton.InferInput(name, list(value.shape), "INT64") for name, value in values.items()]
        for one, value in zip(given, values.values(), strict=True):
            one.set_data_from_numpy(value)
        while not over.is_set():
            start = time.monotonic()
            head: Any = client.infer(told["model"], given).get_response()
            found.append((time.monotonic(), time.monotonic() - start, head["parameters"]["batch_rows"]))


def median_of(rows: list[Row]) -> Row:
    """The rounds of one case."""
    ms = [row.median_ms for row in rows if row.median_ms is not None]
    return Row(
        case=rows[0].case,
        per_s=statistics.median(row.per_s for row in rows),
        median_ms=statistics.median(ms) if ms else None,
        rows=statistics.mean(row.rows for row in rows),
    )


def main() -> None:
    """Measure in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=ROOT / "demo" / "package")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    given = parser.parse_args()
    package = open_package(given.package)
    rounds: dict[str, list[Row]] = {}
    for _ in range(given.rounds):
        made = [run_without_http(package, given.seconds)]
        for name, (clients, options) in CASES.items():
            case = name if clients else f"{given.clients} {name}"
            made.append(ask(package, case, clients or given.clients, options, given.seconds))
        for row in made:
            rounds.setdefault(row.case, []).append(row)
    rows = [median_of(found) for found in rounds.values()]
    base = rows[0].per_s
    print(f"{'case':<28}{'per s':>8}{'÷ run':>8}{'median ms':>11}{'rows':>6}")
    for row in rows:
        ms = "" if row.median_ms is None else f"{row.median_ms:.1f}"
        print(f"{row.case:<28}{row.per_s:>8.1f}{row.per_s / base:>8.2f}{ms:>11}{row.rows:>6.1f}")
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    data = {"package": package.digest, "tokens": TOKENS, "machine": machine, "rows": [asdict(row) for row in rows]}
    given.output.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
