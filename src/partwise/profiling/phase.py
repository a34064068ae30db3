"""The phases of a language model: what one capture with K/V costs while it reads a prompt, and at each token after it.

Prefill takes a whole prompt into empty buffers; decode takes one token of each sequence and attends to all that are
there. Both are the same graph at other sizes, the buffers counted as far as they are filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from partwise.errors import InputError
from partwise.ir import Graph
from partwise.profiling.profile import Profile

__all__ = ["KeyValueTraffic", "Logits", "Phase", "key_value_traffic", "phase_sizes"]

_SIZES = ("batch", "sequence", "capacity", "logits")
"""Symbols of a graph captured with a cache (docs/capture.md)."""


class Phase(StrEnum):
    """What a language model is doing."""

    PREFILL = "prefill"
    """All tokens of a prompt at once."""
    DECODE = "decode"
    """One more token of each sequence."""


class Logits(StrEnum):
    """Of which tokens prefill computes logits."""

    ALL = "all"
    """Of every one: 2 FLOPs a parameter and token, the head included."""
    LAST = "last"
    """Of each sequence's last one, as generation needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValueTraffic:
    """What a step moves of keys and values."""

    read_bytes: int
    written_bytes: int


def phase_sizes(graph: Graph, phase: Phase, tokens: int, batch: int = 1, logits: Logits = Logits.ALL) -> dict[str, int]:
    """The sizes at which a graph with a cache is in a phase.

    Args:
        graph: captured with `cache`, its sizes symbols.
        phase: prefill or decode.
        tokens: of each sequence: the prompt's length; for decode all that are there, the new one included.
        batch: sequences.
        logits: of prefill.

    Raises:
        InputError: a graph without K/V buffers, or whose sizes are fixed.
    """
    if not graph.writes:
        raise InputError(f"phase `{phase}`", "needs a graph that takes and gives its K/V",
                         got=f"`{graph.name}`, captured without a cache",
                         hint="partwise capture MODEL --cache CAPACITY.")  # fmt: skip
    if fixed := [name for name in _SIZES if name not in graph.hints]:
        raise InputError(f"phase `{phase}`", "needs sizes that are symbols", expected=", ".join(_SIZES),
                         got=f"{', '.join(fixed)} fixed", hint="capture without --static.")  # fmt: skip
    if tokens < 1:
        raise InputError(f"phase `{phase}`", "needs a token at least", got=tokens)
    new = tokens if phase is Phase.PREFILL else 1
    kept = new if logits is Logits.ALL else 1
    return {"batch": batch, "sequence": new, "capacity": tokens, "logits": kept}


def key_value_traffic(graph: Graph, counted: Profile) -> KeyValueTraffic:
    """Bytes of K/V that a graph with a cache reads and writes at the sizes of a profile."""
    return KeyValueTraffic(
        read_bytes=sum(cost.state_bytes for cost in counted.nodes),
        written_bytes=sum(counted.nodes[index].output_bytes for index in graph.writes),
    )
