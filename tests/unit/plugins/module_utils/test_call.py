# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module with a resource refuses before it looks at one."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._call import check_counts
from ansible_collections.aiserving.gke.plugins.module_utils._errors import InvalidOption
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = st.recursive(
    st.integers() | st.text(max_size=2) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def numbers(value: t.Any) -> t.Iterator[int]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int):
        yield value


@given(st.dictionaries(st.sampled_from("abc"), OPTIONS))
def test_what_counts_below_zero_is_refused(options: dict[str, t.Any]) -> None:
    if min(numbers(options), default=0) < 0:
        with pytest.raises(InvalidOption, match="give 0 or more"):
            check_counts(options)
    else:
        check_counts(options)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"initial_node_count": -1}, "initial_node_count"),
        ({"upgrade_settings": {"max_surge": -2}}, "upgrade_settings.max_surge"),
        (
            {"config": {"accelerators": [{"accelerator_count": 1}, {"accelerator_count": -8}]}},
            r"config.accelerators\[1\]",
        ),
        ({"wait_timeout": -1}, "wait_timeout"),
    ],
)
def test_the_option_is_named(options: dict[str, t.Any], path: str) -> None:
    with pytest.raises(InvalidOption, match=path):
        check_counts(options)
