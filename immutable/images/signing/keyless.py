"""Signing without a key of one's own, by sigstore: an optional extra.

A short-lived certificate binds an identity that an OpenID provider vouches for to a key
that is thrown away; a public log keeps that it was so. See https://docs.sigstore.dev.

This adapter has only been checked against the library's own functions and types: the
public services were out of reach. Its refusals are tested, no acceptance is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from immutable.errors import InvalidInput, Unavailable, Unsupported, VerificationFailed
from immutable.images.signing.envelope import PAYLOAD_TYPE
from immutable.images.signing.policy import Policy
from immutable.images.signing.statement import Statement

if TYPE_CHECKING:
    from sigstore.verify import Verifier as Sigstore


@attrs.frozen(kw_only=True)
class KeylessSigner:
    """Signs as the identity of an OpenID token; only checked against the library's types.

    What it returns is a sigstore bundle, in which the DSSE envelope is.
    """

    policy: Policy
    token: str = attrs.field(repr=False)

    def sign(self, statement: Statement) -> bytes:
        """Return a sigstore bundle; the public log shows who signed which digest.

        Raises:
            InvalidInput: the token is no good, or has expired.
            Unavailable: the services of sigstore cannot be reached.
            Unsupported: the extra ``sigstore`` is not installed.
        """
        _require()
        from sigstore import dsse, errors, models, oidc, sign

        try:
            token = oidc.IdentityToken(self.token)
            trust = models.ClientTrustConfig.production()
            context = sign.SigningContext.from_trust_config(trust)
            with context.signer(token) as signer:
                bundle = signer.sign_dsse(dsse.Statement(statement.to_bytes()))
        except (oidc.IdentityError, oidc.ExpiredIdentity) as exc:
            message = "the OpenID token cannot be used"
            raise InvalidInput(message, hint="get a new one") from exc
        except errors.Error as exc:
            raise Unavailable(f"sigstore did not sign: {exc}", retryable=True) from exc
        return bundle.to_json().encode()


def production() -> "Sigstore":
    """Return the library's verifier with the public services' root of trust, by TUF."""
    from sigstore.verify import Verifier

    return Verifier.production()


@attrs.frozen(kw_only=True)
class KeylessVerifier:
    """Verifies sigstore bundles; only checked against the library's own types.

    Identity and issuer are compared exactly, and both are required. A root of trust that
    cannot be refreshed is an error, never a pass.
    """

    trust: "Callable[[], Sigstore]" = production

    def payload(self, document: bytes, policy: Policy) -> bytes:
        """Return what the policy's identity has signed.

        Raises:
            VerificationFailed: it has not, or the public log does not show it.
            Unavailable: the root of trust cannot be refreshed.
            InvalidInput: the policy names a key, not an identity with its issuer.
            Unsupported: the extra ``sigstore`` is not installed.
        """
        if not policy.issuer:
            raise InvalidInput(f"{policy} has no issuer", hint="name it exactly")
        _require()
        from sigstore import errors, models
        from sigstore.verify.policy import Identity

        expected = Identity(identity=policy.identity, issuer=policy.issuer)
        try:
            bundle = models.Bundle.from_json(document)
            kind, payload = self.trust().verify_dsse(bundle, expected)
        except (errors.TUFError, errors.NetworkError) as exc:
            message = f"sigstore's root of trust cannot be refreshed: {exc}"
            raise Unavailable(message, retryable=True) from exc
        except (errors.Error, ValueError) as exc:
            raise _refused(str(exc)) from exc
        if kind != PAYLOAD_TYPE:
            raise _refused(f"it holds {kind!r:.80}, no statement")
        return payload


def _require() -> None:
    try:
        import sigstore.verify  # noqa: F401 - whether it can be imported is what is asked
    except ImportError as exc:
        hint = "run: pip install 'immutable-deploy[sigstore]'"
        raise Unsupported("this needs the package sigstore", hint=hint) from exc


def _refused(why: str) -> VerificationFailed:
    return VerificationFailed(
        f"the provenance is refused: {why}",
        hint="have it signed by the identity that the policy names",
    )
