# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not be in evidence, and what stands for it there.

What names the run is replaced so that a replay can put its own names there; of everything else that tells who or where
somebody is nothing is kept. Members of policies and objects of lists that are not the run's own are left out.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

Json = dict[str, t.Any]

HIDDEN = "redacted"
# The first octets of a run's ranges in evidence, whatever they were.
PREFIX = "10.64"

# Keys whose values are secrets, certificates or open somebody's doors, whatever they look like.
SECRET_KEYS = re.compile(
    r"(?i)(token|password|secret|privatekey|private_key|clientkey|certificate|ca(bundle|cert|data)|credential|authorization"
    r"|cookie|passphrase|continue$)"
)
# Named like that and harmless: switches, links and kinds that a replay needs.
HARMLESS_KEYS = re.compile(
    r"(?i)^(clientCertificateConfig|enableK8s(Tokens|Certs)ViaDns|secretManagerConfig|kubeletCertInfo"
    r"|automountServiceAccountToken|secretName|imagePullSecrets|.*Ref|.*Mode)$"
)
# Answers with lists of what may be other people's: only entries with the run's name stay.
LISTS = ("items", "clusters", "resources", "accounts", "operations", "nodePools", "membershipStates")
NUMBERED = re.compile(r"(organizations|folders|billingAccounts)/[-0-9A-Za-z]+")
EMAIL = re.compile(r"[A-Za-z0-9_.+'$\{\}-]+(?:@|%40)[A-Za-z0-9$\{\}-]+(?:\.[A-Za-z0-9$\{\}-]+)+")
PEM = re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|\Z)", re.DOTALL)
# Access tokens of Google, Hugging Face and GitHub, keys of APIs, JSON Web Tokens, whatever follows Bearer or Basic.
TOKENS = re.compile(
    r"ya29\.[-\w.]+|1//[-\w]{20,}|AIza[-\w]{20,}|GOCSPX-[-\w]+|hf_[A-Za-z0-9]+|gh[pousr]_[A-Za-z0-9]+"
    r"|eyJ[-\w]+(?:\.[-\w]*){0,2}|(?i:\b(?:bearer|basic)\s+)[^\s\"',]+"
)
# Longer than any name, id, etag or fingerprint of Google's: certificates, keys, page tokens. Paths are long too.
LONG = re.compile(r"[A-Za-z0-9+/=_-]{80,}")
PATH_PART = re.compile(r"[a-z0-9-]{0,63}|[A-Za-z]{1,30}")
PAGE_TOKEN = re.compile(r"(?i)(page_?token=)[^&\s]+")
# Whatever looks like an address is one, whatever stands beside it: times have fewer colons, versions fewer dots.
IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?")
IPV6 = re.compile(r"[0-9A-Fa-f:.]*(?:::|(?:[0-9A-Fa-f]{1,4}:){7})[0-9A-Fa-f:.]*(?:/\d{1,3})?")
MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
# Addresses that are the same for everybody: everything, Google's health checkers, Services of GKE.
PUBLIC = ("0.0.0.0/0", "::/0", "130.211.0.0/22", "35.191.0.0/16", "34.118.224.0/20", "0.0.0.0", "127.0.0.1")
# Accounts that Google makes in every project, and the run's own.
AGENTS = re.compile(
    r"service-\$\{projectNumber\}@[a-z0-9-]+\.iam\.gserviceaccount\.com"
    r"|\$\{projectNumber\}(-compute@developer|@cloudservices)\.gserviceaccount\.com"
    r"|[a-z0-9-]*\$\{uniqueId\}[a-z0-9-]*@\$\{projectId\}\.iam\.gserviceaccount\.com"
)


class Redactor:
    """``name``: what the run's objects are called after; ``prefix``: the first octets of its ranges ("127.20")."""

    def __init__(self, *, project: str, number: str, run: str, name: str, prefix: str) -> None:
        self._name = name
        own = {project: "${projectId}", number: "${projectNumber}", run: "${uniqueId}"}
        self._placeholders = {literal: placeholder for literal, placeholder in own.items() if literal}
        # In one pass and the longer first: a placeholder may hold what the project is called.
        longest_first = sorted(self._placeholders, key=len, reverse=True)
        self._literals = re.compile("|".join(map(re.escape, longest_first)))
        self._prefix = re.compile(rf"(?<![\d.]){re.escape(prefix)}(?=\.)")
        self._ranges = re.compile(rf"{re.escape(PREFIX)}\.\d{{1,3}}\.0/\d{{1,2}}")
        self._secrets: set[str] = set()
        self._people: dict[str, str] = {}
        self._addresses: dict[str, str] = {}

    def hide(self, secret: str) -> None:
        """A token of this run, which looks like nothing in particular."""
        if secret:
            self._secrets.add(secret)

    def exchange(self, record: Json) -> Json:
        """One recorded request with its answer."""
        return {
            "method": record["method"],
            "url": self.text(record["url"]),
            "request": self.document(record["request"]),
            "status": record["status"],
            "response": self.document(self._own(record["response"])),
            "at": record["at"],
            "seconds": record["seconds"],
        }

    def document(self, value: t.Any) -> t.Any:
        """Any JSON, redacted through and through, keys too."""
        if isinstance(value, dict):
            policy = self._policy(value) if isinstance(value.get("bindings"), list) else value
            return {
                self.text(str(key)): _hidden(part) if _is_secret(str(key)) else self.document(part)
                for key, part in policy.items()
                if key != "managedFields"
            }
        if isinstance(value, list):
            return [self.document(part) for part in value]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self.text(str(value)) != str(value):
            return self.text(str(value))
        return value

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = PEM.sub(HIDDEN, text)
        text = TOKENS.sub(HIDDEN, text)
        text = PAGE_TOKEN.sub(rf"\1{HIDDEN}", text)
        text = self._named(text)
        text = NUMBERED.sub(rf"\1/{HIDDEN}", text)
        text = EMAIL.sub(self._person, text)
        text = self._prefix.sub(PREFIX, text)
        text = IPV4.sub(self._address, text)
        text = IPV6.sub(self._address, MAC.sub(HIDDEN, text))
        return LONG.sub(_long, text)

    def _own(self, answer: t.Any) -> t.Any:
        """An answer without the entries of its lists that are not the run's."""
        if not isinstance(answer, dict):
            return answer
        return {key: self._entries(value) if key in LISTS else value for key, value in answer.items()}

    def _entries(self, value: t.Any) -> t.Any:
        if isinstance(value, list):
            return [entry for entry in value if self._name in repr(entry)]
        if isinstance(value, dict):
            return {key: entry for key, entry in value.items() if self._name in repr((key, entry))}
        return value

    def _policy(self, policy: Json) -> Json:
        """A policy with the members that are the run's or Google's own; who else may do what is nobody's business."""
        bindings = []
        for binding in policy["bindings"]:
            members = [m for m in binding.get("members") or [] if self._is_known(str(m))]
            if members and "condition" not in binding:
                bindings.append({**binding, "members": members})
        return {**policy, "bindings": bindings}

    def _is_known(self, member: str) -> bool:
        kind, _colon, rest = self._named(member).partition(":")
        if kind in ("projectOwner", "projectEditor", "projectViewer"):
            return rest == "${projectId}"
        own = bool(AGENTS.fullmatch(rest)) or rest.startswith("${projectId}.svc.id.goog[")
        return kind == "serviceAccount" and own

    def _named(self, text: str) -> str:
        return self._literals.sub(lambda found: self._placeholders[found[0]], text)

    def _person(self, found: re.Match[str]) -> str:
        text = found[0]
        if AGENTS.fullmatch(text.replace("%40", "@")):
            return text
        return self._people.setdefault(text, f"someone-{len(self._people) + 1}@example.com")

    def _address(self, found: re.Match[str]) -> str:
        text = found[0]
        if text in PUBLIC or self._ranges.fullmatch(text):
            return text
        host, _slash, size = text.partition("/")
        # From the ranges that are set aside for documentation.
        base = ipaddress.ip_address("2001:db8::" if ":" in host else "192.0.2.0")
        stand_in = self._addresses.setdefault(host, str(base + 1 + len(self._addresses) % 254))
        return stand_in + (f"/{size}" if size else "")


def _long(found: re.Match[str]) -> str:
    return found[0] if all(map(PATH_PART.fullmatch, found[0].split("/"))) else HIDDEN


def _is_secret(key: str) -> bool:
    return bool(SECRET_KEYS.search(key)) and not HARMLESS_KEYS.fullmatch(key)


def _hidden(value: t.Any) -> t.Any:
    """Of the same type, so that the shape stays; counts and switches give nothing away."""
    if isinstance(value, dict):
        return {f"key-{number}": _hidden(part) for number, part in enumerate(value.values())}
    if isinstance(value, list):
        return [_hidden(part) for part in value]
    return HIDDEN if isinstance(value, str) and value else value
