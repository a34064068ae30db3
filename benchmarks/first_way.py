"""Speed of the first whole way: a cut model against the uncut one, and capture against bare export.

Every figure is a ratio of medians taken in turns within one process, on the same machine in the same minutes:
absolute times of a shared machine are not comparable. Prints a table and writes `docs/data/first_way.json`.

    python benchmarks/first_way.py [--rounds 30] [--threads 2]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import torch
import transformers

import partwise
from partwise.frontends.torch.symbols import roles
from partwise.runtime.executors.executor import Options
from partwise.runtime.executors.in_process import InProcess
from partwise.torch_arrays import to_numpy

STAGES = 3
CHAINED_LIMIT, CAPTURE_LIMIT = 1.05, 1.2
CAPTURE_ROUNDS = 7
RESULT = Path(__file__).parent.parent / "docs" / "data" / "first_way.json"
Timed = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison: `ours` and `theirs` are medians [s]."""

    what: str
    model: str
    engine: str
    ours_s: float
    theirs_s: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.ours_s / self.theirs_s


def resnet50() -> tuple[Any, dict[str, Any]]:
    """ResNet-50 as published, one image of 224 × 224, random weights."""
    module = transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000))  # pyright: ignore[reportCallIssue]
    return module.eval(), {"pixel_values": torch.randn(1, 3, 224, 224)}


def minilm_128() -> tuple[Any, dict[str, Any]]:
    """The shape of all-MiniLM-L6-v2, 128 tokens, random weights."""
    config = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    ids = torch.randint(0, 30000, (1, 128))
    return transformers.BertModel(config).eval(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


MODELS = {"ResNet-50": resnet50, "MiniLM-128": minilm_128}


def in_turns(
    ours: Timed, theirs: Timed, rounds: int, warm: int = 3, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Medians of two calls made one after the other, `rounds` times, in alternating order [s]."""
    taken: dict[Timed, list[float]] = {ours: [], theirs: []}
    for turn in range(warm + rounds):
        for call in (ours, theirs) if turn % 2 else (theirs, ours):
            gc.collect()  # one side's garbage is not collected on the other's time
            start = clock()
            call()
            if turn >= warm:
                taken[call].append(clock() - start)
    return statistics.median(taken[ours]), statistics.median(taken[theirs])


def chained(model: Any, graph: Any, threads: int, folder: Path) -> InProcess:
    """The model cut in three and loaded in this process."""
    package = partwise.cut(model, partwise.plan(graph, stages=STAGES), folder / "package", check=False)
    executor = InProcess(package, Options(engine=package.manifest.engine, threads=threads))
    executor.ready()
    return executor


def torch_chain(name: str, rounds: int, threads: int) -> Row:
    """The chain of three segments against the eager module."""
    module, inputs = MODELS[name]()
    arrays = {key: to_numpy(value) for key, value in inputs.items()}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        executor = chained(module, partwise.capture(module, inputs), threads, Path(folder))
        torch.set_num_threads(threads)
        times = in_turns(lambda: list(executor.run([arrays])), lambda: module(**inputs), rounds)
    return Row("chained ÷ uncut", name, "torch", *times, CHAINED_LIMIT)


def onnx_chain(name: str, rounds: int, threads: int) -> Row:
    """The chain of three segments against the original file in onnxruntime, fully optimized."""
    module, inputs = MODELS[name]()
    arrays = {key: to_numpy(value) for key, value in inputs.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (), file, kwargs=inputs, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Threads that spin after the uncut run would do so within the chain's: taken in turns, both must let go.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = onnxruntime.InferenceSession(file, options)
        executor = chained(str(file), partwise.capture(str(file)), threads, Path(folder))
        times = in_turns(lambda: list(executor.run([arrays])), lambda: session.run(None, arrays), rounds)
    return Row("chained ÷ uncut", name, "onnxruntime", *times, CHAINED_LIMIT)


def capture(name: str, rounds: int) -> Row:
    """The whole capture against `torch.export` and decomposition alone, the same sizes symbolic.

    Both are the work of one thread: processor time, which neighbours on a shared machine disturb least.
    """
    module, inputs = MODELS[name]()
    inputs = {key: value.repeat(2, *[1] * (value.ndim - 1)) for key, value in inputs.items()}
    shapes = {key: dict.fromkeys(dims, torch.export.Dim.AUTO) for key, dims in roles(inputs).items()}

    def bare() -> object:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, (), inputs, strict=False, dynamic_shapes=shapes)
            return program.run_decompositions({})

    times = in_turns(lambda: partwise.capture(module, inputs), bare, rounds, warm=1, clock=time.process_time)
    return Row("capture ÷ export", name, "torch", *times, CAPTURE_LIMIT)


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | model | engine | ours | theirs | ratio | at most |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        ours, theirs = (f"{seconds * 1000:.1f} ms" for seconds in (row.ours_s, row.theirs_s))
        figures = f"{ours} | {theirs} | {row.ratio:.3f} | {row.limit}"
        lines.append(f"| {row.what} | {row.model} | {row.engine} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    rows = [measure(name, given.rounds, given.threads) for measure in (torch_chain, onnx_chain) for name in MODELS]
    rows += [capture(name, CAPTURE_ROUNDS) for name in MODELS]
    print(table(rows))
    settings = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, **vars(given), "stages": STAGES}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    measured = [asdict(row) | {"ratio": round(row.ratio, 4)} for row in rows]
    RESULT.write_text(json.dumps({"settings": settings, "rows": measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
