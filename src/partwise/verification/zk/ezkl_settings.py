"""ezkl's settings file: from `CircuitSettings`, and back. Source of every name: ezkl 23.0.5, `GraphSettings`."""

from __future__ import annotations

import re
from dataclasses import replace
from math import ceil, log2
from pathlib import Path
from typing import Any

from partwise.errors import InputError, PartwiseError, ProverError, UnsupportedOpError
from partwise.extras import require
from partwise.strict_json import json_object
from partwise.verification.zk.prover import OutOfRange
from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = [
    "explain_refusal",
    "explain_witness",
    "fewest_rows",
    "plausible",
    "prover_scale",
    "read_settings",
    "run_args",
    "used_settings",
]

_VISIBILITY = {
    Visibility.PUBLIC: "public",
    Visibility.HASHED: "hashed",
    Visibility.POLYCOMMIT: "polycommit",
}
_BLINDING = 7
"""Rows of a column that hold no value. Source: the cells formula of facts, issue "Prove"."""
_BLOCKS = 3
"""More blocks of einsum cells cost more than linearly (the same facts)."""
_MOST_LOGROWS, _MOST_COLUMNS, _MOST_BLOCKS = 26, 64, 1000
"""Assumed: the public SRS ends at 2^26, and plans take 2 to 8 columns and at most three blocks of einsum cells."""
_COUNTS = (
    "total_dynamic_col_size", "total_shuffle_col_size", "total_const_size", "num_dynamic_lookups", "num_shuffles",
)  # fmt: skip
_START = 17
"""k while the settings are drawn up; the circuit's own is chosen afterwards."""
_UNSUPPORTED = re.compile(r"Unimplemented\((\w+)\)|Unknown op: (\w+)|[Uu]nsupported op\w*:? ?`?(\w+)?")
_TOO_LARGE = re.compile(r"integer -?(\d+) is too large to be represented by base (\d+) and n (\d+)")
_NO_ROW = re.compile(r"assertion failed: self\.dims\[i\] > indices\[i\]")
"""How a Gather by a negative index panics (ezkl 23.0.5, seen)."""
_OPEN = re.compile(r"Undetermined symbol")
_NAMES = {"Rem": "Mod"}
"""Of operators, where the prover's differ from ONNX's."""
_REPLACEMENTS = {
    "Gelu": "write it by Erf",
    "MaxPool": "write it by Relu: max(a, b) = b + Relu(a - b)",
    "Identity": "let the model give the tensor under one name alone",
}


def run_args(settings: CircuitSettings) -> dict[str, object]:
    """The prover's arguments."""
    word = _VISIBILITY[settings.visibility]
    return {
        "input_scale": prover_scale(settings),
        "param_scale": prover_scale(settings),
        "logrows": settings.logrows or _START,
        "num_inner_cols": settings.columns,
        "decomp_base": settings.base,
        "decomp_legs": settings.legs,
        "input_visibility": word,
        "output_visibility": word,
        "param_visibility": "fixed",
        "check_mode": settings.check_mode,
        "ignore_range_check_inputs_outputs": not settings.boundary_checks,
        "disable_freivalds": not settings.product_checks,
    }


def prover_scale(settings: CircuitSettings) -> int:
    """At which the prover itself scales: not at all what is integers already."""
    return 0 if settings.integer else settings.scale


def read_settings(path: Path) -> dict[str, Any]:
    """A settings file of ours, or one whose digest was checked.

    Raises:
        InputError: it is none.
    """
    return json_object(path, expected="settings of ezkl")


def used_settings(asked: CircuitSettings, known: dict[str, Any]) -> CircuitSettings:
    """What a settings file says, in our words."""
    args = known["run_args"]
    return replace(
        asked,
        scale=asked.scale if asked.integer else args["input_scale"],
        logrows=args["logrows"],
        columns=args["num_inner_cols"],
        base=args["decomp_base"],
        legs=args["decomp_legs"],
        visibility=_visibility(args["input_visibility"]),
        check_mode=args["check_mode"].lower(),
        boundary_checks=not args["ignore_range_check_inputs_outputs"],
        product_checks=not args["disable_freivalds"],
    )


def plausible(known: dict[str, Any]) -> dict[str, Any]:
    """Settings from anywhere that a circuit may have: ezkl lays out as many columns and blocks as they say.

    Raises:
        ValueError: no circuit has so many.
    """
    logrows, columns = known["run_args"]["logrows"], known["run_args"]["num_inner_cols"]
    counts = [known[name] for name in ("total_assignments", *_COUNTS)]
    if not all(type(number) is int and number >= 0 for number in (logrows, columns, *counts)):
        raise ValueError("counts that are none")
    cells = columns << min(logrows, _MOST_LOGROWS)
    tables = sum(high - low for low, high in [known["run_args"]["lookup_range"], *known["required_range_checks"]])
    if not (1 <= logrows <= _MOST_LOGROWS and 1 <= columns <= _MOST_COLUMNS and 0 <= tables <= _MOST_BLOCKS * cells):
        raise ValueError("more rows, columns or table entries than any circuit has")
    if sum(counts) > _MOST_BLOCKS * cells:
        raise ValueError("more blocks than any circuit has")
    return known


def fewest_rows(known: dict[str, Any]) -> int:
    """The smallest k that holds the circuit in three blocks, its range table, its lookups and its boundary."""
    args = known["run_args"]
    low, high = args["lookup_range"]
    modules = known["module_sizes"]
    boundary = [*modules["polycommit"], modules["poseidon"][0]]
    boundary += [_elements(shape) for shape in known["model_instance_shapes"]]
    needs = [
        args["decomp_base"] + _BLINDING + 1,
        ceil(known["total_assignments"] / (args["num_inner_cols"] * _BLOCKS)) + _BLINDING,
        known["total_dynamic_col_size"] + known["total_shuffle_col_size"] + _BLINDING,
        known["total_const_size"] + _BLINDING,
        (high - low + 2 if known["required_lookups"] else 0) + _BLINDING,
        max(boundary) + _BLINDING,
    ]
    return ceil(log2(max(needs)))


def explain_refusal(error: ProverError, segment: Path, subject: str) -> PartwiseError:
    """What a refused model lacks, as the user's mistake where it is one."""
    text = str(error)
    if _OPEN.search(text):
        return InputError(subject, "has a dynamic shape; a circuit has a fixed one", hint="slice with --batch 1.")
    if not (found := _UNSUPPORTED.search(text)):
        return error
    named = next((_NAMES.get(name, str(name)) for name in found.groups() if name), "")
    ops = sorted({str(node.op_type) for node in require("onnx").load(str(segment)).graph.node})
    what = named if named in ops else ", ".join(ops)
    return UnsupportedOpError(f"{subject}, `{what}`", "cannot be made a circuit", got=text.partition(": ")[2][:300],
                              hint=f"{_REPLACEMENTS.get(what, 'leave the segment out with --layers')}.")  # fmt: skip


def explain_witness(error: ProverError) -> ProverError:
    """A witness that failed, where a value is too large for its circuit; else the error itself."""
    if _NO_ROW.search(str(error)):
        return ProverError(error.subject, "takes a row that its table lacks: an index below 0 or beyond the last row",
                           hint="circuits count from 0; ONNX's -1 is no index there.")  # fmt: skip
    if not (found := _TOO_LARGE.search(str(error))):
        return error
    value, base, legs = map(int, found.groups())
    explained = OutOfRange(
        error.subject,
        "a value inside it is outside the range of its circuit",
        expected=f"below {base**legs}",
        got=value,
        hint="more --legs, a larger --base or a smaller --scale, and compile again.",
    )
    explained.value, explained.reach = value, base**legs
    return explained


def _visibility(word: object) -> Visibility:
    """Source: serde names of ezkl's `Visibility`."""
    if isinstance(word, dict):
        return Visibility.HASHED
    return {"Public": Visibility.PUBLIC, "KZGCommit": Visibility.POLYCOMMIT}[str(word)]


def _elements(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
