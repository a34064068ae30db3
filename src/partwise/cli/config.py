"""`--config`: a file whose values stand where the command line says nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from partwise.cli.options import PATH
from partwise.errors import InputError
from partwise.runtime.config import Config, read_config
from partwise.runtime.schedule import Policy
from partwise.runtime.telemetry import RANGES

__all__ = ["config_option", "given_to_run", "given_to_serve", "read_again"]

Command = TypeVar("Command", bound=Callable[..., Any])
Given = dict[str, object]
_PATH, _POLICY = "partwise.config", "partwise.policy"


def config_option(given: Callable[[Config], Given], policy: Policy | None = None) -> Callable[[Command], Command]:
    """The option; `given` says which of a verb's arguments a configuration sets, `policy` is the verb's own.

    Raises:
        InputError: when the option is read: a file that is wrong, or that asks for what this verb cannot obey.
    """

    def take(context: click.Context, parameter: click.Parameter, path: Path | None) -> Config | None:
        del parameter
        if path is None:
            return None
        context.meta[_PATH], context.meta[_POLICY] = path, policy
        return _take_on(context, given)

    def add(command: Command) -> Command:
        return click.option(
            "--config", type=PATH, callback=take, is_eager=True, help="YAML file; the command line comes before it."
        )(command)

    return add


def given_to_run(config: Config) -> Given:
    """Arguments of `run`; what only a server can obey is refused."""
    _refuse("run", {
        "thresholds.queue": config.thresholds.queue,
        "pipelining.max_batch": config.pipelining.max_batch,
        "pipelining.batch_delay_ms": config.pipelining.batch_delay_ms,
        "pipelining.adaptive": config.pipelining.adaptive or None,
        "faults.keep_going": (config.faults is not None and config.faults.keep_going) or None,
    })  # fmt: skip
    told = config.telemetry
    return _set({
        **_both(config),
        "trace": told.trace,
        "trace_format": told.trace_format,
        "trace_nodes": told.trace_nodes,
    })  # fmt: skip


def given_to_serve(config: Config) -> Given:
    """Arguments of `serve`; what only a run can obey is refused."""
    told, served = config.telemetry, config.serve
    _refuse("serve", {
        "telemetry.trace": told.trace,
        "telemetry.trace_format": told.trace_format,
        "telemetry.trace_nodes": told.trace_nodes,
    })  # fmt: skip
    return _set({
        **_both(config),
        "host": served.host,
        "port": served.port,
        "name": served.name,
        "max_body": served.max_body,
        "timeout": served.timeout_s,
        "drain": served.drain_s,
        "max_batch": config.pipelining.max_batch,
        "batch_delay": config.pipelining.batch_delay_ms,
        "max_queue": config.thresholds.queue,
    })  # fmt: skip


def read_again(context: click.Context, given: Callable[[Config], Given]) -> tuple[dict[str, Any], Config | None]:
    """A verb's arguments with the file as it is now; what was typed stands as it was. None without a file."""
    config = _take_on(context, given) if _PATH in context.meta else None
    found = dict(context.params)
    for parameter in context.command.params:
        name = parameter.name or ""
        if name != "config" and context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            value, _ = parameter.consume_value(context, {})
            unset = isinstance(value, Enum)  # click's own mark of an option without a default
            found[name] = None if unset else parameter.process_value(context, value)
    return found, config


def _take_on(context: click.Context, given: Callable[[Config], Given]) -> Config:
    config = read_config(context.meta[_PATH], context.meta[_POLICY])
    context.default_map = given(config)
    _set_environment(config)
    return config


def _set_environment(config: Config) -> None:
    """What is told by the environment, to this process and its workers."""
    if config.telemetry.spans is not None:
        os.environ["OTEL_TRACES_EXPORTER"] = config.telemetry.spans
    if config.telemetry.ranges is not None:
        os.environ[RANGES] = config.telemetry.ranges


def _both(config: Config) -> Given:
    who = config.execution
    return {
        "executor": who.executor,
        "engine": who.engine,
        "threads": who.threads,
        "workers": who.workers,
        "in_flight": config.pipelining.in_flight,
    }


def _refuse(verb: str, keys: dict[str, object]) -> None:
    for name, value in keys.items():
        if value is not None:
            raise InputError(name, f"is not something that `{verb}` can obey", got=value)


def _set(given: Given) -> Given:
    return {name: value for name, value in given.items() if value is not None}
