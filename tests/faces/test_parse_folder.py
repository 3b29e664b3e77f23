"""Photographs get the parsing maps that a network draws, once."""

import pytest
import torch
from photo_help import prepared

import facecomp_lib as fc
from data_scripts.parse_folder import parse_folder


def test_a_folder_is_copied_with_the_parsers_maps_and_not_parsed_twice(tmp_path):
    source, target = prepared(tmp_path / "photos", 6), tmp_path / "parsed"
    parser = fc.methods.build("gfc", size=32, width=1 / 16, fc_dim=8).parser.eval()
    parse_folder(source, target, parser, 32)
    plain, copy = fc.faces.folder(source), fc.faces.folder(target)
    with torch.no_grad():
        drawn = parser(fc.faces.folder(source, None, 32)[:].image).argmax(1)
    assert torch.equal(fc.faces.folder(target, None, 32)[:].parsing, drawn)
    assert torch.equal(copy[:].image, plain[:].image) and torch.equal(copy[:].landmarks, plain[:].landmarks)
    assert list(copy.column("split")) == list(plain.column("split"))
    before = {file: file.stat().st_mtime_ns for file in target.rglob("*.arrow")}
    parse_folder(source, target, parser, 32)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    with pytest.raises(ValueError, match="another parser_size"):
        parse_folder(source, target, parser, 16)
