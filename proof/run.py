# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run on a project: its steps made and recorded, everything that it has made taken away."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
import typing as t

import yaml

from .evidence import Evidence
from .google import Google
from .journal import Journal, Made
from .looks import look
from .options import ROOT, Options, Refused
from .players import Players
from .prices import Estimate
from .recorder import Recorder
from .redact import PREFIX, Redactor
from .steps import STEPS, Step

Json = dict[str, t.Any]

ATTEMPTS = 3  # at taking everything away


class StepFailed(Exception):
    """A play ended badly; its log says why."""


class Run:
    """``number``: of the project. A journal that an earlier run has left is good for ``remove`` alone."""

    def __init__(self, options: Options, google: Google, number: str, journal: Journal) -> None:
        elsewhere = options.elsewhere
        self._options = options
        self._google = google
        self._journal = journal
        self._players = Players(options, journal)
        self._redactor = Redactor(
            project=options.project,
            number=number,
            run=journal.run,
            name=self._players.name,
            prefix=(elsewhere.prefix if elsewhere else "") or PREFIX,
        )
        self.evidence = Evidence(journal.path.parent / "evidence", self._redactor)
        self._recorder = Recorder(
            elsewhere.endpoints if elsewhere else {},
            before=journal.before,
            after=self._record,
            tokens=self._redactor.hide,
        )
        self._steps: dict[str, Json] = {}

    def _record(self, record: Json) -> None:
        self._journal.after(record)
        self.evidence.add(record)

    async def make(self) -> None:
        """Step after step. Raises StepFailed."""
        self._journal.begin()
        async with self._recorder.serving():
            for name in self._options.steps:
                await self._make(name, STEPS[name])

    async def _make(self, name: str, step: Step) -> None:
        say(f"{name}: {step.text} (about {step.minutes:g} minutes)")
        began = time.monotonic()
        report: Json = {"outcome": "failed", "at": now()}
        self._steps[name] = report
        try:
            await self._play(name, name, *step.arguments)
            report["outcome"] = "made"
            if step.again:
                # On Google too a second run must find nothing to do.
                await self._play(name, f"{name}-again", "--check", "--diff", *step.arguments)
                report["changed again"] = self._players.changed(f"{name}-again")
        finally:
            report["exchanges"] = self.evidence.close(name)
            report["seconds"] = round(time.monotonic() - began, 1)
        if step.looks:
            looks = await asyncio.to_thread(look, self._options, *self._players.cluster(), step.looks)
            self.evidence.looks(name, looks)
        say(f"{name}: made in {report['seconds']:.0f} s, {report['exchanges']} exchanges")
        if report.get("changed again"):
            say(f"{name}: a second run would CHANGE something, see {self._players.log(f'{name}-again')}")

    async def _play(self, step: str, log: str, *arguments: str, made: t.Sequence[Made] = ()) -> None:
        variables = {"proof_step": step, "proof_made": [one._asdict() for one in made]}
        with self._recorder.play() as endpoints:
            if await self._players.play(step, log, endpoints, variables, *arguments):
                say(f"{log}: FAILED, see the end of {self._players.log(log)}")
                raise StepFailed(log)

    async def remove(self) -> list[Made]:
        """Take away everything that the run has made; returns what is left in spite of that. Raises Refused."""
        run = self._journal.run
        found = await asyncio.to_thread(self._wanted)
        async with self._recorder.serving():
            for attempt in range(1, ATTEMPTS + 1):
                if not found:
                    break
                say(f"run {run}: removing {len(found)} things{f', attempt {attempt}' if attempt > 1 else ''}")
                with contextlib.suppress(StepFailed):  # what is left is looked up, and tried again
                    await self._play("remove", "remove", made=found)
                if not await asyncio.to_thread(self._left):
                    break
                found = await asyncio.to_thread(self._wanted)
        self._steps["removal"] = {"exchanges": self.evidence.close("removal")}
        left = await asyncio.to_thread(self._left)
        if not left:
            self._journal.removed()
            say(f"run {run}: nothing is left of it")
        return left

    def _wanted(self) -> list[Made]:
        """What the journal says, what is called so, and what Google's controllers have made in the run's network."""
        run = self._journal.run
        found = self._journal.made()
        try:
            found += [*self._google.named(run), *self._google.in_networks_of(run)]
        except Refused as error:
            say(f"{error}; removing what the journal knows")
        return list(dict.fromkeys(found))

    def _left(self) -> list[Made]:
        return self._google.left(self._journal.run, self._journal.made())

    def conclude(self, price: Estimate, outcome: str, seconds: float) -> None:
        """Write down what the evidence is of."""
        self.evidence.about(
            {
                "collection": yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"],
                "outcome": outcome,
                "zones": list(self._options.zones),
                "on google": self._options.elsewhere is None,
                "seconds": round(seconds, 1),
                "dollars an hour": round(price.per_hour, 2),
                "prices of": price.date,
                "steps": self._steps,
            }
        )


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def say(text: str) -> None:
    print(text, flush=True)


def listed(made: t.Iterable[Made]) -> str:
    return ", ".join("/".join(filter(None, one)) for one in made)


def refuse_foreign(google: Google, journals: t.Sequence[Journal]) -> None:
    """Raises Refused when something is called as a run calls its own, and no journal knows that run."""
    known = {journal.run for journal in journals}
    foreign = [made for made in google.named() if not any(run in made.name for run in known)]
    if foreign:
        raise Refused(
            "PROJECT",
            f"{listed(foreign)} is called as a run calls its own, and no run from here has made it: remove it, "
            "or give the DIRECTORY from which it was made",
        )
