"""What a failed attempt to send means, and what happens next."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from keras_ext.tracking.batching import next_messages, send
from keras_ext.tracking.messages import Create, Message
from keras_ext.tracking.queue import Queue
from keras_ext.tracking.redaction import redact, scrub
from keras_ext.tracking.run_ids import NotMadeYet
from keras_ext.tracking.transport import (
    ClientTransport,
    is_doubtful,
    is_refusal,
)

logger = logging.getLogger("keras_ext.tracking")

_ATTEMPTS = 8  # half a minute, for what the store probably never takes


class RetryPolicy:
    """Makes one attempt to send after the other; one thread uses it at a time.

    - A store that does not answer is asked again.
    - A message that the store refuses is not sent again. A refused batch is
      sent one by one, to find the bad message.
    - A message that fails eight times although the store answers (mostly a
      file) is set aside, so that later ones go on. A queue in memory drops
      it.

    Args:
        transport: What sends.

    Attributes:
        sent: How many values and entries of each kind the store confirmed.
        rejected: Messages that the store refused for good, with its reason.
        failures: Attempts in a row that the store did not answer.
    """

    def __init__(self, transport: ClientTransport):
        self.transport = transport
        self.sent: Counter[str] = Counter()
        self.rejected: list[tuple[Message, str]] = []
        self.failures = 0
        self._warned: set[str] = set()
        self._doubts = 0  # doubtful failures of the first message
        self._one_by_one = 0  # messages to send singly, to find a bad one

    def serve(self, transport: ClientTransport) -> None:
        """Send through another transport from now on."""
        self.transport = transport
        self.failures = 0
        self._warned -= {"down", "late"}

    def attempt(self, queue: Queue) -> tuple[bool, int]:
        """Try to send the next messages of a queue.

        Returns:
            Whether the store answered, and how many messages left the queue.
        """
        messages = next_messages(queue, singly=self._one_by_one > 0)
        if not messages:
            return True, 0
        try:
            send(self.transport, queue, messages)
            queue.drop(messages)
        except Exception as error:
            gone = self._failed(queue, messages, error)
            return gone is not None, gone or 0
        for message in messages:
            self.sent[type(message).__name__] += len(message)
        if self.failures:
            logger.info("MLflow at %s is back.", self.where)
        return True, self._gone(messages)

    def _failed(
        self, queue: Queue, messages: Sequence[Message], error: Exception
    ) -> int | None:
        """Return how many messages have left; None: the store is down."""
        refused = is_refusal(error)
        waits = isinstance(error, NotMadeYet)
        self._doubts += is_doubtful(error)
        if not (refused or waits or self._doubts >= _ATTEMPTS):
            self.failures += 1
            self.warn_once(
                "down",
                "MLflow at %s does not answer; training goes on, and the "
                "messages are kept and sent when it is back. (%s)",
                self.where,
                self._text(error),
            )
            return None
        code = getattr(error, "error_code", "")
        is_run_missing = waits or code == "RESOURCE_DOES_NOT_EXIST"
        if len(messages) > 1 and not is_run_missing:
            self._one_by_one = len(messages)
            self._doubts = _ATTEMPTS - 1
            return 0
        if refused or not queue.set_aside(messages):
            self._reject(queue, messages, error)
        else:
            self.warn_once(
                "aside",
                "MLflow at %s does not take a %s of run %s (%s). Messages "
                "that it does not take stay in %s, for `keras-ext replay`.",
                self.where,
                type(messages[0]).__name__.lower(),
                messages[0].run_id,
                self._text(error),
                queue.folder,
            )
        return self._gone(messages)

    def _reject(
        self, queue: Queue, messages: Sequence[Message], error: Exception
    ) -> None:
        reason = scrub(error, self.transport.uri)
        self.rejected.extend((message, reason) for message in messages)
        run_id = messages[0].run_id
        if isinstance(messages[0], Create):
            queue.ids.refuse(run_id)
        queue.drop(messages)
        self.warn_once(
            run_id,
            "MLflow at %s refused a message of run %s (%s). Further messages "
            "of the run that it refuses are left out without a warning.",
            self.where,
            run_id,
            reason,
        )

    def _gone(self, messages: Sequence[Message]) -> int:
        self.failures = 0
        self._one_by_one = max(0, self._one_by_one - len(messages))
        self._doubts = _ATTEMPTS - 1 if self._one_by_one else 0
        return len(messages)

    def warn_once(self, occasion: str, text: str, *values: Any) -> None:
        """Log a warning, unless there was one on this occasion."""
        if occasion not in self._warned:
            self._warned.add(occasion)
            logger.warning(text, *values)

    def _text(self, error: Exception) -> str:
        reason = scrub(error, self.transport.uri, 160)
        return f"{type(error).__name__}: {reason}"

    @property
    def where(self) -> str:
        """The store's address, without credentials."""
        return redact(self.transport.uri)
