"""What is done when a rule finds something: stop the training, run a command, call an address, log.

An action is anything that can be called with a `Fired`. One that raises is noted in the verdict and
stops neither the check nor the training.
"""

import json
import logging
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from stocktake.debugger.errors import RuleError
from stocktake.debugger.rules import Finding

NAMES = ("stoptraining", "command", "webhook", "log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fired:
    """A rule's first finding, as actions get it."""

    rule: str
    """What the rule is called in this check."""
    advice: str
    finding: Finding

    def as_json(self) -> dict[str, Any]:
        """For commands and webhooks."""
        return {"rule": self.rule, "advice": self.advice, **self.finding.as_json()}


Action = Callable[[Fired], None]


class StopTraining:
    """Asks the training to stop; its loop reads `asked` between two steps, from any thread."""

    def __init__(self) -> None:
        self._event = Event()
        self.why = ""
        """The first finding that asked, one line."""

    @property
    def asked(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def __call__(self, fired: Fired) -> None:
        if not self.asked:
            self.why = f"{fired.rule}: {fired.finding.message}"
        self._event.set()


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Runs a command, no shell between, with the finding as JSON on its standard input."""

    words: Sequence[str]
    timeout_s: float = 60.0

    def __call__(self, fired: Fired) -> None:
        told = json.dumps(fired.as_json())
        try:
            done = subprocess.run(
                list(self.words), input=told, text=True, capture_output=True, timeout=self.timeout_s
            )
        except subprocess.TimeoutExpired:
            raise RuleError(f"{self.words[0]} ran longer than {self.timeout_s:g} s") from None
        except OSError as err:
            raise RuleError(f"{self.words[0]} cannot be run: {err.strerror}") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise RuleError(f"{self.words[0]} ended with {done.returncode}: {last}")


@dataclass(frozen=True, slots=True)
class CallWebhook:
    """Posts the finding as JSON to an address."""

    url: str
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise RuleError(f"a webhook's address begins with http:// or https://, got {self.url}")

    def __call__(self, fired: Fired) -> None:
        body = json.dumps(fired.as_json()).encode()
        request = urllib.request.Request(
            self.url, data=body, headers={"Content-Type": "application/json"}
        )
        try:
            urllib.request.urlopen(request, timeout=self.timeout_s).close()
        except urllib.error.HTTPError as err:
            err.close()
            raise RuleError(f"{self.url} answered {err.code}") from None
        except OSError as err:
            why = getattr(err, "reason", err)
            raise RuleError(f"{self.url} could not be reached: {why}") from None


@dataclass(frozen=True, slots=True)
class Log:
    """Writes a warning."""

    logger: logging.Logger = logging.getLogger("stocktake.debugger")

    def __call__(self, fired: Fired) -> None:
        found = fired.finding
        self.logger.warning(
            "%s at %s step %d: %s", fired.rule, found.mode, found.step, found.message
        )


def read_actions(text: str, *, stop: StopTraining) -> list[Action]:
    """Actions of SageMaker's JSON form: an object or a list of them, each with a `name`.

    Names are stoptraining, and ours: command (`words`, a list), webhook (`url`) and log. Quotes
    escaped once more, as SageMaker's client library sends them, are read too. Its sms and email
    need Amazon's message service: a webhook does what they do.

    Raises:
        RuleError: if it is no such JSON, with what was expected.
    """
    given = _json(text)
    made: list[Action] = []
    for one in given if isinstance(given, list) else [given]:
        name = str(one.get("name", "")).lower() if isinstance(one, dict) else ""
        match name:
            case "stoptraining":
                made.append(stop)
            case "command":
                words = one.get("words")
                if not isinstance(words, list) or not words or not all(map(_is_text, words)):
                    raise RuleError(f"action command needs words, a list of texts, got {words!r}")
                made.append(RunCommand(words))
            case "webhook":
                made.append(CallWebhook(str(one.get("url", ""))))
            case "log":
                made.append(Log())
            case "sms" | "email":
                raise RuleError(f"action {name} is not known here; use a webhook")
            case _:
                raise RuleError(f"an action is one of {', '.join(NAMES)}, got {one!r}")
    return made


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _json(text: str) -> Any:
    for form in (text, text.replace('\\"', '"')):
        try:
            return json.loads(form)
        except ValueError:
            continue
    raise RuleError(f"actions must be JSON, got {text[:60]!r}")
