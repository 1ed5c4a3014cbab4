"""Where an expansion stands: the recipient as rewritten so far, whose rights count, who hears of trouble.

local(8) carries two records down every level of aliases, lists and .forward files: the message's attributes and the
user's rights.  Here they are one frozen value; each level makes its own copy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seawall.linux.identity import Identity
from seawall.linux.users import User
from seawall.mail.address import fold, split_extension
from seawall.mail.envelope import Notify, Recipient

DEEPEST = 100
"""Levels of expansion after which a loop is assumed.  local(8), recipient.c"""


@dataclass(frozen=True, slots=True)
class Rights:
    """With whose rights files and commands are used.  uid 0 stands for "none established": default_privs then.

    `home`, `shell` and `name` are None where the rights are not a user's.
    """

    uid: int = 0
    gid: int = 0
    home: str | None = None
    shell: str | None = None
    name: str | None = None

    @staticmethod
    def of(user: User) -> Rights:
        """The rights of a user."""
        return Rights(user.uid, user.gid, user.home, user.shell, user.name)

    @property
    def identity(self) -> Identity:
        """Who a thread must be."""
        return Identity(self.uid, self.gid)


NO_RIGHTS = Rights()

ALIAS, FORWARD, INCLUDE = "alias", "forward", "include"
"""Kinds of expansion, as allow_mail_to_commands and propagate_unmatched_extensions name them."""


@dataclass(frozen=True, slots=True)
class Point:
    """One place in an expansion.

    `address` is the recipient now, `original`, `orcpt` and `notify` are the envelope's; `sender` is who gets a bounce
    (an owner- alias changes it); `delivered` goes into Delivered-To:.  `local`, `user`, `domain` are folded parts of
    `address`; `unmatched` is the extension still to be passed on.  `owner` is set where a list or .forward was gone
    through: other recipients then become a new message.
    """

    address: str
    original: str
    sender: str
    orcpt: str = ""
    notify: int = 0
    level: int = 0
    delivered: str | None = None
    local: str = ""
    user: str = ""
    domain: str = ""
    extension: str | None = None
    unmatched: str | None = None
    owner: str | None = None
    kind: str = ""
    """ALIAS, FORWARD, INCLUDE, or empty outside of any."""
    came_from: str | None = None
    """The name whose expansion this is; an alias that names itself means the user."""
    rights: Rights = NO_RIGHTS

    def deeper(self) -> Point:
        """One level down."""
        return replace(self, level=self.level + 1)

    def split(self, delimiters: str, *, owner_request_special: bool) -> tuple[Point, str]:
        """With `local`, `user`, `domain` and `extension` taken from `address`; and a warning, or an empty text.

        An extension with a slash in it is dropped: it could lead a forward_path elsewhere.
        """
        local, _, domain = fold(self.address).rpartition("@")
        if not _:
            local, domain = domain, ""
        user, extension = split_extension(local, delimiters, owner_request_special=owner_request_special)
        warning = ""
        if extension is not None and "/" in extension:
            warning = f"address with illegal extension: {local}"
            local, extension = user, None
        point = replace(
            self,
            delivered=self.delivered or self.address,
            local=local,
            user=user,
            domain=domain,
            extension=extension,
            unmatched=extension,
        )
        return point, warning

    @property
    def delimiter(self) -> str | None:
        """The character that parts user and extension in `local`."""
        return self.local[len(self.user) : len(self.user) + 1] or None

    def as_recipient(self) -> Recipient:
        """The recipient of a message that goes on from here."""
        return Recipient(self.address, self.original, self.orcpt, self.notify)

    def without_success(self) -> Point:
        """NOTIFY=SUCCESS is told where an alias is expanded, not by those it expands to.  RFC 3461 §5.2.7.3"""
        success = Notify.SUCCESS.value
        notify = Notify.NEVER.value if self.notify == success else self.notify & ~success
        return replace(self, notify=notify)
