"""Which bans act when they fall, which are only observed, and which hit a shared address.

A shared address that reaches its limit is a suspected proxy: an error that names what to configure.
With ``hold-shared-addresses`` its automatic ban is only observed, until the first failure after the
address stopped being shared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mailward.guard.journal import Event, Journal
from mailward.guard.mirror import Mirror
from mailward.guard.observed import Observed
from mailward.guard.shared import SHARED_LOGINS, SharedAddresses
from mailward.rules.model import Attempt, Ban, Instant, Reason, Subject, SubjectKind
from mailward.rules.policy import Policy

MAX_SUSPECTS = 10  # named in `status`; the log has named each
NOTE = f"suspected proxy: {SHARED_LOGINS} or more different logins had succeeded within an hour"
"""The note of an automatic ban on an address that was shared when it reached its limit."""


@dataclass(frozen=True, slots=True)
class SuspectedProxy:
    """*address* was shared when it reached its limit. Printed it says what to configure.

    *is_observed*: its ban stops nobody.
    """

    address: str
    is_observed: bool

    def __str__(self) -> str:
        what = (
            "its ban is only observed, so that guesses from there are limited for each login alone"
            if self.is_observed
            else "its ban locks out everybody behind it"
        )
        lift = "" if self.is_observed else f", and run: mailward lift {self.address}"
        return (
            f"{self.address} reached its limit of failures, and {SHARED_LOGINS} or more different"
            " logins had succeeded from it within the last hour, as through a proxy or a container"
            f" gateway: {what}. If it is yours, add server.proxy.trusted-networks.{self.address}"
            " and let it send PROXY headers to a listener with proxy-protocol = true (a container:"
            " give it the network of its host); where that cannot be, add"
            f" server.security.allowed-networks.{self.address}{lift}"
        )


class Falling:
    """Decides for the bans that follow from failures. *stored* are those of before the start."""

    def __init__(
        self,
        mirror: Mirror,
        observed: Observed,
        journal: Journal,
        stored: Iterable[Ban],
        shared: SharedAddresses,
    ) -> None:
        self._mirror = mirror
        self._observed = observed
        self._journal = journal
        self.shared = shared
        # The note outlives a restart. Few bans have one, and there may be a million.
        noted = [ban.subject for ban in stored if ban.note == NOTE]
        self._suspects = OrderedDict.fromkeys(noted[-MAX_SUSPECTS:])

    def presume_held(self, at_limit: Iterable[Subject], now: Instant) -> None:
        """Take the addresses *at_limit* without a ban for shared: they were held before the start.

        Their users come back one after the other, and until then nothing is known of them.
        """
        mirror = self._mirror
        unbanned = [s for s in at_limit if mirror.on(s) is None and not mirror.covering(s, now)]
        self.shared.presume((subject.name for subject in unbanned), now)

    def note_success(self, attempt: Attempt, subjects: tuple[Subject, ...], at: Instant) -> None:
        """*attempt*, which counts for *subjects*, succeeded *at* that moment."""
        if attempt.login is None or attempt.kind is not SubjectKind.LOGIN:
            return
        for subject in subjects:
            if subject.kind is SubjectKind.ADDRESS:
                self.shared.note(subject.name, attempt.login, at)

    def acting(self, bans: Iterable[Ban], policy: Policy, now: Instant) -> Iterator[Ban]:
        """Those of *bans* that stop somebody; of the others it is noted that they would fall."""
        books = (self._mirror, self._observed)
        for ban in bans:
            is_known = any(book.covering(ban.subject, now) for book in books)
            is_shared = self.is_shared(ban.subject, now)
            acts = policy.acts(ban) and not (is_shared and policy.hold_shared_addresses)
            fallen = ban
            if is_shared and not is_known:
                fallen = self._suspect(ban, now, observed=not acts)
            if acts:
                held = self._observed.remove(ban.subject)
                yield fallen if held is None else replace(fallen, note=held.note)
            elif not is_known:
                self._observed.put(fallen)
                self._journal.ban(Event.BAN_ADDED, fallen, now, observed=True)

    def is_held(self, subject: Subject, now: Instant, *, is_at_limit: bool) -> bool:
        """Whether *subject*, whose policy is to hold shared addresses, is judged only by failures.

        A ban that is observed holds until a failure makes it fall: nobody is stopped before.
        """
        return self.is_shared(subject, now) or (
            is_at_limit
            and subject.kind is SubjectKind.ADDRESS
            and self._observed.covering(subject, now) is not None
        )

    def only_observes(self, ban: Ban, policy: Policy) -> bool:
        """Whether *ban*, which is known here, stops nobody."""
        return not policy.acts(ban) or self._observed.on(ban.subject) is ban

    def suspected(self, policy: Policy, now: Instant) -> list[SuspectedProxy]:
        """The last suspected proxies whose bans stand, and which are not allowed meanwhile."""
        found = []
        for subject in list(self._suspects):
            books = (self._mirror.on(subject), self._observed.on(subject))
            bans = [ban for ban in books if ban is not None and ban.covers(now)]
            if not any(ban.reason is Reason.AUTHENTICATION for ban in bans):
                del self._suspects[subject]
            elif policy.allows_all_of(subject) is None:
                is_observed = all(self.only_observes(ban, policy) for ban in bans)
                found.append(SuspectedProxy(subject.name, is_observed))
        return found

    def is_shared(self, subject: Subject, now: Instant) -> bool:
        """Whether *subject* is an address that many logins succeed from."""
        return subject.kind is SubjectKind.ADDRESS and self.shared.is_shared(subject.name, now)

    def _suspect(self, ban: Ban, now: Instant, *, observed: bool) -> Ban:
        subject = ban.subject
        self._journal.write(
            Event.PROXY_SUSPECTED,
            now,
            address=subject.name,
            failures=ban.failures,
            observed=observed or None,
            reason=str(SuspectedProxy(subject.name, observed)),
        )
        self._suspects[subject] = None
        self._suspects.move_to_end(subject)
        if len(self._suspects) > MAX_SUSPECTS:
            self._suspects.popitem(last=False)
        return replace(ban, note=NOTE)
