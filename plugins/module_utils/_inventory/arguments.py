# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Values against an argument spec, as Ansible converts them, and every fault instead of the first.

Roles print their variables into templates as they are, and only what a module gets is converted. So a variable of a
role must be of its type already, save for text that says the same (``-e model_replicas=2``); what is handed to a
module (``handed``) may also be a list in one string. Refused everywhere, though Ansible's own check lets it pass:
true for a number, 2.0 or "1e3" for a whole one, nan, a list or a dictionary for text. They break later.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing as t
from collections.abc import Iterator, Mapping

from .estate import Json, Path

TRUE = ("y", "yes", "on", "1", "true", "t")
FALSE = ("n", "no", "off", "0", "false", "f")

# Names of a few options are quoted whole, of more only the one that was probably meant.
FEW = 12


@dataclasses.dataclass(frozen=True)
class Fault:
    """``path``: the way to the value, beginning with the option; ``given`` None: there is nothing."""

    path: Path
    given: t.Any
    wrong: str
    wanted: str


def near(word: str, known: t.Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)
    return found[0] if found else None


def check(value: t.Any, spec: Json, path: Path, *, handed: bool = False) -> tuple[t.Any, list[Fault]]:
    """The value as its type has it, without what is wrong in it, and the faults. None is no value: nothing is wrong."""
    if value is None:
        return None, []
    kind = spec.get("type") or "str"
    if kind == "list":
        return _list(value, spec, path, handed)
    if kind == "dict":
        return _dict(value, spec, path)
    if kind not in _CONVERSIONS:  # raw, jsonarg and the like: whatever it is
        return value, []
    convert, wanted = _CONVERSIONS[kind]
    try:
        converted = convert(value)
    except ValueError:
        return None, [Fault(path, value, f"is {_article(value)}", f"give {wanted}")]
    choices = spec.get("choices")
    if choices and converted not in choices:
        meant = near(str(value), map(str, choices))
        hint = f"did you mean {meant}? give " if meant else "give "
        return None, [Fault(path, value, "is not one of its choices", f"{hint}one of {', '.join(map(str, choices))}")]
    return converted, []


def unknown(key: str, known: t.Collection[str]) -> str:
    """What to do about a key that nobody reads."""
    if meant := near(key, known):
        return f"did you mean {meant}?"
    return f"give one of {', '.join(sorted(known))}" if len(known) <= FEW else "leave it out"


def _list(value: t.Any, spec: Json, path: Path, handed: bool) -> tuple[t.Any, list[Fault]]:
    if handed and isinstance(value, str):
        value = value.split(",")
    elif handed and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = [str(value)]
    if not isinstance(value, (list, tuple)):
        return None, [Fault(path, value, f"is {_article(value)}", "give a list")]
    element = {**spec, "type": spec.get("elements") or "raw"}
    element.pop("elements", None)
    kept, faults = [], []
    for index, item in enumerate(value):
        if item is None:
            found = [Fault((*path, index), None, "is empty", f"give {describe(element)}")]
            converted = None
        else:
            converted, found = check(item, element, (*path, index), handed=handed)
        kept.append(converted)
        faults += found
    return kept, faults


def _dict(value: t.Any, spec: Json, path: Path) -> tuple[t.Any, list[Fault]]:
    if not isinstance(value, Mapping):
        return None, [Fault(path, value, f"is {_article(value)}", "give a dictionary")]
    options: Json | None = spec.get("options")
    if not options:
        return dict(value), []
    kept, faults = {}, list(_missing(value, options, path))
    for key, item in value.items():
        if key not in options:
            faults.append(Fault((*path, key), None, "is no option of it", unknown(str(key), options)))
            continue
        converted, found = check(item, options[key], (*path, key), handed=True)
        faults += found
        if converted is not None:
            kept[key] = converted
    return kept, faults


def _missing(value: Mapping[str, t.Any], options: Json, path: Path) -> Iterator[Fault]:
    for name, option in options.items():
        if option.get("required") and value.get(name) is None:
            yield Fault((*path, name), None, "is missing", f"give {describe(option)}")


def describe(spec: Json) -> str:
    """What a value of this spec is, in words."""
    kind = spec.get("type") or "str"
    return {"list": "a list", "dict": "a dictionary"}.get(kind) or _CONVERSIONS.get(kind, (None, "a value"))[1]


def _text(value: t.Any) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        raise ValueError
    return str(value)


def _whole(value: t.Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _number(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _truth(value: t.Any) -> bool:
    text = str(value).lower().strip() if isinstance(value, (str, bool, int)) else str(value).removesuffix(".0")
    if text not in (*TRUE, *FALSE):
        raise ValueError
    return text in TRUE


_CONVERSIONS: dict[str, tuple[t.Callable[[t.Any], t.Any], str]] = {
    "str": (_text, "text"),
    "path": (_text, "a path"),
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "bool": (_truth, "true or false"),
}


def _article(value: t.Any) -> str:
    """What kind of value it is, in words."""
    if isinstance(value, bool):
        return "a truth value"
    for kind, word in ((str, "text"), (int, "a number"), (float, "a number"), (Mapping, "a dictionary")):
        if isinstance(value, kind):
            return word
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"
