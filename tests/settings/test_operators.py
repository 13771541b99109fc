"""Operators from afar: their listener, their name, and the hash of their password."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from mailward.rules.model import Subject, SubjectKind
from mailward.settings.build import CheckedKey, check_key, effective
from mailward.settings.configuration import Bind, ManageListener, Operator
from mailward.settings.dialect import read_keys
from mailward.settings.errors import SettingsError
from mailward.settings.key import Effect
from tests.settings.sample import configured, faults, security

SECRET = "management.admin.secret"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("opensesame")
ADMIN = f'[management]\nadmin.secret = "{HASH}"\n'
LISTENER = '[server.listener.far]\nprotocol = "manage"\nbind = ["127.0.0.1:8443"]\n'


def test_a_manage_listener_and_its_operator_are_read() -> None:
    configuration = configured(ADMIN + LISTENER)
    assert configuration.listeners == ()
    assert configuration.managers == (
        ManageListener(
            "far",
            (Bind("127.0.0.1", 8443),),
            allow_plaintext=None,
            client_header="x-forwarded-for",
        ),
    )
    assert configuration.operator == Operator("admin", HASH)
    assert HASH not in repr(configuration)


def test_without_a_secret_there_is_no_operator_and_no_manage_listener() -> None:
    assert configured("").operator is None
    (fault,) = faults(LISTENER)
    assert fault.startswith("mail.toml:2: server.listener.far.protocol: a manage listener needs")


def test_a_manage_listener_has_no_backend_and_needs_a_bind() -> None:
    more = 'backend = "b"\n[backend.b]\naddress = "127.0.0.1:2"\n'
    (fault,) = faults(ADMIN + LISTENER + more)
    assert fault.endswith("a manage listener has no backend; leave it out")
    (fault,) = faults(ADMIN + LISTENER + 'paths = { "/api" }\n')
    assert fault.endswith('has no use here: it is for a listener with protocol = "jmap"')
    (fault,) = faults(ADMIN + LISTENER.replace('"127.0.0.1:8443"', ""))
    assert "is not whole: it needs bind" in fault


def test_the_password_may_not_cross_the_network_unencrypted_by_accident() -> None:
    open_to_all = LISTENER.replace("127.0.0.1", "0.0.0.0")
    certificate = '[certificate.default]\ncert = "c.pem"\nprivate-key = "k.pem"\n'
    for text in (open_to_all, open_to_all + certificate):
        (fault,) = faults(ADMIN + text)
        assert "where passwords would be sent unencrypted" in fault
    assert configured(ADMIN + open_to_all + "allow-plaintext = true\n").managers[0].tls is None
    secured = configured(ADMIN + open_to_all + "tls.implicit = true\n" + certificate)
    assert secured.managers[0].tls is not None


def test_a_bind_is_taken_once_by_mail_and_operators_together() -> None:
    mail = (
        '[server.listener.imap]\nprotocol = "imap"\nbind = ["127.0.0.1:8443"]\nbackend = "b"\n'
        '[backend.b]\naddress = "127.0.0.1:2"\n'
    )
    (fault,) = faults(ADMIN + LISTENER + mail)
    assert "listener far is bound to 127.0.0.1:8443 already" in fault


@pytest.mark.parametrize(
    "hashed",
    [
        "opensesame",
        "$2b$12$opensesame",
        "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        HASH.replace("m=8,", "m=2000000,"),
        HASH.replace("t=1,", "t=999,"),
        HASH.replace("p=1$", "p=0$"),
        f"{HASH}\n",
        "",
    ],
)
def test_what_is_no_hash_of_bearable_cost_is_refused_and_not_shown(hashed: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_key(SECRET, hashed)
    said = str(refused.value)
    assert "mailward hash-password" in said
    assert "opensesame" not in said
    assert not hashed or hashed.strip() not in said


def test_the_hash_is_never_listed() -> None:
    known = effective(read_keys(ADMIN, "mail.toml"), {SECRET: HASH})
    assert list(known.values()) == [(SECRET, "***", None)]


@pytest.mark.parametrize("user", ["", " ", "a:b", "admin ", "a\nb", "x" * 65])
def test_a_user_that_no_client_could_send_is_refused(user: str) -> None:
    with pytest.raises(SettingsError, match="is no user name"):
        check_key("management.admin.user", user)


def test_blocked_operators_are_bans_of_their_own_kind() -> None:
    (ban,) = configured(security('blocked-operators.Admin = "left"')).policy.blocked
    assert (ban.subject, ban.note) == (Subject(SubjectKind.OPERATOR, "admin"), "left")


def test_a_blocked_operator_is_spelled_as_it_is_counted() -> None:
    stem = "server.security.blocked-operators"
    assert check_key(f"{stem}.Admin", "") == CheckedKey(f"{stem}.admin", Effect.NOW)
    with pytest.raises(SettingsError, match="is no name of an operator"):
        check_key(f"{stem}. ", "")
