import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { endpointOf } from '#pkg/kine/testing/servers.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'
import type { TestTarget } from '#pkg/kine/testing/targets.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { KINE_TARGETS, LONG, ORACLE } from '#pkg/kine/suite/targets.ts'

const ETCDCTL = resolve('embedded-bins/staging/test-bin/etcdctl')

/** A command and its input; both servers must print the same and end alike. */
const COMMANDS: readonly (readonly [args: string, input?: string])[] = [
  ['put a one'],
  ['put a two --prev-kv'],
  ['put b/1 x'],
  ['put b/2 y'],
  ['put b/3 z'],
  ['get a'],
  ['get a -w fields'],
  ['get a --print-value-only'],
  ['get none'],
  ['get b/ --prefix'],
  ['get b/ --prefix --keys-only'],
  ['get b/ --prefix --count-only -w fields'],
  ['get b/ --prefix --limit 2'],
  ['get b/ --prefix --sort-by VALUE --order DESCEND'],
  ['get b/2 --from-key'],
  ['get a b/2'],
  ['get a --rev 2'],
  ['get a --rev 2 -w json'],
  ['get a --rev 999'],
  ['get a --consistency s'],
  ['del b/3 --prev-kv'],
  ['del none'],
  ['txn', 'mod("a") = "3"\n\nput a three\nget a\n\nget a\n\n'],
  ['txn', 'value("a") = "nothing"\n\nput a never\n\nput a four\ndel b/2\nget b/ --prefix\n\n'],
  ['txn', 'create("new") = "0"\n\nput new "with words"\n\n\n'],
  ['txn', '\nput d 1\nput d 2\n\n\n'],
  ['get "" --from-key'],
  ['lease grant 600 --lease-id 7b'],
  ['put leased x --lease=7b'],
  ['put leased x --lease=7c'],
  ['lease list'],
  ['lease timetolive 7b --keys'],
  ['lease timetolive 7c'],
  ['lease keep-alive --once 7b'],
  ['lease revoke 7b'],
  ['lease revoke 7b'],
  ['get leased'],
  ['compaction 4'],
  ['compaction 4'],
  ['compaction 999'],
  ['get a --rev 3'],
  ['defrag'],
  ['alarm list'],
  ['alarm disarm'],
  ['user list'],
  ['role list'],
  ['user get nobody'],
  ['auth enable'],
  ['move-leader 5'],
  ['member remove 5'],
]

if (existsSync(ETCDCTL) && ORACLE !== undefined) {
  const oracle = ORACLE
  let expected: readonly string[] | undefined

  onEach(KINE_TARGETS, 'etcdctl', (on) => {
    it(`prints with ${COMMANDS.length} commands what it prints of etcd`, async () => {
      expected ??= await runOn(oracle)
      const printed = await runAll(on.server)
      for (const [i, [args]] of COMMANDS.entries()) assert.equal(printed[i], expected[i], `etcdctl ${args}`)
    })

    it('finds the endpoint healthy and tells its status, hash and members', async () => {
      assert.match(await etcdctl(on.server, ['endpoint', 'health']), /is healthy: successfully committed proposal/)
      const [status] = JSON.parse(await etcdctl(on.server, ['endpoint', 'status', '-w', 'json'])) as [
        { Status: { version: string; dbSize: number; leader: number; header: { member_id: number } } },
      ]
      assert.match(status.Status.version, /^3\./)
      assert.ok(status.Status.dbSize > 0)
      assert.equal(status.Status.leader, status.Status.header.member_id)
      assert.match(await etcdctl(on.server, ['endpoint', 'hashkv']), /, \d+/)
      assert.match(await etcdctl(on.server, ['member', 'list']), /^[0-9a-f]+, started, kine, /)
      assert.match(await etcdctl(on.server, ['endpoint', 'status', '-w', 'table']), /IS LEADER/)
    })

    it('watches', async () => {
      const first = JSON.parse(await etcdctl(on.server, ['put', 'w/1', 'a', '-w', 'json'])) as {
        header: { revision: number }
      }
      const from = String(first.header.revision)
      const lines = watchLines(on.server, ['watch', 'w/', '--prefix', '--prev-kv', '--rev', from], 10)
      await etcdctl(on.server, ['put', 'w/1', 'b'])
      await etcdctl(on.server, ['del', 'w/1'])
      // Type, the pair before if there was one, the pair.
      assert.deepEqual(await lines, ['PUT', 'w/1', 'a', 'PUT', 'w/1', 'a', 'w/1', 'b', 'DELETE', 'w/1'])
    })

    it('elects and locks', async () => {
      assert.match(await etcdctl(on.server, ['lock', 'mutex', 'echo', 'locked']), /locked/)
    })

    it('says that a snapshot is no way to back it up', async () => {
      assert.match(await etcdctl(on.server, ['snapshot', 'save', '/dev/null/x']), /not a directory|k0s backup/)
    })

    // It takes a minute.
    if (LONG) {
      it('passes its check of performance', async function () {
        this.timeout(180_000)
        assert.match(await etcdctl(on.server, ['check', 'perf']), /PASS\n?$/)
      })
    }
  })
}

async function runOn(target: TestTarget): Promise<string[]> {
  await using server = await target.start()
  return await runAll(server)
}

async function runAll(server: TestServer): Promise<string[]> {
  const printed: string[] = []
  for (const [args, input] of COMMANDS) {
    const words = args.split(' ').map((word) => (word === '""' ? '' : word))
    printed.push(masked(await etcdctl(server, words, input)))
  }
  return printed
}

/** All that it prints, and how it ends. */
async function etcdctl(server: TestServer, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(ETCDCTL, args, { env: environment(server), stdio: ['pipe', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk))
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return `${Buffer.concat(output).toString()}${code === 0 ? '' : `exit code ${code}\n`}`
}

/** The first lines of a command that does not end by itself. */
async function watchLines(server: TestServer, args: readonly string[], count: number): Promise<string[]> {
  const child = spawn(ETCDCTL, args, { env: environment(server), stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  try {
    let text = ''
    for await (const chunk of child.stdout) {
      text += String(chunk)
      if (text.split('\n').length > count) break
    }
    return text.split('\n').slice(0, count)
  } finally {
    child.kill('SIGKILL')
    await closed
  }
}

function environment(server: TestServer): NodeJS.ProcessEnv {
  return { PATH: '/usr/bin:/bin', ETCDCTL_ENDPOINTS: endpointOf(server) }
}

/** Without what names a server, the clock, and the lines of the client's own log. */
function masked(text: string): string {
  return text
    .replaceAll(/"(cluster_id|member_id|raft_term)":\d+/g, '"$1":0')
    .replaceAll(/"(ClusterID|MemberID|RaftTerm)" : \d+/g, '"$1" : 0')
    .replaceAll(/(unix:\/\/\S+?|127\.0\.0\.1:\d+)(?=[\]\s,])/g, 'ENDPOINT')
    .replaceAll(/remaining\(\d+s\)/g, 'remaining(…)')
    .replaceAll(/took \S+/g, 'took …')
    .replaceAll(/^\{"level":.*\n/gm, '')
}
