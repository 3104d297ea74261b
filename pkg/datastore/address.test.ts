import { strict as assert } from 'node:assert'
import { parseStoreAddress } from '#pkg/datastore/address.ts'

describe('parseStoreAddress', () => {
  it('reads every form', () => {
    const named = (text: string): unknown => {
      const { type, name } = parseStoreAddress('--from', text)
      return [type, name]
    }
    assert.deepEqual(named('sqlite:///var/state.db'), ['database', 'sqlite:///var/state.db'])
    assert.deepEqual(named('sqlite://file:/var/state.db?mode=rwc'), ['database', 'sqlite:///var/state.db'])
    assert.deepEqual(named('postgres://u:p@h:5/d'), ['database', 'postgres://u@h:5/d'])
    assert.deepEqual(named('mysql://u:p@tcp(h:5)/d'), ['database', 'mysql://u@tcp(h:5)/d'])
    assert.deepEqual(named('etcd:///var/lib/k0s/etcd/'), ['etcd-directory', 'etcd:///var/lib/k0s/etcd'])
    assert.deepEqual(named('https://10.0.0.5:2379'), ['etcd-server', 'https://10.0.0.5:2379'])
  })

  it('names the flag and the forms, and shows no password', () => {
    for (const text of ['state.db', 'etcd://relative', 'redis://u:secret@h', 'mysql://u:secret@tcp(h']) {
      assert.throws(
        () => parseStoreAddress('--to', text),
        ({ message }: Error) =>
          message.startsWith('--to ') && !message.includes('secret') && message.includes('etcd:///'),
        text,
      )
    }
  })
})
