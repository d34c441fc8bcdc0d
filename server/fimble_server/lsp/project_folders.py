"""What clients say of their folders, and what we ask of them: LSP's words for the project.

Owns the translation alone.
"""

from __future__ import annotations

from lsprotocol import types

__all__ = ["can_watch_files", "folders_from_lsp", "watching_to_lsp"]


def folders_from_lsp(params: types.InitializeParams) -> list[str]:
    """The URIs of a client's folders; older clients know one root only, and some none."""
    if params.workspace_folders:
        return [folder.uri for folder in params.workspace_folders]
    return [params.root_uri] if params.root_uri else []


def can_watch_files(capabilities: types.ClientCapabilities) -> bool:
    """Whether the client tells of changed files where it is asked to."""
    workspace = capabilities.workspace
    watching = workspace.did_change_watched_files if workspace else None
    return bool(watching and watching.dynamic_registration)


def watching_to_lsp() -> types.RegistrationParams:
    """The wish to be told of every changed file; what is no source is passed over later."""
    options = types.DidChangeWatchedFilesRegistrationOptions(
        watchers=[types.FileSystemWatcher(glob_pattern="**/*")]
    )
    registration = types.Registration(
        id="fimble-watched-files",
        method=types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
        register_options=options,
    )
    return types.RegistrationParams(registrations=[registration])
