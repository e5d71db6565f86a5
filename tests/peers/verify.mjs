// What a user of npm `jose` would write to check an assertion, as an independent second opinion.
//
// usage: node verify.mjs JWKS TOKEN AUDIENCE ISSUER TYP
//
// JWKS is a URL or a file. Prints the claims as JSON and exits 0 if the token is good; otherwise
// says `refused: …` on standard error and exits 1. Wrong usage exits 64, any other fault (no JWKS, a
// fault of this script) 70, so that a test never takes one for a refusal.
//
// `jose` is found in the directory NODE_MODULES names (default: target/npm/node_modules of this
// repository), since ES modules do not look at NODE_PATH.

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const modules = process.env.NODE_MODULES
  ? pathToFileURL(`${process.env.NODE_MODULES}/`)
  : new URL('../../target/npm/node_modules/', import.meta.url)
const { createLocalJWKSet, createRemoteJWKSet, jwtVerify, errors } = createRequire(
  new URL('verify.cjs', modules),
)('jose')

const given = process.argv.slice(2)
if (given.length !== 5) {
  console.error('usage: node verify.mjs JWKS TOKEN AUDIENCE ISSUER TYP')
  process.exit(64)
}
const [place, token, audience, issuer, typ] = given

try {
  const jwks = /^https?:/.test(place)
    ? createRemoteJWKSet(new URL(place))
    : createLocalJWKSet(JSON.parse(await readFile(place, 'utf8')))
  const { payload } = await jwtVerify(token, jwks, {
    audience,
    issuer,
    typ,
    algorithms: ['EdDSA'],
    requiredClaims: ['sub', 'iat', 'exp'],
  })
  console.log(JSON.stringify(payload))
} catch (fault) {
  const unanswered = fault instanceof errors.JWKSTimeout || fault.code === 'ERR_JOSE_GENERIC'
  if (unanswered || !(fault instanceof errors.JOSEError)) {
    console.error(fault)
    process.exit(70)
  }
  console.error(`refused: ${fault.code}: ${fault.message}`)
  process.exit(1)
}
