"""A run in one small file: what was trained, on what, for how long, and how it ended."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import lightning_fabric
import numpy as np
import safetensors
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from facecomp_lib.methods import Method, Stage

__all__ = ["card_of"]

_LAST = 100  # steps that the final losses are means over


def card_of(
    facts: Mapping[str, Any],
    method: Method,
    done: Sequence[Stage],
    seconds: float,
    fabric: Fabric,
    log: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """Ready for JSON.

    Args:
        facts: of the run.
        done: finished stages.
        seconds: of training, all resumptions together.
        log: of the steps so far.
    """
    own = log["stage"] == done[-1].name
    final = {
        name: float(values[own][-_LAST:][np.isfinite(values[own][-_LAST:])].mean())
        for name, values in log.items()
        if name not in ("step", "stage") and np.isfinite(values[own][-_LAST:]).any()
    }
    seen = sum(stage.steps * stage.batch_size for stage in done)
    return {
        **{key: value for key, value in facts.items() if key != "code"},
        "parameters": {
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in method.networks.items()
        },
        "finished": [stage.name for stage in done],
        "steps": sum(stage.steps for stage in done),
        "samples": seen,
        "seconds": round(seconds, 1),
        "samples_per_second": round(seen / seconds, 2),
        "final": final,
        "hardware": hardware(fabric),
        "versions": {
            module.__name__: module.__version__ for module in (torch, lightning_fabric, safetensors, np)
        },
    }


def hardware(fabric: Fabric) -> str:
    """Device, threads and processes in words."""
    if fabric.device.type == "cuda":
        name = torch.cuda.get_device_name(fabric.device)
    else:
        name = f"{platform.machine()} CPU, {torch.get_num_threads()} of {os.cpu_count()} cores"
    return name if fabric.world_size == 1 else f"{fabric.world_size} processes, each on {name}"
