"""A backend whose calls to KMS go through the fault proxy, and a look behind the proxy at what KMS has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from keyclave.models import EnvironmentType
from keyclave.plugin import BackendContext, CreatedKey, CreateKeyRequest, KeyLabel
from keyclave_aws import plugin
from keyclave_aws.backend import AwsBackend
from keyclave_aws.labels import tags_of

from tests.services import faultproxy
from tests.services.exchanges import Request
from tests.services.faultproxy import FaultProxy
from tests.services.kms.clients import client
from tests.services.tokens import write_private

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

__all__ = ["Place", "asks_for", "place_before", "settings_for"]


def asks_for(operation: str) -> Callable[[Request], bool]:
    """Return what chooses the requests of one operation of KMS."""
    return lambda request: request.headers["x-amz-target"] == f"TrentService.{operation}"


def settings_for(endpoint: str, directory: Path) -> Mapping[str, Any]:
    """Return the settings of a backend at an emulator."""
    return {
        "region": "us-east-1",
        "endpoint": endpoint,
        "credentials": "static",
        "access_key_id": "AKIDTEST",
        "secret_access_key_file": write_private(directory / "secret", "none"),
    }


@dataclass
class Place:
    """One service, the proxy before it, and an instance of Keyclave.

    Attributes:
        direct: a client that does not go through the proxy.
    """

    proxy: FaultProxy
    direct: KMSClient
    directory: Path
    instance_id: UUID = field(default_factory=uuid4)
    _opened: list[AwsBackend] = field(default_factory=list)

    def open(self, data: str = "data") -> AwsBackend:
        """Open a backend, as a process of the instance does; ``data`` names the directory of its machine."""
        context = BackendContext(
            backend_id="aws",
            instance_id=self.instance_id,
            environment_type=EnvironmentType.LOCAL,
            data_directory=self.directory / data,
            accept_simulator=True,
        )
        settings = plugin.settings_model()(**settings_for(self.proxy.endpoint, self.directory))
        backend = plugin.open_backend(settings, context)
        assert isinstance(backend, AwsBackend)
        self._opened.append(backend)
        return backend

    def label(self) -> KeyLabel:
        """Return a new label."""
        return KeyLabel(instance_id=self.instance_id, key_id=uuid4(), version=1, operation_id=uuid4())

    def create(self, backend: AwsBackend, label: KeyLabel | None = None, algorithm: str = "ECDSA_P256") -> CreatedKey:
        """Create a key."""
        request = CreateKeyRequest(label=label or self.label(), algorithm=algorithm, exportable=False)
        return backend.create_key(request=request)

    def arns(self, label: KeyLabel) -> list[str]:
        """Return the ARNs of the keys that KMS has for a label, but for those that it is about to delete."""
        found, labelled = [], [(tag["TagKey"], tag["TagValue"]) for tag in tags_of(label)]
        for arn in [key["KeyArn"] for key in self.direct.list_keys(Limit=1000)["Keys"]]:
            tags = [(tag["TagKey"], tag["TagValue"]) for tag in self.direct.list_resource_tags(KeyId=arn)["Tags"]]
            if sorted(tags) == sorted(labelled) and self.state(arn) != "PendingDeletion":
                found.append(arn)
        return found

    def state(self, arn: str) -> str:
        """Return the state of a key."""
        return self.direct.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]

    def forget_aliases(self) -> None:
        """Delete all aliases."""
        for alias in self.direct.list_aliases()["Aliases"]:
            if not alias["AliasName"].startswith("alias/aws/"):
                self.direct.delete_alias(AliasName=alias["AliasName"])

    def close(self) -> None:
        """Close the backends."""
        for backend in self._opened:
            backend.close()


@contextmanager
def place_before(port: int, directory: Path) -> Iterator[Place]:
    """Put a proxy before the service on a port."""
    with faultproxy.running(port) as proxy, closing(client(f"http://127.0.0.1:{port}")) as direct:
        place = Place(proxy, direct, directory)
        try:
            yield place
        finally:
            place.close()
