import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { checkToken } from '#pkg/token/check-token.ts'
import { tokenSecret } from '#pkg/token/token-store.ts'

const token = { id: 'abcdef', secret: '0123456789abcdef' }
const text = 'abcdef.0123456789abcdef'

/** An API server with one Secret, as it stores it. */
function clientWith(object?: KubeObject, data: Readonly<Record<string, string>> = {}) {
  const written = { ...(object?.['stringData'] as Record<string, string> | undefined), ...data }
  const encoded = Object.fromEntries(Object.entries(written).map(([k, v]) => [k, Buffer.from(v).toString('base64')]))
  const asked: string[] = []
  const find = (_ref: unknown, name: string): Promise<KubeObject | undefined> => {
    asked.push(name)
    return Promise.resolve(object?.metadata.name === name ? { ...object, data: encoded } : undefined)
  }
  return { asked, client: { find } as unknown as Parameters<typeof checkToken>[0] }
}

const controller = tokenSecret(token, { role: 'controller' })

describe('a token that a controller shows', () => {
  const reasonOf = async (
    shown: string,
    object?: KubeObject,
    data?: Readonly<Record<string, string>>,
  ): Promise<string> => {
    const verdict = await checkToken(clientWith(object, data).client, shown, { role: 'controller' })
    assert.ok(!verdict.valid)
    assert.ok(!verdict.reason.includes('0123456789abcdef'))
    return verdict.reason
  }

  it('is valid with the secret of its id', async () => {
    assert.deepEqual(await checkToken(clientWith(controller).client, text, { role: 'controller' }), {
      valid: true,
      id: 'abcdef',
    })
  })

  it('is refused when it is malformed, without asking anybody', async () => {
    for (const shown of ['', 'abcdef', 'abcdef.0123', '../../x.0123456789abcdef', `${text}x`]) {
      const { asked, client } = clientWith(controller)
      assert.equal((await checkToken(client, shown, { role: 'controller' })).valid, false)
      assert.deepEqual(asked, [])
    }
  })

  it('is refused for a wrong secret, an unknown id, an expired one and one of workers', async () => {
    assert.match(await reasonOf('abcdef.ffffffffffffffff', controller), /wrong secret for token abcdef/)
    assert.match(await reasonOf(text), /there is no token abcdef/)
    const expired = tokenSecret(token, { role: 'controller', expiresAt: new Date(Date.now() - 1_000) })
    assert.match(await reasonOf(text, expired), /token abcdef expired at/)
    assert.match(await reasonOf(text, tokenSecret(token, { role: 'worker' })), /is not for a controller/)
  })

  it('is refused when its Secret is not what it should be', async () => {
    assert.match(await reasonOf(text, { ...controller, type: 'Opaque' }), /not one of a bootstrap token/)
    assert.match(await reasonOf(text, controller, { 'token-id': 'fedcba' }), /wrong secret/)
    assert.match(await reasonOf(text, controller, { 'token-secret': '' }), /wrong secret/)
    assert.match(await reasonOf(text, controller, { expiration: 'tomorrow' }), /cannot be read/)
  })

  it('is not judged when the API server does not answer', async () => {
    const find = (): Promise<never> => Promise.reject(new Error('down'))
    await assert.rejects(checkToken({ find }, text, { role: 'controller' }), /down/)
  })
})
