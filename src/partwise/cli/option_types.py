"""What options take: amounts of memory, sizes, objectives, numbers of stages; each with its own message."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

import click
from click.shell_completion import CompletionItem

from partwise.errors import InputError
from partwise.hardware import catalog
from partwise.planning import Blend, Objective, parse_objectives
from partwise.units import parse_bytes, whole_number

__all__ = ["AUTO", "THREADS", "BatchSize", "Bytes", "Devices", "Finite", "Objectives", "Size", "Sizes", "Stages"]

AUTO = "auto"
THREADS = click.IntRange(1, 1024)
"""Of an engine. The most is assumed: no machine has more logical processors, and 100,000 threads hang one for minutes
in which nothing can be interrupted (measured with onnxruntime on 2 cores)."""


class BatchSize(click.ParamType[int | str]):
    """A whole number, or `auto`: the batch with the highest throughput."""

    name = "integer|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        return AUTO if str(value) == AUTO else click.IntRange(1).convert(value, param, ctx)


class Bytes(click.ParamType[int]):
    """An amount of memory: 12GiB, 500MB."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_bytes(value)
        except InputError as error:
            self.fail(str(error), param, ctx)


class Devices(click.ParamType[str]):
    """Names of devices or of TOML files, several separated by commas."""

    name = "device[,device]"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        last = incomplete.rpartition(",")[2]
        names = ["all", *(device.name for device in catalog().devices)]
        found = [CompletionItem(incomplete.removesuffix(last) + name) for name in names if name.startswith(last)]
        return found or [CompletionItem(incomplete, type="file")]


class Finite(click.FloatRange):
    """A number in a range; no infinity, and no NaN, which lies in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value} is no finite number", param, ctx)
        return found


class Objectives(click.ParamType["tuple[Objective, ...] | Blend"]):
    """One objective, several separated by commas, the first one first, or a weighted sum."""

    name = "objective[,objective]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Objective, ...] | Blend:
        if isinstance(value, tuple | Blend):
            return value  # pyright: ignore[reportUnknownVariableType]
        try:
            return parse_objectives(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del ctx, param
        last = re.split(r"[,+*]", incomplete)[-1]
        before = incomplete.removesuffix(last)
        return [CompletionItem(before + o) for o in Objective if o.startswith(last)]


class Stages(click.ParamType["int | range"]):
    """A number of stages, or with --pareto a range of them: 2..12."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | range:
        if isinstance(value, int | range):
            return value
        first, dots, last = str(value).partition("..")
        least, most = whole_number(first), whole_number(last if dots else first)
        if not least or most is None:
            self.fail(f"{value!r}: expected a number above 0, or with --pareto a range as 2..12", param, ctx)
        if not dots:
            return least
        if most < least:
            self.fail(f"{value!r}: the range is empty", param, ctx)
        return range(least, most + 1)


class Size(click.ParamType[tuple[str, int]]):
    """A symbol's value: batch=4."""

    name = "symbol=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        name, _, number = str(value).partition("=")
        size = whole_number(number)
        if not name or size is None:
            self.fail(f"{value!r}: expected a symbol and its value, as batch=4", param, ctx)
        return name, size


class Sizes(click.ParamType[tuple[int, ...]]):
    """One size, or several separated by commas: 1,8,64."""

    name = "n[,n]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value  # pyright: ignore[reportUnknownVariableType]
        sizes = tuple(whole_number(part.strip()) or 0 for part in str(value).split(","))
        if 0 in sizes:
            self.fail(f"{value!r}: expected whole numbers above 0, as 1,8,64", param, ctx)
        return sizes
