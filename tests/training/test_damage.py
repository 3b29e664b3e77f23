"""Files of a run that were damaged, changed or lost: said, written anew where that is safe, never used."""

import hashlib
import json
import warnings
from dataclasses import replace

import pytest
import tiny_method
import torch
from safetensors.torch import load_file

from facecomp_lib import methods
from facecomp_lib.training import Callback, fit
from facecomp_lib.training.checkpoint import load_checkpoint
from facecomp_lib.training.config import check_or_write_config
from facecomp_lib.training.manifest import PATH, seal, unseal

WEIGHTS = ("weights-alone.safetensors", "weights-against.safetensors")
OLD = ("step", "seconds", "precision", "schedules", "tensors", "sha256")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return tiny_method.data(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def train(faces, tmp_path):
    def run(**options):
        return fit(
            tiny_method.build(), faces, tmp_path / "run", "smoke", callbacks=(), num_samples=0, **options
        )

    return run


def hashes(run_dir):
    return [hashlib.sha256((run_dir / name).read_bytes()).hexdigest() for name in (*WEIGHTS, "log.csv")]


def flip(path, bit=None):
    data = bytearray(path.read_bytes())
    bit = len(data) * 4 if bit is None else bit
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


# ---- the manifest


def test_a_manifest_with_one_bit_flipped_is_refused_whichever_it_is(train):
    content = unseal((train(until="alone").run_dir / PATH).read_bytes())
    assert content.pop("card").count("finished") == 1  # a long text; the rest is quicker to go through
    data = seal(content).encode()
    assert unseal(data)["step"] == 4
    accepted = []
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            unseal(bytes(flipped))
            accepted.append(bit)
        except ValueError:
            pass
    assert accepted == []


def test_a_run_with_a_damaged_manifest_is_refused_in_one_sentence(train):
    path = train(until="alone").run_dir / PATH
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), len(whole) // 2 * 2 + 1):
        path.write_bytes(whole)
        flip(path, bit)
        with pytest.raises(ValueError, match="is damaged .*fresh run_dir, or delete"):
            train()
    path.write_bytes(whole)
    assert train().card["steps"] == 8


def test_a_number_in_the_manifest_cannot_be_changed_by_hand(train):
    path = train(until="alone").run_dir / PATH
    path.write_text(path.read_text().replace('"step": 4', '"step": 3'))
    with pytest.raises(ValueError, match="its seal is broken"):
        train()


def test_the_manifest_has_the_digest_of_everything_that_the_run_wrote(train):
    run = train()
    content = json.loads((run.run_dir / PATH).read_text())
    for name in WEIGHTS:
        assert content["files"][name] == hashlib.sha256((run.run_dir / name).read_bytes()).hexdigest()
    log = (run.run_dir / "log.csv").read_bytes()
    assert content["log"] == {"bytes": len(log), "sha256": hashlib.sha256(log).hexdigest()}
    assert content["card"] == (run.run_dir / "card.json").read_text()
    assert content["config"] == run.card["fingerprint"]


def test_a_run_of_the_edition_before_goes_on_to_the_same_bytes(train, tmp_path):
    whole = train()
    (tmp_path / "run").rename(tmp_path / "whole")
    path = train(until="alone").run_dir / PATH
    content = unseal(path.read_bytes())
    path.write_text(json.dumps({key: content[key] for key in OLD}) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again = train()
    assert hashes(again.run_dir) == hashes(tmp_path / "whole")
    assert again.card["steps"] == whole.card["steps"]


def test_a_lost_manifest_does_not_begin_the_run_anew(train):
    run = train(until="alone")
    before = load_file(next((run.run_dir / "state").glob("*.safetensors")))
    (run.run_dir / PATH).unlink()
    with pytest.raises(ValueError, match=r"checkpoint state/state.json is gone: put it back"):
        train()
    after = load_file(next((run.run_dir / "state").glob("*.safetensors")))
    assert all(torch.equal(before[key], after[key]) for key in before)


# ---- weights of stages


def test_damaged_weights_of_an_earlier_stage_are_said_and_never_used(train):
    run = train()
    flip(run.run_dir / WEIGHTS[0])
    with pytest.warns(UserWarning, match="weights-alone.safetensors is missing, damaged or was changed"):
        again = train()
    assert torch.equal(again.method.scale.weight, run.method.scale.weight)
    with pytest.raises(ValueError, match="weights-alone.safetensors is missing or damaged"):
        run.after("alone")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="weights-alone.* is missing or damaged"):
        train(until="alone")
    with pytest.raises(ValueError, match="weights-alone.safetensors is damaged"):
        methods.load(run.run_dir / WEIGHTS[0])


@pytest.mark.parametrize("how", ["flipped", "lost"])
def test_weights_of_the_last_stage_are_written_anew(train, how):
    run = train()
    before = hashes(run.run_dir)
    path = run.run_dir / WEIGHTS[1]
    flip(path) if how == "flipped" else path.unlink()
    with pytest.warns(UserWarning, match="weights-against.*it is written anew from the checkpoint"):
        train()
    assert hashes(run.run_dir) == before


# ---- card, configuration


@pytest.mark.parametrize("how", ["flipped", "lost"])
def test_a_damaged_card_is_not_read_and_is_written_anew(train, how):
    run = train()
    path, card = run.run_dir / "card.json", run.card
    flip(path) if how == "flipped" else path.unlink()
    with pytest.raises(ValueError, match="card.json is missing, damaged .*call fit again"):
        _ = run.card
    with pytest.warns(UserWarning, match="card.json is missing, damaged or was changed: it is written anew"):
        assert train().card == card


def test_a_configuration_with_one_bit_flipped_is_written_anew(train):
    run = train(until="alone")
    path = run.run_dir / "config.json"
    whole = path.read_bytes()
    config = json.loads(whole)
    del config["fingerprint"]
    for bit in range(3, 8 * len(whole), len(whole) // 5):
        flip(path, bit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a flip of white space is none
            check_or_write_config(run.run_dir, config)
        assert json.loads(path.read_bytes()) == json.loads(whole)
    path.unlink()
    with pytest.warns(UserWarning, match="config.json is missing: it is written anew"):
        train()
    assert path.read_bytes() == whole


def test_a_damaged_configuration_is_not_taken_for_another_run(train):
    run = train(until="alone")
    flip(run.run_dir / "config.json")
    with pytest.raises(ValueError, match="config.json is damaged: choose a fresh run_dir"):
        train(seed=1)


# ---- the log


def damage_row(path, row, text):
    lines = path.read_text().split("\n")
    lines[row] = text
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("row", ["2,alone", "2,alone,x,1,,,,", "�", ""])
def test_a_damaged_row_of_the_log_does_not_stop_the_run(train, row):
    log = train(until="alone").run_dir / "log.csv"
    damage_row(log, 3, row)
    as_it_was = log.read_bytes()
    with pytest.warns(UserWarning, match="log.csv is damaged or was changed: 1 of its rows are lost"):
        run = train()
    assert run.log["step"].tolist() == [0, 1, 3, 4, 5, 6, 7] and run.card["steps"] == 8
    assert (run.run_dir / "log-damaged.csv").read_bytes() == as_it_was


def test_a_changed_number_in_the_log_is_said(train):
    run = train()
    path = run.run_dir / "log.csv"
    damage_row(path, 2, path.read_text().split("\n")[2][:-1] + "5,")
    with pytest.warns(UserWarning, match="log.csv is damaged or was changed since it was written"):
        _ = run.log


def test_a_lost_log_is_said(train):
    (train(until="alone").run_dir / "log.csv").unlink()
    with pytest.warns(UserWarning, match="log.csv is missing: 4 of its rows are lost"):
        assert train().log["step"].tolist() == [4, 5, 6, 7]


def test_a_log_that_a_spreadsheet_saved_is_explained(train):
    run = train(until="alone")
    path = run.run_dir / "log.csv"
    path.write_text(path.read_text().replace(",", ";"))
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="did a spreadsheet save it.*step,stage"):
        _ = run.log
    with pytest.warns(UserWarning, match="4 of its rows are lost"):
        assert train().card["steps"] == 8


# ---- a run that has not begun


def test_a_run_that_failed_before_its_first_step_gives_way_to_the_right_one(faces, tmp_path):
    class Fails(tiny_method.Tiny):
        name = ""

        def forward_train(self, batch, stage):
            raise RuntimeError("too large")

    options = {"callbacks": (), "num_samples": 0}
    with pytest.raises(RuntimeError, match="too large"):
        fit(Fails(), faces, tmp_path / "run", "smoke", **options)
    run = fit(tiny_method.build(), faces, tmp_path / "run", "smoke", **options)
    alone = fit(tiny_method.build(), faces, tmp_path / "alone", "smoke", **options)
    assert hashes(run.run_dir) == hashes(alone.run_dir)


def test_a_run_that_was_stopped_after_a_step_does_not_give_way(faces, tmp_path):
    class Stops(Callback):
        def on_step(self, step, stage, row):
            raise KeyboardInterrupt

    options = {"num_samples": 0}
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_method.build(), faces, tmp_path / "run", "smoke", callbacks=[Stops()], **options)
    with pytest.raises(ValueError, match="holds another run"):
        fit(tiny_method.build(), faces, tmp_path / "run", "smoke", callbacks=(), seed=1, **options)


def test_stages_of_a_manifest_survive_the_seal():
    content = {"step": 3, "schedules": {"painter": {"best": float("inf"), "lr": 1e-3}}, "card": "é\n"}
    assert unseal(seal(content).encode()) == content


def test_a_checkpoint_is_read_back_as_it_was_saved(train):
    content, tensors = load_checkpoint(train(until="alone").run_dir / "state")
    assert content["step"] == 4 and all(key.startswith("method/") for key in tensors)
    assert replace(tiny_method.build().stages("smoke")[0]).steps == content["step"]
