"""One call of ezkl in a process of its own: a request as JSON on stdin, the answer as one line of JSON on stdout.

Run by path, never imported: it must not load Partwise. ezkl's panics are `BaseException`s, its messages go to
stdout and its memory is returned only by ending; all three end here. Peak memory is VmHWM, since a child's
`ru_maxrss` starts at its parent's.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Answer `{"value": ...}` or `{"error": ..., "kind": ...}`, with `cpu_s` and `peak_bytes`."""
    _end_with_parent()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request: dict[str, Any] = json.load(sys.stdin)
    if limit := request.get("memory_bytes"):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        found: dict[str, Any] = {"value": _call(request["function"], request["arguments"])}
    except BaseException as error:  # noqa: BLE001 - a panic of the prover is no Exception
        found = {"error": str(error)[:2000], "kind": type(error).__name__}
    used = os.times()
    answer.write(json.dumps(found | {"cpu_s": used.user + used.system, "peak_bytes": _peak_bytes()}))
    answer.flush()
    os._exit(0)  # the prover's threads are not waited for


def _end_with_parent() -> None:
    """A caller that is killed leaves no prover behind that goes on for minutes. Linux only; elsewhere it does."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _call(function: str, arguments: dict[str, Any]) -> Any:
    ezkl: Any = importlib.import_module("ezkl")
    match function:
        case "version":
            return ezkl.__version__
        case "gen_settings":
            given = ezkl.PyRunArgs()
            for name, value in arguments.pop("run_args").items():
                setattr(given, name, value)
            return ezkl.gen_settings(py_run_args=given, **arguments)
        case "gen_srs":
            return ezkl.gen_srs(arguments["srs_path"], arguments["logrows"])
        case "poseidon_hash":
            return ezkl.poseidon_hash(arguments["message"])
        case "kzg_commit":
            points = ezkl.kzg_commit(**arguments)
            return [bytes.fromhex(point.x)[::-1].hex() + bytes.fromhex(point.y)[::-1].hex() for point in points]
        case "gen_witness":
            ezkl.gen_witness(**arguments)
            return True
        case "prove":
            ezkl.prove(**arguments)
            return True
        case "verify":
            return _verify(**arguments)
        case _:
            return getattr(ezkl, function)(**arguments)


def _verify(proof_path: str, shorter_path: str, **keys: Any) -> dict[str, Any]:
    """Whether a proof holds, and whether it still does without its last byte: then it was padded."""
    ezkl: Any = importlib.import_module("ezkl")

    def holds(path: str) -> str | None:
        try:
            return None if ezkl.verify(proof_path=path, **keys) is True else "verify returned false"
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - a refused proof raises; a hostile one panics
            return str(error)[:500] or type(error).__name__

    refused = holds(proof_path)
    return {"refused": refused, "padded": refused is None and holds(shorter_path) is None}


def _peak_bytes() -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
