"""`--config` from outside: obeyed by run and serve, read again on SIGHUP, and its mistakes said."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("tritonclient.http")

from tests.packages import example, small_package
from tests.serving import ask, serving

from partwise.runtime import run_package

HEAD = "version: partwise.config/1\n"


def partwise(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "partwise.cli", *words], capture_output=True, text=True, timeout=60)


def test_a_run_obeys_it_and_the_command_line_comes_first(tmp_path: Path) -> None:
    package, trace = small_package(tmp_path / "package", "null"), tmp_path / "trace.json"
    config = tmp_path / "split.yaml"
    config.write_text(
        HEAD + f"execution: {{executor: in-process, threads: 3}}\n"
        f"telemetry: {{trace: {trace}, trace_format: perfetto}}\n"
        "bandwidth: {share: 0.5, roof: 40GB}\n"
    )
    done = partwise("run", str(package.path), "--config", str(config), "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["executor"] == "in-process"
    assert record["engines"][0]["threads"] == 3
    assert "traceEvents" in json.loads(trace.read_text())
    typed = partwise("run", str(package.path), "--config", str(config), "--threads", "2", "--json")
    assert json.loads(typed.stdout)["engines"][0]["threads"] == 2


@pytest.mark.parametrize(
    ("verb", "text", "said"),
    [
        ("run", "execution: {thread: 3}", "did you mean `execution.threads`?"),
        ("run", "thresholds: {queue: 3}", "thresholds.queue: is not something that `run` can obey"),
        ("serve", "telemetry: {trace: x.json}", "telemetry.trace: is not something that `serve` can obey"),
        ("serve", "memory: {pinned: true}", "memory.pinned: nothing here can do that"),
        ("serve", "pipelining: {adaptive: true}", "pipelining.adaptive: needs a bandwidth share"),
    ],
)
def test_what_cannot_be_obeyed_ends_it_before_anything_starts(verb: str, text: str, said: str, tmp_path: Path) -> None:
    package, config = small_package(tmp_path / "package", "null"), tmp_path / "split.yaml"
    config.write_text(HEAD + text)
    done = partwise(verb, str(package.path), "--config", str(config))
    assert done.returncode == 3
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_streamed_weights_are_let_go_of_and_change_no_bit(tmp_path: Path) -> None:
    """Four stages of 16 MiB in one process: it holds one of them at a time, where it held all four."""
    torch = pytest.importorskip("torch")
    import partwise as pw

    model = torch.nn.Sequential(*(torch.nn.Linear(2048, 2048) for _ in range(4))).eval()
    plan = pw.plan(pw.capture(model, (torch.randn(1, 2048),)), stages=4)
    package = pw.cut(model, plan, tmp_path / "package", check=False)
    peaks, outputs = list[int](), list[object]()
    for weights, budget in (("resident", "1GiB"), ("streamed", "20MiB")):
        trace, config = tmp_path / f"{weights}.json", tmp_path / f"{weights}.yaml"
        memory = f"memory: {{weights: {weights}, budget: {budget}}}\n"
        workers = "workers: 1, " if weights == "resident" else ""  # otherwise the budget says so
        config.write_text(HEAD + memory + f"execution: {{{workers}threads: 1}}\ntelemetry: {{trace: {trace}}}\n")
        done = partwise("run", str(package.path), "--config", str(config), "--json")
        assert done.returncode == 0, done.stderr
        outputs.append(json.loads(done.stdout)["requests"])
        spans = json.loads(trace.read_text())["segments"]
        assert len(spans) == 4
        peaks.append(max(span["peak_bytes"] for span in spans))
    assert outputs[0] == outputs[1]
    assert peaks[0] - peaks[1] > 40 << 20, peaks  # three stages are 48 MiB


def test_a_server_reads_it_again_and_loses_no_request(tmp_path: Path) -> None:
    """Threads of the stages change under load; a mistake in the file changes nothing; what was typed stands."""
    package, config = small_package(tmp_path / "package", "null"), tmp_path / "split.yaml"
    config.write_text(HEAD + "execution: {threads: 1}\nserve: {max_body: 1MiB}\nbandwidth: {share: 0.9, roof: 50GB}")
    requests = [example(2, seed=number) for number in range(90)]
    expected = [run_package(package, values, save=False).outputs["y"].tobytes() for values in requests]
    with serving(package, "--config", str(config), "--executor", "in-process", "--max-queue", "200") as server:

        def reloads() -> str:
            return next(x for x in server.get("/metrics")[1].splitlines() if x.startswith("partwise_reloads_total"))

        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(ask, server, values) for values in requests]
            answers[10].result()
            assert 'partwise_bus_bytes_per_second{provider="' in server.get("/metrics")[1]
            config.write_text(HEAD + "execution: {threads: 2}\nserve: {max_body: 100KiB}")
            server.process.send_signal(signal.SIGHUP)
            found = [answer.result()[1].as_numpy("y").tobytes() for answer in answers]
        assert found == expected
        _until(lambda: reloads().endswith(" 1.0"))
        assert server.post(f"/v2/models/{server.model}/infer", b" " * (101 << 10))[0] == 413
        for wrong in ("execution: {thread: 2}", "serve: {name: other}", "devices: {stages: {9: cpu}}"):
            config.write_text(HEAD + wrong)
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
        assert reloads().endswith(" 1.0")
        server.process.send_signal(signal.SIGTERM)
        _, stderr = server.process.communicate(timeout=20)
        assert "did you mean `execution.threads`? It goes on as before." in stderr
        assert "there is no such stage" in stderr


def test_a_threshold_answers_503(tmp_path: Path) -> None:
    package, config = small_package(tmp_path / "package", "null"), tmp_path / "split.yaml"
    config.write_text(HEAD + "thresholds: {memory: 1000TB}")
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]},
                       {"name": "mask", "shape": [1], "datatype": "BOOL", "data": [True]}]}  # fmt: skip
    with serving(package, "--config", str(config), "--executor", "in-process") as server:
        code, answer = server.post(f"/v2/models/{server.model}/infer", json.dumps(body).encode())
    assert code == 503
    assert "of memory free, threshold" in json.loads(answer)["error"]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
