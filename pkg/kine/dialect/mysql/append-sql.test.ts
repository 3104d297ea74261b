import assert from 'node:assert/strict'
import { appendTexts, literal } from '#pkg/kine/dialect/mysql/append-sql.ts'
import { keyHash } from '#pkg/kine/dialect/mysql/key-hash.ts'
import { batchAfter, FRESH, newRow } from '#pkg/kine/testing/batches.ts'

describe('append of MySQL', () => {
  it('is one text that swaps the head first and commits last', () => {
    const rows = [
      newRow(2, 'a', { value: Buffer.from("it's"), lease: -(2n ** 60n) }),
      newRow(3, 'b', { previousId: 7 }),
    ]
    const lease = { id: 5, ttlSeconds: 60, remainingMs: 1500.5 }
    const batch = batchAfter(FRESH, rows, { leases: [lease], revokedLeases: [6], compactRevision: 1 })
    const [text, ...more] = appendTexts(batch, { locked: false, maxBytes: 1e6 })
    const hash = (key: string): string => literal(keyHash(Buffer.from(key)))
    assert.deepEqual(text?.split(';'), [
      'SELECT id,value FROM k0s_log WHERE id IN(7)',
      'BEGIN',
      'UPDATE k0s_meta SET revision=IF(last_id=0 AND revision=1 AND compact_rev=-1 AND lease_seq=0,3,NULL),last_id=3072,compact_rev=1,lease_seq=1 WHERE id=1',
      'INSERT INTO k0s_log(id,rev,key_hash,`key`,create_rev,version,lease,value_size,value)VALUES' +
        `(2048,2,${hash('a')},_binary'a',2,1,-1152921504606846976,4,x'69742773'),` +
        `(3072,3,${hash('b')},_binary'b',3,1,0,3,_binary'b@3')`,
      'REPLACE INTO k0s_lease(id,ttl_s,expires_at_ms,seq,revoked,rest_seq,rest_ms)VALUES' +
        '(5,60,CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)+1501,1,0,1,1501),(6,0,CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED),1,1,1,0)',
      'COMMIT',
    ])
    assert.deepEqual(more, [])
  })

  it('is spread over several texts if it is too long for one', () => {
    const rows = [2, 3, 4, 5].map((revision) => newRow(revision, 'k', { value: Buffer.alloc(400, 'v') }))
    const texts = appendTexts(batchAfter(FRESH, rows), { locked: true, maxBytes: 1250 })
    assert.deepEqual(
      texts.map((text) => [text.slice(0, 20), text.length <= 1250, text.endsWith(';COMMIT')]),
      [
        ['UPDATE k0s_meta SET ', true, false],
        ['INSERT INTO k0s_log(', true, false],
        ['INSERT INTO k0s_log(', true, true],
      ],
    )
  })
})
