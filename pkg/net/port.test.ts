import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { assertPortFree, listeningInodes, portOwner } from '#pkg/net/port.ts'

describe('assertPortFree', () => {
  it('names port, component and the process that listens', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    try {
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      assert.equal(portOwner(port), process.pid)
      const expected = `port ${port} of kube-apiserver is in use by node (process ${process.pid}) (0.0.0.0:${port}); stop it or configure another port`
      await assert.rejects(assertPortFree('0.0.0.0', port, { name: 'kube-apiserver' }), { message: expected })
    } finally {
      server.close()
      await once(server, 'close')
    }
  })

  it('leaves a free port free', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    await assertPortFree('127.0.0.1', port, { name: 'etcd' })
    await assertPortFree('127.0.0.1', port, { name: 'etcd' })
  })

  it('says when the address is not of this host', async () => {
    await assert.rejects(assertPortFree('192.0.2.99', 0, { name: 'kube-apiserver' }), {
      code: 'ERR_IP',
      message: 'kube-apiserver cannot listen on 192.0.2.99: no interface of this host has that address',
    })
  })
})

describe('listeningInodes', () => {
  it('reads /proc/net/tcp: listeners of the port only', () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1111 1 0 100',
      '   1: 0100007F:192B 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 2222 1 0 100',
      '   2: 0100007F:192C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3333 1 0 100',
    ].join('\n')
    assert.deepEqual(listeningInodes(table, 6443), ['1111'])
  })
})
