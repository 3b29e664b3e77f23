"""YAML files as people write them by hand: small, no larger than they look, and no key twice."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from typing import Any

import yaml

from facecomp_lib.utils.checks import shown
from facecomp_lib.utils.files import damaged, expand, read_bytes

__all__ = ["parse_yaml", "read_yaml"]

_MEGABYTES = 1  # the largest file that we have takes 8 kB
_MOST = 100_000  # values of a file, each alias counted as what it stands for


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, a key occurs once, and aliases do not multiply without end."""

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is not None:
            _count(node, {})
        return None if node is None else self.construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _mistake("a key must be plain", key)
            if key.value in seen:
                raise _mistake(f"{shown(key.value)} occurs twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ValueError: a mistake, with the file's name and the line; or a file that is too large.
        OSError: it cannot be read.
    """
    path = expand(path)
    data = read_bytes(path, _MEGABYTES)
    try:
        with damaged(path, "write it in UTF-8"):
            text = data.decode("utf-8-sig")
        content = parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{path}{line}: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold keys and values, not {type(content).__name__}.")
    return content


def parse_yaml(text: str) -> Any:
    """What a YAML text says.

    Raises:
        yaml.YAMLError: a mistake in it.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except Exception as error:  # a day 32, a number of 5,000 digits
        raise yaml.YAMLError(str(error)) from error


def _count(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """The number of values that a node stands for."""
    if node not in known:
        known[node] = _MOST  # until it is known: who meets himself has no end
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = isinstance(node, yaml.MappingNode)
        known[node] = 1 + sum(
            _count(child, known) for entry in children for child in (entry if pairs else [entry])
        )
    if known[node] > _MOST:
        raise _mistake(f"its aliases (*name) stand for more than {_MOST:,} values", node)
    return known[node]


def _mistake(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
