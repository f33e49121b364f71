# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GPUs: where they are, how many an instance can have, and to which machines they can be attached."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One GPU model. ``attaches``: number of GPUs -> most vCPUs of the N1 machine that they can be attached to;
    empty: machines are built with it. ``most``: of one instance; ``quota``: as in machines.quota."""

    description: str
    most: int
    zones: tuple[str, ...]
    quota: str
    attaches: dict[int, int] = dataclasses.field(default_factory=dict)
    source: str = (
        "https://cloud.google.com/compute/docs/gpus; zones, which change by the month: "
        "https://docs.cloud.google.com/compute/docs/gpus/gpu-regions-zones"
    )


def _in(**places: str) -> tuple[str, ...]:
    """Zones from regions, spelled with _ for -, and letters."""
    return tuple(f"{region.replace('_', '-')}-{letter}" for region, letters in places.items() for letter in letters)


_H100 = _in(
    asia_east1="c",
    asia_northeast1="b",
    asia_south1="c",
    asia_southeast1="bc",
    australia_southeast1="c",
    europe_west1="bc",
    europe_west2="b",
    europe_west3="a",
    europe_west4="bc",
    us_central1="abc",
    us_east4="abc",
    us_east5="a",
    us_west1="ab",
    us_west4="a",
)
_N1 = {
    "T4": _in(
        asia_east1="ac",
        asia_east2="ac",
        asia_northeast1="ac",
        asia_northeast3="bc",
        asia_south1="ab",
        asia_southeast1="abc",
        asia_southeast2="ab",
        australia_southeast1="ac",
        europe_central2="bc",
        europe_west1="bcd",
        europe_west2="ab",
        europe_west3="b",
        europe_west4="abc",
        northamerica_northeast1="c",
        southamerica_east1="ac",
        us_central1="abcf",
        us_east1="cd",
        us_east4="abc",
        us_west1="ab",
        us_west2="bc",
        us_west3="b",
        us_west4="ab",
    ),
    "V100": _in(asia_east1="c", europe_west4="abc", us_central1="abcf", us_east1="c", us_west1="ab"),
    "P100": _in(
        asia_east1="ac",
        australia_southeast1="c",
        europe_west1="bd",
        europe_west4="a",
        us_central1="cf",
        us_east1="bc",
        us_west1="ab",
    ),
    "P4": _in(
        asia_southeast1="bc",
        australia_southeast1="ab",
        europe_west4="bc",
        northamerica_northeast1="abc",
        us_central1="ac",
        us_east4="abc",
        us_west2="bc",
    ),
}
GPUS = {
    "nvidia-l4": Gpu(
        "NVIDIA L4",
        8,
        _in(
            asia_east1="abc",
            asia_northeast1="abc",
            asia_northeast3="ab",
            asia_south1="abc",
            asia_southeast1="abc",
            europe_west1="bc",
            europe_west2="ab",
            europe_west3="ab",
            europe_west4="abc",
            europe_west6="bc",
            me_central2="ac",
            northamerica_northeast2="ab",
            us_central1="abc",
            us_east1="bcd",
            us_east4="ac",
            us_west1="abc",
            us_west4="ac",
        ),
        "NVIDIA_L4_GPUS",
    ),
    "nvidia-tesla-a100": Gpu(
        "NVIDIA A100 40GB",
        16,
        _in(
            asia_northeast1="ac",
            asia_northeast3="b",
            asia_southeast1="bc",
            europe_west4="ab",
            me_west1="bc",
            us_central1="abcf",
            us_east1="b",
            us_west1="b",
            us_west3="b",
            us_west4="b",
        ),
        "NVIDIA_A100_GPUS",
    ),
    "nvidia-a100-80gb": Gpu(
        "NVIDIA A100 80GB",
        8,
        _in(asia_southeast1="c", europe_west4="a", us_central1="ac", us_east4="c", us_east5="ab"),
        "NVIDIA_A100_80GB_GPUS",
    ),
    "nvidia-h100-80gb": Gpu("NVIDIA H100 80GB", 8, _H100, "GPUS_PER_GPU_FAMILY:NVIDIA_H100"),
    "nvidia-h100-mega-80gb": Gpu("NVIDIA H100 80GB MEGA", 8, _H100, "GPUS_PER_GPU_FAMILY:NVIDIA_H100_MEGA"),
    "nvidia-h200-141gb": Gpu(
        "NVIDIA H200 141GB",
        8,
        _in(
            asia_south1="b",
            asia_south2="c",
            europe_west1="b",
            us_central1="b",
            us_east1="d",
            us_east4="b",
            us_east5="a",
            us_south1="b",
            us_west1="c",
        ),
        "GPUS_PER_GPU_FAMILY:NVIDIA_H200",
    ),
    "nvidia-b200": Gpu(
        "NVIDIA B200",
        8,
        _in(
            asia_northeast1="b",
            asia_southeast1="b",
            europe_west4="b",
            us_central1="b",
            us_east1="b",
            us_east4="b",
            us_south1="b",
            us_west2="c",
            us_west3="bc",
        ),
        "GPUS_PER_GPU_FAMILY:NVIDIA_B200",
    ),
    "nvidia-gb200": Gpu("NVIDIA GB200", 4, _in(us_central1="a"), "GPUS_PER_GPU_FAMILY:NVIDIA_GB200"),
    "nvidia-gb300": Gpu("NVIDIA GB300", 4, _in(us_central1="b"), "GPUS_PER_GPU_FAMILY:NVIDIA_GB300"),
    "nvidia-tesla-t4": Gpu("NVIDIA T4", 4, _N1["T4"], "NVIDIA_T4_GPUS", {1: 48, 2: 48, 4: 96}),
    "nvidia-tesla-v100": Gpu("NVIDIA V100", 8, _N1["V100"], "NVIDIA_V100_GPUS", {1: 12, 2: 24, 4: 48, 8: 96}),
    "nvidia-tesla-p100": Gpu("NVIDIA P100", 4, _N1["P100"], "NVIDIA_P100_GPUS", {1: 16, 2: 32, 4: 96}),
    "nvidia-tesla-p4": Gpu("NVIDIA P4", 4, _N1["P4"], "NVIDIA_P4_GPUS", {1: 24, 2: 48, 4: 96}),
}


def in_zone(zone: str) -> list[str]:
    """The models that a zone has, by name."""
    return sorted(name for name, gpu in GPUS.items() if zone in gpu.zones)
