"""Hub names, against a hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions
from tiny_models import save_bert, serve_hub, write_config

_STATIC = CaptureOptions(static=True, batch=2, sequence=5)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub with one model; the files that it is asked for."""
    save_bert(tmp_path / "model")
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"never fetched")
    write_config(tmp_path / "bare", {})
    (tmp_path / "bare" / "config.json").rename(tmp_path / "bare" / "readme.md")
    with serve_hub({"acme/tiny": tmp_path / "model", "acme/bare": tmp_path / "bare"}) as (address, asked):
        _point_at(address, tmp_path / "cache", monkeypatch)
        yield asked


def _point_at(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_capture_fetches_the_config_alone_and_weights_follow(hub: list[str]) -> None:
    source = open_model("acme/tiny", _STATIC)
    graph = source.capture()
    assert set(hub) == {"config.json"}
    assert len(source.weights(graph)) == len(graph.weights)
    assert set(hub) == {"config.json", "model.safetensors"}


def test_the_cache_serves_when_the_hub_is_gone(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_model("acme/tiny@v1", _STATIC)
    graph = source.capture()
    source.weights(graph)
    asked = len(hub)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    again = open_model("acme/tiny@v1", _STATIC)
    assert again.capture() == graph
    assert len(again.weights(graph)) == len(graph.weights)
    assert len(hub) == asked


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme/nothing", "is neither a path here nor a model on"),
        ("acme/tiny@no-such-branch", "has no such revision"),
        ("acme/bare", "has no config.json"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_hub_does_not_have(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        open_model(name)


def test_out_of_reach_and_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _point_at("http://127.0.0.1:9", tmp_path, monkeypatch)
    with pytest.raises(ModelError, match=r"is not in the cache, and http://127\.0\.0\.1:9 is out of reach"):
        open_model("acme/tiny")


@pytest.mark.parametrize("name", ["acme/..", "acme/a..b", "acme/tiny@../../etc", "acme/tiny@a/../b", "a--b/c"])
def test_names_that_would_leave_the_cache(name: str) -> None:
    with pytest.raises((UnsafeFileError, ModelError)):
        open_model(name)
