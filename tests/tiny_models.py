"""Tiny models of transformers on disk, a local hub that serves them, and modules for `package.module:function`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

__all__ = [
    "BERT", "COMMIT", "LLAMA", "mlp", "mlp_with_inputs", "not_a_module", "save_bert", "serve_hub", "write_config",
]  # fmt: skip

BERT: dict[str, Any] = {
    "architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": 31, "hidden_size": 16,
    "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32,
}  # fmt: skip
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 31, "hidden_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24,
    "max_position_embeddings": 32, "dtype": "bfloat16",
}  # fmt: skip
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_config(folder: Path, config: dict[str, Any], **changes: Any) -> Path:
    """A folder with a config and no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def save_bert(folder: Path, **changes: Any) -> Any:
    """A folder with a tiny BERT and its weights; the module."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(**{k: v for k, v in (BERT | changes).items() if k not in ("architectures",)})
    model = transformers.BertForSequenceClassification(config).eval()
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    return model


def mlp() -> Any:
    """A module without example inputs."""
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)).eval()


def mlp_with_inputs() -> Any:
    """A module, and a tuple of inputs."""
    import torch

    return mlp(), (torch.zeros(2, 4),)


def not_a_module() -> int:
    """Something else."""
    return 3


@contextlib.contextmanager
def serve_hub(models: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """A hub on this machine with one commit of each model; its address, and the files it was asked for.

    Speaks what huggingface_hub's `snapshot_download` does: `/api/models/NAME/revision/REV`, the tree of a commit,
    and `/NAME/resolve/REV/FILE` with the headers that its cache is keyed by.
    """
    asked = list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, format: str, *args: Any) -> None: ...

        def _answer(self, body: bool) -> None:
            parts = [unquote(part) for part in self.path.partition("?")[0].strip("/").split("/")]
            api = parts[:2] == ["api", "models"]
            name = "/".join(parts[2:4] if api else parts[:2])
            rest = parts[4:] if api else parts[2:]
            folder = models.get(name)
            if folder is None:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
            elif rest[1:2] not in (["main"], ["v1"], [COMMIT]):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
            elif rest[0] == "revision":
                files = [{"rfilename": path.name} for path in sorted(folder.iterdir())]
                self._send(200, json.dumps({"id": name, "sha": COMMIT, "siblings": files}).encode(), {}, body)
            elif rest[0] == "tree":
                self._send(200, json.dumps([_entry(path) for path in sorted(folder.iterdir())]).encode(), {}, body)
            else:
                data = (folder / rest[2]).read_bytes()
                asked.append(rest[2])
                self._send(200, data, {"ETag": f'"{_blob(data)}"', "X-Repo-Commit": COMMIT}, body)

        def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"type": "file", "path": path.name, "size": len(data), "oid": _blob(data)}


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
