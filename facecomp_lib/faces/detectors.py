"""The two detectors of faces and their landmarks, as `landmarks` uses them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facecomp_lib import weights

__all__ = ["DETECTORS", "Detector", "Dlib", "FaceAlignment", "load"]

DETECTORS = ("face-alignment", "dlib")

Image = NDArray[np.uint8]  # [H, W, 3], RGB


class Dlib:
    """dlib's frontal face detector and 68-point predictor."""

    def __init__(self) -> None:
        predictor = weights.path("dlib_landmarks")
        try:
            import dlib
        except ImportError as error:
            raise ImportError(
                f"Finding faces needs dlib, which does not load here ({error}): pip install dlib-bin."
            ) from error
        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(predictor))

    def boxes(self, image: Image) -> list[NDArray[np.float64]]:
        found = self._detector(np.ascontiguousarray(image), 0)
        return [np.array([r.left(), r.top(), r.right(), r.bottom()], dtype=np.float64) for r in found]

    def landmarks(self, image: Image, box: NDArray[np.float64]) -> NDArray[np.float64]:
        rectangle = self._dlib.rectangle(*(round(v) for v in box.tolist()))
        return np.array([(p.x, p.y) for p in self._predictor(image, rectangle).parts()], dtype=np.float64)


class FaceAlignment:
    """The networks of the `face-alignment` package, loaded from our cache."""

    def __init__(self) -> None:
        fan, sfd = weights.path("fan_landmarks"), weights.path("fan_detector")
        import face_alignment
        import torch

        class Fan(face_alignment.FaceAlignment):
            """The package's own class, with the landmark network read from the checked file."""

            def _load_native(self, _name: str, size: int, device: str, dtype: torch.dtype) -> Any:
                network = face_alignment.api.FAN(size)
                network.load_state_dict(torch.load(fan, map_location=device, weights_only=True))
                return network.to(device, dtype=dtype).eval()

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._fan = Fan(
            face_alignment.LandmarksType.TWO_D,
            device=device,
            flip_input=False,  # mirrored images are averaged here for both detectors
            face_detector="sfd",
            face_detector_kwargs={"path_to_detector": str(sfd)},
            compile=False,
        )

    def boxes(self, image: Image) -> list[NDArray[np.float64]]:
        return [np.asarray(b[:4], dtype=np.float64) for b in self._fan.face_detector.detect_from_image(image)]

    def landmarks(self, image: Image, box: NDArray[np.float64]) -> NDArray[np.float64]:
        found = self._fan.get_landmarks_from_image(image, detected_faces=[[*box.tolist(), 1.0]])
        return np.asarray(found[0], dtype=np.float64)


Detector = Dlib | FaceAlignment


@cache
def load(detector: str) -> Detector:
    """One of `DETECTORS`, loaded once per process."""
    return Dlib() if detector == "dlib" else FaceAlignment()
