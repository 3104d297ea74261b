import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { readlinkSync } from 'node:fs'
import * as proc from '#pkg/file/proc.ts'

describe('proc', () => {
  it('reads this process', () => {
    const stat = proc.processStat(process.pid)!
    assert.equal(stat.parentPid, process.ppid)
    assert.equal(proc.isDead(stat), false)
    assert.ok(stat.startTime > 0)
    assert.equal(proc.isAlive(process.pid), true)
    assert.ok(proc.allPids().includes(process.pid))
    assert.equal(proc.processArgs(process.pid)![0]!.endsWith('node'), true)
    assert.equal(proc.processNamespace('self', 'net'), readlinkSync('/proc/self/ns/net'))
  })

  it('answers undefined for a process that is not there', () => {
    const none = 2 ** 22 + 1 // above the largest PID of Linux
    assert.equal(proc.processStat(none), undefined)
    assert.equal(proc.isAlive(none), false)
    assert.equal(proc.processEnvironment(none), undefined)
    assert.equal(proc.processName(none), undefined)
    assert.equal(proc.processNamespace(none, 'net'), undefined)
  })

  it('finds who has a socket open', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    try {
      await once(server, 'listening')
      const { fd } = (server as unknown as { _handle: { fd: number } })._handle
      const inode = /\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`))![0]
      assert.equal(proc.socketOwner(inode), process.pid)
      assert.equal(proc.socketOwner('0'), undefined)
    } finally {
      server.close()
    }
  })

  it('does not take a process for dead whose first thread has ended before the others', () => {
    const stat = proc.processStat(process.pid)
    assert.ok(stat)
    assert.ok(stat.threads > 1, 'Node.js has several threads')
    assert.equal(proc.isDead({ ...stat, state: 'Z' }), false)
    assert.equal(proc.isDead({ ...stat, state: 'Z', threads: 1 }), true)
  })
})
