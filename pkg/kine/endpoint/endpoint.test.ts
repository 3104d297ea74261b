import assert from 'node:assert/strict'
import { userInfo } from 'node:os'
import { describeEndpoint, parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import { redact } from '#pkg/kine/endpoint/redact.ts'
import { KineError } from '#pkg/kine/errors.ts'

describe('--endpoint', () => {
  it('reads the forms of a PostgreSQL URL', () => {
    const full = parseEndpoint(
      'postgres://me:p%40ss%3A%2F@db.example:6432/Store?sslmode=require&search_path=kine&connect_timeout=3',
    )
    assert.deepEqual(full, {
      type: 'postgres',
      hosts: [{ host: 'db.example', port: 6432 }],
      user: 'me',
      password: 'p@ss:/',
      database: 'store',
      tls: { mode: 'require', caFile: undefined, certFile: undefined, keyFile: undefined },
      connectTimeoutMs: 3000,
      applicationName: 'k0s-kine',
      options: '-c search_path=kine',
      prepare: true,
    })
    assert.equal(describeEndpoint(full), 'postgres://me@db.example:6432/store')
    const bare = parseEndpoint('postgresql://')
    assert.equal(describeEndpoint(bare), `postgres://${userInfo().username}@localhost:5432/kubernetes`)
    const several = parseEndpoint('postgres://u@a,[fd00::1]:7,c:8/')
    assert.ok(several.type === 'postgres')
    assert.deepEqual(
      several.hosts.map(({ host, port }) => `${host} ${port}`),
      ['a 5432', 'fd00::1 7', 'c 8'],
    )
    const socket = parseEndpoint('postgres://u@/db?host=/run/postgresql&port=5433&default_query_exec_mode=exec')
    assert.ok(socket.type === 'postgres')
    assert.deepEqual(socket.hosts, [{ host: '/run/postgresql', port: 5433 }])
    assert.equal(socket.prepare, false)
  })

  it('takes TLS files for the strictest mode, as upstream does', () => {
    const endpoint = parseEndpoint('postgres://u@h/', { caFile: '/ca', certFile: '/crt', keyFile: '/key' })
    assert.ok(endpoint.type === 'postgres')
    assert.deepEqual(endpoint.tls, { mode: 'verify-full', caFile: '/ca', certFile: '/crt', keyFile: '/key' })
    const mysql = parseEndpoint('mysql://u@tcp(h)/', { caFile: '/ca', skipVerify: true })
    assert.ok(mysql.type === 'mysql')
    assert.equal(mysql.tls.mode, 'require')
    assert.throws(() => parseEndpoint('postgres://u@h/', { certFile: '/crt' }), KineError)
  })

  it("reads the forms of a data source name of Go's MySQL driver", () => {
    const full = parseEndpoint('mysql://me:p@ss/w:rd@tcp(db.example:3307)/store?tls=skip-verify&timeout=500ms')
    assert.deepEqual(full, {
      type: 'mysql',
      address: { host: 'db.example', port: 3307 },
      user: 'me',
      password: 'p@ss/w:rd',
      database: 'store',
      tls: { mode: 'require', caFile: undefined, certFile: undefined, keyFile: undefined },
      connectTimeoutMs: 500,
    })
    assert.equal(describeEndpoint(full), 'mysql://me@tcp(db.example:3307)/store')
    assert.equal(
      describeEndpoint(parseEndpoint('mysql://root@unix(/run/mysqld/mysqld.sock)/')),
      'mysql://root@unix(/run/mysqld/mysqld.sock)/kubernetes',
    )
    assert.equal(
      describeEndpoint(parseEndpoint('mysql://')),
      'mysql://root@unix(/var/run/mysqld/mysqld.sock)/kubernetes',
    )
    assert.equal(describeEndpoint(parseEndpoint('mysql://u:p@[::1]:7/db')), 'mysql://u@tcp(::1:7)/db')
  })

  it('refuses what it cannot use, and never shows a password', () => {
    for (const text of [
      'postgres://u:s3cr%zt@h/db',
      'postgres://u:s3cret@h:port/db',
      'postgres://u:s3cret@h/db?sslmode=maybe',
      'postgres://u:s3cret@h/db?service=x',
      'mysql://u:s3cret@udp(h)/db',
      'mysql://u:s3cret@tcp(h)/db?tls=custom',
      'http://u:s3cret@127.0.0.1:2379',
      'nats://u:s3cret@h',
      'u:s3cret@h/db',
      'sqlite://:memory:',
    ]) {
      assert.throws(
        () => parseEndpoint(text),
        (error) => error instanceof KineError && !error.message.includes('s3cr'),
        text,
      )
    }
    assert.equal(redact('postgres://u:a@b@h/db?password=x&y=1'), 'postgres://u:***@h/db?password=***&y=1')
  })
})
