# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""google-cloud-storage: a bucket, its policy and its objects through every method that asks Google."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import io
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.truth.driving import Json, Reached, Step, drive, untried
from tests.truth.table import Note

pytestmark = pytest.mark.judges("storage")

JUDGE = "google-cloud-storage"
ROLES = ("admin", "objectAdmin", "objectCreator", "objectUser", "objectViewer")
BUCKET, SECOND, OBJECT = "python-weights", "python-second", "gemma/config.json"


@dataclasses.dataclass(frozen=True)
class Storage:
    client: t.Any
    package: t.Any
    folder: Path

    @property
    def bucket(self) -> t.Any:
        """As it is there now."""
        return self.client.get_bucket(BUCKET)

    @property
    def blob(self) -> t.Any:
        return self.client.bucket(BUCKET).blob(OBJECT)


@pytest.fixture(scope="module")
def storage(enabled: Json, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    package = importlib.import_module("google.cloud.storage")
    reached = Reached.of(enabled)
    options = {"api_endpoint": f"http://{reached.host}"}
    client = package.Client(project=reached.project, credentials=reached.credentials, client_options=options)
    return Storage(client, package, tmp_path_factory.mktemp("storage"))


def asking(client: type) -> list[str]:
    """The methods that send requests: all of those can be given a timeout."""
    members = inspect.getmembers(client, inspect.isfunction)
    return [
        name
        for name, function in members
        if not name.startswith("_") and "timeout" in inspect.signature(function).parameters
    ]


def create(storage: Storage) -> t.Any:
    bucket = storage.client.bucket(BUCKET)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.create(location="US")
    return bucket


def set_labels(way: str) -> Callable[[Storage], t.Any]:
    """PATCH sends what changed; `update` sends the whole bucket back, with what only the server sets."""

    def act(storage: Storage) -> t.Any:
        bucket = storage.bucket
        bucket.labels = {"way": way}
        getattr(bucket, way)()
        return storage.bucket.labels == {"way": way}

    return act


def add_bindings(storage: Storage) -> bool:
    """Each is a read-modify-write under the etag that the last one left."""
    for role in ROLES:
        policy = storage.bucket.get_iam_policy(requested_policy_version=3)
        policy.bindings.append({"role": f"roles/storage.{role}", "members": {"allUsers"}})
        storage.bucket.set_iam_policy(policy)
    live = storage.bucket.get_iam_policy(requested_policy_version=3)
    return {f"roles/storage.{role}" for role in ROLES} <= {binding["role"] for binding in live.bindings}


def download(storage: Storage) -> bool:
    target = io.BytesIO()
    storage.blob.download_to_file(target)
    return target.getvalue() == b"{}"


def upload_file(storage: Storage) -> object:
    file = storage.folder / "config.json"
    file.write_text("{}")
    return storage.blob.upload_from_filename(str(file))


def upload_in_chunks(storage: Storage) -> bool:
    """Each chunk is a request of its own; the client compares the checksum with that which the answer says."""
    blob = storage.client.bucket(BUCKET).blob("gemma/chunks", chunk_size=256 * 1024)
    blob.upload_from_file(io.BytesIO(b"0123456789" * 100_000), checksum="crc32c")
    target = io.BytesIO()
    blob.download_to_file(target, start=999_990)
    size = storage.bucket.get_blob("gemma/chunks").size
    blob.delete()
    return (size, target.getvalue()) == (1_000_000, b"0123456789")


def set_metadata(way: str) -> Callable[[Storage], t.Any]:
    def act(storage: Storage) -> t.Any:
        blob = storage.bucket.get_blob(OBJECT)
        blob.metadata = {"way": way}
        getattr(blob, way)()
        return storage.bucket.get_blob(OBJECT).metadata == {"way": way}

    return act


def lock(storage: Storage) -> None:
    bucket = storage.client.get_bucket(SECOND)
    bucket.retention_period = 1
    bucket.patch()
    bucket.lock_retention_policy()


def true(answer: t.Any) -> bool:
    return bool(answer)


STEPS = (
    ("Client", Step("lookup_bucket", lambda s: s.client.lookup_bucket(BUCKET), lambda found: found is None)),
    ("Bucket", Step("exists", lambda s: s.client.bucket(BUCKET).exists(), lambda found: found is False)),
    ("Bucket", Step("create", create)),
    ("Client", Step("create_bucket", lambda s: s.client.create_bucket(SECOND, location="EU"))),
    ("Client", Step("get_bucket", lambda s: s.bucket, lambda found: found.location == "US")),
    ("Client", Step("list_buckets", lambda s: [one.name for one in s.client.list_buckets()], lambda f: BUCKET in f)),
    ("Bucket", Step("reload", lambda s: s.client.bucket(BUCKET).reload())),
    ("Bucket", Step("patch", set_labels("patch"), true)),
    ("Bucket", Step("update", set_labels("update"), true)),
    ("Bucket", Step("get_iam_policy", lambda s: s.bucket.get_iam_policy(requested_policy_version=3), true)),
    ("Bucket", Step("set_iam_policy", add_bindings, true)),
    ("Bucket", Step("test_iam_permissions", lambda s: s.bucket.test_iam_permissions(["storage.buckets.get"]), true)),
    ("Bucket", Step("lock_retention_policy", lock)),
    ("Bucket", Step("list_notifications", lambda s: list(s.bucket.list_notifications()))),
    ("Blob", Step("upload_from_string", lambda s: s.blob.upload_from_string("{}"))),
    ("Blob", Step("upload_from_file", lambda s: s.blob.upload_from_file(io.BytesIO(b"{}"), size=2))),
    ("Blob", Step("upload_from_file", upload_in_chunks, true)),
    ("Blob", Step("upload_from_filename", upload_file)),
    ("Blob", Step("create_resumable_upload_session", lambda s: s.blob.create_resumable_upload_session(size=2))),
    ("Blob", Step("exists", lambda s: s.blob.exists(), true)),
    ("Blob", Step("reload", lambda s: s.blob.reload())),
    ("Blob", Step("download_as_bytes", lambda s: s.blob.download_as_bytes(), lambda got: got == b"{}")),
    ("Blob", Step("download_as_string", lambda s: s.blob.download_as_string(), lambda got: got == b"{}")),
    ("Blob", Step("download_as_text", lambda s: s.blob.download_as_text(), lambda got: got == "{}")),
    ("Blob", Step("download_to_file", download, true)),
    ("Blob", Step("download_to_filename", lambda s: s.blob.download_to_filename(str(s.folder / "got")))),
    ("Blob", Step("patch", set_metadata("patch"), true)),
    ("Blob", Step("update", set_metadata("update"), true)),
    ("Blob", Step("compose", lambda s: s.client.bucket(BUCKET).blob("composed").compose([s.blob]))),
    ("Blob", Step("rewrite", lambda s: s.client.bucket(BUCKET).blob("rewritten").rewrite(s.blob))),
    ("Bucket", Step("copy_blob", lambda s: s.bucket.copy_blob(s.blob, s.bucket, "copied"))),
    ("Client", Step("download_blob_to_file", lambda s: s.client.download_blob_to_file(s.blob, io.BytesIO()))),
    (
        "Client",
        Step(
            "list_blobs",
            lambda s: [one.name for one in s.client.list_blobs(BUCKET, prefix="gemma/")],
            lambda found: found == [OBJECT],
        ),
    ),
    ("Bucket", Step("list_blobs", lambda s: list(s.bucket.list_blobs()), true)),
    ("Bucket", Step("get_blob", lambda s: s.bucket.get_blob(OBJECT), lambda found: found.size == 2)),
    ("Blob", Step("delete", lambda s: s.blob.delete())),
    ("Bucket", Step("delete_blob", lambda s: (s.blob.upload_from_string("{}"), s.bucket.delete_blob(OBJECT)))),
    ("Bucket", Step("delete_blobs", lambda s: (s.blob.upload_from_string("{}"), s.bucket.delete_blobs([s.blob])))),
    ("Client", Step("get_service_account_email", lambda s: s.client.get_service_account_email())),
    (
        "Bucket",
        Step("delete", lambda s: [s.client.bucket(name).delete(force=True) for name in (BUCKET, SECOND)]),
    ),
)


ACLS = "uniform access: the buckets here have no ACLs"
OLD = "keys and signatures of service accounts are not part of the chain"
MOVED = "objects are neither moved nor brought back"
UNTRIED = {
    "Client": {
        **dict.fromkeys(("create_hmac_key", "list_hmac_keys", "get_hmac_key_metadata"), OLD),
        "restore_bucket": MOVED,
    },
    "Bucket": {
        **dict.fromkeys(("make_public", "make_private"), ACLS),
        **dict.fromkeys(("move_blob", "rename_blob", "restore_blob"), MOVED),
        "get_notification": "of a notification that there is not",
    },
    "Blob": {
        **dict.fromkeys(
            ("make_public", "make_private", "get_iam_policy", "set_iam_policy", "test_iam_permissions"), ACLS
        ),
        "update_storage_class": "a rewrite, which is tried",
    },
}


@pytest.mark.parametrize(("kind", "step"), STEPS, ids=[f"{kind}.{step.method}" for kind, step in STEPS])
def test_a_method(kind: str, step: Step, storage: Storage, note: Note) -> None:
    drive(JUDGE, getattr(storage.package, kind), step, storage, note)


@pytest.mark.parametrize("kind", ["Client", "Bucket", "Blob"])
def test_all_methods_are_counted(kind: str, storage: Storage, note: Note) -> None:
    client = getattr(storage.package, kind)
    tried = {step.method for name, step in STEPS if name == kind}
    untried(JUDGE, client, asking(client), tried, UNTRIED[kind], note)
