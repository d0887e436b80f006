"""A child is ready when it answers itself, not when somebody else answers on its port; what it needs is made before."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import structlog

from extproc.lasting_counts import LastingCounts
from extproc.launch import programs
from extproc.launch.envoy_admin import EnvoyAdmin
from extproc.launch.runtime_directory import RuntimeDirectory
from extproc.settings import Settings
from tests.harness.waiting import eventually


@asynccontextmanager
async def answering(say: Callable[[], object]) -> AsyncIterator[int]:
    """The port of a server that answers every request with what `say` returns: bytes as they are, all else as JSON."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        said = say()
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def server_info(state: str, config: str) -> dict[str, object]:
    return {"state": state, "command_line_options": {"config_path": config}}


async def test_envoy_is_ready_when_it_is_live_with_our_configuration() -> None:
    async with answering(lambda: server_info("LIVE", "/run/ours.yaml")) as port, httpx.AsyncClient() as client:
        await asyncio.wait_for(EnvoyAdmin(client, port).until_ready(Path("/run/ours.yaml")), 60)


@pytest.mark.parametrize(
    "told", [server_info("LIVE", "/run/another.yaml"), server_info("INITIALIZING", "/run/ours.yaml"), {}, [], "?"]
)
async def test_envoy_is_not_ready_when_it_initializes_or_somebody_else_has_its_port(told: object) -> None:
    async with answering(lambda: told) as port, httpx.AsyncClient() as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(EnvoyAdmin(client, port).until_ready(Path("/run/ours.yaml")), 0.3)


async def test_the_processor_is_ready_when_it_listens_on_its_own_socket_too(tmp_path: Path) -> None:
    async with answering(lambda: {"status": "ready"}) as port, httpx.AsyncClient() as client:
        settings = Settings(metrics_port=port)
        directory, counts = RuntimeDirectory(tmp_path), LastingCounts.new()
        processor = programs.processor(settings, directory, client, counts, {}, merge_output=False)
        waiting = asyncio.ensure_future(processor.until_ready())
        directory.socket.touch()  # as a killed one leaves it

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.3)

        directory.socket.unlink()
        async with await asyncio.start_unix_server(lambda _reader, writer: writer.close(), directory.socket):
            await eventually(waiting.done, bool)


async def test_a_directory_for_the_state_that_was_swept_away_with_its_parent_is_made_again(tmp_path: Path) -> None:
    state = tmp_path / "cache" / "state"
    state.mkdir(parents=True)
    async with httpx.AsyncClient() as client:
        directory, settings = RuntimeDirectory(tmp_path), Settings(state_dir=state)
        processor = programs.processor(settings, directory, client, LastingCounts.new(), {}, merge_output=False)
        state.rmdir()
        state.parent.rmdir()

        processor.prepare()

    assert stat.filemode(state.stat().st_mode) == "drwx------"


async def test_a_directory_for_the_state_that_can_not_be_made_again_is_left_out_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mount = tmp_path / "mount"
    mount.mkdir()
    monkeypatch.setenv("state_dir", "mount/state")
    async with httpx.AsyncClient() as client:
        directory, settings = RuntimeDirectory(tmp_path), Settings(state_dir=Path("mount/state"))
        processor = programs.processor(settings, directory, client, LastingCounts.new(), {}, merge_output=False)
        monkeypatch.chdir("/")

        def named() -> dict[str, str]:
            processor.prepare()
            return {name: value for name, value in processor.environment.items() if name.upper() == "STATE_DIR"}

        assert named() == {"STATE_DIR": f"{mount}/state"}

        (mount / "state").rmdir()
        mount.rmdir()
        mount.touch()
        with structlog.testing.capture_logs() as logs:
            assert named() == {}
        assert [(entry["event"].partition(":")[0], entry["why"]) for entry in logs] == [
            (f"STATE_DIR={mount}/state can't be used any more", "Not a directory")
        ]

        mount.unlink()
        assert named() == {"STATE_DIR": f"{mount}/state"}


@pytest.mark.parametrize("is_ours", [False, True])
async def test_where_another_disk_is_than_at_the_start_only_one_that_was_used_before_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ours: bool
) -> None:
    state = tmp_path / "state"
    async with httpx.AsyncClient() as client:
        directory, settings = RuntimeDirectory(tmp_path), Settings(state_dir=state)
        processor = programs.processor(settings, directory, client, LastingCounts.new(), {}, merge_output=False)
        monkeypatch.setattr(programs._StateDirectory, "_disk_of_path", lambda _self: -1)
        if is_ours:
            state.mkdir()
            (state / ".lock").touch()

        with structlog.testing.capture_logs() as logs:
            processor.prepare()

    assert state.exists() == is_ours
    assert processor.environment.get("STATE_DIR") == (str(state) if is_ours else None)
    assert [entry["why"] for entry in logs] == ([] if is_ours else ["another disk is there than at the start"])


async def test_envoy_gives_a_sign_when_all_of_its_threads_have_handed_in_what_they_counted_since_the_last() -> None:
    told = 7
    async with httpx.AsyncClient() as client:
        async with answering(lambda: b"server.uptime: %d\n" % told) as port:
            admin = EnvoyAdmin(client, port)
            first, nothing_new = await admin.gives_sign(), await admin.gives_sign()
            told = 8
            later = await admin.gives_sign()
        away = await admin.gives_sign()

    assert (first, nothing_new, later, away) == (True, False, True, False)
