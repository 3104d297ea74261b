import assert from 'node:assert/strict'
import type { NetworkInterfaceInfo } from 'node:os'
import { firstAddress, localAddressTowards } from '#pkg/net/local.ts'

const address = (value: string, internal = false): NetworkInterfaceInfo =>
  ({ address: value, family: value.includes(':') ? 'IPv6' : 'IPv4', internal }) as NetworkInterfaceInfo

describe('firstAddress', () => {
  it('prefers IPv4 of a real interface', () => {
    const found = firstAddress({
      lo: [address('127.0.0.1', true)],
      'flannel.1': [address('10.244.0.0')],
      cali123: [address('169.254.1.1')],
      eth0: [address('fe80::1'), address('2001:db8::1'), address('192.0.2.7')],
    })
    assert.equal(found, '192.0.2.7')
  })

  it('takes global IPv6 where there is no IPv4, and nothing from loopback', () => {
    assert.equal(firstAddress({ eth0: [address('fe80::1'), address('2001:db8::1')] }), '2001:db8::1')
    assert.equal(firstAddress({ lo: [address('127.0.0.1', true)] }), undefined)
  })
})

describe('localAddressTowards', () => {
  it('asks the routing table', async () => {
    assert.equal(await localAddressTowards('127.0.0.1'), '127.0.0.1')
  })

  it('says what has no route', async () => {
    await assert.rejects(localAddressTowards('no-such-host.invalid'), /^IpError: no route to no-such-host.invalid: /)
  })
})
