"""The user's settings file, changed by us when the user says so.

Owns the one thing we write there: which model, and that it runs here. All else in the file stays as
it is, comments too.
"""

from __future__ import annotations

import os
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from fimble_server.errors import SettingsError

__all__ = ["set_model_name"]


def set_model_name(path: Path, name: str) -> None:
    """Have the settings file name this model, to run here; the file is made where there is none.

    The address of a server is taken out: with it, the name would be that server's model.
    Raises `SettingsError` where it cannot be read or written. It is replaced whole or not at all.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        document = tomlkit.parse(text)
        model = document.get("model")
        if isinstance(model, Table):
            model["name"] = name
            model.pop("endpoint", None)
        else:
            document["model"] = {"name": name}
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".new")
        beside.write_text(tomlkit.dumps(document), encoding="utf-8")
        os.replace(beside, path)
    except (TOMLKitError, OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            path="model.name",
            source=str(path),
            expected="a settings file that can be read and written",
            found=getattr(error, "strerror", None) or type(error).__name__,
            to_do=f"Mend the file, or write into it yourself: model.name = {name!r}.",
        ) from error
