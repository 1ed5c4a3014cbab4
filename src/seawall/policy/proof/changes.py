"""The smallest change that closes a hole: tried, not guessed.  Each is applied in memory and the search is run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seawall.config.source import ConfigTrouble
from seawall.mail.network import parse_network
from seawall.mail.words import split_words
from seawall.policy.bench import Argument
from seawall.policy.language import WARN_IF_REJECT
from seawall.policy.proof.doors import Door
from seawall.policy.proof.search import Hole, Search
from seawall.policy.proof.stranger import is_everybodys, is_wide, some_addresses
from seawall.policy.proof.world import World
from seawall.policy.registry import RESTRICTIONS
from seawall.routing.route import Classes

PROXY = "_upstream_proxy_protocol"
GUARD = "reject_unauth_destination"
OURS = ("permit_mynetworks", "permit_sasl_authenticated")
GUARDED = f"permit_mynetworks, permit_sasl_authenticated, {GUARD}"


@dataclass(frozen=True, slots=True)
class Change:
    """Set a parameter; `why` in a few words.  `in_master` where master.cf sets it for this service."""

    parameter: str
    value: str
    why: str
    in_master: bool = False

    def text(self) -> str:
        """As an administrator writes it."""
        line = f"{self.parameter} = {self.value}".rstrip()
        return f"-o {{ {line} }} in master.cf" if self.in_master else line


def closing(door: Door, commands: Mapping[str, str], holes: Sequence[Hole]) -> tuple[Change, ...]:
    """The fewest changes that close all holes and leave no session; empty where none of ours does."""
    changes = list(dict.fromkeys(change for hole in holes for change in _candidates(door, hole)))
    for change in changes:
        if _closes(door, commands, holes, (change,)):
            return (change,)
    together: list[Change] = []
    for change in changes:
        if all(change.parameter != other.parameter for other in together):
            together.append(change)
            if _closes(door, commands, holes, tuple(together)):
                return tuple(together)
    return ()


def _closes(door: Door, commands: Mapping[str, str], holes: Sequence[Hole], changes: tuple[Change, ...]) -> bool:
    settings = door.settings.with_overrides({change.parameter: _kept(change.value) for change in changes})
    try:
        is_proxied = door.proxied and not any(change.parameter.endswith(PROXY) for change in changes)
        search = Search(settings, commands, proxied=is_proxied)
    except ConfigTrouble:
        return False
    is_open = any(search.find({one.part: one.value for one in hole.said}) is not None for hole in holes)
    return not is_open and not search.was_cut


def _kept(value: str) -> str:
    """The value is expanded already."""
    return value.replace("$", "$$")


def _candidates(door: Door, hole: Hole) -> Iterator[Change]:
    """Changes worth a try, the most fitting first."""
    for parameter, value, why in (*_by_client(door, hole), *_by_recipient(door, hole), *_by_list(door, hole)):
        yield Change(parameter, value, why, parameter in door.overrides)


def _by_client(door: Door, hole: Hole) -> Iterator[tuple[str, str, str]]:
    names = {place.name.lower() for place in hole.permitted}
    client = hole.session.client
    if client.via == "XCLIENT":
        yield "smtpd_authorized_xclient_hosts", "", "only a proxy of yours may say whom it speaks for"
    if client.via == "PROXY":
        program = "postscreen" if door.name.split()[2] == "postscreen" else "smtpd"
        yield program + PROXY, "", "or let the service listen on an address that only the proxy reaches"
    if "permit_mynetworks" in names and not client.via:
        words = split_words(door.settings.text("mynetworks"))
        kept = [word for word in words if not _names_everybody(word)]
        if kept and len(kept) < len(words):
            yield "mynetworks", " ".join(kept), "networks that are not yours"
        yield "mynetworks", "127.0.0.0/8 [::1]/128", "name your own networks only"
    if "permit_tls_all_clientcerts" in names:
        yield "tls_append_default_CA", "no", "certificates of public authorities are anybody's"


def _names_everybody(word: str) -> bool:
    network = parse_network(word)
    if network is not None:
        return is_wide(network) and next(some_addresses(network), None) is not None
    return ":" in word or "/" in word or (is_everybodys(word) and not word[:1].isdigit())


def _by_recipient(door: Door, hole: Hole) -> Iterator[tuple[str, str, str]]:
    """What makes the recipient's domain one that we take."""
    world = World(door.settings)
    route = world.facts.route(hole.session.recipient.address, "")
    classes = getattr(route, "classes", Classes.NONE)
    if getattr(route, "is_routed", False):
        yield "allow_untrusted_routing", "no", "an address with % or ! inside leads on to anywhere"
    lists = {
        Classes.RELAY: "relay_domains",
        Classes.LOCAL: "mydestination",
        Classes.VMAILBOX: "virtual_mailbox_domains",
        Classes.ALIAS: "virtual_alias_domains",
    }
    for one, parameter in lists.items():
        if one in classes and not getattr(route, "is_routed", False):
            words = split_words(door.settings.text(parameter))
            kept = [word for word in words if ":" not in word and not is_everybodys(word)]
            yield parameter, " ".join(kept), "domains that are not yours"
            yield parameter, "", "domains that are not yours"


def _by_list(door: Door, hole: Hole) -> Iterator[tuple[str, str, str]]:
    """A guard before whatever permitted."""
    relay = split_words(door.settings.text("smtpd_relay_restrictions"))
    if not relay:
        yield "smtpd_relay_restrictions", GUARDED, "nothing that the other lists permit can relay then"
    for parameter in ("smtpd_relay_restrictions", "smtpd_recipient_restrictions"):
        words = split_words(door.settings.text(parameter))
        if not words:
            continue
        at = next((_index(words, p.name, p.argument) for p in hole.permitted if p.stage.parameter == parameter), None)
        if at is None:
            yield parameter, listed([*words, GUARD]), "the list ends without it"
        else:
            yield parameter, listed(_guarded(words, at)), "before anything that may permit a stranger"
    if relay:
        yield "smtpd_relay_restrictions", GUARDED, "nothing else may permit a stranger to relay"


def _guarded(words: list[str], at: int) -> list[str]:
    """The guard before the item at `at`, and before it what permits only ours."""
    late = [word for number, word in enumerate(words) if number >= at and word.lower() in OURS]
    before = words[:at]
    after = [word for word in words[at:] if word not in late and word.lower() != GUARD]
    return [*before, *late, GUARD, *after]


def listed(words: list[str]) -> str:
    """A list as people write it: commas between restrictions, a blank before an argument."""
    text = ""
    for at, word in enumerate(words):
        follows = at > 0 and (takes_argument(words[at - 1]) or words[at - 1].lower() == WARN_IF_REJECT)
        text += f"{' ' if follows else ', ' if at else ''}{word}"
    return text


def takes_argument(word: str) -> bool:
    """True for a restriction whose next word is its own."""
    row = RESTRICTIONS.get(word.lower())
    return row is not None and row.argument is not Argument.NONE


def _index(words: list[str], name: str, argument: str) -> int:
    """Where an item stands: by its name, or its bare table; where it came by a class, the first that is no restriction."""
    for at, word in enumerate(words):
        if word == name and (not argument or words[at + 1 : at + 2] == [argument]):
            return at
    if argument in words:
        return words.index(argument)
    known = (*RESTRICTIONS, WARN_IF_REJECT)
    others = (at for at, word in enumerate(words) if word.lower() not in known and not takes_argument(words[at - 1]))
    return next(others, 0)
