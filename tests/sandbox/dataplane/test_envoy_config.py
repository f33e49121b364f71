# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Envoys are told, as far as it can be judged without one."""

from __future__ import annotations

import json
import typing as t

import pytest

from sandbox.dataplane import envoy_config
from sandbox.dataplane.regions import by_distance, distance
from sandbox.interfaces import Backend, Endpoint, HealthCheck


@pytest.mark.parametrize(
    ("home", "order"),
    [
        ("us-east5", ["us-east5", "us-central1", "us-west1", "europe-west4", "asia-northeast1"]),
        ("europe-west4", ["europe-west4", "us-east5", "us-central1", "us-west1", "asia-northeast1"]),
        ("asia-northeast1", ["asia-northeast1", "us-west1", "europe-west4", "us-central1", "us-east5"]),
    ],
)
def test_regions_are_tried_by_distance(home: str, order: list[str]) -> None:
    assert by_distance(home, reversed(order)) == order


def test_regions_without_a_known_place_come_last_by_name() -> None:
    assert by_distance("us-east5", ["zz-new1", "europe-west4", "aa-new1"]) == ["europe-west4", "aa-new1", "zz-new1"]
    assert distance("zz-new1", "zz-new1") == 0


def _assignment(backend: Backend, region: str) -> dict[str, t.Any]:
    document = json.loads(envoy_config.endpoints(backend, region)[0])
    resource: dict[str, t.Any] = document["resources"][0]
    return resource


def test_priorities_have_no_gap_when_a_region_has_no_endpoints() -> None:
    backend = Backend("pool", (Endpoint("127.0.0.9", 8000, "europe-west4", "europe-west4-a"),))
    (locality,) = _assignment(backend, "us-east5")["endpoints"]
    assert locality["priority"] == 0


def test_one_endpoint_left_keeps_its_regions_traffic() -> None:
    """Envoy moves traffic away when factor * healthy share is below 100."""
    endpoints = tuple(Endpoint(f"127.0.0.{n}", 8000, "us-east5", "us-east5-a") for n in range(1, 21))
    policy = _assignment(Backend("pool", endpoints), "us-east5")["policy"]
    assert policy["overprovisioning_factor"] / len(endpoints) >= 100


def test_a_health_check_on_another_port() -> None:
    endpoint = Endpoint("127.0.0.9", 8000, "us-east5", "us-east5-a")
    text, _unused = envoy_config.endpoints(Backend("pool", (endpoint,), HealthCheck(port=9000)), "us-east5")
    assert '"health_check_config": {\n' in text and '"port_value": 9000' in text
    text, _unused = envoy_config.endpoints(Backend("pool", (endpoint,), HealthCheck(port=8000)), "us-east5")
    assert "health_check_config" not in text


def test_a_version_changes_with_the_content_only() -> None:
    one = Backend(
        "pool", (Endpoint("127.0.0.1", 8000, "a-b1", "a-b1-a"), Endpoint("127.0.0.2", 8000, "a-b1", "a-b1-a"))
    )
    other = Backend("pool", tuple(reversed(one.endpoints)))
    assert envoy_config.endpoints(one, "a-b1") == envoy_config.endpoints(other, "a-b1")
    assert (
        envoy_config.endpoints(one, "a-b1")[1] != envoy_config.endpoints(Backend("pool", one.endpoints[:1]), "a-b1")[1]
    )


@pytest.mark.parametrize(("one", "other"), [("a/b", "a_b"), ("a:b", "a_b")])
def test_file_names_are_safe_and_distinct(one: str, other: str) -> None:
    assert envoy_config.file_name("eds", one) != envoy_config.file_name("eds", other)
    assert "/" not in envoy_config.file_name("eds", one)
