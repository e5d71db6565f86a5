// POST {"token"} → 200 {"user"}, once: verified by jose, remembered in Redis until it has expired.
//
// usage: node redeem.cjs PORT REDIS_PORT JWKS ISSUER; ends with its standard input.

const http = require('node:http')
const { createLocalJWKSet, jwtVerify } = require('jose')
const { createClient } = require('redis')

const [port, redisPort, jwks, issuer] = process.argv.slice(2)
const keys = createLocalJWKSet(JSON.parse(jwks))
const redis = createClient({ url: `redis://127.0.0.1:${redisPort}` })

async function redeem(body) {
  const { token } = JSON.parse(body)
  const { payload } = await jwtVerify(token, keys, { issuer, algorithms: ['EdDSA'] })
  const ttl = Math.max(1, payload.exp - Math.floor(Date.now() / 1000))
  const first = await redis.set(payload.jti, '1', { NX: true, EX: ttl })
  return first === null ? [410, { code: 'already_used' }] : [200, { user: payload.sub }]
}

const server = http.createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', async () => {
    const [status, answer] = await redeem(Buffer.concat(parts)).catch((error) => [403, { code: error.code }])
    const text = JSON.stringify(answer)
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
    })
    response.end(text)
  })
})

process.stdin.on('end', () => process.exit(0)).resume()
redis.connect().then(() => server.listen(Number(port), '127.0.0.1', 4096))
