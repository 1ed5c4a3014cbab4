"""What an SMTP client is told: a code, an enhanced status code and a text.  RFC 5321 §4.2, RFC 2034."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, possibly of several lines.

    `status` is the enhanced code (``5.7.1``) or empty where the command has none (greeting, EHLO);
    `text` holds the lines, parted by ``\\n``.
    """

    code: int
    status: str
    text: str

    @property
    def is_temporary(self) -> bool:
        """True for 4xx: the client should come back."""
        return 400 <= self.code < 500

    @property
    def is_refusal(self) -> bool:
        """True for 4xx and 5xx."""
        return self.code >= 400

    @property
    def hangs_up(self) -> bool:
        """True where the reply ends the connection.  RFC 5321 §3.8 (421), RFC 7504 (521)."""
        return self.code in (421, 521)

    def line(self) -> str:
        """The reply as one line of text, the way a log or a rehearsal shows it."""
        return " ".join(part for part in (str(self.code), self.status, self.text.replace("\n", " ")) if part)

    def format(self) -> bytes:
        """The bytes for the wire, one line or several, each ended by CRLF."""
        lines = self.text.split("\n")
        last = len(lines) - 1
        status = self.status + " " if self.status else ""
        return b"".join(
            f"{self.code}{' ' if at == last else '-'}{status}{text}\r\n".encode("utf-8", "surrogateescape")
            for at, text in enumerate(lines)
        )
