import assert from 'node:assert/strict'
import { weaknesses } from '#pkg/kine/dialect/mysql/server-check.ts'

describe('settings of MySQL', () => {
  const durable = {
    innodb_doublewrite: 'ON',
    innodb_flush_log_at_trx_commit: '1',
    innodb_flush_method: 'O_DIRECT',
    log_bin: 'OFF',
    sync_binlog: '0',
  }
  const mariadb = { version: '10.11.19-MariaDB', mariadb: true }
  const remedies = (settings: object, facts = mariadb): readonly string[] =>
    weaknesses(new Map(Object.entries({ ...durable, ...settings })), facts).map(([, remedy]) => remedy)

  it('are fine as they come', () => {
    assert.deepEqual(remedies({}), [])
    const mysql = {
      log_bin: 'ON',
      sync_binlog: '1',
      innodb_flush_method: 'fsync',
      innodb_doublewrite: 'DETECT_AND_RECOVER',
    }
    assert.deepEqual(remedies(mysql, { version: '8.4.3', mariadb: false }), [])
  })

  it('are found fault with where a power failure would take back commits', () => {
    assert.deepEqual(remedies({ innodb_flush_log_at_trx_commit: '2' }), ['set innodb_flush_log_at_trx_commit = 1'])
    assert.deepEqual(remedies({ log_bin: 'ON' }), ['set sync_binlog = 1'])
    assert.deepEqual(remedies({ innodb_flush_method: 'nosync' }), ['set innodb_flush_method = O_DIRECT'])
    assert.equal(remedies({ innodb_doublewrite: 'OFF' }).length, 1)
    assert.deepEqual(remedies({ wsrep_on: 'ON' }), ['let every kine use the same node'])
    assert.equal(remedies({}, { version: '10.3.39-MariaDB', mariadb: true }).length, 1)
    assert.equal(remedies({}, { version: '5.7.44', mariadb: false }).length, 1)
  })
})
