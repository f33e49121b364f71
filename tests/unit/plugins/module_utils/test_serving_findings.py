# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is seen of a region -> how it is, and which cause is named first."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._serving.answers import Answer
from ansible_collections.aiserving.gke.plugins.module_utils._serving.findings import (
    ABSENT,
    Facts,
    Routing,
    Seen,
    Servers,
    findings,
    state,
    symptom,
    told,
)

GOOD = Seen(True)
OWN = Answer(200, "hello", "east")
SERVERS = Servers(GOOD, {"app": "vllm"}, pods=2, ready=2)
ROUTING = Routing(GOOD, GOOD, ["gemma"], GOOD, GOOD)
WELL = Facts(
    "east",
    "gemma",
    "ns",
    "gw",
    "c-east",
    "x-region",
    url="http://1.2.3.4:80",
    answer=OWN,
    servers=SERVERS,
    routing=ROUTING,
)


def but(**parts: t.Any) -> Facts:
    """WELL with other parts; fields of ``servers`` and ``routing`` by their own names."""
    facts = WELL
    for name, value in parts.items():
        for part in ("servers", "routing"):
            if name in {field.name for field in dataclasses.fields(type(getattr(WELL, part)))}:
                facts = dataclasses.replace(facts, **{part: dataclasses.replace(getattr(facts, part), **{name: value})})
                break
        else:
            facts = dataclasses.replace(facts, **{name: value})
    return facts


def test_a_region_that_serves_its_own_clients_has_no_findings() -> None:
    assert (state(WELL), findings(WELL)) == ("serving", [])
    assert symptom(WELL) == "http://1.2.3.4:80 is answered by its own region"


NOBODY = Answer(503, "no healthy upstream")
OTHER = Answer(200, "hello", "west")


@pytest.mark.parametrize(
    ("facts", "how", "cause"),
    [
        (but(answer=OTHER, pods=0, ready=0), "degraded", "0 endpoints: no Pod on cluster c-east has the pool's labels"),
        (but(answer=OTHER, ready=0, reasons=["it hangs"]), "degraded", "0 of 2 model servers on cluster c-east are"),
        (but(ready=1), "degraded", "1 of 2 model servers"),
        (but(answer=OTHER), "degraded", "holds the region's model servers for unhealthy"),
        (but(answer=NOBODY), "down", "its health checks do not reach them"),
        (but(answer=NOBODY, refused=["no firewall rule admits x"]), "down", "no firewall rule admits x"),
        (but(answer=NOBODY, health_check=ABSENT), "down", "HealthCheckPolicy ns/gemma: it is not there"),
        (but(answer=NOBODY, imported=ABSENT), "down", "agent of multi-cluster ingress lacks roles/container.admin"),
        (but(answer=NOBODY, backends=["old"]), "down", "HTTPRoute ns/gw leads to old, not to gemma"),
        (but(answer=Answer(404, "fault filter abort"), route=ABSENT, backends=[]), "down", "HTTPRoute ns/gw is not on"),
        (but(answer=Answer(404, "fault filter abort")), "down", "no route of the load balancer matches"),
        (but(answer=Answer(404, '{"message": "no model"}')), "down", "does not know model gemma"),
        (but(answer=Answer(401, "key")), "down", "asks for a key"),
        (but(answer=Answer(504, "upstream request timeout")), "down", "longer than gateway_request_timeout"),
        (but(answer=Answer(0, "connection refused"), gateway=ABSENT), "down", "Gateway ns/gw is not on the config"),
        (but(answer=Answer(0, "connection refused")), "down", "nothing listens at the address"),
        (but(answer=Answer(0, "no connection within 30 s")), "down", "internal to the VPC"),
        (
            but(answer=Answer(0, "x"), gateway=Seen(False, "no proxy-only subnet")),
            "down",
            "Gateway ns/gw: no proxy-only",
        ),
        (but(pool=ABSENT), "degraded", "InferencePool ns/gemma is not on cluster c-east"),
        (
            but(routing=None, config="there is no cluster c"),
            "degraded",
            "the config cluster cannot be read: there is no",
        ),
        (
            but(answer=OTHER, servers=None, cluster="there is no cluster c-east"),
            "degraded",
            "there is no cluster c-east",
        ),
        (but(answer=None, url="", address="vip"), "down", "there is no address vip in east"),
        (but(answer=NOBODY, servers=None, routing=None), "down", "health checks do not reach them"),
    ],
)
def test_the_first_finding_is_the_cause(facts: Facts, how: str, cause: str) -> None:
    assert state(facts) == how
    first = findings(facts)[0]
    assert cause in first.cause and first.command
    assert first.cause in told(facts) and (symptom(facts) in told(facts) or not facts.url)


def test_what_only_follows_from_a_missing_gateway_is_not_named() -> None:
    facts = but(answer=Answer(0, "connection refused"), gateway=ABSENT, route=Seen(False, "has not answered yet"))
    assert len(findings(facts)) == 1


@pytest.mark.parametrize(
    "facts",
    [
        but(url="", answer=None, servers=None, cluster="there is no cluster c-east", routing=None),
        but(url="", answer=None, servers=Servers(ABSENT)),  # a region that joins others, whose Gateway is there
        but(answer=Answer(0, "connection refused"), servers=Servers(ABSENT), gateway=ABSENT),
    ],
)
def test_what_has_not_been_built_is_not_unwell(facts: Facts) -> None:
    assert state(facts) == "absent"


def test_an_answer_that_does_not_say_where_it_is_from_is_the_regions_own_while_it_has_servers() -> None:
    silent = Answer(200, "hello")
    assert but(answer=silent).at_home and state(but(answer=silent)) == "serving"
    assert "by whom cannot be told without the header x-region" in symptom(but(answer=silent))
    without = but(answer=silent, ready=0)
    assert not without.at_home and "answered by another" in symptom(without)
