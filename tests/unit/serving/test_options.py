"""What a server is told, refused before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from partwise.errors import InputError, ManifestError
from partwise.serving import ServeOptions, serve
from tests.packages import small_package

KEY = "0123456789abcdef"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_needs_no_key(host: str) -> None:
    ServeOptions(host=host).check(None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_others_need_one(host: str) -> None:
    with pytest.raises(InputError, match="a key is needed"):
        ServeOptions(host=host).check(None)
    with pytest.raises(InputError, match="is too short"):
        ServeOptions(host=host).check(KEY[:-1])
    ServeOptions(host=host).check(KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", -1), ("max_batch", 0), ("batch_delay_s", -1), ("max_body_bytes", 0), ("max_queue", 0), ("timeout_s", 0)],
)
def test_figures_out_of_range(name: str, value: int) -> None:
    with pytest.raises(InputError):
        ServeOptions(**{name: value}).check(None)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "?"])
def test_a_name_that_no_route_can_hold(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no name that can stand in a route"):
        serve(small_package(tmp_path / "package", "null"), ServeOptions(port=0, name=name))


def test_a_model_that_cannot_be_loaded_ends_the_server_with_its_error(tmp_path: Path) -> None:
    package = small_package(tmp_path / "package", "null")
    with pytest.raises(InputError, match="engine `abacus`: is unknown"):
        serve(package, ServeOptions(port=0, engine="abacus", executor="in-process"))
    with pytest.raises(InputError, match="at most 65535"):
        serve(package, ServeOptions(port=70000))
    with pytest.raises(ManifestError):
        serve(tmp_path)
