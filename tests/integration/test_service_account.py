# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module service_account."""

from __future__ import annotations

import typing as t

import pytest

from tests.clouds import PROJECT, Running
from tests.integration.life import live_through
from tests.module_runner import ModuleFailed, run_module

Json = dict[str, t.Any]

EMAIL = f"model-reader@{PROJECT}.iam.gserviceaccount.com"


def test_life(cloud: Json, cloud_server: Running) -> None:
    created, changed = live_through(
        "service_account",
        cloud,
        create={"name": "model-reader", "display_name": "Reader", "description": "reads the weights"},
        change={"display_name": "Reader and writer", "disabled": True},
        diff=({"display_name": "Reader", "disabled": None}, {"display_name": "Reader and writer", "disabled": True}),
        look=lambda: cloud_server.find("iam", f"v1/projects/{PROJECT}/serviceAccounts/{EMAIL}"),
    )
    assert (created["email"], created["description"]) == (EMAIL, "reads the weights")
    assert (changed["displayName"], changed["disabled"]) == ("Reader and writer", True)
    assert changed["description"] == "reads the weights"


def test_an_account_can_be_made_disabled_and_enabled_later(cloud: Json) -> None:
    args = {**cloud, "name": "sleeper", "disabled": True}
    assert run_module("service_account", args)["service_account"]["disabled"] is True
    assert run_module("service_account", args)["changed"] is False
    awake = run_module("service_account", {**args, "disabled": False})
    assert awake["changed"] is True
    assert not awake["service_account"].get("disabled")


@pytest.mark.parametrize("name", ["short", "Upper-case", EMAIL, "ends-with-", "1-digit-first"])
def test_bad_names(cloud: Json, name: str) -> None:
    with pytest.raises(ModuleFailed, match="name: .* is not valid: give the account's ID"):
        run_module("service_account", {**cloud, "name": name})
