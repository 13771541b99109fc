from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    item: pytest.Item,  # noqa: ARG001 -- the signature of the hook
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of the daemon, which starts processes in its own way."""
    return {"uvloop": uvloop.new_event_loop}
