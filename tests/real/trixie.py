"""The mail servers of Debian 13, run in the root that is made for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trustme

from tests.real.attack import Service
from tests.real.processes import answers, eventually, free_port
from tests.real.servers import Dovecot, Postfix, program, running
from tests.real.trixie_root import shared_folder, trixie_root

NAME = "mail.test"
"""What the servers' certificate is for."""

_LOOKUP = re.compile(
    r"auth\((?P<login>[^,)]*),(?P<address>[0-9a-f.:]+),[^)]*\)(?:<[^>]*>)?: Debug: passwd-file: "
    r"Performing passdb lookup"
)
_SETTINGS = """\
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
listen = 127.0.0.1
protocols = imap sieve submission
ssl = no
auth_allow_cleartext = yes
auth_mechanisms = plain login scram-sha-1 scram-sha-256
auth_verbose = yes
log_debug = category=auth
mail_driver = maildir
mail_home = {folder}/mail/%{{user}}
mail_path = {folder}/mail/%{{user}}
mail_max_userip_connections = 10000
first_valid_uid = 1
haproxy_trusted_networks = 127.0.0.0/8
passdb passwd-file {{
  passwd_file_path = {folder}/accounts
}}
userdb static {{
  fields {{
    uid = nobody
    gid = nogroup
    home = {folder}/mail/%{{user}}
  }}
}}
service imap-login {{
  restart_request_count = unlimited
  process_min_avail = 1
  client_limit = 5000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
  inet_listener imap_haproxy {{
    port = {haproxy_port}
    haproxy = yes
  }}
}}
service managesieve-login {{
  restart_request_count = unlimited
  process_min_avail = 1
  client_limit = 5000
  inet_listener sieve {{
    port = {sieve_port}
  }}
  inet_listener sieve_haproxy {{
    port = {sieve_haproxy_port}
    haproxy = yes
  }}
}}
sieve_script personal {{
  driver = file
  path = {folder}/mail/%{{user}}/sieve
  active_path = {folder}/mail/%{{user}}/active.sieve
}}
service auth {{
  client_limit = 10000
  unix_listener {sasl} {{
    mode = 0666
  }}
}}
"""


class NewDovecot(Dovecot):
    """Dovecot 2.4. Its folder is to be one that *root* shares; *more* are settings of 2.4."""

    settings = _SETTINGS
    lookup = _LOOKUP

    def __init__(
        self, root: Path, folder: Path, accounts: Mapping[str, str], *, more: str = ""
    ) -> None:
        self.root = root
        super().__init__(folder, accounts, more=more)

    def command(self, name: str) -> list[str | Path]:
        return [program("chroot"), self.root, name]


class NewPostfix(Postfix):
    """Postfix 3.10. Its folder is to be one that *root* shares."""

    def __init__(
        self,
        root: Path,
        folder: Path,
        sasl_socket: Path,
        *,
        more: str = "",
        more_services: str = "",
    ) -> None:
        self.root = root
        super().__init__(folder, sasl_socket, more=more, more_services=more_services)

    def command(self, name: str) -> list[str | Path]:
        return [program("chroot"), self.root, name]

    def programs(self) -> Path:
        return Path("/usr/lib/postfix/sbin")

    def user(self) -> int:
        users = (self.root / "etc" / "passwd").read_text()
        return int(re.findall(r"^postfix:x:(\d+):", users, re.MULTILINE)[0])


_MORE = """
login_trusted_networks = 127.0.0.1/32
ssl = yes
ssl_server_cert_file = {folder}/cert.pem
ssl_server_key_file = {folder}/key.pem
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
service imap-login {{
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
  inet_listener imaps_haproxy {{
    port = {imaps_haproxy}
    ssl = yes
    haproxy = yes
  }}
}}
service submission-login {{
  restart_request_count = unlimited
  inet_listener submission {{
    port = {submission}
  }}
  inet_listener submissions {{
    port = 0
  }}
  inet_listener submission_haproxy {{
    port = {submission_haproxy}
    haproxy = yes
  }}
}}
"""
_POSTFIX_MORE = """
smtpd_tls_security_level = may
smtpd_tls_cert_file = {folder}/cert.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_authorized_xclient_hosts = 127.0.0.1
"""
_POSTFIX_SERVICES = """
127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{smtps_haproxy} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
  -o smtpd_upstream_proxy_protocol=haproxy
tlsmgr unix - - n 1000? 1 tlsmgr
"""


@dataclass(frozen=True, slots=True)
class Trixie:
    """A Dovecot and a Postfix of Debian 13 with TLS, who believe a client's name from loopback.

    *encrypted* are the ports with TLS from the first byte, *submission* those of Dovecot's own
    submission: each without and with a PROXY header. *folder* has the same path in *root*.
    """

    root: Path
    folder: Path
    dovecot: NewDovecot
    postfix: NewPostfix
    authority: trustme.CA
    encrypted: Mapping[Service, tuple[int, int]]
    submission: tuple[int, int]


@contextmanager
def trixie_servers(accounts: Mapping[str, str]) -> Iterator[Trixie]:
    """Both servers, running."""
    root = trixie_root()
    authority = trustme.CA()
    leaf = authority.issue_cert(NAME)
    imaps, smtps = (free_port(), free_port()), (free_port(), free_port())
    submission = free_port(), free_port()
    with shared_folder(root) as folder:
        leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        leaf.private_key_pem.write_to_path(folder / "key.pem")
        postfix = NewPostfix(
            root,
            folder,
            folder / "dovecot" / "run" / "sasl-for-postfix",
            more=_POSTFIX_MORE.format(folder=folder),
            more_services=_POSTFIX_SERVICES.format(smtps=smtps[0], smtps_haproxy=smtps[1]),
        )
        more = _MORE.format(
            folder=folder,
            relay=postfix.port,
            imaps=imaps[0],
            imaps_haproxy=imaps[1],
            submission=submission[0],
            submission_haproxy=submission[1],
        )
        dovecot = NewDovecot(root, folder, accounts, more=more)
        with running(dovecot, postfix):
            for port in (*imaps, *smtps, *submission):
                eventually(partial(answers, port), f"somebody listens on {port}")
            encrypted = {Service.IMAP: imaps, Service.SUBMISSION: smtps}
            yield Trixie(root, folder, dovecot, postfix, authority, encrypted, submission)
