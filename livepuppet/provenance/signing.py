"""Who signs: this user's own key, made at first use and kept on this machine, or a certificate of theirs.

A certificate that somebody made for themselves proves that a file has not changed since it was signed, and that two files were signed
with the same key. It does not prove who that was.
"""

from __future__ import annotations

import datetime
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

from livepuppet.errors import UsageError
from livepuppet.files import data_folder, write_atomically

log = logging.getLogger("livepuppet.provenance.signing")

NAME = "livepuppet (self-made certificate)"
YEARS = 10
FILE = "signing.pem"
"""Key and certificates in one file, so that they can only be replaced together."""


@dataclass(frozen=True, slots=True, repr=False)
class SigningIdentity:
    """algorithm: C2PA's name (b'es256' …).  certificates: PEM, the signer's first, then up to its root.  key: PEM, PKCS 8, never shown."""

    algorithm: bytes
    certificates: bytes
    key: bytes


def own_identity(folder: Path | None = None) -> SigningIdentity:
    """This user's key; made, readable by nobody else, where there is none or it has expired.

    Raises:
        OSError, RunError: it cannot be read or kept.
    """
    path = (folder or data_folder() / "credentials") / FILE
    if path.exists():
        try:
            return parse_identity(path.read_bytes(), path.read_bytes(), str(path))
        except UsageError as error:
            log.info("making a new signing key, since the old one cannot be used: %s", error)
    pem = create_identity()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(pem), private=True)
    return parse_identity(pem, pem, str(path))


def load_identity(certificates: Path, key: Path) -> SigningIdentity:
    """The identity of a certificate and its key.

    Raises:
        UsageError: saying what is wrong with which file.
    """
    contents = []
    for path in (certificates, key):
        try:
            contents.append(path.read_bytes())
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}", parameter="sign_with") from error
    return parse_identity(contents[0], contents[1], str(certificates), str(key))


def parse_identity(certificates: bytes, key: bytes, where: str, key_where: str | None = None) -> SigningIdentity:
    """Check that the certificate is in force, and the key its own.

    Raises:
        UsageError: its text beginning with where the trouble is.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    encoding = serialization.Encoding.PEM
    public = (encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # certificates in the wild bend the standard; c2pa judges those that matter
            chain = x509.load_pem_x509_certificates(certificates)
    except ValueError as error:
        raise UsageError(f"{where} is not a certificate in PEM form") from error
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except TypeError as error:
        raise UsageError(f"{key_where or where}: the key has a password: save a copy without (openssl pkey -in KEY -out NEW)") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{key_where or where} is not a private key in PEM form") from error
    now = datetime.datetime.now(datetime.timezone.utc)
    if not chain[0].not_valid_before_utc <= now <= chain[0].not_valid_after_utc:
        raise UsageError(f"{where}: valid from {chain[0].not_valid_before_utc:%Y-%m-%d} to {chain[0].not_valid_after_utc:%Y-%m-%d} only")
    try:
        own = private.public_key().public_bytes(*public) == chain[0].public_key().public_bytes(*public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{where} is not a certificate that can be used: {str(error).splitlines()[0]}") from error
    if not own:
        raise UsageError(f"{key_where or where}: the key does not belong to the first certificate in {where}")
    curves = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in curves:
        algorithm = curves[private.curve.name]
    elif isinstance(private, ed25519.Ed25519PrivateKey):
        algorithm = b"ed25519"
    elif isinstance(private, rsa.RSAPrivateKey):
        algorithm = b"ps256"
    else:
        raise UsageError(f"{key_where or where}: C2PA signs with ECDSA (P-256, P-384, P-521), Ed25519 or RSA keys only")
    return SigningIdentity(
        algorithm,
        b"".join(certificate.public_bytes(encoding) for certificate in chain),
        private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def create_identity() -> bytes:
    """A new key with its certificate and that one's root, PEM. C2PA refuses self-signed certificates (C2PA 2.x, Trust Model), hence the
    root: it signs this one certificate, and its own key is forgotten at once."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def usage(*, signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=signs, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
            key_cert_sign=not signs, crl_sign=not signs, encipher_only=False, decipher_only=False,
        )  # fmt: skip

    def name(role: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, NAME), x509.NameAttribute(NameOID.COMMON_NAME, role)])

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    today = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    in_force = (today, today + datetime.timedelta(days=365 * YEARS))

    def certificate(role: str, whose: ec.EllipticCurvePublicKey, authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(name("root"), name(role), whose, x509.random_serial_number(), *in_force)
            .add_extension(x509.BasicConstraints(authority, 0 if authority else None), critical=True)
            .add_extension(usage(signs=not authority), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(whose), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )

    root = certificate("root", root_key.public_key(), True).sign(root_key, hashes.SHA256())
    own = certificate("signer", key.public_key(), False)
    own = own.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return secret + own.sign(root_key, hashes.SHA256()).public_bytes(encoding) + root.public_bytes(encoding)
