"""Executors: dispatch a package's tasks, here or in other processes. The table is static."""

from __future__ import annotations

import importlib

from partwise.errors import InputError
from partwise.packaging import Package
from partwise.runtime.executors.executor import Answer, Executor, Options, Progress, Values

__all__ = ["EXECUTORS", "Answer", "Executor", "Options", "Progress", "Values", "start_executor"]

EXECUTORS = {
    "in-process": "partwise.runtime.executors.in_process:InProcess",
    "processes": "partwise.runtime.executors.processes:Processes",
    "ray": "partwise.runtime.remote.executor:Remote",
}


def start_executor(name: str, package: Package, options: Options) -> Executor:
    """An executor that has begun to start; use it in a `with` block.

    Raises:
        InputError: no such executor.
    """
    if name not in EXECUTORS:
        raise InputError(f"executor `{name}`", "is unknown", expected=", ".join(EXECUTORS))
    module, _, attribute = EXECUTORS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(package, options)
