import { strict as assert } from 'node:assert'
import { parseHolders } from '#pkg/datastore/file-locks.ts'

const LOCKS = `1: POSIX  ADVISORY  READ  1234 fd:1a:131090 1073741826 1073742335
1: -> POSIX  ADVISORY  WRITE 77 fd:1a:131090 0 EOF
2: POSIX  ADVISORY  WRITE 5678 fd:1a:131091 0 EOF
3: FLOCK  ADVISORY  WRITE 9012 fd:1a:131090 0 EOF
4: POSIX  ADVISORY  READ  ${process.pid} fd:1a:131090 0 EOF
5: POSIX  ADVISORY  READ  1234 fd:1a:131090 124 124
`

describe('parseHolders', () => {
  it('finds the other processes that hold a lock of a file', () => {
    assert.deepEqual(parseHolders(LOCKS, { major: 0xfd, minor: 0x1a, ino: 131090 }), [1234])
    assert.deepEqual(parseHolders(LOCKS, { major: 0xfd, minor: 0x1b, ino: 131090 }), [])
    assert.deepEqual(parseHolders('', { major: 1, minor: 1, ino: 1 }), [])
  })
})
