# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of gkehub that users send; the collections' names and types are those of Google's protos."""

from __future__ import annotations

from ..bodies import ANY, BOOL, BYTES, OBJECT, STRING, STRING_MAP, Shape, of

Message = dict[str, Shape]

MEMBERSHIP: Message = {
    **of(STRING, "name description externalId uniqueId createTime updateTime deleteTime lastConnectionTime"),
    "labels": STRING_MAP,
    "state": {"code": STRING},
    "monitoringConfig": OBJECT,
    "clusterTier": STRING,
    "authority": {**of(STRING, "issuer identityProvider workloadIdentityPool"), "oidcJwks": BYTES},
    "endpoint": {
        "gkeCluster": {"resourceLink": STRING, "clusterMissing": BOOL},
        **of(OBJECT, "kubernetesMetadata kubernetesResource"),
        "googleManaged": BOOL,
    },
}
# v1 has no such field, and Google's client for v1 refuses an answer that has it.
MEMBERSHIP_BETA: Message = {**MEMBERSHIP, "infrastructureType": STRING}

FEATURE: Message = {
    **of(STRING, "name createTime updateTime deleteTime"),
    "labels": STRING_MAP,
    "spec": {"multiclusteringress": {"configMembership": STRING, "billing": STRING}, "*": OBJECT},
    **of({"*": OBJECT}, "membershipSpecs membershipStates scopeSpecs scopeStates"),
    **of(OBJECT, "state resourceState fleetDefaultMemberConfig"),
    "unreachable": ANY,
}

FLEET_MUTABLE = ("displayName", "labels", "defaultClusterConfig")
FLEET: Message = {
    **of(STRING, "name displayName createTime updateTime deleteTime uid"),
    "labels": STRING_MAP,
    **of(OBJECT, "state defaultClusterConfig"),
}
