"""The recomputing prover as the program that it also is: each step a process of its own with limits."""

from __future__ import annotations

import sys

from partwise.verification.zk.command_prover import CommandProver
from partwise.verification.zk.command_templates import CommandTemplates
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.prover import Prover
from partwise.verification.zk.recompute.prover import RecomputeProver

__all__ = ["make_recompute"]

_PROGRAM = (sys.executable, "-P", "-W", "ignore", "-m", "partwise.verification.zk.recompute")


def make_recompute(limits: CallLimits | None = None) -> Prover:
    """The recomputing prover.

    Args:
        limits: of each step, then a process of its own; None computes in this process.
    """
    if limits is None:
        return RecomputeProver()
    templates = CommandTemplates(
        version=RecomputeProver.version,
        setup=(*_PROGRAM, "setup", "{segment}", "{settings}", "{folder}"),
        witness=(*_PROGRAM, "witness", "{folder}", "{inputs}", "{witness}", "{outputs}"),
        prove=(*_PROGRAM, "prove", "{folder}", "{witness}", "{proof}"),
        verify=(*_PROGRAM, "verify", "{keys}", "{sizes}", "{proof}", "{finding}"),
    )
    return CommandProver(templates=templates, limits=limits, name=RecomputeProver.name)
