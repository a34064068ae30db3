"""A server in a process of its own, as a user starts it, and clients that talk to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import tritonclient.http as triton

from partwise.packaging import Package

__all__ = ["Server", "ask", "client", "inputs_of", "serving"]

_NAMES = {"float32": "FP32", "bool": "BOOL", "int64": "INT64"}


@dataclass
class Server:
    """One that runs."""

    process: subprocess.Popen[str]
    url: str
    model: str
    version: str

    def get(self, path: str, key: str | None = None) -> tuple[int, str]:
        """Status and body."""
        return self.send(Request(self.url + path), key)

    def post(self, path: str, body: bytes, key: str | None = None, **headers: str) -> tuple[int, str]:
        """Status and body."""
        return self.send(Request(self.url + path, body, {k.replace("_", "-"): v for k, v in headers.items()}), key)

    def send(self, request: Request, key: str | None) -> tuple[int, str]:
        """Status and body of any request."""
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def serving(package: Package | Path, *options: str, env: Mapping[str, str] | None = None) -> Generator[Server]:
    """Start one, wait until it is ready, and end it."""
    path = package.path if isinstance(package, Package) else package
    command = [sys.executable, "-m", "partwise.cli", "serve", str(path), "--port", "0", "--json", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        told = json.loads(line)
        yield Server(process, told["url"], told["model"], told["version"])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def client(server: Server) -> Any:
    """tritonclient's own."""
    return triton.InferenceServerClient(server.url.removeprefix("http://"))


def inputs_of(values: Mapping[str, np.ndarray], *, binary: bool = True) -> list[Any]:
    """Values as tritonclient takes them."""
    found = list[Any]()
    for name, value in values.items():
        given = triton.InferInput(name, list(value.shape), _NAMES[value.dtype.name])
        given.set_data_from_numpy(value, binary_data=binary)
        found.append(given)
    return found


def ask(server: Server, values: Mapping[str, np.ndarray], **options: Any) -> tuple[dict[str, Any], Any]:
    """The response's head, and the result."""
    with client(server) as talking:
        result = talking.infer(server.model, inputs_of(values), **options)
    return result.get_response(), result
