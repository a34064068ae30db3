"""`partwise serve` from outside: a real process, a real client, and what goes wrong."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request

import numpy as np
import psutil
import pytest

pytest.importorskip("fastapi")
triton = pytest.importorskip("tritonclient.http")

from tests.packages import example, small_package  # noqa: E402
from tests.serving import Server, ask, client, inputs_of, serving  # noqa: E402
from tests.waiting import until  # noqa: E402

from partwise.packaging import Package, open_package  # noqa: E402
from partwise.runtime import run_package  # noqa: E402
from partwise.serving.batching import join  # noqa: E402

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("serve") / "package", "null")


@pytest.fixture(scope="module")
def server(package: Package) -> Generator[Server]:
    with serving(package, "--executor", "in-process", "--max-body", "64KiB", "--threads", "1") as running:
        yield running


def alone(package: Package, values: dict[str, np.ndarray]) -> bytes:
    return run_package(package, values, threads=1, save=False).outputs["y"].tobytes()


def test_a_real_client_meets_the_protocol(server: Server, package: Package) -> None:
    with client(server) as talking:
        assert talking.is_server_live()
        assert talking.is_server_ready()
        assert talking.is_model_ready(server.model)
        assert talking.is_model_ready(server.model, server.version)
        assert talking.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        told = talking.get_model_metadata(server.model)
        assert told["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": [-1, 4]},
            {"name": "mask", "datatype": "BOOL", "shape": [-1]},
        ]
        assert told["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]
        values = example(3)
        for binary_in in (True, False):
            for binary_out in (True, False):
                wanted = [triton.InferRequestedOutput("y", binary_data=binary_out)]
                result = talking.infer(
                    server.model, inputs_of(values, binary=binary_in), outputs=wanted, request_id="seven"
                )
                assert result.as_numpy("y").tobytes() == alone(package, values)
                assert result.get_response()["id"] == "seven"
                assert result.get_response()["model_version"] == server.version


def test_an_onnx_model_is_called_as_its_file(tmp_path: Path) -> None:
    """Not as its graph, whose name is the exporter's word for every graph."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    import partwise

    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 4]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "main_graph", [x], [y])
    opsets = [onnx.helper.make_opsetid("", 18)]
    path = tmp_path / "my resnet.v2.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    package = partwise.cut(path, partwise.plan(partwise.capture(path), stages=1), tmp_path / "package", check=False)
    assert package.manifest.model == "my resnet.v2"
    for options, name in (((), "my_resnet.v2"), (("--name", "mine"), "mine")):
        with serving(package, "--executor", "in-process", *options) as server:
            assert server.model == name
            assert server.get(f"/v2/models/{name}")[0] == 200
            assert server.get("/v2/models/main_graph")[0] == 404


def test_concurrent_clients_get_their_own_answers(server: Server, package: Package) -> None:
    requests = [example(1 + number % 3, seed=number) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda values: ask(server, values)[1].as_numpy("y").tobytes(), requests))
    assert answers == [alone(package, values) for values in requests]


def body(**changes: Any) -> bytes:
    x = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    mask = {"name": "mask", "shape": [1], "datatype": "BOOL", "data": [True]}
    x.update(changes)
    return json.dumps({"inputs": [x, mask]}).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "no inference request"),
        (b"{}", "inputs"),
        (body(name="z"), "input `z`: is unknown; expected x, mask"),
        (body(datatype="INT64"), "another datatype; expected FP32, got INT64"),
        (body(shape=[2, 4]), "another number of elements; expected 8, got 4"),
        (body(shape=[4]), "another shape"),
        (body(shape=[1, -4]), "no shape"),
        (body(shape=[1, 2, 2]), "another shape"),
        (body(data=["a", "b", "c", "d"]), "something else than numbers"),
        (body(data=[1, 2, 3, 1e300]), "does not fit"),
        (body(parameters={"binary_data_size": 16}, data=None), "its bytes are not those of its shape"),
        (body(parameters={"shared_memory_region": "r"}), "`shared_memory_region` is not something"),
    ],
)
def test_a_clients_mistake_is_400_and_said(server: Server, content: bytes, said: str) -> None:
    code, answer = server.post(f"/v2/models/{server.model}/infer", content)
    assert code == 400
    assert said in json.loads(answer)["error"]


def test_other_refusals(server: Server) -> None:
    path = f"/v2/models/{server.model}/infer"
    assert server.post("/v2/models/other/infer", body())[0] == 404
    assert server.post(f"/v2/models/{server.model}/versions/9/infer", body())[0] == 404
    assert server.get("/nowhere")[0] == 404
    assert server.get(path)[0] == 405
    assert server.post(path, b" " * (65 << 10))[0] == 413
    assert server.post(path, body(), Content_Encoding="gzip")[0] == 415
    assert server.post(path, body(), Inference_Header_Content_Length="-1")[0] == 400
    assert server.post(path, body(), Inference_Header_Content_Length="999999")[0] == 400
    for name, code in (("evil.example", 400), ("localhost.evil.example", 400), ("[::1]:80", 200), ("LOCALHOST", 200)):
        assert server.post(path, body(), Host=name)[0] == code
    assert server.post(path, body())[0] == 200


def test_a_body_that_is_too_large_is_refused_in_words(server: Server) -> None:
    """More than sockets hold: a server that hung up at once would be heard by nobody. And lengths beyond all."""
    path = f"/v2/models/{server.model}/infer"
    code, said = server.post(path, b" " * (200 << 10))
    assert (code, json.loads(said)["error"]) == (413, "the body is too large; expected at most 65536 bytes")
    host, port = server.url.removeprefix("http://").split(":")
    for more in ("Content-Length: 99999999999999999999", "Content-Length: 90000\r\nExpect: 100-continue"):
        with socket.create_connection((host, int(port)), timeout=10) as link:
            link.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n\r\n".encode())
            assert link.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_client_that_leaves_in_the_middle_is_no_fault(package: Package) -> None:
    with serving(package, "--executor", "in-process") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as link:
            start = f"POST /v2/models/{server.model}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{{"
            link.sendall(start.encode())
        until(lambda: 'partwise_requests_total{code="499"} 1.0' in server.get("/metrics")[1])
        assert server.send(Request(f"{server.url}/health", method="HEAD"), None) == (200, "")
        server.process.terminate()
        assert server.process.communicate(timeout=20)[1] == ""


def test_a_body_of_no_stated_length_is_cut_off(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        link.sendall(f"POST /v2/models/{server.model}/infer HTTP/1.1\r\nHost: localhost\r\n".encode())
        link.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                link.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
            answer = link.recv(4096)
        except OSError:
            answer = link.recv(4096)
    assert b"413" in answer.split(b"\r\n")[0]


def test_metrics_say_what_happened(server: Server) -> None:
    ask(server, example())
    code, text = server.get("/metrics")
    assert code == 200
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    done = float(figures['partwise_requests_total{code="200"}'])
    assert done >= 1
    assert float(figures['partwise_stage_seconds_count{stage="2"}']) == done
    assert float(figures['partwise_handover_bytes_total{receiver="1",sender="0"}']) > 0
    assert float(figures["partwise_queue"]) == 0
    assert float(figures["partwise_in_flight"]) == 0
    assert float(figures["partwise_ready"]) == 1
    assert float(figures["partwise_resident_bytes"]) > 1 << 20


def test_dead_workers_cost_no_request(package: Package) -> None:
    """Workers are killed under load: what was under way is repeated, the service goes on."""
    with serving(package, "--threads", "1") as server:
        requests = [example(2, seed=number) for number in range(60)]
        parent = psutil.Process(server.process.pid)
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(ask, server, values) for values in requests]
            for number in range(2):
                answers[15 * (number + 1)].result()
                workers = parent.children()
                if workers:  # the newest may not have begun
                    workers[number % len(workers)].kill()
            found = [answer.result()[1].as_numpy("y").tobytes() for answer in answers]
        assert found == [alone(package, values) for values in requests]
        assert 'partwise_incidents_total{what="lost"}' in server.get("/metrics")[1]
        workers = parent.children()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert not [worker.pid for worker in workers if worker.is_running()]


def test_the_key_guards_every_route_but_health(package: Package) -> None:
    with serving(package, "--host", "0.0.0.0", "--executor", "in-process", env={"PARTWISE_API_KEY": KEY}) as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        path = f"/v2/models/{server.model}/infer"
        for key, code in ((None, 401), (KEY[:-1], 401), (KEY, 200)):
            assert server.get("/metrics", key)[0] == code
            assert server.get("/v2", key)[0] == code
            assert server.post(path, body(), key)[0] == code
        for health in ("/health", "/v2/health/live", "/v2/health/ready"):
            assert server.get(health)[0] == 200


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "partwise.cli", "serve", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_cannot_be_served_is_said_at_once(server: Server, package: Package) -> None:
    taken = server.url.rsplit(":", 1)[1]
    path = str(package.path)
    cases: list[tuple[tuple[str, ...], str, int]] = [
        ((path, "--port", taken), "cannot be listened at (Address already in use)", 3),
        ((path, "--max-batch", "4", "--port", "0", "--executor", "in-process"), "rows of one batch change each", 3),
    ]
    for words, said, code in cases:
        done = call(*words)
        assert said in done.stderr, words
        assert "Traceback" not in done.stderr
        assert done.returncode == code


def test_a_batch_is_the_package_at_that_batch(tmp_path: Path) -> None:
    """Requests joined, answers split: bit-equal to a run of the package on all rows together; drained on SIGTERM."""
    pytest.importorskip("torch")
    package = small_package(tmp_path / "package", "torch")
    requests = [example(1 + number % 2, seed=number) for number in range(4)] + [example(seed=7)]  # 8 rows
    options = ("--executor", "in-process", "--max-batch", "8", "--batch-delay", "5000", "--threads", "1")
    with serving(package, *options) as server:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda values: ask(server, values), requests))
        runs: dict[int, list[tuple[int, int]]] = {}
        for number, (head, _) in enumerate(answers):
            place = head["parameters"]
            runs.setdefault(place["batch"], []).append((place["batch_row"], number))
        assert len(runs) < len(requests), "nothing was joined"
        for members in runs.values():
            order = [number for _, number in sorted(members)]
            together = join([requests[number] for number in order])
            whole = run_package(package, together, threads=1, save=False).outputs["y"].tobytes()
            assert b"".join(answers[number][1].as_numpy("y").tobytes() for number in order) == whole
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(ask, server, requests[0])
            until(lambda: "partwise_queue 1.0" in server.get("/metrics")[1])
            server.process.send_signal(signal.SIGTERM)
            assert late.result()[1].as_numpy("y").shape == (1, 3)
        assert server.process.wait(20) == 0


@pytest.mark.slow
def test_only_the_guilty_request_fails(tmp_path: Path) -> None:
    """A token outside the table fails in the engine; those beside it are answered."""
    torch = pytest.importorskip("torch")
    import partwise

    model = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 4)).eval()
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    made = partwise.cut(model, partwise.plan(partwise.capture(model, (ids,)), stages=2), tmp_path / "p", check=False)
    package, name = open_package(made.path), made.manifest.inputs[0].tensor
    good = [np.full((1, 3), number % 10) for number in range(8)]
    with serving(package, "--executor", "in-process", "--max-batch", "4", "--threads", "1") as server:

        def one(values: np.ndarray) -> Any:
            try:
                return ask(server, {name: values})[1].as_numpy("output")
            except triton.InferenceServerException as error:
                return str(error)

        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(one, [*good[:4], np.full((1, 3), 99), *good[4:]]))
        assert "index out of range" in answers.pop(4)
        expected = model(torch.tensor(np.concatenate(good))).detach().numpy()
        np.testing.assert_allclose(np.concatenate(answers), expected, atol=1e-6)
        assert one(good[0]).shape == (1, 3, 4)
