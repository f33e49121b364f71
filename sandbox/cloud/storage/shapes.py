# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of storage v1 that users send; what is not named here the API does not look at."""

from __future__ import annotations

from ..bodies import ANY, BOOL, INT64, OBJECT, STRING, STRING_MAP, STRINGS, Shape, of

Message = dict[str, Shape]

_SWITCH: Message = {"enabled": BOOL, "lockedTime": STRING}
BUCKET: Message = {
    **of(STRING, "name location storageClass rpo"),
    "labels": STRING_MAP,
    "iamConfiguration": {
        **of(_SWITCH, "uniformBucketLevelAccess bucketPolicyOnly"),
        "publicAccessPrevention": STRING,
    },
    "softDeletePolicy": {"retentionDurationSeconds": INT64, "effectiveTime": STRING},
    "lifecycle": {"rule": [{"action": of(STRING, "type storageClass"), "condition": OBJECT}]},
    "autoclass": {"enabled": BOOL, **of(STRING, "terminalStorageClass toggleTime terminalStorageClassUpdateTime")},
    **of({"enabled": BOOL}, "versioning hierarchicalNamespace"),
    "billing": {"requesterPays": BOOL},
    "cors": [{**of(STRINGS, "origin method responseHeader"), "maxAgeSeconds": ANY}],
    "defaultEventBasedHold": BOOL,
    "encryption": OBJECT,
    "ipFilter": {
        "mode": STRING,
        "publicNetworkSource": {"allowedIpCidrRanges": STRINGS},
        "vpcNetworkSources": [{"network": STRING, "allowedIpCidrRanges": STRINGS}],
        **of(BOOL, "allowAllServiceAgentAccess allowCrossOrgVpcs"),
    },
    "logging": of(STRING, "logBucket logObjectPrefix"),
    "retentionPolicy": {"retentionPeriod": INT64, "effectiveTime": STRING, "isLocked": BOOL},
    "website": of(STRING, "mainPageSuffix notFoundPage"),
}
# What is said of an object and can be changed.
FIELDS: Message = {
    **of(STRING, "cacheControl contentDisposition contentEncoding contentLanguage contentType"),
    "metadata": STRING_MAP,
}
OBJECT_METADATA: Message = {**FIELDS, **of(STRING, "name storageClass md5Hash crc32c")}
COMPOSE: Message = {
    "sourceObjects": [{"name": STRING, "generation": INT64, "objectPreconditions": {"ifGenerationMatch": INT64}}],
    "destination": OBJECT,
    "deleteSourceObjects": BOOL,
}
