"""A hub's failures in words that say what to do.

Owns the translation of the Hugging Face library's exceptions to `HubError`. Names no token, and
asks for none: where it comes from is that library's own affair.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from fimble_model.errors import HubError
from fimble_model.store.model_ids import ModelId
from fimble_model.store.near_names import suggest

__all__ = ["plain_errors"]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOG_IN = "`hf auth login` keeps a token where Fimble finds it (HF_TOKEN does, too)"


@contextmanager
def plain_errors(model_id: ModelId) -> Iterator[None]:
    """Raise `HubError` for whatever the Hugging Face library raises inside."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise _not_there(model_id, error) from error
    except errors.EntryNotFoundError as error:
        raise _file_gone(model_id, error) from error
    except errors.OfflineModeIsEnabled as error:
        raise HubError(
            expected=f"{model_id} on this machine, for HF_HUB_OFFLINE is set",
            found="nothing or not all of it",
            to_do=f"Fetch it while HF_HUB_OFFLINE is not set: fimble models pull {model_id}.",
        ) from error
    except errors.HfHubHTTPError as error:
        raise _refused(model_id, error.response.status_code) from error
    except (_transport_error(), OSError) as error:
        raise _failed(model_id, error) from error


def _transport_error() -> type[Exception]:
    """What the library raises where no answer came: its error module's name for it.

    Which HTTP library is behind it is the library's own affair.
    """
    from huggingface_hub import errors

    found: type[Exception] = vars(errors)["HTTPError"]
    return found


def _not_there(model_id: ModelId, error: Exception) -> HubError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return HubError(
            expected=f"leave to read {model_id}",
            found="a model whose terms must be agreed to first",
            to_do=f"Agree on the model's page, then log in ({_LOG_IN}), and pull again.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(
            expected=f"the revision {model_id.revision} of {model_id.repository}",
            found="no such revision",
            to_do="Name a branch, tag or commit that it has.",
        )
    near = suggest(model_id.repository)
    return HubError(
        expected=f"a model {model_id.repository} on the hub",
        found="none, or one that only its owner may read",
        to_do=("" if near is None else f"Did you mean {near}? ")
        + f"Check the name; for a private model log in first ({_LOG_IN}).",
    )


def _file_gone(model_id: ModelId, error: Exception) -> HubError:
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):
        # So the library says that it could not ask: no network, or none that it may use.
        return _failed(model_id, error.__cause__ or error)
    return HubError(
        expected=f"{model_id} to hold the files that the hub lists",
        found="one that is gone",
        to_do="Pull again: the model was changed just now, or the hub's mirror is not whole.",
    )


def _refused(model_id: ModelId, status: int) -> HubError:
    """The hub answered, but not with what was asked for."""
    if status in (401, 403):
        found = "a token that it does not know" if status == 401 else "one that may not read it"
        return HubError(
            expected=f"a token that the hub takes, to read {model_id}",
            found=f"{found} (answer {status})",
            to_do=f"Make a token on the hub's page and log in anew: {_LOG_IN}.",
        )
    if status == 429:
        return HubError(
            expected=f"the hub to answer for {model_id}",
            found="that it was asked too often (answer 429)",
            to_do=f"Wait a few minutes, or log in, which allows more: {_LOG_IN}.",
        )
    is_theirs = status >= 500
    return HubError(
        expected=f"the hub to answer for {model_id}",
        found=f"{'a fault of its own' if is_theirs else 'a refusal'} (answer {status})",
        to_do="Pull again in a while; what is here is kept."
        if is_theirs
        else "Look at HF_ENDPOINT and at the model's name, then pull again.",
    )


def _failed(model_id: ModelId, error: BaseException) -> HubError:
    if isinstance(error, OSError) and error.errno in _FULL:
        return HubError(
            expected=f"room on the disk for {model_id}",
            found="a full disk",
            to_do="Make room (`fimble models remove NAME`) and pull again; what is here is kept.",
        )
    return HubError(
        expected=f"the hub to answer for {model_id}",
        found=f"{type(error).__name__}",
        to_do="Look at the network and at HF_ENDPOINT, then pull again; what is here is kept.",
    )
