# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""How Google is reached: the variables gcp_*, which the playbooks hand to every module."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Iterator, Mapping

from .._errors import InvalidOption
from .._gcp.connect import check_endpoints
from .estate import Estate, Problem, Region

# auth_kind -> what it cannot do without.
NEEDS = {"accesstoken": "gcp_access_token", "serviceaccount": "gcp_service_account_file"}


def judge(region: Region, estate: Estate) -> Iterator[Problem]:
    needed = NEEDS.get(region.text("gcp_auth_kind"))
    if needed and not region.get(needed) and needed not in region.broken:
        yield region.problem("gcp_auth_kind", f"needs {needed}, which has no value", f"set {needed}")
    endpoints = region.get("gcp_api_endpoints")
    if isinstance(endpoints, Mapping):
        try:
            check_endpoints({str(key): value for key, value in endpoints.items()})
        except InvalidOption as error:
            yield region.problem("gcp_api_endpoints", "has an entry that is not valid", error.advice, given=error.given)


def is_loopback(endpoints: object) -> bool:
    """Whether the compute API is an emulation on this machine, whose subnets may be on loopback too."""
    url = endpoints.get("compute") if isinstance(endpoints, Mapping) else None
    host = urllib.parse.urlsplit(url).hostname if isinstance(url, str) else None
    try:
        return host is not None and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False
