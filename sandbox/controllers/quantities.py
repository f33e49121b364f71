# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes quantities as exact numbers, and what a Pod asks for."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from fractions import Fraction

from sandbox.interfaces import Json

_SUFFIXES = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{name: Fraction(1000) ** power for power, name in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{name: Fraction(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}

Amounts = Mapping[str, Fraction]


def quantity(text: t.Any) -> Fraction:
    """ "500m" -> 1/2, "8Gi" -> 8589934592, 4 -> 4. Raises ValueError for what is no quantity."""
    text = str(text)
    number = text.rstrip("numkKMGTPEi")
    return Fraction(number) * _suffix(text[len(number) :], text)


def _suffix(suffix: str, text: str) -> Fraction:
    try:
        return _SUFFIXES[suffix]
    except KeyError:
        raise ValueError(f"{text!r} is no quantity") from None


def amounts(listed: Mapping[str, t.Any] | None) -> dict[str, Fraction]:
    return {name: quantity(text) for name, text in (listed or {}).items()}


def total(parts: Iterable[Amounts]) -> dict[str, Fraction]:
    result: dict[str, Fraction] = {}
    for part in parts:
        for name, amount in part.items():
            result[name] = result.get(name, Fraction(0)) + amount
    return result


def requests(pod: Json) -> dict[str, Fraction]:
    """What the scheduler reckons with: the sum over containers and sidecars, or the largest init container.

    A limit without a request is a request, as the API server defaults it. Every Pod asks for one of "pods".
    """
    spec = pod["spec"]
    needed = total(_requests(container) for container in spec.get("containers") or [])
    for container in spec.get("initContainers") or []:
        own = _requests(container)
        if container.get("restartPolicy") == "Always":
            needed = total((needed, own))
        else:
            needed.update({name: max(amount, needed.get(name, Fraction(0))) for name, amount in own.items()})
    return {**needed, "pods": Fraction(1)}


def _requests(container: Json) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    return {**amounts(resources.get("limits")), **amounts(resources.get("requests"))}
