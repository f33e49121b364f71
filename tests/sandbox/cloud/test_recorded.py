# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud answers the recorded requests in the recorded shapes, but for what was reviewed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.latency import GOOGLE
from tests.clouds import SERVICES, running_cloud
from tests.sandbox.cloud.replay import Difference, Replay, compare, kind_of, places
from tests.sandbox.cloud.reviewed import REVIEWED, SKIPPED

FILES = (
    "compute/address-ip-collection",
    "compute/address-regional",
    "compute/firewall",
    "compute/forwarding-rule-regional-managed-proxy",
    "compute/network",
    "compute/router",
    "compute/router-nat",
    "compute/router-nat-private",
    "compute/subnetwork",
    "container/cluster",
    "container/cluster-1.35-in-transit-encryption",
    "container/cluster-1.35-kubelet-config",
    "container/cluster-dns-and-ip-endpoints",
    "container/cluster-dns-endpoint-only",
    "container/cluster-maintenance-policy",
    "container/cluster-minimal",
    "container/cluster-private-endpoint-subnetwork",
    "container/node-pool",
    "container/node-pool-1.35-containerd-config",
    "container/node-pool-1.35-kubelet-config",
    "container/node-pool-queued-provisioning",
    "container/node-pool-remove-taint",
    "container/node-pool-subnetwork",
    "gkehub/feature-multiclusteringress",
    "gkehub/membership",
    "iam/policy-project",
    "iam/policy-project-conditions",
    "iam/policy-service-account",
    "iam/service-account",
    "iam/service-account-disabled",
    "serviceusage/identity",
    "serviceusage/service",
    "serviceusage/service-crud",
    "storage/bucket",
    "storage/bucket-autoclass",
    "storage/bucket-soft-delete",
)
TODAY = re.compile(r"/(cluster|node-pool)-1\.35-")
UNUSED = set(REVIEWED)


@pytest.fixture(scope="module")
def today(shared: Path) -> set[str]:
    """What the recordings of today's GKE answer: older ones do not have it yet."""
    found: set[str] = set()
    for name in filter(TODAY.search, FILES):
        for record in json.loads((shared / "recorded" / f"{name}.json").read_text()):
            if record["status"] == 200:
                found |= {f"{kind_of(record['url'])}: {place}" for place in places(record["response"])}
    return found


@pytest.fixture
def differences(
    request: pytest.FixtureRequest, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Difference]]:
    """What replaying the file named by the parameter finds."""
    # A second each: the answer to a creation must not be late enough to tell of progress.
    monkeypatch.setitem(GOOGLE, "cluster_create", 10_000)
    records = json.loads((shared / "recorded" / f"{request.param}.json").read_text())
    services = () if request.param.startswith("serviceusage/") else SERVICES
    with running_cloud(tmp_path, scale=0.0001, services=services) as cloud:
        yield list(Replay(cloud, records).run(re.compile(SKIPPED)))


@pytest.mark.parametrize(("differences", "name"), [(name, name) for name in FILES], indirect=["differences"], ids=FILES)
def test_answers_have_the_recorded_shape(differences: list[Difference], name: str, today: set[str]) -> None:
    left = []
    for difference in differences:
        if difference.kind == "extra" and not TODAY.search(name) and difference.place in today:
            continue
        known = [
            entry for entry in REVIEWED if re.search(entry[0], f"{name}.json") and re.search(entry[1], str(difference))
        ]
        UNUSED.difference_update(known)
        if not known:
            left.append(str(difference))
    assert not left, "\n".join(sorted(set(left)))


def test_no_reviewed_entry_is_stale(request: pytest.FixtureRequest, shared: Path) -> None:
    """Runs after the replays and only with all of them."""
    run = [item for item in request.session.items if item.name.startswith("test_answers_have_the_recorded_shape")]
    if len(run) != len(FILES):
        pytest.skip("not all recorded files were replayed")
    assert not UNUSED
    recorded = {f"{path.parent.name}/{path.stem}" for path in (shared / "recorded").glob("*/*.json")}
    assert recorded == set(FILES)


@pytest.mark.parametrize(
    ("recorded", "live", "kind"),
    [
        ({"a": 1}, {}, "missing"),
        ({}, {"a": 1}, "extra"),
        ({"a": "1"}, {"a": 1}, "type"),
        ({"status": "RUNNING"}, {"status": "Running"}, "value"),
        ({"error": {"message": "a"}}, {"error": {"message": "b"}}, "value"),
        ({"a": True}, {"a": False}, "value"),
        ({"l": [{"a": 1}]}, {"l": []}, "value"),
        ({"link": "https://x/projects/p/a"}, {"link": "https://x/projects/p/b"}, "value"),
    ],
)
def test_the_comparison_sees(recorded: object, live: object, kind: str) -> None:
    assert [difference.kind for difference in compare(recorded, live, "GET x")] == [kind]
