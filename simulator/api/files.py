"""The files of the general API: upload, list, content, delete. Kept in memory, the oldest dropped beyond a limit."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

MAX_STORED_BYTES = 128 * 1024 * 1024
MAX_FILES = 1000


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file. `created` is Unix time."""

    id: str
    name: str
    purpose: str
    created: int
    data: bytes

    def as_json(self) -> dict[str, object]:
        """The file object of the API, and (which Z.AI lacks) the digest of the part as it arrived."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "sha256": hashlib.sha256(self.data).hexdigest(),
        }


class FileStore:
    """Files by id, in the order of their arrival."""

    def __init__(self, max_bytes: int = MAX_STORED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._files: OrderedDict[str, StoredFile] = OrderedDict()

    def add(self, file: StoredFile) -> None:
        self._files[file.id] = file
        self._bytes += len(file.data)
        while len(self._files) > 1 and (self._bytes > self._max_bytes or len(self._files) > MAX_FILES):
            _, oldest = self._files.popitem(last=False)
            self._bytes -= len(oldest.data)

    def get(self, file_id: str) -> StoredFile | None:
        return self._files.get(file_id)

    def remove(self, file_id: str) -> bool:
        """Whether there was such a file."""
        file = self._files.pop(file_id, None)
        if file is None:
            return False
        self._bytes -= len(file.data)
        return True

    def all(self) -> list[StoredFile]:
        return list(self._files.values())

    def clear(self) -> None:
        self._files.clear()
        self._bytes = 0
