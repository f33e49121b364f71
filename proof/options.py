# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user types, `NAME=VALUE` as after `make google`, and what is wrong with it before anything is done."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import typing as t
from collections.abc import Iterable
from pathlib import Path

from .steps import DEFAULT, STEPS, chosen

ROOT = Path(__file__).resolve().parent.parent
# What make itself is told, and not us.
MAKES_OWN = ("PYTHON",)
PROJECT_ID = re.compile(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]")
ZONE = re.compile(r"[a-z]+-[a-z]+\d+-[a-z]+\d*[a-z]*")


class Refused(Exception):
    """One sentence that names the option; nothing has been done."""

    def __init__(self, option: str, text: str) -> None:
        super().__init__(f"{option}: {text}")


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """A Google Cloud at other addresses: base URLs by service, its token, the first octets of what it routes."""

    endpoints: dict[str, str]
    token: str = ""
    prefix: str = ""


@dataclasses.dataclass(frozen=True)
class Options:
    """``cap``: US dollars; ``deadline``: minutes until all is taken down; in the first of ``zones`` most is made."""

    project: str
    steps: tuple[str, ...]
    zones: tuple[str, ...]
    cap: float
    deadline: float
    yes: bool
    clean: bool
    prices: Path
    directory: Path
    elsewhere: Elsewhere | None


# Option -> what it is, for `make google` without any.
HELP = {
    "PROJECT": "the project's ID; needed",
    "STEPS": f"of {', '.join(STEPS)}, or all (default: {','.join(DEFAULT)}); what a step needs comes along",
    "ZONES": "two zones of different regions; all but step service use the first (default: us-east5-b,europe-west4-a)",
    "CAP": "US dollars that may be spent at most (default: 3)",
    "DEADLINE": "minutes after which everything is taken down (default: 90)",
    "YES": "1: do not ask",
    "CLEAN": "1: remove what earlier runs have left, and do nothing else",
    "PRICES": "a file like proof/prices.yml",
    "DIRECTORY": "where journal, logs and evidence lie (default: .google)",
    "ENDPOINTS": "a JSON file with endpoints, token and prefix, as the sandbox's status.json",
}


def read(words: Iterable[str]) -> Options:
    """Raises Refused."""
    given = _given(words)
    project = given.get("PROJECT", "")
    if not project:
        raise Refused("PROJECT", "name the project to build in: make google PROJECT=my-project")
    if not PROJECT_ID.fullmatch(project):
        raise Refused("PROJECT", f"{project!r} is no project ID; give 6 to 30 lower-case letters, digits and hyphens")
    steps = _steps(given.get("STEPS", ""))
    if "service" in steps and not os.environ.get("HF_TOKEN"):
        raise Refused("HF_TOKEN", "step service fetches a gated model: export a Hugging Face token that may read it")
    return Options(
        project=project,
        steps=steps,
        zones=_zones(given.get("ZONES", "us-east5-b,europe-west4-a")),
        cap=_number("CAP", given.get("CAP", "3"), "dollars"),
        deadline=_number("DEADLINE", given.get("DEADLINE", "90"), "minutes"),
        yes=_switch("YES", given.get("YES", "")),
        clean=_switch("CLEAN", given.get("CLEAN", "")),
        prices=_file("PRICES", given.get("PRICES", str(ROOT / "proof" / "prices.yml"))),
        directory=Path(given.get("DIRECTORY", str(ROOT / ".google"))).absolute(),
        elsewhere=_elsewhere(given.get("ENDPOINTS", "")),
    )


def _given(words: Iterable[str]) -> dict[str, str]:
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name in MAKES_OWN:
            continue
        if not equals or name not in HELP:
            near = difflib.get_close_matches(name.upper(), HELP, n=1)
            raise Refused(name, f"there is no such option{f'; did you mean {near[0]}?' if near else ''}")
        given[name] = value.strip()
    return {name: value for name, value in given.items() if value}


def _steps(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name != "all" and name not in STEPS]
    if unknown:
        raise Refused("STEPS", f"there is no step {', '.join(unknown)}; there are {', '.join(STEPS)}, and all")
    return chosen(names)


def _zones(text: str) -> tuple[str, ...]:
    zones = tuple(zone.strip() for zone in text.split(",") if zone.strip())
    wrong = [zone for zone in zones if not ZONE.fullmatch(zone)]
    regions = {zone.rpartition("-")[0] for zone in zones}
    if wrong or len(zones) != 2 or len(regions) != 2:
        raise Refused("ZONES", f"give two zones of different regions, such as us-east5-b,europe-west4-a, not {text!r}")
    return zones


def _number(option: str, text: str, unit: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1_000_000:
        raise Refused(option, f"{text!r} is no number of {unit} above zero")
    return number


def _switch(option: str, text: str) -> bool:
    if text not in ("", "0", "1"):
        raise Refused(option, f"give 1 or leave it out, not {text!r}")
    return text == "1"


def _file(option: str, text: str) -> Path:
    path = Path(text).absolute()
    if not path.is_file():
        raise Refused(option, f"there is no file {path}")
    return path


def _elsewhere(text: str) -> Elsewhere | None:
    if not text:
        return None
    path = _file("ENDPOINTS", text)
    try:
        document: t.Any = json.loads(path.read_text(encoding="utf-8"))
        return Elsewhere(dict(document["endpoints"]), document.get("token", ""), document.get("prefix", ""))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("ENDPOINTS", f"{path} is no JSON object with endpoints ({error})") from error


def environment(options: Options) -> dict[str, str]:
    """What the modules are to find in their environment: the user's own credentials, or those of another cloud."""
    own = dict(os.environ)
    if options.elsewhere and options.elsewhere.token:
        own |= {"GCP_AUTH_KIND": "accesstoken", "GCP_ACCESS_TOKEN": options.elsewhere.token}
    return own
