"""What a run will do, checked before anything is written, and what makes it the run it is.

Equal configurations give equal weights. The configuration holds the method, its source code, stages, data and
seed; ``run_dir/config.json`` keeps it, and a ``run_dir`` of another one is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import facecomp_lib
from facecomp_lib import masks
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Method, Plateau, Stage
from facecomp_lib.presets import PRESETS
from facecomp_lib.training.checkpoint import forget_checkpoint
from facecomp_lib.training.manifest import PATH, digest, read_manifest
from facecomp_lib.training.source import source_hashes
from facecomp_lib.utils.checks import check_choice, describe
from facecomp_lib.utils.files import atomic_write, expand, remove

__all__ = [
    "check_or_write_config",
    "fingerprint",
    "run_config",
    "validate_stages",
]


def validate_stages(
    method: Method,
    data: FaceDataset,
    preset: str,
    stages: Sequence[Stage] | None,
    validation: FaceDataset | None = None,
) -> list[Stage]:
    """The stages of a run, after a look at whether they can work.

    Raises:
        ValueError: what is no method, data set or stage; an unknown preset, network or loss; stages of one
            name; faces of another size than the method's; a learning rate that waits for a validation loss
            without validation faces.
    """
    if not isinstance(method, Method):
        raise ValueError(f"method must be one of fc.methods.build or load, not {describe(method)}.")
    for faces, name in ((data, "data"), (validation, "validation")):
        if not isinstance(faces, FaceDataset) and not (faces is None and name == "validation"):
            raise ValueError(
                f"{name} must be a data set of faces, not {describe(faces)}: open one with fc.faces.embedded "
                "or fc.faces.folder; data_scripts/prepare_folder.py makes one of images."
            )
    if stages is None:
        check_choice(preset, PRESETS, "preset")
        stages = method.stages(preset)
    if not isinstance(stages, Sequence) or not all(isinstance(stage, Stage) for stage in stages):
        raise ValueError(f"stages must be a list of fc.methods.Stage, not {describe(stages)}.")
    stages = list(stages)
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
        "code": source_hashes(method),
    }
    if validation is not None and any(map(_has_plateau, stages)):
        config["validation"] = _describe(validation)
    if folders := {str(kind) for stage in stages for kind in stage.masks} - set(masks.KINDS):
        config["masks"] = {kind: _digest_of(expand(kind)) for kind in sorted(folders)}
    return json.loads(json.dumps(config, default=str))


def fingerprint(config: dict[str, Any]) -> str:
    """SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def check_or_write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write the run's ``config.json``, or compare with the one that is there.

    A run that has not trained a step yet gives way to another one. A damaged ``config.json`` is written anew
    where it is certain that it was this one.

    Raises:
        ValueError: the folder holds another run, and the sentence says what differs; or a damaged one.
    """
    path, ours = folder / "config.json", fingerprint(config)
    text = json.dumps({"fingerprint": ours, **config}, indent=2) + "\n"
    if not path.exists() and not (folder / PATH).exists():
        atomic_write(path, text)
        return
    there, manifest = _read_config(path), _manifest(folder)
    own = there.pop("fingerprint", None)
    if own != fingerprint(there):
        state = "damaged" if path.exists() else "missing"
        if ours not in (own, fingerprint(there), manifest.get("config")):
            raise ValueError(f"{path} is {state}: choose a fresh run_dir, or delete this one.")
        atomic_write(path, text)
        warnings.warn(f"{path} is {state}: it is written anew.", stacklevel=3)
        return
    if own == ours:
        return
    if not manifest.get("step") and not _has_trained(folder):
        forget_checkpoint(folder / PATH.parent)
        remove(folder, ["log.csv"])
        atomic_write(path, text)
        return
    what = list(_differences(there, config))
    more = f" and {len(what) - 3} more" if len(what) > 3 else ""
    raise ValueError(
        f"{folder} holds another run: it differs in {', '.join(what[:3]) or 'its fingerprint'}{more}. "
        "Choose a fresh run_dir, or delete this one. To train on from its weights, give "
        f"fc.methods.load({str(folder)!r}) to fit, with a fresh run_dir."
    )


def _read_config(path: Path) -> dict[str, Any]:
    """What ``config.json`` says, empty if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return read_manifest(folder)
    except ValueError:
        return {"step": "unknown"}


def _has_trained(folder: Path) -> bool:
    log = folder / "log.csv"
    return (log.exists() and log.read_bytes().count(b"\n") > 1) or any(folder.glob("weights-*"))


def _describe(data: FaceDataset) -> dict[str, Any]:
    named = {name: getattr(data, name) for name in ("name", "version", "split")}
    augmented = {} if data.augmentation is None else {"augmented": repr(data.augmentation)}
    return {**named, "faces": len(data), "size": data.size, **augmented}


def _digest_of(folder: Path) -> str:
    """SHA-256 of the names and contents of what lies in a folder of masks."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return hashlib.sha256(json.dumps([(file.name, digest(file)) for file in files]).encode()).hexdigest()


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
