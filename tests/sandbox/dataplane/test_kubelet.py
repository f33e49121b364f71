# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Pod needs before it runs, seen through a real API server: environment, volumes, images, addresses."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sandbox.client import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from sandbox.interfaces import Json
from tests.sandbox.dataplane.support import (
    BUCKET,
    FUSE,
    HTTP,
    SERVE,
    SLEEP,
    World,
    alive,
    config_map,
    container_status,
    get,
    make_config_map,
    phase_is,
    play,
    pod,
    reason,
    until,
)


def test_a_server_becomes_ready_at_its_own_address(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        for name in ("one", "two"):
            probe = {"httpGet": {"path": "/", "port": "http"}}
            ports = [{"name": "http", "containerPort": 8000}]
            await here.client.create(PODS, pod(name, *SERVE, readinessProbe=probe, ports=ports))
        one, two = await here.ready("one"), await here.ready("two")
        addresses = [p["status"]["podIP"] for p in (one, two)]
        assert len(set(addresses)) == 2 and all(address.startswith("127.") for address in addresses)
        for address in addresses:
            assert (await get(f"http://{address}:8000/"))[0] == 200
        status = one["status"]
        assert status["phase"] == "Running" and status["hostIP"] == "127.20.1.5" and status["startTime"]
        assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
            ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
        )
        main = container_status(one)
        assert main["started"] and main["restartCount"] == 0 and "running" in main["state"]
        assert main["containerID"].startswith("containerd://")
        workloads = {w["pod"]: w for w in here.kubelet.workloads()}
        assert workloads["one"]["address"] == one["status"]["podIP"] and alive(workloads["one"]["pid"])
        reasons = {reason for reason, _unused in await here.events("one")}
        assert {"Pulled", "Started"} <= reasons

    play(tmp_path, scene)


def test_an_unbound_pod_is_left_alone(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        waiting = pod("waiting", *SLEEP)
        del waiting["spec"]["nodeName"]
        await here.client.create(PODS, waiting)
        await here.client.create(PODS, pod("bound", *SLEEP))
        await here.ready("bound")
        assert [w["pod"] for w in here.kubelet.workloads()] == ["bound"]

    play(tmp_path, scene)


def test_environment_from_everywhere(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await make_config_map(here, "settings", COLOUR="blue", SIZE="big")
        meta = {"name": "token", "namespace": "default"}
        await here.client.create(SECRETS, {"metadata": meta, "stringData": {"key": "s3cret"}})
        code = "import os, sys; print(*(os.environ.get(n, '-') for n in sys.argv[3:]), *sys.argv[1:3], sep='|')"
        names = [
            "COLOUR",
            "P_SIZE",
            "PLAIN",
            "JOINED",
            "IP",
            "NODE",
            "KEY",
            "NONE",
            "PODNAME",
            "KUBECONFIG",
            "HF_TOKEN",
        ]
        await here.client.create(
            PODS,
            pod(
                "env",
                "python3",
                "-c",
                code,
                args=["$(PLAIN)", "$(UNKNOWN)", *names],
                envFrom=[
                    {"configMapRef": {"name": "settings"}},
                    {"prefix": "P_", "configMapRef": {"name": "settings"}},
                    {"secretRef": {"name": "absent", "optional": True}},
                ],
                env=[
                    {"name": "PLAIN", "value": "plain"},
                    {"name": "JOINED", "value": "$(COLOUR)-$(PLAIN)"},
                    {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "PODNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "token", "key": "key"}}},
                    {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y", "optional": True}}},
                ],
                spec_restartPolicy="Never",
            ),
        )
        done = await here.reached("env", phase_is("Succeeded", "Failed"), "end")
        ip = done["status"]["podIP"]
        words = [
            "blue",
            "big",
            "plain",
            "blue-plain",
            ip,
            "node-1",
            "s3cret",
            "-",
            "env",
            "-",
            "-",
            "plain",
            "$(UNKNOWN)",
        ]
        assert here.log("env").strip() == "|".join(words)

    os.environ["HF_TOKEN"] = "of the machine"
    try:
        play(tmp_path, scene)
    finally:
        del os.environ["HF_TOKEN"]


def test_volumes_and_the_paths_to_them(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await make_config_map(here, "files", a__txt="A", b__txt="B")
        meta = {"name": "token", "namespace": "default"}
        await here.client.create(SECRETS, {"metadata": meta, "stringData": {"key": "s3cret"}})
        script = (
            "import os, stat, sys;"
            "print(sorted(os.listdir('/config')), open('/config/sub/b').read(), open('/one').read());"
            "print(open('/secret/key').read(), oct(stat.S_IMODE(os.stat('/secret/key').st_mode)));"
            "open('/dev/shm/x', 'w').write('1'); open('/data/written', 'w').write('2');"
            "print(open('/pod/name').read(), sys.argv[1:], os.environ['WHERE'])"
        )
        volumes = [
            {"name": "config", "configMap": {"name": "files", "items": [{"key": "b.txt", "path": "sub/b"}]}},
            {"name": "whole", "configMap": {"name": "files"}},
            {"name": "secret", "secret": {"secretName": "token"}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
            {
                "name": "pod",
                "projected": {
                    "sources": [
                        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                        {"configMap": {"name": "none", "optional": True}},
                    ]
                },
            },
            BUCKET,
        ]
        paths = {"config": "/config", "secret": "/secret", "shm": "/dev/shm", "pod": "/pod", "weights": "/data"}
        mounts: list[Json] = [{"name": name, "mountPath": path} for name, path in paths.items()]
        mounts.append({"name": "whole", "mountPath": "/one", "subPath": "a.txt"})
        body = pod(
            "volumes",
            "python3",
            "-c",
            script,
            "--model=/data/x",
            "gs://b/data",
            volumeMounts=mounts,
            env=[{"name": "WHERE", "value": "/data:/config"}],
            spec_volumes=volumes,
            spec_restartPolicy="Never",
            meta_annotations=FUSE,
        )
        await here.client.create(PODS, body)
        await here.reached("volumes", phase_is("Succeeded", "Failed"), "end")
        bucket = here.cloud.directory / "weights"
        first, second, third = here.log("volumes").strip().splitlines()
        assert first == "['sub'] B A"
        assert second == "s3cret 0o600"
        assert third.startswith(f"volumes ['--model={bucket}/x', 'gs://b/data'] {bucket}:/")
        assert (bucket / "written").read_text() == "2"
        await here.client.delete(PODS, "default", "volumes")
        await here.gone("volumes")
        await until(lambda: asyncio.sleep(0, not list((here.root / "pods").iterdir())), "nothing of the Pod is left")
        assert (bucket / "written").exists()

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("read_only", "role"), [(True, "roles/storage.objectAdmin"), (False, "roles/storage.objectViewer")]
)
def test_a_bucket_that_may_only_be_read_cannot_be_written(tmp_path: Path, read_only: bool, role: str) -> None:
    async def scene(here: World) -> None:
        here.cloud.policies["bucket/weights"][0]["role"] = role
        body = pod(
            "writer",
            "python3",
            "-c",
            "open('/data/x', 'w')",
            volumeMounts=[{"name": "weights", "mountPath": "/data", "readOnly": read_only}],
            spec_volumes=[BUCKET],
            spec_restartPolicy="Never",
            meta_annotations=FUSE,
        )
        await here.client.create(PODS, body)
        await here.reached("writer", phase_is("Failed"), "failure")
        assert "Read-only file system" in here.log("writer")

    play(tmp_path, scene)


def test_a_mount_waits_for_what_it_needs(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        granted = here.cloud.policies.pop("bucket/weights")
        body = pod(
            "late",
            *SLEEP,
            volumeMounts=[{"name": "weights", "mountPath": "/data"}, {"name": "c", "mountPath": "/c"}],
            spec_volumes=[BUCKET, {"name": "c", "configMap": {"name": "late"}}],
            meta_annotations=FUSE,
        )
        await here.client.create(PODS, body)

        def told(words: str) -> Callable[[], Awaitable[bool]]:
            async def look() -> bool:
                return any(r == "FailedMount" and words in message for r, message in await here.events("late"))

            return look

        await until(told("does not have storage.objects.list access"), "event")
        waiting = await here.reached("late", lambda p: reason(p) == "ContainerCreating", "creating")
        assert waiting["status"]["phase"] == "Pending" and not here.pids()
        here.cloud.policies["bucket/weights"] = granted
        await until(told('volume "c" : configmap "late" not found'), "event")
        await make_config_map(here, "late", x="1")
        await here.ready("late")

    play(tmp_path, scene)


def test_a_pod_range_outside_of_loopback_is_told(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        here.cloud.document["clusterIpv4Cidr"] = "10.0.0.0/14"
        await here.client.create(PODS, pod("p", *SLEEP))

        async def look() -> bool:
            return any(r == "FailedCreatePodSandBox" and "10.0.0.0/14" in m for r, m in await here.events("p"))

        await until(look, "event")

    play(tmp_path, scene)


CONFIG_ERRORS: list[tuple[Json, str]] = [
    ({"envFrom": [{"configMapRef": {"name": "no"}}]}, 'configmap "no" not found'),
    ({"envFrom": [{"secretRef": {"name": "no"}}]}, 'secret "no" not found'),
    (
        {"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "yes", "key": "no"}}}]},
        "couldn't find key no in ConfigMap default/yes",
    ),
]


@pytest.mark.parametrize(("fields", "message"), CONFIG_ERRORS)
def test_what_the_environment_lacks_is_told_and_waited_for(tmp_path: Path, fields: Json, message: str) -> None:
    async def scene(here: World) -> None:
        await make_config_map(here, "yes", other="1")
        await here.client.create(PODS, pod("p", *SLEEP, **fields))
        stuck = await here.reached("p", lambda p: reason(p) == "CreateContainerConfigError", "config error")
        assert container_status(stuck)["state"]["waiting"]["message"] == message
        await here.client.merge(CONFIG_MAPS, config_map("yes", no="1"))
        if "configmap" in message:
            await make_config_map(here, "no", x="1")
        if "secret" in message:
            await here.client.create(SECRETS, {"metadata": {"name": "no", "namespace": "default"}})
        await here.ready("p")

    play(tmp_path, scene)


def test_an_unknown_image_is_never_there(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("p", image="example.com/nothing:1"))
        seen: set[str] = set()

        async def look() -> bool:
            seen.add(reason(await here.pod("p") or {}))
            return {"ErrImagePull", "ImagePullBackOff"} <= seen

        await until(look, "both reasons")
        await here.client.delete(PODS, "default", "p")
        await here.gone("p")

    play(tmp_path, scene)


def test_an_image_is_pulled_once_per_node(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.create(PODS, pod("first", *SLEEP))
        await here.reached("first", lambda p: reason(p) == "ContainerCreating", "pulling")
        await here.ready("first")
        await here.client.create(PODS, pod("second", *SLEEP))
        await here.ready("second")
        assert any("Successfully pulled" in message for _unused, message in await here.events("first"))
        assert any("already present" in message for _unused, message in await here.events("second"))

    play(tmp_path, scene)


def test_a_missing_service_account_is_told(tmp_path: Path) -> None:
    async def scene(here: World) -> None:
        await here.client.delete(SERVICE_ACCOUNTS, "default", "model-server")
        await here.client.create(PODS, pod("p", *SLEEP, spec_volumes=[BUCKET], meta_annotations=FUSE))

        async def look() -> bool:
            return any(
                'serviceaccounts "model-server" not found' in message for _unused, message in await here.events("p")
            )

        await until(look, "event")

    play(tmp_path, scene)


def test_a_model_server_with_weights_from_the_bucket(tmp_path: Path) -> None:
    """The chain's own: download Job, then vLLM, by the manifests that the role model writes."""

    async def scene(here: World) -> None:
        download = "from huggingface_hub import snapshot_download; snapshot_download('org/m-3b', local_dir='/data/m')"
        mounts: Json = {"volumeMounts": [{"name": "weights", "mountPath": "/data"}]}
        spec: Json = {"spec_volumes": [BUCKET], "meta_annotations": FUSE}
        server = pod(
            "vllm",
            "python3",
            "-m",
            "vllm.entrypoints.openai.api_server",
            image="vllm/vllm-tpu:v0.11.1",
            args=["--model=/data/m", "--served-model-name=m", "--tensor-parallel-size=4", "--port=8000"],
            startupProbe={**HTTP, "httpGet": {"path": "/health", "port": 8000}, "failureThreshold": 300},
            resources={"limits": {"google.com/tpu": "4"}},
            **mounts,
            **spec,
        )
        await here.client.create(PODS, server)
        crashed = await here.reached("vllm", lambda p: reason(p) == "CrashLoopBackOff", "no weights")
        assert container_status(crashed)["lastState"]["terminated"]["exitCode"] == 1
        assert "/m'" in here.log("vllm") and "config" in here.log("vllm")
        loader = pod("load", "python3", "-c", download, spec_restartPolicy="Never", **mounts, **spec)
        await here.client.create(PODS, loader)
        await here.reached("load", phase_is("Succeeded"), "download")
        serving = await here.ready("vllm")
        answer = await get(f"http://{serving['status']['podIP']}:8000/v1/models")
        assert answer[0] == 200 and '"root": "/data/m"' in answer[1]

    play(tmp_path, scene)
