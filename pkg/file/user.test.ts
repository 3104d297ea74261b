import assert from 'node:assert/strict'
import { findUser, lookupUser } from '#pkg/file/user.ts'

const passwd = 'root:x:0:0:root:/root:/bin/sh\n# comment\nbroken:x:abc:1::/:\netcd:x:997:996::/:/usr/sbin/nologin\n'

describe('lookupUser', () => {
  it('finds a user of /etc/passwd', async () => {
    assert.deepEqual(await lookupUser('root'), { uid: 0, gid: 0 })
    assert.equal(await lookupUser('k0s-test-no-such-user'), undefined)
  })

  it('reads user and group number, and skips lines that have none', () => {
    assert.deepEqual(findUser(passwd, 'etcd'), { uid: 997, gid: 996 })
    assert.equal(findUser(passwd, 'broken'), undefined)
    assert.equal(findUser(passwd, 'etc'), undefined)
  })
})
