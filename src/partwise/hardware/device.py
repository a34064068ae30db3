"""A device and a link, with a source for each figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from partwise.errors import DeviceError

__all__ = ["Device", "DeviceKind", "Link", "Peak", "Source"]


class DeviceKind(StrEnum):
    """What a device is, as far as mapping work to its units goes."""

    CPU = "cpu"
    GPU = "gpu"
    TPU = "tpu"
    KPU = "kpu"
    NPU = "npu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where some of an entry's figures come from."""

    figures: tuple[str, ...]
    """Names of fields; `*` stands for all that no other source names."""
    text: str
    """A datasheet, paper, specification or script; or `assumed`, with the reason."""
    date: str
    """Of the source: year, year-month or year-month-day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The arithmetic rate that values of a type get on a device."""

    dtype: str
    """The type whose rate it is: another one where the device lacks the one asked for."""
    flops_per_s: float
    note: str = ""
    """Why it is another type; empty where it is not."""


_WIDER_FIRST = ("float4", "float8", "bfloat16", "float16", "float32", "float64")
_CLASSES = {"uint8": "int8", "bool": "int8", "uint4": "int4", "int16": "int32", "uint16": "int32"}
_INTEGERS = {"int4": ("int8",), "int8": (), "int32": (), "int64": (), "uint32": (), "uint64": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A processor with its memory. None or an empty field is a figure that nobody stated."""

    name: str
    title: str = ""
    kind: DeviceKind = DeviceKind.GPU
    aliases: tuple[str, ...] = ()
    peak_flops_per_s: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    """Dense contractions by element type, accumulated in float32, a multiply-accumulate counted as 2 [FLOP/s].
    `float32` is exact float32; `tfloat32` is NVIDIA's and AMD's shortened one."""
    vector_flops_per_s: float | None = None
    """Peak of the vector units in float32, where matrices have a higher one [FLOP/s]."""
    memory_bytes: int | None = None
    memory_type: str = ""
    """`hbm2e`, `gddr6`, `ddr5` …: decides the energy of a byte."""
    memory_bytes_per_s: float
    units: int | None = None
    """Multiprocessors, compute units, cores, systolic arrays or tiles."""
    lanes: int | None = None
    """Float32 multiply-adds of a unit in a clock, its matrix hardware left out."""
    threads: int | None = None
    """Threads that a unit of a GPU holds at once."""
    array: tuple[int, int] | None = None
    """Rows (contraction) and columns (outputs) of a systolic array."""
    clock_hz: float | None = None
    cache_bytes: int | None = None
    """Last level, shared by all units."""
    scratchpad_bytes: int | None = None
    """Memory of one unit that programs manage themselves."""
    launch_s: float | None = None
    """From the end of one operation to the start of the next [s]; by default that of the kind."""
    conv_launch_s: float | None = None
    """The same of a convolution, which a library may take longer to prepare [s]; by default that of all operations."""
    efficiency: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    """Share of the stated rates that is reached: `memory`, `vector`, `norm`, `softmax`, `matmul`, `batched`, `conv`,
    `grouped`, `attention`, `experts`. What is left out has the default of the kind, `norm` and single functions
    (`softmax`, `tanh`, `max_pool`) that of `vector`. `layout` and `packing`, of the memory's rate: where
    they are stated, convolutions lay their arguments and results, and their weights, out anew."""
    spread: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    """Error bars of measured shares, relative: half of the middle half of what single operators gave."""
    tdp_w: float | None = None
    idle_w: float | None = None
    joules_per_flop: float | None = None
    """Of arithmetic [J]; by default derived from `tdp_w` and the peak."""
    joules_per_byte: float | None = None
    """Of memory traffic [J]; by default that of `memory_type`."""
    price_usd_per_hour: float | None = None
    sources: tuple[Source, ...] = field(default=(), repr=False)

    @property
    def flops_per_s(self) -> float:
        """Peak of contractions in float32, or in the next type that the device has [FLOP/s]."""
        return self.peak("float32").flops_per_s

    def peak(self, dtype: str) -> Peak:
        """The rate of contractions on values of a type.

        A type that the device lacks falls to the next wider one of its kind, then to narrower ones, with a note.

        Raises:
            DeviceError: the device states no peak at all.
        """
        wanted = _class_of(dtype)
        for other in _alternatives(wanted):
            if (rate := self.peak_flops_per_s.get(other)) is not None:
                note = "" if other == wanted else f"{self.name} has no {wanted} rate; {other}'s is used"
                return Peak(dtype=other, flops_per_s=rate, note=note)
        raise DeviceError(f"device `{self.name}`", "states no peak", expected=f"peak_flops_per_s.{wanted}")

    def need(self, figure: str, why: str) -> float:
        """A figure that a rule cannot do without.

        Args:
            figure: name of a field.
            why: the rule.

        Raises:
            DeviceError: it is not stated.
        """
        value = getattr(self, figure)
        if value is None:
            raise DeviceError(f"device `{self.name}`", f"states no `{figure}`, which {why} needs",
                              hint=f"add {figure} and its source to the device's entry.")  # fmt: skip
        return value

    def source(self, figure: str) -> Source | None:
        """Where a figure comes from."""
        named = next((source for source in self.sources if figure in source.figures), None)
        return named or next((source for source in self.sources if "*" in source.figures), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A way for values between two devices."""

    name: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    bytes_per_s: float
    """In one direction."""
    latency_s: float
    sources: tuple[Source, ...] = field(default=(), repr=False)


def _class_of(dtype: str) -> str:
    """The name under which peaks are stated: `float8_e4m3fn` -> `float8`."""
    if dtype.startswith(("float8", "float4")):
        return dtype.partition("_")[0]
    if dtype.startswith("complex"):
        return "float64" if dtype == "complex128" else "float32"
    return _CLASSES.get(dtype, dtype)


def _alternatives(wanted: str) -> tuple[str, ...]:
    """Types to try, the wanted one first: wider floats, then narrower ones, integers last."""
    if wanted in _WIDER_FIRST:
        place = _WIDER_FIRST.index(wanted)
        return (*_WIDER_FIRST[place:], *reversed(_WIDER_FIRST[:place]), "int8")
    return (wanted, *_INTEGERS.get(wanted, ()), "float16", "bfloat16", "float32", "int8")
