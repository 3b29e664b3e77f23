"""What the public surface says to malformed input: the call, the error, and a word of its sentence."""

import functools
from pathlib import Path

import numpy as np
import pytest
import tiny_faces
import torch

import facecomp_lib as fc
from facecomp_lib.methods import OptimizerConfig, Stage, build

NAN = float("nan")


def image(n=2, size=32, value=0.5):
    return torch.full((n, 3, size, size), value)


def mask(n=2, size=32):
    return fc.masks.make("center", size, n)


@functools.cache
def faces(size=32):
    return fc.faces.embedded("test", size)


@functools.cache
def gfc():
    return build("gfc", size=32, width=0.0625, fc_dim=8)


@functools.cache
def lafin():
    return build("lafin", size=32, width=0.0625)


@functools.cache
def scores():
    return fc.evaluation.evaluate({"telea": "telea"}, faces(), "center", "psnr", limit=4, progress=False)


def points(n=2):
    return faces().batch(range(n)).landmarks


def file(name, content=b""):
    """A file in the folder where the test stands."""
    Path(name).write_bytes(content)
    return name


def prepared(name):
    return tiny_faces.write(Path(name))


def array(shape, value=0, kind=np.uint8):
    return np.full(shape, value, kind)


def adam(**changes):
    return OptimizerConfig(**{"networks": ("generator",), "losses": {"reconstruction": 1.0}} | changes)


def stage(**changes):
    return Stage(**{"name": "a", "steps": 2, "optimizers": {"generator": adam()}, "batch_size": 2} | changes)


def fit(**changes):
    return fc.training.fit(
        **{"method": gfc(), "data": faces(), "run_dir": "run", "preset": "smoke"} | changes
    )


TABLE = [
    # presets, embedded faces, folders
    ("fc.preset('big')", ValueError, "choose one of"),
    ("fc.preset(None)", ValueError, "choose one of"),
    ("fc.faces.embedded('training')", ValueError, "train"),
    ("fc.faces.embedded('test', size=0)", ValueError, "size"),
    ("fc.faces.embedded('test', size=64.0)", ValueError, "whole number"),
    ("fc.faces.embedded('test', size='64')", ValueError, "size"),
    ("fc.faces.embedded(None)", ValueError, "train"),
    ("fc.faces.folder('nowhere')", FileNotFoundError, "nowhere"),
    ("fc.faces.folder(3)", ValueError, "path"),
    ("fc.faces.folder('')", (ValueError, FileNotFoundError), "path"),
    ("fc.faces.folder(file('a.txt'))", (ValueError, OSError), "a.txt"),
    ("fc.faces.folder(prepared('set'), 'dev')", ValueError, "dev"),
    ("fc.faces.folder(prepared('set'), size=-4)", ValueError, "size"),
    ("faces()[10**9]", IndexError, "count from"),
    ("faces().batch([0, 1.5])", ValueError, "whole numbers"),
    ("faces().batch(3)", ValueError, "indices"),
    ("faces().batch(None)", ValueError, "indices"),
    ("faces().batch([[0, 1]])", ValueError, "flat list"),
    ("faces().subset(0)", ValueError, "1"),
    ("faces().subset(10**9)", ValueError, "faces"),
    ("faces().column('beauty')", (ValueError, KeyError), "beauty"),
    ("faces().with_augmentation('strong')", ValueError, "augment"),
    ("fc.faces.split_of(1, val=2)", ValueError, "val"),
    ("fc.faces.split_of(1, val=0.6, test=0.6)", ValueError, "test"),
    # a batch, augmentation, the writer
    ("fc.faces.FaceBatch('a.png')", ValueError, "image"),
    ("fc.faces.FaceBatch(image(), landmarks=torch.zeros(2, 67, 2))", ValueError, "68"),
    ("fc.faces.FaceBatch(image(), landmarks=torch.zeros(3, 68, 2))", ValueError, "2"),
    ("fc.faces.FaceBatch(image(), attributes='male')", ValueError, "attributes"),
    ("fc.faces.Augment(flip=2)", ValueError, "flip"),
    ("fc.faces.Augment(rotate=NAN)", ValueError, "rotate"),
    ("fc.faces.Augment(crop=2.5)", ValueError, "crop"),
    ("fc.faces.Augment(gamma='strong')", ValueError, "gamma"),
    ("fc.faces.Augment.photographic(brightness=-1)", ValueError, "brightness"),
    ("fc.faces.Writer('new', 'a', size=0)", ValueError, "size"),
    ("fc.faces.Writer('new', 'a', size='a')", ValueError, "size"),
    ("fc.faces.Writer('new', 'a', size=32, image_format='gif')", ValueError, "image_format"),
    ("fc.faces.Writer('new', 'a', size=32, quality=0)", ValueError, "quality"),
    ("fc.faces.Writer(file('a.txt'), 'a', size=32)", (ValueError, OSError), "a.txt"),
    # photographs
    ("fc.faces.from_photo('nowhere.jpg')", FileNotFoundError, "nowhere.jpg"),
    ("fc.faces.from_photo('')", (ValueError, OSError), "path"),
    ("fc.faces.from_photo('.')", (ValueError, OSError), "folder"),
    ("fc.faces.from_photo(file('a.jpg'))", (ValueError, OSError), "a.jpg"),
    ("fc.faces.from_photo(file('a.jpg', b'<html>not found</html>'))", (ValueError, OSError), "a.jpg"),
    ("fc.faces.from_photo(file('a.heic', b'\\0\\0\\0\\x18ftypheic'))", (ValueError, OSError), "a.heic"),
    ("fc.faces.from_photo(file('a.png', b'\\x89PNG\\r\\n\\x1a\\n'))", (ValueError, OSError), "a.png"),
    ("fc.faces.from_photo(b'')", ValueError, "image"),
    ("fc.faces.from_photo(None)", ValueError, "NoneType"),
    ("fc.faces.from_photo(array((8, 8, 7)))", ValueError, "[H, W, 3]"),
    ("fc.faces.from_photo(array((64, 64, 3)), landmarks=array((5, 2)))", ValueError, "68"),
    ("fc.faces.from_photo(array((64, 64, 3)), landmarks=array((68, 2), NAN, float))", ValueError, "finite"),
    ("fc.faces.from_photo(array((64, 64, 3)), landmarks=array((68, 2), 1))", ValueError, "differ"),
    ("fc.faces.astronaut(size=-1)", ValueError, "size"),
    ("fc.faces.edit_landmarks(points(), smile='wide')", ValueError, "smile"),
    ("fc.faces.edit_landmarks(torch.zeros(2, 5, 2), smile=1)", ValueError, "68"),
    # masks
    ("fc.masks.make('centre')", ValueError, "center"),
    ("fc.masks.make('')", ValueError, "kind"),
    ("fc.masks.make(7)", ValueError, "kind"),
    ("fc.masks.make('center', size=0)", ValueError, "size"),
    ("fc.masks.make('center', size=(32, 0))", ValueError, "size"),
    ("fc.masks.make('gfc_o1', size=8)", ValueError, "16"),
    ("fc.masks.make('center', n=-1)", ValueError, "n must"),
    ("fc.masks.make('center', n=1.5)", ValueError, "whole number"),
    ("fc.masks.make('noise', seed=-1)", ValueError, "seed"),
    ("fc.masks.make('center', colour='red')", ValueError, "colour"),
    ("fc.masks.make('center', side=200)", ValueError, "side"),
    ("fc.masks.make('noise', fraction=2)", ValueError, "fraction"),
    ("fc.masks.make('gfc_o1', landmarks=torch.zeros(1, 5, 2))", ValueError, "68"),
    ("fc.masks.make('gfc_o1', landmarks=torch.zeros(1, 68, 2) - 900)", ValueError, "pixels"),
    ("fc.masks.make('center', index=[0.5])", ValueError, "whole numbers"),
    ("fc.masks.make('irregular_10_20', folder='nowhere')", (ValueError, FileNotFoundError), "nowhere"),
    ("fc.masks.check(image(), None)", ValueError, "fc.masks.make"),
    ("fc.masks.check(image(), mask(3))", ValueError, "one per image"),
    ("fc.masks.check(image(), mask() * 0.5)", ValueError, "1 (known)"),
    ("fc.masks.check(image(), mask().bool())", ValueError, "mask.float()"),
    ("fc.masks.check(image()[0], mask())", ValueError, "[B, 3, H, W]"),
    ("fc.masks.check(image(), torch.zeros(2, 1, 32, 32))", ValueError, "no known pixel"),
    ("fc.masks.merge(image(), image(1), mask())", ValueError, "shape"),
    ("fc.masks.composite(image(), image(2, 16), mask())", ValueError, "shape"),
    ("fc.masks.hole_fraction('center')", ValueError, "mask"),
    # classical fills
    ("fc.classical.complete(image(), mask(), 'magic')", ValueError, "choose one of"),
    ("fc.classical.complete(image(), mask(), 'telea', patch=3)", ValueError, "patch"),
    ("fc.classical.complete(image(), mask(), 'telea', radius=0)", ValueError, "radius"),
    ("fc.classical.complete(image(), mask(), 'patchmatch', patch=4)", ValueError, "odd"),
    ("fc.classical.complete((image() * 255).byte(), mask())", ValueError, "255"),
    ("fc.classical.complete(image(value=255), mask())", ValueError, "[0, 1]"),
    ("fc.classical.poisson_blend(image(), image(1), mask())", ValueError, "shape"),
    # methods
    ("build('gcf')", ValueError, "choose one of"),
    ("build(None)", ValueError, "choose one of"),
    ("build('gfc', size=33)", ValueError, "size"),
    ("build('gfc', width=-1)", ValueError, "width"),
    ("build('gfc', width='half')", ValueError, "width"),
    ("build('gfc', variant='new')", ValueError, "paper"),
    ("build('gfc', depth=3)", (ValueError, TypeError), "depth"),
    ("build('gfc', seed=-1)", ValueError, "seed"),
    ("build('gfc', seed=1.5)", ValueError, "seed"),
    ("build('lafin', attention='false')", ValueError, "attention"),
    ("build('collagan', tasks='xyz')", ValueError, "tasks"),
    ("fc.methods.pretrained('gcf')", ValueError, "choose one of"),
    ("fc.methods.pretrained('gfc', size=64)", FileNotFoundError, "gfc-128"),
    ("fc.methods.pretrained('gfc', variant='tiny')", FileNotFoundError, "gfc-128"),
    ("fc.methods.load('nowhere')", FileNotFoundError, "nowhere"),
    ("fc.methods.load(None)", ValueError, "path"),
    ("fc.methods.load(file('a.safetensors', b'abc'))", (ValueError, OSError), "a."),
    ("fc.methods.save('gfc', 'mine')", ValueError, "method"),
    ("fc.methods.save(gfc(), 3)", ValueError, "path"),
    ("fc.methods.save(gfc(), 'mine', networks=['encoder'])", ValueError, "encoder"),
    ("gfc().complete(image(), None)", ValueError, "mask"),
    ("gfc().complete(image(2, 64), mask(2, 64))", ValueError, "32"),
    ("gfc().complete((image() * 255).byte(), mask())", ValueError, "255"),
    ("gfc().complete(image(value=NAN), mask())", ValueError, "NaN"),
    ("gfc().complete(image() * 2 - 1.5, mask())", ValueError, "[0, 1]"),
    ("gfc().complete(image(), mask(), seed='a')", ValueError, "seed"),
    ("gfc().complete(image(), mask(), seed=-1)", ValueError, "seed"),
    ("gfc().complete(image(), mask(), landmarks=points())", (ValueError, TypeError), "landmarks"),
    ("lafin().complete(image(), mask(), landmarks=points(1))", ValueError, "landmarks"),
    ("lafin().complete(image(), mask(), landmarks='smile')", ValueError, "landmarks"),
    # stages
    ("stage(name='a b')", ValueError, "name"),
    ("stage(name=None)", ValueError, "name"),
    ("stage(steps=0)", ValueError, "step"),
    ("stage(steps=1.5)", ValueError, "steps"),
    ("stage(batch_size=-1)", ValueError, "batch"),
    ("stage(optimizers={})", ValueError, "optimizer"),
    ("stage(optimizers=None)", ValueError, "OptimizerConfig"),
    ("stage(masks=('centre',))", ValueError, "centre"),
    ("stage(augment='strong')", ValueError, "augment"),
    ("stage(ema=1.5)", ValueError, "ema"),
    ("adam(networks='generator')", ValueError, "networks"),
    ("adam(networks=())", ValueError, "network"),
    ("adam(losses={'reconstruction': NAN})", ValueError, "weight"),
    ("adam(losses={'reconstruction': 'much'})", ValueError, "weight"),
    ("adam(lr=0)", ValueError, "lr"),
    ("adam(lr=float('inf'))", ValueError, "lr"),
    ("adam(betas=(0.5, 0.9, 0.9))", ValueError, "betas"),
    ("adam(optimizer='sgd')", ValueError, "adam"),
    ("adam(clip=-1)", ValueError, "clip"),
    ("adam(every=0)", ValueError, "every"),
    ("adam(schedule='cosine')", ValueError, "schedule"),
    ("fc.methods.Loss(NAN)", ValueError, "weight"),
    ("fc.methods.Loss(1.0, every=0)", ValueError, "every"),
    ("fc.methods.Cosine(warmup=-1)", ValueError, "warmup"),
    ("fc.methods.Cosine(final=2)", ValueError, "final"),
    ("fc.methods.Plateau(factor=1)", ValueError, "factor"),
    # training
    ("fit(method='gfc')", ValueError, "method"),
    ("fit(method=None)", ValueError, "method"),
    ("fit(data=image())", ValueError, "data"),
    ("fit(data='photos')", ValueError, "data"),
    ("fit(data=faces(64))", ValueError, "64"),
    ("fit(run_dir='')", ValueError, "empty"),
    ("fit(run_dir=None)", ValueError, "run_dir"),
    ("fit(run_dir=file('a.txt'))", (ValueError, OSError), "a.txt"),
    ("fit(preset='quick')", ValueError, "choose one of"),
    ("fit(stages=[])", ValueError, "stage"),
    ("fit(stages=[None])", ValueError, "stage"),
    ("fit(stages=[stage(), stage()])", ValueError, "name"),
    ("fit(until='never')", ValueError, "never"),
    ("fit(seed=1.5)", ValueError, "seed"),
    ("fit(seed=-1)", ValueError, "seed"),
    ("fit(seed=2**200)", ValueError, "seed"),
    ("fit(precision='fp16')", ValueError, "32-true"),
    ("fit(save_every='a')", ValueError, "save_every"),
    ("fit(callbacks=5)", TypeError, "Callback"),
    ("fit(num_samples=1.5)", ValueError, "num_samples"),
    ("fit(validation=5)", ValueError, "validation"),
    ("fc.training.collect('nowhere')", FileNotFoundError, "nowhere"),
    ("fc.training.add_metrics('run', psnr=NAN)", ValueError, "finite"),
    # metrics and evaluation
    ("fc.evaluation.psnr(image(), image(1))", ValueError, "shape"),
    ("fc.evaluation.psnr(image(value=NAN), image())", ValueError, "finite"),
    ("fc.evaluation.psnr(image(), image(value=255))", ValueError, "255"),
    ("fc.evaluation.score(image(value=200), image(), mask())", ValueError, "255"),
    ("fc.evaluation.score(image(), image(), mask(), 'beauty')", ValueError, "beauty"),
    ("fc.evaluation.score(image(), image(), mask() * 255)", ValueError, "1 (known)"),
    ("fc.evaluation.nme(points(), points(1))", ValueError, "as many"),
    ("fc.evaluation.dice(torch.zeros(2, 8, 8), torch.zeros(2, 8, 8))", ValueError, "whole"),
    ("fc.evaluation.dice(torch.zeros(2, 8, 8).long(), torch.zeros(2, 8, 8).long(), classes=0)", ValueError, "classes"),
    ("fc.evaluation.lpips(image(2, 64), image(2, 64), net='resnet')", ValueError, "alex"),
    ("fc.evaluation.evaluate({}, faces())", ValueError, "method"),
    ("fc.evaluation.evaluate({'a': 3}, faces())", ValueError, "not 3"),
    ("fc.evaluation.evaluate({'a': 'magic'}, faces())", ValueError, "magic"),
    ("fc.evaluation.evaluate({'a': 'telea'}, image())", ValueError, "faces"),
    ("fc.evaluation.evaluate({'a': 'telea'}, faces(), 'centre')", ValueError, "centre"),
    ("fc.evaluation.evaluate({'a': 'telea'}, faces(), metrics=())", ValueError, "metric"),
    ("fc.evaluation.evaluate({'a': 'telea'}, faces(), limit=0)", ValueError, "limit"),
    ("fc.evaluation.evaluate({'a': 'telea'}, faces(), batch_size=0)", ValueError, "at a time"),
    ("fc.evaluation.evaluate({'a': lambda i, m: i * 255}, faces(), limit=2, progress=False)", ValueError, "255"),
    ("fc.evaluation.bootstrap([1.0, 2.0], groups=[1])", ValueError, "groups"),
    ("fc.evaluation.difference([1.0, 2.0], [1.0])", ValueError, "same faces"),
    ("fc.evaluation.fid(image(), image())", ValueError, "images"),
    ("fc.evaluation.summarize(scores(), 'ssim')", ValueError, "ssim"),
    ("fc.evaluation.summarize(scores(), 'psnr', methods=['gfc'])", ValueError, "gfc"),
    ("fc.evaluation.average_face(None)", ValueError, "train"),
    ("fc.evaluation.nearest_face(faces(), limit=0)", ValueError, "limit"),
    # experiments
    ("fc.experiments.load('gfc/nothing')", (ValueError, FileNotFoundError), "gfc/nothing"),
    ("fc.experiments.load('../../etc/passwd')", (ValueError, FileNotFoundError), "passwd"),
    ("fc.experiments.published('vgg')", (ValueError, FileNotFoundError), "vgg"),
    ("fc.experiments.published('gfc', table='nine')", (ValueError, KeyError), "nine"),
    ("fc.experiments.read_experiment('gfc/nothing')", (ValueError, FileNotFoundError), "gfc/nothing"),
    ("fc.experiments.read_experiment('gfc/ablation', ['seeds'])", ValueError, "KEY=VALUE"),
    ("fc.experiments.read_experiment('gfc/ablation', ['steps=many'])", ValueError, "steps"),
    ("fc.experiments.make_stages(gfc(), [{'stage': 'dream'}])", ValueError, "dream"),
    # blocks and weights
    ("fc.nn.warp(image(), torch.zeros(2, 32, 32, 3))", ValueError, "flow"),
    ("fc.nn.warp('a.png', torch.zeros(2, 32, 32, 2))", ValueError, "image"),
    ("fc.nn.generator_loss(torch.zeros(2, 1), 'magic')", ValueError, "magic"),
    ("fc.nn.vgg_features(image(), 'vgg11')", ValueError, "vgg16"),
    ("fc.weights.path('magic')", (ValueError, KeyError), "magic"),
    ("fc.weights.available('magic')", (ValueError, KeyError), "magic"),
    # figures
    ("fc.show.contact_sheet([])", ValueError, "image"),
    ("fc.show.contact_sheet(image(), titles=['a'])", ValueError, "titles"),
    ("fc.show.masked(image(), 'center')", ValueError, "mask"),
    ("fc.show.overlay_landmarks(image(), torch.zeros(2, 5, 2))", ValueError, "landmarks"),
    ("fc.show.score_table(scores(), 'ssim')", ValueError, "ssim"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "word"), TABLE, ids=[call for call, _, _ in TABLE])
def test_malformed_input_gets_a_sentence(call, error, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACECOMP_OFFLINE", "1")
    with pytest.raises(error) as caught:
        eval(call)
    sentence = str(caught.value)
    assert word in sentence, sentence
    assert len(sentence) < 900, "a sentence, no page"  # the longest names all kinds of masks
    assert not (tmp_path / "run").exists() and not (tmp_path / "new").exists(), "nothing half-written"
