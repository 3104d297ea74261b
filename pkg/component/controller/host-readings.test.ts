import assert from 'node:assert/strict'
import { clockStep, littleSpace, lostPackets, segmentsOf } from '#pkg/component/controller/host-readings.ts'

const snmp = `Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm OutSegs RetransSegs InErrs
Tcp: 1 9000 70 0
`
const netstat = `TcpExt: SyncookiesSent TCPSynRetrans TCPDSACKRecv TCPDSACKOfoRecv
TcpExt: 0 10 8 2
`
const dev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100 11 0 0 0 0 0 0 100 11 0 0 0 0 0 0
  eth0: 100 22 0 0 0 0 0 0 100 333 0 0 0 0 0 0
  eth1: 100 22 0 0 0 0 0 0 100 400 0 0 0 0 0 0
`

describe('what a host says of itself', () => {
  it('is how much it sent again, but for loopback and what was in vain', () => {
    assert.deepEqual(segmentsOf({ snmp, netstat, dev }), { sent: 733, resent: 50 })
    assert.equal(segmentsOf({ snmp: '', netstat, dev }), undefined)
  })

  it('warns of a network that loses packets, not of a quiet one', () => {
    const before = { sent: 1000, resent: 10 }
    assert.match(lostPackets(before, { sent: 1500, resent: 60 }) ?? '', /10 % of what this host sends/)
    assert.equal(lostPackets(before, { sent: 1500, resent: 12 }), undefined)
    assert.equal(lostPackets(before, { sent: 1010, resent: 15 }), undefined)
  })

  it('warns of a disk that is full, or nearly so', () => {
    assert.match(littleSpace('/data', 4096) ?? '', /the disk of \/data is full/)
    assert.match(littleSpace('/data', 200 * 1024 ** 2) ?? '', /nearly full: 200 MiB are free/)
    assert.equal(littleSpace('/data', 1024 ** 3), undefined)
  })

  it('warns of a clock that was set, not of one that is slewed', () => {
    assert.match(clockStep(5_000, 65_000) ?? '', /set forward by 60.0 s/)
    assert.match(clockStep(5_000, -55_000) ?? '', /set back by 60.0 s/)
    assert.equal(clockStep(5_000, 5_400), undefined)
  })
})
