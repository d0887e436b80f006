"""The form of settings: environment variables with a default, a meaning, and one line for each that is wrong."""

import ipaddress
import os
import re
from enum import StrEnum
from os import EX_TEMPFAIL
from typing import Annotated, Any, Final, Self, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

WRONG: Final = 2
"""What a program ends with that can't start with its settings."""
MAY_PASS: Final = EX_TEMPFAIL
"""What it ends with where waiting can cure that: somebody else has the port, for example."""
_LONGEST_SHOWN: Final = 100
_USER_AND_PASSWORD: Final = re.compile("://.*@", re.DOTALL)
"""What stands before the last `@` of a URL, or of several: a password may have any letter in it."""


class SettingsError(ValueError):
    """One or more settings are wrong, or can't be had at the moment.

    `problems` has a line for each: the variable, its value, what would be right. `may_pass`: waiting can cure them all.
    """

    def __init__(self, problems: list[str], may_pass: bool = False) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.may_pass = may_pass

    @property
    def exit_code(self) -> int:
        """What a program ends with that can't start because of it."""
        return MAY_PASS if self.may_pass else WRONG


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _address(value: str) -> str:
    return str(ipaddress.ip_address(value.strip("[]")))


Address = Annotated[str, AfterValidator(_address)]
"""An IP address, with or without the brackets that a URL puts around one of version 6."""


def setting(default: Any, meaning: str, need: str, **bounds: Any) -> Any:
    """A field: what it means (for the documentation) and what would be right (for the error line)."""
    return Field(default, description=meaning, json_schema_extra={"need": need}, **bounds)


def port(default: int, meaning: str) -> Any:
    """A field for a port; `ports` finds it by that."""
    extra: dict[str, Any] = {"need": "a port from 1 to 65535", "is_port": True}
    return Field(default, description=meaning, json_schema_extra=extra, ge=1, le=65535)


class EnvironmentSettings(BaseSettings):
    """Settings that are read from the environment once; a field's variable is its name in capitals.

    What must not be shown is a SecretStr: that alone keeps it out of error lines.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Raises SettingsError with a line for each setting whose value has not the form of its field."""
        settings, problems = cls.as_far_as_right()
        if problems:
            raise SettingsError(problems)
        return settings

    @classmethod
    def as_far_as_right(cls) -> tuple[Self, list[str]]:
        """The settings, with the default in place of each value that has not the form of its field, and a line for each
        of these."""
        try:
            return cls(), []
        except ValidationError as error:
            fields = dict.fromkeys(str(each["loc"][0]) for each in error.errors(include_input=False))
        defaults: dict[str, Any] = {field: cls.model_fields[field].default for field in fields}
        return cls(**defaults), [cls.problem(field) for field in fields]

    @property
    def ports(self) -> dict[str, int]:
        """Every port by its variable, in the order of the fields."""
        fields = type(self).model_fields.items()
        return {
            name.upper(): getattr(self, name)
            for name, field in fields
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("is_port")
        }

    @classmethod
    def problem(cls, field: str) -> str:
        """The line that says what would be right for a field whose value in the environment is wrong."""
        info = cls.model_fields[field]
        need = info.json_schema_extra["need"] if isinstance(info.json_schema_extra, dict) else ""
        value = "***" if _is_secret(info.annotation) else _shown(os.environ.get(field.upper(), ""))
        return f"{field.upper()}={value}: need {need}"


def _is_secret(annotation: Any) -> bool:
    """Whether the type of a field is SecretStr, or has it within (`SecretStr | None`)."""
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))


def _shown(value: str) -> str:
    value = _USER_AND_PASSWORD.sub("://***@", value)
    cut = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…"
    return cut if cut.isprintable() else repr(cut)
