"""Hostile packages: each is refused with an error of ours, and nothing in it runs.

`change_graph` writes a manifest that fits the changed segment, as a hostile author would; the others damage a package
that somebody else wrote.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partwise.errors import (
    DigestMismatchError,
    GraphError,
    InputError,
    ManifestError,
    PackageError,
    PartwiseError,
    UnsafeFileError,
    UnsupportedOpError,
)  # fmt: skip
from partwise.packaging import Package, open_package
from partwise.runtime import run_package
from tests.packages import change_graph, change_manifest, example, small_package

Data = dict[str, Any]
MARK = "partwise-attack-ran"


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return small_package(tmp_path / "package")


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Attacks that try to run something would leave this file in the working directory."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / MARK).exists()


def load_all(package: Package) -> None:
    for number in range(3):
        package.segment(number)
    package.whole()


def blob(package: Package, tensor: str) -> Path:
    entries = {w.tensor: w.blob.digest for segment in package.manifest.segments for w in segment.weights}
    return package.path / "blobs/sha256" / entries[tensor].removeprefix("sha256:")


# Files that are not what the manifest promises.


@pytest.mark.parametrize("keep", [0, 1, 63])
def test_a_truncated_blob(package: Package, keep: int) -> None:
    blob(package, "w1").write_bytes(blob(package, "w1").read_bytes()[:keep])
    with pytest.raises(DigestMismatchError, match="another size"):
        load_all(package)


def test_swapped_blobs(package: Package) -> None:
    first, second = blob(package, "w0"), blob(package, "w1")
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    with pytest.raises(DigestMismatchError, match="other bytes"):
        load_all(package)


def test_swapped_segments(package: Package) -> None:
    first, second = (package.path / "segments" / f"segment_{number}.json" for number in (0, 2))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    with pytest.raises(DigestMismatchError):
        load_all(package)


@pytest.mark.parametrize("name", ["segments/segment_1.json", "blobs", "segments"])
def test_missing_files(package: Package, name: str) -> None:
    path = package.path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(PackageError, match="cannot be read"):
        load_all(package)


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b'{"version": "partwise.package/9"}', b"\xff\xfe"])
def test_a_manifest_that_is_none(package: Package, data: bytes) -> None:
    (package.path / "manifest.json").write_bytes(data)
    with pytest.raises(ManifestError):
        open_package(package.path)


def test_a_huge_manifest_is_not_read(package: Package) -> None:
    os.truncate(package.path / "manifest.json", 1 << 40)
    with pytest.raises(ManifestError, match="absurdly large"):
        open_package(package.path)


# Paths that leave the folder.


@pytest.mark.parametrize("linked", ["manifest.json", "segments", "segments/segment_0.json", "blobs", "blobs/sha256"])
def test_links_are_refused_even_to_the_right_bytes(package: Package, tmp_path: Path, linked: str) -> None:
    shutil.move(package.path / linked, tmp_path / "outside")
    (package.path / linked).symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafeFileError, match="is a link"):
        load_all(open_package(package.path))


def test_a_linked_blob(package: Package) -> None:
    blob(package, "w0").unlink()
    blob(package, "w0").symlink_to("/dev/zero")
    with pytest.raises(UnsafeFileError, match="is a link"):
        load_all(package)


def test_a_pipe_does_not_hang_the_reader(package: Package) -> None:
    blob(package, "w0").unlink()
    os.mkfifo(blob(package, "w0"))
    with pytest.raises(UnsafeFileError, match="no regular file"):
        load_all(package)


def test_a_package_may_itself_be_reached_by_a_link(package: Package, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(package.path)
    load_all(open_package(tmp_path / "alias"))


DIGESTS = ["sha256:../../../../etc/passwd", "../x", "sha256:" + "A" * 64, "md5:" + "0" * 64, "sha256:" + "0" * 63, ""]


@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("place", ["plan", "whole", "graph", "weight", "segment"])
def test_a_digest_is_no_path(package: Package, digest: str, place: str) -> None:
    def lie(manifest: Data) -> None:
        segment = manifest["segments"][0]
        match place:
            case "graph":
                manifest["graph"] = digest
            case "weight":
                segment["weights"][0]["blob"]["digest"] = digest
            case "segment":
                segment["graph"]["digest"] = digest
            case _:
                manifest[place]["digest"] = digest

    change_manifest(package, lie)
    with pytest.raises(ManifestError):
        open_package(package.path)


# A manifest that lies.


def lie(path: str, value: object) -> Callable[[Data], None]:
    """Set a field: `segments.0.weights.0.shape`."""

    def change(data: Any) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in way:
            data = data[step]
        data[last] = value

    return change


LIES = {
    "size": lie("segments.0.weights.0.blob.size", 10**12),
    "negative size": lie("segments.0.weights.0.blob.size", -1),
    "dtype": lie("segments.0.weights.0.dtype", "float64"),
    "unknown dtype": lie("segments.0.weights.0.dtype", "object"),
    "string weight": lie("segments.0.weights.0.dtype", "string"),
    "shape": lie("segments.0.weights.0.shape", [4, 5]),
    "huge graph": lie("segments.0.graph.size", 10**12),
    "huge plan": lie("plan.size", 10**12),
    "empty weight of no shape": lambda m: m["segments"][0]["weights"][0].update(
        shape=[0, 2**62, 2**62], order=[0, 1, 2], blob={**m["segments"][0]["weights"][0]["blob"], "size": 0}
    ),
    "negative shape": lie("segments.0.weights.0.shape", [-4, -4]),
    "huge shape": lie("segments.0.weights.0.shape", [10**30, 10**30]),
    "order": lie("segments.0.weights.0.order", [0, 0]),
    "order too long": lie("segments.0.weights.0.order", [0, 1, 2]),
    "float shape": lie("segments.0.weights.0.shape", [4.5, 4]),
    "no segments": lie("segments", []),
    "later source": lie("segments.0.inputs.0.source", 2),
    "own source": lie("segments.1.inputs.0.source", 1),
    "negative source": lie("segments.1.inputs.0.source", -3),
    "input of nobody": lie("segments.0.inputs.0.tensor", "nothing"),
    "input of another type": lie("segments.0.inputs.0.dtype", "int64"),
    "model input of another shape": lie("inputs.0.shape", ["batch", 5]),
    "output of nobody": lie("outputs.0.tensor", "nothing"),
    "repeated input": lambda m: m["inputs"].append(m["inputs"][0]),
    "repeated output": lambda m: m["segments"][1]["outputs"].append(m["segments"][0]["outputs"][0]),
    "repeated weight": lambda m: m["segments"][0]["weights"].append(m["segments"][0]["weights"][0]),
    "repeated symbol": lambda m: m["symbols"].append(m["symbols"][0]),
    "two weights of one name": lambda m: m["segments"][0]["weights"].append(
        m["segments"][1]["weights"][0] | {"tensor": "w2"}
    ),
    "power": lie("inputs.0.shape", ["9**9**9", 4]),
    "call": lie("inputs.0.shape", ["__import__('os')", 4]),
    "attribute": lie("inputs.0.shape", ["batch.real", 4]),
    "unknown symbol": lie("inputs.0.shape", ["sequence", 4]),
    "long expression": lie("inputs.0.shape", ["+".join(["batch"] * 9999), 4]),
    "deep expression": lie("inputs.0.shape", ["(" * 900 + "batch" + ")" * 900, 4]),
    "symbol with code": lie("symbols.0.name", f"b=__import__('os').system('touch {MARK}')"),
    "keyword symbol": lie("symbols.0.name", "lambda"),
    "symbol of nothing": lie("symbols.0.input", "nothing"),
    "symbol of no dim": lie("symbols.0.dim", 7),
    "unknown format": lie("format", "pickle"),
    "nan": lie("difference", {"y": "NaN"}),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_manifest(package: Package, name: str) -> None:
    change_manifest(package, LIES[name])
    with pytest.raises(ManifestError):
        open_package(package.path)


def test_an_absurd_number(package: Package) -> None:
    path = package.path / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"flops":0', b'"flops":' + b"9" * 100_000))
    with pytest.raises(ManifestError):
        open_package(package.path)


def test_deep_nesting(package: Package) -> None:
    (package.path / "manifest.json").write_bytes(b'{"notes":' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    with pytest.raises(ManifestError):
        open_package(package.path)


def test_the_manifest_may_not_be_a_huge_multiplication(package: Package) -> None:
    """Products of long numbers stay small enough to compute: an expression has at most 2,000 characters."""
    change_manifest(package, lie("inputs.0.shape", ["*".join(["9" * 20] * 50) + "*batch", 4]))
    with pytest.raises(PartwiseError):
        run_package(package.path, example(), save=False)


# A graph that is not the manifest's, or asks for what no graph may.


def node(op: str, args: list[object], kwargs: Data | None = None) -> Callable[[Data], None]:
    """Put an operator where segment 1 has its linear."""

    def change(graph: Data) -> None:
        graph["nodes"][0].update(op=op, args=args, kwargs=kwargs or {})

    return change


X = {"ref": "active"}
OPERATORS = {
    "reads and writes files": node("aten.from_file.default", [MARK, True, 4]),
    "runs anything": node("operator.methodcaller", ["system", f"touch {MARK}"]),
    "wildcard": node("aten.*", [X]),
    "dunder": node("aten.__class__.default", [X]),
    "dunder overload": node("aten.relu.__init__", [X]),
    "no overload": node("aten.relu", [X]),
    "other namespace": node("prim.Print.default", [X]),
    "deeper name": node("aten.relu.default.__globals__", [X]),
    "python": node("builtins.eval", [f"open('{MARK}', 'w')"]),
    "empty": node("", []),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_outside_the_table(package: Package, name: str) -> None:
    changed = change_graph(package, 1, OPERATORS[name])
    with pytest.raises(UnsupportedOpError, match="has no row in the operator table"):
        run_package(changed, example(), save=False)


def test_an_onnx_operator_in_a_torch_segment(package: Package) -> None:
    changed = change_graph(package, 1, node("onnx.Relu", [X]))
    with pytest.raises((UnsupportedOpError, ManifestError)):
        changed.segment(1)


ABSURD = {
    "literal": node("aten.full.default", [[10**9, 10**9], 1]),
    "by keyword": node("aten.full.default", [], {"size": [10**9, 10**9], "fill_value": 1}),
    "range": node("aten.arange.default", [10**15]),
    "fine range": node("aten.arange.start_step", [0, 1, {"float": (1e-30).hex()}]),
    "float range": node("aten.arange.start_step", [{"float": "0x0p+0"}, {"float": "inf"}, 1]),
    "no number of steps": node("aten.arange.start_step", [0, {"float": "nan"}, 1]),
    "square": node("aten.eye.default", [10**9]),
    "sides": node("aten.eye.m", [10**9, 10**9]),
    "steps": node("aten.linspace.default", [0, 1, 10**15]),
    "powers": node("aten.logspace.default", [0, 1, 10**15]),
    "frequencies": node("aten.fft_fftfreq.default", [10**15, {"float": (1e-30).hex()}]),
    "half the frequencies": node("aten.fft_rfftfreq.default", [], {"n": 10**15, "d": {"float": "0x0p+0"}}),
    "new": node("aten.new_zeros.default", [X, [10**9, 10**9]]),
    "symbolic": node("aten.zeros.default", [[{"sym": "batch*10000000000000000"}, 4]]),
    "repeated": node("aten.repeat.default", [X, [10**12, 1]]),
    "padded": node("aten.constant_pad_nd.default", [X, [0, 10**15]]),
    "beyond floats": node("aten.arange.default", [10**400]),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_sizes(package: Package, name: str) -> None:
    changed = change_graph(package, 1, ABSURD[name])
    with pytest.raises(PartwiseError, match=r"absurd size|no JSON"):
        changed.segment(1)


def test_an_absurd_size_that_the_inputs_decide(package: Package) -> None:
    """Small at the sizes of the capture, absurd at those of the run."""
    power = "*".join(["batch"] * 30)
    changed = change_graph(package, 1, node("aten.zeros.default", [[{"sym": power}]]))
    changed.segment(1)
    with pytest.raises(GraphError, match="absurd size"):
        run_package(changed, example(batch=9), save=False)


def constant(shape: list[int], data: str) -> Callable[[Data], None]:
    def change(graph: Data) -> None:
        graph["tensors"].append({"name": "c", "dtype": "float32", "shape": shape})
        graph["constants"].append({"tensor": "c", "data": data})

    return change


def other(path: str, value: object) -> Callable[[Data], None]:
    return lie(path, value)


GRAPHS = {
    "another input": other("inputs", ["active", "x"]),
    "no input": other("inputs", []),
    "another output": other("outputs", [{"name": "second", "tensor": "active"}]),
    "another shape": other("tensors.1.shape", ["batch", 9]),
    "another dtype": lambda g: [t.update(dtype="float64") for t in g["tensors"]] and None,
    "a weight too few": other("weights", []),
    "a weight too many": lambda g: g["weights"].append({"tensor": "second", "key": "second", "trainable": False}),
    "another weight's shape": lambda g: [
        t.update(shape=[4, 9]) for t in g["tensors"] if t["name"] == "w1"
    ] and None,
    "other symbols": other("symbols", []),
    "a symbol with code": other("symbols.0.name", f"b=open('{MARK}','w')"),
    "a keyword with code": other("nodes.0.kwargs", {f"a=open('{MARK}','w')": 1}),
    "a keyword of the language": other("nodes.0.kwargs", {"lambda": 1}),
    "a module as dtype": other("nodes.0.kwargs", {"dtype": {"enum": "dtype:os"}}),
    "a function as dtype": other("nodes.0.kwargs", {"dtype": {"enum": "dtype:load"}}),
    "a device": other("nodes.0.kwargs", {"device": {"enum": "device:cuda"}}),
    "an unknown space": other("nodes.0.args", [{"enum": "sys:exit"}]),
    "two kinds of literal": other("nodes.0.args", [{"ref": "active", "sym": "batch"}]),
    "a float that is none": other("nodes.0.args", [{"float": "0x1p99999"}]),
    "code as size": other("nodes.0.args", [X, {"sym": f"open('{MARK}','w')"}]),
    "a name twice": lambda g: g["nodes"].append(g["nodes"][0]),
    "a use before its definition": other("nodes.0.args", [{"ref": "later"}]),
    "a node without output": other("nodes.0.outputs", []),
    "deep arguments": other("nodes.0.args", [[[[[[[[[[1]]]]]]]]]]),
    "deep JSON": lambda _: b"[" * 500_000 + b"]" * 500_000,
    "no JSON": lambda _: b"\x80\x04cos\nsystem\n",
    "another format": other("format", "onnx"),
    "another version": other("version", "partwise.graph/9"),
    "a lying constant": constant([1000], base64.b64encode(b"1234").decode()),
    "a huge constant": constant([1 << 20], base64.b64encode(bytes(4 << 20)).decode()),
    "an empty constant of no shape": constant([0, 2**62, 2**62], ""),
    "a constant that is no base64": constant([1], "@@@@"),
    "a constant without a shape": constant(["batch"], base64.b64encode(b"12341234").decode()),  # type: ignore[list-item]
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_not_the_manifests(package: Package, name: str) -> None:
    changed = change_graph(package, 1, GRAPHS[name])
    with pytest.raises((ManifestError, InputError)):
        changed.segment(1)


def test_a_whole_that_is_not_the_manifests(package: Package) -> None:
    data = json.loads((package.path / "segments/segment_1.json").read_bytes())
    written = json.dumps(data).encode()
    from partwise.digest import sha256_digest

    digest = sha256_digest(written)
    (package.path / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(written)
    change_manifest(package, lambda m: m["whole"].update(digest=digest, size=len(written)))
    with pytest.raises(ManifestError, match="whole"):
        open_package(package.path).whole()


def test_a_hostile_author_gets_an_error_from_a_worker_too(package: Package) -> None:
    changed = change_graph(package, 1, OPERATORS["runs anything"])
    with pytest.raises(UnsupportedOpError):
        run_package(changed, example(), executor="processes", engine="null", save=False)
