"""Tests with the real coding agents."""

import pytest

pytest.register_assert_rewrite("tests.agents.tokens")
