"""`partwise serve`: a package answers requests over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from partwise.cli.config import config_option, given_to_serve, read_again
from partwise.cli.option_types import THREADS, Bytes, Finite
from partwise.cli.options import PATH, json_option, max_difference_option
from partwise.cli.output import print_json
from partwise.runtime.config import Config
from partwise.serving import SERVER_POLICY, ServeOptions
from partwise.serving import serve as serve_package

__all__ = ["serve"]

_DEFAULT = ServeOptions()


@click.command()
@click.argument("package", type=PATH)
@click.option("--host", default=_DEFAULT.host, show_default=True, help="Another one needs PARTWISE_API_KEY.")
@click.option("--port", type=click.IntRange(0, 65535), default=_DEFAULT.port, show_default=True, help="0: a free one.")
@click.option("--name", help="Of the model in the routes (default: the package's own).")
@click.option(
    "--executor",
    type=click.Choice(["processes", "in-process"]),
    default=_DEFAULT.executor,
    show_default=True,
    help="One process a stage, or all in this one.",
)
@click.option("--engine", help="Another engine than the one that the segments were cut for.")
@max_difference_option
@click.option("--threads", type=THREADS, help="Threads of each stage's engine.")
@click.option("--workers", type=click.IntRange(1), help="Processes that compute (default: one a stage).")
@click.option("--in-flight", type=click.IntRange(1), help="Batches under way at once.")
@click.option("--max-batch", type=click.IntRange(1), default=1, show_default=True, help="Rows run together at most.")
@click.option("--batch-delay", type=Finite(0), default=5.0, show_default=True, help="Wait for others at most [ms].")
@click.option("--max-body", type=Bytes(), default="64MiB", show_default=True, help="Of a request.")
@click.option("--max-queue", type=click.IntRange(1), default=256, show_default=True, help="Requests that may wait.")
@click.option(
    "--timeout",
    type=Finite(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Of a request, waiting and running [s].",
)
@click.option("--drain", type=Finite(0), default=30.0, show_default=True, help="For requests here at the end [s].")
@config_option(given_to_serve, SERVER_POLICY)
@json_option
@click.pass_context
def serve(context: click.Context, package: Path, config: Config | None, as_json: bool, **given: Any) -> None:
    """Answer requests over HTTP (KServe v2) until Ctrl-C or SIGTERM; what is here then is answered first.

    /metrics is for Prometheus, /health says whether it is ready. Where PARTWISE_API_KEY is set, every other route
    needs it: `Authorization: Bearer KEY`. SIGHUP reads --config again.

    \b
    Example:  partwise serve package/ --port 8000 --max-batch 8
    """

    def again() -> ServeOptions:
        found, read = read_again(context, given_to_serve)
        return _options({name: found[name] for name in given}, read)

    def ready(told: dict[str, object]) -> None:
        if as_json:
            print_json(told)
        else:
            click.echo(f"{told['model']} {told['version']} at {told['url']} (Ctrl-C ends it)", err=True)

    serve_package(package, _options(given, config), reload=again if config is not None else None, on_ready=ready)


def _options(given: dict[str, Any], config: Config | None) -> ServeOptions:
    renamed = {"max_body": "max_body_bytes", "timeout": "timeout_s", "drain": "drain_s"}
    plain = {renamed.get(name, name): value for name, value in given.items() if name != "batch_delay"}
    return ServeOptions(**plain, batch_delay_s=given["batch_delay"] / 1000, config=config)
