"""gfc's parsing network, as several scripts use it: loaded, scored, its label maps coloured."""

import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_scripts.models_by_seed import weights_of
from facecomp_lib import evaluation, faces, methods, show
from facecomp_lib.papers.gfc import Parser


def parsing_network(weights: Path | None) -> Parser:
    """The checkpoint's, or the one in weights of gfc; in eval mode."""
    if weights is None:
        return methods.pretrained("gfc").parser.eval()
    own = weights_of("parser", weights)
    network = Parser(own["to_labels.weight"].shape[1] / 32)
    network.load_state_dict(own)
    return network.eval()


@torch.no_grad()
def parsing_scores(network: Parser, test: faces.FaceDataset | faces.FaceBatch) -> dict[str, float]:
    """F-score of each class and component on undamaged faces with parsing maps."""
    counts = torch.zeros(11, 11, dtype=torch.int64)
    for start in range(0, len(test), 50):
        batch = test[start : start + 50]
        counts += evaluation.confusion(network(batch.image).argmax(1), batch.parsing)
    return {name: round(score, 4) for name, score in evaluation.f_scores(counts).items()}


def coloured(labels: Tensor) -> Tensor:
    """Label maps ``[B, S, S]`` as images ``[B, 3, S, S]``."""
    images = [torch.from_numpy(show.parsing_image(one)).permute(2, 0, 1) for one in labels]
    return torch.stack(images).float()
