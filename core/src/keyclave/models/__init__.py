"""The domain: frozen records whose rules hold from construction on. Pure data, no input or output."""

from keyclave.models.algorithms import (
    ALGORITHMS,
    SIGNATURE_SCHEMES,
    AlgorithmFamily,
    KeyAlgorithm,
    KeyOperation,
    SignatureScheme,
    get_algorithm,
    get_signature_scheme,
    scheme_for,
)
from keyclave.models.backend import CLOUD_BACKENDS, BackendHealth, CryptographicBackend, HealthCheckResult
from keyclave.models.environment import (
    DEFAULT_PRECEDENCE,
    AuditConfiguration,
    EnvironmentConfiguration,
    FallbackPolicyConfiguration,
)
from keyclave.models.key import KEY_NAME_PATTERN, KeyHandle, KeySecurityProperties, KeyStatus, is_provider_uri
from keyclave.models.levels import AuthenticationMethod, AvailabilityStatus, EnvironmentType, SecurityLevel
from keyclave.models.migration import (
    SOURCE_RETENTION,
    ApprovalRecord,
    KeyLocation,
    KeyMigrationRecord,
    MigrationStatus,
    MigrationStrategy,
)
from keyclave.models.migration_plan import APPROVAL_LIFETIME, MigrationApproval, MigrationPlan, PlannedMigration
from keyclave.models.operation import (
    SLOW_SIGNATURE,
    STORED,
    CryptographicOperation,
    OperationStatus,
    OperationType,
    looks_like_key_material,
)
from keyclave.models.rotation import DEFAULT_ROTATION_INTERVAL, RotationPolicy

__all__ = [
    "ALGORITHMS",
    "APPROVAL_LIFETIME",
    "CLOUD_BACKENDS",
    "DEFAULT_PRECEDENCE",
    "DEFAULT_ROTATION_INTERVAL",
    "KEY_NAME_PATTERN",
    "SIGNATURE_SCHEMES",
    "SLOW_SIGNATURE",
    "SOURCE_RETENTION",
    "STORED",
    "AlgorithmFamily",
    "ApprovalRecord",
    "AuditConfiguration",
    "AuthenticationMethod",
    "AvailabilityStatus",
    "BackendHealth",
    "CryptographicBackend",
    "CryptographicOperation",
    "EnvironmentConfiguration",
    "EnvironmentType",
    "FallbackPolicyConfiguration",
    "HealthCheckResult",
    "KeyAlgorithm",
    "KeyHandle",
    "KeyLocation",
    "KeyMigrationRecord",
    "KeyOperation",
    "KeySecurityProperties",
    "KeyStatus",
    "MigrationApproval",
    "MigrationPlan",
    "MigrationStatus",
    "MigrationStrategy",
    "OperationStatus",
    "OperationType",
    "PlannedMigration",
    "RotationPolicy",
    "SecurityLevel",
    "SignatureScheme",
    "get_algorithm",
    "get_signature_scheme",
    "is_provider_uri",
    "looks_like_key_material",
    "scheme_for",
]
