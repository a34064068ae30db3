"""What carries a tensor from one actor to another: Ray's object store, or a direct link between them.

Two Ray actors on two nodes. Each hand-over is timed by the sender, from the array in its memory to the receiver's word
that a copy lies in the receiver's own, aligned memory:

    ray    the array as the argument of an actor call (numpy, never torch), its answer awaited
    link   a Result packet over ZeroMQ with CURVE (`partwise.runtime.remote.link`), its answer awaited
    copy   the same bytes copied within one process, by numpy

All three in turns, in one run: the ratios hold on a shared machine, the times do not. Then a package of 100 MB of
weights is started twice on the workers: what they fetch and how long it takes.

    python benchmarks/transport.py                  # both actors on this machine, over loopback
    python benchmarks/transport.py --namespaces     # as root: two nodes in two network namespaces, joined by veth
    python benchmarks/transport.py --namespaces --rate 1gbit
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from partwise.packaging import Package
from partwise.packaging.arrays import aligned_bytes
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.executors import Options
from partwise.runtime.packet import Result, decode_packet, encode_packet, tensor_heads
from partwise.runtime.remote.executor import Remote
from partwise.runtime.remote.link import Link
from partwise.runtime.remote.node import require_token

SIZES = {"8 KB": 8_192, "1 MB": 1 << 20, "10 MB": 10 << 20}
RESULT = Path(__file__).parent.parent / "docs" / "data" / "transport.json"
PORT = 6397
_HERE, _THERE = "10.78.0.1", "10.78.0.2"
_WEIGHT_SIDE = 2048
"""Six weights of 2048 × 2048 floats: 100.7 MB."""


class Actor:
    """One end."""

    def __init__(self) -> None:
        self._come: SimpleQueue[list[memoryview]] = SimpleQueue()
        self._link = Link(self._hear, listen=ray.util.get_node_ip_address())

    def who(self) -> tuple[str, str | None]:
        return self._link.key, self._link.endpoint

    def introduce(self, key: str, endpoint: str) -> None:
        self._link.admit(key)
        self._link.connect(key, endpoint)

    def _hear(self, key: str, frames: list[memoryview]) -> None:
        if len(frames) == 1:
            self._come.put(frames)
            return
        packet, _ = decode_packet(frames)
        assert isinstance(packet, Result)
        self._link.send(key, [b"here"])

    def take(self, array: np.ndarray) -> None:
        """Into memory of our own, as an engine needs it."""
        aligned_bytes(array.nbytes)[...] = array

    def times(self, other: Any, key: str, size: int, rounds: int) -> dict[str, list[float]]:
        """Seconds of each hand-over of so many bytes, in turns."""
        array = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
        ways = {
            "ray": lambda: ray.get(other.take.remote(array)),
            "link": lambda: self._send(key, array),
            "copy": lambda: self.take(array),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 3):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if number >= 3:
                    found[name].append(time.perf_counter() - start)
        return found

    def _send(self, key: str, array: np.ndarray) -> None:
        values = {"x": array}
        settings = EngineSettings(engine="null", version="1", device="none", threads=1)
        packet = Result(run="0" * 32, package="sha256:" + "0" * 64, stage=0, request=0, settings=settings,
                        compute_s=0.0, tensors=tensor_heads(values, digests=False))  # fmt: skip
        self._link.send(key, encode_packet(packet, values))
        self._come.get(timeout=60)


def handovers(rounds: int) -> list[dict[str, Any]]:
    """The table's rows."""
    nodes = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: node["NodeManagerAddress"])
    kind = ray.remote(Actor)
    here, there = (kind.options(num_cpus=0, scheduling_strategy=_on(node)).remote() for node in (nodes[0], nodes[-1]))
    (key, _), (other, endpoint) = ray.get([here.who.remote(), there.who.remote()])
    ray.get(there.introduce.remote(key, ray.get(here.who.remote())[1]))
    ray.get(here.introduce.remote(other, endpoint))
    rows = list[dict[str, Any]]()
    for name, size in SIZES.items():
        found = ray.get(here.times.remote(there, other, size, rounds))
        medians = {way: statistics.median(times) * 1e3 for way, times in found.items()}  # pyright: ignore[reportAttributeAccessIssue]
        rows.append({"size": name, **{f"{way}_ms": round(ms, 4) for way, ms in medians.items()},
                     "link_over_ray": round(medians["link"] / medians["ray"], 3)})  # fmt: skip
    for actor in (here, there):
        ray.kill(actor)
    return rows


def _on(node: dict[str, Any]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)


def heavy_package(folder: Path) -> Package:
    """Six linear layers of 100 MB in two segments."""
    import torch

    import partwise

    torch.manual_seed(0)
    layers = [torch.nn.Linear(_WEIGHT_SIDE, _WEIGHT_SIDE, bias=False) for _ in range(6)]
    module, inputs = torch.nn.Sequential(*layers).eval(), (torch.zeros(1, _WEIGHT_SIDE),)
    plan = partwise.plan(partwise.capture(module, inputs, static=True), stages=2)
    return partwise.cut(module, plan, folder / "package")


def starts(package: Package, address: str) -> list[dict[str, Any]]:
    """The first and the second start of the same package on the same workers."""
    rows = list[dict[str, Any]]()
    for start in ("first", "second"):
        begun = time.perf_counter()
        with Remote(package, Options(engine="torch", threads=1, address=address)) as executor:
            executor.ready()
            seconds = time.perf_counter() - begun
            tally = executor.fetched.values()
            rows.append({
                "start": start,
                "fetched_bytes": sum(f.fetched_bytes for f in tally),
                "kept_bytes": sum(f.kept_bytes for f in tally),
                "fetch_s": round(max(f.seconds for f in tally), 3),
                "ready_s": round(seconds, 2),
            })  # fmt: skip
    return rows


@contextlib.contextmanager
def namespaces(rate: str | None) -> Iterator[tuple[list[str], list[str]]]:
    """Two network namespaces; how a command enters each."""
    names = (f"pwta{os.getpid()}", f"pwtb{os.getpid()}")
    try:
        for name in names:
            _call("ip", "netns", "add", name)
        _call("ip", "link", "add", "pwt0", "netns", names[0], "type", "veth", "peer", "name", "pwt0", "netns", names[1])
        for name, address in zip(names, (_HERE, _THERE), strict=True):
            _call("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "pwt0")
            _call("ip", "-n", name, "link", "set", "lo", "up")
            _call("ip", "-n", name, "link", "set", "pwt0", "up")
            if rate is not None:
                shape = f"rate {rate} burst 1mb latency 200ms".split()
                _call("tc", "-n", name, "qdisc", "add", "dev", "pwt0", "root", "tbf", *shape)
        yield ["ip", "netns", "exec", names[0]], ["ip", "netns", "exec", names[1]]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _call(*words: str) -> None:
    subprocess.run(words, check=True)


@contextlib.contextmanager
def node(*words: str, inside: list[str]) -> Iterator[str]:
    """A node for as long as the block lasts; the cluster's address."""
    process = subprocess.Popen(
        [*inside, sys.executable, "-m", "partwise.cli", "worker", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        told = ""
        while "run package/" not in told and not told.startswith("worker up" if "--join" in words else "\0"):
            line = process.stdout.readline()
            if not line:
                raise SystemExit("a node did not start")
            told = line if "--join" in words else told + line
        yield told.split()[-1]
    finally:
        process.terminate()
        process.wait()


def measure(rounds: int, address: str) -> dict[str, Any]:
    """On the cluster that runs."""
    with tempfile.TemporaryDirectory() as folder:
        package = heavy_package(Path(folder))
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        rows = handovers(rounds)
        ray.shutdown()
        return {"handovers": rows, "starts": starts(package, address)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--rate", help="of the link between the namespaces, as tc has it: 1gbit")
    parser.add_argument("--address", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.address is not None:
        require_token()
        print(json.dumps(measure(given.rounds, given.address)))
        return
    where = f"two network namespaces, {given.rate or 'not shaped'}" if given.namespaces else "one machine, loopback"
    with tempfile.TemporaryDirectory(prefix="pwt", dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.environ |= {"RAY_AUTH_TOKEN_PATH": f"{folder}/token", "RAY_AUTH_MODE": "token"}
        found = _on_nodes(given, Path(folder))
    _show(where, found)
    kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(kept | {where: found}, indent=1, sort_keys=True) + "\n")


def _on_nodes(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    head = ["--head", "--port", str(PORT), "--temp-dir", str(folder / "ray"), "--cache", str(folder / "here")]
    with contextlib.ExitStack() as stack:
        here, there = stack.enter_context(namespaces(given.rate)) if given.namespaces else ([], [])
        if given.namespaces:
            address = stack.enter_context(node(*head, "--host", _HERE, inside=here))
            more = ["--join", address, "--host", _THERE, "--cache", str(folder / "there")]
            stack.enter_context(node(*more, inside=there))
        else:
            address = stack.enter_context(node(*head, "--workers", "2", inside=here))
        words = [sys.executable, __file__, "--rounds", str(given.rounds), "--address", address]
        done = subprocess.run([*here, *words], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


def _show(where: str, found: dict[str, Any]) -> None:
    print(f"hand-over, delivered and acknowledged, median ms: {where}")
    print(f"{'size':>6} {'ray':>9} {'link':>9} {'copy':>9}  link ÷ ray")
    for row in found["handovers"]:
        times = f"{row['ray_ms']:9.3f} {row['link_ms']:9.3f} {row['copy_ms']:9.3f}"
        print(f"{row['size']:>6} {times}  {row['link_over_ray']:.2f}")
    print("\nstart of a package of 100.7 MB")
    for row in found["starts"]:
        fetched, kept = row["fetched_bytes"] / 1e6, row["kept_bytes"] / 1e6
        took = f"fetching {row['fetch_s']:.2f} s, ready after {row['ready_s']:.1f} s"
        print(f"{row['start']:>6}: fetched {fetched:7.1f} MB, kept {kept:7.1f} MB, {took}")


if __name__ == "__main__":
    main()
