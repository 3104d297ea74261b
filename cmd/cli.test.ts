import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCli } from '#cmd/cli.ts'
import type { CommandDefinition, CommandIo } from '#cmd/define.ts'
import { commands } from '#cmd/index.ts'

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line as a user without rights, so that nothing it could do is done. */
async function run(argv: readonly string[], given: Partial<CommandIo> = {}): Promise<Outcome> {
  let [stdout, stderr] = ['', '']
  const io: CommandIo = {
    env: {},
    uid: 1000,
    self: '/opt/k0s/k0s',
    stdout: (text) => (stdout += text),
    stderr: (text) => (stderr += text),
    ...given,
  }
  const code = await runCli(argv, io)
  return { code, stdout, stderr }
}

async function fails(argv: readonly string[], message: RegExp, given: Partial<CommandIo> = {}): Promise<void> {
  const { code, stdout, stderr } = await run(argv, given)
  assert.match(stderr, message, argv.join(' '))
  assert.match(stderr, /^Error: [^\n]+\n$/, argv.join(' '))
  assert.equal(stdout, '')
  assert.equal(code, 1)
}

const parsed = (definition: CommandDefinition): boolean => definition.passThrough !== true

describe('the command line', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-cli-'))
  })
  after(() => rm(dir, { recursive: true }))

  it("reads the user's first three lines", async () => {
    await fails(['install', 'controller', '--enable-worker=false'], /k0s install controller must run as root/)
    await fails(['token', 'create', '--data-dir', dir, '--status-socket', join(dir, 'none.sock')], /k0s is not running/)
    await fails(['install', 'worker'], /k0s install worker must run as root/)
  })

  it('shows an example in the help of every command', async () => {
    for (const { id, summary, examples } of commands.filter(parsed)) {
      for (const argv of [
        [...id.split(' '), '--help'],
        ['help', ...id.split(' ')],
      ]) {
        const { code, stdout, stderr } = await run(argv)
        assert.equal(stderr, '', id)
        assert.equal(code, 0, id)
        assert.ok(stdout.includes(summary), id)
        assert.match(stdout, /EXAMPLES/, id)
        assert.ok(stdout.includes(`$ k0s ${examples[0]!.command.slice(0, 30)}`), `${id}: ${stdout}`)
      }
    }
  })

  it('shows defaults and values in the help', async () => {
    const { stdout } = await run(['token', 'create', '--help'])
    assert.match(stdout, /--role=worker\|controller\s+\[default: worker\]/)
    assert.match(stdout, /--data-dir=path\s+\[default: \/var\/lib\/k0s\]/)
    assert.match(stdout, /--debug\s+\[env: DEBUG\]/)
  })

  it('gives examples that parse', () => {
    for (const { id, aliases = [], examples } of commands) {
      assert.ok(examples.length > 0, id)
      for (const { command } of examples) {
        assert.ok(
          [id, ...aliases].some((name) => `${command} `.startsWith(`${name} `)),
          command,
        )
      }
    }
  })

  it('refuses bad use of every command with one line and exit code 1', async () => {
    for (const { id } of commands.filter(parsed)) {
      await fails([...id.split(' '), '--no-such-flag'], /unknown flag --no-such-flag for "k0s /)
      await fails([...id.split(' '), '--debug=maybe'], /--debug/)
    }
  })

  it('refuses arguments that nobody asked for, and says how to set a flag', async () => {
    await fails(['token', 'create', '--wait', 'false'], /takes no argument, but "false" was given \(write --flag=false/)
    await fails(['token', 'invalidate'], /needs <id>/)
    await fails(['kubeconfig', 'create', 'a', 'b'], /takes at most one argument, but "b" was given/)
  })

  it('finds commands by words, groups and aliases, and helps with slips', async () => {
    await fails(['versoin'], /unknown command "versoin" for "k0s", did you mean "version"\?/)
    await fails(['token', 'crate'], /unknown command "crate" for "k0s token", did you mean "create"\?/)
    await fails(['--debug=false', 'no-such-command'], /unknown command "no-such-command"/)
    await fails(['server', '--enable-wroker'], /unknown flag --enable-wroker/)
    for (const argv of [[], ['--help'], ['help'], ['-h']]) assert.match((await run(argv)).stdout, /COMMANDS/)
    assert.match((await run(['token'])).stdout, /token create/)
    assert.match((await run(['token', '--help'])).stdout, /token create/)
  })

  it('takes flags before and between the words of a command', async () => {
    const socket = join(dir, 'other.sock')
    await fails(['--status-socket', socket, 'token', '--data-dir', dir, 'create'], /other\.sock/)
  })

  it('refuses labels, taints and runtimes that the kubelet would not take', async () => {
    await fails(
      ['worker', '--labels=disk'],
      /invalid value "disk" for --labels \("disk" is none\): it takes .*key=value/,
    )
    await fails(['worker', '--taints=gpu'], /invalid value "gpu" for --taints .*key=value:effect/)
    await fails(['controller', '--taints=gpu:Never'], /for --taints .*NoSchedule, PreferNoSchedule, NoExecute/)
    await fails(['worker', '--cri-socket=docker:unix:///run/x'], /for --cri-socket: it takes remote: and the socket/)
    for (const flags of [['--labels=a=b,c='], ['--taints=a=b:NoSchedule,c:NoExecute'], ['--cri-socket=remote:/run/x']])
      await fails(['worker', ...flags], /must run as root/)
  })

  it('needs root where it changes the host', async () => {
    for (const command of ['controller', 'worker', 'stop', 'reset']) await fails([command], /must run as root/)
  })

  it('names what is not there yet instead of ignoring it', async () => {
    await fails(['controller', '--enable-dynamic-config'], /--enable-dynamic-config is not available in this version/)
    await fails(['worker', '--iptables-mode=legacy'], /root|legacy/, { uid: 0 })
    await fails(['controller', '--disable-components', 'corends'], /there is no component "corends"/)
  })

  it('prints the version, and every version as JSON', async () => {
    assert.match((await run(['version'])).stdout, /^1\.36\.\d+-k0s\.\d+\n$/)
    const all = JSON.parse((await run(['version', '--all', '--json'])).stdout) as Record<string, string>
    for (const name of ['k0s', 'kubernetes', 'etcd', 'containerd', 'runc', 'node']) {
      assert.match(all[name]!, /^\d+\.\d+\.\d+/, name)
    }
  })

  it('prints a default configuration that it finds valid itself', async () => {
    const { stdout } = await run(['config', 'create', '--include-images'])
    assert.match(stdout, /kind: ClusterConfig/)
    assert.match(stdout, /metricsserver:\n +image: /)
    await fails(['config', 'validate', '--config', join(dir, 'none.yaml')], /none\.yaml/)
  })

  it('shows the chain of causes with --debug only', async () => {
    const argv = ['status', '--status-socket', join(dir, 'none.sock')]
    await fails(argv, /not running/)
    const { stderr } = await run([...argv, '-d'])
    assert.match(stderr, /^Error: .*\nstack: [^]*caused by: Error: connect ENOENT/)
    assert.match((await run(argv, { env: { DEBUG: '1' } })).stderr, /caused by/)
  })
})
