"""Its create_key returns a record with a field of the wrong type."""

from __future__ import annotations

from keyclave.plugin import BackendContext, CreatedKey, CreateKeyRequest, KeyReference, hookimpl

from .base import Described, settings_model

__all__ = ["Backend", "open_backend", "settings_model"]


class Backend(Described):
    @hookimpl
    def create_key(self, request: CreateKeyRequest) -> CreatedKey:
        reference = KeyReference(label=request.label, uri=None, algorithm=request.algorithm)  # type: ignore[arg-type]  # wrong
        return CreatedKey(reference=reference, public_key=b"", exportable=False, hsm_backed=False)


@hookimpl
def open_backend(settings: object, context: BackendContext) -> object:
    return Backend("wrong-field")
