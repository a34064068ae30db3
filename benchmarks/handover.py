"""What handing a tensor to another process takes: at hand for its engine and acknowledged, beside a plain copy.

The same channel and rings as between workers; a copy of the same size is timed in turns with it, so that the ratio
holds on a noisy machine. Prints a table and writes `docs/data/handover.json`.

    python benchmarks/handover.py [--rounds 300]
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from partwise.runtime.executors.messages import DECODER, Channel, Message, Task, Unload
from partwise.runtime.executors.shared_memory import Inbox, Outbox, create_memory

RESULT = Path(__file__).parent.parent / "docs" / "data" / "handover.json"
SIZES = {"8 KB": 8 << 10, "1 MB": 1 << 20, "10 MB": 10 << 20, "100 MB": 100 << 20}
LIMITS = {"8 KB": (None, 40e-6), "1 MB": (3.0, None), "10 MB": (3.0, None), "100 MB": (None, None)}
"""At most: times a copy, and seconds."""
SENDER = 0


def receive(connection: int, memory: int) -> None:
    """The other process: have each tensor at hand, as a worker hands it to its engine, and say so."""
    channel, inbox = Channel(socket.socket(fileno=connection), DECODER), Inbox(memory)
    while isinstance(task := channel.receive(), Task):
        for parcel in task.parcels:
            inbox.view(parcel)
        channel.send(Unload(task.stage))


def measure(channel: Channel[Message], outbox: Outbox, size: int, rounds: int) -> tuple[float, float]:
    """Seconds of a hand-over and of a copy: medians of many, taken in turns."""
    value = np.ones(size // 4, np.float32)
    copy = np.zeros_like(value)
    sent, copied, released = list[float](), list[float](), ()
    for number in range(rounds):
        start = time.perf_counter()
        parcel = outbox.write(SENDER, {"v": value})
        channel.send(Task(number, number, 0, {}, (parcel,), released))
        channel.receive()
        sent.append(time.perf_counter() - start)
        outbox.release([parcel.slot])
        start = time.perf_counter()
        np.copyto(copy, value)
        copied.append(time.perf_counter() - start)
    warm = rounds // 10
    return median(sent[warm:]), median(copied[warm:])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--receive", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.receive:
        receive(*given.receive)
        return
    memory = create_memory()
    ours, theirs = socket.socketpair()
    command = [sys.executable, __file__, "--receive", str(theirs.fileno()), str(memory)]
    with ours, subprocess.Popen(command, pass_fds=(theirs.fileno(), memory)):
        theirs.close()
        channel, outbox = Channel(ours, DECODER), Outbox(SENDER, memory)
        rows = {
            name: measure(channel, outbox, size, given.rounds if size < 50 << 20 else given.rounds // 10)
            for name, size in SIZES.items()
        }
        channel.connection.shutdown(socket.SHUT_RDWR)
    print("| size | handed over | a copy | ratio | at most |\n|---|---|---|---|---|")
    for name, (sent, copied) in rows.items():
        ratio, seconds = LIMITS[name]
        limit = f"{ratio:g} ×" if ratio else f"{seconds * 1e6:.0f} µs" if seconds else ""
        print(f"| {name} | {sent * 1e6:.0f} µs | {copied * 1e6:.0f} µs | {sent / copied:.2f} | {limit} |")
    RESULT.write_text(json.dumps({name: {"handed_over_s": s, "copy_s": c} for name, (s, c) in rows.items()}) + "\n")


if __name__ == "__main__":
    main()
