"""The SQLite file: one writer, any number of readers."""
