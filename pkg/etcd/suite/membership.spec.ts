import assert from 'node:assert/strict'
import { Etcd3 } from 'etcd3'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { admitMember } from '#pkg/etcd/admit.ts'
import type { EtcdStatus } from '#pkg/etcd/client.ts'
import { EtcdError, MembershipRefusedError } from '#pkg/etcd/errors.ts'
import { assertPeerAnswers, fetchMembers } from '#pkg/etcd/peer.ts'
import { TestMember, testAuthority, testTls } from '#pkg/etcd/testing/member.ts'
import { defragmentWhenDue, sizesOf } from '#pkg/component/controller/etcd-defragment.ts'
import { leads, syncsOf } from '#pkg/component/controller/etcd-health.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import { silentLogger } from '#pkg/log/logger.ts'

describe('members of etcd', () => {
  const tls = testTls(testAuthority())
  const signal = (): AbortSignal => AbortSignal.timeout(5_000)
  let dir: string
  let first: TestMember
  let second: TestMember
  let third: TestMember

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-etcd-'))
    first = await TestMember.make('c0', dir, tls)
    second = await TestMember.make('c1', dir, tls)
    third = await TestMember.make('c2', dir, tls)
    await first.start()
  })

  after(async () => {
    for (const member of [first, second, third]) await member.kill()
    await rm(dir, { recursive: true, force: true })
  })

  /** What the join API does for a host, asked at `at`. */
  const admit = async (member: Pick<TestMember, 'name' | 'peerUrl'>, at = first): Promise<readonly string[]> => {
    await using client = at.client()
    const deps = {
      client,
      assertPeerAnswers: (url: string, within: AbortSignal) => assertPeerAnswers(url, { tls, signal: within }),
      log: silentLogger,
    }
    // For some seconds after a change etcd does not count its newest member.
    const outcome = await at.eventually('etcd takes a member', async () => {
      try {
        return await admitMember({ name: member.name, peerUrl: member.peerUrl }, deps)
      } catch (err) {
        if (err instanceof Error && /unhealthy cluster/.test(err.message)) throw err
        return { err }
      }
    })
    if ('err' in outcome) throw outcome.err
    return outcome
  }
  const refused = async (member: Pick<TestMember, 'name' | 'peerUrl'>, reason: RegExp): Promise<void> => {
    await assert.rejects(admit(member), (err: unknown) => {
      assert.ok(err instanceof MembershipRefusedError, String(err))
      assert.match(err.message, reason)
      return true
    })
  }
  const stateOf = async (member: TestMember, at = first): Promise<'voter' | 'learner' | undefined> => {
    const found = (await fetchMembers(at.peerUrl, { tls, signal: signal() })).find(({ peerUrls }) =>
      peerUrls.includes(member.peerUrl),
    )
    return found && (found.isLearner ? 'learner' : 'voter')
  }

  it('come as learners; the same host may ask again before it starts', async () => {
    const cluster = await admit(second)
    assert.deepEqual([...cluster].sort(), [`c0=${first.peerUrl}`, `c1=${second.peerUrl}`])
    assert.deepEqual([...(await admit(second))].sort(), [...cluster].sort())
    assert.equal(await stateOf(second), 'learner')
  })

  it('come one at a time: another host waits for its turn', () => refused(third, /c1 is joining .*one at a time/))

  it('vote once they have caught up, promoted through the peer port', async () => {
    await second.start(await admit(second))
    assert.equal(await stateOf(second), 'voter')
  })

  it('tell their sizes, and give unused space back', async () => {
    await using client = first.client()
    const { sizeBytes, sizeInUseBytes, leaderId, memberId } = await client.status()
    assert.equal(leaderId, memberId)
    const { certPem: cert, keyPem: key, caPem } = tls
    const metrics = await probeHttp(`${first.clientUrl}/metrics`, { signal: signal(), ca: caPem, cert, key })
    assert.deepEqual(sizesOf(metrics), { total: sizeBytes, inUse: sizeInUseBytes })
    assert.ok(leads(metrics))
    assert.ok((syncsOf(metrics)?.count ?? 0) > 0)
    await client.defragment()
    assert.ok((await client.status()).sizeBytes <= sizeBytes)
  })

  it('give unused space back by themselves, where there is much of it', async () => {
    const MIB = 1024 * 1024
    await churn(first, 8 * MIB)
    const sizeOf = async (member: TestMember): Promise<number> => {
      await using client = member.client()
      return (await client.status()).sizeBytes
    }
    assert.ok((await sizeOf(first)) > 8 * MIB)
    const [stop, schedule] = [new AbortController(), { lookEveryMs: 100, minFreeBytes: 4 * MIB }]
    const looking = [first, second].map(({ clientUrl }) =>
      defragmentWhenDue({ clientUrl, tls: () => tls }, { signal: stop.signal, log: silentLogger }, schedule),
    )
    for (const member of [first, second]) {
      await member.eventually('it is small', async () => {
        await churn(first, 16) // a member counts its space anew with its next write
        assert.ok((await sizeOf(member)) < 4 * MIB)
      })
    }
    stop.abort(new Error('both are small'))
    for (const { status } of await Promise.allSettled(looking)) assert.equal(status, 'rejected')
  })

  /** Writes that many bytes, and removes them with their history. */
  async function churn({ clientUrl }: TestMember, bytes: number): Promise<void> {
    const { caPem, certPem, keyPem } = tls
    const credentials = {
      rootCertificate: Buffer.from(caPem),
      certChain: Buffer.from(certPem),
      privateKey: Buffer.from(keyPem),
    }
    const etcd = new Etcd3({ hosts: clientUrl, credentials })
    const value = Buffer.alloc(bytes / 16)
    for (let i = 0; i < 16; i++) await etcd.put(`churn/${String(i)}`).value(value)
    const { header } = await etcd.delete().all().prefix('churn/')
    await etcd.kv.compact({ revision: header.revision, physical: true })
    etcd.close()
  }

  it('are refused under a name that another one has, and when they run already', async () => {
    await refused({ name: 'c1', peerUrl: third.peerUrl }, /another controller is called c1/)
    await refused(second, /c1 is a member of etcd and answers .* it is not replaced/)
  })

  it('are refused while a member does not answer, with its name and what to do', async () => {
    await third.start(await admit(third))
    await second.kill()
    await refused(
      { name: 'c3', peerUrl: 'https://127.0.0.1:1' },
      /its member c1 does not answer .*k0s etcd leave --peer-address 127\.0\.0\.1/,
    )
  })

  it('replace themselves when their host comes back without its disk', async () => {
    await second.forget()
    await second.start(await admit(second))
    assert.equal(await stateOf(second), 'voter')
    assert.equal((await fetchMembers(second.peerUrl, { tls, signal: signal() })).length, 3)
  })

  it('let another one lead', async () => {
    const members = [first, second, third]
    const state = async (member: TestMember): Promise<EtcdStatus> => {
      await using client = member.client()
      return await client.status()
    }
    const states = await Promise.all(members.map((member) => member.eventually('it serves', () => state(member))))
    const at = states.findIndex(({ memberId, leaderId }) => memberId === leaderId)
    const next = states[(at + 1) % 3]!.memberId
    await using leader = members[at]!.client()
    await leader.moveLeader(next)
    assert.equal((await leader.status()).leaderId, next)
    await assert.rejects(leader.moveLeader(states[at]!.memberId), EtcdError)
  })

  it('are refused without a quorum', async () => {
    await second.kill()
    await third.kill()
    await refused({ name: 'c3', peerUrl: 'https://127.0.0.1:1' }, /unhealthy|lock/)
  }).timeout(90_000)
})
