import assert from 'node:assert/strict'
import * as ip from '#pkg/net/ip.ts'

describe('ip', () => {
  it('parses and writes addresses, v6 as RFC 5952 says', () => {
    const forms: Record<string, string> = {
      '10.1.2.3': '10.1.2.3',
      '255.255.255.255': '255.255.255.255',
      '::': '::',
      '::1': '::1',
      '1::': '1::',
      'FD00:0:0:0::00A1': 'fd00::a1',
      '1:0:0:2:0:0:0:3': '1:0:0:2::3',
      '1:0:0:2:0:0:3:4': '1::2:0:0:3:4',
      '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
      '::ffff:10.0.0.1': '::ffff:a00:1',
    }
    for (const [text, expected] of Object.entries(forms)) assert.equal(ip.formatIp(ip.parseIp(text)), expected, text)
  })

  it('refuses what is no address or CIDR, quoting it', () => {
    for (const text of ['', '10.0.0', '10.0.0.256', '1:2', 'fe80::1%eth0', 'localhost', '10.0.0.0/8']) {
      assert.throws(() => ip.parseIp(text), { code: 'ERR_IP', message: new RegExp(`^"${text}" is not an IP address`) })
    }
    for (const text of [
      '',
      '10.0.0.0',
      '10.0.0.0/33',
      'fd00::/129',
      '10.0.0.0/8/8',
      '10.0.0.0/',
      'x/8',
      '10.0.0.0/-1',
    ]) {
      assert.throws(() => ip.parseCidr(text), { code: 'ERR_IP' }, text)
    }
  })

  it('clears host bits of a CIDR', () => {
    assert.equal(ip.formatCidr(ip.parseCidr('10.96.3.4/12')), '10.96.0.0/12')
    assert.equal(ip.formatCidr(ip.parseCidr('fd00::ffff/112')), 'fd00::/112')
    assert.equal(ip.formatCidr(ip.parseCidr('0.0.0.0/0')), '0.0.0.0/0')
    assert.equal(ip.cidrSize(ip.parseCidr('10.0.0.0/24')), 256n)
  })

  it('tells containment and overlap, families apart', () => {
    const net = ip.parseCidr('10.244.0.0/16')
    assert.equal(ip.cidrContains(net, ip.parseIp('10.244.255.255')), true)
    assert.equal(ip.cidrContains(net, ip.parseIp('10.245.0.0')), false)
    assert.equal(ip.cidrContains(net, ip.parseCidr('10.244.8.0/24')), true)
    assert.equal(ip.cidrContains(net, ip.parseCidr('10.0.0.0/8')), false)
    assert.equal(ip.cidrsOverlap(net, ip.parseCidr('10.0.0.0/8')), true)
    assert.equal(ip.cidrsOverlap(net, ip.parseCidr('10.96.0.0/12')), false)
    assert.equal(ip.cidrsOverlap(ip.parseCidr('::/0'), ip.parseCidr('0.0.0.0/0')), false)
  })

  it('counts addresses of a network', () => {
    assert.equal(ip.nthAddress(ip.parseCidr('10.96.0.0/12'), 1), '10.96.0.1')
    assert.equal(ip.nthAddress(ip.parseCidr('10.0.0.0/8'), 256), '10.0.1.0')
    assert.equal(ip.nthAddress(ip.parseCidr('fd00::/108'), 10), 'fd00::a')
    assert.throws(() => ip.nthAddress(ip.parseCidr('10.0.0.0/29'), 10), {
      message: '10.0.0.0/29 is too small: it has no address number 10',
    })
  })

  it('puts brackets around v6 hosts', () => {
    assert.equal(ip.joinHostPort('10.0.0.1', 6443), '10.0.0.1:6443')
    assert.equal(ip.joinHostPort('fd00::1', 6443), '[fd00::1]:6443')
  })
})
