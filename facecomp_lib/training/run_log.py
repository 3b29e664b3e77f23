"""What process 0 tells the world while a run goes on: log, progress bar, images of fixed faces, callbacks."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from facecomp_lib import masks
from facecomp_lib.faces.dataset import FaceDataset
from facecomp_lib.methods import Constant, Method, Plateau, Stage
from facecomp_lib.training.run_dir import parse_row, write_image
from facecomp_lib.utils.draws import own_draws
from facecomp_lib.utils.files import atomic_write

__all__ = ["Callback", "Callbacks", "FixedFaces", "Images", "ProgressBar", "RunLog"]

_TENSORBOARD_EVERY = 10  # steps
_SNAPSHOTS = 20  # of the fixed faces in a stage


class Images(NamedTuple):
    """The fixed faces at one moment of a run, each ``[N, 3, S, S]`` in [0, 1] on the method's device."""

    masked: Tensor
    """The target, grey where the mask is."""
    completed: Tensor
    """Composites of the method as it is now."""
    target: Tensor


class Callback:
    """Follows a run in process 0: override what you need, and give it to ``fit(callbacks=[...])``.

    The hooks are called between steps. A callback that raises an exception is warned about and called no
    more; the run goes on.
    """

    def on_start(self, run_dir: Path, stages: Sequence[Stage], step: int, end: int) -> None:
        """Before the first step of this call of ``fit``: ``step`` is its number from 0, and the call ends
        after ``end`` steps of the run."""

    def on_step(self, step: int, stage: str, row: Mapping[str, float]) -> None:
        """After step number ``step``, from 0: its losses by ``"optimizer.term"``, and
        ``"optimizer.gradient"``."""

    def on_images(self, step: int, stage: str, images: Images) -> None:
        """After ``step`` steps, some 20 times in a stage, if the method completes anything."""

    def on_end(self) -> None:
        """When the call of ``fit`` ends, however it does."""


class RunLog(Callback):
    """A row per step in ``log.csv``, every tenth one for TensorBoard, and the images as files.

    Each optimizer's terms get a column ``optimizer.term`` and one ``optimizer.gradient``, empty where a stage
    or a step has none; a learning rate that is not constant gets ``optimizer.lr``, and one that waits for a
    plateau ``optimizer.validation``. Rows from the first step on are of steps that will be repeated, and are
    cut off.

    Args:
        recorded: :attr:`recorded` at the checkpoint from which the run goes on.
    """

    def __init__(self, recorded: Mapping[str, Any] | None = None) -> None:
        self._recorded = recorded or {}

    def on_start(self, run_dir: Path, stages: Sequence[Stage], step: int, end: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run_dir = run_dir
        self.columns = list(dict.fromkeys(column for stage in stages for column in _columns(stage)))
        path = run_dir / "log.csv"
        self._size, self._digest = 0, hashlib.sha256()
        text = self._text_before(path, step)
        atomic_write(path, self._count(text))
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (see on_end)
        self._board = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step)

    def _text_before(self, path: Path, step: int) -> bytes:
        """The log up to a step, as it was written, or as much of it as can be read."""
        header = ["step", "stage", *self.columns]
        data = path.read_bytes() if path.exists() else b""
        before = data[: self._recorded.get("bytes", 0)]
        if before and hashlib.sha256(before).hexdigest() == self._recorded["sha256"]:
            return before
        rows = data.decode(errors="replace").split("\n")[1:-1]
        parsed = [(row, parse_row(row, len(header))) for row in rows]
        kept = [row for row, numbers in parsed if numbers and numbers[0] < step]
        if self._recorded or len(kept) < step:
            _warn_of_damage(path, data, step - len(kept))
        return ("\n".join([",".join(header), *kept]) + "\n").encode()

    def _count(self, text: bytes) -> bytes:
        self._size += len(text)
        self._digest.update(text)
        return text

    @property
    def recorded(self) -> dict[str, Any]:
        """Length and SHA-256 of the log so far."""
        return {"bytes": self._size, "sha256": self._digest.hexdigest()}

    def on_step(self, step: int, stage: str, row: Mapping[str, float]) -> None:
        cells = [f"{row[column]:.9g}" if column in row else "" for column in self.columns]
        self._file.write(self._count((",".join([str(step), stage, *cells]) + "\n").encode()))
        if step % _TENSORBOARD_EVERY == 0:
            for name, value in row.items():
                self._board.add_scalar(name.replace(".", "/"), value, step)

    def on_images(self, step: int, stage: str, images: Images) -> None:
        write_image(self.run_dir / "images" / f"{step:08d}.webp", images)

    def sync(self) -> None:
        """Bring all rows to the disk."""
        os.fsync(self._file.fileno())
        self._board.flush()

    def on_end(self) -> None:
        self._file.close()
        self._board.close()


def _warn_of_damage(path: Path, data: bytes, lost: int) -> None:
    """Say what is lost of a log, and keep it as it was found."""
    kept = path.with_name("log-damaged.csv")
    if data and not kept.exists():
        atomic_write(kept, data)
    what, as_it_was = "missing", ""
    if data:
        what, as_it_was = "damaged or was changed", f"; as it was it lies in {kept.name}"
    warnings.warn(
        f"{path} is {what}: {max(lost, 0)} of its rows are lost{as_it_was}. The training is not affected.",
        stacklevel=2,
    )


def _columns(stage: Stage) -> list[str]:
    columns = []
    for name, config in stage.optimizers.items():
        columns += [f"{name}.{term}" for term in (*config.losses, "gradient")]
        columns += [] if isinstance(config.schedule, Constant) else [f"{name}.lr"]
        columns += [f"{name}.validation"] if isinstance(config.schedule, Plateau) else []
    return columns


class ProgressBar(Callback):
    """Steps done, and the remaining time by the recent rate: later stages have more losses than the first."""

    def on_start(self, run_dir: Path, stages: Sequence[Stage], step: int, end: int) -> None:
        self._bar = tqdm(total=end, initial=step, unit="step", smoothing=0.05, mininterval=0.5)
        self._stage = ""

    def on_step(self, step: int, stage: str, row: Mapping[str, float]) -> None:
        if stage != self._stage:
            self._stage = stage
            self._bar.set_description(stage, refresh=False)
        self._bar.update()

    def on_end(self) -> None:
        self._bar.close()


class FixedFaces:
    """The first faces of a data set, which a method completes again and again under the same masks.

    Args:
        method: in training.
        data: its faces are used if they have the method's size.
        count: number of faces; 0 for none.
    """

    def __init__(self, method: Method, data: FaceDataset, count: int) -> None:
        self.method = method
        fits = data.size == method.size and method.completes and count > 0
        self.faces = data.batch(range(min(count, len(data)))) if fits else None

    def complete(self, stage: Stage) -> Images | None:
        """Complete them; None in a stage that has no masks, or in which nothing that completes learns."""
        if self.faces is None or not stage.masks or not stage.watched:
            return None
        image = self.faces.image.to(self.method.device)
        mask = _fixed_masks(stage, len(image), self.method.size, self.faces.landmarks).to(image.device)
        own = own_draws(0, image.device)
        with own, torch.compiler.set_stance("force_eager"):  # too seldom to be worth a compilation
            completed = self.method.complete(image, mask).composite
        return Images(torch.where(mask > 0.5, image, 0.5), completed, image)


def _fixed_masks(stage: Stage, count: int, size: int, landmarks: Tensor | None) -> Tensor:
    """A mask for each face, always the same one: ``[count, 1, size, size]``."""
    kinds = [stage.masks[k % len(stage.masks)] for k in range(count)]
    points = [None if landmarks is None else landmarks[k : k + 1] for k in range(count)]
    return torch.cat([masks.make(kinds[k], size, 1, 0, points[k], index=[k]) for k in range(count)])


class Callbacks:
    """All who follow a run: the log, whose trouble stops the run, and displays, whose trouble does not.

    Args:
        log: its rows must be on the disk before a checkpoint is.
        displays: the others, in order.
        faces: what they are shown now and then.
    """

    def __init__(self, log: RunLog, displays: Sequence[Callback], faces: FixedFaces) -> None:
        self.log, self.displays, self.faces = log, list(displays), faces

    def start(self, run_dir: Path, stages: Sequence[Stage], step: int, end: int) -> None:
        self._tell("on_start", run_dir, stages, step, end)

    def step(self, step: int, stage: Stage, row: Mapping[str, float], place: int) -> None:
        """After step number ``step`` of the run, the stage's ``place``-th, both from 0."""
        self._tell("on_step", step, stage.name, row)
        every = -(-stage.steps // _SNAPSHOTS)
        if (place + 1) % every == 0 and place + 1 < stage.steps:
            self.show_faces(step + 1, stage)

    def show_faces(self, step: int, stage: Stage) -> None:
        """The fixed faces as the method completes them after this many steps."""
        if (images := self.faces.complete(stage)) is not None:
            self._tell("on_images", step, stage.name, images)

    def end(self) -> None:
        self._tell("on_end")

    def _tell(self, hook: str, *arguments: object) -> None:
        getattr(self.log, hook)(*arguments)
        for display in list(self.displays):
            try:
                getattr(display, hook)(*arguments)
            except Exception as error:  # a display is never worth a run
                self.displays.remove(display)
                name = type(display).__name__
                warnings.warn(
                    f"{name} stopped ({type(error).__name__}: {error}); the run goes on.", stacklevel=4
                )
