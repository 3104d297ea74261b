import assert from 'node:assert/strict'
import { KineError } from '#pkg/kine/errors.ts'
import { PostgresFixture } from '#pkg/kine/testing/postgres-fixture.ts'
import { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'

describe('PostgresDialect, encrypted', function () {
  this.timeout(60_000)
  const on = PostgresFixture.forEach()

  it('speaks TLS with a client certificate', async () => {
    await using server = await PostgresServer.start({ tls: true })
    const { ca: caFile, clientCert: certFile, clientKey: keyFile } = server.certificates ?? assert.fail()
    const endpoint = server.url('tls_only')
    assert.equal((await on.dialectAt(endpoint, { tls: { caFile, certFile, keyFile } }).open()).revision, 1)
    assert.equal((await on.dialectAt(`${endpoint}?sslmode=require`).open()).revision, 1)
    assert.equal((await on.dialectAt(endpoint).open()).revision, 1)
    await assert.rejects(on.dialectAt(`${endpoint}?sslmode=disable`).open(), KineError)
    await assert.rejects(on.dialectAt(`${endpoint}?sslmode=verify-full`).open(), KineError)
  })
})
