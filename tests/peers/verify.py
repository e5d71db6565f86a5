"""What a PyJWT user would write to check an assertion, as an independent second opinion.

usage: verify.py JWKS TOKEN AUDIENCE ISSUER TYP

JWKS is a URL or a file. Prints the claims as JSON and exits 0 if the token is good; otherwise
says `refused: …` on standard error and exits 1. Wrong usage exits 64, any other fault (no JWKS, a
fault of this script) 70, so that a test never takes one for a refusal.
"""

import json
import sys
import traceback
import urllib.request

import jwt


class Refused(Exception):
    """The token is not what it should be."""


def read_jwks(place):
    if place.startswith(("http://", "https://")):
        with urllib.request.urlopen(place, timeout=10) as answer:
            return json.load(answer)
    with open(place, encoding="utf-8") as file:
        return json.load(file)


def verify(jwks, token, audience, issuer, typ):
    header = jwt.get_unverified_header(token)
    if header.get("typ") != typ:
        raise Refused(f"typ is {header.get('typ')!r}, not {typ!r}")
    keys = [key for key in jwt.PyJWKSet.from_dict(jwks).keys if key.key_id == header.get("kid")]
    if len(keys) != 1:
        raise Refused(f"{len(keys)} keys have the kid {header.get('kid')!r}")
    return jwt.decode(
        token,
        keys[0],
        algorithms=["EdDSA"],
        audience=audience,
        issuer=issuer,
        options={"require": ["iss", "aud", "sub", "iat", "exp"]},
    )


def main(arguments):
    if len(arguments) != 5:
        print(__doc__, file=sys.stderr)
        return 64
    place, token, audience, issuer, typ = arguments
    try:
        claims = verify(read_jwks(place), token, audience, issuer, typ)
    except (Refused, jwt.PyJWTError) as fault:
        print(f"refused: {type(fault).__name__}: {fault}", file=sys.stderr)
        return 1
    except Exception:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
        return 70
    print(json.dumps(claims))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
