"""The executor over links, with workers that are threads: strangers refused, faults survived, nothing fetched twice."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from partwise.errors import InputError, RunError
from partwise.packaging import Package
from partwise.packaging.files import blob_path
from partwise.runtime.executors import Options, Values
from partwise.runtime.packet import PACKET_VERSION, Frame
from partwise.runtime.remote import wire
from partwise.runtime.remote.executor import Remote
from partwise.runtime.remote.handshake import Invitation, Statement, capacity_of, invitation, refuse_strangers
from partwise.runtime.remote.node import node_resources, require_token
from partwise.runtime.remote.worker import Worker
from partwise.runtime.schedule import Capacity, Policy
from partwise.runtime.trace import Probe
from tests.packages import small_package, stream, weights
from tests.remote import Threads, start_executor

OPTIONS = Options(engine="null", threads=1, policy=Policy(tick_s=0.1, heartbeat_s=1.0, exclude_s=0.2))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("remote") / "package", "null")


def answers(executor: Remote, requests: Iterator[Values]) -> list[bytes]:
    found = list(executor.run(requests))
    assert [answer.request for answer in found] == list(range(len(found)))
    return [b"".join(value.tobytes() for value in answer.outputs.values()) for answer in found]


def right(package: Package, count: int) -> list[bytes]:
    with start_executor("in-process", package, OPTIONS) as executor:
        return answers(executor, stream(count))  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [2, 3])
def test_killed_workers_cost_no_request_and_change_no_byte(package: Package, tmp_path: Path, workers: int) -> None:
    members = Threads(workers, tmp_path)

    def deadly() -> Iterator[Values]:
        for number, values in enumerate(stream(60)):
            if number in (10, 25, 26, 45):
                members.restart(number % workers)
            yield values

    with Remote(package, OPTIONS, members) as executor:
        assert answers(executor, deadly()) == right(package, 60)
        assert sum(incident.what == "lost" for incident in executor.incidents) == 4
    left = [thread for thread in threading.enumerate() if thread.name.startswith("partwise-")]
    for thread in left:  # one that was told to end may still be on its way out, on a busy machine
        thread.join(10)
    assert not [thread for thread in left if thread.is_alive()]


def test_a_worker_that_never_comes_back_is_done_without(package: Package, tmp_path: Path) -> None:
    members = Threads(3, tmp_path)

    def deadly() -> Iterator[Values]:
        for number, values in enumerate(stream(30)):
            if number == 10:
                members.kill(1)
            yield values

    with Remote(package, OPTIONS, members) as executor:
        assert answers(executor, deadly()) == right(package, 30)


def test_a_worker_that_falls_silent_is_ended_and_started_again(package: Package, tmp_path: Path) -> None:
    members = Threads(2, tmp_path)

    def numbing() -> Iterator[Values]:
        for number, values in enumerate(stream(20)):
            if number == 8:
                members.workers[0].close()  # nobody is told
            yield values

    with Remote(package, OPTIONS, members) as executor:
        assert answers(executor, numbing()) == right(package, 20)
        assert next(incident.what for incident in executor.incidents) == "silent"


@pytest.mark.parametrize("word", ["Done", "Failed"])
def test_a_worker_that_answers_nonsense_is_replaced(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """A packet cut short, for a result and for a failure: it ends its worker, and not the run."""
    told, spoilt = Worker._tell, list[str]()  # pyright: ignore[reportPrivateUsage]

    def tell(self: Worker, said: wire.Word, frames: Sequence[Frame] = ()) -> None:
        if type(said).__name__ == word and not spoilt:
            spoilt.append(word)
            frames = [bytes(frames[0])[:5]]
        told(self, said, frames)

    monkeypatch.setattr(Worker, "_tell", tell)
    options = replace(OPTIONS, engine="null,fake:null+fail=9,null")
    with Remote(package, options, Threads(2, tmp_path)) as executor:
        assert answers(executor, stream(20)) == right(package, 20)
        assert [incident.what for incident in executor.incidents].count("lied") == 1
    assert spoilt


def test_a_worker_that_comes_late_takes_part(package: Package, tmp_path: Path) -> None:
    members = Threads(1, tmp_path)
    members.settings *= 2
    joined = list[int]()

    def growing() -> Iterator[Values]:
        for number, values in enumerate(stream(200)):
            if number == 5:
                members.arrive(1)
            joined.extend(worker for worker, _ in executor.fetched if worker == 1)
            yield values

    with Remote(package, OPTIONS, members) as executor:
        assert answers(executor, growing()) == right(package, 200)
    assert joined


def test_nothing_is_fetched_twice(package: Package, tmp_path: Path) -> None:
    needed = sum(s.graph.size + sum(w.blob.size for w in s.weights) for s in package.manifest.segments)
    found = list[tuple[int, int]]()
    for _ in range(2):
        with Remote(package, OPTIONS, Threads(1, tmp_path)) as executor:
            executor.ready()
            tally = executor.fetched.values()
        found.append((sum(f.fetched_bytes for f in tally), sum(f.kept_bytes for f in tally)))
    assert found == [(needed, 0), (0, needed)]


def test_bytes_that_a_workers_disk_has_lost_are_fetched_again(package: Package, tmp_path: Path) -> None:
    with Remote(package, OPTIONS, Threads(1, tmp_path)) as executor:
        executor.ready()
    for blob in (tmp_path / "0" / "blobs" / "sha256").iterdir():
        if blob.stat().st_size == 64:  # a weight of 4 x 4 floats
            os.truncate(blob, 0)
            blob.write_bytes(b"\1" * 64)
    with Remote(package, OPTIONS, Threads(1, tmp_path)) as executor:
        assert answers(executor, stream(3)) == right(package, 3)


def test_other_weights_are_refused_by_name(package: Package, tmp_path: Path) -> None:
    assert set(weights())
    other = small_package(tmp_path / "other", "torch")
    with (
        pytest.raises(RunError, match=r"worker 0 on .* has other weights: another package"),
        Remote(package, OPTIONS, Threads(1, tmp_path, package=str(other.path))) as executor,
    ):
        executor.ready()


def test_a_workers_own_copy_of_the_package_is_used(package: Package, tmp_path: Path) -> None:
    with Remote(package, OPTIONS, Threads(1, tmp_path, package=str(package.path))) as executor:
        assert answers(executor, stream(3)) == right(package, 3)
        assert {tally.fetched_bytes for tally in executor.fetched.values()} == {0}


def test_another_version_is_refused_by_name_and_the_others_go_on(package: Package, tmp_path: Path) -> None:
    class Mixed(Threads):
        def stated(self, number: int) -> Statement:
            stated = super().stated(number)
            return msgspec.structs.replace(stated, version="0.0.9") if number == 0 else stated

    with Remote(package, OPTIONS, Mixed(2, tmp_path)) as executor:
        assert answers(executor, stream(3)) == right(package, 3)
        (refused,) = executor.incidents
        assert {worker for worker, _ in executor.fetched} == {1}
    assert (refused.what, refused.worker) == ("refused", 0)
    assert "is of another version of Partwise" in refused.why
    assert "0.0.9" in refused.why


def test_a_stranger_is_refused(package: Package) -> None:
    invited = invitation(package, 3, "key", Probe())
    good = Statement(version=invited.version, packets=PACKET_VERSION, host="h", pid=1, key="k", endpoint="e")
    refuse_strangers(invited, good)
    refuse_strangers(invited, msgspec.structs.replace(good, package=package.digest))
    for changed in ({"version": "9"}, {"packets": "partwise.packet/0"}, {"package": "sha256:" + "0" * 64}):
        with pytest.raises(RunError, match="worker 3 on h"):
            refuse_strangers(invited, msgspec.structs.replace(good, **changed))


def test_an_invitation_and_a_capacity_survive_their_journey(package: Package) -> None:
    invited = invitation(package, 3, "key", Probe(nodes=True))
    assert msgspec.json.decode(msgspec.json.encode(invited), type=Invitation) == invited
    stated = node_resources(2, memory=12_000_000_000, parameters=None, layers=4)
    assert capacity_of(stated) == Capacity(bytes=12_000_000_000, layers=4)


def test_a_worker_gets_nothing_above_what_it_states(package: Package, tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="needs 1 layers, has 0"),
        Remote(package, OPTIONS, Threads(2, tmp_path, capacity=Capacity(layers=0))) as executor,
    ):
        executor.ready()
    with Remote(package, OPTIONS, Threads(3, tmp_path, capacity=Capacity(layers=1))) as executor:
        assert answers(executor, stream(3)) == right(package, 3)
        assert len({worker for worker, _ in executor.fetched}) == 3


def test_authentication_is_never_switched_off_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(InputError, match="switches authentication off"):
        require_token(make=True)
    monkeypatch.delenv("RAY_AUTH_MODE")
    with pytest.raises(InputError, match="is missing: the cluster's token"):
        require_token()
    require_token(make=True)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    require_token()


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_segment_is_cut_smaller_for_workers_that_lack_the_whole_graph(tmp_path: Path, kind: str) -> None:
    """The head has the graph and cuts; a worker gets the piece's graph with the message, its weights by digest."""
    pytest.importorskip("torch" if kind == "torch" else "onnxruntime")
    package = layered_package(tmp_path / "package", kind)
    name = package.manifest.inputs[0].tensor
    requests = [{name: np.random.default_rng(n).standard_normal((3, 16)).astype(np.float32)} for n in range(4)]
    options = Options(engine=package.manifest.engine, threads=1)
    with start_executor("in-process", package, options) as executor:
        expected = [[v.tobytes() for v in answer.outputs.values()] for answer in executor.run(requests)]
    members = Threads(4, tmp_path / "caches", capacity=Capacity(layers=2))
    with Remote(package, options, members) as executor:
        assert [[v.tobytes() for v in answer.outputs.values()] for answer in executor.run(requests)] == expected
        assert {incident.what for incident in executor.incidents} == {"divided"}
    kept = {path.name for path in (tmp_path / "caches").glob("*/blobs/sha256/*")}
    manifest = package.manifest
    whole = (manifest.graph, manifest.whole.digest, *(segment.graph.digest for segment in manifest.segments))
    assert not kept & {digest.removeprefix("sha256:") for digest in whole}
    assert len(kept) > 8  # the weights


def test_a_head_that_lacks_the_graph_says_that_it_cannot_cut(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    package = layered_package(tmp_path / "package", "onnx")
    blob_path(package.path, package.manifest.graph).unlink()
    with (
        pytest.raises(RunError, match=r"needs 4 layers, has 2.*came without its graph: no stage of it can be cut"),
        Remote(package, Options(engine="onnxruntime", threads=1), Threads(2, tmp_path / "caches",
                                                                          capacity=Capacity(layers=2))) as executor,
    ):  # fmt: skip
        executor.ready()


def layered_package(out: Path, kind: str) -> Package:
    """Eight layers in two segments."""
    import partwise

    if kind == "torch":
        torch = pytest.importorskip("torch")
        model = torch.nn.Sequential(*(torch.nn.Linear(16, 16) for _ in range(8))).eval()
        graph = partwise.capture(model, (torch.randn(3, 16),))
    else:
        model = str(layers_in_onnx(out.with_suffix(".onnx")))
        graph = partwise.capture(model)
    return partwise.cut(model, partwise.plan(graph, stages=2), out, check=False)


def layers_in_onnx(path: Path) -> Path:
    onnx = pytest.importorskip("onnx")
    chance, names = np.random.default_rng(0), ["x", *(f"y{n}" for n in range(1, 8)), "out"]
    values = chance.standard_normal((8, 16, 16)).astype(np.float32)
    held = [onnx.numpy_helper.from_array(value, f"w{n}") for n, value in enumerate(values)]
    nodes = [onnx.helper.make_node("MatMul", [names[n], f"w{n}"], [names[n + 1]]) for n in range(8)]
    x, out = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3, 16]) for name in ("x", "out"))
    graph = onnx.helper.make_graph(nodes, "main_graph", [x], [out], initializer=held)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10), path)
    return path
