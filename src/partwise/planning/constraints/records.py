"""What a user asks of single nodes: where they run, what stays together, where no cut may be.

A name is a node's (`linear_3`) or a module's (`encoder.layer.0`: every node written in it). A file is TOML:

    together = [["embed", "lm_head"]]      # these share a stage
    uncut = ["layers.3", ["conv1", "bn1"]] # no cut inside a module; no cut between two
    [pins]
    "layers.0" = "a100-0"                  # this runs there

A member of a cluster runs one stage, so what is pinned to one member shares a stage.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

import msgspec

from partwise.errors import InputError

__all__ = ["UNCONSTRAINED", "Constraints", "Pin", "parse_constraints"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A node or module, and the member of the cluster that it runs on."""

    name: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What every plan keeps beside its limits."""

    pins: tuple[Pin, ...] = ()
    together: tuple[tuple[str, ...], ...] = ()
    """Nodes and modules that share a stage."""
    uncut: tuple[tuple[str, ...], ...] = ()
    """One module: no cut inside it. Two names: no value from one to the other crosses between stages."""


UNCONSTRAINED = Constraints()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    pins: dict[str, str] = field(default_factory=dict[str, str])
    together: tuple[tuple[str, ...], ...] = ()
    uncut: tuple[str | tuple[str, ...], ...] = ()


def parse_constraints(text: str, subject: str) -> Constraints:
    """The constraints of a TOML file.

    Args:
        text: of the file.
        subject: what errors are about.

    Raises:
        InputError: no TOML, an unknown key, a group of fewer than two names, a forbidden cut between more than two.
    """
    try:
        data = tomllib.loads(text)
        row = msgspec.convert(data, _File, strict=True)
    except msgspec.ValidationError as error:
        raise InputError(subject, f"holds no constraints ({error})", expected="together, uncut, [pins]") from None
    except (ValueError, RecursionError) as error:
        raise InputError(subject, f"is no TOML ({error})") from None
    if unknown := sorted(set(data) - set(_File.__dataclass_fields__)):
        raise InputError(subject, "has an unknown key", expected="together, uncut, [pins]", got=unknown[0])
    for group in row.together:
        if len(group) < 2:
            raise InputError(subject, "together: a group needs two names or more", got=list(group))
    uncut = tuple((entry,) if isinstance(entry, str) else entry for entry in row.uncut)
    for entry in uncut:
        if len(entry) not in (1, 2):
            raise InputError(subject, "uncut: an entry is one module or a pair of names", got=list(entry))
    pins = tuple(Pin(name=name, device=device) for name, device in row.pins.items())
    return Constraints(pins=pins, together=row.together, uncut=uncut)
