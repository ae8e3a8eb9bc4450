"""Keys, signatures and trust: signs and verifies statements, and knows nothing of what they are about."""

from lepton.security.key_files import read_private_key, read_public_key, write_key_pair
from lepton.security.keys import PrivateKey, PublicKey
from lepton.security.statements import check_statement, sign_statement, verify_statement
from lepton.security.trust import TrustedKey, TrustList, read_trusted

__all__ = [
    "PrivateKey",
    "PublicKey",
    "TrustList",
    "TrustedKey",
    "check_statement",
    "read_private_key",
    "read_public_key",
    "read_trusted",
    "sign_statement",
    "verify_statement",
    "write_key_pair",
]
