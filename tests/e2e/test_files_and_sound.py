"""Uploads and binary answers with the `openai` and `zai-sdk` packages: no byte may change on the way."""

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from zai.core._legacy_binary_response import HttpxBinaryResponseContent

from tests.harness.sdk_clients import GENERAL, openai_client, zai_client
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

SOUND_BYTES = 300_000
FILE = random.Random(7).randbytes(200_000) + b"\r\n--boundary--\r\n\x00\xff"
SHA256 = hashlib.sha256(FILE).hexdigest()


async def test_openai_uploads_lists_reads_and_deletes_a_file(stack: Stack) -> None:
    files = openai_client(stack, GENERAL).files

    uploaded = files.create(file=("prompts.jsonl", FILE), purpose="batch")
    assert uploaded.filename == "prompts.jsonl"
    assert uploaded.bytes == len(FILE)
    assert (uploaded.model_extra or {})["sha256"] == SHA256

    assert uploaded.id in [file.id for file in files.list()]
    assert files.content(uploaded.id).content == FILE
    assert files.delete(uploaded.id).deleted


async def test_zai_uploads_and_reads_a_file(stack: Stack) -> None:
    files = zai_client(stack).files

    uploaded = files.create(file=("prompts.jsonl", FILE), purpose="batch")

    assert uploaded.id
    assert uploaded.bytes == len(FILE)
    assert files.content(uploaded.id).content == FILE


def speak_with_openai(stack: Stack) -> bytes:
    speech = openai_client(stack, GENERAL).audio.speech
    return speech.create(model="glm-tts", input="hello", voice="alloy", response_format="wav").content


def speak_with_zai(stack: Stack) -> bytes:
    sound = zai_client(stack).audio.speech(model="glm-tts", input="hello", voice="tongtong", response_format="wav")
    assert isinstance(sound, HttpxBinaryResponseContent)
    return sound.content


@pytest.mark.parametrize("speak", [speak_with_openai, speak_with_zai])
async def test_speech_arrives_as_the_upstream_sent_it(stack: Stack, speak: Callable[[Stack], bytes]) -> None:
    stack.simulator.use(audio_bytes=SOUND_BYTES)

    sound = speak(stack)

    assert len(sound) == SOUND_BYTES
    entries = await eventually(stack.simulator.log, lambda log: bool(log[-1]["response_sha256"]))
    assert hashlib.sha256(sound).hexdigest() == entries[-1]["response_sha256"]


def hear_with_openai(stack: Stack) -> str:
    transcriptions = openai_client(stack, GENERAL).audio.transcriptions
    return transcriptions.create(model="glm-asr", file=("a.wav", FILE)).text


def hear_with_zai(stack: Stack) -> str:
    heard: Any = zai_client(stack).audio.transcriptions.create(model="glm-asr", file=("a.wav", FILE))
    return str(heard.text)


@pytest.mark.parametrize("hear", [hear_with_openai, hear_with_zai])
async def test_what_was_said_comes_back_as_text(stack: Stack, hear: Callable[[Stack], str]) -> None:
    stack.simulator.use(text="what was said")

    assert hear(stack) == "what was said"
