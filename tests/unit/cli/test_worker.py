"""`partwise worker` and `run --executor ray`: mistakes are found before anything is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.packages import small_package

from partwise.cli.main import partwise
from partwise.errors import InputError, ManifestError, PartwiseError, RunError


def call(*words: str) -> tuple[int, str, BaseException | None]:
    done = CliRunner().invoke(partwise, words)
    return done.exit_code, done.output, done.exception


@pytest.mark.parametrize("words", [(), ("--head", "--join", "a:1"), ("--head", "--memory", "12 apples")])
def test_wrong_usage(words: tuple[str, ...]) -> None:
    assert call("worker", *words)[0] == 2


@pytest.mark.parametrize(
    ("words", "kind", "what"),
    [
        (("--join", "nowhere"), InputError, "is no address"),
        (("--join", "127.0.0.1:1"), RunError, "cannot be reached"),
        (("--join", "host:99999"), InputError, "is no address"),
        (("--head", "--store", "/no/such/folder"), InputError, "is no folder"),
        (("--head", "--package", "/no/such/package"), ManifestError, "no package"),
    ],
)
def test_a_mistake_is_named(
    words: tuple[str, ...], kind: type[PartwiseError], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    code, _, error = call("worker", *words, "--cache", str(tmp_path))
    assert code != 0
    assert isinstance(error, kind)
    assert what in str(error)


@pytest.mark.parametrize("host", [(), ("--host", "127.0.0.1")])
def test_a_port_in_use_is_said_before_ray_starts(
    host: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        _, _, error = call("worker", "--head", "--port", port, *host, "--cache", str(tmp_path))
    assert isinstance(error, InputError)
    assert f"{port}: cannot be listened at (Address already in use)" in str(error)


def test_without_a_token_nothing_is_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    _, _, error = call("worker", "--join", "127.0.0.1:1", "--cache", str(tmp_path))
    assert isinstance(error, InputError)
    assert "the cluster's token" in str(error)


def test_a_run_on_a_cluster_needs_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = small_package(tmp_path / "package", "null")
    _, _, error = call("run", str(package.path), "--executor", "ray")
    assert isinstance(error, InputError)
    assert "--address HOST:PORT" in str(error)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    _, _, error = call("run", str(package.path), "--executor", "ray", "--address", "127.0.0.1:1")
    assert isinstance(error, RunError)
    assert "cannot be reached" in str(error)
