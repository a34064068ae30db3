"""Serve a package until a signal ends it: one event loop that talks HTTP, one thread that feeds the executor."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from partwise.errors import InputError, PartwiseError
from partwise.extras import require
from partwise.packaging import Package, open_package
from partwise.runtime import default_threads
from partwise.runtime.config import check_config, configured_engine, configured_workers, make_pace
from partwise.runtime.engines import stage_engines
from partwise.runtime.executors import Options
from partwise.runtime.pace import Pace
from partwise.runtime.schedule import Policy
from partwise.runtime.stage import Weights
from partwise.runtime.telemetry.spans import RequestSpans
from partwise.serving.feed import Feed
from partwise.serving.kserve import model_metadata
from partwise.serving.options import API_KEY, ServeOptions
from partwise.serving.setup import Setup

if TYPE_CHECKING:
    from partwise.serving.app import Site

__all__ = ["serve"]

_POLICY = Policy(keep_going=True, divide=False, attempts=2, exclude_after=64, abandon_after=256)
"""A request that fails is as a rule to blame itself (a token outside the table), and anybody can send one: it must not
cost a worker its share for long, nor cut a stage in pieces. The figures are assumed; `faults` in a configuration."""
_FIXED = ("host", "port", "name")
_SPARE = 64
"""Connections beyond those whose requests wait: for health, metrics, and bodies that are being read (assumed)."""
_GRACE_S = 10.0
"""For the executor to end (assumed)."""
_BACKLOG = 2048
"""Connections that the system holds before they are taken: uvicorn's own default."""
_NOT_IN_A_PATH = re.compile(r"[^A-Za-z0-9_.-]+")


def serve(
    package: Package | str | Path,
    options: ServeOptions | None = None,
    *,
    reload: Callable[[], ServeOptions] | None = None,
    on_ready: Callable[[dict[str, object]], None] = lambda told: None,  # noqa: ARG005
) -> None:
    """Serve a package until SIGINT or SIGTERM, and answer what is here before ending.

    Args:
        package: an open package or its folder.
        options: where and how.
        reload: called on SIGHUP for other options, which are taken on without losing a request.
        on_ready: called once requests are taken, with the address, the model and its version.

    Raises:
        InputError: options that do not go together, a port in use, a model that cannot be served so.
        PackageError: a package that is not what its manifest promises.
        RunError: a stage that cannot be loaded.
        MissingExtraError: the extra `serve` is not installed.
    """
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        require(module)
    chosen, key = options or ServeOptions(), os.environ.get(API_KEY) or None
    chosen.check(key)
    opened = package if isinstance(package, Package) else open_package(package)
    if chosen.name is not None and (not chosen.name or _NOT_IN_A_PATH.search(chosen.name)):
        raise InputError("--name", "is no name that can stand in a route", expected="letters, digits, `_`, `.`, `-`",
                         got=chosen.name[:80])  # fmt: skip
    name = chosen.name or _NOT_IN_A_PATH.sub("_", opened.manifest.model).strip("_") or "model"
    version = opened.digest.removeprefix("sha256:")[:12]
    metadata = model_metadata(opened.manifest, name, version)
    with closing(_listen(chosen.host, chosen.port)) as listener:
        told: dict[str, object] = {"url": _url(listener), "model": name, "version": version, "package": opened.digest}
        site = _site(opened, chosen, name, version, metadata, key)
        again = None if reload is None else _reloader(opened, chosen, site, reload)
        _run(chosen, listener, site, lambda: on_ready(told), again)


def _site(
    package: Package, options: ServeOptions, name: str, version: str, metadata: dict[str, object], key: str | None
) -> Site:
    from partwise.serving.app import Site
    from partwise.serving.metrics import Metrics

    metrics = Metrics()
    feed = Feed(_setup(package, options), metrics, room=options.max_queue)
    metrics.watch(
        waiting=lambda: feed.waiting, underway=lambda: feed.underway, ready=feed.ready.is_set, bus=lambda: feed.bus
    )
    return Site(
        feed=feed,
        metrics=metrics,
        manifest=package.manifest,
        name=name,
        version=version,
        metadata=metadata,
        key=key,
        is_local=options.is_local,
        max_body_bytes=options.max_body_bytes,
        timeout_s=options.timeout_s,
        spans=RequestSpans.from_environment(),
    )


def _setup(package: Package, options: ServeOptions) -> Setup:
    config, pace, workers = options.config, None, options.workers
    engine = ",".join(stage_engines(options.engine, len(package.manifest.segments), package.manifest.engine))
    if config is not None:
        engine = configured_engine(config, package, options.engine)
        check_config(config, package)
        pace, workers = make_pace(config), configured_workers(config, package, workers)
        if config.pipelining.adaptive and (config.bandwidth is None or options.max_batch == 1):
            raise InputError("pipelining.adaptive", "needs a bandwidth share and a largest batch",
                             hint="bandwidth.share and pipelining.max_batch")  # fmt: skip
    return Setup(
        pace=pace or Pace(),
        max_difference=options.max_difference,
        adaptive=config is not None and config.pipelining.adaptive,
        package=package,
        executor=options.executor,
        options=Options(
            engine=engine,
            threads=options.threads or default_threads(),
            workers=workers,
            weights=Weights.RESIDENT if config is None else config.memory.weights,
            in_flight=options.in_flight,
            policy=_POLICY if config is None or config.faults is None else replace(config.faults, keep_going=True),
        ),
        max_batch=options.max_batch,
        batch_delay_s=options.batch_delay_s,
    )


def _reloader(
    package: Package, first: ServeOptions, site: Site, reload: Callable[[], ServeOptions]
) -> Callable[[], None]:
    """What SIGHUP does: options again, all but where it listens. A mistake in them is said, and changes nothing."""

    def again() -> None:
        try:
            options = reload()
            options.check(site.key)
            for name in _FIXED:
                if getattr(options, name) != getattr(first, name):
                    raise InputError(name, "cannot change while it serves", expected=getattr(first, name),
                                     got=getattr(options, name))  # fmt: skip
            site.feed.reload(_setup(package, options), room=options.max_queue)
        except PartwiseError as error:
            print(f"reload: {error} It goes on as before.", file=sys.stderr, flush=True)
            return
        site.max_body_bytes, site.timeout_s = options.max_body_bytes, options.timeout_s
        site.metrics.reloaded()

    return again


def _run(
    options: ServeOptions,
    listener: socket.socket,
    site: Site,
    on_ready: Callable[[], None],
    again: Callable[[], None] | None,
) -> None:
    import uvicorn

    from partwise.serving.app import make_app
    from partwise.serving.patience import PatientProtocol

    config = uvicorn.Config(
        make_app(site), http=PatientProtocol, log_level="warning", access_log=False, server_header=False,
        lifespan="off", ws="none", timeout_graceful_shutdown=max(1, round(options.drain_s)),
        limit_concurrency=options.max_queue + _SPARE,
    )  # fmt: skip
    server = uvicorn.Server(config)
    feed = site.feed

    def ended() -> None:
        server.should_exit = True

    feed.on_end = ended
    feed.on_ready = on_ready
    feed.start()
    try:
        with _unmoved(again):
            server.run(sockets=[listener])
    finally:
        feed.close(_GRACE_S)  # every answer that anybody still waits for has been sent
        if site.spans is not None:
            site.spans.close()
    if feed.error is not None:
        raise feed.error


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        InputError: the port is taken, or there is no such host.
    """
    listener = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        # Named as TCP, or asyncio leaves Nagle's algorithm on: 40 ms an answer, measured.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        if listener is not None:
            listener.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "--port 0 takes a free one."
        raise InputError(f"{host}:{port}", f"cannot be listened at ({reason})", hint=hint) from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _unmoved(again: Callable[[], None] | None) -> Generator[None]:
    """uvicorn sends itself the signal that ended it once more, when it has drained: by then it has been obeyed.

    SIGHUP is obeyed in a thread of its own: reading a file must not hold up the requests.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: None) for number in numbers}  # noqa: ARG005
    if again is not None:
        obey = again
        before[signal.SIGHUP] = signal.signal(
            signal.SIGHUP,
            lambda number, frame: threading.Thread(target=obey, daemon=True).start(),  # noqa: ARG005
        )
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
