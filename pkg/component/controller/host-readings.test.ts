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
  cni0: 100 22 0 0 0 0 0 0 100 9000 0 0 0 0 0 0
vethd3ee4a1: 100 22 0 0 0 0 0 0 100 9000 0 0 0 0 0 0
flannel.1: 100 22 0 0 0 0 0 0 100 9000 0 0 0 0 0 0
`

describe('what a host says of itself', () => {
  it('is how much it sent again, but for what stays within the host and what was in vain', () => {
    assert.deepEqual(segmentsOf({ snmp, netstat, dev }), { sent: 733, resent: 50 })
    assert.equal(segmentsOf({ snmp: '', netstat, dev }), undefined)
  })

  describe('when its network loses packets', () => {
    /** Readings of looks in each of which 1000 packets are sent, and so many of them again. */
    const looks = (...resent: readonly number[]) =>
      [0, ...resent].map((_, i) => ({ sent: i * 1_000, resent: resent.slice(0, i).reduce((a, b) => a + b, 0) }))

    it('is a warning after two looks', () => {
      assert.match(lostPackets(looks(0, 80, 60), false) ?? '', /5 % of what this host sends/)
      assert.match(lostPackets(looks(40, 52), false) ?? '', /: 5 % of what/)
      assert.equal(lostPackets(looks(), false), undefined)
      assert.equal(lostPackets(looks(80), false), undefined)
    })

    it('is none when a host that it spoke to is gone, nor when there is little to go by', () => {
      assert.equal(lostPackets(looks(2, 150, 20), false), undefined)
      assert.equal(lostPackets(looks(150, 20, 10), false), undefined)
      const few = [0, 1, 2].map((i) => ({ sent: i * 99, resent: i * 20 }))
      assert.equal(lostPackets(few, false), undefined)
    })

    it('stands while less, but something, is lost', () => {
      assert.match(lostPackets(looks(29, 31, 28), true) ?? '', /3 % of what/)
      assert.match(lostPackets(looks(80, 0, 0), true) ?? '', /3 % of what/)
      assert.equal(lostPackets(looks(9, 4, 0), true), undefined)
    })
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
