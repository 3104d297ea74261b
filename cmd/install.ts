import { resolve } from 'node:path'
import { controllerCommandFlags } from '#cmd/controller.ts'
import { defineCommand, type CommandIo, type Invocation } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { varsOf } from '#cmd/flags/shared.ts'
import { workerOptions } from '#cmd/flags/worker.ts'
import { requireRoot } from '#cmd/require-root.ts'
import { joinTokenArg, workerCommandFlags } from '#cmd/worker.ts'
import { UsageError } from '#pkg/errors/usage.ts'
import type { InitSystem } from '#pkg/install/init-system.ts'
import type { ServiceRole } from '#pkg/install/service.ts'
import type { TokenSources } from '#pkg/token/token-source.ts'

const serviceFlags = {
  force: flag.bool('replace the service that is there'),
  env: flag.array('environment of the service: NAME=value, or NAME for the value it has now; repeat for more', {
    short: 'e',
    valueName: 'name=value',
  }),
  start: flag.bool('start the service at once, or restart it if it runs with other settings'),
}

const controllerFlags = { ...controllerCommandFlags, ...serviceFlags }
const workerFlags = { ...workerCommandFlags, ...serviceFlags }

/** Time that a role gets to stop when nothing asks for more; OpenRC's and systemd's are the same, seconds. */
const STOP_TIMEOUT_SECONDS = 90
/** What a controller needs beside its API server's time to stop, seconds. */
const STOP_MARGIN_SECONDS = 30

export const installController = defineCommand({
  id: 'install controller',
  aliases: ['install server'],
  summary: 'Install a controller as a service of this host',
  description:
    'Takes the flags of "k0s controller" and makes a service of systemd or OpenRC that starts at boot, and the system users of the control plane. A join token and the environment are kept in files that only root reads.',
  examples: [
    { description: 'A controller', command: 'install controller' },
    { description: 'One that says that it runs no pods', command: 'install controller --enable-worker=false' },
    { description: 'With a configuration, started at once', command: 'install controller -c k0s.yaml --start' },
  ],
  args: [joinTokenArg],
  flags: controllerFlags,
  run: async (invocation) => {
    const { flags } = invocation
    workerOptions(flags)
    for (const name of ['init-only', 'dry-run'] as const) {
      if (flags[name]) throw new UsageError(`--${name} is for "k0s controller": a service of it would end at once`)
    }
    if (flags.config === '-') {
      throw new UsageError('a service has no standard input: put the configuration in a file and name it with --config')
    }
    requireRoot(invocation.io, 'install controller')
    const apiServerSeconds = Math.ceil(flags['api-server-stop-timeout'] / 1_000)
    await install('controller', invocation, {
      users: async () => {
        const { assertReachable } = await import('#pkg/install/reachable.ts')
        await assertReachable(resolve(invocation.io.self), 'the executable')
        await assertReachable(flags['data-dir'], 'the data directory')
        return controllerUsers(flags)
      },
      joins: !flags.single,
      stopTimeoutSeconds: Math.max(STOP_TIMEOUT_SECONDS, apiServerSeconds + STOP_MARGIN_SECONDS),
    })
  },
})

export const installWorker = defineCommand({
  id: 'install worker',
  summary: 'Install a worker as a service of this host',
  description:
    'Takes the flags of "k0s worker" and makes a service of systemd or OpenRC that starts at boot. A join token and the environment are kept in files that only root reads.',
  examples: [
    { description: 'A worker', command: 'install worker --token-file /etc/k0s/token' },
    { description: 'Started at once', command: 'install worker --token-file /etc/k0s/token --start' },
    {
      description: 'With a proxy for the images',
      command: 'install worker --token-file /etc/k0s/token -e CONTAINERD_HTTPS_PROXY=http://10.0.0.1:3128',
    },
  ],
  args: [joinTokenArg],
  flags: workerFlags,
  run: async (invocation) => {
    workerOptions(invocation.flags)
    requireRoot(invocation.io, 'install worker')
    await install('worker', invocation, {
      users: () => Promise.resolve([]),
      joins: true,
      stopTimeoutSeconds: STOP_TIMEOUT_SECONDS,
    })
  },
})

/** What the roles differ in. */
interface RoleNeeds {
  /** System users to make; looked up last, since it reads the configuration. */
  users(): Promise<readonly string[]>
  /** Whether it takes a join token. */
  readonly joins: boolean
  readonly stopTimeoutSeconds: number
}

async function install(
  role: ServiceRole,
  { flags, given, args, io }: Invocation<typeof workerFlags>,
  needs: RoleNeeds,
): Promise<void> {
  const [
    { detectInitSystem },
    { installService },
    { parseEnvironment },
    { runProgram },
    { NoInitSystemError },
    { tokenSource },
  ] = await Promise.all([
    import('#pkg/install/detect.ts'),
    import('#pkg/install/install.ts'),
    import('#pkg/install/environment-file.ts'),
    import('#pkg/supervisor/run-program.ts'),
    import('#pkg/install/errors.ts'),
    import('#pkg/token/token-source.ts'),
  ])
  const environment = parseEnvironment(flags.env, io.env)
  const sources = {
    argument: args[0],
    file: flags['token-file'],
    environment: environment['K0S_TOKEN'] ?? io.env['K0S_TOKEN'],
  }
  if (tokenSource(sources) !== undefined && !needs.joins) {
    throw new UsageError('--single cannot be combined with a join token: such a node is a whole cluster')
  }
  const executable = resolve(io.self)
  const handedOn = given.filter(({ name }) => !Object.hasOwn(serviceFlags, name))
  const roleFlags = handedOn.map(({ name, value }) => `--${name}=${value}`)
  const init = await detectInitSystem()
  if (init === undefined) {
    const command = await foregroundCommand([executable, role, ...roleFlags], { args, environment })
    throw new NoInitSystemError(
      `this host runs no init system that k0s knows (systemd or OpenRC), nothing was changed; run k0s in the foreground: ${command}`,
    )
  }
  const text = await joinToken(role, sources, io)
  // What the service reads by itself is not kept once more.
  const isItsOwn = sources.file !== undefined || environment['K0S_TOKEN'] !== undefined
  const result = await installService(
    {
      role,
      executable,
      flags: roleFlags,
      environment,
      token: isItsOwn ? undefined : text,
      users: await needs.users(),
      stopTimeoutSeconds: needs.stopTimeoutSeconds,
      force: flags.force,
    },
    { init, run: runProgram },
  )
  io.stdout(`k0s${role} ${result.changed ? 'is installed' : 'was installed already'} (${init.title}, ${result.path})\n`)
  await afterInstall(init, role, { isChanged: result.changed, start: flags.start, needs, io })
}

/** Starts what was installed, where that was asked for, or says how to. */
async function afterInstall(
  init: InitSystem,
  role: ServiceRole,
  options: {
    readonly isChanged: boolean
    readonly start: boolean
    readonly needs: Pick<RoleNeeds, 'stopTimeoutSeconds'>
    readonly io: CommandIo
  },
): Promise<void> {
  const { isChanged, start, needs, io } = options
  const { state } = await init.state(role)
  if (start && state === 'running' && isChanged) {
    await init.stop(role, { timeoutMs: (needs.stopTimeoutSeconds + STOP_MARGIN_SECONDS) * 1_000 })
    await init.start(role)
  } else if (start && state !== 'running') await init.start(role)
  else if (isChanged) {
    io.stdout(
      state === 'running' ? 'it still runs with its former settings: k0s stop, k0s start\n' : 'start it: k0s start\n',
    )
  }
}

/** The join token, checked; undefined where there is none, or none yet. */
async function joinToken(role: ServiceRole, sources: TokenSources, io: CommandIo): Promise<string | undefined> {
  const [{ readToken }, { decodeJoinToken }, { FileError }] = await Promise.all([
    import('#pkg/token/token-source.ts'),
    import('#pkg/token/join-token.ts'),
    import('#pkg/file/errors.ts'),
  ])
  try {
    const text = await readToken(sources)
    if (text !== undefined) decodeJoinToken(text, role)
    return text
  } catch (err) {
    // An image may be prepared before its token is there.
    if (!(err instanceof FileError) || err.errno !== 'ENOENT') throw err
    io.stderr(`Warning: ${err.message}; the service does not start before it is there\n`)
    return undefined
  }
}

async function controllerUsers(flags: Invocation<typeof controllerFlags>['flags']): Promise<readonly string[]> {
  const { loadNodeConfig } = await import('#pkg/config/load.ts')
  const { spec } = await loadNodeConfig({ configFile: flags.config, vars: varsOf(flags), single: flags.single })
  return Object.values(spec.installConfig.users)
}

/** A command line to copy; neither the token nor values of the environment are repeated. */
async function foregroundCommand(
  words: readonly string[],
  { args, environment }: { readonly args: readonly string[]; readonly environment: Readonly<Record<string, string>> },
): Promise<string> {
  const { shellWord } = await import('#pkg/install/quote.ts')
  const variables = Object.keys(environment).map((name) => `${name}=<value>`)
  return [...variables, ...words.map(shellWord), ...args.map(() => `<${joinTokenArg.name}>`)].join(' ')
}
