"""The table of provers; one is imported when it is chosen."""

from __future__ import annotations

import importlib
from typing import Any

from partwise.errors import InputError
from partwise.verification.zk.prover import Prover

__all__ = ["PROVERS", "make_prover"]

PROVERS = {
    "ezkl": "partwise.verification.zk.ezkl_prover:EzklProver",
    "recompute": "partwise.verification.zk.recompute:make_recompute",
    "command": "partwise.verification.zk.command_prover:CommandProver",
}


def make_prover(name: str, **options: Any) -> Prover:
    """A prover by name.

    Args:
        name: a key of `PROVERS`.
        **options: of its class or maker.

    Raises:
        InputError: no such prover.
    """
    if name not in PROVERS:
        raise InputError(f"prover `{name[:40]}`", "is unknown", expected=", ".join(PROVERS))
    module, _, attribute = PROVERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(**options)
