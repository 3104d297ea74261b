import { defineCommand } from '#cmd/define.ts'
import { controllerFlags } from '#cmd/flags/controller.ts'
import { configFlags, logLevelOf, outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import { defaultLogging, workerFlags, workerOptions } from '#cmd/flags/worker.ts'
import { requireRoot } from '#cmd/require-root.ts'
import { untilSignal } from '#cmd/until-signal.ts'
import { joinTokenArg, shownArgs } from '#cmd/worker.ts'

/** Everything that `controller` and `install controller` take. */
export const controllerCommandFlags = {
  ...pathFlags,
  ...outputFlags({ verbose: true }),
  ...configFlags,
  ...controllerFlags,
  ...workerFlags,
}

export const controller = defineCommand({
  id: 'controller',
  aliases: ['server'],
  summary: 'Run a controller: the control plane, and no pods unless asked to',
  description:
    'Runs in the foreground until SIGTERM; SIGHUP restarts the tunnel server without an interruption. Workers join with a token of "k0s token create" and dial out to this host; nothing here dials them.',
  examples: [
    { description: 'A control plane that is isolated from its workers', command: 'controller' },
    { description: 'A control plane whose host is a worker too', command: 'controller --enable-worker --no-taints' },
    { description: 'Everything on one host, on SQLite', command: 'controller --single' },
    { description: 'What would run, and what waits for what', command: 'controller --dry-run --enable-worker' },
  ],
  args: [joinTokenArg],
  flags: controllerCommandFlags,
  withoutOclif: true,
  run: async ({ flags, args, io }) => {
    if (!flags['dry-run']) requireRoot(io, 'controller')
    const [{ runController }, { createLogger }, { productVersion }, { tokenSource }] = await Promise.all([
      import('#pkg/role/controller.ts'),
      import('#pkg/log/winston.ts'),
      import('#pkg/assets/product.ts'),
      import('#pkg/token/token-source.ts'),
    ])
    const options = {
      ...workerOptions(flags),
      vars: varsOf(flags),
      configFile: flags.config,
      joinToken: tokenSource({
        argument: args[0],
        file: flags['token-file'],
        environment: io.env['K0S_TOKEN'],
      }),
      enableWorker: flags['enable-worker'],
      single: flags.single,
      noTaints: flags['no-taints'],
      disableComponents: flags['disable-components'],
      initOnly: flags['init-only'],
      dryRun: flags['dry-run'],
      featureGates: flags['feature-gates'],
      kubeControllerManagerExtraArgs: flags['kube-controller-manager-extra-args'],
      apiServerStopTimeoutMs: flags['api-server-stop-timeout'],
      logLevels: { ...defaultLogging, ...flags.logging },
      version: productVersion(),
      args: shownArgs(process.argv.slice(2), args[0]),
    }
    const log = createLogger({ level: logLevelOf(flags) })
    const print = (text: string): void => io.stdout(text)
    await untilSignal(({ signal, onHangup }) => runController(options, { log, signal, onHangup, print }), {
      unheardHangup: () => log.warn('SIGHUP without effect: the tunnel server was not started yet'),
    })
  },
})
