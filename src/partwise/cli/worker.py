"""`partwise worker`: this machine becomes part of a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from partwise.cli.applicable import refuse
from partwise.cli.option_types import Bytes
from partwise.cli.options import PATH, json_option
from partwise.cli.output import print_json
from partwise.packaging import open_package
from partwise.runtime.remote.blobs import BlobCache, default_cache
from partwise.runtime.remote.node import Node, node_resources, reach, refuse_taken, require_token, token_path
from partwise.runtime.remote.ray_actor import settings_to_environment
from partwise.runtime.remote.sources import open_source
from partwise.runtime.remote.worker import Settings

__all__ = ["worker"]


@click.command()
@click.option("--join", metavar="HOST:PORT", help="The cluster to join: the address of its first machine.")
@click.option("--head", is_flag=True, help="Be the first machine of a new cluster.")
@click.option("--port", type=click.IntRange(1, 65535), default=6379, show_default=True, help="With --head.")
@click.option("--host", help="This machine's address, as the others reach it (by default Ray finds one).")
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True, help="Processes that compute here.")
@click.option("--memory", type=Bytes(), help="Of each worker, for example 12GB; it gets nothing above it.")
@click.option("--max-parameters", "--max-nodes", "parameters", type=click.IntRange(1), help="Of each worker's stages.")
@click.option("--max-layers", "layers", type=click.IntRange(1), help="Of each worker's stages.")
@click.option("--cache", type=PATH, help="Where fetched blobs are kept (default: ~/.cache/partwise/worker).")
@click.option("--store", "stores", multiple=True, help="A folder or URL of blobs, asked before the head; repeatable.")
@click.option("--package", type=PATH, help="Work for this package alone, from this folder; nothing is fetched.")
@click.option("--temp-dir", type=PATH, help="With --head: Ray's sockets and logs (default: Ray's own place).")
@json_option
def worker(
    join: str | None,
    head: bool,
    port: int,
    host: str | None,
    workers: int,
    memory: int | None,
    parameters: int | None,
    layers: int | None,
    cache: Path | None,
    stores: tuple[str, ...],
    package: Path | None,
    temp_dir: Path | None,
    as_json: bool,
) -> None:
    """Let this machine compute parts for others, until it is interrupted.

    It wraps `ray start`, with token authentication on. The token is made with --head, and belongs on every machine of
    the cluster: ~/.ray/auth_token, or wherever RAY_AUTH_TOKEN_PATH says.

    \b
    Example:  partwise worker --head
              partwise worker --join 192.168.1.10:6379 --memory 12GB --max-layers 4
              partwise run package/ --executor ray --address 192.168.1.10:6379 --input frames/
    """
    if head == (join is not None):
        raise click.UsageError("either --head, for a new cluster, or --join HOST:PORT")
    if join is not None:
        refuse({"port", "temp_dir"}, "is of a new cluster: --head.")
    settings = _settings(cache, stores, package)
    require_token(make=head)
    if join is not None:
        reach(join)
    else:
        refuse_taken(host, port)
    resources = node_resources(workers, memory=memory, parameters=parameters, layers=layers)
    with Node(
        resources, join=join, port=port, address=host, folder=temp_dir, environment=settings_to_environment(settings)
    ) as node:
        found: dict[str, object] = {
            "address": join or f"{node.address}:{port}",
            "host": node.address,
            "resources": resources,
            "cache": str(settings.cache),
            "token": str(token_path()),
        }
        if as_json:
            print_json(found)
        else:
            _show(found, head)
        node.wait()


def _settings(cache: Path | None, stores: tuple[str, ...], package: Path | None) -> Settings:
    """What the owner decides; what is wrong with it is said here, not by the first run that needs it."""
    if package is not None:
        open_package(package)
    for store in stores:
        open_source(store)
    root = BlobCache((cache or default_cache()).resolve()).root
    places = tuple(store if "://" in store else str(Path(store).resolve()) for store in stores)
    return Settings(cache=root, stores=places, package=None if package is None else str(package.resolve()))


def _show(found: dict[str, object], head: bool) -> None:
    click.echo(f"worker up: {found['resources']}")
    if head:
        click.echo(f"cluster   {found['address']}")
        click.echo(f"token     {found['token']} (the same file on every machine)")
        click.echo(f"next      partwise worker --join {found['address']}")
        click.echo(f"          partwise run package/ --executor ray --address {found['address']}")
