"""Where a run computes: device, precision, processes, compiler."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Sequence

import torch
from lightning_fabric import Fabric

from facecomp_lib.methods import Stage
from facecomp_lib.utils.checks import check_choice

__all__ = ["compile_works", "launch_fabric"]

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


def launch_fabric(stages: Sequence[Stage], precision: str, accelerator: str) -> Fabric:
    """Device, precision and processes: this one alone, or all those that ``torchrun`` started.

    Raises:
        ValueError: an unknown precision or accelerator, a precision that the device does not have, or a
            batch that the processes cannot share.
    """
    check_choice(precision, PRECISIONS, "precision")
    check_choice(accelerator, ACCELERATORS, "accelerator")
    world = int(os.environ.get("WORLD_SIZE", 1))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    for stage in stages:
        if stage.batch_size % world:
            raise ValueError(
                f"{world} processes cannot share the {stage.batch_size} samples per step of stage "
                f"{stage.name!r} evenly: make its batch_size a multiple of {world}."
            )
    with warnings.catch_warnings():  # that Fabric takes another precision: it is refused
        warnings.filterwarnings("ignore", ".*16-mixed.*not supported on CPU.*")
        fabric = Fabric(
            accelerator=accelerator,
            devices=here,
            num_nodes=world // here,
            strategy="ddp" if world > 1 else "auto",
            precision=precision,  # type: ignore[arg-type]
        )
    if precision == "16-mixed" and fabric.device.type == "cpu":
        raise ValueError("precision='16-mixed' needs a GPU: on the CPU choose bf16-mixed or 32-true.")
    if os.environ.get("LT_CLI_USED") != "1":  # `fabric run` has launched already
        fabric.launch()
    if world > 1:
        atexit.register(_leave)
    return fabric


def compile_works(device: torch.device) -> bool:
    """Whether ``torch.compile`` finds the compiler that it needs; warns if not."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1, device=device))
        return True
    except Exception as error:  # of many kinds, none of them public
        warnings.warn(
            f"compile=True has no effect: torch.compile does not work here ({type(error).__name__}); it "
            "needs a C++ compiler, and Triton on a GPU.",
            stacklevel=2,
        )
        return False


def _leave() -> None:
    # A program that ends with an open process group is sometimes aborted.
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
