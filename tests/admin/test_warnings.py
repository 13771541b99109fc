"""What the status warns about, and a key that has two spellings."""

from __future__ import annotations

from urllib.parse import quote

from tests.admin.house import House


def test_the_status_lists_the_warnings(house: House) -> None:
    assert house.ask("GET", "/api/status").body["warnings"] == []
    house.warnings = ["backend b is not told who connects"]
    assert house.ask("GET", "/api/status").body["warnings"] == house.warnings


def test_a_key_of_two_spellings_is_stored_and_deleted_by_either(house: House) -> None:
    for added, deleted in [("tls.mode", "tls"), ("tls", "tls.mode"), ("tls.mode", "tls.mode")]:
        key = f"backend.b.{added}"
        told = house.ask("POST", "/api/settings", {"key": key, "value": "starttls"})
        assert told.status == 200
        assert "backend.b.tls" in house.control.keys.loaded.stored
        told = house.ask("DELETE", f"/api/settings?key={quote(f'backend.b.{deleted}')}")
        assert told.status == 200
        assert house.control.keys.loaded.stored == {}
