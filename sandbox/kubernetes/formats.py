# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Formats of scalars: Kubernetes quantities and the string formats that schemas name."""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
import typing as t
from collections.abc import Callable, Mapping
from decimal import Decimal

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)|[eE]([+-]?[0-9]+))?"
)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO = Decimal(1).scaleb(-9)


def parse_quantity(value: t.Any) -> tuple[Decimal, str]:
    """The amount and its notation ("binary", "decimal" or "exponent"). Raises ValueError."""
    match = None if isinstance(value, bool) else _QUANTITY.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(
            "quantities must match the regular expression " + "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix, exponent = Decimal(match[1]), match[2] or "", match[3]
    if exponent is not None:
        return number.scaleb(int(exponent)), "exponent"
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix]), "decimal"
    return number * 1024 ** _BINARY.index(suffix), "binary"


def canonical_quantity(value: t.Any) -> str:
    """The quantity as Kubernetes writes it: no fraction, the largest suffix ("1024Mi" -> "1Gi", 0.5 -> "500m")."""
    amount, notation = parse_quantity(value)
    # What is finer than a nano is rounded up, as Kubernetes does.
    if amount % _NANO:
        amount = (amount // _NANO + (1 if amount > 0 else -1)) * _NANO
    if amount == 0:
        return "0"
    if notation == "binary" and amount == amount.to_integral_value() and abs(amount) >= 1024:
        power = 0
        while power < len(_BINARY) - 1 and amount % 1024 == 0:
            amount, power = amount / 1024, power + 1
        return f"{int(amount)}{_BINARY[power]}"
    if notation == "binary" and amount == amount.to_integral_value():
        return str(int(amount))
    return _decimal_text(amount, exponent=notation == "exponent")


def _decimal_text(amount: Decimal, *, exponent: bool) -> str:
    suffix, power = next(
        (suffix, power) for suffix, power in reversed(_DECIMAL.items()) if amount.scaleb(-power) % 1 == 0
    )
    number = int(amount.scaleb(-power))
    if exponent:
        return f"{number}e{power}" if power else str(number)
    return f"{number}{suffix}"


def _is_time(value: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", value):
        return False
    try:
        datetime.datetime.fromisoformat(value[:19])
    except ValueError:
        return False
    return True


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return True


def _is_address(version: int) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            return ipaddress.ip_address(value).version == version
        except ValueError:
            return False

    return check


STRING_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date-time": _is_time,
    "byte": _is_base64,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
}

INTEGER_LIMITS: Mapping[str, int] = {"int32": 2**31, "int64": 2**63}
