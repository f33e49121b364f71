# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Whether the estate is whole: all model servers ready, and every address answered by its own region."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import typing as t
from collections.abc import Callable, Collection, Sequence

from .._errors import CollectionError, InvalidOption, MissingLibrary, WaitTimeout
from .._wait import Backoff, wait_for
from . import load
from .plan import Options, Region
from .records import Record

# Seconds for an address that does not answer as it should, as after a change of the routes.
PATIENCE = 10.0
PROMPT = "Say in one sentence which service you are part of."


class Estate(t.Protocol):
    """How the estate is looked at: Google's and Kubernetes' APIs, or a fake of them."""

    def address(self, region: Region) -> str | None:
        """The IP address that is reserved under the region's address_name."""

    def workload(self, region: Region) -> tuple[int, str]:
        """(replicas wanted, what is missing until they are ready or "") of the Deployment. Raises CollectionError."""


@dataclasses.dataclass(frozen=True)
class Answered:
    """What one address said: its record, the text, and the models that it serves, where it lists them."""

    url: str
    record: Record
    text: str = ""
    models: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Sight:
    """One region as it was found. ``missing``: why its model servers or its address are not as they should be."""

    region: Region
    replicas: int | None
    answer: Answered | None
    missing: Sequence[str]


def look(
    options: Options, estate: Estate, ask: Callable[[load.Load], list[Answered]], undoing: Collection[str] = ()
) -> list[Sight]:
    """All regions in one table. Asks addresses again for a while, but for those of clusters that are ``undoing``."""
    urls: dict[str, str] = {}
    replicas: dict[str, int] = {}
    missing: dict[str, list[str]] = {name: [] for name in options.names()}
    for region in options.regions:
        with _noted(missing[region.region]):
            address = estate.address(region)
            if address is None:
                raise CollectionError(f"there is no address {region.address_name}")
            urls[region.region] = f"http://{address}:{options.gateway_port}"
        with _noted(missing[region.region]):
            replicas[region.region], unready = estate.workload(region)
            if unready:
                raise CollectionError(unready)
    patient = {region.region for region in options.regions if region.path() not in undoing}
    answers = {item.record.target: item for item in _answers(options, urls, ask, patient)} if urls else {}
    return [
        Sight(region, replicas.get(region.region), answers.get(region.region), missing[region.region])
        for region in options.regions
    ]


@contextlib.contextmanager
def _noted(missing: list[str]) -> t.Iterator[None]:
    try:
        yield
    except MissingLibrary:
        raise
    except CollectionError as error:
        missing.append(error.message)


def _answers(
    options: Options, urls: dict[str, str], ask: Callable[[load.Load], list[Answered]], patient: Collection[str]
) -> list[Answered]:
    wanted = load.Load(
        targets=[load.Target(name, url) for name, url in urls.items()],
        model=options.model,
        rate=options.rate,
        duration=0,
        prompt=PROMPT,
        max_tokens=24,
        request_timeout=options.request_timeout,
    )
    try:
        return wait_for(
            lambda: ask(wanted),
            lambda seen: all(is_final(item.record) for item in seen if item.record.target in patient),
            timeout=PATIENCE,
            what="every address to be answered by its own region",
            backoff=Backoff(first=0.5, factor=1, cap=0.5, jitter=0),
        )
    except WaitTimeout as error:
        return t.cast(list[Answered], error.details["last"])


def is_final(record: Record) -> bool:
    """Whether asking again is of no use: it is as it should be, or the request itself is refused."""
    return (record.ok and record.region in (record.target, "")) or (400 <= record.status < 500 and record.status != 429)


def ask(wanted: load.Load) -> list[Answered]:
    """One completion from every target, and the models of those that refuse it. Raises MissingLibrary."""
    if not load.HAS_AIOHTTP:
        raise MissingLibrary("aiohttp")
    return asyncio.run(_ask(wanted))


async def _ask(wanted: load.Load) -> list[Answered]:
    urls = {target.name: target.url for target in wanted.targets}
    found = []
    async with load.session(wanted) as client:
        for record, text in await load.ask(wanted):
            url = urls[record.target]
            models = await load.models(client, url) if 400 <= record.status < 500 else ()
            found.append(Answered(url, record, text, models))
    return found


def problems(options: Options, sights: Sequence[Sight], undoing: Collection[str]) -> list[CollectionError]:
    """Why no drill can be made now, each a sentence that begins with its region or its option.

    ``undoing``: clusters (Region.path()) in which an open journal is going to restore something first.
    Nothing is asked of them yet: the steady state under load is awaited before the fault in any case.
    """
    found: list[CollectionError] = []
    for sight in sights:
        name, mended = sight.region.region, sight.region.path() in undoing
        if not mended:
            found += [CollectionError(f"{name}: {why}") for why in sight.missing]
            if sight.replicas == 0:
                found.append(CollectionError(f"{name}: no model server is wanted: it can neither fail nor take over"))
        if sight.answer:
            found += _said(options, sight.answer, mended)
    return list({problem.message: problem for problem in found}.values())  # what is wrong everywhere, once


def _said(options: Options, answer: Answered, mended: bool) -> list[CollectionError]:
    record, url = answer.record, answer.url
    if not record.status:
        wanted = f"nothing answers at {url} ({record.error}); the controller has to be inside of the VPC"
        return [InvalidOption("gateway_port", options.gateway_port, wanted)]
    if answer.models and options.model not in answer.models:
        return [
            InvalidOption("model", options.model, f"name one of {', '.join(answer.models)}, which the gateway serves")
        ]
    why = ""
    if not record.ok:
        why = "" if mended else f"{url} answers {record.status}: {record.error}"
    elif not record.region:
        why = (
            f"{url} answers without the header x-serving-region, from which the drill knows who serves; "
            "role model has a middleware for vLLM that sets it"
        )
    elif record.region != record.target and not mended:
        why = f"{url} is answered by {record.region}, not by its own region"
    return [CollectionError(f"{record.target}: {why}")] if why else []
