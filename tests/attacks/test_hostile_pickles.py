"""Pickles that try to run code, to fill memory or to reach beyond themselves. None may leave a mark."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions
from partwise.frontends.weights.convert import to_safetensors
from partwise.frontends.weights.unpickling import worker

_SUFFIXES = (".pkl", ".pt", ".pth", ".bin", ".ckpt")


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


class Named:
    """Pickles as a global of any name, that of a module which need not exist here."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.module, self.name, self.arguments = module, name, arguments

    def stream(self) -> bytes:
        """A pickle that calls it with its arguments."""
        head = b"c" + self.module.encode() + b"\n" + self.name.encode() + b"\n("
        return head + b"".join(b"V" + str(a).encode() + b"\n" for a in self.arguments) + b"tR."


def _calls(mark: Path) -> dict[str, Any]:
    touch = f"touch {mark}"
    code = f"open({str(mark)!r}, 'w').close()"
    return {
        "os.system": Call(os.system, touch),
        "builtins.eval": Call(eval, code),
        "builtins.exec": Call(exec, code),
        "builtins.open": Call(open, str(mark), "w"),
        "nested in a tensor": {"a": torch.ones(1), "b": {"c": [Call(os.system, touch)]}},
        "as a key": {Call(os.system, touch): torch.ones(1)},
        "beside honest tensors": {"w": np.ones(3), "x": Call(eval, code)},
        "an attribute": Call(getattr, "os", "system"),
    }


@pytest.mark.parametrize("suffix", _SUFFIXES)
@pytest.mark.parametrize("attack", list(_calls(Path("."))))
def test_calls_are_refused_by_name(attack: str, suffix: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / f"w{suffix}"
    value = _calls(mark)[attack]
    path.write_bytes(pickle.dumps(value)) if suffix == ".pkl" else torch.save(value, path)
    with pytest.raises(UnsafeFileError, match=r"refused: (posix|builtins|__builtin__|_?io)\.") as caught:
        to_safetensors(path, tmp_path / "out")
    assert caught.value.exit_code == 3
    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("posix", "system", ("touch MARK",)),
        ("subprocess", "Popen", ("touch MARK",)),
        ("torch.serialization", "load", ("other.pt",)),
        ("torch", "load", ("other.pt",)),
        ("torch.hub", "load", ("a/b", "c")),
        ("torch.storage", "_load_from_bytes.__globals__", ()),
        ("torch._utils", "_rebuild_tensor_v2.__globals__", ()),
        ("numpy.core.multiarray", "_reconstruct.__class__", ()),
        ("collections", "OrderedDict.fromkeys", ()),
        ("operator", "methodcaller", ("system",)),
        ("runpy", "_run_code", ("1",)),
        ("importlib", "import_module", ("antigravity",)),
        ("numpy.testing._private.utils", "runstring", ("1", "2")),
        ("torch.fx.graph_module", "reduce_graph_module", ("1",)),
        ("partwise.frontends.weights.unpickling.worker", "main", ()),
    ],
)
def test_globals_are_never_looked_up(module: str, name: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    stream = Named(module, name, *(a.replace("MARK", str(mark)) for a in arguments)).stream()
    (tmp_path / "w.pkl").write_bytes(stream)
    with pytest.raises(UnsafeFileError, match=f"refused: {module}.{name}".replace(".", r"\.")):
        to_safetensors(tmp_path / "w.pkl", tmp_path / "out")
    assert not mark.exists()


def test_every_way_into_the_tool_goes_through_the_reader(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({"0.weight": Call(os.system, f"touch {mark}")}, tmp_path / "w.pt")
    source = open_model(tmp_path / "w.pt", CaptureOptions(module="tiny_models:mlp_with_inputs"))
    graph = source.capture()
    with pytest.raises(UnsafeFileError, match="posix"):
        source.weights(graph)
    assert not mark.exists()


def test_a_storage_nested_as_bytes_is_read_by_the_same_rules(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    inner = pickle.dumps(Call(os.system, f"touch {mark}"))
    stream = b"ctorch.storage\n_load_from_bytes\n(B" + struct.pack("<I", len(inner)) + inner + b"tR."
    (tmp_path / "w.pkl").write_bytes(stream)
    with pytest.raises(UnsafeFileError, match=r"posix\.system"):
        to_safetensors(tmp_path / "w.pkl", tmp_path / "out")
    assert not mark.exists()


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x04" + b"\x8e" + struct.pack("<Q", 1 << 40) + b".",  # a string of 1 TiB that is not there
        b"\x80\x04N\x94" + b"r" + struct.pack("<I", 0x7FFFFFFF) + b".",  # a memo with two billion places
        b"\x80\x04" + b"(" * 2_000_000 + b".",
        b"\x80\x04" + b"]" + b"\x94" + (b"]" + b"h\x00a") * 200_000 + b".",
    ],
)
def test_memory_bombs_end_within_the_limits(stream: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pkl").write_bytes(stream)
    with pytest.raises((UnsafeFileError, ModelError)):
        to_safetensors(tmp_path / "w.pkl", tmp_path / "out")


def test_the_limits_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process sets for itself, seen from within by a file that doubles a string until it may not."""
    (tmp_path / "w.pkl").write_bytes(b"x")
    set_limits = list[tuple[int, int]]()
    monkeypatch.setattr(worker, "_at_most", lambda kind, value: set_limits.append((kind, value)))
    worker._limit(1000)
    kinds = dict(set_limits)
    assert kinds[worker.resource.RLIMIT_AS] < 4 << 30
    assert kinds[worker.resource.RLIMIT_CPU] == 60
    assert kinds[worker.resource.RLIMIT_FSIZE] < 32 << 20


@pytest.mark.parametrize("event", ["import", "open", "os.system", "subprocess.Popen", "socket.connect", "exec"])
def test_the_second_wall_forbids_what_no_file_needs(event: str) -> None:
    with pytest.raises(worker.Broken, match=event):
        worker._forbid(event, ())
    worker._forbid("pickle.find_class", ())


def _tensor(storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A torch file whose one tensor has these sizes, whatever its storage holds."""

    class Lie:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (storage, offset, shape, stride, False, {})

    buffer = io.BytesIO()
    torch.save({"a": Lie()}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("offset", "shape", "stride", "message"),
    [
        (0, (1 << 40,), (0,), "describes .* bytes of tensors in a file of"),
        (0, (5,), (1,), "outside its storage"),
        (3, (2,), (1,), "outside its storage"),
        (0, (2, 2), (1 << 60, 1), "outside its storage"),
        (-1, (2,), (1,), "no known way"),
        (0, (-2,), (1,), "no sizes"),
        (0, (2,), (-1,), "no sizes"),
        (0, (2,), (1, 1), "no sizes"),
    ],
)
def test_lying_tensors(offset: int, shape: Any, stride: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(_tensor(torch.ones(4)._typed_storage(), offset, shape, stride))
    with pytest.raises(ModelError, match=message):
        to_safetensors(tmp_path / "w.pt", tmp_path / "out")


def _rezip(path: Path, change: Callable[[str, bytes], tuple[str, bytes]], compress: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as old:
        members = [change(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", compress) as new:
        for name, data in members:
            new.writestr(name, data)


def test_a_zip_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(1 << 20)}, path)
    _rezip(path, lambda name, data: (name, data), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    with pytest.raises(ModelError, match=r"overlap|compressed"):
        to_safetensors(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, data: (name, data[:-4] if name.endswith("/data/0") else data), "should have 16"),
        (lambda name, data: (name.replace("/data/0", "/../../data/0"), data), "lacks `data/0`"),
        (lambda name, data: (name, b"big" if name.endswith("byteorder") else data), "big-endian"),
        (lambda name, data: (name.replace("data.pkl", "else.pkl"), data), "torch.save did not write"),
        (lambda name, data: ("w/version" if name.endswith("data/0") else name, data), "repeat|lacks"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_lying_archives(change: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.ones(4)}, path)
    _rezip(path, change)
    with pytest.raises(ModelError, match=message):
        to_safetensors(path, tmp_path / "out")


def test_a_file_of_two_kinds(tmp_path: Path) -> None:
    """A pickle with an archive behind it: torch would read the first, zip readers the second."""
    path = tmp_path / "w.pt"
    torch.save({"a": torch.ones(4)}, path)
    for front in (pickle.dumps({"a": np.zeros(4)}), b"\0"):
        (tmp_path / "two.pt").write_bytes(front + path.read_bytes())
        with pytest.raises(ModelError, match="something before its archive"):
            to_safetensors(tmp_path / "two.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({3: torch.ones(1), "3": torch.zeros(1)}, "two tensors of one name"),
        ({"a\udc80": torch.ones(1)}, "no text"),
    ],
)
def test_names_that_are_none(weights: dict[Any, Any], message: str, tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        to_safetensors(tmp_path / "w.pt", tmp_path / "out")


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.full((64,), 3.0)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<f", 3.0)) + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        to_safetensors(path, tmp_path / "out")
