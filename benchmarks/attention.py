"""What attention costs: lafin's long- and short-term attention over N places, done in three ways.

    python -m benchmarks.attention [--places 256 1024 4096] [--channels 256] [--faces 1] [--repeats 5]

All are given the same queries, a quarter of the channels, and two sets of values, deep and early features:

    two products    as the formulas are written: a softmax, then its product with one set and with the other
    attend          a softmax and one product with both sets side by side; on a GPU, the fused kernels
    fused           torch's ``scaled_dot_product_attention`` with both sets side by side

They must agree before they are measured. They take turns in this one process, forward alone and forward with
backward, and the fastest of the repeats counts; ratios are to the two products. On a CPU, one thread and CPU
time of this process; on a GPU, the time until it has finished. Memory is the most that torch held at a time
of what it allocated in the call: outputs, gradients, and all that lies in between.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler says when it starts and stops

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.steps import now
from facecomp_lib.nn import attend

Way = Callable[[Tensor, Tensor, Tensor], Sequence[Tensor]]


def two_products(query: Tensor, deep: Tensor, early: Tensor) -> Sequence[Tensor]:
    matrix = torch.bmm(query.mT, query).softmax(2)
    return torch.bmm(deep, matrix.mT), torch.bmm(early, matrix.mT)


def one_product(query: Tensor, deep: Tensor, early: Tensor) -> Sequence[Tensor]:
    return attend(query, torch.cat([deep, early], 1)).chunk(2, 1)


def fused(query: Tensor, deep: Tensor, early: Tensor) -> Sequence[Tensor]:
    q, values = query.mT[:, None], torch.cat([deep, early], 1).mT[:, None]
    return F.scaled_dot_product_attention(q, q, values, scale=1.0)[:, 0].mT.chunk(2, 1)


WAYS: dict[str, Way] = {"two products": two_products, "attend": one_product, "fused": fused}


def inputs(faces: int, channels: int, places: int, device: torch.device) -> list[Tensor]:
    """Queries ``[B, C / 4, N]``, deep and early features ``[B, C, N]``, that gradients reach; in memory they
    lie as the layer gets them in training."""
    made = torch.Generator().manual_seed(places)
    query = torch.randn(faces, places, channels // 4, generator=made).mT  # of a convolution, channels last
    query = query / channels**0.25  # a place is like itself by sqrt(C) / 4, like others by chance
    features = [torch.randn(faces, channels, places, generator=made) for _ in range(2)]  # of instance norms
    return [tensor.to(device).requires_grad_() for tensor in (query, *features)]


def forward(way: Way, given: Sequence[Tensor]) -> Sequence[Tensor]:
    with torch.no_grad():
        return way(*given)


def backward(way: Way, given: Sequence[Tensor]) -> Sequence[Tensor]:
    """Forward, then the gradients of the two outputs' difference, square by square."""
    short, long = way(*given)
    return torch.autograd.grad((short - long).square().sum(), given)


PASSES = {"forward": forward, "forward and backward": backward}


def check(ways: Mapping[str, Way], given: Sequence[Tensor]) -> None:
    """Raises RuntimeError if a way's outputs or gradients are not those of the first one."""
    (_, first), *others = ways.items()
    for run in PASSES.values():
        wanted = run(first, given)
        for name, way in others:
            for a, b in zip(wanted, run(way, given), strict=True):
                if (a - b).abs().max() > 1e-3 * a.abs().max():
                    raise RuntimeError(f"{name} computes something else.")


def fastest(
    calls: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = now
) -> dict[str, float]:
    """Milliseconds of each call, the least of the repeats; they take turns, after a turn to warm up."""
    spent = dict.fromkeys(calls, float("inf"))
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = clock()
            call()
            if repeat:
                spent[name] = min(spent[name], clock() - start)
    return spent


def peak(call: Callable[[], object], device: torch.device) -> float:
    """MiB of what a call allocates, at the moment when that is most."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        found.export_chrome_trace(str(path))
        events = [e for e in json.loads(path.read_text())["traceEvents"] if e["name"] == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most / 2**20


def report(name: str, figures: Mapping[str, float], unit: str) -> str:
    """A line: each way's figure, and its ratio to the first."""
    first = next(iter(figures.values()))
    parts = (f"{way} {figure:8.1f} {unit} ({figure / first:5.3f})" for way, figure in figures.items())
    return f"  {name:28}" + "   ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--places", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--faces", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()

    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{given.faces} faces, {given.channels} channels, on {device}; in brackets: to two products")
    for places in given.places:
        tensors = inputs(given.faces, given.channels, places, device)
        check(WAYS, tensors)
        print(f"{places} places")
        for title, run in PASSES.items():
            calls = {name: partial(run, way, tensors) for name, way in WAYS.items()}
            print(report(title, fastest(calls, given.repeats), "ms"))
            print(report("most memory", {name: peak(call, device) for name, call in calls.items()}, "MiB"))


if __name__ == "__main__":
    main()
