"""Graphs of models of the `timm` package, captured once and kept; the package is part of this benchmark alone.

    python benchmarks/timm_graphs.py --data timm/ --out graphs/ --count 160

Needs an environment with timm, torchvision and pillow beside Partwise. The models are drawn by seed over the families
of the table; each is captured in float32 at the sizes that its rows state, at batch 2.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import signal
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from partwise.frontends.torch.capture import capture_module
from partwise.ir import Graph, graph_to_data

SEED, TIME_LIMIT_S, BATCH = 0, 90, 2
TABLES = {
    "rtx4090": "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv",
    "rtx3090": "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv",
    "i9-10940x": "benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv",
}
INITIALIZERS = """constant_ kaiming_normal_ kaiming_uniform_ normal_ ones_ trunc_normal_ uniform_ xavier_normal_
xavier_uniform_ zeros_ orthogonal_""".split()
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float scale, int height, int width, int ratio, bool aligned) -> Tensor",
)
"""Operators of torchvision that its import asks for and a torch for CPUs lacks; nothing here calls them."""


def rows(folder: Path, table: str) -> dict[str, dict[str, str]]:
    """A table's rows by the model's name."""
    with (folder / TABLES[table]).open() as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def load_timm() -> Any:
    """The package, on a torch without torchvision's operators."""
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    import timm

    load_timm.__dict__["library"] = library  # it must outlive the import
    return timm


def family(timm: Any, name: str) -> str:
    """The file of the package that a model is written in."""
    return timm.models._registry._model_to_module.get(name.split(".")[0], "")


def draw(timm: Any, names: list[str], count: int) -> list[str]:
    """Names by seed: the families in turn, so that large ones do not crowd out small ones."""
    by_family: dict[str, list[str]] = {}
    for name in sorted(names):
        if found := family(timm, name):
            by_family.setdefault(found, []).append(name)
    generator = random.Random(SEED)
    order = sorted(by_family)
    generator.shuffle(order)
    for members in by_family.values():
        generator.shuffle(members)
    drawn: list[str] = []
    while len(drawn) < count and any(by_family.values()):
        drawn += [by_family[key].pop() for key in order if by_family[key]]
    return drawn[:count]


def capture(timm: Any, name: str, size: int, batch: int) -> Graph:
    """One model's graph; its weights are left as they were allocated, and no value is computed."""
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        for function in INITIALIZERS:
            stack.enter_context(mock.patch(f"torch.nn.init.{function}", lambda tensor, *_, **__: tensor))
        try:
            module = timm.create_model(name, pretrained=False, img_size=size)
        except TypeError:
            module = timm.create_model(name, pretrained=False)
        return capture_module(module.eval(), (torch.zeros(batch, 3, size, size),), static=True, name=name)


def _too_slow(*_: Any) -> None:
    raise TimeoutError


def main() -> None:
    """Capture and keep; what cannot be captured is listed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=160)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    timm = load_timm()
    tables = [rows(given.data, table) for table in TABLES]
    names = sorted(set(tables[0]).intersection(*tables[1:]) & set(timm.list_models()))
    signal.signal(signal.SIGALRM, _too_slow)
    failed: dict[str, str] = {}
    for name in draw(timm, names, given.count):
        for size in sorted({int(table[name]["infer_img_size"]) for table in tables}):
            file = given.out / f"{name}@{size}.json"
            if file.exists():
                continue
            signal.alarm(TIME_LIMIT_S)
            try:
                data = graph_to_data(capture(timm, name, size, BATCH))
                file.write_text(json.dumps({"family": family(timm, name), "batch": BATCH, "graph": data}))
                print(name, size, len(data["nodes"]), flush=True)
            except (Exception, TimeoutError) as error:  # noqa: BLE001 - a model of the package that cannot be captured
                failed[f"{name}@{size}"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                print("FAILED", name, size, failed[f"{name}@{size}"], flush=True)
            finally:
                signal.alarm(0)
    (given.out / "failed.json").write_text(json.dumps(failed, indent=1))


if __name__ == "__main__":
    main()
