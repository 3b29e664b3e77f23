"""What a run will do, checked before anything is written, and what makes it the run it is.

Equal configurations give equal weights. The configuration holds the method, its source code, stages, data and
seed; ``run_dir/config.json`` keeps it, and a ``run_dir`` of another one is refused.
"""

from __future__ import annotations

import atexit
import dataclasses
import dis
import functools
import hashlib
import inspect
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import torch
from lightning_fabric import Fabric

import facecomp_lib
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Plateau, Stage
from facecomp_lib.presets import PRESETS
from facecomp_lib.training.run_dir import read_json
from facecomp_lib.utils.files import atomic_write

__all__ = ["check_or_write_config", "fingerprint", "launch_fabric", "run_config", "validate_stages"]

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def validate_stages(
    method: Method,
    data: FaceDataset,
    preset: str,
    stages: Sequence[Stage] | None,
    validation: FaceDataset | None = None,
) -> list[Stage]:
    """The stages of a run, after a look at whether they can work.

    Raises:
        ValueError: an unknown preset, network or loss; stages of one name; faces of another size than the
            method's; a learning rate that waits for a validation loss without validation faces.
    """
    if stages is None and preset not in PRESETS:
        raise ValueError(f"Unknown preset {preset!r}: choose one of {', '.join(PRESETS)}.")
    stages = list(method.stages(preset) if stages is None else stages)
    names = [stage.name for stage in stages]
    if not stages or len(set(names)) < len(names):
        raise ValueError(f"A run needs at least one stage and a name of its own for each, not {names}.")
    for stage in stages:
        _check_optimizers(method, stage)
        plateau = _has_plateau(stage)
        if plateau and validation is None:
            raise ValueError(
                f"A learning rate of stage {stage.name!r} falls when the validation loss stalls: give fit "
                "validation=FACES."
            )
        _check_size(method, stage, data)
        if plateau and validation is not None:
            _check_size(method, stage, validation)
    return stages


def _check_size(method: Method, stage: Stage, data: FaceDataset) -> None:
    augment = stage.augment
    crops = augment is not None and augment.crop is not None and not augment.resize_crop
    size = augment.crop if augment is not None and crops else data.size
    if size != method.size:
        raise ValueError(
            f"Stage {stage.name!r} would show {method.name} images of {size} px, but it is built for "
            f"{method.size} px: build the method or open the faces with another size."
        )


def _has_plateau(stage: Stage) -> bool:
    return any(isinstance(config.schedule, Plateau) for config in stage.optimizers.values())


def _check_optimizers(method: Method, stage: Stage) -> None:
    for name, config in stage.optimizers.items():
        if not name.isidentifier():
            raise ValueError(f"An optimizer's name becomes part of the log's columns: {name!r} cannot.")
        where = f"Optimizer {name!r} of stage {stage.name!r}"
        for network in config.networks:
            if network not in method.networks:
                known = ", ".join(method.networks)
                raise ValueError(f"{where}: {method.name} has no network {network!r}; it has {known}.")
            if not any(parameter.requires_grad for parameter in method.networks[network].parameters()):
                raise ValueError(f"{where}: nothing in network {network!r} can learn; all of it is frozen.")
        if type(method).losses is Method.losses:  # else the method finds its losses in its own way
            for term in config.losses:
                if not hasattr(method, f"loss_{term}"):
                    known = ", ".join(key[5:] for key in dir(method) if key.startswith("loss_"))
                    raise ValueError(f"{where}: {method.name} has no loss {term!r}; it has {known}.")


def launch_fabric(stages: Sequence[Stage], precision: str, accelerator: str) -> Fabric:
    """Device, precision and processes: this one alone, or all those that ``torchrun`` started.

    Raises:
        ValueError: an unknown precision, or a batch that the processes cannot share.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"Unknown precision {precision!r}: choose one of {', '.join(PRECISIONS)}.")
    world = int(os.environ.get("WORLD_SIZE", 1))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world))
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


# ---- the configuration


def run_config(
    method: Method,
    stages: Sequence[Stage],
    data: FaceDataset,
    seed: int,
    precision: str,
    validation: FaceDataset | None = None,
) -> dict[str, Any]:
    """All that the weights after training depend on, ready for JSON; not the number of processes.

    The method's source code counts as text: a changed comment in it makes another run, too.

    Args:
        validation: faces that decide over a learning rate, if any do.
    """
    config = {
        "method": method.name,
        "config": method.config,
        "stages": [dataclasses.asdict(stage) for stage in stages],
        "data": _describe(data),
        "seed": seed,
        "precision": precision,
        "library": facecomp_lib.__version__,
        "python": "{}.{}".format(*sys.version_info),
        "code": _source_hashes(method),
    }
    if validation is not None and any(map(_has_plateau, stages)):
        config["validation"] = _describe(validation)
    return json.loads(json.dumps(config, default=str))


def fingerprint(config: dict[str, Any]) -> str:
    """SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def check_or_write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write the run's ``config.json``, or compare with the one that is there.

    Raises:
        ValueError: the folder holds another run; the sentence says what differs.
    """
    path = folder / "config.json"
    if not path.exists():
        atomic_write(path, json.dumps({"fingerprint": fingerprint(config), **config}, indent=2) + "\n")
        return
    there = read_json(path)
    if there.get("fingerprint") == fingerprint(config):
        return
    what = list(_differences({key: value for key, value in there.items() if key != "fingerprint"}, config))
    more = f" and {len(what) - 3} more" if len(what) > 3 else ""
    raise ValueError(
        f"{folder} holds another run: it differs in {', '.join(what[:3]) or 'its fingerprint'}{more}. "
        "Choose a fresh run_dir, or delete this one."
    )


def _describe(data: FaceDataset) -> dict[str, Any]:
    named = {name: getattr(data, name) for name in ("name", "version", "split")}
    return {**named, "faces": len(data), "size": data.size}


def _differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """What differs, in words: ``stages.1.steps (200 there, 300 here)``."""
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        there, here = dict(enumerate(there)), dict(enumerate(here))
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**there, **here}:
            if name == "code" and there.get(key) != here.get(key):
                yield f"the code of {key}"
            else:
                yield from _differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
    elif there != here:
        yield f"{name} ({_short(there)} there, {_short(here)} here)"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


# ---- source code


def _source_hashes(method: Method) -> dict[str, str]:
    """A hash for each class of the method's parts, and for each function and class that they use from the
    module (or the notebook) that defines them: of their source, and of the plain constants that they use."""
    waiting: list[Any] = [cls for part in method.modules() for cls in type(part).__mro__ if _is_ours(cls)]
    hashes: dict[str, str] = {}
    while waiting:
        thing = waiting.pop()
        if thing.__qualname__ in hashes:
            continue
        lines: list[str] = []
        if isinstance(thing, type):
            lines += [f"{name} = {_plain(value)}" for name, value in vars(thing).items() if "__" not in name]
        for function in _functions(thing):
            lines.append(_source(function))
            for name in sorted(_global_names(function.__code__) & function.__globals__.keys()):
                value = function.__globals__[name]
                if isinstance(value, type | FunctionType):
                    waiting += [value] if value.__module__ == thing.__module__ else []
                else:
                    lines.append(f"{name} = {_plain(value)}")
        hashes[thing.__qualname__] = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    return dict(sorted(hashes.items()))


def _is_ours(cls: type) -> bool:
    """Not PyTorch's, and not the common ground of all methods, which the library's version stands for."""
    return cls.__module__.split(".")[0] not in ("torch", "builtins", "abc") and not issubclass(Method, cls)


def _functions(thing: Any) -> Iterator[FunctionType]:
    """A function itself, or those that a class defines: ``inspect`` finds no source of a notebook's class."""
    members = vars(thing).items() if isinstance(thing, type) else [(thing.__name__, thing)]
    for name, member in members:
        if name == "stages" and isinstance(thing, type) and issubclass(thing, Method):
            continue  # what it returned is part of the configuration
        if isinstance(member, staticmethod | classmethod):
            member = member.__func__
        elif isinstance(member, property):
            member = member.fget
        elif isinstance(member, functools.cached_property):
            member = member.func
        if isinstance(member := inspect.unwrap(member) if callable(member) else member, FunctionType):
            yield member


def _source(function: FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return f"{function.__qualname__}: unknown source"


def _global_names(code: CodeType) -> set[str]:
    """Names that a function looks up in its module, in functions within it as well."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return names.union(*(_global_names(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _plain(value: Any) -> str:
    """Numbers, texts and collections of them as a text; empty for anything else."""
    if isinstance(value, set | frozenset):
        value = sorted(map(repr, value))
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_plain, value))})"
    return repr(value) if isinstance(value, _PLAIN) else ""
