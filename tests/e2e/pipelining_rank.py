"""One rank of a pipeline over gloo: `python pipelining_rank.py MODEL FOLDER RANK RANKS`.

FOLDER holds `spec.json`; the last rank leaves `difference.json` there: the largest to the uncut model, each microbatch
by itself.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from emitted_models import MODELS
from torch.distributed.pipelining import ScheduleGPipe, SplitPoint, pipeline

MICROBATCHES = 2


def main(name: str, folder: Path, rank: int, ranks: int) -> None:
    """Run one stage on two microbatches."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model, inputs = MODELS[name]()
    chunks = [value.chunk(MICROBATCHES) for value in inputs.values()]
    parts = [dict(zip(inputs, values, strict=True)) for values in zip(*chunks, strict=True)]
    spec = {module: SplitPoint[point] for module, point in json.loads((folder / "spec.json").read_text()).items()}
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    with torch.no_grad():
        whole = torch.cat([model(**part).logits for part in parts])
        stage = pipeline(model, (), parts[0], split_spec=spec).build_stage(rank, torch.device("cpu"))
        schedule = ScheduleGPipe(stage, MICROBATCHES)
        result = schedule.step(**inputs) if rank == 0 else schedule.step()
    if rank == ranks - 1:
        logits = getattr(result, "logits", result)
        (folder / "difference.json").write_text(json.dumps(float((logits - whole).abs().max())))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
