"""A 70B Llama planned without its weights for 12 GiB devices: how long, how much memory, how many stages.

    python benchmarks/plan_70b.py

Targets: at most 60 s and 1 GiB of resident memory in all, at most one stage above the bound, each within 12 GiB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
    "dtype": "bfloat16",
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
"""The shape of Llama 2 70B. Source: arXiv 2307.09288, table 1 and the published config."""
SECONDS, GIB, MEMORY = 60, 1.0, 12 * 2**30


def main() -> int:
    """Print one line; exit code 0 where every target is met."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(CONFIG))
        words = ["plan", folder, "--no-weights", "--memory", "12GiB", "--batch", "1", "--sequence", "2048", "--json"]
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "partwise.cli", *words], capture_output=True, text=True, check=True
        )
    seconds = time.monotonic() - start
    resident = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # kB on Linux
    plan = json.loads(done.stdout)
    peak = max(stage["peak_bytes"] for stage in plan["stages"])
    weights = sum(stage["weight_bytes"] for stage in plan["stages"])
    print(
        f"{len(plan['stages'])} stages, bound {plan['bound']:.0f}; largest peak {peak / 2**30:.2f} GiB; "
        f"weights {weights / 1e9:.1f} GB; {seconds:.0f} s, {resident:.2f} GiB resident"
    )
    met = seconds <= SECONDS and resident <= GIB and len(plan["stages"]) <= plan["bound"] + 1 and peak <= MEMORY
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
