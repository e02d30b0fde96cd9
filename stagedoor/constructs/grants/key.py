"""Keys of one's own, where a resource is encrypted by one. AWS's own keys need no permission."""

from typing import Any

from stagedoor.constructs.binding import Statement, statement


def decrypt(key: Any) -> tuple[Statement, ...]:
    """Return what reading takes."""
    return (statement("kms:Decrypt kms:DescribeKey", key.key_arn),) if key is not None else ()


def encrypt(key: Any) -> tuple[Statement, ...]:
    """Return what writing takes; decrypting, too, as a service checks the data key that it was given."""
    return (statement("kms:Encrypt kms:Decrypt kms:GenerateDataKey", key.key_arn),) if key is not None else ()
