"""Training draws its random numbers from generators of its own."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import tiny_method
import torch
import torch.nn.functional as F
from torch import nn

from facecomp_lib.methods import OptimizerConfig, Stage
from facecomp_lib.training import fit
from facecomp_lib.utils.draws import OwnDraws


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return tiny_method.data(tmp_path_factory.mktemp("faces"))


def train(faces, run_dir, method=None, **options):
    method = method or tiny_method.build(dropout=0.5)
    stages = tiny_method.demanding(method, 10)
    options = {"stages": stages, "validation": faces, "callbacks": (), "num_samples": 2, **options}
    return fit(method, faces, run_dir, **options)


def digests(run):
    names = ("weights-alone.safetensors", "weights-against.safetensors", "log.csv")
    return [hashlib.sha256((run.run_dir / name).read_bytes()).hexdigest() for name in names]


def test_a_thread_that_draws_all_the_time_changes_nothing_and_is_not_changed(faces, tmp_path):
    alone = train(faces, tmp_path / "alone")
    over, numbers = threading.Event(), []
    torch.manual_seed(3)

    def draw():
        while not over.is_set():
            numbers.append(torch.rand(7))

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        beside = train(faces, tmp_path / "beside")
    finally:
        over.set()
        thread.join()
    assert digests(beside) == digests(alone)
    torch.manual_seed(3)
    assert len(numbers) > 10 and all(torch.equal(torch.rand(7), each) for each in numbers)


def test_two_runs_in_two_threads_are_what_each_is_alone(faces, tmp_path):
    def run(name, seed):
        return digests(train(faces, tmp_path / name, seed=seed))

    expected = [run("a", 0), run("b", 1)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, ("c", "d"), (0, 1))) == expected


DRAWS = {
    "rand": lambda x: torch.rand(3, 4),
    "randn_like": torch.randn_like,
    "rand_like": torch.rand_like,
    "randint": lambda x: torch.randint(9, (5,)),
    "randint from": lambda x: torch.randint(2, 9, (5,)),
    "randint_like": lambda x: torch.randint_like(x, 9),
    "randperm": lambda x: torch.randperm(9),
    "normal": lambda x: torch.normal(0.0, 1.0, (3,)),
    "bernoulli": lambda x: torch.bernoulli(x.sigmoid()),
    "multinomial": lambda x: torch.multinomial(x.softmax(-1), 2),
    "uniform_": lambda x: torch.empty(3).uniform_(),
    "exponential_": lambda x: torch.empty(3).exponential_(),
    "dropout": lambda x: F.dropout(x, 0.5),
    "dropout2d": lambda x: F.dropout2d(x[None, :, None, :], 0.5),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, training=True),
    "gumbel_softmax": F.gumbel_softmax,
    "rrelu": lambda x: F.rrelu(-x.abs(), training=True),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], dropout_p=0.5),
    "lstm": lambda x: DRAWN_LSTM(x[None])[0],
}
DRAWN_LSTM = nn.LSTM(5, 3, num_layers=2, dropout=0.5).train()


@pytest.mark.parametrize("name", DRAWS)
def test_whatever_draws_draws_the_numbers_of_the_seed_and_leaves_pytorchs_generator_alone(name):
    x = torch.linspace(-1, 1, 20).reshape(4, 5)
    torch.manual_seed(11)
    expected = DRAWS[name](x)
    torch.manual_seed(4)
    before = torch.get_rng_state()
    with OwnDraws(11):
        first = DRAWS[name](x)
    assert torch.equal(first, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_draw_while_gradients_are_computed_is_refused(faces, tmp_path):
    from torch.utils.checkpoint import checkpoint

    class Recomputes(tiny_method.Tiny):
        name = ""

        def forward_train(self, batch, stage):
            return {"raw": checkpoint(self.painter, batch.image, use_reentrant=False)}

    stages = [Stage("alone", 1, {"p": OptimizerConfig(("painter",), {"reconstruction": 1.0})}, 4)]
    with pytest.raises(ValueError, match="while gradients are computed.*no checkpointing"):
        train(faces, tmp_path / "drops", Recomputes(dropout=0.5), stages=stages)
    train(faces, tmp_path / "plain", Recomputes(), stages=stages)
