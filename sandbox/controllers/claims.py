# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ResourceClaims of Pods: made from templates, given back when the Pod is done."""

from __future__ import annotations

import hashlib

from sandbox.client import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, Resource, key_of
from sandbox.interfaces import Json

from .cache import Cache, controller_of, each, owner_reference, terminating

_ANNOTATION = "resource.kubernetes.io/pod-claim-name"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def finished(pod: Json) -> bool:
    """Whether the Pod's containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def claim_names(pod: Json) -> dict[str, str | None]:
    """Name within the Pod -> ResourceClaim; None as long as the claim of a template has not been made."""
    made = {
        item["name"]: item.get("resourceClaimName")
        for item in (pod.get("status") or {}).get("resourceClaimStatuses") or []
    }
    return {
        entry["name"]: entry.get("resourceClaimName") or made.get(entry["name"])
        for entry in pod["spec"].get("resourceClaims") or []
    }


def claim_from(pod: Json, entry: Json, template: Json) -> Json:
    """The claim for one entry of the Pod's resourceClaims.

    The end of the name looks random, as Kubernetes generates it, and follows from the Pod: made twice, it is one.
    """
    digest = hashlib.sha256(f"{pod['metadata']['uid']}/{entry['name']}".encode()).digest()
    suffix = "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:5])
    base = f"{pod['metadata']['name']}-{entry['name']}-"
    meta = template["spec"].get("metadata") or {}
    return {
        "metadata": {
            "name": base[:240] + suffix,
            "generateName": base,
            "namespace": pod["metadata"]["namespace"],
            "labels": dict(meta.get("labels") or {}),
            "annotations": {**(meta.get("annotations") or {}), _ANNOTATION: entry["name"]},
            "ownerReferences": [owner_reference(pod)],
        },
        "spec": template["spec"]["spec"],
    }


class ClaimController:
    watches: tuple[Resource, ...] = (PODS, RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES)
    cloud_events = False

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._complaints: dict[str, str] = {}

    async def reconcile(self) -> float | None:
        pods = {pod["metadata"]["uid"]: pod for pod in self._cache.list(PODS)}
        for claim in self._cache.list(RESOURCE_CLAIMS):
            await self._release(claim, pods)
        needy = [pod for pod in pods.values() if pod["spec"].get("resourceClaims")]
        await each([pod for pod in needy if not terminating(pod) and not finished(pod)], self._provide)
        self._complaints = {uid: text for uid, text in self._complaints.items() if uid in pods}
        return None

    async def _provide(self, pod: Json) -> None:
        namespace = pod["metadata"]["namespace"]
        statuses = []
        for entry in pod["spec"]["resourceClaims"]:
            template_name = entry.get("resourceClaimTemplateName")
            if template_name is None:
                continue
            template = self._cache.get(RESOURCE_CLAIM_TEMPLATES, namespace, template_name)
            name = claim_names(pod)[entry["name"]]
            if name is None:
                if template is None:
                    await self._complain(pod, entry["name"], template_name)
                    return
                claim = claim_from(pod, entry, template)
                name = claim["metadata"]["name"]
                if self._cache.get(RESOURCE_CLAIMS, namespace, name) is None:
                    await self._cache.create(RESOURCE_CLAIMS, claim)
            statuses.append({"name": entry["name"], "resourceClaimName": name})
        known = (pod.get("status") or {}).get("resourceClaimStatuses") or []
        if statuses and statuses != known:
            patch = {
                "metadata": {"namespace": namespace, "name": pod["metadata"]["name"]},
                "status": {"resourceClaimStatuses": statuses},
            }
            await self._cache.merge(PODS, patch, "status")

    async def _complain(self, pod: Json, claim: str, template: str) -> None:
        text = (
            f'PodResourceClaim {claim}: resource claim template "{template}": '
            f'resourceclaimtemplate.resource.k8s.io "{template}" not found'
        )
        if self._complaints.get(pod["metadata"]["uid"]) != text:
            self._complaints[pod["metadata"]["uid"]] = text
            await self._cache.client.event(pod, "Warning", "FailedResourceClaimCreation", text)

    async def _release(self, claim: Json, pods: dict[str, Json]) -> None:
        """A generated claim goes with its Pod; any other is free again once no living Pod uses it."""
        if terminating(claim):
            return
        owner = controller_of(claim)
        if owner is not None and _ANNOTATION in (claim["metadata"].get("annotations") or {}):
            if owner not in pods or finished(pods[owner]):
                await self._cache.delete(RESOURCE_CLAIMS, claim)
            return
        status = claim.get("status") or {}
        reserved = status.get("reservedFor") or []
        kept = [item for item in reserved if item["uid"] in pods and not finished(pods[item["uid"]])]
        if kept != reserved:
            remaining = {key: value for key, value in status.items() if key not in ("reservedFor", "allocation")}
            if kept:
                remaining = {**status, "reservedFor": kept}
            await self._cache.set_status(RESOURCE_CLAIMS, claim, remaining)


def pod_claims(pod: Json, cache: Cache) -> list[Json] | None:
    """The Pod's ResourceClaims, or None when one is not there yet."""
    claims = []
    for name in claim_names(pod).values():
        claim = cache.get(RESOURCE_CLAIMS, key_of(pod)[0], name) if name else None
        if claim is None or terminating(claim):
            return None
        claims.append(claim)
    return claims
