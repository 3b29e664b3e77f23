"""What a run will do, checked before anything is written: stages, processes, precision."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence

import torch
from lightning_fabric import Fabric

from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Stage
from facecomp_lib.presets import PRESETS

__all__ = ["PRECISIONS", "launched", "planned"]

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def planned(method: Method, data: FaceDataset, preset: str, stages: Sequence[Stage] | None) -> list[Stage]:
    """The stages of a run, after a look at whether they can work.

    Raises:
        ValueError: an unknown preset, network or loss; stages of one name; faces of another size than the
            method's.
    """
    if stages is None and preset not in PRESETS:
        raise ValueError(f"Unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
    plan = list(method.stages(preset) if stages is None else stages)
    names = [stage.name for stage in plan]
    if not plan or len(set(names)) < len(names):
        raise ValueError(f"A run needs at least one stage and a name of its own for each, not {names}.")
    for stage in plan:
        _check_optimizers(method, stage)
        augment = stage.augment
        crops = augment is not None and augment.crop is not None and not augment.resize_crop
        size = augment.crop if augment is not None and crops else data.size
        if size != method.size:
            raise ValueError(
                f"Stage {stage.name!r} would show {method.name} images of {size} px, but it is built for "
                f"{method.size} px: build the method or open the faces with another size."
            )
    return plan


def _check_optimizers(method: Method, stage: Stage) -> None:
    for name, optimizer in stage.optimizers.items():
        if not name.isidentifier():
            raise ValueError(f"An optimizer's name becomes part of the log's columns: {name!r} cannot.")
        where = f"Optimizer {name!r} of stage {stage.name!r}"
        for network in optimizer.networks:
            if network not in method.networks:
                known = ", ".join(method.networks)
                raise ValueError(f"{where}: {method.name} has no network {network!r}; it has {known}.")
            if not any(parameter.requires_grad for parameter in method.networks[network].parameters()):
                raise ValueError(f"{where}: nothing in network {network!r} can learn; all of it is frozen.")
        if type(method).losses is Method.losses:  # else the method finds its losses in its own way
            for term in optimizer.losses:
                if not hasattr(method, f"loss_{term}"):
                    known = ", ".join(key[5:] for key in dir(method) if key.startswith("loss_"))
                    raise ValueError(f"{where}: {method.name} has no loss {term!r}; it has {known}.")


def launched(stages: Sequence[Stage], precision: str, accelerator: str, devices: int | str) -> Fabric:
    """Device, precision and processes: this one alone, or all those that ``torchrun`` started.

    Raises:
        ValueError: an unknown precision, a number of devices that was not started, a batch that the
            processes cannot share.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Unknown precision {precision!r}: choose one of {', '.join(PRECISIONS)}.")
    world = int(os.environ.get("WORLD_SIZE", 1))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if devices not in ("auto", here):
        raise ValueError(
            f"devices={devices!r}, but {here} process{'es run' if here > 1 else ' runs'} on this machine: "
            f"start the script with `torchrun --nproc-per-node {devices} SCRIPT.py`, or leave devices out."
        )
    for stage in stages:
        if stage.batch_size % world:
            raise ValueError(
                f"{world} processes cannot share the {stage.batch_size} samples per step of stage "
                f"{stage.name!r} evenly: make its batch_size a multiple of {world}."
            )
    fabric = Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=world // here,
        strategy="ddp" if world > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    if os.environ.get("LT_CLI_USED") != "1":  # `fabric run` has launched already
        fabric.launch()
    if world > 1:
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    # A program that ends with an open process group is sometimes aborted.
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
