// A third-party app in Node.js, on npm openid-client, for the tests to sign in to.
//
// One JSON value a line, in on stdin, out on stdout:
//   in   {"issuer", "client_id", "client_secret"?, "redirect_uri", "scope"?}
//   out  {"authorization_url"}        PKCE, state and nonce; the endpoints come from discovery
//   in   {"callback_url"}             where the browser was sent back to
//   out  {"claims", "userinfo", "token"}  exchanged and verified by the library
//   in   {"refresh": true}
//   out  {"claims", "userinfo", "token"}  the same after one refresh
// Whatever the library refuses ends it: {"error", "error_description"?} and status 1.
import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'

// Debian 12's Node.js 18 has the Web Crypto API, only not as a global.
globalThis.crypto ??= webcrypto
const oidc = await import('openid-client')

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

async function read() {
  const { value, done } = await lines.next()
  if (done) process.exit(0)
  return JSON.parse(value)
}

function write(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

// Plain HTTP is for an issuer on this machine and for nothing else.
function isLoopback(url) {
  return url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
}

async function report(config, tokens, subject) {
  const { access_token, refresh_token, id_token, token_type, expires_in, scope } = tokens
  write({
    claims: tokens.claims() ?? null,
    userinfo: await oidc.fetchUserInfo(config, access_token, subject),
    token: { access_token, refresh_token, id_token, token_type, expires_in, scope },
  })
}

async function main() {
  const { issuer, client_id, client_secret, redirect_uri, scope = 'openid profile email' } = await read()
  const server = new URL(issuer)
  const authentication = client_secret ? oidc.ClientSecretBasic(client_secret) : oidc.None()
  const config = await oidc.discovery(server, client_id, { client_secret }, authentication, {
    execute: isLoopback(server) ? [oidc.allowInsecureRequests] : [],
  })
  // Also verify the signature of an ID token that came straight from the token endpoint.
  oidc.enableNonRepudiationChecks(config)

  const verifier = oidc.randomPKCECodeVerifier()
  const state = oidc.randomState()
  const nonce = oidc.randomNonce()
  const authorization_url = oidc.buildAuthorizationUrl(config, {
    redirect_uri,
    scope,
    state,
    nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  write({ authorization_url: authorization_url.href })

  const { callback_url } = await read()
  const tokens = await oidc.authorizationCodeGrant(config, new URL(callback_url), {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  })
  const subject = tokens.claims().sub
  await report(config, tokens, subject)

  await read()
  await report(config, await oidc.refreshTokenGrant(config, tokens.refresh_token), subject)
}

main().then(
  () => process.exit(0),
  (error) => {
    // The OAuth code where the provider answered one, else the library's own code or words.
    write({
      error: error.error ?? error.code ?? error.message,
      error_description: error.error_description ?? error.cause?.message ?? error.message,
    })
    process.exit(1)
  },
)
