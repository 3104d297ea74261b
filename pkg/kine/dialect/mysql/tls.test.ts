import assert from 'node:assert/strict'
import { KineError } from '#pkg/kine/errors.ts'
import { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import { MysqlFixture } from '#pkg/kine/testing/mysql-fixture.ts'
import { unavailable } from '#pkg/kine/testing/store-errors.ts'

describe('MysqlDialect, encrypted', function () {
  this.timeout(60_000)
  const on = MysqlFixture.forEach()

  it('speaks TLS, with a certificate of its own if it has one', async () => {
    await using server = await MariadbServer.start({ tls: true, settings: { 'bind-address': '127.0.0.1,127.0.0.2' } })
    const { ca: caFile, clientCert: certFile, clientKey: keyFile } = server.certificates ?? assert.fail()
    const plain = await server.createDatabase()
    await on.dialectAt(plain, { tls: { caFile, certFile, keyFile } }).open()
    await on.dialectAt(plain.replace('127.0.0.1', 'localhost'), { tls: { caFile } }).open()
    await on.dialectAt(`${plain}?tls=preferred`).open()
    await assert.rejects(on.dialectAt(`${plain}?tls=false`).open(), KineError)
    await assert.rejects(on.dialectAt(`${plain}?tls=true`).open(), KineError)
    // The certificate is valid for 127.0.0.1 and localhost.
    const other = plain.replace('127.0.0.1', '127.0.0.2')
    await on.dialectAt(`${other}?tls=skip-verify`).open()
    await assert.rejects(on.dialectAt(other, { tls: { caFile } }).open(), KineError)
    await assert.rejects(on.dialectAt('mysql://u:p@tcp(127.0.0.1:1)/db').open(), unavailable)
  })
})
