"""Engines as users write them."""

from __future__ import annotations

import pytest

from partwise.errors import EngineMissingError, InputError
from partwise.runtime.engines import EngineSettings, engine_text, make_engine, on_cpu, stage_engines
from partwise.runtime.engines.fake import Fake
from partwise.runtime.engines.spec import EngineSpec, parse_engine


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("torch", EngineSpec(name="torch")),
        ("torch:cuda:1", EngineSpec(name="torch", device="cuda:1")),
        ("onnxruntime:openvino:GPU", EngineSpec(name="onnxruntime", device="openvino:GPU")),
        ("fake:null", EngineSpec(name="null", fake=Fake())),
        (
            "fake:torch:cuda+speed=0.5+memory=2GiB",
            EngineSpec(name="torch", device="cuda", fake=Fake(speed=0.5, memory=2 << 30)),
        ),
    ],
)
def test_an_engine_is_a_name_a_device_and_perhaps_a_pretence(text: str, spec: EngineSpec) -> None:
    assert parse_engine(text) == spec


@pytest.mark.parametrize(
    ("text", "engines"),
    [
        (None, ("torch", "torch", "torch")),
        ("compile", ("compile",) * 3),
        ("torch,compile,torch", ("torch", "compile", "torch")),
        ("1=openvino:GPU", ("torch", "openvino:GPU", "torch")),
        ("2=fake:null+speed=0.5,0=null", ("null", "torch", "fake:null+speed=0.5")),
    ],
)
def test_each_stage_has_its_engine(text: str | None, engines: tuple[str, ...]) -> None:
    assert stage_engines(text, 3, "torch") == engines


@pytest.mark.parametrize("text", ["torch,compile", "3=torch", "1=torch,compile", "torch,,torch", ""])
def test_more_fewer_or_strange_stages(text: str) -> None:
    with pytest.raises(InputError):
        stage_engines(text, 3, "torch") if text else stage_engines(",", 3, "torch")


@pytest.mark.parametrize(
    "text", ["fake:null+speed=2", "fake:null+speed=0", "fake:null+colour=red", "fake:null+fail=0", "fake:null+time=x"]
)
def test_a_pretence_that_cannot_be(text: str) -> None:
    with pytest.raises(InputError, match="fake device"):
        make_engine(text, 1)


def test_where_a_stage_goes_when_its_device_fails() -> None:
    assert [on_cpu(text) for text in ("torch:cuda", "fake:torch:xpu+fail=1", "openvino:GPU", "torch")] == [
        "torch", "torch", "openvino", "torch",
    ]  # fmt: skip


def test_a_record_names_the_engine_that_computed() -> None:
    def settings(**given: str) -> EngineSettings:
        return EngineSettings(engine="torch", version="1", threads=1, **{"device": "cpu", **given})

    assert engine_text(settings()) == "torch"
    assert engine_text(settings(device="cuda:1")) == "torch:cuda:1"
    assert engine_text(settings(fake="speed=0.5")) == "torch"


@pytest.mark.parametrize("text", ["torch:cuda:7", "torch:xpu:7", "openvino:GPU.7", "onnxruntime:rocm"])
def test_a_device_that_is_not_here_is_missing_and_never_another(text: str) -> None:
    pytest.importorskip({"torch": "torch", "openvino": "openvino", "onnxruntime": "onnxruntime"}[text.split(":")[0]])
    with pytest.raises(EngineMissingError) as caught:
        make_engine(text, 1)
    assert caught.value.kind == "missing"


@pytest.mark.parametrize("text", ["torch:tpu", "torch:cuda:x", "onnxruntime:abacus"])
def test_a_device_that_nobody_knows(text: str) -> None:
    pytest.importorskip(text.split(":")[0])
    with pytest.raises(InputError):
        make_engine(text, 1)
