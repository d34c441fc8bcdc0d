"""Which files hold secrets, told by their names alone: no text of theirs reaches a prompt.

Owns the list of names. Never opens a file. It errs on the side of silence where a name is
nearly always a secret's, and lets source files be: `credentials.py` is code.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import unquote

__all__ = ["find_secrecy", "find_secrecy_of_uri"]

_HARMLESS_NAMES = ("*.example", "*.sample", "*.template", "*.dist", "*.pub")
_SECRET_NAMES = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".s3cfg",
    ".boto",
    ".dockercfg",
    ".git-credentials",
    ".vault-token",
    ".vault_pass*",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "credentials",
    "*.pem",
    "*.key",
    "*.ppk",
    "*.p8",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.gpg",
    "*.tfvars",
    "*.tfstate",
    "service-account*.json",
    "service_account*.json",
    "client_secret*.json",
    *(
        f"{stem}.{ending}"
        for stem in ("credentials", "secret", "secrets")
        for ending in ("json", "yml", "yaml", "toml", "ini", "cfg", "conf", "properties", "txt")
    ),
)
_SECRET_FOLDERS = (".ssh", ".gnupg", ".aws", ".password-store")
_SECRET_PATHS = ((".docker", "config.json"), (".kube", "config"))


def find_secrecy(path: str, more: Sequence[str] = ()) -> str | None:
    """Why a file is taken for one of secrets, in words for its user; None where it is not.

    `more` are the user's own patterns for names, or with a `/` for the path's end. They add to
    the ones that always hold, and count first: no name is harmless to them.

    >>> find_secrecy("/home/ada/shop/.env.local")
    'a file named like .env.* holds secrets'
    >>> find_secrecy("C:\\\\Users\\\\ada\\\\.ssh\\\\config")
    'files in .ssh hold secrets'
    >>> find_secrecy("/home/ada/shop/.env.example"), find_secrecy("shop/credentials.py")
    (None, None)
    >>> find_secrecy("shop/keys/a.py", ["keys/*"])
    'context.secret_files names keys/*'
    """
    whole = path.replace("\\", "/").lower()
    *folders, name = whole.split("/")
    for pattern in more:
        wanted = pattern.lower().lstrip("/")
        if fnmatchcase(name, wanted) or ("/" in wanted and fnmatchcase(f"/{whole}", f"*/{wanted}")):
            return f"context.secret_files names {pattern}"
    if any(fnmatchcase(name, pattern) for pattern in _HARMLESS_NAMES):
        return None
    for pattern in _SECRET_NAMES:
        if fnmatchcase(name, pattern):
            return f"a file named like {pattern} holds secrets"
    for folder in _SECRET_FOLDERS:
        if folder in folders:
            return f"files in {folder} hold secrets"
    if (*folders[-1:], name) in _SECRET_PATHS:
        return f"{folders[-1]}/{name} holds secrets"
    return None


@lru_cache(maxsize=1024)
def find_secrecy_of_uri(uri: str, more: tuple[str, ...] = ()) -> str | None:
    """The same for a URI of any scheme; a query, as version control adds one, does not hide it.

    >>> find_secrecy_of_uri("git:/shop/.env?%7B%22ref%22:%22HEAD%22%7D")
    'a file named like .env holds secrets'
    """
    path = unquote(uri)
    return find_secrecy(path, more) or find_secrecy(path.partition("?")[0], more)
