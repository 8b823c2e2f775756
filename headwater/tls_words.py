"""What is said when TLS fails: by the other side's alert, and by what to do about it."""

from __future__ import annotations

import logging
import ssl
from typing import Final

SESSION_LOG: Final = "headwater.session"


def remedy(error: BaseException | None) -> str:
    """Return what to do about a connection to a broker that could not be made."""
    if isinstance(error, ssl.SSLError):
        return "check CA file, certificate and key"
    return "start one with: headwater broker run"


class PahoLog(logging.Logger):
    """One paho client's log: what it says of a lost connection is kept as `why`, for us to say once, with our words."""

    def __init__(self) -> None:
        super().__init__(f"{SESSION_LOG}.paho")
        self.parent = logging.getLogger(SESSION_LOG)
        self.addFilter(self._is_news)
        self.why = ""
        """What the broker's last TLS alert said, in brackets, such as " (tlsv13 alert certificate required)".

        Whoever sees that TLS stands clears it.
        """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  the name is logging's
        """Tell whether lines of that level are shown; no log of the process knows this one, to tell it of a change."""
        return logging.getLogger(SESSION_LOG).isEnabledFor(level)

    def _is_news(self, record: logging.LogRecord) -> bool:
        for said in record.args if isinstance(record.args, tuple) else ():
            if isinstance(said, ssl.SSLError) and said.reason:
                self.why = f" ({said.reason.replace('_', ' ').lower()})"
        return record.levelno < logging.INFO or "Caught exception" in record.getMessage()
