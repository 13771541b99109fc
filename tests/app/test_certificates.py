"""Certificates from files: the good ones are used, and the bad ones say what is wrong."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from mailward.app.certificates import load_certificates
from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from mailward.settings.configuration import Certificate
from mailward.settings.errors import SettingsError

TODAY = datetime.fromtimestamp(SteadyClock()(), UTC)
HERE = {"default": Certificate("default", "chain.pem", "key.pem")}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def issue(authority: trustme.CA, tmp_path: Path) -> Callable[..., None]:
    """Put a certificate for some names into the folder of the test."""

    def issue(*names: str, not_after: datetime | None = None) -> None:
        issued = authority.issue_cert(*names, not_after=not_after)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        (tmp_path / "chain.pem").write_bytes(chain)
        (tmp_path / "key.pem").write_bytes(issued.private_key_pem.bytes())

    return issue


def load(folder: Path, *, at_start: bool = False) -> None:
    load_certificates(HERE, folder, TODAY, at_start=at_start)


def why_refused(folder: Path) -> str:
    with pytest.raises(SettingsError) as refused:
        load(folder)
    (fault,) = refused.value.faults
    assert fault.key == "certificate.default"
    return fault.message


def test_a_certificate_is_shown_for_each_of_its_names(
    issue: Callable[..., None], tmp_path: Path
) -> None:
    issue("mail.test", "*.other.test")
    (loaded,) = load_certificates(HERE, tmp_path, TODAY, at_start=False).values()
    assert loaded.is_for("MAIL.test")
    assert loaded.is_for("imap.other.test")
    assert not loaded.is_for("a.b.other.test")
    assert not loaded.is_for("other.test")
    assert loaded.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_an_expired_one_is_refused_but_not_at_the_start(
    issue: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    issue("mail.test", not_after=TODAY - timedelta(days=1))
    assert why_refused(tmp_path).startswith("chain.pem has expired on ")
    load(tmp_path, at_start=True)
    assert "chain.pem has expired" in caplog.text


def test_a_key_of_another_certificate_is_refused(
    issue: Callable[..., None], tmp_path: Path
) -> None:
    issue("mail.test")
    key = (tmp_path / "key.pem").read_bytes()
    issue("mail.test")
    (tmp_path / "key.pem").write_bytes(key)
    assert why_refused(tmp_path) == "key.pem is not the key of chain.pem"


def test_a_pair_of_which_one_half_was_swapped_is_refused_and_the_whole_new_one_taken(
    issue: Callable[..., None], tmp_path: Path
) -> None:
    issue("old.test")
    old_key = (tmp_path / "key.pem").read_bytes()
    issue("new.test")
    new_key = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(old_key)
    assert why_refused(tmp_path) == "key.pem is not the key of chain.pem"
    (tmp_path / "key.pem").write_bytes(new_key)
    (loaded,) = load_certificates(HERE, tmp_path, TODAY, at_start=False).values()
    assert loaded.is_for("new.test")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("chain.pem", b"", "chain.pem holds no certificate in PEM form"),
        ("chain.pem", b"\xff" * 1000, "chain.pem holds no certificate in PEM form"),
        ("key.pem", b"", "key.pem holds no private key that can be used as it is"),
        ("key.pem", b"-----BEGIN PRIVATE KEY-----\n", "key.pem holds no private key"),
    ],
)
def test_what_is_no_pem_is_refused(
    name: str, content: bytes, said: str, issue: Callable[..., None], tmp_path: Path
) -> None:
    issue("mail.test")
    (tmp_path / name).write_bytes(content)
    assert why_refused(tmp_path).startswith(said)


@pytest.mark.parametrize("name", ["chain.pem", "key.pem"])
def test_a_missing_file_is_named(name: str, issue: Callable[..., None], tmp_path: Path) -> None:
    issue("mail.test")
    (tmp_path / name).unlink()
    assert why_refused(tmp_path).endswith(f"{name} cannot be read: No such file or directory")


def test_a_self_signed_one_is_made_once_and_can_be_used(tmp_path: Path) -> None:
    assert make_certificate(tmp_path, TODAY)
    assert not make_certificate(tmp_path, TODAY)
    assert make_certificate(tmp_path, TODAY + timedelta(days=366))
    assert (tmp_path / KEY_NAME).stat().st_mode & 0o777 == 0o600
    made = {"default": Certificate("default", CERTIFICATE_NAME, KEY_NAME)}
    assert load_certificates(made, tmp_path, TODAY + timedelta(days=370), at_start=False)[
        "default"
    ].is_for("localhost")
