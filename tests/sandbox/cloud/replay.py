# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends recorded requests to the cloud and compares the shape of its answers with the recorded ones."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import typing as t
from collections.abc import Iterator

from tests.clouds import NUMBER, PROJECT, Running, finished, until

Json = dict[str, t.Any]

HOSTS = {
    "cloudresourcemanager.googleapis.com/": "cloudresourcemanager/",
    "compute.googleapis.com/compute/": "compute/",
    "container.googleapis.com/": "container/",
    "gkehub.googleapis.com/": "gkehub/",
    "iam.googleapis.com/": "iam/",
    "serviceusage.googleapis.com/": "serviceusage/",
    "storage.googleapis.com/storage/": "storage/",
}
# Objects whose keys are the user's, not Google's.
MAPS = re.compile(r"(^|\.)(labels|resourceLabels|metadata|sysctls|maintenanceExclusions|membershipStates)$")
# Lists whose order says nothing.
SETS = re.compile(r"enableComponents$")
ENUM = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
MEMBER = re.compile(r"gkehubmembership\d*-\$\{uniqueId\}")
LINK = re.compile(r"https://")
PATIENCE = 5.0


@dataclasses.dataclass(frozen=True)
class Difference:
    """``kind``: status, missing, extra, type or value; ``where``: "METHOD last/two/segments: path in the answer"."""

    kind: str
    where: str
    detail: str

    @property
    def place(self) -> str:
        """The kind of resource and the path of the key, without the names of this run."""
        what, _unused, path = self.where.partition(": ")
        return f"{kind_of(what.partition(' ')[2])}: {path}.{self.detail}".replace(": ..", ": .")

    def __str__(self) -> str:
        return f"{self.kind} {self.where}: {self.detail}"


def kind_of(url: str) -> str:
    """The collection that the last name of a URL is in: "clusters" of ".../clusters/NAME"."""
    return url.partition("?")[0].rpartition("/")[0].rpartition("/")[2]


def places(document: t.Any, path: str = "") -> Iterator[str]:
    """The path of every key in a document, spelled as in a Difference's place."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield f"{path or '.'}.{key}".replace("..", ".")
            yield from places(value, f"{path}.{key}".lstrip("."))
    elif isinstance(document, list):
        for entry in document:
            yield from places(entry, f"{path}[]")


class Replay:
    """One recorded file, replayed in order."""

    def __init__(self, cloud: Running, records: list[Json]) -> None:
        self._cloud = cloud
        self._records = records
        self._names = names(records)
        self._operation = ""
        self._seen: dict[str, Json] = {}  # path -> last answer of a GET, for its etags
        self._groups: list[str] = []
        self._subnetworks = 0

    def run(self, skipped: re.Pattern[str]) -> Iterator[Difference]:
        """All differences, of all requests but those whose URL is ``skipped``."""
        for _record, differences in self.exchanges(skipped):
            yield from differences or ()

    def exchanges(self, skipped: re.Pattern[str]) -> Iterator[tuple[Json, list[Difference] | None]]:
        """Each record with its differences; None for what is not sent: skipped, or a poll of what was no success."""
        left_out = False
        for record in self._records:
            left_out = bool(skipped.search(record["url"])) or (left_out and "/operations/" in record["url"])
            if left_out:
                yield record, None
                continue
            found = list(self._send(record))
            left_out = any(difference.kind == "status" for difference in found)
            yield record, found

    def _send(self, record: Json) -> Iterator[Difference]:
        text = json.dumps(record)
        if "MANAGED_PROXY" in text:  # one placeholder stands for two subnetworks
            text = text.replace("${subnetworkID}", "proxy-abc123")
        elif record["method"] == "POST" and record["url"].endswith("/subnetworks"):  # or for several in turn
            self._subnetworks += 1
            if self._subnetworks > 1:
                self._names["${subnetworkID}"] = f"subnet{self._subnetworks}-abc123"
        if member := MEMBER.search(text):
            text = text.replace("${membershipID}", member[0])
        record = json.loads(self._substituted(text))
        if record["method"] == "PATCH" and "/routers/" in record["url"] and not record["request"]:
            record["request"] = {"nats": []}  # the recorder dropped the empty list that takes the NAT away
        path = self._path(record["url"])
        if "/operations/" in path:
            answer: tuple[int, t.Any] = (200, until(lambda: self._cloud.ok("GET", path), finished))
        elif record.get("waited"):
            answer = self._waited(path, record["response"])
        else:
            answer = self._cloud.call(record["method"], path, self._body(path, record["request"]))
        status, body = answer
        what = f"{record['method']} {'/'.join(path.partition('?')[0].split('/')[-2:])}"
        if status != record["status"]:
            yield Difference("status", what, f"recorded {record['status']}, got {status}: {body}")
            return
        if record["method"] == "GET" and status == 200:
            self._seen[path.partition("?")[0]] = body
            self._groups = body.get("instanceGroupUrls", self._groups)
        elif ":getIamPolicy" in path:
            self._seen[path.partition("?")[0]] = body
        if record["method"] != "GET" and isinstance(body, dict):
            self._await(path, body, record["response"])
        yield from compare(record["response"], body, what)

    def _waited(self, path: str, recorded: t.Any) -> tuple[int, t.Any]:
        """The answer once it is as recorded, or after a while as it is: the recorded client had asked before."""
        end = time.monotonic() + PATIENCE
        while True:
            status, body = self._cloud.call("GET", path)
            if time.monotonic() > end or (status == 200 and not list(compare(recorded, body, path))):
                return status, body
            time.sleep(0.05)

    def _await(self, path: str, body: Json, recorded: Json) -> None:
        """Let the operation finish before the next request, as the recorded client did."""
        name = str(body.get("name", ""))
        theirs = str(recorded.get("name", "")).rpartition("/")[2]
        if theirs and "operation" in str(recorded.get("name")) and "$" not in theirs:
            self._names[theirs] = name.rpartition("/")[2]  # under which the next requests ask for it
        if body.get("kind") != "compute#operation" and "operation-" not in name:
            return
        self._operation = name.rpartition("/")[2]
        if finished(body):
            return
        service, version = path.split("/")[:2]
        where = f"{service}/{version}/{name}" if "operations/" in name else self._cloud._path(body)
        until(lambda: self._cloud.ok("GET", where), finished)

    def _substituted(self, text: str) -> str:
        for placeholder, value in {**self._names, "${operationID}": self._operation}.items():
            text = text.replace(placeholder, value)
        return text

    def _path(self, url: str) -> str:
        url = url.removeprefix("https://")
        for host, base in HOSTS.items():
            if url.startswith(host):
                path = base + url.removeprefix(host)
        if "?" not in path:
            path = path.replace("&", "?", 1)
        if "/instanceGroupManagers/" in path:
            path = self._groups[0].removeprefix("https://www.googleapis.com/")
        return path

    def _body(self, path: str, body: t.Any) -> t.Any:
        """The request with the fingerprints and etags that are live here."""
        if not isinstance(body, dict):
            return body
        path = path.partition("?")[0]
        target = re.sub(r"(:\w+|/set\w+)$", "", path)
        live = self._seen.get(path.replace(":setIamPolicy", ":getIamPolicy")) or self._seen.get(target) or {}
        flat = {**live, "resourceVersion": live.get("maintenancePolicy", {}).get("resourceVersion")}

        def fresh(part: t.Any) -> t.Any:
            if isinstance(part, dict):
                stale = ("etag", "fingerprint", "labelFingerprint", "resourceVersion")
                return {key: flat.get(key) if key in stale else fresh(value) for key, value in part.items()}
            return [fresh(entry) for entry in part] if isinstance(part, list) else part

        return fresh(body)


def names(records: list[Json]) -> dict[str, str]:
    """What the placeholders of a file stand for here; a network that is there at once is the default one."""
    chosen = {
        "${projectId}": PROJECT,
        "${projectNumber}": NUMBER,
        "${uniqueId}": "abc123",
        "${organizationID}": "1234567890",
        "${folderID}": "1234567891",
        "${networkID}": "net-abc123",
        "${subnetworkID}": "subnet-abc123",
        "${addressID}": "address-abc123",
        "${firewallID}": "firewall-abc123",
        "${routerID}": "router-abc123",
    }
    first = records[0]
    for placeholder in ("${networkID}", "${subnetworkID}"):
        if first["status"] == 200 and first["url"].endswith(placeholder):
            chosen[placeholder] = "default"
    return chosen


def compare(recorded: t.Any, live: t.Any, what: str, path: str = "") -> Iterator[Difference]:
    """The differences of shape: keys, types, enums, flags, links; of errors every word."""
    where = f"{what}: {path or '.'}"
    if isinstance(recorded, dict) and isinstance(live, dict):
        if MAPS.search(path):
            return
        for key in recorded.keys() - live.keys():
            yield Difference("missing", where, key)
        for key in live.keys() - recorded.keys():
            yield Difference("extra", where, key)
        for key in sorted(recorded.keys() & live.keys()):
            yield from compare(recorded[key], live[key], what, f"{path}.{key}".lstrip("."))
    elif isinstance(recorded, list) and isinstance(live, list):
        if bool(recorded) != bool(live):
            yield Difference("value", where, f"recorded {len(recorded)} entries, got {len(live)}")
        if SETS.search(path):
            recorded, live = sorted(recorded), sorted(live)
        for one, other in zip(recorded, live, strict=False):
            yield from compare(one, other, what, f"{path}[]")
    elif type(recorded) is not type(live) and {type(recorded), type(live)} != {int, float}:
        yield Difference("type", where, f"recorded {recorded!r}, got {live!r}")
    elif exact(recorded, path) and plain(recorded) != plain(live):
        yield Difference("value", where, f"recorded {recorded!r}, got {live!r}")


def exact(value: t.Any, path: str) -> bool:
    if path.startswith("error."):
        return True
    if isinstance(value, bool):
        return True
    return isinstance(value, str) and bool(ENUM.fullmatch(value) or LINK.match(value) or path in ("kind", "@type"))


def plain(value: t.Any) -> t.Any:
    """Without what is normalised in the recordings: versions of APIs, ids, names of operations."""
    if not isinstance(value, str):
        return value
    value = re.sub(r"/(v1(beta1?)?|beta)/", "/v1/", value)
    value = re.sub(r"/operations/[-\w]*$", "/operations/NAME", value)
    value = re.sub(r"/gke-[-\w]+$", "/GROUP", value)
    value = re.sub(r"/(\d{19}|(net-abc123|default))$", "/NETWORK", value)
    return re.sub(r"/projects/[^/]+/", "/projects/P/", value)
