"""A configuration against a package: what can be obeyed, and what is refused by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from partwise.errors import InputError, PartwiseError
from partwise.packaging import Package
from partwise.runtime.config import (
    check_config,
    configured_engine,
    configured_workers,
    make_pace,
    parse_config,
    stage_devices,
)
from partwise.runtime.config.schema import Config, Devices
from tests.packages import heavy_package, small_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small_package(tmp_path_factory.mktemp("config") / "package", "null")


def config(text: str) -> Config:
    return parse_config(f"version: partwise.config/1\n{text}".encode(), "split.yaml")


def test_what_can_be_obeyed(package: Package) -> None:
    check_config(config(f"package: {package.digest[:20]}\nmemory: {{budget: 1GB, weights: resident}}"), package)
    check_config(config("devices: {default: cpu, stages: {0: cpu}, operations: {aten.*: cpu}}"), package)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("package: sha256:00", "package: is not the one that the configuration is for"),
        ("memory: {pinned: true}", "memory.pinned: nothing here can do that"),
        ("memory: {unified: true}", "memory.unified: nothing here can do that"),
        ("devices: {stages: {3: cpu}}", "devices.stages, 3: there is no such stage; expected 0 to 2"),
    ],
)
def test_what_is_refused(package: Package, text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:  # noqa: PT012 - whichever of the two sees it
        check_config(config(text), package)
        configured_engine(config(text), package, None)
    assert said in str(refused.value)


@pytest.fixture
def heavy(tmp_path: Path) -> Package:
    return heavy_package(tmp_path / "package")


def test_a_budget_is_the_planners_figure(heavy: Package) -> None:
    with pytest.raises(InputError, match=r"memory\.budget: 3 stages need 6\.00 MiB"):
        configured_workers(config("memory: {budget: 5MiB}"), heavy, None)
    assert configured_workers(config("memory: {budget: 6MiB}"), heavy, None) is None
    with pytest.raises(InputError, match=r"3 stages need 9\.00 MiB"):  # a fourth worker has the largest once more
        configured_workers(config("memory: {budget: 6MiB}"), heavy, 4)


@pytest.mark.parametrize(("budget", "workers"), [("3MiB", 1), ("4MiB", 1), ("5MiB", 2), ("6MiB", 3), ("9GiB", 3)])
def test_streamed_weights_take_as_many_workers_as_the_budget_allows(heavy: Package, budget: str, workers: int) -> None:
    streamed = config(f"memory: {{weights: streamed, budget: {budget}}}")
    assert configured_workers(streamed, heavy, None) == workers
    assert configured_workers(streamed, heavy, 1) == 1


def test_streamed_weights_above_the_budget_are_refused(heavy: Package) -> None:
    with pytest.raises(InputError, match=r"memory\.budget: 1 of 3 stages at once need 3\.00 MiB"):
        configured_workers(config("memory: {weights: streamed, budget: 2MiB}"), heavy, None)
    with pytest.raises(InputError, match=r"memory\.budget: 2 of 3 stages at once need 5\.00 MiB"):
        configured_workers(config("memory: {weights: streamed, budget: 4MiB}"), heavy, 2)
    assert configured_workers(config("memory: {weights: streamed}"), heavy, 7) == 7


def test_the_static_map_of_stages_and_operations(package: Package) -> None:
    """A stage's entry first, then its operations, then the default."""
    assert stage_devices(Devices(default="gpu", stages={1: "cpu"}), package) == ("gpu", "cpu", "gpu")
    assert stage_devices(Devices(operations={"aten.*": "gpu", "aten.linear.default": "gpu"}), package) == ("gpu",) * 3
    linear = Devices(operations={"aten.linear.default": "gpu"})
    with pytest.raises(InputError, match=r"stage 0: holds `aten.relu.default` for `cpu` and `aten.linear.default` for"):
        stage_devices(linear, package)
    mixed = Devices(operations={"aten.linear.default": "gpu"}, stages={0: "cpu", 2: "cpu"})
    assert stage_devices(mixed, package) == ("cpu", "gpu", "cpu")


@pytest.mark.parametrize(
    ("text", "engine", "found"),
    [
        ("", None, "null,null,null"),
        ("devices: {stages: {1: 'fake:null+speed=0.5'}}", None, "null,fake:null+speed=0.5,null"),
        ("devices: {default: 'fake:null+speed=0.5', stages: {0: cpu}}", "null", "null" + ",fake:null+speed=0.5" * 2),
    ],
)
def test_devices_become_engines(package: Package, text: str, engine: str | None, found: str) -> None:
    assert configured_engine(config(text), package, engine) == found


@pytest.mark.parametrize("device", ["gpu", "torch:cuda:77", "npu:7"])
def test_a_device_that_is_not_here_is_said_at_once(package: Package, device: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(PartwiseError) as refused:
        configured_engine(config(f"devices: {{stages: {{1: '{device}'}}}}"), package, "torch")
    assert device.removeprefix("torch:") in str(refused.value)


def test_a_device_of_the_engines_own_is_not_overruled(package: Package) -> None:
    with pytest.raises(InputError, match="has a device of its own"):
        configured_engine(config("devices: {default: 'cuda:1'}"), package, "torch:cuda:0")


def test_a_pace_only_where_something_is_held_back() -> None:
    assert make_pace(config("")) is None
    assert make_pace(config("thresholds: {load: 1000}")) is not None
    governed = make_pace(config("bandwidth: {share: 0.5, roof: 40GB, providers: [accounted]}"))
    assert governed is not None
    assert governed.governor is not None
    assert governed.governor.limit_bytes_per_s == 20e9
    with pytest.raises(InputError, match="provider `msr`: is unknown"):
        make_pace(config("bandwidth: {share: 0.5, roof: 40GB, providers: [msr]}"))
