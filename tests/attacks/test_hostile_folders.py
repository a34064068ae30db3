"""Model folders, hub names and archives that try to run code or to reach outside themselves."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from partwise.errors import ModelError, PartwiseError, UnsafeFileError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions
from partwise.ir import Graph
from tiny_models import BERT, save_bert, write_config

_STATIC = CaptureOptions(static=True, batch=2, sequence=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An honest folder, to be spoilt."""
    save_bert(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def graph(folder: Path) -> Graph:
    """Its graph, captured before."""
    return open_model(folder, _STATIC).capture()


def _plant(folder: Path, mark: Path) -> None:
    """Code that leaves a mark wherever it is imported from."""
    for name in ("modeling_own.py", "configuration_own.py", "custom_generate.py", "__init__.py"):
        (folder / name).write_text(f"open({str(mark)!r}, 'w').close()\n")


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "own", "architectures": ["OwnModel"]},
        {"architectures": ["OwnModel"]},
        {"model_type": "own"},
    ],
)
def test_custom_code_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    auto_map = {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    folder = write_config(tmp_path / "m", BERT, auto_map=auto_map, **changes)
    _plant(folder, tmp_path / "mark")
    with pytest.raises(UnsafeFileError, match="never executed"):
        open_model(folder, _STATIC).capture()
    assert not (tmp_path / "mark").exists()


def test_custom_code_beside_a_known_class_is_not_run(folder: Path, graph: Graph, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "modeling_own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    _plant(folder, tmp_path / "mark")
    source = open_model(folder, _STATIC)
    assert any("not executed" in note for note in source.capture().notes)
    source.weights(graph)
    assert not (tmp_path / "mark").exists()


def test_weights_named_by_the_config_are_not_followed(folder: Path, graph: Graph, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_weights": "../elsewhere.safetensors"}))
    (folder / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    with pytest.raises(ModelError, match="there are no weights"):
        open_model(folder).weights(graph)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "sub/../../secret.safetensors", "..", ""])
def test_an_index_cannot_leave_its_folder(name: str, folder: Path, graph: Graph) -> None:
    (folder / "model.safetensors").rename(folder.parent / "secret.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises((UnsafeFileError, ModelError), match=r"elsewhere|lacks"):
        open_model(folder).weights(graph)


@pytest.mark.parametrize("file", ["model.safetensors", "model.safetensors.index.json"])
def test_a_link_cannot_leave_its_folder(file: str, folder: Path, graph: Graph) -> None:
    outside = folder.parent / "outside"
    if file == "model.safetensors":
        (folder / file).rename(outside)
    else:
        outside.write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    (folder / file).symlink_to(outside)
    with pytest.raises(UnsafeFileError, match="is a link that leaves its folder"):
        open_model(folder).weights(graph)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 3}}'])
def test_an_index_that_is_none(text: str, folder: Path, graph: Graph) -> None:
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match=r"is no index|is no JSON"):
        open_model(folder).weights(graph)


def test_pickles_and_adapters_beside_safetensors_are_not_touched(folder: Path, graph: Graph, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "mark"), "w")

    for name in ("pytorch_model.bin", ".metadata", "training_args.bin", "adapter_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Evil()))
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/base", "peft_type": "LORA"}')
    (folder / "generation_config.json").write_text('{"custom_generate": "evil/code"}')
    open_model(folder).weights(graph)
    assert not (tmp_path / "mark").exists()


def test_a_truncated_shard_is_named(folder: Path, graph: Graph) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors: holds another number of bytes"):
        open_model(folder).weights(graph)


@pytest.mark.parametrize(
    ("shape", "offsets"),
    [
        ([0, 2**62, 2**62], [0, 0]),
        ([1] * 65, [0, 4]),
        ([10**30, 10**30], [0, 4]),
        ([True], [0, 4]),
        ([1], [False, 4]),
        ([-1], [0, 4]),
        ([1], [0, 8]),
        ([1], [-4, 0]),
        ([1.0], [0, 4]),
    ],
)
def test_a_shard_whose_header_lies(shape: list[Any], offsets: list[Any], folder: Path, graph: Graph) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(offsets[1]))
    with pytest.raises(ModelError, match=r"lies|not described"):
        open_model(folder).weights(graph)


@pytest.mark.parametrize(
    "changes",
    [
        {"intermediate_size": -1},
        {"hidden_size": 1 << 62},
        {"num_attention_heads": 0},
        {"vocab_size": -5},
        {"hidden_act": "os"},
    ],
)
def test_absurd_configs_are_model_errors(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PartwiseError):
        open_model(write_config(tmp_path, BERT, **changes), _STATIC).capture()


@pytest.mark.parametrize(
    "name",
    ["acme/../../etc", "acme/tiny@../../../etc/passwd", "acme/tiny;rm -rf", "acme/%2e%2e", "-acme/x", "https://x/y"],
)
def test_hub_names_are_names(name: str) -> None:
    with pytest.raises((ModelError, UnsafeFileError)):
        open_model(name)


def _save_pt2(path: Path) -> Path:
    program = torch.export.export(torch.nn.Linear(2, 2).eval(), (torch.zeros(1, 2),), strict=False)
    torch.export.save(program.run_decompositions({}), path)
    return path


def _change_pt2(path: Path, member: str, change: Any) -> None:
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, change(data) if name.endswith(member) else data)


@pytest.mark.filterwarnings("ignore")
def test_the_pickled_parts_of_an_archive_are_never_read(tmp_path: Path) -> None:
    path, mark = _save_pt2(tmp_path / "m.pt2"), tmp_path / "mark"

    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(mark), "w")

    _change_pt2(path, "sample_inputs/model.pt", lambda _: pickle.dumps(Evil()))
    source = open_model(path)
    source.weights(source.capture())
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("member", "old", "new", "message"),
    [
        ("model_weights_config.json", b'"use_pickle": false', b'"use_pickle": true', "as a pickle"),
        ("model_weights_config.json", b'"weight_0"', b'"../../weight_0"', "lacks"),
        ("model_weights_config.json", b'"as_int": 2', b'"as_int": 4611686018427387904', "outside its storage"),
        ("model_weights_config.json", b'"as_int": 2', b'"as_int": -2', "outside its storage"),
        ("model.json", b"torch.ops.aten.linear.default", b"torch.ops.aten.from_file.default", "aten.from_file"),
        ("model.json", b"torch.ops.aten.linear.default", b"_operator.methodcaller", "_operator.methodcaller"),
        ("model.json", b"torch.ops.aten.linear.default", b"torch.ops.aten.os.system", "aten.os.system"),
        ("model.json", b'"as_tensor": {"name": "p_weight"}', b'"as_tensor": {"name": "nobody"}', "does not understand"),
        ("model.json", b'"graph_module"', b'"something"', "does not understand"),
        ("model.json", b"{", b"[", "table of contents"),
    ],
)
def test_lying_archives(member: str, old: bytes, new: bytes, message: str, tmp_path: Path) -> None:
    path = _save_pt2(tmp_path / "m.pt2")
    _change_pt2(path, member, lambda data: data.replace(old, new))
    with pytest.raises(PartwiseError, match=message):
        open_model(path).capture()


def test_an_archive_without_a_program(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as archive:
        archive.writestr("m/serialized_exported_program.json", "{}")
    with pytest.raises(ModelError, match="save it again"):
        open_model(tmp_path / "m.pt2")
    (tmp_path / "m.pt2").write_bytes(b"no zip")
    with pytest.raises(ModelError, match="broken zip"):
        open_model(tmp_path / "m.pt2")
