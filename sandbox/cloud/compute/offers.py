# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""compute v1: what the zones sell, read from the catalogue: machineTypes and acceleratorTypes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...catalogue import accelerators, machines, tpus
from ...catalogue.machines import Machine
from ...catalogue.places import REGIONS, zones
from ...interfaces import Json
from ..store import Project
from ..web import Call, Route, Service
from . import lists
from .links import LINK
from .refusals import check_place, missing
from .service import Compute

SHARED_CORE = ("e2-micro", "e2-small", "e2-medium", "f1-micro", "g1-small")
ARM = ("c4a", "t2a", "a4x")


class Offers(Service):
    name = Compute.name
    base = Compute.base
    style = "apps"

    def routes(self) -> Sequence[Route]:
        root = "{version:v1|beta|alpha}/projects/{project}"
        kinds = "|".join(KINDS)
        many = f"{root}/zones/{{zone}}/{{collection:{kinds}}}"
        return (
            ("GET", f"{root}/aggregated/{{collection:{kinds}}}", self._aggregated),
            ("GET", many, self._list),
            ("GET", f"{many}/{{name}}", self._get),
        )

    async def _list(self, call: Call) -> Json:
        zone, collection = self._zone(call), call.params["collection"]
        noun, of_zone = KINDS[collection]
        path = f"projects/{call.project.id}/zones/{zone}/{collection}"
        return lists.answer(call, f"compute#{noun}List", list(of_zone(call.project, zone)), path)

    async def _aggregated(self, call: Call) -> Json:
        collection = call.params["collection"]
        noun, of_zone = KINDS[collection]
        found = {
            f"zones/{zone}/{collection}/{item['name']}": item
            for region in REGIONS
            for zone in zones(region)
            for item in of_zone(call.project, zone)
        }
        return lists.aggregated(call, collection, noun, ("zones",), found)

    async def _get(self, call: Call) -> Json:
        zone, collection, name = self._zone(call), call.params["collection"], call.params["name"]
        found = [item for item in KINDS[collection][1](call.project, zone) if item["name"] == name]
        custom = machines.find(name) if collection == "machineTypes" and not found else None
        if custom and custom.is_in(zone):
            found = [machine_type(call.project, zone, custom)]
        if not found:
            raise missing(f"projects/{call.project.id}/zones/{zone}/{collection}/{name}")
        return found[0]

    @staticmethod
    def _zone(call: Call) -> str:
        zone = call.params["zone"]
        check_place("zones", zone)
        return zone


def machine_type(project: Project, zone: str, machine: Machine) -> Json:
    gigabytes = f"{machine.memory:g} GB"
    document: Json = {
        **_common(project, zone, "machineTypes", "machineType", machine.name),
        "description": f"{machine.cpus:g} vCPUs, {gigabytes} RAM",
        "guestCpus": int(machine.cpus),
        "memoryMb": int(machine.memory * 1024),
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 16 if machine.name in SHARED_CORE else 128,
        "maximumPersistentDisksSizeGb": "3072" if machine.name in SHARED_CORE else "263168",
        "isSharedCpu": machine.name in SHARED_CORE,
        "architecture": "ARM64" if machine.family in ARM else "X86_64",
    }
    model, count = (machine.gpu, machine.gpus) if machine.gpu else (tpu_type(machine), machine.chips)
    if count:
        document["accelerators"] = [{"guestAcceleratorType": model, "guestAcceleratorCount": count}]
    return document


def tpu_type(machine: Machine) -> str:
    """The accelerator type of a machine with TPUs: the family's name, as `gcloud compute accelerator-types` filters."""
    return machine.family if machine.tpu else ""


def _machine_types(project: Project, zone: str) -> Iterable[Json]:
    return (machine_type(project, zone, machine) for machine in machines.in_zone(zone))


def _accelerator_types(project: Project, zone: str) -> Iterable[Json]:
    sold = [(name, gpu.description, gpu.most) for name, gpu in accelerators.GPUS.items() if zone in gpu.zones]
    sold += [
        (name, f"Cloud TPU {generation.name}", tpus.LARGEST_SLICE)
        for name, generation in tpus.GENERATIONS.items()
        if zone in generation.zones
    ]
    for name, description, most in sorted(sold):
        yield {
            **_common(project, zone, "acceleratorTypes", "acceleratorType", name),
            "zone": f"{LINK}projects/{project.id}/zones/{zone}",
            "description": description,
            "maximumCardsPerInstance": most,
        }


def _common(project: Project, zone: str, collection: str, noun: str, name: str) -> Json:
    link = f"{LINK}projects/{project.id}/zones/{zone}"
    return {
        "kind": f"compute#{noun}",
        "id": str(int.from_bytes(name.encode()[-7:], "big")),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "zone": zone,
        "selfLink": f"{link}/{collection}/{name}",
    }


# Collection -> (noun, what of it a zone has).
KINDS: dict[str, tuple[str, Callable[[Project, str], Iterable[Json]]]] = {
    "machineTypes": ("machineType", _machine_types),
    "acceleratorTypes": ("acceleratorType", _accelerator_types),
}
