import assert from 'node:assert/strict'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Cluster } from '#inttest/common/cluster.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import type { Host } from '#inttest/common/host.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

/** A token whose secret nobody knows but whose form is right: bad only for the API server. */
const UNKNOWN_SECRET = '0123456789abcdef'

describe('bad input ends in one line that says what to do, exit code 1, and nothing half-written', () => {
  let cluster: Cluster
  let host: Host

  before(async () => {
    cluster = await sharedCluster('isolated')
    host = cluster.host('spare', 60)
    await host.remove()
    await host.boot()
  })

  after(async () => {
    await host.remove()
  })

  /** Runs the product on the spare host and holds it to the three promises. */
  const refused = async (args: readonly string[], expected: RegExp, wrapper: readonly string[] = []): Promise<void> => {
    const before = await files(host)
    const { code, stderr } = await host.run([...wrapper, k0sExecutable, ...args], { timeoutMs: 60_000 })
    const errors = stderr.split('\n').filter((line) => line.startsWith('Error: '))
    assert.equal(errors.length, 1, `one line of error expected, got: ${stderr}`)
    assert.match(errors[0]!, expected)
    assert.equal(code, 1)
    assert.equal(await files(host), before, 'files were left behind')
    const left = (await host.processes()).filter(({ argv }) => argv.some((arg) => arg.endsWith('main.mjs')))
    assert.deepEqual(left, [], 'processes were left behind')
  }

  const withConfig = async (spec: string, expected: RegExp): Promise<void> => {
    const config = `apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\nmetadata: { name: k0s }\nspec:\n${spec}\n`
    await host.write('/mnt/bad.yaml', config)
    await refused(['controller', '--config', '/mnt/bad.yaml'], expected)
    await refused(['config', 'validate', '--config', '/mnt/bad.yaml'], expected)
  }

  it('a service where there is no init system, with the command line for the foreground', async () => {
    await refused(
      ['install', 'controller', '--enable-worker=false', 'a-token'],
      /runs no init system.*nothing was changed.*k0s controller --enable-worker=false <join-token>$/,
    )
    await refused(['install', 'worker', '--token-file', '/mnt/none'], /k0s worker --token-file=\/mnt\/none$/)
    await refused(
      ['install', 'worker', '--cri-socket=remote:run/cri.sock', '--env=SECRET=hidden'],
      /: SECRET=<value> \S*k0s worker --cri-socket=remote:unix:\/\/\/run\/cri\.sock$/,
    )
    await refused(['install', 'worker', 'a-token', '--token-file=/mnt/none'], /given twice: as argument and with/)
    await refused(
      ['install', 'controller', '--single', '--env=K0S_TOKEN=x'],
      /--single cannot be combined with a join token/,
    )
    await refused(['install', 'worker', '--env', 'NOT_SET'], /--env NOT_SET takes the value from the environment/)
    await refused(['start'], /runs no init system.*in the foreground/)
  })

  it('an unknown configuration key, with its path', async () => {
    await withConfig('  network: { podCIRD: 10.1.0.0/16 }', /spec\.network\.podCIRD/)
  })

  it('a value of the wrong type, with its path', async () => {
    await withConfig('  api: { port: many }', /spec\.api\.port.*(integer|number)/)
  })

  it('CIDRs that overlap, both named', async () => {
    await withConfig(
      '  network: { podCIDR: 10.96.0.0/16 }',
      /serviceCIDR: 10\.96\.0\.0\/12 overlaps with spec\.network\.podCIDR 10\.96\.0\.0\/16/,
    )
  })

  it('YAML that does not parse, with its line', async () => {
    await withConfig('  api: { port: 6443', /line \d+/)
  })

  it('a port in use, with its number and who holds it', async () => {
    const listener = await host.spawn(
      [process.execPath, '-e', "require('net').createServer().listen(6443,'0.0.0.0',()=>console.log('listening'))"],
      'listener',
    )
    try {
      await host.must([
        'sh',
        '-c',
        'for i in $(seq 100); do grep -q ":192B " /proc/net/tcp && exit 0; sleep 0.05; done; exit 1',
      ])
      await refused(['controller'], /6443.*node/)
    } finally {
      process.kill(-listener.pid!, 'SIGKILL')
    }
  })

  it('a user who is not root', async () => {
    await refused(['controller'], /root/, ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
    await refused(['worker', 'token'], /root/, ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
  })

  it('a second start', async () => {
    const { code, stderr } = await cluster.controller.k0s(['controller'])
    assert.equal(code, 1)
    assert.match(stderr.trim(), /^Error: .*already running.*$/)
  })

  it('a malformed token', async () => {
    await refused(['worker', 'not-a-token'], /token/)
  })

  it('no token, and two at once', async () => {
    await refused(['worker'], /token/)
    await refused(['worker', 'one', '--token-file', '/mnt/two'], /token/)
  })

  it("a controller's token on a worker", async () => {
    const { stdout } = await cluster.controller.k0s(['token', 'create', '--role', 'controller'])
    await refused(['worker', stdout.trim()], /controller/)
  })

  it('an expired token', async () => {
    const { stdout } = await cluster.controller.k0s(['token', 'create', '--expiry', '1s'])
    await host.must(['sleep', '2'])
    await refused(['worker', stdout.trim()], /expired|invalid/)
  })

  it('an invalidated token', async () => {
    const { stdout } = await cluster.controller.k0s(['token', 'create'])
    const listed = await cluster.controller.k0s(['token', 'list'])
    const id = tokenId(stdout)
    assert.match(listed.stdout, new RegExp(id))
    assert.equal((await cluster.controller.k0s(['token', 'invalidate', id])).code, 0)
    await refused(['worker', stdout.trim()], /expired|invalid/)
  })

  it('a token with a wrong secret', async () => {
    const { stdout } = await cluster.controller.k0s(['token', 'create'])
    await refused(['worker', withSecret(stdout, UNKNOWN_SECRET)], /expired|invalid/)
  })

  it('a data directory that cannot be written', async () => {
    await host.must(['sh', '-c', 'mkdir -p /mnt/ro && mount -t tmpfs -o ro tmpfs /mnt/ro'])
    await refused(['controller', '--data-dir', '/mnt/ro/k0s'], /\/mnt\/ro.*(read-only|written)/)
  })

  it('a full disk', async () => {
    await host.must(['sh', '-c', 'mkdir -p /mnt/full && mount -t tmpfs -o size=64k tmpfs /mnt/full'])
    await host.must(['sh', '-c', 'dd if=/dev/zero of=/mnt/full/fill bs=1k 2>/dev/null; mkdir -p /mnt/full/k0s'])
    await refused(['controller', '--data-dir', '/mnt/full/k0s'], /\/mnt\/full.*(full|space)/)
  })

  it('unknown flags and values, naming them', async () => {
    await refused(['controller', '--enable-wroker'], /--enable-wroker/)
    await refused(['controller', '--single=maybe'], /--single.*maybe|maybe.*--single/)
    await refused(['controller', '--disable-components', 'corends'], /corends/)
    await refused(['no-such-command'], /no-such-command/)
  })
})

/** Every path under the directories that the product writes to. */
async function files(host: Host): Promise<string> {
  return host.must([
    'sh',
    '-c',
    'find /var/lib/k0s /var/lib/kubelet /etc/k0s /run/k0s /mnt/full/k0s /mnt/ro -mindepth 1 2>/dev/null | sort; true',
  ])
}

function decode(token: string): string {
  return gunzipSync(Buffer.from(token.trim(), 'base64')).toString()
}

function tokenId(token: string): string {
  return /token: "?([a-z0-9]{6})\./.exec(decode(token))![1]!
}

function withSecret(token: string, secret: string): string {
  return gzipSync(decode(token).replace(/(token: "?[a-z0-9]{6})\.[a-z0-9]{16}/, `$1.${secret}`)).toString('base64')
}
