"""YAML files as people write them by hand: names and values, none of them twice."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from typing import Any

import yaml

from facecomp_lib.utils.files import expand

__all__ = ["Loader", "read_yaml"]

_LARGEST = 1_000_000  # bytes; the course's own files have a hundredth of it
_MOST_REFERENCES = 20


class Loader(yaml.SafeLoader):
    """YAML in which 1e-3 is a number, and a key that occurs twice is a mistake, as are many references.

    Some ten lines of references (``*name``) to references can stand for more than any memory holds.
    """

    references = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.references += 1
            if self.references > _MOST_REFERENCES:
                problem = f"more than {_MOST_REFERENCES} references (*name): write the values out"
                raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                problem = f"{str(key.value)[:80]!r} occurs twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The names and values of a YAML file.

    Raises:
        FileNotFoundError, OSError: there is no such file, or it cannot be read.
        ValueError: it is no YAML mapping, or too large; the message says where the mistake is.
    """
    path = expand(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file: give a YAML file of lines 'name: value'.")
    with open(path, "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"{path} is larger than 1 MB: give a YAML file of lines 'name: value'.")
    try:
        values = yaml.load(content, Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{path}{line}: {error.problem}.") from None
    except RecursionError:
        raise ValueError(f"{path} is no YAML of ours: it is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:  # such as a date that there is not
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold lines of the form 'name: value', not {type(values).__name__}.")
    return values
