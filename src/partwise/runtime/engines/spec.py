"""Which engine on which device, as a user writes it: `torch`, `openvino:GPU`, `fake:torch+speed=0.5+memory=2GiB`.

engine      name of the table, and after a colon the device, in the engine's own words; by default the CPU
fake        `fake:`, an engine, and after each plus sign a property of the device that it pretends to be
stages      one for all; several separated by commas, one a stage; or `1=openvino,3=torch`, others as cut
"""

from __future__ import annotations

from dataclasses import dataclass

from partwise.errors import InputError
from partwise.runtime.engines.engine import EngineSettings
from partwise.runtime.engines.fake import Fake, parse_fake
from partwise.units import whole_number

__all__ = ["EngineSpec", "engine_names", "engine_text", "on_cpu", "parse_engine", "stage_engines"]

_FAKE = "fake:"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """One engine."""

    name: str
    """A key of the table."""
    device: str | None = None
    """In the engine's own words; None: the CPU."""
    fake: Fake | None = None
    """What its device pretends to be."""


def parse_engine(text: str) -> EngineSpec:
    """An engine as a user writes it.

    Raises:
        InputError: a fake device with a property that it cannot have.
    """
    if not text.startswith(_FAKE):
        name, _, device = text.partition(":")
        return EngineSpec(name=name, device=device or None)
    inner, _, properties = text.removeprefix(_FAKE).partition("+")
    plain = parse_engine(inner)
    return EngineSpec(name=plain.name, device=plain.device, fake=parse_fake(properties))


def on_cpu(text: str) -> str:
    """The same engine on the CPU: where a stage goes whose device is missing, out of memory or failing."""
    return parse_engine(text).name


def stage_engines(text: str | None, stages: int, default: str) -> tuple[str, ...]:
    """The engine of each stage.

    Args:
        text: see the module; None: the default for all.
        stages: how many there are.
        default: of stages that are not named.

    Raises:
        InputError: more or fewer engines than stages, or a stage that there is not.
    """
    items = [item.strip() for item in (text or default).split(",")]
    if not all(items):
        raise InputError("engine", "a name is missing", got=text)
    if not any(_is_numbered(item) for item in items):
        if len(items) not in (1, stages):
            raise InputError("engine", "one for all stages, or one for each", expected=stages, got=len(items))
        return tuple(items) * (stages if len(items) == 1 else 1)
    found = [default] * stages
    for item in items:
        number, _, name = item.partition("=")
        if not _is_numbered(item) or int(number) >= stages:
            raise InputError(f"engine `{item}`", "names no stage", expected=f"0 to {stages - 1}, as 1=openvino")
        found[int(number)] = name
    return tuple(found)


def engine_names(engines: tuple[str, ...]) -> str:
    """The engines of all stages, as one text for a user."""
    return engines[0] if len(set(engines)) == 1 else ", ".join(engines)


def engine_text(settings: EngineSettings) -> str:
    """How a user writes the engine that these settings are of; of a fake one, the real engine that computed."""
    return settings.engine if settings.device in ("cpu", "none") else f"{settings.engine}:{settings.device}"


def _is_numbered(item: str) -> bool:
    return whole_number(item.partition("=")[0]) is not None
