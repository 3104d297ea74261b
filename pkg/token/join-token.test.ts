import assert from 'node:assert/strict'
import { gunzipSync, gzipSync } from 'node:zlib'
import { generateBootstrapToken, parseBootstrapToken, tokenIdOf } from '#pkg/token/bootstrap-token.ts'
import { TokenError } from '#pkg/token/errors.ts'
import { decodeJoinToken, encodeJoinToken, type JoinToken } from '#pkg/token/join-token.ts'
import { readToken } from '#pkg/token/token-source.ts'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const caPem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const token: JoinToken = {
  role: 'worker',
  server: 'https://10.0.0.1:6443',
  caPem,
  bootstrapToken: { id: 'abcdef', secret: '0123456789abcdef' },
}
const altered = (change: (yaml: string) => string): string =>
  gzipSync(change(gunzipSync(Buffer.from(encodeJoinToken(token), 'base64')).toString())).toString('base64')
const refused = (text: string, message: RegExp): void => {
  assert.throws(
    () => decodeJoinToken(text, 'worker'),
    (err: unknown) => {
      assert.ok(err instanceof TokenError)
      assert.match(err.message, message)
      assert.match(err.message, /k0s token create --role worker/)
      return true
    },
  )
}

describe('join token', () => {
  it('comes back as it went in, wrapped by white space too', () => {
    const text = encodeJoinToken(token)
    assert.deepEqual(decodeJoinToken(text, 'worker'), token)
    assert.deepEqual(decodeJoinToken(`\n${text.replaceAll(/(.{70})/g, '$1\n')}\n`, 'worker'), token)
  })

  it("has k0s's names inside", () => {
    const yaml = gunzipSync(Buffer.from(encodeJoinToken(token), 'base64')).toString()
    assert.match(yaml, /name: kubelet-bootstrap/)
    assert.match(yaml, /current-context: k0s/)
    assert.match(yaml, /token: abcdef\.0123456789abcdef/)
  })

  it('is refused when it is cut, no base64, or no gzip', () => {
    const text = encodeJoinToken(token)
    refused('', /empty/)
    refused('not-a-token', /malformed/)
    refused(text.slice(0, -40), /malformed/)
    refused(Buffer.from('hello').toString('base64'), /malformed/)
    refused(gzipSync('kind: Other').toString('base64'), /malformed/)
    refused(gzipSync(Buffer.alloc(1 << 20)).toString('base64'), /malformed/)
  })

  it('is refused for another role, without CA, without token, without TLS', () => {
    refused(encodeJoinToken({ ...token, role: 'controller' }), /is for a controller, not for a worker/)
    refused(
      altered((yaml) => yaml.replaceAll('kubelet-bootstrap', 'somebody')),
      /unknown role/,
    )
    refused(
      altered((yaml) => yaml.replace(/certificate-authority-data: .*/, '')),
      /no certificate authority/,
    )
    refused(
      altered((yaml) => yaml.replace('abcdef.', 'abc.')),
      /no bootstrap token/,
    )
    refused(
      altered((yaml) => yaml.replace('https:', 'http:')),
      /without TLS/,
    )
  })
})

describe('bootstrap token', () => {
  it('has the form of Kubernetes and is another one each time', () => {
    const tokens = Array.from({ length: 50 }, generateBootstrapToken)
    for (const { id, secret } of tokens) assert.deepEqual(parseBootstrapToken(`${id}.${secret}`), { id, secret })
    assert.equal(new Set(tokens.map(({ secret }) => secret)).size, 50)
  })

  it('finds the id in what a user may have at hand', () => {
    for (const text of ['abcdef', 'abcdef.0123456789abcdef', 'bootstrap-token-abcdef']) {
      assert.equal(tokenIdOf(text), 'abcdef', text)
    }
    for (const text of ['', 'ABCDEF', 'abcde', 'abcdefg', '../etc']) assert.equal(tokenIdOf(text), undefined, text)
  })
})

describe('readToken', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-token-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('takes the one source there is', async () => {
    const file = join(dir, 'token')
    await writeFile(file, 'from-file\n')
    assert.equal(await readToken({}), undefined)
    assert.equal(await readToken({ argument: 'a' }), 'a')
    assert.equal(await readToken({ environment: 'e' }), 'e')
    assert.equal(await readToken({ file, environment: '' }), 'from-file')
  })

  it('refuses two, naming both, and files that give none', async () => {
    await assert.rejects(
      readToken({ argument: 'a', file: '/x' }),
      /as argument and with --token-file \/x; give it once/,
    )
    await assert.rejects(readToken({ file: '/x', environment: 'e' }), /with --token-file \/x and in K0S_TOKEN/)
    await assert.rejects(readToken({ file: join(dir, 'none') }), /cannot read the join token from .*none: no such file/)
    await writeFile(join(dir, 'empty'), ' \n')
    await assert.rejects(readToken({ file: join(dir, 'empty') }), /empty is empty/)
  })
})
