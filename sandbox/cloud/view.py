# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud's state as Google's own controllers see it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..interfaces import ClusterKey, Json
from . import container, policies
from .compute import subnetworks
from .storage import Storage
from .store import Store


class View:
    """Implements interfaces.CloudView over the sandbox's main project."""

    def __init__(self, store: Store, storage: Storage) -> None:
        self._store = store
        self._storage = storage
        self.project = store.main.id
        self.project_number = store.main.number

    def cluster(self, key: ClusterKey) -> Json | None:
        found = self._store.main.clusters.get(key)
        return container.rendered(found) if found else None

    def feature(self, feature_id: str) -> Json | None:
        return self._store.main.features.get(feature_id)

    def memberships(self) -> Sequence[Json]:
        return list(self._store.main.memberships.values())

    def subnetworks(self, network: str) -> Sequence[Json]:
        found = self._store.main.compute.get(f"global/networks/{network}")
        return subnetworks(self._store.main, found["selfLink"]) if found else []

    def firewalls(self, network: str) -> Sequence[Json]:
        found = self._store.main.compute.get(f"global/networks/{network}")
        if found is None:
            return []
        rules = self._store.main.compute.items()
        return [rule for path, rule in rules if "/firewalls/" in path and rule["network"] == found["selfLink"]]

    def address(self, region: str, name: str) -> Json | None:
        return self._store.main.compute.get(f"regions/{region}/addresses/{name}")

    def bucket(self, name: str) -> Path | None:
        return self._storage.path(name)

    def bindings(self, resource: str) -> Sequence[Json]:
        name = f"project/{self.project}" if resource == "project" else resource
        return policies.bindings(self._store, name)

    def service_enabled(self, name: str) -> bool:
        return name in self._store.main.services

    async def wait_change(self, seen: int) -> int:
        return await self._store.wait_change(seen)
