# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Google has and the sandbox does not is answered 501, never a 404 that clients take for "absent".

Google's discovery documents are the judge: they have every method of every API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from googleapiclient import discovery_cache

from tests.clouds import PROJECT, Running
from tests.official import _methods

VERSIONS = (
    ("cloudresourcemanager", "v1"),
    ("cloudresourcemanager", "v3"),
    ("compute", "v1"),
    ("container", "v1"),
    ("gkehub", "v1"),
    ("iam", "v1"),
    ("iam", "v2"),
    ("serviceusage", "v1"),
    ("storage", "v1"),
)
LOCATED = {"compute": "compute/v1/", "storage": "storage/v1/"}
VALUES = {
    **dict.fromkeys(("project", "projectsId", "projectId"), PROJECT),
    **dict.fromkeys(("region", "locationsId"), "us-east5"),
    "zone": "us-east5-a",
}
NO_ROUTE = "The requested URL"


def requests(name: str, version: str) -> Iterator[tuple[str, str]]:
    """(method, path) of every method of an API, with names of nothing in the place of parameters."""
    document = json.loads(discovery_cache.get_static_doc(name, version))
    base = LOCATED.get(name, f"{name}/")
    for method in _methods(document):
        path = re.sub(
            r"\{\+?(\w+)\}", lambda found: VALUES.get(found[1], "none"), method.get("flatPath") or method["path"]
        )
        yield method["httpMethod"], base + path


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_no_method_of_google_is_no_such_url(cloud: Running, name: str, version: str) -> None:
    found = list(requests(name, version))
    assert len(found) > 5
    lacking = 0
    for method, path in found:
        code, answer = cloud.call(method, path, {} if method in ("POST", "PUT", "PATCH") else None)
        error = (answer or {}).get("error", {}) if isinstance(answer, dict) else {}
        assert not error.get("message", "").startswith(NO_ROUTE), f"{method} {path}"
        if code == 501:
            lacking += 1
            assert error["message"].startswith("This sandbox does not have "), error
            assert "docs/sandbox.md" in error["message"]
    assert lacking, "the sandbox has not everything of any API"


@pytest.mark.parametrize(
    ("path", "style"),
    [
        (f"compute/v1/projects/{PROJECT}/zones/us-east5-a/disks", "reason"),
        ("iam/v2/policies/none/denypolicies", "both"),
        (f"cloudresourcemanager/v3/projects/{PROJECT}", "status"),
        (f"storage/v1/projects/{PROJECT}/hmacKeys", "reason"),
        (f"container/v1/projects/{PROJECT}/aggregated/usableSubnetworks", "both"),
        (f"gkehub/v1/projects/{PROJECT}/locations/global/scopes", "status"),
        (f"dns/v1/projects/{PROJECT}/managedZones", "both"),
    ],
)
def test_the_sandbox_says_so_in_the_style_of_the_api(cloud: Running, path: str, style: str) -> None:
    code, answer = cloud.call("GET", path)
    error = answer["error"]
    assert (code, error["code"]) == (501, 501)
    assert ("errors" in error, "status" in error) == (style != "status", style != "reason")
    assert error.get("status", "UNIMPLEMENTED") == "UNIMPLEMENTED"
    assert cloud.call("GET", path, token="wrong")[0] in (401, 501)


@pytest.mark.parametrize("path", ["", "nonsense", f"compute/v1/projects/{PROJECT}/global//networks", "compute/v1/"])
def test_what_google_itself_does_not_have_stays_absent(cloud: Running, path: str) -> None:
    code, answer = cloud.call("GET", path)
    assert (code, answer["error"]["message"][: len(NO_ROUTE)]) == (404, NO_ROUTE)
