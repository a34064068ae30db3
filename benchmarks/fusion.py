"""Fusion of the zoo's transformers: units, traffic, and predicted latency with and without.

    python benchmarks/fusion.py

Attention is captured as its primitive operations (transformers' `eager` form), batch 1, sequence 128, 224 × 224.
Prints a table and writes `docs/data/fusion.json`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from partwise.frontends.huggingface.build import fake_module
from partwise.frontends.huggingface.config import from_data
from partwise.frontends.torch.capture import capture_module
from partwise.frontends.zoo import ZOO
from partwise.hardware import find_device
from partwise.ir import Graph
from partwise.profiling import Rules, estimate, fuse, profile

RESULT = Path(__file__).parent.parent / "docs" / "data" / "fusion.json"
DEVICE = "h100-pcie"
NAMES = ("vit_b16", "swin_t", "bert_base", "bert_large", "minilm", "gpt2", "gpt2_large", "t5_small", "llama_8b",
         "mixtral_8x7b")  # fmt: skip
SEQUENCE = 128


def captured(name: str) -> Graph:
    """The zoo's model without weights, attention written out."""
    source = from_data(ZOO[name], name)
    source.config._attn_implementation = "eager"
    kind = getattr(transformers, source.architectures[0])
    module, mode = fake_module(kind, source.config, source.dtype or "float32")
    with mode:
        if hasattr(source.config, "patch_size"):
            inputs = {"pixel_values": torch.zeros(1, 3, 224, 224)}
        else:
            inputs = {"input_ids": torch.zeros(1, SEQUENCE, dtype=torch.int64)}
        if source.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = torch.zeros(1, SEQUENCE, dtype=torch.int64)
    return capture_module(module, inputs, static=True)


def row(name: str) -> dict[str, Any]:
    """One model's figures."""
    graph = captured(name)
    counted, device = profile(graph), find_device(DEVICE)
    found: dict[str, Any] = {"model": name, "nodes": len(graph.nodes)}
    for rules in (Rules.NONE, Rules.PATTERNS, Rules.OPTIMAL):
        start = time.process_time()
        made = fuse(graph, counted, rules=rules)
        took = time.process_time() - start
        found[rules.value] = {
            "units": len(made.units),
            "activation_bytes": made.activation_bytes,
            "traffic_bytes": made.traffic_bytes,
            "activation_saved": made.activation_saved,
            "saved": made.saved,
            "gap": made.gap,
            "seconds": estimate(counted, device, made.units).seconds,
            "cpu_s": took,
        }
    return found


def main() -> None:
    """Measure, print, write."""
    rows = [row(name) for name in NAMES]
    print(
        "| model | units alone | greedy | optimal | activations saved | with weights | gap "
        f"| {DEVICE}: alone | optimal |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        none, greedy, best = (r[rules.value] for rules in (Rules.NONE, Rules.PATTERNS, Rules.OPTIMAL))
        print(
            f"| {r['model']} | {none['units']} | {greedy['units']} | {best['units']} "
            f"| {greedy['activation_saved']:.1%} → {best['activation_saved']:.1%} "
            f"| {greedy['saved']:.1%} → {best['saved']:.1%} | {best['gap']:.1%} "
            f"| {none['seconds'] * 1e3:.2f} ms | {best['seconds'] * 1e3:.2f} ms |"
        )
    RESULT.write_text(json.dumps({"device": DEVICE, "sequence": SEQUENCE, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
